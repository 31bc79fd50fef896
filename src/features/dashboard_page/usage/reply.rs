//! A page of usage, written.

use askama::Template;
use chrono::{DateTime, NaiveDate, Utc};

use super::address::Choice;
use super::naming::{in_words, week_start_name};
use super::overview::Overview;
use super::request::{BarWidth, Scene, UsageView};
use crate::features::dashboard_page::doors::PagePerson;
use crate::features::dashboard_page::look::{Frame, exact, instant};
use crate::kernel::dashboards::Dimension;

/// The page.
#[derive(Template)]
#[template(path = "usage.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct UsagePage {
    frame: Frame,
    scene: Scene,
    seen: Overview,
    heading: String,
    /// Where the day before and the day after are.
    days_beside: Option<(String, String)>,
    ranges: Vec<Choice>,
    widths: Vec<Choice>,
    groups: Vec<Choice>,
    week_starts: Vec<Choice>,
    table_orders: [Choice; 2],
    filters: Vec<(String, String, String)>,
    kept_for_days: Vec<(String, String)>,
    kept_for_zone: Vec<(String, String)>,
    sheet: String,
    /// Where the lines are that the price is made of.
    receipt: String,
    freshness: String,
    is_pending: bool,
    /// The zone that the days are being rebuilt in.
    coming_zone: Option<String>,
    wanted_zone: String,
    url: String,
    is_by: &'static str,
    own_path: &'static str,
}

impl UsagePage {
    /// For a person, with `base` before every path. `subject` is what it is about.
    pub fn new(
        (base, url): (&str, &str),
        view: &UsageView,
        seen: Overview,
        person: &PagePerson,
        subject: Option<&str>,
    ) -> Self {
        let choice = |word, changes: &[(&str, Option<&str>)], made| (word, view.link(view.path(), changes), made);
        let asked_zone = view.asked("tz");
        let heading = match (subject, view.scene) {
            (Some(subject), _) => subject.to_owned(),
            (None, Scene::Day) => in_words(seen.from),
            (None, _) => "Usage".to_owned(),
        };
        let freshness = seen.freshness;
        let coming_zone = (asked_zone.is_none() && person.time_zone != seen.zone).then(|| person.time_zone.clone());
        let title = if subject.is_some() || view.scene == Scene::Day { heading.clone() } else { "Usage".to_owned() };
        Self {
            frame: Frame::of(base, title, &person.name, "usage"),
            scene: view.scene,
            days_beside: days_beside(view, &seen),
            ranges: view.address().ranges(view.path(), view.range.last, &["width"]),
            widths: widths(view, &seen),
            groups: groups(view),
            week_starts: ["monday", "sunday"]
                .map(|name| choice(name, &[("week_start", Some(name))], name == week_start_name(view.week_start)))
                .into(),
            table_orders: [
                choice("By time", &[("order", Some("time"))], !view.by_tokens),
                choice("By tokens", &[("order", Some("tokens"))], view.by_tokens),
            ],
            filters: view.address().filters(view.path(), subject_of(view.scene)),
            kept_for_days: view.address().kept(&["last", "from", "to", "width", "day"]),
            kept_for_zone: view.address().kept(&["tz", "tz_offset_minutes"]),
            sheet: sheet(view, &seen),
            receipt: receipt(view, &seen),
            freshness: instant(freshness.as_of),
            is_pending: freshness.pending,
            coming_zone,
            wanted_zone: asked_zone.unwrap_or_default().to_owned(),
            url: url.to_owned(),
            is_by: seen.chart.bars_are.as_str(),
            own_path: view.path(),
            heading,
            seen,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::unused_self,
    reason = "a template calls methods, and hands them references"
)]
impl UsagePage {
    /// All digits.
    fn digits(&self, number: &usize) -> String {
        exact(u128::try_from(*number).unwrap_or_default())
    }

    /// All digits.
    fn grouped(&self, number: &u128) -> String {
        exact(*number)
    }

    /// An hour of the clock.
    fn clock(&self, hour: &usize) -> String {
        format!("{hour:02}:00")
    }

    /// A day in words.
    fn in_words(&self, day: &NaiveDate) -> String {
        in_words(*day)
    }

    /// An instant in words.
    fn instant(&self, at: &DateTime<Utc>) -> String {
        instant(*at)
    }
}

/// Those that the range is not too long for.
fn widths(view: &UsageView, seen: &Overview) -> Vec<Choice> {
    if view.scene == Scene::Day {
        return Vec::new();
    }
    let days = seen.to.signed_duration_since(seen.from).num_days() + 1;
    let all = [BarWidth::HalfHour, BarWidth::Hour, BarWidth::Day, BarWidth::Week, BarWidth::Month];
    let fitting = all.into_iter().filter(|width| width.most_days().is_none_or(|most| days <= most));
    let choice = |width: BarWidth| {
        let link = view.link(view.path(), &[("width", Some(width.parameter()))]);
        (width.as_str(), link, width == seen.chart.bars_are)
    };
    fitting.map(choice).collect()
}

/// What a page is about is one thing, and not told apart.
fn groups(view: &UsageView) -> Vec<Choice> {
    let all = [
        ("model", Dimension::Model, Scene::Model),
        ("tool", Dimension::Tool, Scene::Tool),
        ("device", Dimension::Device, Scene::Device),
    ];
    let others = all.into_iter().filter(|(_, _, scene)| *scene != view.scene);
    others
        .map(|(word, dimension, _)| (word, view.link(view.path(), &[("group", Some(word))]), view.group == dimension))
        .collect()
}

/// The parameter by which a page names what it is about.
const fn subject_of(scene: Scene) -> &'static str {
    match scene {
        Scene::Model => "model",
        Scene::Tool => "source",
        Scene::Device => "device_id",
        Scene::Everything | Scene::Day => "",
    }
}

fn days_beside(view: &UsageView, seen: &Overview) -> Option<(String, String)> {
    let link = |day: NaiveDate| view.link("/day", &[("day", Some(&day.to_string()))]);
    (view.scene == Scene::Day).then(|| {
        let [before, after] = [seen.from.pred_opt(), seen.from.succ_opt()];
        (link(before.unwrap_or(seen.from)), link(after.unwrap_or(seen.from)))
    })
}

/// The same numbers as a sheet.
fn sheet(view: &UsageView, seen: &Overview) -> String {
    let width = (view.scene != Scene::Day && view.asked("width").is_some()).then(|| seen.chart.bars_are.parameter());
    view.link("/usage.csv", &[("sort", None), ("order", None), ("most", None), ("width", width)])
}

/// The receipt of the same range and filters.
fn receipt(view: &UsageView, seen: &Overview) -> String {
    let (from, to) = (seen.from.to_string(), seen.to.to_string());
    let mut changes: Vec<_> =
        ["day", "group", "most", "order", "sort", "week_start", "width"].map(|name| (name, None)).into();
    if view.scene == Scene::Day {
        changes.extend([("last", None), ("from", Some(from.as_str())), ("to", Some(to.as_str()))]);
    }
    view.link("/receipt", &changes)
}
