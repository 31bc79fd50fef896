//! Prices by the time of day, expanded into spans of whole half hours, so that whoever looks a price up knows no calendar.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};

use crate::kernel::bucket::{HALF_HOUR_S, HalfHour};

/// The first half hour of a price whose beginning is not known.
pub const BEGINNING: DateTime<Utc> = HalfHour::FIRST;
/// The end of a price that has none.
pub const END: DateTime<Utc> = match DateTime::from_timestamp_secs(221_845_392_000) {
    Some(end) => end,
    None => DateTime::<Utc>::MAX_UTC,
};

/// From when to when holidays are known, first and last day. Nobody announces them much earlier than a month before a year
/// begins, and a price that depends on them is not known either from then on.
const HOLIDAYS_KNOWN: [(i32, u32, u32); 2] = [(2026, 1, 1), (2026, 12, 31)];
/// The public holidays of China in 2026, as the State Council's general office announced them: first and last day.
const HOLIDAYS: [[(u32, u32); 2]; 7] = [
    [(1, 1), (1, 3)],
    [(2, 15), (2, 23)],
    [(4, 4), (4, 6)],
    [(5, 1), (5, 5)],
    [(6, 19), (6, 21)],
    [(9, 25), (9, 27)],
    [(10, 1), (10, 7)],
];

/// At which half hours of its time a price holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PriceHours {
    /// At all of them.
    #[default]
    Always,
    /// At these times of the day.
    Within(Times),
    /// Whenever the other price of the same time does not hold.
    Otherwise,
}

/// Times of the day in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// First half hour and the first after the last, by number. A range that ends before it begins goes over midnight.
    ranges: Vec<(u32, u32)>,
    /// Not on Saturdays, Sundays and public holidays of China.
    workdays_only: bool,
}

/// A stretch of half hours: the first, and the first after the last.
pub type HourStretch = (DateTime<Utc>, DateTime<Utc>);

impl PriceHours {
    /// Reads a window. Errors: what was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "Expected nothing, `other hours`, or times of the day in UTC such as `00:30-16:30` or \
            `Mon-Fri 01:00-04:00 and 06:00-10:00 UTC, not on Chinese public holidays`, each on :00 or :30.";
        match text {
            "" => return Ok(Self::Always),
            "other hours" => return Ok(Self::Otherwise),
            _ => {}
        }
        let (rest, no_holidays) = match text.strip_suffix(", not on Chinese public holidays") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (rest, workdays_only) = match rest.strip_prefix("Mon-Fri ") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        if no_holidays != workdays_only {
            return Err(EXPECTED);
        }
        let rest = rest.strip_suffix(" UTC").unwrap_or(rest);
        let ranges: Option<Vec<_>> = rest.split(" and ").map(range).collect();
        ranges.map(|ranges| Self::Within(Times { ranges, workdays_only })).ok_or(EXPECTED)
    }

    /// The stretches in which the price holds, ascending. `other` is the window of the other price of the same time, which
    /// [`PriceHours::Otherwise`] leaves over.
    pub fn stretches(&self, (from, to): HourStretch, other: Option<&Times>) -> Vec<HourStretch> {
        let (times, wanted) = match (self, other) {
            (Self::Always, _) | (Self::Otherwise, None) => return vec![(from, to)],
            (Self::Within(times), _) => (times, true),
            (Self::Otherwise, Some(times)) => (times, false),
        };
        let to = if times.workdays_only { to.min(known_until()) } else { to };
        let mut stretches: Vec<HourStretch> = Vec::new();
        let mut hour = from;
        while hour < to {
            let next = hour + TimeDelta::seconds(HALF_HOUR_S);
            if times.hold(hour) == wanted {
                match stretches.last_mut() {
                    Some(last) if last.1 == hour => last.1 = next,
                    _ => stretches.push((hour, next)),
                }
            }
            hour = next;
        }
        stretches
    }
}

impl Times {
    /// Whether these times end some day, so that they can be written down one by one.
    pub const fn are_bounded_by_holidays(&self) -> bool {
        self.workdays_only
    }

    fn hold(&self, hour: DateTime<Utc>) -> bool {
        let seconds = hour.timestamp().rem_euclid(86_400);
        let place = u32::try_from(seconds / HALF_HOUR_S).unwrap_or_default();
        let within = |&(first, after): &(u32, u32)| {
            if first < after { (first..after).contains(&place) } else { place >= first || place < after }
        };
        self.ranges.iter().any(within) && (!self.workdays_only || is_workday(hour.date_naive()))
    }
}

fn range(text: &str) -> Option<(u32, u32)> {
    let (first, after) = text.split_once('-')?;
    let half_hour = |text: &str| {
        let time = NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|_| text.len() == 5)?;
        let minutes = time.signed_duration_since(NaiveTime::MIN).num_minutes();
        (minutes % 30 == 0).then(|| u32::try_from(minutes / 30).ok()).flatten()
    };
    let range = (half_hour(first)?, half_hour(after)?);
    (range.0 != range.1).then_some(range)
}

fn is_workday(day: NaiveDate) -> bool {
    let is_holiday = |[first, last]: &[(u32, u32); 2]| {
        let day = (day.month(), day.day());
        *first <= day && day <= *last
    };
    !matches!(day.weekday(), Weekday::Sat | Weekday::Sun) && !HOLIDAYS.iter().any(is_holiday)
}

/// The first half hour of which nobody knows whether it is a holiday.
fn known_until() -> DateTime<Utc> {
    let [_, (year, month, day)] = HOLIDAYS_KNOWN;
    let after = NaiveDate::from_ymd_opt(year, month, day).and_then(|day| day.checked_add_days(Days::new(1)));
    after.map_or(BEGINNING, |day| day.and_time(NaiveTime::MIN).and_utc())
}

/// The first half hour of which it is known whether it is a holiday.
pub fn known_from() -> DateTime<Utc> {
    let [(year, month, day), _] = HOLIDAYS_KNOWN;
    NaiveDate::from_ymd_opt(year, month, day).map_or(END, |day| day.and_time(NaiveTime::MIN).and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEAK: &str = "Mon-Fri 01:00-04:00 and 06:00-10:00 UTC, not on Chinese public holidays";

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// The days of 2026, by number from 0, that are Saturdays, Sundays or public holidays, by counting from a Thursday.
    fn is_day_off(day: i64) -> bool {
        let holidays = [(0, 3), (45, 54), (93, 96), (120, 125), (169, 172), (267, 270), (273, 280)];
        matches!((day + 3) % 7, 5 | 6) || holidays.iter().any(|(first, after)| (*first..*after).contains(&day))
    }

    #[test]
    fn the_spans_of_a_year_say_of_each_half_hour_what_a_formula_says() {
        let year = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        let PriceHours::Within(times) = PriceHours::parse(PEAK).unwrap() else { panic!("no times") };
        let peak = PriceHours::Within(times.clone()).stretches((year.0, END), None);
        let rest = PriceHours::Otherwise.stretches((year.0, END), Some(&times));
        assert_eq!((peak.len(), rest.len()), (2 * 242, 2 * 242 + 1));
        for place in 0..365 * 48 {
            let hour = year.0 + TimeDelta::minutes(30 * place);
            let time = place % 48;
            let is_peak = !is_day_off(place / 48) && (2..8).contains(&time) | (12..20).contains(&time);
            let holds =
                |stretches: &[HourStretch]| stretches.iter().filter(|(from, to)| *from <= hour && hour < *to).count();
            assert_eq!((holds(&peak), holds(&rest)), (usize::from(is_peak), usize::from(!is_peak)), "{hour}");
        }
        assert_eq!(rest.last().map(|(_, to)| *to), Some(year.1), "of later holidays nobody knows");
    }

    #[test]
    fn a_window_may_go_over_midnight_and_the_other_one_is_the_rest() {
        let days = (at("2025-02-26T16:30:00Z"), at("2025-02-28T16:00:00Z"));
        let PriceHours::Within(night) = PriceHours::parse("16:30-00:30").unwrap() else { panic!("no times") };
        let [day, night] =
            ["00:30-16:30", "16:30-00:30"].map(|text| PriceHours::parse(text).unwrap().stretches(days, Some(&night)));
        let hours =
            |stretches: &[HourStretch]| stretches.iter().map(|(from, to)| (*to - *from).num_minutes()).sum::<i64>();
        assert_eq!((hours(&day), hours(&night)), (16 * 60 + 15 * 60 + 30, 16 * 60));
        assert_eq!(night[0], (days.0, at("2025-02-27T00:30:00Z")));
        assert_eq!(day[0].0, night[0].1);
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "01:00",
            "1:00-2:00",
            "00:15-01:00",
            "01:00-01:00",
            "24:00-25:00",
            "Mon-Fri 01:00-02:00",
            "Sat 01:00-02:00",
            " ",
            "01:00-02:00, not on Chinese public holidays",
        ] {
            assert!(PriceHours::parse(text).is_err(), "{text}");
        }
    }
}
