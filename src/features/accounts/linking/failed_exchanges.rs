//! How many exchanges of a link code may fail, in a network and in this process. An exchange counts
//! as failed until it has succeeded, so that many at once do not slip through.
//!
//! A network is what one provider gives to one customer at most: a /24, or a /48 of IPv6. None of
//! them can use up what the process grants, and what the process has granted comes back within
//! seconds. So nobody can keep everybody else from linking for longer than the attack lasts, and
//! only an attack from many networks can do so at all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::kernel::problem::{Code, Problem};

/// How many may fail in a network within [`WINDOW`].
pub const NETWORK_LIMIT: u32 = 60;
/// What the failures of a network are counted over.
const WINDOW: Duration = Duration::from_mins(1);
/// How many may fail in the process within [`SHORT_WINDOW`]. At this rate a code of 60 bits is not found in its 10 minutes
/// if a million of them could be used.
pub const PROCESS_LIMIT: u32 = 200;
/// What the failures of the process are counted over.
const SHORT_WINDOW: Duration = Duration::from_secs(2);

/// The failures of the current windows. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct FailedExchanges(Arc<Mutex<Failures>>);

#[derive(Debug, Default)]
struct Failures {
    process: Window,
    /// There are never more than the process may count within [`WINDOW`].
    networks: HashMap<Option<IpAddr>, Window>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    ends: Option<Instant>,
    failures: u32,
}

/// An exchange under way.
#[derive(Debug)]
pub struct Attempt {
    counted: FailedExchanges,
    network: Option<IpAddr>,
}

impl FailedExchanges {
    /// Counts an exchange as failed. Errors: 429 `rate_limited` when there were too many.
    pub fn begin(&self, caller: Option<IpAddr>) -> Result<Attempt, Problem> {
        self.begin_at(caller, Instant::now())
    }

    fn begin_at(&self, caller: Option<IpAddr>, now: Instant) -> Result<Attempt, Problem> {
        let network = caller.map(network_of);
        let mut failures = self.failures();
        if failures.process.is_over(now) {
            failures.networks.retain(|_, window| !window.is_over(now));
        }
        let Failures { process, networks } = &mut *failures;
        let of_network = networks.entry(network).or_default();
        of_network.renew(now, WINDOW);
        process.renew(now, SHORT_WINDOW);
        of_network.admit(
            now,
            NETWORK_LIMIT,
            "Too many link codes from your network were refused; wait for a moment.",
        )?;
        process.admit(now, PROCESS_LIMIT, "Too many link codes were refused; nobody's are looked at for a moment.")?;
        of_network.failures += 1;
        process.failures += 1;
        Ok(Attempt { counted: self.clone(), network })
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// The exchange did not fail.
    pub fn succeeded(self) {
        let mut failures = self.counted.failures();
        failures.process.forgive();
        if let Some(window) = failures.networks.get_mut(&self.network) {
            window.forgive();
        }
    }
}

impl Window {
    fn is_over(&self, now: Instant) -> bool {
        self.ends.is_none_or(|ends| now >= ends)
    }

    fn renew(&mut self, now: Instant, length: Duration) {
        if self.is_over(now) {
            *self = Self { ends: Some(now + length), failures: 0 };
        }
    }

    fn admit(&self, now: Instant, limit: u32, detail: &'static str) -> Result<(), Problem> {
        if self.failures < limit {
            return Ok(());
        }
        let wait = self.ends.map_or(0, |ends| ends.saturating_duration_since(now).as_secs()) + 1;
        Err(Problem::new(Code::RateLimited, detail).retry_after(wait))
    }

    fn forgive(&mut self) {
        self.failures = self.failures.saturating_sub(1);
    }
}

fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !0xff).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> 48)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_uses_up_its_own_part_and_nobody_elses() {
        let (failed, start) = (FailedExchanges::default(), Instant::now());
        for number in 0..NETWORK_LIMIT {
            assert!(failed.begin_at(Some(address(&format!("192.0.2.{}", number % 9))), start).is_ok());
        }
        let refused = failed.begin_at(Some(address("192.0.2.77")), start + Duration::from_secs(20)).unwrap_err();
        assert_eq!((refused.code(), refused.retry_after_s()), (Code::RateLimited, Some(41)));
        for other in [Some(address("192.0.3.1")), Some(address("2001:db8::1")), None] {
            assert!(failed.clone().begin_at(other, start).is_ok(), "{other:?}");
        }
        assert!(failed.begin_at(Some(address("192.0.2.77")), start + WINDOW).is_ok(), "a new minute");
    }

    #[test]
    fn many_networks_shut_the_process_for_seconds_and_leave_nothing_behind() {
        let (failed, start) = (FailedExchanges::default(), Instant::now());
        for number in 0..PROCESS_LIMIT {
            assert!(failed.begin_at(Some(address(&format!("2001:db8:{number:x}::1"))), start).is_ok());
        }
        let refused = failed.begin_at(Some(address("192.0.2.1")), start).unwrap_err();
        assert_eq!(refused.retry_after_s(), Some(3));
        assert!(failed.begin_at(Some(address("192.0.2.1")), start + SHORT_WINDOW).is_ok());
        assert!(failed.begin_at(Some(address("192.0.2.1")), start + WINDOW * 2).is_ok());
        assert_eq!(failed.failures().networks.len(), 1);
    }

    #[test]
    fn what_succeeds_does_not_count() {
        let (failed, start) = (FailedExchanges::default(), Instant::now());
        for _ in 0..10 * PROCESS_LIMIT {
            failed.begin_at(Some(address("192.0.2.1")), start).unwrap().succeeded();
        }
        assert!((0..NETWORK_LIMIT).all(|_| failed.begin_at(Some(address("192.0.2.1")), start).is_ok()));
        assert!(failed.begin_at(Some(address("192.0.2.1")), start).is_err());
    }
}
