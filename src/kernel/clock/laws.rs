//! Laws of the clock, over jumps of everybody's clock. The clocks are passed in.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::follower::{GRACE_US, JUMP_US};
use super::{Clock, Jump, JumpedClock, Measurement, Reading};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
/// 2026-11-20T12:00:00Z.
const NOON: i64 = 1_795_176_000 * SECOND;
/// What a stamp of a burst may be ahead, and two readings of an idle clock may differ by.
const SLACK: i64 = 60_000;

/// A machine and a database, whose clocks are what the test says.
#[derive(Clone, Debug)]
struct World(Arc<Mutex<Clocks>>);

#[derive(Clone, Copy, Debug)]
struct Clocks {
    machine: Reading,
    database_us: i64,
}

impl World {
    /// The machine's clock is so far ahead of the database's.
    fn new(ahead: i64) -> Self {
        let machine = Reading { steady_us: 77 * SECOND, running_us: 77 * SECOND, wall_us: NOON + ahead };
        Self(Arc::new(Mutex::new(Clocks { machine, database_us: NOON })))
    }

    fn clock(&self) -> Clock {
        let world = self.clone();
        Clock::of_machine(move || world.read().machine)
    }

    fn read(&self) -> Clocks {
        *self.0.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Clocks)) {
        change(&mut self.0.lock().unwrap());
    }

    fn pass(&self, us: i64) {
        self.change(|clocks| {
            clocks.machine.steady_us += us;
            clocks.machine.running_us += us;
            clocks.machine.wall_us += us;
            clocks.database_us += us;
        });
    }

    fn set_machine(&self, by: i64) {
        self.change(|clocks| clocks.machine.wall_us += by);
    }

    fn set_database(&self, by: i64) {
        self.change(|clocks| clocks.database_us += by);
    }

    /// All machines sleep but the database's.
    fn suspend(&self, us: i64) {
        self.pass(us);
        self.change(|clocks| clocks.machine.running_us -= us);
    }

    /// The database answers after so long, and its answer takes so long.
    fn measure(&self, clock: &Clock, there: i64, back: i64) -> Option<Jump> {
        let before = clock.read_machine();
        self.pass(there);
        let database_us = self.read().database_us;
        self.pass(back);
        clock.follow_database(&Measurement { before, database_us, after: clock.read_machine() })
    }

    /// How far a stamp is ahead of the database's clock.
    fn ahead(&self, clock: &Clock) -> i64 {
        clock.stamp().timestamp_micros() - self.read().database_us
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Pass(i64),
    SetMachine(i64),
    SetDatabase(i64),
    Suspend(i64),
    Stamps(usize),
    Measure(i64, i64),
}

fn any_event() -> impl Strategy<Value = Event> {
    let jump = prop_oneof![-26 * HOUR..26 * HOUR, -2 * SECOND..2 * SECOND];
    prop_oneof![
        (1..2 * GRACE_US).prop_map(Event::Pass),
        jump.clone().prop_map(Event::SetMachine),
        jump.prop_map(Event::SetDatabase),
        (1..HOUR).prop_map(Event::Suspend),
        (1..40_usize).prop_map(Event::Stamps),
        (0..300_000_i64, 0..300_000_i64).prop_map(|(there, back)| Event::Measure(there, back)),
    ]
}

/// The database's clock goes back twice, each time by too little for a jump.
#[test]
fn stamps_go_back_with_a_clock_that_goes_back_by_less_than_a_jump() {
    let world = World::new(0);
    let clock = world.clock();
    world.measure(&clock, 1_000, 1_000);
    for (by, there, back) in [(-75_275, 61_083, 125_694), (-556_784, 190_858, 92_763)] {
        world.set_database(by);
        world.measure(&clock, there, back);
        let (ahead, error) = (world.ahead(&clock), clock.error_us());
        assert!(ahead <= error + SLACK, "{ahead} µs ahead, and the error is {error} µs");
    }
}

proptest! {
    #[test]
    fn whatever_clocks_do_no_stamp_is_ahead_of_a_measured_database_by_more_than_the_error(
        ahead in -26 * HOUR..26 * HOUR,
        events in prop::collection::vec(any_event(), 1..40),
    ) {
        let world = World::new(ahead);
        let clock = world.clock();
        world.measure(&clock, 1_000, 1_000);
        let mut last_change = None;
        for event in events {
            match event {
                Event::Pass(us) => world.pass(us),
                Event::SetMachine(by) => world.set_machine(by),
                Event::SetDatabase(by) => world.set_database(by),
                Event::Suspend(us) => world.suspend(us),
                Event::Stamps(count) => (0..count).for_each(|_| _ = clock.stamp()),
                Event::Measure(there, back) => {
                    world.measure(&clock, there, back);
                    prop_assert!(world.ahead(&clock) <= clock.error_us() + SLACK);
                    prop_assert!(clock.earliest() <= clock.now() && clock.now() <= clock.latest());
                }
            }
            let change = clock.change_time();
            prop_assert!(last_change.is_none_or(|last| last < change), "{last_change:?} {change}");
            last_change = Some(change);
        }
    }

    #[test]
    fn the_machines_clock_and_its_sleep_move_nothing_and_are_noticed_once(
        ahead in -26 * HOUR..26 * HOUR,
        by in prop_oneof![JUMP_US + 1..26 * HOUR, -26 * HOUR..-JUMP_US],
        asleep in JUMP_US + 1..HOUR,
    ) {
        let world = World::new(ahead);
        let clock = world.clock();
        prop_assert_eq!(clock.watch_machine().count(), 0);
        world.measure(&clock, 1_000, 1_000);
        world.set_machine(by);
        world.suspend(asleep);
        prop_assert!(world.ahead(&clock).abs() <= clock.error_us() + SLACK);
        let jumps: Vec<_> = clock.watch_machine().collect();
        let (machine, suspended) = (JumpedClock::Machine, JumpedClock::Suspended);
        prop_assert_eq!(jumps, vec![Jump { clock: machine, by_us: by }, Jump { clock: suspended, by_us: asleep }]);
        prop_assert_eq!(clock.watch_machine().count(), 0);
        prop_assert_eq!(world.measure(&clock, 1_000, 1_000), None);
    }

    #[test]
    fn a_databases_clock_that_is_ahead_for_a_while_poisons_no_stamp_and_refuses_nobody(
        // Away from the machine's clock, or with it: both may be of one machine.
        with_the_machine in any::<bool>(),
        by in 2 * SECOND + JUMP_US..26 * HOUR,
        ahead in -SECOND..SECOND,
        pauses in prop::collection::vec(1_000..SECOND, 1..300),
    ) {
        let world = World::new(ahead);
        let clock = world.clock();
        world.measure(&clock, 1_000, 1_000);
        world.set_database(by);
        if with_the_machine {
            world.set_machine(by);
        }
        let mut jumps = 0;
        for pause in pauses {
            world.pass(pause);
            jumps += usize::from(world.measure(&clock, 500, 500).is_some());
            // The right time is what the database's clock would be.
            let right = world.read().database_us - by;
            prop_assert!((clock.stamp().timestamp_micros() - right).abs() <= SLACK);
            prop_assert!(clock.latest().timestamp_micros() >= world.read().database_us - SLACK);
            prop_assert!((clock.earliest().timestamp_micros() - right).abs() <= SLACK);
        }
        prop_assert_eq!(jumps, 1);
        world.set_database(-by);
        prop_assert_eq!(world.measure(&clock, 500, 500), None, "it is what it was");
        prop_assert!(world.ahead(&clock).abs() <= SLACK);
    }

    #[test]
    fn a_databases_clock_that_goes_back_is_followed_at_once_and_refuses_nobody_for_a_while(
        by in JUMP_US + 10_000..26 * HOUR,
    ) {
        let world = World::new(0);
        let clock = world.clock();
        world.measure(&clock, 1_000, 1_000);
        clock.stamp();
        world.set_database(-by);
        let jump = world.measure(&clock, 1_000, 1_000).unwrap();
        prop_assert_eq!(jump.clock, JumpedClock::Database);
        prop_assert!((jump.by_us + by).abs() <= SLACK);
        prop_assert!(world.ahead(&clock) <= clock.error_us() + SLACK);
        prop_assert!(clock.latest().timestamp_micros() >= world.read().database_us + by - SLACK);
        world.pass(GRACE_US + SECOND);
        world.measure(&clock, 1_000, 1_000);
        prop_assert_eq!(clock.latest(), clock.now());
    }
}

#[test]
fn a_databases_clock_that_stays_ahead_is_believed_after_the_grace_and_one_that_was_wrong_at_once() {
    let world = World::new(0);
    let clock = world.clock();
    world.measure(&clock, 1_000, 1_000);
    world.set_database(HOUR);
    assert!(world.measure(&clock, 1_000, 1_000).is_some());
    world.pass(GRACE_US - SECOND);
    assert_eq!(world.measure(&clock, 1_000, 1_000), None);
    assert!(world.ahead(&clock) < -HOUR + SECOND);
    world.pass(SECOND);
    assert_eq!(world.measure(&clock, 1_000, 1_000), None, "it was reported");
    assert!(world.ahead(&clock).abs() <= SLACK);

    let world = World::new(HOUR);
    let clock = world.clock();
    world.measure(&clock, 1_000, 1_000);
    world.set_database(HOUR);
    assert!(world.measure(&clock, 1_000, 1_000).is_some());
    assert!(world.ahead(&clock).abs() <= SLACK, "it came to the machine's clock");
}

#[test]
fn two_machines_with_different_clocks_stamp_by_the_databases() {
    let (fast, slow) = (World::new(HOUR), World::new(-HOUR));
    let clocks = [fast.clock(), slow.clock()];
    for (world, clock) in [&fast, &slow].into_iter().zip(&clocks) {
        assert_eq!(world.measure(clock, 2_000, 1_000), None);
        assert!(world.ahead(clock).abs() <= clock.error_us() + 1, "{clock:?}");
    }
    let apart = clocks[1].offset_us() - clocks[0].offset_us();
    assert!((apart - 2 * HOUR).abs() <= 4_000, "{apart}");
}

#[test]
fn a_slow_answer_does_not_spoil_what_is_known_and_says_how_wrong_it_may_be() {
    let world = World::new(0);
    let clock = world.clock();
    for (there, back, ahead, error) in
        [(900_000, 100, 450_000, 451_000), (100, 900_000, 3_000, 900_100), (400_000, 400_000, 3_000, 404_000)]
    {
        assert_eq!(world.measure(&clock, there, back), None);
        let found = clock.now().timestamp_micros() - world.read().database_us;
        assert!(found.abs() <= ahead && clock.error_us() <= error, "{there} {back}: {found} {}", clock.error_us());
    }
}
