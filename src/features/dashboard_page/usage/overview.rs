//! What a page of usage shows, made of what was answered.

use chrono::{DateTime, NaiveDate, Utc};

use super::bars::{BarChart, chart};
use super::heat::Heat;
use super::naming::DeviceNames;
use super::price::{Price, price_change};
use super::punch::PunchCard;
use super::ranks::{RankList, ranked};
use super::request::{BarWidth, Scene, UsageView};
use crate::features::dashboard_page::doors::PageDevice;
use crate::features::dashboard_page::look::{change, exact, short};
use crate::kernel::bucket::PerCounter;
use crate::kernel::dashboards::{AnsweredSums, Dimension, Freshness, PartSums, PricedBook};
use crate::kernel::money::Cost;
use crate::kernel::problem::Problem;

/// Whoever has not been heard of for so long may have been forgotten.
const STALE_AFTER_DAYS: i64 = 3;

/// A number of the head, beside the range before.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it counts.
    pub label: &'static str,
    /// What it means.
    pub hint: &'static str,
    /// The number.
    pub value: u128,
    /// In three digits.
    pub short: String,
    /// In all digits.
    pub exact: String,
    /// Beside the range before.
    pub change: String,
    /// Of the range before, in all digits.
    pub before: String,
}

impl Figure {
    fn new(label: &'static str, hint: &'static str, value: u128, before: u128) -> Self {
        Self {
            label,
            hint,
            value,
            short: short(value),
            exact: exact(value),
            change: change(value, before),
            before: exact(before),
        }
    }
}

/// What the range costs at list prices, beside the range before.
#[derive(Clone, Debug)]
pub struct PriceFigure {
    /// What it costs.
    pub price: Price,
    /// Beside the range before, where both can be compared.
    pub change: Option<String>,
    /// Of the range before, in all digits.
    pub before: String,
    /// The book that all prices are in.
    pub book: PricedBook,
}

/// A device and how it is.
#[derive(Clone, Debug)]
pub struct DeviceState {
    /// Where its page is.
    pub href: String,
    /// Its name.
    pub name: String,
    /// What it runs.
    pub platform: String,
    /// In which protocol it reports.
    pub speaks: Option<String>,
    /// When it last called.
    pub seen: Option<DateTime<Utc>>,
    /// Whether that is long ago.
    pub is_stale: bool,
    /// How many of its snapshots replaced nothing.
    pub kept: Option<String>,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
    /// The range before.
    pub before: (NaiveDate, NaiveDate),
    /// The zone whose days these are.
    pub zone: String,
    /// How fresh it is.
    pub freshness: Freshness,
    /// The numbers of the head.
    pub figures: Vec<Figure>,
    /// What it costs, where there is a book.
    pub price: Option<PriceFigure>,
    /// The bars.
    pub chart: BarChart,
    /// Why bars are wider than was asked for.
    pub widened: Option<String>,
    /// The hours of the week, where they are shown.
    pub punch: Option<PunchCard>,
    /// The year, where it is shown.
    pub heat: Option<Heat>,
    /// Models, tools and devices.
    pub lists: Vec<RankList>,
    /// The devices that may post.
    pub devices: Vec<DeviceState>,
    /// Whether there was ever any usage.
    pub has_usage: bool,
}

/// Puts it together. Errors: 500 where something else was answered than was asked for.
pub fn overview(
    view: &UsageView,
    answered: AnsweredSums,
    devices: &[PageDevice],
    now: DateTime<Utc>,
) -> Result<Overview, Problem> {
    let AnsweredSums { freshness, zone, parts, rankings, prices, hours_of_week, .. } = answered;
    let mut parts = parts.into_iter();
    let mut next = || parts.next().ok_or_else(|| Problem::internal("a part of the page was not answered"));
    let (whole, apart, before) = (next()?, next()?, next()?);
    let year = next().ok();
    let [tools, models, used_devices, told_apart] = <[_; 4]>::try_from(rankings)
        .map_err(|rankings| Problem::internal(format!("{} rankings were answered", rankings.len())))?;
    let names: DeviceNames = devices.iter().map(|device| (device.device_id.to_string(), device.name.clone())).collect();
    let heat = year.as_ref().map(|year| heat(year, prices.is_some()));
    let cost = prices.map(|_| whole.cost());
    let has_usage = whole.totals().total_sum() > 0
        || before.totals().total_sum() > 0
        || heat.as_ref().is_some_and(|heat| heat.active_days > 0);
    let lists = [(Dimension::Model, models), (Dimension::Tool, tools), (Dimension::Device, used_devices)];
    let is_subject = |dimension| match view.scene {
        Scene::Tool => dimension == Dimension::Tool,
        Scene::Model => dimension == Dimension::Model,
        Scene::Device => dimension == Dimension::Device,
        Scene::Everything | Scene::Day => false,
    };
    let lists = lists.into_iter().filter(|(dimension, _)| !is_subject(*dimension));
    Ok(Overview {
        from: whole.from,
        to: whole.to,
        before: (before.from, before.to),
        zone,
        freshness,
        figures: figures(&whole.totals(), &before.totals()),
        price: prices.map(|book| price_figure(book, &whole.cost(), &before.cost())),
        lists: lists.map(|(dimension, sums)| ranked(view, dimension, sums, &names, cost)).collect(),
        chart: chart(view, (&whole, &apart), &told_apart, &names, prices.is_some()),
        widened: widened(view.width, BarWidth::of(whole.width)),
        punch: hours_of_week.map(|hours| PunchCard::of(&hours, view.week_start)),
        heat,
        devices: states(view, devices, now),
        has_usage,
    })
}

fn price_figure(book: PricedBook, now: &Cost, before: &Cost) -> PriceFigure {
    let (price, change) = (Price::of(now), price_change(now, before));
    PriceFigure { price, change, before: Price::of(before).whole(), book }
}

/// What is said where bars are wider than was asked for.
fn widened(asked: BarWidth, shown: BarWidth) -> Option<String> {
    let most = asked.most_days().filter(|_| asked != shown)?;
    let (asked, shown) = (asked.as_str(), shown.as_str());
    Some(format!("Bars by {asked} are for at most {most} days. This range is longer, and has bars by {shown}."))
}

/// What a range costs stands behind the first of them.
fn figures(now: &PerCounter<u128>, before: &PerCounter<u128>) -> Vec<Figure> {
    let written = |sums: &PerCounter<u128>| sums.cache_write_5m_tokens + sums.cache_write_1h_tokens;
    let mut figures = vec![
        Figure::new("Tokens", "Everything below but the requests.", now.total_sum(), before.total_sum()),
        Figure::new("Input", "Uncached input.", now.input_tokens, before.input_tokens),
        Figure::new("Cache read", "Input served from a prompt cache.", now.cache_read_tokens, before.cache_read_tokens),
        Figure::new("Cache write", "Input written to a prompt cache.", written(now), written(before)),
        Figure::new("Output", "All output, with reasoning.", now.output_tokens, before.output_tokens),
        Figure::new(
            "Requests",
            "Requests to a model, where the tool counts them.",
            now.request_count,
            before.request_count,
        ),
    ];
    if now.unclassified_tokens > 0 || before.unclassified_tokens > 0 {
        let (now, before) = (now.unclassified_tokens, before.unclassified_tokens);
        figures.insert(5, Figure::new("Unclassified", "Reported only as a total.", now, before));
    }
    figures
}

fn heat(year: &PartSums, has_prices: bool) -> Heat {
    let days = year.intervals.iter().map(|day| (day.local_start.date(), day.totals().total_sum()));
    let mut heat = Heat::of(&days.collect::<Vec<_>>());
    if has_prices {
        for (cell, day) in heat.cells.iter_mut().zip(&year.intervals) {
            cell.price = Some(Price::of(&day.cost()));
        }
    }
    heat
}

fn states(view: &UsageView, devices: &[PageDevice], now: DateTime<Utc>) -> Vec<DeviceState> {
    let active = devices.iter().filter(|device| device.revoked_at.is_none());
    let state = |device: &PageDevice| DeviceState {
        href: view.link("/device", &[("device_id", Some(&device.device_id.to_string())), ("day", None)]),
        name: device.name.clone(),
        platform: device.platform.clone(),
        speaks: device.speaks.clone(),
        seen: device.last_used_at,
        is_stale: device.last_used_at.is_some_and(|seen| (now - seen).num_days() >= STALE_AFTER_DAYS),
        kept: u128::try_from(device.kept).ok().filter(|kept| *kept > 0).map(exact),
    };
    active.map(state).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_that_are_wider_than_was_asked_for_say_so() {
        let said = widened(BarWidth::HalfHour, BarWidth::Hour).unwrap();
        assert_eq!(said, "Bars by half hour are for at most 7 days. This range is longer, and has bars by hour.");
        assert!(widened(BarWidth::Hour, BarWidth::Day).unwrap().contains("at most 14 days"));
        for same in [BarWidth::HalfHour, BarWidth::Hour, BarWidth::Day, BarWidth::Week, BarWidth::Month] {
            assert_eq!(widened(same, same), None);
        }
    }
}
