//! A year of usage that nobody had. A seed and a day decide everything: what a half hour holds depends on the seed and on
//! itself, so that the year of tomorrow is that of today without its first day and with one more.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value};

use super::dice::Dice;
use super::habits::{DEVICES, HABITS, Habit, mood};
use crate::kernel::bucket::{HALF_HOUR_S, TokenCounts};

/// The days before a day, in a zone, and what was used on them.
#[derive(Debug)]
pub(super) struct Year {
    pub(super) from: NaiveDate,
    pub(super) to: NaiveDate,
    /// In the order of time.
    pub(super) buckets: Vec<MadeBucket>,
}

/// A bucket, with the place of its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MadeBucket {
    pub(super) device: usize,
    pub(super) hour_start: DateTime<Utc>,
    pub(super) source: &'static str,
    pub(super) model: &'static str,
    pub(super) observed_at: DateTime<Utc>,
    pub(super) counts: TokenCounts,
}

/// What buckets add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) counts: TokenCounts,
    pub(super) buckets: i64,
}

impl Year {
    /// The `days` before `today`, as they were in a zone.
    pub(super) fn before(today: NaiveDate, days: u32, zone: Tz, seed: u64) -> Self {
        let from = today - Days::new(days.into());
        let to = today - Days::new(1);
        let mut buckets = Vec::new();
        // Begun early and ended late enough for any zone.
        let mut at = (from - Days::new(1)).and_hms_opt(0, 0, 0).unwrap_or_default().and_utc();
        let end = (to + Days::new(2)).and_hms_opt(0, 0, 0).unwrap_or_default().and_utc();
        while at < end {
            let local = at.with_timezone(&zone).naive_local();
            if (from..=to).contains(&local.date()) {
                let mood = mood(local.date(), &mut Dice::new(seed, "mood", days_of(local.date())));
                for habit in &HABITS {
                    let mut dice = dice_of(seed, habit, at);
                    if dice.draw((0, 999)) < habit.likelihood(local, mood) {
                        buckets.extend(made(habit, at, local.date(), &mut dice));
                    }
                }
            }
            at += TimeDelta::seconds(HALF_HOUR_S);
        }
        Self { from, to, buckets }
    }

    /// What each tool has used.
    pub(super) fn by_source(&self) -> BTreeMap<&'static str, Sums> {
        let mut sums = BTreeMap::<_, Sums>::new();
        for bucket in &self.buckets {
            sums.entry(bucket.source).or_default().add(bucket);
        }
        sums
    }

    /// What all of them have.
    pub(super) fn totals(&self) -> Sums {
        let mut sums = Sums::default();
        for bucket in &self.buckets {
            sums.add(bucket);
        }
        sums
    }
}

impl Sums {
    fn add(&mut self, bucket: &MadeBucket) {
        self.counts = self.counts + bucket.counts;
        self.buckets += 1;
    }

    /// As replies of the server have them.
    pub(super) fn json(&self) -> Map<String, Value> {
        let counters = TokenCounts::NAMES_WITH_TOTAL.into_iter().zip(self.counts.with_total(self.counts.total()));
        let sums = counters.chain([("bucket_count", self.buckets)]);
        sums.map(|(name, sum)| (name.to_owned(), sum.into())).collect()
    }
}

impl MadeBucket {
    /// As trackers post it.
    pub(super) fn json(&self) -> Value {
        let mut bucket = Map::new();
        bucket.insert("hour_start".to_owned(), self.hour_start.to_rfc3339().into());
        bucket.insert("source".to_owned(), self.source.into());
        bucket.insert("model".to_owned(), self.model.into());
        bucket.insert("observed_at".to_owned(), self.observed_at.to_rfc3339().into());
        let counters = TokenCounts::NAMES.into_iter().zip(self.counts.into_values());
        bucket.extend(counters.filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count.into())));
        bucket.into()
    }
}

fn days_of(date: NaiveDate) -> i64 {
    date.signed_duration_since(NaiveDate::default()).num_days()
}

fn dice_of(seed: u64, habit: &Habit, at: DateTime<Utc>) -> Dice {
    Dice::new(seed, &format!("{} on {}", habit.source, DEVICES[habit.device]), at.timestamp())
}

fn made(habit: &Habit, at: DateTime<Utc>, date: NaiveDate, dice: &mut Dice) -> Vec<MadeBucket> {
    let models = habit.models(date, dice);
    // As a tracker does that looks some seconds after the half hour.
    let observed_at = at + TimeDelta::seconds(HALF_HOUR_S + dice.draw((5, 240)));
    let bucket = |model| MadeBucket {
        device: habit.device,
        hour_start: at,
        source: habit.source,
        model,
        observed_at,
        counts: habit.counts(dice),
    };
    models.into_iter().map(bucket).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use chrono::{Datelike as _, Timelike as _, Weekday};
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::bucket::{HalfHour, MAX_COUNT};

    const BERLIN: Tz = chrono_tz::Europe::Berlin;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn year(today: &str) -> Year {
        Year::before(day(today), 365, BERLIN, 1)
    }

    /// How many buckets there are, of those that begin at such a local time on such a device.
    fn count(year: &Year, device: usize, when: impl Fn(chrono::NaiveDateTime) -> bool) -> usize {
        let of_device = year.buckets.iter().filter(|bucket| bucket.device == device);
        of_device.filter(|bucket| when(bucket.hour_start.with_timezone(&BERLIN).naive_local())).count()
    }

    fn is_weekend(local: chrono::NaiveDateTime) -> bool {
        matches!(local.weekday(), Weekday::Sat | Weekday::Sun)
    }

    #[test]
    fn the_same_day_gives_the_same_year_and_the_next_one_moves_it_by_a_day() {
        let (today, again, tomorrow) = (year("2026-11-28"), year("2026-11-28"), year("2026-11-29"));
        assert_eq!(today.buckets, again.buckets);
        let common = |year: &Year| {
            let local = |bucket: &&MadeBucket| bucket.hour_start.with_timezone(&BERLIN).date_naive();
            let days = tomorrow.from..=today.to;
            year.buckets.iter().filter(|bucket| days.contains(&local(bucket))).cloned().collect::<Vec<_>>()
        };
        assert_eq!(common(&today), common(&tomorrow));
        assert_eq!((tomorrow.from, tomorrow.to), (day("2025-11-29"), day("2026-11-28")));
        assert_ne!(today.buckets, Year::before(day("2026-11-28"), 365, BERLIN, 2).buckets);
    }

    #[test]
    fn a_year_is_full_and_has_every_device_tool_and_month() {
        let year = year("2026-11-28");
        assert!((6_000..20_000).contains(&year.buckets.len()), "{}", year.buckets.len());
        let distinct = |of: fn(&MadeBucket) -> String| year.buckets.iter().map(of).collect::<BTreeSet<_>>().len();
        assert_eq!(distinct(|bucket| bucket.device.to_string()), 3);
        assert_eq!(distinct(|bucket| bucket.source.to_owned()), 5);
        assert_eq!(distinct(|bucket| bucket.hour_start.format("%Y-%m").to_string()), 13);
        assert!(distinct(|bucket| bucket.model.to_owned()) >= 8);
        // Somebody uses something on most days, and nobody on all of them with a device of a person.
        let days = |device| {
            let of_device = year.buckets.iter().filter(|bucket| bucket.device == device);
            of_device.map(|bucket| bucket.hour_start.date_naive()).collect::<BTreeSet<_>>().len()
        };
        assert!((200..262).contains(&days(0)), "{}", days(0));
        assert!((280..360).contains(&days(1)), "{}", days(1));
    }

    #[test]
    fn people_sleep_at_night_rest_on_weekends_and_go_on_holiday() {
        let year = year("2026-11-28");
        for device in [0, 1] {
            assert_eq!(count(&year, device, |local| (2..8).contains(&local.hour())), 0, "device {device}");
        }
        assert_eq!(count(&year, 0, is_weekend), 0);
        let (on_weekends, else_) = (count(&year, 1, is_weekend), count(&year, 1, |local| !is_weekend(local)));
        assert!(on_weekends * 5 > else_ * 2, "{on_weekends} in two days, {else_} in five");
        for device in [0, 1] {
            assert_eq!(count(&year, device, |local| local.month() == 12 && local.day() >= 24), 0);
            assert_eq!(count(&year, device, |local| local.month() == 8 && (10..=23).contains(&local.day())), 0);
        }
        // The machine works on, and only at night.
        assert!(count(&year, 2, |local| local.month() == 8 && local.day() == 14) > 0);
        assert_eq!(count(&year, 2, |local| !(3..5).contains(&local.hour())), 0);
    }

    #[test]
    fn local_time_stays_what_it_is_when_the_clocks_change() {
        // Work begins at eight by the clock on the wall, before and after.
        for (day, first) in [("2026-03-27", 7), ("2026-03-30", 6), ("2026-10-23", 6), ("2026-10-26", 7)] {
            let year = year("2026-11-28");
            let day = self::day(day);
            let of_day =
                year.buckets.iter().filter(|bucket| bucket.device == 0 && bucket.hour_start.date_naive() == day);
            let earliest = of_day.map(|bucket| bucket.hour_start.hour()).min().unwrap();
            assert!((first..first + 3).contains(&earliest), "{day}: {earliest}");
        }
        // In a zone whose clocks change when people are awake, no half hour comes twice and none is outside of the range.
        let year = Year::before(day("2026-11-28"), 365, chrono_tz::Australia::Lord_Howe, 1);
        let local =
            |bucket: &MadeBucket| bucket.hour_start.with_timezone(&chrono_tz::Australia::Lord_Howe).date_naive();
        assert!(year.buckets.iter().all(|bucket| (year.from..=year.to).contains(&local(bucket))));
    }

    #[test]
    fn the_sums_are_those_of_the_buckets() {
        let year = year("2026-11-28");
        let (by_source, totals) = (year.by_source(), year.totals());
        assert_eq!(by_source.values().map(|sums| sums.buckets).sum::<i64>(), totals.buckets);
        assert_eq!(by_source.values().map(|sums| sums.counts.total()).sum::<i64>(), totals.counts.total());
        let output: i64 = year.buckets.iter().map(|bucket| bucket.counts.output_tokens).sum();
        assert_eq!(totals.json()["output_tokens"], output);
        assert_eq!(totals.json()["bucket_count"], year.buckets.len());
        assert_eq!(totals.json().len(), TokenCounts::NAMES.len() + 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn whatever_the_day_the_seed_and_the_zone_every_bucket_may_be_posted(
            ordinal in 0_u64..3_000, days in 1_u32..40, seed: u64, zone in 0..chrono_tz::TZ_VARIANTS.len(),
        ) {
            let today = day("2021-06-01") + Days::new(ordinal);
            let zone = chrono_tz::TZ_VARIANTS[zone];
            let year = Year::before(today, days, zone, seed);
            prop_assert_eq!((year.to - year.from).num_days() + 1, i64::from(days));
            let mut keys = HashSet::new();
            for bucket in &year.buckets {
                let MadeBucket { device, hour_start, source, model, observed_at, counts } = bucket;
                prop_assert!(keys.insert((device, hour_start, source, model)), "{:?} comes twice", bucket);
                prop_assert!(HalfHour::new(*hour_start).is_some());
                let local = hour_start.with_timezone(&zone).date_naive();
                prop_assert!((year.from..=year.to).contains(&local), "{local} is outside");
                let late = *observed_at - *hour_start;
                prop_assert!(late > TimeDelta::seconds(HALF_HOUR_S) && late < TimeDelta::hours(1));
                prop_assert!(counts.into_values().iter().all(|count| (0..=MAX_COUNT).contains(count)));
                prop_assert!(counts.reasoning_tokens <= counts.output_tokens);
                prop_assert!(counts.total() > 0 && counts.request_count > 0);
            }
        }
    }
}
