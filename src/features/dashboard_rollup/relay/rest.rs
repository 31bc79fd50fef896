//! When the lanes of large events rest. A round that takes too long is nobody's fault by its data, so it parks nothing;
//! but what made it so long must not end every round. After one with events of backfills or whole users in it only
//! trackers' posts are folded for a while, each time longer.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::doubled;
use crate::kernel::outbox::PerLane;

/// The first rest; it doubles up to the longest. A round that is cut off holds the fold lock for half a minute.
const FIRST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_mins(16);

/// Whether the large lanes rest.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest {
    until: Option<DateTime<Utc>>,
    times: u32,
}

impl Rest {
    /// How many events of each lane may be taken now.
    pub(super) fn allows(&self, at_most: PerLane, now: DateTime<Utc>) -> PerLane {
        // A rest is never longer than the longest: a clock that stepped back ends it.
        let rests = self.until.is_some_and(|until| now < until && until - now <= whole(LONGEST));
        if rests { PerLane { bulk: 0, whole: 0, ..at_most } } else { at_most }
    }

    /// A round with large events took too long.
    pub(super) fn took_too_long(&mut self, now: DateTime<Utc>) {
        self.until = Some(now + whole(doubled(FIRST, self.times, LONGEST)));
        self.times = self.times.saturating_add(1);
    }

    /// A round with large events came through.
    pub(super) fn came_through(&mut self) {
        *self = Self::default();
    }
}

fn whole(pause: Duration) -> TimeDelta {
    TimeDelta::from_std(pause).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_MOST: PerLane = PerLane { live: 3, bulk: 2, whole: 1 };
    const LIVE_ONLY: PerLane = PerLane { live: 3, bulk: 0, whole: 0 };

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + 60 * minute, 0).unwrap()
    }

    #[test]
    fn large_lanes_rest_longer_each_time_until_one_comes_through() {
        let mut rest = Rest::default();
        assert_eq!(rest.allows(AT_MOST, at(0)), AT_MOST);
        let mut now = 0;
        for minutes in [1, 2, 4, 8, 16, 16] {
            rest.took_too_long(at(now));
            assert_eq!(rest.allows(AT_MOST, at(now + minutes - 1)), LIVE_ONLY);
            assert_eq!(rest.allows(AT_MOST, at(now + minutes)), AT_MOST);
            now += minutes;
        }
        rest.came_through();
        rest.took_too_long(at(now));
        assert_eq!(rest.allows(AT_MOST, at(now + 1)), AT_MOST);
    }

    #[test]
    fn a_clock_that_stepped_back_does_not_prolong_a_rest() {
        let mut rest = Rest::default();
        rest.took_too_long(at(600));
        assert_eq!(rest.allows(AT_MOST, at(0)), AT_MOST);
    }
}
