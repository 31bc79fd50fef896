//! The hours of the week as a punch card: the area of a dot is as large as what was used in its hour.

use chrono::Weekday;

use crate::features::dashboard_page::look::{exact, instant};
use crate::kernel::dashboards::{HoursOfWeek, LaterBegin, WeekGrid};

/// From one dot to the next, in units of the drawing.
const PLACE: u32 = 260;
/// How large a dot is at most.
const LARGEST: u32 = 115;
/// How wide the names of days are.
const LEFT: u32 = 420;
/// How high the hours are.
const HEAD: u32 = 200;

/// A dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PunchDot {
    /// Its hour, from 0 to 23.
    pub hour: usize,
    /// Its place.
    pub x: u32,
    /// Its place.
    pub y: u32,
    /// Half of its width.
    pub radius: u32,
    /// Its tokens.
    pub tokens: u128,
}

/// A day of the week.
#[derive(Clone, Debug)]
pub struct PunchDay {
    /// Its name.
    pub name: &'static str,
    /// The same in three letters.
    pub short: &'static str,
    /// Where its row is.
    pub y: u32,
    /// Its dots, of all hours.
    pub dots: Vec<PunchDot>,
}

/// The card.
#[derive(Clone, Debug)]
pub struct PunchCard {
    /// The days, in the order of the reader's week.
    pub days: Vec<PunchDay>,
    /// The hours that are named, with their places.
    pub hours: Vec<(u32, String)>,
    /// How wide the drawing is.
    pub width: u32,
    /// How high it is.
    pub height: u32,
    /// What one sees, in a sentence.
    pub summary: String,
    /// Why not the whole range is in it.
    pub later: Option<String>,
}

const NAMES: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl PunchCard {
    /// Of the hours that were answered, with weeks that begin on a day.
    pub fn of(hours: &HoursOfWeek, start: Weekday) -> Self {
        let most = hours.tokens.iter().flatten().copied().max().unwrap_or_default();
        let order = (0..7).map(|place| (place + usize::try_from(start.num_days_from_monday()).unwrap_or_default()) % 7);
        let days = (0_u32..).zip(order).map(|(row, weekday)| {
            let y = HEAD + row * PLACE + PLACE / 2;
            let counts = hours.tokens.get(weekday).copied().unwrap_or([0; 24]);
            let dots = (0_u32..).zip(counts).enumerate().map(|(hour, (column, tokens))| PunchDot {
                hour,
                x: LEFT + column * PLACE + PLACE / 2,
                y,
                radius: radius(tokens, most),
                tokens,
            });
            let name = NAMES.get(weekday).copied().unwrap_or_default();
            PunchDay { name, short: name.get(..3).unwrap_or(name), y, dots: dots.collect() }
        });
        let named = (0_u32..24).step_by(3).map(|hour| (LEFT + hour * PLACE + PLACE / 2, format!("{hour:02}")));
        Self {
            days: days.collect(),
            hours: named.collect(),
            width: LEFT + 24 * PLACE,
            height: HEAD + 7 * PLACE,
            summary: summary(&hours.tokens),
            later: hours.begins_later.map(said),
        }
    }

    /// The same as a table: each hour with its tokens on each day.
    pub fn rows(&self) -> Vec<(String, Vec<u128>)> {
        let at = |hour: usize| self.days.iter().filter_map(move |day| day.dots.get(hour)).map(|dot| dot.tokens);
        (0..24).map(|hour| (clock(hour), at(hour).collect())).collect()
    }
}

/// An hour of the clock.
fn clock(hour: usize) -> String {
    format!("{hour:02}:00")
}

/// The area of a dot is as large as its tokens are beside the most. What is there is seen.
fn radius(tokens: u128, most: u128) -> u32 {
    if tokens == 0 {
        return 0;
    }
    let full = u128::from(LARGEST).pow(2);
    let area = tokens.checked_mul(full).map_or_else(|| tokens / (most / full).max(1), |area| area / most.max(1));
    u32::try_from(area.min(full).isqrt()).unwrap_or(LARGEST).max(LARGEST / 10)
}

fn summary(tokens: &WeekGrid) -> String {
    let hours = tokens
        .iter()
        .zip(NAMES)
        .flat_map(|(day, name)| day.iter().zip(0..).map(move |(count, hour)| (count, name, hour)));
    let used = tokens.iter().flatten().filter(|count| **count > 0).count();
    let most = hours.filter(|(count, ..)| **count > 0).max_by_key(|(count, ..)| **count);
    most.map_or_else(
        || "No hour of the week has usage in this range.".to_owned(),
        |(count, name, hour)| {
            let most = exact(*count);
            format!("{used} of 168 hours of the week have usage; the most is {most} tokens: {name}, {}.", clock(hour))
        },
    )
}

fn said(later: LaterBegin) -> String {
    match later {
        LaterBegin::TooMany(from) => {
            format!("There is more than is read for this. It shows what is newest, from {} on.", instant(from))
        }
        LaterBegin::Removed(before) => {
            format!("Half hours before {} are past retention and are not in it.", instant(before))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn card(tokens: &WeekGrid, start: Weekday) -> PunchCard {
        let day = "2026-11-20".parse().unwrap();
        PunchCard::of(&HoursOfWeek { from: day, to: day, tokens: *tokens, begins_later: None }, start)
    }

    #[test]
    fn a_week_begins_where_the_reader_says_and_every_hour_has_its_place() {
        let mut tokens = [[0; 24]; 7];
        tokens[0][0] = 400;
        tokens[6][23] = 100;
        let monday = card(&tokens, Weekday::Mon);
        assert_eq!((monday.days[0].name, monday.days[6].name), ("Monday", "Sunday"));
        assert_eq!((monday.rows()[0].1[0], monday.rows()[23].1[6]), (400, 100));
        let sunday = card(&tokens, Weekday::Sun);
        assert_eq!((sunday.days[0].name, sunday.days[1].name), ("Sunday", "Monday"));
        assert_eq!((sunday.rows()[23].1[0], sunday.rows()[0].1[1]), (100, 400));
        let plain = monday.summary.replace('\u{202f}', " ");
        assert_eq!(plain, "2 of 168 hours of the week have usage; the most is 400 tokens: Monday, 00:00.");
        assert_eq!(card(&[[0; 24]; 7], Weekday::Mon).summary, "No hour of the week has usage in this range.");
    }

    #[test]
    fn the_area_of_a_dot_is_its_part_of_the_most() {
        assert_eq!((radius(400, 400), radius(100, 400), radius(0, 400)), (LARGEST, LARGEST / 2, 0));
        assert_eq!(radius(1, u128::MAX), LARGEST / 10, "what is there is seen");
        assert_eq!(radius(u128::MAX, u128::MAX), LARGEST);
    }

    proptest! {
        #[test]
        fn no_dot_leaves_its_place_and_more_is_never_smaller(one: u128, other: u128, most: u128) {
            let (less, more, most) = (one.min(other), one.max(other), most.max(one).max(other));
            prop_assert!(radius(less, most) <= radius(more, most));
            prop_assert!(2 * radius(more, most) < PLACE);
        }
    }
}
