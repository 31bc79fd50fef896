//! The rules of time, as they are at the moment in which a post arrives.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};

use crate::kernel::bucket::HalfHour;
use crate::kernel::clock::Clock;
use crate::kernel::problem::Violation;
use crate::kernel::usage::snapshot::{Firmness, Rank, Stamp};

/// Trackers' clocks may be this far ahead.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

const HOUR_START: &str = "hour_start";
const OBSERVED_AT: &str = "observed_at";
const HAPPENED_AT: &str = "happened_at";

/// A time that the rules allow. Only a [`Draft`](super::Draft) makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timely<T>(T);

/// A time that the rules do not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untimely {
    /// Which time it is: `hour_start` or `observed_at` of a snapshot, `happened_at` of a record.
    pub field: &'static str,
    /// A stable word for the rule that was broken.
    pub code: &'static str,
    /// What was expected, in a sentence.
    pub detail: Cow<'static, str>,
}

impl Untimely {
    /// The violation, at the pointer that the protocol has for the field.
    pub fn at(self, pointer: impl Into<String>) -> Violation {
        Violation::new(pointer, self.code, self.detail)
    }
}

/// The arrival of one post.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    clock: Clock,
    max_age_days: Option<u32>,
    /// `None` where half hours of any age are taken.
    oldest: Option<DateTime<Utc>>,
    /// The latest instant that a tracker may name.
    latest: DateTime<Utc>,
    /// The stamp of all that say none themselves, where their request has one.
    begun: Option<DateTime<Utc>>,
}

impl Arrival {
    /// Now. Half hours may be as old as `max_age_days`; `None` for no limit. While it is not clear which clock jumped,
    /// nobody is refused by either.
    pub(super) fn now(clock: &Clock, max_age_days: Option<u32>) -> Self {
        let age = max_age_days.map(|days| TimeDelta::days(days.into()));
        let oldest = age.and_then(|age| clock.earliest().checked_sub_signed(age));
        let latest = clock.latest().checked_add_signed(CLOCK_TOLERANCE).unwrap_or(DateTime::<Utc>::MAX_UTC);
        Self { clock: clock.clone(), max_age_days, oldest, latest, begun: None }
    }

    /// What says no time itself was observed at this instant, all of it.
    pub(super) fn begun(self, at: DateTime<Utc>) -> Self {
        Self { begun: Some(at), ..self }
    }

    /// Errors: `too_old`, `in_future`.
    pub(super) fn hour_start(&self, half_hour: HalfHour) -> Result<Timely<HalfHour>, Untimely> {
        let start = half_hour.start();
        if let Some(days) = self.max_age_days
            && self.oldest.is_some_and(|oldest| start < oldest)
        {
            let detail = format!("Older than the {days} days that trackers may post; ask an operator for a backfill.");
            return Err(Untimely { field: HOUR_START, code: "too_old", detail: detail.into() });
        }
        // It starts on a half hour, so this is the same as: after the half hour that contains that instant.
        if start > self.latest {
            let detail =
                "This half hour has not begun by the server's clock, which the answer's `Date` shows. Send it in UTC, \
                          and set this machine's clock."
                    .into();
            return Err(Untimely { field: HOUR_START, code: "in_future", detail });
        }
        Ok(Timely(half_hour))
    }

    /// Finer fractions than microseconds, which is what PostgreSQL keeps, are cut off. Errors:
    /// `observed_at_in_future`.
    pub(super) fn observed_at(&self, instant: DateTime<Utc>) -> Result<Timely<DateTime<Utc>>, Untimely> {
        if instant > self.latest {
            let detail = "More than 5 minutes ahead of the server's clock, which the answer's `Date` shows. Send it in UTC, and \
                          set this machine's clock, or omit the field.";
            return Err(Untimely { field: OBSERVED_AT, code: "observed_at_in_future", detail: detail.into() });
        }
        Ok(Timely(DateTime::from_timestamp_micros(instant.timestamp_micros()).unwrap_or(instant)))
    }

    /// When something happened that is to be counted, and its half hour. Errors: `too_old`, `in_future`.
    pub(super) fn event(&self, happened_at: DateTime<Utc>) -> Result<(DateTime<Utc>, HalfHour), Untimely> {
        if happened_at > self.latest {
            let detail =
                "More than 5 minutes ahead of the server's clock, which the answer's `Date` shows: set this machine's \
                          clock."
                    .into();
            return Err(Untimely { field: HAPPENED_AT, code: "in_future", detail });
        }
        let before_2020 =
            || Untimely { field: HAPPENED_AT, code: "too_old", detail: "Usage before 2020 is not kept.".into() };
        let half_hour = HalfHour::containing(happened_at).ok_or_else(before_2020)?;
        let timely = self.hour_start(half_hour).map_err(|untimely| Untimely { field: HAPPENED_AT, ..untimely });
        timely.map(|Timely(half_hour)| (happened_at, half_hour))
    }

    /// The half hour and the stamp of a snapshot. One that does not say when it was taken gets the
    /// time at which its request began, where that is known, or of its arrival, later than every one before it.
    pub(super) fn date(
        &self,
        Timely(hour_start): Timely<HalfHour>,
        observed_at: Option<Timely<DateTime<Utc>>>,
        firmness: Firmness,
    ) -> (HalfHour, Stamp) {
        let stamped = observed_at.is_some();
        let observed_at = match (observed_at, self.begun) {
            (Some(Timely(observed_at)), _) | (None, Some(observed_at)) => observed_at,
            (None, None) => self.clock.stamp(),
        };
        let rank = Rank::with(hour_start, observed_at, firmness);
        (hour_start, Stamp { observed_at, stamped, rank })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn code(arrival: &Arrival, half_hour: &str) -> Result<(), &'static str> {
        let half_hour = HalfHour::new(instant(half_hour)).unwrap();
        arrival.hour_start(half_hour).map(|_| ()).map_err(|untimely| untimely.code)
    }

    #[test]
    fn a_half_hour_is_taken_from_the_limit_of_age_until_it_may_have_begun() {
        let arrival = |now, max_age_days| Arrival::now(&Clock::fixed(instant(now)), max_age_days);
        let noon = arrival("2026-11-20T12:00:00Z", Some(400));
        assert_eq!(code(&noon, "2025-10-16T12:00:00Z"), Ok(()));
        assert_eq!(code(&noon, "2025-10-16T11:30:00Z"), Err("too_old"));
        assert_eq!(code(&noon, "2026-11-20T12:00:00Z"), Ok(()));
        assert_eq!(code(&noon, "2026-11-20T12:30:00Z"), Err("in_future"));
        assert_eq!(code(&arrival("2026-11-20T12:25:00Z", None), "2026-11-20T12:30:00Z"), Ok(()));
        for max_age_days in [None, Some(u32::MAX)] {
            assert_eq!(code(&arrival("2026-11-20T12:00:00Z", max_age_days), "2020-01-01T00:00:00Z"), Ok(()));
        }
        let untimely = noon.hour_start(HalfHour::new(HalfHour::FIRST).unwrap()).unwrap_err();
        assert_eq!(untimely.field, "hour_start");
        let Violation { pointer, code, detail } = untimely.at("/here");
        assert_eq!((pointer.as_str(), code), ("/here", "too_old"));
        assert!(detail.contains("400 days"), "{detail}");
    }

    #[test]
    fn a_stamp_is_at_most_five_minutes_ahead_and_cut_to_microseconds() {
        let arrival = Arrival::now(&Clock::fixed(instant("2026-11-20T12:00:00Z")), None);
        let late = arrival.observed_at(instant("2026-11-20T12:05:00.000001Z")).unwrap_err();
        assert_eq!((late.field, late.code), ("observed_at", "observed_at_in_future"));
        let taken = arrival.observed_at(instant("2026-11-20T12:04:59.123456999Z")).unwrap();
        assert_eq!(taken, Timely(instant("2026-11-20T12:04:59.123456Z")));
        let old = arrival.observed_at(instant("0000-01-01T00:00:00.0000009Z")).unwrap();
        assert_eq!(old.0.timestamp_subsec_nanos(), 0, "also before 1970");
    }

    #[test]
    fn the_unstamped_are_stamped_one_by_one_in_order() {
        let now = instant("2026-11-20T12:00:00Z");
        let arrival = Arrival::now(&Clock::fixed(now), None);
        let hour_start = arrival.hour_start(HalfHour::containing(now).unwrap()).unwrap();
        let stamps: Vec<_> = (0..3).map(|_| arrival.date(hour_start, None, Firmness::Ordinary).1).collect();
        assert!(stamps.iter().all(|stamp| !stamp.stamped) && stamps[0].observed_at == now);
        assert!(stamps.windows(2).all(|two| two[0].observed_at < two[1].observed_at), "{stamps:?}");
        let (_, stamp) = arrival.date(hour_start, Some(arrival.observed_at(now).unwrap()), Firmness::Ordinary);
        assert_eq!(stamp, Stamp { observed_at: now, stamped: true, rank: Rank::OnTime });
    }

    #[test]
    fn the_unstamped_are_late_by_their_arrival() {
        use Firmness::{Ordinary, Retracts, Settles};

        let arrival = Arrival::now(&Clock::fixed(instant("2026-11-20T11:00:00.000001Z")), None);
        let date = |half_hour, observed_at, firmness| {
            let hour_start = arrival.hour_start(HalfHour::new(instant(half_hour)).unwrap()).unwrap();
            arrival.date(hour_start, observed_at, firmness).1.rank
        };
        assert_eq!(date("2026-10-26T11:00:00Z", None, Ordinary), Rank::OnTime);
        assert_eq!(date("2026-10-26T10:30:00Z", None, Ordinary), Rank::LateAndSilent);
        assert_eq!(date("2026-10-26T10:30:00Z", None, Retracts), Rank::LateAndRetracting);
        for half_hour in ["2026-10-26T11:00:00Z", "2026-10-26T10:30:00Z"] {
            assert_eq!(date(half_hour, None, Settles), Rank::Settled);
        }
        let in_time = arrival.observed_at(instant("2026-10-26T10:45:00Z")).ok();
        assert_eq!(date("2026-10-26T10:30:00Z", in_time, Ordinary), Rank::OnTime, "it only arrives late");
    }
}
