//! What is known of the database's clock, and what to believe when clocks disagree.
//!
//! Three clocks are compared: the machine's steady one, the one that people set, and the database's. Nothing here reads a
//! clock: measurements are passed in. Offsets are in microseconds, of the database's clock to the steady one.

use super::reading::Reading;

/// A clock that is found further away than this from where it was expected has jumped.
pub(super) const JUMP_US: i64 = 250_000;
/// For so long a database's clock that jumped ahead alone is not believed, and the time from before a jump is still
/// accepted.
pub(super) const GRACE_US: i64 = 600_000_000;
/// A database's clock that comes so near to this machine's was corrected.
const NEAR_US: i64 = 1_000_000;
/// Two clocks that are both slewed go apart by no more than a thousandth of the time.
const DRIFT: i64 = 1_000;

/// The database's clock, read between two looks at the machine's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Before the database was asked.
    pub before: Reading,
    /// What it answered, in microseconds since 1970.
    pub database_us: i64,
    /// After the answer.
    pub after: Reading,
}

/// Which clock jumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JumpedClock {
    /// The one of this machine that people set. Nothing here goes by it.
    Machine,
    /// The database's.
    Database,
    /// None: the machine was suspended, and its processes missed so much. The steady clock went on.
    Suspended,
}

impl JumpedClock {
    /// As logs and metrics say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Database => "database",
            Self::Suspended => "suspended",
        }
    }
}

/// A jump that was noticed. Each is reported once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// Whose.
    pub clock: JumpedClock,
    /// How far ahead, in microseconds; negative for back.
    pub by_us: i64,
}

/// Between which offsets the true one lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    low: i64,
    high: i64,
}

impl Bounds {
    const fn of(measurement: &Measurement) -> Self {
        let Measurement { before, database_us, after } = measurement;
        Self { low: database_us.saturating_sub(after.steady_us), high: database_us.saturating_sub(before.steady_us) }
    }

    /// What they have become after so long without a measurement.
    const fn after(self, elapsed_us: i64) -> Self {
        let drift = elapsed_us.saturating_abs() / DRIFT + 1;
        Self { low: self.low.saturating_sub(drift), high: self.high.saturating_add(drift) }
    }

    fn meet(self, other: Self) -> Option<Self> {
        let met = Self { low: self.low.max(other.low), high: self.high.min(other.high) };
        (met.low <= met.high).then_some(met)
    }

    /// How far `other` lies ahead (positive) or back; 0 where they meet.
    fn distance_to(self, other: Self) -> i64 {
        if other.low > self.high {
            other.low.saturating_sub(self.high)
        } else {
            other.high.saturating_sub(self.low).min(0)
        }
    }

    const fn middle(self) -> i64 {
        i64::midpoint(self.low, self.high)
    }
}

/// Another idea of the time than the one that is gone by.
#[derive(Clone, Copy, Debug)]
struct Aside {
    bounds: Bounds,
    since_us: i64,
    /// It is the database's own, which is not believed yet. Otherwise it is from before a jump.
    held: bool,
}

/// What is known after the first measurement.
#[derive(Clone, Copy, Debug)]
struct Known {
    bounds: Bounds,
    /// By how much their middle may be wrong, by the last measurement alone.
    error_us: i64,
    /// By the steady clock.
    measured_at_us: i64,
    /// The machine's clock minus the steady one, when it last agreed with the database's.
    wall_offset_us: i64,
}

/// Follows the database's clock.
#[derive(Debug)]
pub(super) struct Follower {
    known: Option<Known>,
    aside: Option<Aside>,
    /// At the last look.
    last: Reading,
}

impl Follower {
    /// Knows nothing yet but the machine's clocks.
    pub fn new(reading: Reading) -> Self {
        Self { known: None, aside: None, last: reading }
    }

    /// The offset to go by: the machine's own clock until the database's was measured.
    pub fn offset_us(&self) -> i64 {
        self.known.map_or_else(|| self.last.wall_offset_us(), |known| known.bounds.middle())
    }

    /// By how much the offset may be wrong, by the last measurement that it goes by.
    pub fn error_us(&self) -> i64 {
        self.known.map_or(0, |known| known.error_us)
    }

    /// Another offset that some may rightly go by: that from before a jump, or that after one which is not believed yet.
    pub fn other_offset_us(&self) -> i64 {
        self.aside.map_or_else(|| self.offset_us(), |aside| aside.bounds.middle())
    }

    /// Looks whether somebody set the machine's clock, and whether the machine was suspended. Nothing goes by either, so
    /// that nothing changes.
    pub fn look(&mut self, reading: Reading) -> [Option<Jump>; 2] {
        let last = std::mem::replace(&mut self.last, reading);
        let set_by = reading.wall_offset_us().saturating_sub(last.wall_offset_us());
        let missed = reading.suspended_us().saturating_sub(last.suspended_us());
        // Until the database was measured there is no better clock.
        let jump = |clock, by_us: i64| {
            (by_us.saturating_abs() > JUMP_US && self.known.is_some()).then_some(Jump { clock, by_us })
        };
        [jump(JumpedClock::Machine, set_by), jump(JumpedClock::Suspended, missed)]
    }

    /// Takes a measurement in.
    ///
    /// A clock of the database that is back is believed at once, because no stamp may be ahead of it. One that is ahead is
    /// believed at once where it has come to this machine's clock. Otherwise it is believed when it has stood for
    /// [`GRACE_US`]: a stamp that is early loses at worst to a truth that is newer than it, but one that is late hides
    /// every truth until then.
    pub fn measure(&mut self, measurement: &Measurement) -> Option<Jump> {
        let (measured, reading) = (Bounds::of(measurement), measurement.after);
        let now = reading.steady_us;
        let Some(known) = self.known else {
            self.adopt(measured, measured, reading);
            return None;
        };
        self.aside = self.aside.filter(|aside| aside.held || now.saturating_sub(aside.since_us) < GRACE_US);
        let expected = known.bounds.after(now.saturating_sub(known.measured_at_us));
        if let Some(met) = expected.meet(measured) {
            self.adopt(met, measured, reading);
            if let Some(aside) = self.aside.as_mut().filter(|aside| aside.held) {
                // The database's clock is where it was before it jumped.
                *aside = Aside { held: false, since_us: now, ..*aside };
            }
            return None;
        }
        let by_us = expected.distance_to(measured);
        if by_us.saturating_abs() <= JUMP_US {
            self.adopt(measured, measured, reading);
            return None;
        }
        let held_since = self.held_since(measured, now);
        let stood = held_since.is_some_and(|since_us| now.saturating_sub(since_us) >= GRACE_US);
        if by_us < 0 || stood || known.is_corrected_by(measured, reading) {
            self.aside = Some(Aside { bounds: known.bounds, since_us: now, held: false });
            self.adopt(measured, measured, reading);
        } else if held_since.is_none() {
            self.aside = Some(Aside { bounds: measured, since_us: now, held: true });
        }
        held_since.is_none().then_some(Jump { clock: JumpedClock::Database, by_us })
    }

    /// Since when the database's clock has been held to be wrong, where it is what it was then.
    fn held_since(&self, measured: Bounds, now: i64) -> Option<i64> {
        let Aside { bounds, since_us, held } = self.aside?;
        let same = bounds.after(now.saturating_sub(since_us)).distance_to(measured).saturating_abs() <= JUMP_US;
        (held && same).then_some(since_us)
    }

    /// Goes by `bounds`, which lie in what was measured.
    fn adopt(&mut self, bounds: Bounds, measured: Bounds, reading: Reading) {
        let middle = bounds.middle();
        let error_us = middle.saturating_sub(measured.low).max(measured.high.saturating_sub(middle));
        let (measured_at_us, wall_offset_us) = (reading.steady_us, reading.wall_offset_us());
        self.known = Some(Known { bounds, error_us, measured_at_us, wall_offset_us });
    }
}

impl Known {
    /// Whether the database's clock was away from the machine's and has come to it.
    const fn is_corrected_by(&self, measured: Bounds, reading: Reading) -> bool {
        let apart_before = self.bounds.middle().saturating_sub(self.wall_offset_us).saturating_abs();
        let apart = measured.middle().saturating_sub(reading.wall_offset_us()).saturating_abs();
        apart <= NEAR_US && apart_before > apart.saturating_add(NEAR_US)
    }
}
