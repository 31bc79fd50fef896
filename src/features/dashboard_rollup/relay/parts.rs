//! What the relays of one process know of each part: from which ids to scan it, which of its lanes rest, whether it is to be
//! folded alone, and until when it is left alone after a failure. One slow user thereby delays one part.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::lane_backoff::LaneBackoff;
use super::scan_floor::ScanFloor;
use crate::kernel::clock::{doubled, jittered};
use crate::kernel::usage::outbox::{Event, Lane, PartLane, PerLane, UserPart};

/// Where a round took longer than this, each of its parts is folded alone until it is quicker.
const SLOW_ROUND: Duration = Duration::from_secs(5);
/// The pause of a part after the first round that failed with it alone; it doubles up to the longest.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_FAILURE_PAUSE: Duration = Duration::from_secs(30);

/// Which parts a relay looks after first: every so manieth one.
#[derive(Clone, Copy, Debug)]
pub(super) struct HomeParts {
    number: usize,
    relays: usize,
}

impl HomeParts {
    /// That of one relay of several; both above 0 or, for the number, from 0 on.
    pub(super) const fn of(number: usize, relays: usize) -> Self {
        Self { number, relays }
    }

    /// The relay's number in its process, from 0 on.
    pub(super) const fn number(self) -> usize {
        self.number
    }

    fn has(self, part: UserPart) -> bool {
        part.index() % self.relays.max(1) == self.number
    }
}

/// What a relay may take of one part now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub part: UserPart,
    /// Whether the relay looks after it first.
    pub is_home: bool,
    /// Whether no other part may be folded with it.
    pub is_alone: bool,
    /// From which ids to scan.
    pub scan_from: PerLane,
    /// How many events of each lane; none of a lane that rests.
    pub at_most: PerLane,
}

impl Offer {
    /// Where to look: the lanes that do not rest.
    pub(super) fn places(&self) -> impl Iterator<Item = PartLane> + '_ {
        let place = |lane| PartLane {
            part: self.part,
            lane,
            scan_from: self.scan_from.of(lane),
            at_most: self.at_most.of(lane),
        };
        Lane::ALL.into_iter().map(place).filter(|place| place.at_most > 0)
    }

    /// Whether a lane of the part rests.
    pub(super) const fn rests(&self, lane: Lane) -> bool {
        self.at_most.of(lane) == 0
    }
}

/// All parts, shared by the relays of a process.
#[derive(Debug)]
pub(super) struct PartStates(Mutex<Vec<PartState>>);

/// One part.
#[derive(Clone, Debug, Default)]
struct PartState {
    scan_floor: ScanFloor,
    lane_backoff: LaneBackoff,
    /// A round with it failed or was slow, and none with it alone has been quick since.
    is_alone: bool,
    /// Rounds in a row that failed with it alone.
    failures: u32,
    paused_until: Option<Instant>,
}

impl Default for PartStates {
    fn default() -> Self {
        Self(Mutex::new(vec![PartState::default(); UserPart::all().count()]))
    }
}

impl PartStates {
    fn states(&self) -> MutexGuard<'_, Vec<PartState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may be taken of each part, of those that have no pause where the caller keeps pauses.
    pub(super) fn offers(
        &self,
        home: HomeParts,
        at_most: PerLane,
        now: DateTime<Utc>,
        keeps_pauses: bool,
    ) -> Vec<Offer> {
        let mut states = self.states();
        let paused = |state: &PartState| keeps_pauses && state.paused_until.is_some_and(|until| Instant::now() < until);
        let awake = UserPart::all().zip(states.iter_mut()).filter(|(_, state)| !paused(state));
        let offer = |(part, state): (UserPart, &mut PartState)| Offer {
            part,
            is_home: home.has(part),
            is_alone: state.is_alone,
            scan_from: state.scan_floor.scan_from(now),
            at_most: state.lane_backoff.allows(at_most, now),
        };
        awake.map(offer).collect()
    }

    /// A round came through that looked at these parts, and found the events there.
    pub(super) fn came_through(&self, looked_at: &[Offer], events: &[Event], now: DateTime<Utc>, lasted: Duration) {
        let mut states = self.states();
        for offer in looked_at {
            let state = &mut states[offer.part.index()];
            state.scan_floor.scanned(&offer.scan_from, now);
            state.scan_floor.took(&of_part(events, offer.part), now);
            state.lane_backoff.came_through(offer.at_most);
            state.is_alone = lasted >= SLOW_ROUND || (state.is_alone && !is_awake(offer));
            state.failures = 0;
            state.paused_until = None;
        }
    }

    /// A round with these parts and events failed, and not through the data of an event. The parts are tried alone then. A
    /// part that was alone already waits, longer each time. Where the round took too long, the large lanes of the part to
    /// blame rest. That is nobody's where several parts had large events, until each was tried alone.
    pub(super) fn failed(&self, taken: &[Offer], events: &[Event], took_too_long: bool, now: DateTime<Utc>) {
        let mut states = self.states();
        let is_large = |part| of_part(events, part).iter().any(|event| event.lane != Lane::Live);
        let large = taken.iter().filter(|offer| is_large(offer.part)).count();
        for offer in taken {
            let state = &mut states[offer.part.index()];
            state.is_alone = true;
            if took_too_long && (large == 1 || taken.len() == 1) {
                state.lane_backoff.took_too_long(&of_part(events, offer.part), now);
            }
            if taken.len() == 1 {
                let pause = jittered(doubled(FAILURE_PAUSE, state.failures, LONGEST_FAILURE_PAUSE));
                state.paused_until = Some(Instant::now() + pause);
                state.failures = state.failures.saturating_add(1);
            }
        }
    }
}

fn is_awake(offer: &Offer) -> bool {
    !Lane::ALL.into_iter().any(|lane| offer.rests(lane))
}

fn of_part(events: &[Event], part: UserPart) -> Vec<Event> {
    events.iter().filter(|event| UserPart::of(event.user_id) == part).cloned().collect()
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

    /// An event of a user in the part with that number.
    fn event(part: u8, lane: Lane) -> Event {
        let user_id = Uuid::from_u128(part.into());
        Event { user_id, id: 1, topic: Topic::Replay, created_at: at(0), attempts: 0, lane, trace: None }
    }

    fn offers(states: &PartStates, parts: &[usize], keeps_pauses: bool, now: DateTime<Utc>) -> Vec<Offer> {
        let offers = states.offers(HomeParts::of(0, 2), AT_MOST, now, keeps_pauses);
        offers.into_iter().filter(|offer| parts.contains(&offer.part.index())).collect()
    }

    #[test]
    fn relays_of_a_process_share_all_parts_out_and_none_is_looked_after_twice() {
        for relays in 1..=32 {
            let looks_after = |part| (0..relays).filter(|number| HomeParts::of(*number, relays).has(part)).count();
            assert!(UserPart::all().all(|part| looks_after(part) == 1), "{relays} relays");
        }
    }

    #[test]
    fn parts_that_failed_together_are_tried_alone_and_only_one_that_fails_alone_has_a_pause() {
        let states = PartStates::default();
        let together = offers(&states, &[3, 4], true, at(0));
        states.failed(&together, &[event(3, Lane::Live), event(4, Lane::Live)], false, at(0));
        let (alone, others) = (offers(&states, &[3, 4], true, at(0)), offers(&states, &[5], true, at(0)));
        assert!(alone.len() == 2 && alone.iter().all(|offer| offer.is_alone) && !others[0].is_alone);
        states.failed(&alone[..1], &[event(3, Lane::Live)], false, at(0));
        assert_eq!(offers(&states, &[3, 4], true, at(0)).len(), 1, "the other has none");
        assert_eq!(offers(&states, &[3, 4], false, at(0)).len(), 2, "whoever keeps no pauses goes on");
        states.came_through(&alone, &[], at(0), Duration::ZERO);
        assert!(offers(&states, &[3, 4], true, at(0)).iter().all(|offer| !offer.is_alone));
    }

    #[test]
    fn large_lanes_rest_where_one_part_is_to_blame_and_not_where_several_may_be() {
        let states = PartStates::default();
        let together = offers(&states, &[3, 4], true, at(0));
        states.failed(&together, &[event(3, Lane::Whole), event(4, Lane::Bulk)], true, at(0));
        assert!(offers(&states, &[3, 4], false, at(0)).iter().all(|offer| offer.at_most == AT_MOST));
        states.failed(&together, &[event(3, Lane::Whole), event(4, Lane::Live)], true, at(0));
        let [first, second] = &offers(&states, &[3, 4], false, at(0))[..] else { panic!("two parts") };
        assert!(
            first.rests(Lane::Whole) && !first.rests(Lane::Bulk) && second.at_most == AT_MOST,
            "{first:?} {second:?}"
        );
        assert!(first.places().all(|place| place.lane != Lane::Whole) && first.places().count() == 2);
    }

    #[test]
    fn parts_of_a_slow_round_are_folded_alone_until_one_is_quick() {
        let states = PartStates::default();
        let is_alone = |lasted| {
            states.came_through(&offers(&states, &[3, 4], true, at(0)), &[event(3, Lane::Live)], at(0), lasted);
            offers(&states, &[3, 4], true, at(0)).iter().any(|offer| offer.is_alone)
        };
        let seconds = [4, 5, 9, 4].map(|second| is_alone(Duration::from_secs(second)));
        assert_eq!(seconds, [false, true, true, false]);
    }
}
