//! What a page of usage is asked: everything that one sees is in its address, so that every view is a link.

use chrono::{NaiveDate, Weekday};

use crate::kernel::dashboards::{
    Dimension, PartDays, Ranking, SumWidth, SumsPart, SumsQuestion, asked_day, asked_number, read_question,
};
use crate::kernel::http::field_reader::{Broken, FieldReader};
use crate::kernel::http::values::{date, number};
use crate::kernel::problem::{Problem, Violation};

/// The ranges that are a click away, in days.
pub const RANGES: [(u16, &str); 4] = [(7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "A year")];
/// So many days are shown where nothing else is asked for.
const BY_DEFAULT: u16 = 30;
/// No range has more days.
const MOST_DAYS: u16 = 800;
/// Lists show so many at first, and so many when more are asked for.
pub const FEW: u16 = 8;
/// The longest list.
pub const MANY: u16 = 500;
/// A chart tells so many apart. The rest of them is one.
pub const APART: u16 = 6;
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
}

/// How wide a bar is, as the address says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarWidth {
    /// Half an hour: on the page of a day.
    HalfHour,
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
}

impl BarWidth {
    /// As the address says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HalfHour => "half hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

/// What is to be seen.
#[derive(Clone, Debug)]
pub struct UsageView {
    /// The parameters that were sent, in their order.
    pairs: Vec<(String, String)>,
    /// The page.
    pub scene: Scene,
    /// How many days up to today, where that is how the range is said.
    pub last: Option<u16>,
    /// The range, where days are named.
    pub between: (Option<NaiveDate>, Option<NaiveDate>),
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

const WIDTHS: &[(&str, BarWidth)] = &[("day", BarWidth::Day), ("week", BarWidth::Week), ("month", BarWidth::Month)];
const GROUPS: &[(&str, Dimension)] =
    &[("model", Dimension::Model), ("tool", Dimension::Tool), ("device", Dimension::Device)];
const STARTS: &[(&str, Weekday)] = &[("monday", Weekday::Mon), ("sunday", Weekday::Sun)];
const SORTS: &[(&str, ListOrder)] =
    &[("tokens", ListOrder::Tokens), ("name", ListOrder::Name), ("change", ListOrder::Change)];
const ORDERS: &[(&str, bool)] = &[("time", false), ("tokens", true)];

/// Reads an address. Errors: 422 with everything that is wrong with it.
pub fn read_view(scene: Scene, parameters: Vec<(String, String)>) -> Result<(UsageView, SumsQuestion), Problem> {
    let pairs: Vec<_> = parameters.iter().filter(|(_, value)| !value.trim().is_empty()).cloned().collect();
    let mut view = None;
    let mut question = read_question(parameters, &OWN, |fields| {
        let read = UsageView::read(scene, pairs, fields);
        let parts = read.1;
        view = Some(read.0);
        parts
    })?;
    let view = view.ok_or_else(|| Problem::internal("the address was not read"))?;
    view.check(&question)?;
    let days = view.days();
    let ranking = |dimension, most| Ranking { days, dimension, most };
    question.rankings = vec![
        ranking(Dimension::Tool, view.most),
        ranking(Dimension::Model, view.most),
        ranking(Dimension::Device, view.most),
        ranking(view.group, APART),
    ];
    Ok((view, question))
}

impl UsageView {
    fn read(scene: Scene, pairs: Vec<(String, String)>, fields: &mut FieldReader) -> (Self, Vec<SumsPart>) {
        let last = fields.optional_text("last", |text| number(text, MOST_DAYS));
        let between = (fields.optional_text("from", date), fields.optional_text("to", date));
        let is_named = between != (None, None);
        if is_named && last.is_some() {
            fields.refuse("last", ("range_twice", "Say either `last`, or `from` and `to`.".into()));
        }
        let last = last.or((!is_named && scene != Scene::Day).then_some(BY_DEFAULT));
        let width = fields.optional_text("width", one_of(WIDTHS));
        let width =
            if scene == Scene::Day { BarWidth::HalfHour } else { width.unwrap_or_else(|| fitting(last, between)) };
        let other = if scene == Scene::Model { Dimension::Tool } else { Dimension::Model };
        let day = asked_day(fields);
        let view = Self {
            pairs,
            scene,
            last,
            between: if let (Scene::Day, PartDays::One(day)) = (scene, day) { (day, day) } else { between },
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
            BarWidth::Day => SumWidth::Day,
            BarWidth::Week => SumWidth::Week(self.week_start),
            BarWidth::Month => SumWidth::Month,
        };
        let days = self.days();
        let mut parts = vec![
            SumsPart::whole(days, width).filled(),
            SumsPart::whole(days, width).apart(3, self.group),
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
        match (self.scene, self.last) {
            (Scene::Day, _) => PartDays::One(self.between.0),
            (_, Some(last)) => PartDays::Last(last),
            (_, None) => PartDays::Between { from: self.between.0, to: self.between.1 },
        }
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

    /// The address of `path` with the same parameters but for `changes`: those with a value are set, the others left out.
    pub fn link(&self, path: &str, changes: &[(&str, Option<&str>)]) -> String {
        let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.pairs.iter().filter(|(name, _)| !is_changed(name)));
        query.extend_pairs(changes.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// The parameters that a form keeps which asks for the others.
    pub fn kept(&self, asked: &[&str]) -> Vec<(String, String)> {
        self.pairs.iter().filter(|(name, _)| !asked.contains(&name.as_str())).cloned().collect()
    }

    /// What was asked by this name.
    pub fn asked(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
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
fn fitting(last: Option<u16>, between: (Option<NaiveDate>, Option<NaiveDate>)) -> BarWidth {
    let named = between.0.zip(between.1).map(|(from, to)| to.signed_duration_since(from).num_days() + 1);
    match last.map(i64::from).or(named).unwrap_or_else(|| BY_DEFAULT.into()) {
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
        assert_eq!(view.kept(&["last", "width"]), pairs("model=a%2Cb&source=codex"));
        assert_eq!(super::read_view(Scene::Everything, Vec::new()).unwrap().0.link("/", &[]), "/");
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_by_name() {
        let scene = Scene::Everything;
        let one = |name: &str, code| vec![(format!("?{name}"), code)];
        assert_eq!(codes(scene, "last=7&from=2026-01-01"), one("last", "range_twice"));
        assert_eq!(codes(scene, "width=hour"), one("width", "unknown_choice"));
        assert_eq!(codes(scene, "colour=red"), one("colour", "unknown_parameter"));
        assert_eq!(codes(scene, "last=801"), one("last", "out_of_range"));
        assert_eq!(codes(Scene::Model, "last=7"), one("model", "not_one"));
        assert_eq!(codes(Scene::Tool, "source=codex&source=amp"), one("source", "not_one"));
    }

    #[test]
    fn a_day_has_half_hours_and_neither_it_nor_another_zone_a_year() {
        let (view, question) = read_view(Scene::Day, pairs("day=2026-03-29")).unwrap();
        assert_eq!(view.days(), PartDays::One(Some("2026-03-29".parse().unwrap())));
        assert_eq!(question.parts.len(), 3);
        let parts = |query: &str| read_view(Scene::Everything, pairs(query)).unwrap().1.parts.len();
        assert_eq!((parts(""), parts("tz=Asia/Tokyo"), parts("tz=")), (4, 3, 4));
        assert_eq!(question.parts[0].width, SumWidth::HalfHour);
    }
}
