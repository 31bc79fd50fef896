//! Callers without a valid token, limited by their address.
//!
//! Only refusals count: failed authentications, and whatever is refused before anybody asks for a
//! token, such as a path where nothing is. A caller with a valid token is therefore not limited for what
//! others do behind the same address. Look-ups in the database are refused to an address only after
//! it has sent too many tokens that this server signed and that are no longer valid. Forged tokens
//! cost no look-up and do not count for that.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use moka::sync::Cache;

use super::address::{Addresses, Sender};
use super::limit::Limit;
use crate::kernel::problem::{Code, Problem};

/// An address whose failures are used up gets no look-ups for this long.
const SHUT: Duration = Duration::from_secs(1);
/// As many such addresses are remembered, about 100 bytes each.
const SHUT_ADDRESSES: u64 = 10_000;

/// Counts what is refused to callers without a valid token. Clones share the count.
#[derive(Clone, Debug)]
pub struct AnonymousCallers {
    addresses: Addresses,
    limit: Option<Limit>,
    unknown: Option<Limit>,
    shut: Cache<IpAddr, ()>,
    /// Whether it was said that many may count as one.
    has_doubted: Arc<AtomicBool>,
}

impl AnonymousCallers {
    /// `limit` is for all failures and shared with the routes for everyone, `unknown` for those that cost a look-up;
    /// `None` for no limit.
    pub fn new(addresses: Addresses, limit: Option<Limit>, unknown: Option<Limit>) -> Self {
        let shut = Cache::builder().max_capacity(SHUT_ADDRESSES).time_to_live(SHUT).build();
        Self { addresses, limit, unknown, shut, has_doubted: Arc::default() }
    }

    /// Whether a token that nobody here has seen valid may be looked up for this caller. Errors: 429.
    pub fn admit(&self, caller: Option<IpAddr>) -> Result<(), Problem> {
        if caller.is_some_and(|caller| self.shut.contains_key(&caller)) {
            let detail = "Too many unknown tokens came from this address; it has to wait.";
            return Err(Problem::new(Code::RateLimited, detail));
        }
        Ok(())
    }

    /// Notes that a token with a genuine tail was looked up in vain: it was revoked, or the server's key is known to
    /// somebody. Forged tokens cost no look-up and do not come here.
    pub fn note_unknown(&self, caller: Option<IpAddr>) {
        if let Some((limit, caller)) = self.unknown.as_ref().zip(caller)
            && limit.take(caller, NonZeroU32::MIN).is_err()
        {
            self.shut.insert(caller, ());
        }
    }

    /// The address of whoever makes a request.
    pub fn caller(&self, request: &Request) -> Option<IpAddr> {
        self.addresses.caller(request.extensions(), request.headers())
    }

    /// Whose socket a request came through.
    pub fn sender(&self, request: &Request) -> Option<Sender> {
        self.addresses.sender(request.extensions(), request.headers())
    }

    /// A caller without a valid token has done too much. Says once in the log where that may be many callers, because of
    /// how a proxy or this server is set up. Returns whether it was said now.
    pub fn note_refused(&self, sender: Option<Sender>) -> bool {
        let Some(doubt) = sender.and_then(Sender::doubt) else { return false };
        if self.has_doubted.swap(true, Ordering::Relaxed) {
            return false;
        }
        tracing::warn!("a caller without a valid token was refused for calling too often: {doubt}");
        true
    }

    /// What a caller without a valid token is answered that was refused: what it would be, and 429 once that has
    /// happened too often.
    pub fn count(&self, caller: Option<IpAddr>, mut refusal: Response) -> Response {
        let Some((limit, caller)) = self.limit.as_ref().zip(caller) else {
            return refusal;
        };
        match limit.take(caller, NonZeroU32::MIN) {
            Ok(granted) => {
                granted.describe(refusal.headers_mut());
                refusal
            }
            Err(refused) => refused.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::extract::ConnectInfo;

    use super::*;

    #[test]
    fn a_proxy_is_doubted_once_and_a_caller_of_its_own_never() {
        let callers = AnonymousCallers::new(Addresses::new(&["10.0.0.0/8".parse().unwrap()]), None, None);
        let sender = |peer: &str| {
            let mut request = Request::new(axum::body::Body::empty());
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4711)));
            callers.sender(&request)
        };
        assert!(!callers.note_refused(None) && !callers.note_refused(sender("192.0.2.1")));
        assert!(callers.note_refused(sender("10.0.0.1")));
        assert!(!callers.note_refused(sender("10.0.0.2")));
    }
}
