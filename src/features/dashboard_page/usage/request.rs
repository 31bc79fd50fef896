//! What a page of usage is asked: everything that one sees is in its address, so that every view is a link.

use chrono::{NaiveDate, Weekday};

use super::address::{Address, AskedRange, BY_DEFAULT};
use crate::kernel::dashboards::{
    Dimension, PartDays, Ranking, SumWidth, SumsPart, SumsQuestion, asked_day, asked_number, read_question,
};
use crate::kernel::http::field_reader::{Broken, FieldReader};
use crate::kernel::problem::{Problem, Violation};

/// Lists show so many at first, and so many when more are asked for.
pub const FEW: u16 = 8;
/// The longest list.
pub const MANY: u16 = 500;
/// A chart tells so many apart. The rest of them is one.
pub const APART: u16 = 6;
/// A chart has so many half hours or hours at most: those of a week, or of two.
pub const MOST_OF_CLOCK: u16 = 336;
/// The weeks of the heatmap.
const YEAR_IN_WEEKS: u16 = 53;

const OWN: [&str; 11] =
    ["day", "device_id", "from", "group", "last", "most", "order", "sort", "to", "week_start", "width"];

/// Which page it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// The first one.
    Everything,
    /// Of one model.
    Model,
    /// Of one tool.
    Tool,
    /// Of one device.
    Device,
    /// Of one day.
    Day,
}

/// In which order a list is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListOrder {
    /// The most tokens first.
    #[default]
    Tokens,
    /// By name.
    Name,
    /// What has grown most first.
    Change,
    /// What costs most first.
    Price,
}

/// How wide a bar is, as the address says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarWidth {
    /// Half an hour.
    HalfHour,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
}

impl BarWidth {
    /// Of a width that was answered.
    pub const fn of(width: SumWidth) -> Self {
        match width {
            SumWidth::HalfHour => Self::HalfHour,
            SumWidth::Hour => Self::Hour,
            SumWidth::Day => Self::Day,
            SumWidth::Week(_) => Self::Week,
            SumWidth::Month => Self::Month,
        }
    }

    /// Whether it is a time of the clock, which may come twice on one day.
    pub const fn is_of_clock(self) -> bool {
        matches!(self, Self::HalfHour | Self::Hour)
    }

    /// How many days may have bars of this width, where not all may.
    pub fn most_days(self) -> Option<i64> {
        match self {
            Self::HalfHour => Some(i64::from(MOST_OF_CLOCK / 48)),
            Self::Hour => Some(i64::from(MOST_OF_CLOCK / 24)),
            Self::Day | Self::Week | Self::Month => None,
        }
    }

    /// As the address says it.
    pub fn parameter(self) -> &'static str {
        WIDTHS.iter().find(|(_, width)| *width == self).map_or("day", |(name, _)| *name)
    }

    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HalfHour => "half hour",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

/// What is to be seen.
#[derive(Clone, Debug)]
pub struct UsageView {
    /// The parameters that were sent.
    address: Address,
    /// The page.
    pub scene: Scene,
    /// The range.
    pub range: AskedRange,
    /// The day, on the page of one.
    day: Option<NaiveDate>,
    /// How wide a bar is.
    pub width: BarWidth,
    /// What bars are made of.
    pub group: Dimension,
    /// On which day weeks begin.
    pub week_start: Weekday,
    /// In which order lists are.
    pub sort: ListOrder,
    /// Whether the table of bars begins with the most tokens.
    pub by_tokens: bool,
    /// How long lists are.
    pub most: u16,
}

fn one_of<T: Copy + 'static>(choices: &'static [(&'static str, T)]) -> impl FnOnce(&str) -> Result<T, Broken> {
    move |text: &str| {
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        found.ok_or_else(|| ("unknown_choice", format!("Expected one of {}.", names.join(", ")).into()))
    }
}

const WIDTHS: &[(&str, BarWidth)] = &[
    ("half_hour", BarWidth::HalfHour),
    ("hour", BarWidth::Hour),
    ("day", BarWidth::Day),
    ("week", BarWidth::Week),
    ("month", BarWidth::Month),
];
const GROUPS: &[(&str, Dimension)] =
    &[("model", Dimension::Model), ("tool", Dimension::Tool), ("device", Dimension::Device)];
const STARTS: &[(&str, Weekday)] = &[("monday", Weekday::Mon), ("sunday", Weekday::Sun)];
const SORTS: &[(&str, ListOrder)] = &[
    ("tokens", ListOrder::Tokens),
    ("name", ListOrder::Name),
    ("change", ListOrder::Change),
    ("price", ListOrder::Price),
];
const ORDERS: &[(&str, bool)] = &[("time", false), ("tokens", true)];

/// Reads an address. Errors: 422 with everything that is wrong with it.
pub fn read_view(scene: Scene, parameters: Vec<(String, String)>) -> Result<(UsageView, SumsQuestion), Problem> {
    let address = Address::of(&parameters);
    let mut view = None;
    let mut question = read_question(parameters, &OWN, |fields| {
        let read = UsageView::read(scene, address, fields);
        let parts = read.1;
        view = Some(read.0);
        parts
    })?;
    let view = view.ok_or_else(|| Problem::internal("the address was not read"))?;
    view.check(&question)?;
    let days = view.days();
    let ranking = |dimension, most, with_cost| Ranking { days, dimension, most, with_cost };
    question.rankings = vec![
        ranking(Dimension::Tool, view.most, true),
        ranking(Dimension::Model, view.most, true),
        ranking(Dimension::Device, view.most, true),
        ranking(view.group, APART, false),
    ];
    question.hours_of_week = (scene != Scene::Day).then_some(days);
    Ok((view, question))
}

impl UsageView {
    fn read(scene: Scene, address: Address, fields: &mut FieldReader) -> (Self, Vec<SumsPart>) {
        let range = AskedRange::read(fields, (scene != Scene::Day).then_some(BY_DEFAULT));
        let width = fields.optional_text("width", one_of(WIDTHS));
        let width = if scene == Scene::Day { BarWidth::HalfHour } else { width.unwrap_or_else(|| fitting(&range)) };
        let other = if scene == Scene::Model { Dimension::Tool } else { Dimension::Model };
        let day = asked_day(fields);
        let view = Self {
            address,
            scene,
            range,
            day: if let PartDays::One(day) = day { day } else { None },
            width,
            group: fields.optional_text("group", one_of(GROUPS)).unwrap_or(other),
            week_start: fields.optional_text("week_start", one_of(STARTS)).unwrap_or(Weekday::Mon),
            sort: fields.optional_text("sort", one_of(SORTS)).unwrap_or_default(),
            by_tokens: fields.optional_text("order", one_of(ORDERS)).unwrap_or_default(),
            most: asked_number(fields, "most", FEW, MANY),
        };
        let parts = view.parts();
        (view, parts)
    }

    /// The whole of each bar, what is told apart in it, the range before, and on most pages of one's own zone a year.
    fn parts(&self) -> Vec<SumsPart> {
        let width = match self.width {
            BarWidth::HalfHour => SumWidth::HalfHour,
            BarWidth::Hour => SumWidth::Hour,
            BarWidth::Day => SumWidth::Day,
            BarWidth::Week => SumWidth::Week(self.week_start),
            BarWidth::Month => SumWidth::Month,
        };
        let days = self.days();
        let mut parts = vec![
            SumsPart::whole(days, width).filled().with_at_most(MOST_OF_CLOCK),
            SumsPart::whole(days, width).apart(3, self.group).with_at_most(MOST_OF_CLOCK),
            SumsPart::whole(days, SumWidth::Month).before(),
        ];
        // Another zone's days are made of buckets, and a year of them may be past retention.
        let is_other_zone = ["tz", "tz_offset_minutes"].iter().any(|name| self.asked(name).is_some());
        if self.scene != Scene::Day && !is_other_zone {
            let year = PartDays::Weeks { count: YEAR_IN_WEEKS, start: self.week_start, to: None };
            parts.push(SumsPart::whole(year, SumWidth::Day).filled());
        }
        parts
    }

    /// The days of the range.
    pub fn days(&self) -> PartDays {
        if self.scene == Scene::Day { PartDays::One(self.day) } else { self.range.days() }
    }

    /// A page of one thing names that thing.
    fn check(&self, question: &SumsQuestion) -> Result<(), Problem> {
        let filters = &question.filters;
        let (name, count) = match self.scene {
            Scene::Model => ("model", filters.models.len()),
            Scene::Tool => ("source", filters.sources.len()),
            Scene::Device => ("device_id", filters.devices.len()),
            Scene::Everything | Scene::Day => return Ok(()),
        };
        if count == 1 {
            return Ok(());
        }
        let detail = "This page is about one of them: name exactly one.";
        Err(Problem::invalid(vec![Violation::new(format!("?{name}"), "not_one", detail)]))
    }

    /// The parameters that were sent.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// The address of `path` with the same parameters but for `changes`: those with a value are set, the others left out.
    pub fn link(&self, path: &str, changes: &[(&str, Option<&str>)]) -> String {
        self.address.link(path, changes)
    }

    /// What was asked by this name.
    pub fn asked(&self, name: &str) -> Option<&str> {
        self.address.asked(name)
    }

    /// The path of this page.
    pub const fn path(&self) -> &'static str {
        match self.scene {
            Scene::Everything => "/",
            Scene::Model => "/model",
            Scene::Tool => "/tool",
            Scene::Device => "/device",
            Scene::Day => "/day",
        }
    }
}

/// So many bars that one sees each of them.
fn fitting(range: &AskedRange) -> BarWidth {
    let (from, to) = range.between;
    let named = from.zip(to).map(|(from, to)| to.signed_duration_since(from).num_days() + 1);
    match range.last.map(i64::from).or(named).unwrap_or_else(|| BY_DEFAULT.into()) {
        ..=62 => BarWidth::Day,
        63..=370 => BarWidth::Week,
        _ => BarWidth::Month,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    fn view(query: &str) -> UsageView {
        read_view(Scene::Everything, pairs(query)).unwrap().0
    }

    fn codes(scene: Scene, query: &str) -> Vec<(String, &'static str)> {
        let problem = read_view(scene, pairs(query)).unwrap_err();
        problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
    }

    #[test]
    fn a_range_has_bars_that_one_can_tell_apart() {
        for (query, width) in [
            ("", BarWidth::Day),
            ("last=62", BarWidth::Day),
            ("last=63", BarWidth::Week),
            ("last=371", BarWidth::Month),
            ("from=2026-01-01&to=2026-12-31", BarWidth::Week),
            ("last=800&width=day", BarWidth::Day),
            ("last=7&width=half_hour", BarWidth::HalfHour),
            ("last=1&width=hour", BarWidth::Hour),
        ] {
            assert_eq!(view(query).width, width, "{query}");
        }
    }

    #[test]
    fn a_link_keeps_what_it_does_not_change_and_forms_are_no_filters() {
        let view = view("last=7&model=a%2Cb&source=codex&tz=&width=week");
        assert_eq!(view.link("/", &[("last", Some("30"))]), "/?model=a%2Cb&source=codex&width=week&last=30");
        assert_eq!(
            view.link("/model", &[("model", Some("x y")), ("source", None), ("last", None), ("width", None)]),
            "/model?model=x+y"
        );
        assert_eq!(view.address().kept(&["last", "width"]), pairs("model=a%2Cb&source=codex"));
        assert_eq!(super::read_view(Scene::Everything, Vec::new()).unwrap().0.link("/", &[]), "/");
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_by_name() {
        let scene = Scene::Everything;
        let one = |name: &str, code| vec![(format!("?{name}"), code)];
        assert_eq!(codes(scene, "last=7&from=2026-01-01"), one("last", "range_twice"));
        assert_eq!(codes(scene, "width=minute"), one("width", "unknown_choice"));
        assert_eq!(codes(scene, "colour=red"), one("colour", "unknown_parameter"));
        assert_eq!(codes(scene, "last=801"), one("last", "out_of_range"));
        assert_eq!(codes(Scene::Model, "last=7"), one("model", "not_one"));
        assert_eq!(codes(Scene::Tool, "source=codex&source=amp"), one("source", "not_one"));
    }

    #[test]
    fn a_day_has_half_hours_and_neither_it_nor_another_zone_a_year() {
        let (view, question) = read_view(Scene::Day, pairs("day=2026-03-29")).unwrap();
        assert_eq!(view.days(), PartDays::One(Some("2026-03-29".parse().unwrap())));
        assert_eq!((question.parts.len(), question.hours_of_week), (3, None));
        let parts = |query: &str| read_view(Scene::Everything, pairs(query)).unwrap().1.parts.len();
        assert_eq!((parts(""), parts("tz=Asia/Tokyo"), parts("tz=")), (4, 3, 4));
        assert_eq!(question.parts[0].width, SumWidth::HalfHour);
    }

    #[test]
    fn every_width_is_asked_for_by_its_name_and_said_in_words() {
        for (name, width) in WIDTHS {
            assert_eq!((width.parameter(), view(&format!("width={name}")).width), (*name, *width));
            assert_eq!(width.as_str(), name.replace('_', " "));
        }
        for (width, days) in [(BarWidth::HalfHour, Some(7)), (BarWidth::Hour, Some(14)), (BarWidth::Day, None)] {
            assert_eq!(width.most_days(), days);
        }
        let question = read_view(Scene::Everything, pairs("width=half_hour&last=3")).unwrap().1;
        let widths: Vec<_> = question.parts.iter().take(2).map(|part| (part.width, part.most_of_clock)).collect();
        assert_eq!(widths, [(SumWidth::HalfHour, Some(MOST_OF_CLOCK)); 2]);
    }
}
