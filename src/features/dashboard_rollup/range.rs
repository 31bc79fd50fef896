//! Which usage a request is about: local days, filters, and where a page begins.

use chrono::{Datelike as _, Days, NaiveDate};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::checked::hold;
use super::state::RollupState;
use super::week::WeekStart;
use crate::kernel::bucket::{Model, Source};
use crate::kernel::http::field_reader::{FieldReader, MAX_FILTER_VALUES, too_many_values};
use crate::kernel::http::values::{date, model, source, uuid};
use crate::kernel::problem::{Code, Problem, Violation};

/// The days of a range that is not given whole.
const DEFAULT_DAYS: u64 = 30;
/// The parameters that are lists: see [`Filters`].
pub const FILTERS: [&str; 3] = ["source", "model", "device"];

/// The parameters that all pages of one list have in common, in one order: every one but `limit` and `cursor`.
pub fn canonical(parameters: &[(String, String)]) -> String {
    let mut parts: Vec<_> = parameters.iter().filter(|(name, _)| name != "limit" && name != "cursor").collect();
    parts.sort();
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parts).finish()
}

/// The query of the page that begins at `cursor`.
pub fn next_query(parameters: &[(String, String)], cursor: &str) -> String {
    let kept = parameters.iter().filter(|(name, _)| name != "cursor");
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).append_pair("cursor", cursor).finish()
}

/// 400 for a cursor from before a change of the user's zone, whose days are not those of today.
fn outdated_cursor() -> Problem {
    let detail = "The days are those of another time zone since; begin again without `cursor`.";
    let violation = Violation::new("?cursor", "cursor_outdated", detail);
    Problem::new(Code::Malformed, "`cursor` is from before a change of time zone.").violating(vec![violation])
}

/// The days asked for, as far as they are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedDays {
    /// The first day.
    pub from: Option<NaiveDate>,
    /// The last day.
    pub to: Option<NaiveDate>,
}

impl AskedDays {
    /// Reads `from` and `to`.
    pub fn read(fields: &mut FieldReader) -> Self {
        Self { from: fields.optional_text("from", date), to: fields.optional_text("to", date) }
    }

    /// The days of a request that was made in Rust, but for those that no query may name, which are noted.
    pub(super) fn check(self, fields: &mut FieldReader) -> Self {
        let mut check = |name, day: NaiveDate| hold(fields, name, date(&day.to_string()));
        Self { from: self.from.and_then(|day| check("from", day)), to: self.to.and_then(|day| check("to", day)) }
    }

    /// The days that are meant. The last one is today where `to` is left out; there are thirty where `from` is.
    pub fn resolve(self, today: NaiveDate) -> DayRange {
        let to = self.to.unwrap_or(today);
        let default_from = || to.checked_sub_days(Days::new(DEFAULT_DAYS - 1)).unwrap_or(to);
        DayRange { from: self.from.unwrap_or_else(default_from), to }
    }

    /// The days of a page. Every page has those of the first one. Errors: 400 for a position in another zone's days.
    pub fn of_page<K>(self, state: &RollupState, position: Option<&PagePosition<K>>) -> Result<DayRange, Problem> {
        match position {
            Some(position) if position.time_zone != state.time_zone() => Err(outdated_cursor()),
            Some(position) => Ok(DayRange { from: position.from, to: position.to }),
            None => Ok(self.resolve(state.today())),
        }
    }

    /// What is wrong with days that are given whole.
    pub fn violation(self, cap: &Cap) -> Option<Violation> {
        DayRange { from: self.from?, to: self.to? }.violation(cap)
    }
}

/// Where a page ended: the days and the zone that the first page found out, and the key of the last row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PagePosition<K> {
    from: NaiveDate,
    to: NaiveDate,
    time_zone: String,
    /// The last row.
    pub after: K,
}

impl<K> PagePosition<K> {
    /// The end of a page.
    pub fn new(days: DayRange, time_zone: &str, after: K) -> Self {
        Self { from: days.from, to: days.to, time_zone: time_zone.to_owned(), after }
    }
}

/// How long a range may be, and what to ask for instead.
#[derive(Clone, Copy, Debug)]
pub struct Cap {
    /// At most this many, in [`Cap::unit`].
    pub most: i64,
    /// What is counted.
    pub unit: CapUnit,
    /// What the cap belongs to: the subject of a sentence.
    pub of: &'static str,
    /// The cheaper query: the rest of a sentence that begins with "Ask for fewer".
    pub instead: &'static str,
}

/// What a cap counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapUnit {
    /// Local days.
    Days,
    /// Weeks that the range touches.
    Weeks(WeekStart),
    /// Calendar months that the range touches.
    Months,
}

/// Local days, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayRange {
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
}

impl DayRange {
    /// How many days it has; not positive where it is reversed.
    pub fn days(self) -> i64 {
        self.to.signed_duration_since(self.from).num_days() + 1
    }

    fn weeks(self, start: WeekStart) -> i64 {
        let first_day = |day| start.week_of(day).first_day();
        first_day(self.to).signed_duration_since(first_day(self.from)).num_weeks() + 1
    }

    fn months(self) -> i64 {
        let month = |day: NaiveDate| i64::from(day.year()) * 12 + i64::from(day.month0());
        month(self.to) - month(self.from) + 1
    }

    /// The equally long range right before it. `None` at the beginning of time.
    pub fn before(self) -> Option<Self> {
        let to = self.from.pred_opt()?;
        let days = u64::try_from(self.days() - 1).ok()?;
        Some(Self { from: to.checked_sub_days(Days::new(days))?, to })
    }

    /// Whether it is reversed, or longer than `cap` allows.
    pub fn violation(self, cap: &Cap) -> Option<Violation> {
        if self.days() < 1 {
            let detail = format!("from ({}) must not be after to ({}).", self.from, self.to);
            return Some(Violation::new("?from", "range_is_reversed", detail));
        }
        let (asked, unit) = match cap.unit {
            CapUnit::Days => (self.days(), "days"),
            CapUnit::Weeks(start) => (self.weeks(start), "weeks"),
            CapUnit::Months => (self.months(), "months"),
        };
        (asked > cap.most).then(|| {
            let Cap { most, of, instead, .. } = cap;
            let detail = format!("{asked} {unit} are asked for; {of} serves at most {most}. Ask for fewer{instead}.");
            Violation::new("?from", "range_too_long", detail)
        })
    }
}

/// The values that count, by column; an empty list means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Tools.
    pub sources: Vec<Source>,
    /// Models.
    pub models: Vec<Model>,
    /// Devices.
    pub devices: Vec<Uuid>,
}

impl Filters {
    /// The tools as stored.
    pub fn source_names(&self) -> Vec<&str> {
        self.sources.iter().map(Source::as_str).collect()
    }

    /// The models as stored.
    pub fn model_names(&self) -> Vec<&str> {
        self.models.iter().map(Model::as_str).collect()
    }

    /// Reads the parameters `source`, `model` and `device`.
    pub fn read(fields: &mut FieldReader) -> Self {
        Self {
            sources: fields.list("source", MAX_FILTER_VALUES, source),
            models: fields.list("model", MAX_FILTER_VALUES, model),
            devices: fields.list("device", MAX_FILTER_VALUES, uuid),
        }
    }

    /// Notes filters that name too many values.
    pub(super) fn check(&self, fields: &mut FieldReader) {
        let counts = [self.sources.len(), self.models.len(), self.devices.len()];
        for (name, count) in FILTERS.into_iter().zip(counts).filter(|(_, count)| *count > MAX_FILTER_VALUES) {
            fields.refuse(name, too_many_values(count, MAX_FILTER_VALUES));
        }
    }
}

/// Which usage of whom.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The owner.
    pub user_id: Uuid,
    /// Local days.
    pub days: DayRange,
    /// The buckets that count.
    pub filters: &'a Filters,
    /// Whose days.
    pub time_zone: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn range(from: &str, to: &str) -> DayRange {
        DayRange { from: day(from), to: day(to) }
    }

    fn pairs(query: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    #[test]
    fn a_range_left_open_is_the_thirty_days_to_its_end_or_to_today() {
        let resolve = |from: Option<&str>, to: Option<&str>| {
            AskedDays { from: from.map(day), to: to.map(day) }.resolve(day("2026-11-20"))
        };
        assert_eq!(resolve(None, None), range("2026-10-22", "2026-11-20"));
        assert_eq!(resolve(None, Some("2026-03-01")), range("2026-01-31", "2026-03-01"));
        assert_eq!(resolve(Some("2026-11-01"), None), range("2026-11-01", "2026-11-20"));
    }

    #[test]
    fn a_cap_counts_days_or_the_weeks_or_months_that_a_range_touches() {
        let cap = |most, unit| Cap { most, unit, of: "it", instead: ", or for less" };
        let code = |range: DayRange, cap: &Cap| range.violation(cap).map(|violation| violation.code);
        assert_eq!(code(range("2024-01-01", "2026-03-10"), &cap(800, CapUnit::Days)), None);
        assert_eq!(code(range("2024-01-01", "2026-03-11"), &cap(800, CapUnit::Days)), Some("range_too_long"));
        assert_eq!(code(range("2026-01-31", "2026-02-01"), &cap(2, CapUnit::Months)), None);
        assert_eq!(code(range("2026-01-31", "2026-02-01"), &cap(1, CapUnit::Months)), Some("range_too_long"));
        assert_eq!(code(range("2026-02-02", "2026-02-01"), &cap(1, CapUnit::Months)), Some("range_is_reversed"));
        // The fifteenth of November 2026 is a Sunday.
        let weeks = |from, to, start| range(from, to).weeks(start);
        for (from, to, of_monday, of_sunday) in [
            ("2026-11-15", "2026-11-15", 1, 1),
            ("2026-11-15", "2026-11-16", 2, 1),
            ("2026-11-14", "2026-11-15", 1, 2),
            ("2026-11-16", "2026-11-22", 1, 2),
            ("2026-12-31", "2027-01-01", 1, 1),
        ] {
            let counted = [WeekStart::Monday, WeekStart::Sunday].map(|start| weeks(from, to, start));
            assert_eq!(counted, [of_monday, of_sunday], "{from} {to}");
        }
        let detail = range("2026-01-01", "2026-01-03").violation(&cap(2, CapUnit::Days)).unwrap().detail;
        assert_eq!(detail, "3 days are asked for; it serves at most 2. Ask for fewer, or for less.");
    }

    #[test]
    fn the_range_before_is_as_long_and_ends_where_the_range_begins() {
        assert_eq!(range("2026-11-01", "2026-11-20").before(), Some(range("2026-10-12", "2026-10-31")));
        assert_eq!(range("2026-11-01", "2026-11-01").before(), Some(range("2026-10-31", "2026-10-31")));
    }

    #[test]
    fn one_list_has_one_name_whatever_its_page_and_the_order_of_its_parameters() {
        let of = |query: &str| canonical(&pairs(query));
        assert_eq!(of("source=codex&from=2026-01-01"), of("limit=5&from=2026-01-01&cursor=x&source=codex"));
        assert_ne!(of("source=codex"), of("source=codex&source=amp"));
        assert_ne!(of("model=a%26source=b"), of("model=a&source=b"));
        assert_eq!(next_query(&pairs("limit=5&cursor=x&model=a/b"), "y"), "limit=5&model=a%2Fb&cursor=y");
    }
}
