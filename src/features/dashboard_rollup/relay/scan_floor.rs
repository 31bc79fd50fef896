//! From which id the relays of a process scan each lane of a part.
//!
//! Consumed events are deleted but not vacuumed yet, and a scan from the very beginning would read
//! all of them again. So the relay begins at the id that it had reached [`TRAIL`] ago. A
//! transaction that drew a smaller id has had that long to commit. An event of a transaction that
//! took longer is found by the full scan, once a minute.

use chrono::{DateTime, TimeDelta, Utc};

use crate::kernel::usage::outbox::{Event, Lane, PerLane};

/// Longer than a batch of the writer may take (5 s).
const TRAIL: TimeDelta = TimeDelta::seconds(10);
/// How often everything is looked at.
const FULL_SCAN: TimeDelta = TimeDelta::minutes(1);

/// The remembered low ids of one part.
#[derive(Clone, Debug, Default)]
pub(super) struct ScanFloor {
    /// Where scans begin.
    from: PerLane,
    /// The highest ids that were taken when this was noted; scans begin there once that is [`TRAIL`] ago.
    next: PerLane,
    noted_at: Option<DateTime<Utc>>,
    scanned_at: Option<DateTime<Utc>>,
}

impl ScanFloor {
    /// From which ids to scan now. What was reached long enough ago counts.
    pub(super) fn scan_from(&mut self, now: DateTime<Utc>) -> PerLane {
        if self.noted_at.is_some_and(|noted| !within(now, noted, TRAIL)) {
            self.from = self.next;
        }
        if self.scanned_at.is_some_and(|last| within(now, last, FULL_SCAN)) { self.from } else { PerLane::default() }
    }

    /// A scan from there came through.
    pub(super) fn scanned(&mut self, from: &PerLane, now: DateTime<Utc>) {
        if *from == PerLane::default() {
            self.scanned_at = Some(now);
        }
    }

    /// What a round took for good: in each lane everything before the last of these, but for what failed, which is
    /// found by its time.
    pub(super) fn took(&mut self, events: &[Event], now: DateTime<Utc>) {
        if self.noted_at.is_some_and(|noted| within(now, noted, TRAIL)) {
            return;
        }
        self.noted_at = Some(now);
        self.from = self.next;
        for lane in Lane::ALL {
            // An event that is tried again, or was parked, may be far behind or ahead of what was scanned.
            let scanned = events.iter().filter(|event| event.lane == lane && event.attempts == 0);
            let next = self.next.of_mut(lane);
            *next = scanned.map(|event| event.id).max().unwrap_or(*next).max(*next);
        }
    }
}

/// Whether less than `span` went by since `then`; a clock that stepped back counts as long ago.
fn within(now: DateTime<Utc>, then: DateTime<Utc>, span: TimeDelta) -> bool {
    (TimeDelta::zero()..span).contains(&(now - then))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::kernel::usage::outbox::Topic;

    fn event(id: i64, lane: Lane, attempts: i32) -> Event {
        let (user_id, topic, created_at) = (Uuid::nil(), Topic::BucketChanged, at(0));
        Event { user_id, id, topic, created_at, attempts, lane, trace: None }
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    #[test]
    fn a_scan_begins_at_what_was_taken_ten_seconds_ago_in_the_same_lane() {
        let mut scan_floor = ScanFloor::default();
        assert_eq!(scan_floor.scan_from(at(0)), PerLane::default());
        scan_floor.scanned(&PerLane::default(), at(0));
        scan_floor.took(&[event(70, Lane::Live, 0), event(50, Lane::Live, 0), event(7, Lane::Bulk, 0)], at(0));
        assert_eq!(scan_floor.scan_from(at(1)), PerLane::default(), "who drew 69 may not have committed yet");
        scan_floor.took(&[event(90, Lane::Live, 0)], at(9));
        assert_eq!(scan_floor.scan_from(at(9)), PerLane::default());
        scan_floor.took(&[event(95, Lane::Live, 0)], at(10));
        assert_eq!(scan_floor.scan_from(at(10)), PerLane { live: 70, bulk: 7, whole: 0 });
        scan_floor.took(&[], at(20));
        assert_eq!(scan_floor.scan_from(at(20)), PerLane { live: 95, bulk: 7, whole: 0 });
    }

    #[test]
    fn everything_is_scanned_once_a_minute_and_whenever_the_clock_steps_back() {
        let mut scan_floor = ScanFloor::default();
        scan_floor.scanned(&PerLane::default(), at(0));
        scan_floor.took(&[event(70, Lane::Live, 0)], at(0));
        scan_floor.took(&[], at(10));
        assert_eq!(scan_floor.scan_from(at(59)).live, 70);
        assert_eq!(scan_floor.scan_from(at(60)).live, 0);
        assert_eq!(scan_floor.scan_from(at(61)).live, 0, "until one came through");
        scan_floor.scanned(&PerLane::default(), at(61));
        assert_eq!(scan_floor.scan_from(at(61)).live, 70);
        assert_eq!(scan_floor.scan_from(at(30)).live, 0);
    }

    #[test]
    fn a_lane_in_which_nothing_is_taken_any_more_is_scanned_from_where_it_ended() {
        let mut scan_floor = ScanFloor::default();
        scan_floor.scanned(&PerLane::default(), at(0));
        scan_floor.took(&[event(70, Lane::Live, 0)], at(0));
        assert_eq!(scan_floor.scan_from(at(9)).live, 0);
        assert_eq!(scan_floor.scan_from(at(10)).live, 70);
    }

    #[test]
    fn an_event_that_is_tried_again_moves_nothing() {
        let mut scan_floor = ScanFloor::default();
        scan_floor.scanned(&PerLane::default(), at(0));
        scan_floor.took(&[event(700, Lane::Live, 3)], at(0));
        scan_floor.took(&[], at(10));
        assert_eq!(scan_floor.scan_from(at(10)), PerLane::default());
    }
}
