//! The address that a request comes from. Callers without a valid token are limited by it.
//!
//! The address is the socket's, unless the socket belongs to a proxy that the configuration names.
//! Behind such a proxy it is the right-most address of `X-Forwarded-For` that is not a named proxy
//! itself. Each proxy appends the address that called it, so everything to the left of that one is
//! only the caller's own word and is not read.
//!
//! `Forwarded` is not read either, because a proxy that does not know the header passes on whatever
//! a caller made up.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Finds out where requests come from. Clones share the list.
#[derive(Clone, Debug)]
pub struct Addresses {
    trusted_proxies: Arc<[IpNet]>,
}

impl Addresses {
    /// `trusted_proxies` say the truth about whom they were called by.
    pub fn new(trusted_proxies: &[IpNet]) -> Self {
        Self { trusted_proxies: trusted_proxies.into() }
    }

    /// The caller's address, an IPv6 one without what its owner may choose freely: its last 64 bits are zero. `None`
    /// where the server was not told whose socket it is.
    pub fn caller(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        let mut caller = peer.ip().to_canonical();
        let lines: Vec<&HeaderValue> = headers.get_all(X_FORWARDED_FOR).iter().collect();
        // What is no text is one entry that cannot be read.
        let entries = lines.into_iter().rev().flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        for entry in entries {
            if !self.trusts(caller) {
                break;
            }
            // What a proxy could not name is behind that proxy.
            let Some(before) = parse(entry.trim()) else { break };
            caller = before;
        }
        Some(network(caller))
    }

    /// Who has sent a request, as far as that matters to whether `caller` is one caller.
    pub fn sender(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<Sender> {
        let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        let peer = peer.ip().to_canonical();
        Some(Sender { peer, is_trusted: self.trusts(peer), forwards: headers.contains_key(X_FORWARDED_FOR) })
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|proxies| proxies.contains(&address))
    }
}

/// Whose socket a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    peer: IpAddr,
    is_trusted: bool,
    forwards: bool,
}

impl Sender {
    /// Why all who call through this proxy may be taken for one, and what to do. `None` where it seems to be a caller
    /// itself, or names the callers.
    pub fn doubt(self) -> Option<String> {
        let Self { peer, is_trusted, forwards } = self;
        match (is_trusted, forwards) {
            (true, false) => Some(format!(
                "the proxy {peer} says nothing in X-Forwarded-For, so that all who call through it count as one; have it \
                 append the address of each (nginx: `proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`)"
            )),
            (false, true) => Some(format!(
                "X-Forwarded-For of {peer} is not believed, so that all who call through it count as one; if it is your \
                 proxy, name it in HALFHOUR_TRUSTED_PROXIES"
            )),
            _ => None,
        }
    }
}

/// An address, with or without a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = || entry.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let address = entry.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(entry.parse::<SocketAddr>().ok()?.ip())).or_else(|| bare().map(IpAddr::V6));
    address.map(|address| address.to_canonical())
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The address of a request from `peer` with these header lines, behind proxies in `10.0.0.0/8` and `fd00::/8`.
    fn caller(peer: &str, lines: &[&str]) -> String {
        let addresses = Addresses::new(&["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4711)));
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        addresses.caller(&extensions, &headers).unwrap().to_string()
    }

    #[test]
    fn a_proxy_that_names_nobody_and_one_that_nobody_has_named_are_doubted() {
        let addresses = Addresses::new(&["10.0.0.0/8".parse().unwrap()]);
        let doubt = |peer: &str, forwarded: Option<&'static str>| {
            let mut extensions = Extensions::new();
            extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4711)));
            let headers = forwarded.map(|value| (X_FORWARDED_FOR, HeaderValue::from_static(value)));
            addresses.sender(&extensions, &headers.into_iter().collect()).unwrap().doubt().unwrap_or_default()
        };
        assert!(doubt("::ffff:10.0.0.1", None).starts_with("the proxy 10.0.0.1 says nothing"));
        assert!(doubt("192.0.2.1", Some("198.51.100.7")).ends_with("name it in HALFHOUR_TRUSTED_PROXIES"));
        assert_eq!(doubt("192.0.2.1", None), "");
        assert_eq!(doubt("10.0.0.1", Some("198.51.100.7")), "");
        assert_eq!(addresses.sender(&Extensions::new(), &HeaderMap::new()), None);
    }

    #[test]
    fn a_stranger_cannot_speak_for_others() {
        assert_eq!(caller("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(caller("192.0.2.1", &["198.51.100.7", "10.0.0.1"]), "192.0.2.1");
    }

    #[test]
    fn behind_proxies_it_is_the_right_most_address_that_is_none_of_them() {
        assert_eq!(caller("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(caller("10.0.0.1", &["203.0.113.9, 198.51.100.7 ,10.1.1.1"]), "198.51.100.7");
        assert_eq!(caller("10.0.0.1", &["203.0.113.9", "198.51.100.7", "10.1.1.1,10.1.1.2"]), "198.51.100.7");
        assert_eq!(caller("10.0.0.1", &["10.2.2.2, 10.1.1.1"]), "10.2.2.2");
        assert_eq!(caller("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_a_proxy_could_not_name_is_the_proxys() {
        for unreadable in ["unknown", "", "198.51.100.7, _hidden", "198.51.100.7,", "é", "1.2.3.4.5", "[::1"] {
            assert_eq!(caller("10.0.0.1", &[unreadable]), "10.0.0.1", "{unreadable}");
        }
        assert_eq!(caller("10.0.0.1", &["198.51.100.7, nonsense, 10.1.1.1"]), "10.1.1.1");
    }

    #[test]
    fn ports_and_ways_to_write_an_address_make_no_difference_and_64_bits_are_one_caller() {
        assert_eq!(caller("10.0.0.1", &["198.51.100.7:51034"]), "198.51.100.7");
        assert_eq!(caller("::ffff:10.0.0.1", &["::ffff:198.51.100.7"]), "198.51.100.7");
        for written in ["2001:db8:1:2:3:4:5:6", "[2001:db8:1:2::1]", "[2001:db8:1:2:ffff::]:443", "2001:0DB8:1:2::"] {
            assert_eq!(caller("fd00::1", &[written]), "2001:db8:1:2::", "{written}");
        }
        assert_eq!(caller("2001:db8:9::1", &[]), "2001:db8:9::");
    }
}
