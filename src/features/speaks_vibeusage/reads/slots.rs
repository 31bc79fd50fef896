//! The 48 half hours of a local day, as the dashboard draws each day.
//!
//! A slot is a time of the clock on the wall. Where clocks are set back, a time comes twice, and its slot holds the sums of
//! both half hours. Where clocks are set forward, a time does not come, and its slot is zero. So the slots of
//! any day add up to the day, although it may have 46 or 50 half hours.
//!
//! A slot is missing where its first half hour begins after any device was last heard of: what was used then may not have
//! been sent. A time that did not come is as missing as the next one that did. Where no device was ever heard of,
//! nothing is called missing.

use chrono::{DateTime, NaiveDate, Timelike as _, Utc};

use crate::kernel::bucket::PerCounter;
use crate::kernel::dashboards::SumsInterval;

/// How many slots a day has.
const SLOTS: usize = 48;

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its local start, as `2026-11-20T10:30:00`.
    pub hour: String,
    /// Its sums.
    pub sums: PerCounter<u128>,
    /// Whether what was used in it may not have been sent.
    pub missing: bool,
}

/// The slots of a day, of whose half hours none is left out.
pub fn slots(day: NaiveDate, half_hours: &[SumsInterval], last_heard: Option<DateTime<Utc>>) -> Vec<Slot> {
    let mut opens_at = half_hours.last().map(|last| last.ends_at);
    let mut slots: Vec<Slot> = (0..SLOTS)
        .rev()
        .map(|slot| {
            let own = || half_hours.iter().filter(|half_hour| slot_of(half_hour) == slot);
            opens_at = own().next().map(|first| first.starts_at).or(opens_at);
            let missing = last_heard.zip(opens_at).is_some_and(|(heard, opens_at)| opens_at > heard);
            let sums = own().map(SumsInterval::totals).fold(PerCounter::default(), |all, more| all + more);
            Slot { hour: format!("{day}T{:02}:{:02}:00", slot / 2, slot % 2 * 30), sums, missing }
        })
        .collect();
    slots.reverse();
    slots
}

fn slot_of(half_hour: &SumsInterval) -> usize {
    let start = half_hour.local_start.time();
    usize::try_from(start.hour() * 2 + start.minute() / 30).unwrap_or(SLOTS)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use chrono_tz::Tz;
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::dashboards::SumsGroup;

    /// The half hours of a local day, each with as many tokens as stand at its place among the powers of two.
    fn half_hours(day: &str, zone: &str) -> Vec<SumsInterval> {
        let (day, zone): (NaiveDate, Tz) = (day.parse().unwrap(), zone.parse().unwrap());
        let around = day.and_hms_opt(0, 0, 0).unwrap().and_utc() - TimeDelta::hours(15);
        let starts = (0..120).map(|at| around + TimeDelta::minutes(30 * at));
        let own = starts.filter(|start| start.with_timezone(&zone).date_naive() == day);
        own.enumerate()
            .map(|(place, starts_at)| {
                let sums = PerCounter { input_tokens: 1 << place, ..PerCounter::default() };
                let groups = vec![SumsGroup {
                    source: String::new(),
                    model: String::new(),
                    device_id: uuid::Uuid::nil(),
                    sums,
                    cost: crate::kernel::money::Cost::default(),
                }];
                let local_start = starts_at.with_timezone(&zone).naive_local();
                SumsInterval { local_start, starts_at, ends_at: starts_at + TimeDelta::minutes(30), groups }
            })
            .collect()
    }

    fn total(slots: &[Slot]) -> u128 {
        slots.iter().map(|slot| slot.sums.input_tokens).sum()
    }

    #[test]
    fn a_time_that_comes_twice_has_both_half_hours_and_one_that_does_not_come_has_none() {
        let set_back = half_hours("2026-10-25", "Europe/Berlin");
        assert_eq!(set_back.len(), 50);
        let slots_of = |half_hours: &[SumsInterval], day: &str| slots(day.parse().unwrap(), half_hours, None);
        let slots = slots_of(&set_back, "2026-10-25");
        assert_eq!((slots[4].hour.as_str(), slots[4].sums.input_tokens), ("2026-10-25T02:00:00", (1 << 4) + (1 << 6)));
        assert_eq!((slots[5].sums.input_tokens, slots[6].sums.input_tokens), ((1 << 5) + (1 << 7), 1 << 8));
        let set_forward = half_hours("2026-03-29", "Europe/Berlin");
        assert_eq!(set_forward.len(), 46);
        let slots = slots_of(&set_forward, "2026-03-29");
        assert_eq!([3, 4, 5, 6].map(|slot| slots[slot].sums.input_tokens), [1 << 3, 0, 0, 1 << 4]);
        // Clocks are moved by half an hour there.
        let lord_howe = half_hours("2026-04-05", "Australia/Lord_Howe");
        assert_eq!(lord_howe.len(), 49);
        assert_eq!(slots_of(&lord_howe, "2026-04-05")[3].sums.input_tokens, (1 << 3) + (1 << 4));
    }

    #[test]
    fn what_begins_after_the_last_sign_of_life_is_missing() {
        let day: NaiveDate = "2026-11-20".parse().unwrap();
        let half_hours = half_hours("2026-11-20", "Asia/Kathmandu");
        let missing = |heard: &str| {
            let slots = slots(day, &half_hours, Some(heard.parse().unwrap()));
            assert!(slots.is_sorted_by_key(|slot| slot.missing), "{heard}");
            slots.iter().filter(|slot| slot.missing).count()
        };
        // That day begins at 18:15 in UTC, and its first half hour at 18:30.
        assert_eq!(missing("2026-11-19T18:29:59Z"), 48);
        assert_eq!(missing("2026-11-19T18:30:00Z"), 47);
        assert_eq!(missing("2026-11-20T05:59:00Z"), 48 - 23);
        assert_eq!(missing("2026-11-20T18:00:00Z"), 0);
        assert!(slots(day, &half_hours, None).iter().all(|slot| !slot.missing));
    }

    #[test]
    fn a_time_that_does_not_come_is_as_missing_as_the_next_one() {
        let day: NaiveDate = "2026-03-29".parse().unwrap();
        let half_hours = half_hours("2026-03-29", "Europe/Berlin");
        // Clocks are set from 2:00 to 3:00 at 1:00 in UTC.
        for (heard, missing) in [("2026-03-29T00:59:00Z", true), ("2026-03-29T01:00:00Z", false)] {
            let slots = slots(day, &half_hours, Some(heard.parse().unwrap()));
            assert_eq!([4, 5, 6].map(|slot| slots[slot].missing), [missing; 3], "{heard}");
        }
    }

    proptest! {
        #[test]
        fn any_day_of_any_zone_has_48_slots_that_add_up_to_the_day(
            zone in prop::sample::select(chrono_tz::TZ_VARIANTS.as_slice()), days in 0..3000_i64,
        ) {
            let day = NaiveDate::from_ymd_opt(2020, 1, 2).unwrap() + TimeDelta::days(days);
            let half_hours = half_hours(&day.to_string(), zone.name());
            let slots = slots(day, &half_hours, None);
            prop_assert_eq!(slots.len(), 48);
            prop_assert!(slots.is_sorted_by_key(|slot| slot.hour.clone()));
            prop_assert_eq!(total(&slots), (1_u128 << half_hours.len()) - 1);
        }
    }
}
