//! The machine's own clocks.

use chrono::{DateTime, Utc};
use rustix::time::{ClockId, clock_gettime};

/// Which clock never jumps. Linux has one that goes on while the machine is suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
const STEADY: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const STEADY: ClockId = ClockId::Monotonic;

/// One look at them, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The steady clock: it only ever goes on, and nobody sets it. Its zero means nothing.
    pub steady_us: i64,
    /// The same without the time in which the machine was suspended, where the system tells the two apart.
    pub running_us: i64,
    /// The clock that people set, since 1970.
    pub wall_us: i64,
}

impl Reading {
    /// Now.
    pub fn now() -> Self {
        Self { steady_us: steady_us(), running_us: micros(ClockId::Monotonic), wall_us: wall().timestamp_micros() }
    }

    /// The clock that people set minus the steady one.
    pub(super) const fn wall_offset_us(self) -> i64 {
        self.wall_us.saturating_sub(self.steady_us)
    }

    /// For how long the machine was suspended since it started.
    pub(super) const fn suspended_us(self) -> i64 {
        self.steady_us.saturating_sub(self.running_us)
    }
}

/// The steady clock, in microseconds.
pub(super) fn steady_us() -> i64 {
    micros(STEADY)
}

fn micros(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
}

/// The clock that people set.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
pub(super) fn wall() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_clock_goes_on_as_the_wall_clock_does() {
        let before = Reading::now();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let after = Reading::now();
        assert!(after.steady_us - before.steady_us >= 20_000, "{before:?} {after:?}");
        assert!(before.steady_us >= 0 && before.wall_us > 1_600_000_000_000_000, "{before:?}");
    }
}
