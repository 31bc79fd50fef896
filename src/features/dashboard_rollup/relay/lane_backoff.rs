//! Which lanes of large events are left out of the next rounds, after a round took too long.
//!
//! The length of a round is not the fault of any event's data, so such a round parks nothing. Yet
//! its events must not make every later round fail too. A large lane that was in the round is left
//! out for a while, longer each time. It comes back with half as many events, fewer each time,
//! until a round with it succeeds. Events that take too long together may be quick one by one.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::kernel::clock::doubled;
use crate::kernel::usage::outbox::{Event, Lane, PerLane};

/// How long a lane is left out the first time. The pause doubles each time, up to the longest. The two begin differently
/// so that the lanes come back in different rounds: one that is too long even alone does not hold up the other. A round
/// that is cut off has held the fold lock for half a minute.
const FIRST_OF_BULK: Duration = Duration::from_secs(30);
const FIRST_OF_WHOLE: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_mins(16);

/// Whether the large lanes rest, each for itself.
#[derive(Clone, Debug, Default)]
pub(super) struct LaneBackoff {
    bulk: LaneRest,
    whole: LaneRest,
}

impl LaneBackoff {
    /// How many events of each lane may be taken now. A lane that rests gives none. The others share the smallest number:
    /// that of the lane which was too long most often.
    pub(super) fn allows(&self, at_most: PerLane, now: DateTime<Utc>) -> PerLane {
        let awake = [&self.bulk, &self.whole].into_iter().filter(|lane| !lane.rests(now));
        let times = awake.map(|lane| lane.times).max().unwrap_or(0);
        let allowed = |lane: &LaneRest, at_most: i64| {
            if lane.rests(now) { 0 } else { at_most.checked_shr(times).unwrap_or(0).max(1) }
        };
        PerLane { bulk: allowed(&self.bulk, at_most.bulk), whole: allowed(&self.whole, at_most.whole), ..at_most }
    }

    /// A round with these events took too long.
    pub(super) fn took_too_long(&mut self, events: &[Event], now: DateTime<Utc>) {
        if has(events, Lane::Bulk) {
            self.bulk.took_too_long(FIRST_OF_BULK, now);
        }
        if has(events, Lane::Whole) {
            self.whole.took_too_long(FIRST_OF_WHOLE, now);
        }
    }

    /// A round that was allowed so many came through, with events of those lanes or because none waits there.
    pub(super) fn came_through(&mut self, allowed: PerLane) {
        if allowed.bulk > 0 {
            self.bulk = LaneRest::default();
        }
        if allowed.whole > 0 {
            self.whole = LaneRest::default();
        }
    }
}

fn has(events: &[Event], lane: Lane) -> bool {
    events.iter().any(|event| event.lane == lane)
}

/// Whether one lane rests.
#[derive(Clone, Debug, Default)]
struct LaneRest {
    until: Option<DateTime<Utc>>,
    /// Rounds in a row that took too long.
    times: u32,
}

impl LaneRest {
    fn rests(&self, now: DateTime<Utc>) -> bool {
        // A rest is never longer than the longest: a clock that stepped back ends it.
        self.until.is_some_and(|until| now < until && until - now <= span(LONGEST))
    }

    fn took_too_long(&mut self, first: Duration, now: DateTime<Utc>) {
        self.until = Some(now + span(doubled(first, self.times, LONGEST)));
        self.times = self.times.saturating_add(1);
    }
}

fn span(pause: Duration) -> TimeDelta {
    TimeDelta::from_std(pause).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::kernel::usage::outbox::Topic;

    const AT_MOST: PerLane = PerLane { live: 3, bulk: 9, whole: 4 };

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn events(lanes: &[Lane]) -> Vec<Event> {
        let (user_id, topic, created_at) = (Uuid::nil(), Topic::Replay, at(0));
        let event = |lane: &Lane| Event { user_id, id: 1, topic, created_at, attempts: 0, lane: *lane, trace: None };
        lanes.iter().map(event).collect()
    }

    #[test]
    fn a_lane_rests_longer_each_time_and_comes_back_with_half_as_many_until_it_comes_through() {
        let (mut lane_backoff, round) = (LaneBackoff::default(), events(&[Lane::Live, Lane::Whole]));
        assert_eq!(lane_backoff.allows(AT_MOST, at(0)), AT_MOST);
        let mut now = 0;
        for (minutes, bulk, whole) in [(1, 4, 2), (2, 2, 1), (4, 1, 1), (8, 1, 1), (16, 1, 1), (16, 1, 1)] {
            lane_backoff.took_too_long(&round, at(now));
            let resting = lane_backoff.allows(AT_MOST, at(now + 60 * minutes - 1));
            assert_eq!(resting, PerLane { whole: 0, ..AT_MOST });
            lane_backoff.came_through(resting);
            now += 60 * minutes;
            assert_eq!(
                lane_backoff.allows(AT_MOST, at(now)),
                PerLane { bulk, whole, ..AT_MOST },
                "what comes with it counts too"
            );
        }
        lane_backoff.came_through(lane_backoff.allows(AT_MOST, at(now)));
        assert_eq!(lane_backoff.allows(AT_MOST, at(now)), AT_MOST);
        lane_backoff.took_too_long(&round, at(now));
        assert_eq!(lane_backoff.allows(AT_MOST, at(now + 60)).whole, 2);
    }

    #[test]
    fn lanes_that_took_too_long_together_come_back_apart() {
        let mut lane_backoff = LaneBackoff::default();
        lane_backoff.took_too_long(&events(&[Lane::Bulk, Lane::Whole]), at(0));
        let allowed = [29, 30, 59, 60].map(|second| lane_backoff.allows(AT_MOST, at(second)));
        assert_eq!(allowed.map(|allowed| (allowed.bulk, allowed.whole)), [(0, 0), (4, 0), (4, 0), (4, 2)]);
        lane_backoff.came_through(allowed[1]);
        assert_eq!(
            lane_backoff.allows(AT_MOST, at(30)),
            PerLane { whole: 0, ..AT_MOST },
            "what came through is free again"
        );
    }

    #[test]
    fn a_clock_that_stepped_back_does_not_prolong_a_rest() {
        let mut lane_backoff = LaneBackoff::default();
        lane_backoff.took_too_long(&events(&[Lane::Whole]), at(36_000));
        assert_eq!(lane_backoff.allows(AT_MOST, at(0)).whole, 2);
    }
}
