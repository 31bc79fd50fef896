//! The stacked bars of a page: what is told apart in each interval, and the table of the same numbers.

use std::collections::HashMap;

use chrono::{NaiveDate, SecondsFormat};

use super::naming::{DeviceNames, called, in_words, last_day, page_of};
use super::price::Price;
use super::request::{BarWidth, Scene, UsageView};
use super::stack::{BarPart, HEIGHT, PLACE, bar_parts, round_above};
use crate::features::dashboard_page::look::{exact, short};
use crate::kernel::dashboards::{Dimension, PartSums, RankedSums, SumsGroup, SumsInterval};

/// What is told apart, with its colour.
#[derive(Clone, Debug)]
pub struct Key {
    /// The colour: 0 to 5, and 6 for the rest.
    pub colour: usize,
    /// Its name.
    pub name: String,
    /// Where its page is; the rest has none.
    pub href: Option<String>,
    /// Its tokens in the range.
    pub tokens: u128,
}

/// A part of a bar.
#[derive(Clone, Copy, Debug)]
pub struct ColouredPart {
    /// Its colour.
    pub colour: usize,
    /// Its place.
    pub part: BarPart,
}

/// One interval.
#[derive(Clone, Debug)]
pub struct ChartBar {
    /// Where it is.
    pub x: u32,
    /// When it is, in words.
    pub label: String,
    /// When it begins, in UTC.
    pub starts_at: String,
    /// Where it is shown more closely.
    pub href: Option<String>,
    /// Its tokens.
    pub tokens: u128,
    /// In all digits.
    pub exact: String,
    /// What is told apart in it, in the order of the keys: tokens and all digits.
    pub apart: Vec<(u128, String)>,
    /// What is drawn.
    pub parts: Vec<ColouredPart>,
    /// What its tokens cost, where there is a book.
    pub price: Option<Price>,
}

impl ChartBar {
    /// What a key stands for in it: tokens and all digits.
    pub fn of(&self, key: &Key) -> (u128, String) {
        let rest = self.apart.len().saturating_sub(1);
        self.apart.get(key.colour.min(rest)).cloned().unwrap_or_default()
    }
}

/// All bars.
#[derive(Clone, Debug)]
pub struct BarChart {
    /// What an interval is.
    pub bars_are: BarWidth,
    /// How wide the drawing is.
    pub width: u32,
    /// How high.
    pub height: u32,
    /// The bars, ascending.
    pub bars: Vec<ChartBar>,
    /// The same in the order of the table.
    pub rows: Vec<usize>,
    /// What is told apart.
    pub keys: Vec<Key>,
    /// Where the axis ends, and its middle.
    pub axis: (String, String),
    /// What one sees, in a sentence.
    pub summary: String,
    /// The first and the last label, and one between.
    pub ticks: Vec<String>,
}

impl BarChart {
    /// The bars in the order of the table.
    pub fn in_order(&self) -> Vec<&ChartBar> {
        self.rows.iter().filter_map(|row| self.bars.get(*row)).collect()
    }
}

/// Draws what was answered, with what it cost where that means anything.
pub fn chart(
    view: &UsageView,
    (whole, apart): (&PartSums, &PartSums),
    ranking: &RankedSums,
    names: &DeviceNames,
    has_prices: bool,
) -> BarChart {
    let bars_are = BarWidth::of(whole.width);
    let order: Vec<&str> =
        ranking.groups.iter().filter(|group| group.tokens.0 > 0).map(|group| group.name.as_str()).collect();
    let by_start: HashMap<_, &SumsInterval> =
        apart.intervals.iter().map(|interval| (interval.starts_at, interval)).collect();
    let most = whole.intervals.iter().map(|interval| interval.totals().total_sum()).max().unwrap_or_default();
    let top = round_above(most);
    let bars = (0_u32..).zip(&whole.intervals).map(|(place, interval)| {
        let mut values = vec![0_u128; order.len() + 1];
        let total = interval.totals().total_sum();
        for group in by_start.get(&interval.starts_at).into_iter().flat_map(|apart| &apart.groups) {
            let name = group_name(group, view.group);
            if let Some(at) = order.iter().position(|known| *known == name) {
                values[at] = group.sums.total_sum();
            }
        }
        let known: u128 = values.iter().sum();
        values[order.len()] = total.saturating_sub(known);
        let price = has_prices.then(|| Price::of(&interval.cost()));
        ChartBar { price, ..bar(view, whole, interval, place, &values, top) }
    });
    let bars: Vec<ChartBar> = bars.collect();
    let mut rows: Vec<usize> = (0..bars.len()).collect();
    if view.by_tokens {
        rows.sort_by_key(|row| std::cmp::Reverse(bars[*row].tokens));
    }
    let keys = keys(view, ranking, &order, names);
    BarChart {
        width: u32::try_from(bars.len()).unwrap_or_default().max(1) * PLACE,
        height: HEIGHT,
        summary: summary(&bars, bars_are),
        bars_are,
        ticks: ticks(&bars),
        axis: axis(most, top),
        rows,
        keys,
        bars,
    }
}

fn group_name(group: &SumsGroup, by: Dimension) -> String {
    match by {
        Dimension::Tool => group.source.clone(),
        Dimension::Model => group.model.clone(),
        Dimension::Device => group.device_id.to_string(),
    }
}

fn bar(
    view: &UsageView,
    whole: &PartSums,
    interval: &SumsInterval,
    place: u32,
    values: &[u128],
    top: u128,
) -> ChartBar {
    let total: u128 = values.iter().sum();
    let last = values.len() - 1;
    let parts = values.iter().zip(bar_parts(values, top)).enumerate().map(|(at, (_, part))| {
        let colour = if at == last { 6 } else { at };
        ColouredPart { colour, part }
    });
    let first = interval.local_start.date().max(whole.from);
    let bars_are = BarWidth::of(whole.width);
    let to = last_day(bars_are, interval.local_start.date(), whole.to);
    ChartBar {
        x: place * PLACE,
        label: label(view.scene, bars_are, interval, first, to),
        starts_at: interval.starts_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        href: closer(view, bars_are, first, to),
        price: None,
        tokens: total,
        exact: exact(total),
        apart: values.iter().map(|value| (*value, exact(*value))).collect(),
        parts: parts.filter(|part| part.part.height > 0).collect(),
    }
}

fn label(scene: Scene, width: BarWidth, interval: &SumsInterval, first: NaiveDate, to: NaiveDate) -> String {
    match width {
        BarWidth::HalfHour if scene == Scene::Day => interval.local_start.format("%H:%M").to_string(),
        BarWidth::HalfHour | BarWidth::Hour => interval.local_start.format("%a %-d %b, %H:%M").to_string(),
        BarWidth::Day => in_words(first),
        BarWidth::Week | BarWidth::Month => format!("{} – {}", first.format("%-d %b"), to.format("%-d %b %Y")),
    }
}

/// A day, and an hour of it, is shown on the page of the day, and what is longer by day.
fn closer(view: &UsageView, bars_are: BarWidth, first: NaiveDate, to: NaiveDate) -> Option<String> {
    let (first, to) = (first.to_string(), to.to_string());
    match bars_are {
        _ if view.scene == Scene::Day => None,
        BarWidth::HalfHour | BarWidth::Hour | BarWidth::Day => {
            let without = ["last", "from", "to", "width", "order", "week_start"].map(|name| (name, None));
            Some(view.link("/day", &[without.as_slice(), &[("day", Some(first.as_str()))]].concat()))
        }
        BarWidth::Week | BarWidth::Month => {
            let changes = [("last", None), ("width", None), ("from", Some(first.as_str())), ("to", Some(to.as_str()))];
            Some(view.link(view.path(), &changes))
        }
    }
}

fn keys(view: &UsageView, ranking: &RankedSums, order: &[&str], names: &DeviceNames) -> Vec<Key> {
    let shown = ranking.groups.iter().filter(|group| group.tokens.0 > 0);
    let mut keys: Vec<Key> = shown
        .enumerate()
        .map(|(colour, group)| Key {
            colour,
            name: called(view.group, &group.name, names),
            href: Some(page_of(view, view.group, &group.name)),
            tokens: group.tokens.0,
        })
        .collect();
    let known: u128 = keys.iter().map(|key| key.tokens).sum();
    let rest = ranking.tokens.0.saturating_sub(known);
    if rest > 0 {
        let others = ranking.count.saturating_sub(u64::try_from(order.len()).unwrap_or_default());
        let name = format!("the other {}", exact(others.into()));
        keys.push(Key { colour: 6, name, href: None, tokens: rest });
    }
    keys
}

/// Where the axis ends, and its middle. Nothing has no axis.
fn axis(most: u128, top: u128) -> (String, String) {
    let named = |number: u128| if most == 0 || number == 0 { String::new() } else { short(number) };
    (named(top), if top.is_multiple_of(2) { named(top / 2) } else { String::new() })
}

fn ticks(bars: &[ChartBar]) -> Vec<String> {
    match bars {
        [] => Vec::new(),
        [only] => vec![only.label.clone()],
        [first, .., last] => vec![first.label.clone(), bars[bars.len() / 2].label.clone(), last.label.clone()],
    }
}

fn summary(bars: &[ChartBar], width: BarWidth) -> String {
    let Some(most) = bars.iter().filter(|bar| bar.tokens > 0).max_by_key(|bar| bar.tokens) else {
        return "No tokens in this range.".to_owned();
    };
    let used = bars.iter().filter(|bar| bar.tokens > 0).count();
    format!(
        "{used} of {} have usage, by {}; the most is {} tokens: {}.",
        bars.len(),
        width.as_str(),
        most.exact,
        most.label
    )
}
