//! What the relays of one process know of each part: from which ids to scan it, which of its lanes rest, whether it is to be
//! folded alone, and until when it is left alone after a failure. One slow user thereby delays one part.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::lane_backoff::LaneBackoff;
use super::scan_floor::ScanFloor;
use crate::kernel::clock::{doubled, jittered};
use crate::kernel::usage::outbox::{Event, Lane, PartLane, PartSet, PerLane, UserPart};

/// Where a round took longer than this, each of its parts is folded alone until it is quicker.
const SLOW_ROUND: Duration = Duration::from_secs(5);
/// The pause of a part after the first round that failed with it alone, and of a relay after the first that failed before it
/// had parts. It doubles up to the longest.
pub(super) const FAILURE_PAUSE: Duration = Duration::from_millis(100);
pub(super) const LONGEST_FAILURE_PAUSE: Duration = Duration::from_secs(30);

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

/// What one look at the offered parts led to.
#[derive(Debug, Default)]
pub(super) struct Taking {
    /// Parts whose locks the round holds, in the order of their turns.
    pub taken: Vec<Offer>,
    /// Parts of this relay in which nothing is due.
    pub quiet: Vec<Offer>,
    /// Whether anything is due, be it in these parts or in others.
    pub is_any_due: bool,
    /// Whether some of these were not tried, because a part stands alone.
    pub some_wait: bool,
}

impl Taking {
    /// `due` are the parts in which events are due, in the order of their turns, each with whether it was taken.
    pub(super) fn of(offers: &[Offer], due: &[(UserPart, bool)]) -> Self {
        let offer_of = |part: UserPart| offers.iter().find(|offer| offer.part == part);
        let taken: Vec<_> =
            due.iter().filter(|(_, is_taken)| *is_taken).filter_map(|(part, _)| offer_of(*part).copied()).collect();
        // Those before the first that was taken were tried, and are folded elsewhere.
        let untried = due.iter().skip_while(|(_, is_taken)| !is_taken).filter(|(_, is_taken)| !is_taken);
        let is_any_alone = taken.iter().any(|offer| offer.is_alone);
        let some_wait = untried.filter_map(|(part, _)| offer_of(*part)).any(|offer| is_any_alone || offer.is_alone);
        let is_quiet = |offer: &&Offer| offer.is_home && due.iter().all(|(part, _)| *part != offer.part);
        let quiet = offers.iter().filter(is_quiet).copied().collect();
        Self { taken, quiet, is_any_due: !due.is_empty(), some_wait }
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

impl PartState {
    fn came_through(&mut self, offer: &Offer, events: &[Event], now: DateTime<Utc>, lasted: Duration) {
        self.scan_floor.took(events, now);
        self.lane_backoff.came_through(offer.at_most);
        self.is_alone = lasted >= SLOW_ROUND || (self.is_alone && !is_awake(offer));
        self.failures = 0;
        self.paused_until = None;
    }
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
    pub(super) fn offers(&self, home: PartSet, at_most: PerLane, now: DateTime<Utc>, keeps_pauses: bool) -> Vec<Offer> {
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

    /// A round came through that found these events in the parts that it took, and nothing in the quiet ones.
    pub(super) fn came_through(&self, parts: &Taking, events: &[Event], now: DateTime<Utc>, lasted: Duration) {
        let mut states = self.states();
        for offer in &parts.quiet {
            let state = &mut states[offer.part.index()];
            state.scan_floor.scanned(&offer.scan_from, now);
            state.came_through(offer, &[], now, Duration::ZERO);
        }
        for offer in &parts.taken {
            let state = &mut states[offer.part.index()];
            let events = of_part(events, offer.part);
            // A part without any was perhaps not looked at, because those before it filled the round.
            if events.iter().any(|event| event.attempts == 0) {
                state.scan_floor.scanned(&offer.scan_from, now);
            }
            state.came_through(offer, &events, now, lasted);
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
        let offers = states.offers(PartSet::share(0, 2), AT_MOST, now, keeps_pauses);
        offers.into_iter().filter(|offer| parts.contains(&offer.part.index())).collect()
    }

    fn taken(offers: &[Offer]) -> Taking {
        Taking { taken: offers.to_vec(), ..Taking::default() }
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
        states.came_through(&taken(&alone), &[], at(0), Duration::ZERO);
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
            states.came_through(&taken(&offers(&states, &[3, 4], true, at(0))), &[event(3, Lane::Live)], at(0), lasted);
            offers(&states, &[3, 4], true, at(0)).iter().any(|offer| offer.is_alone)
        };
        let seconds = [4, 5, 9, 4].map(|second| is_alone(Duration::from_secs(second)));
        assert_eq!(seconds, [false, true, true, false]);
    }

    #[test]
    fn a_part_waits_for_others_only_where_it_was_not_tried() {
        let states = PartStates::default();
        let by_number = |parts: &[usize]| offers(&states, parts, true, at(0));
        states.failed(&by_number(&[4]), &[], false, at(0));
        let offers = offers(&states, &[2, 3, 4, 5], false, at(0));
        let part = |number: u8| event(number, Lane::Live).user_id;
        let taking = |due: &[(u8, bool)]| {
            let due: Vec<_> = due.iter().map(|(number, is_taken)| (UserPart::of(part(*number)), *is_taken)).collect();
            let Taking { taken, quiet, is_any_due, some_wait } = Taking::of(&offers, &due);
            let numbers = |offers: &[Offer]| offers.iter().map(|offer| offer.part.number()).collect::<Vec<_>>();
            (numbers(&taken), numbers(&quiet), is_any_due, some_wait)
        };
        assert_eq!(taking(&[]), (vec![], vec![2, 4], false, false), "only its own parts are quiet");
        assert_eq!(taking(&[(5, true), (3, true), (2, false)]), (vec![5, 3], vec![4], true, false));
        assert_eq!(taking(&[(5, true), (4, false)]), (vec![5], vec![2], true, true), "it stands alone");
        assert_eq!(taking(&[(4, false), (5, true)]), (vec![5], vec![2], true, false), "and is folded elsewhere");
        assert_eq!(taking(&[(2, false), (4, true), (5, false)]), (vec![4], vec![], true, true));
        assert_eq!(taking(&[(4, false), (5, false)]), (vec![], vec![2], true, false));
    }

    #[test]
    fn a_part_that_found_no_room_in_a_round_is_scanned_from_the_beginning_again() {
        let states = PartStates::default();
        let from = |second: i64| {
            offers(&states, &[3, 4], true, at(second)).iter().map(|offer| offer.scan_from.live).collect::<Vec<_>>()
        };
        let both = || taken(&offers(&states, &[3, 4], true, at(0)));
        let events = |parts: &[u8]| parts.iter().map(|part| event(*part, Lane::Live)).collect::<Vec<_>>();
        states.came_through(&both(), &events(&[3, 4]), at(0), Duration::ZERO);
        assert_eq!(from(10), [1, 1]);
        assert_eq!(from(61), [0, 0]);
        let looked_at = taken(&offers(&states, &[3, 4], true, at(61)));
        states.came_through(&looked_at, &events(&[3]), at(61), Duration::ZERO);
        assert_eq!(from(62), [1, 0]);
    }
}
