//! The address of a page: its parameters as they were sent, links that change some of them, and the range that they name.

use chrono::NaiveDate;

use crate::kernel::dashboards::PartDays;
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::values::{date, number};

/// The ranges that are a click away, in days.
pub const RANGES: [(u16, &str); 4] = [(7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "A year")];
/// So many days are shown where nothing else is asked for.
pub const BY_DEFAULT: u16 = 30;
/// No range has more days.
const MOST_DAYS: u16 = 800;

/// A choice: its word, where it leads, and whether it is made.
pub type Choice = (&'static str, String, bool);

/// The parameters that were sent, in their order; those that say nothing were not.
#[derive(Clone, Debug)]
pub struct Address(Vec<(String, String)>);

impl Address {
    /// Of these parameters.
    pub fn of(parameters: &[(String, String)]) -> Self {
        Self(parameters.iter().filter(|(_, value)| !value.trim().is_empty()).cloned().collect())
    }

    /// The address of `path` with the same parameters but for `changes`: those with a value are set, the others left out.
    pub fn link(&self, path: &str, changes: &[(&str, Option<&str>)]) -> String {
        let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.0.iter().filter(|(name, _)| !is_changed(name)));
        query.extend_pairs(changes.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// The parameters that a form keeps which asks for the others.
    pub fn kept(&self, asked: &[&str]) -> Vec<(String, String)> {
        self.0.iter().filter(|(name, _)| !asked.contains(&name.as_str())).cloned().collect()
    }

    /// What was asked by this name.
    pub fn asked(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Each filter with its value, and where the page is without it. What the page is about is none.
    pub fn filters(&self, path: &str, subject: &str) -> Vec<(String, String, String)> {
        let known = [("source", "Tool"), ("model", "Model"), ("device_id", "Device"), ("tz", "Zone")];
        let others = known.into_iter().filter(|(name, _)| *name != subject);
        let set = others.filter_map(|(name, word)| Some((name, word, self.asked(name)?)));
        set.map(|(name, word, value)| (word.to_owned(), value.to_owned(), self.link(path, &[(name, None)]))).collect()
    }

    /// Where the same is of another range, and nothing else of `without`.
    pub fn ranges(&self, path: &str, last: Option<u16>, without: &[&str]) -> Vec<Choice> {
        let choice = |(days, word): (u16, &'static str)| {
            let text = days.to_string();
            let mut changes: Vec<_> = without.iter().map(|name| (*name, None)).collect();
            changes.extend([("last", Some(text.as_str())), ("from", None), ("to", None)]);
            (word, self.link(path, &changes), last == Some(days))
        };
        RANGES.map(choice).into()
    }
}

/// The range of a page: so many days up to today, or from one day to another.
#[derive(Clone, Copy, Debug)]
pub struct AskedRange {
    /// How many days up to today, where that is how the range is said.
    pub last: Option<u16>,
    /// The days, where days are named.
    pub between: (Option<NaiveDate>, Option<NaiveDate>),
}

impl AskedRange {
    /// Reads `last`, `from` and `to`. Where none is said, it is the last `by_default` days, if that is said.
    pub fn read(fields: &mut FieldReader, by_default: Option<u16>) -> Self {
        let last = fields.optional_text("last", |text| number(text, MOST_DAYS));
        let between = (fields.optional_text("from", date), fields.optional_text("to", date));
        let is_named = between != (None, None);
        if is_named && last.is_some() {
            fields.refuse("last", ("range_twice", "Say either `last`, or `from` and `to`.".into()));
        }
        Self { last: last.or(by_default.filter(|_| !is_named)), between }
    }

    /// The days.
    pub fn days(&self) -> PartDays {
        match self.last {
            Some(last) => PartDays::Last(last),
            None => PartDays::Between { from: self.between.0, to: self.between.1 },
        }
    }
}
