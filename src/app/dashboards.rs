//! How dashboards of other products get their numbers: the slice that owns the rollups sums, and accounts gives link codes
//! and knows when devices were heard of. The composition root hands that over.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::features::accounts::Accounts;
use crate::features::dashboard_rollup::{
    DayRange, Filters, GroupBy, IntervalSums, KnownSpans, LaterStart, OpenSnapshot, RankBy, RankedAnswer, RankedRow,
    ReceiptLine, UsageAnswers, WeekStart, WholeRequest, WholeSums, Width,
};
use crate::features::speaks_vibeusage::{DeviceDoor, StandingCode};
use crate::kernel::bucket::{Model, Source};
use crate::kernel::call::RequestContext;
use crate::kernel::dashboards::{
    AnsweredSums, Dimension, Freshness, HoursOfWeek, LaterBegin, PartDays, PartSums, PricedBook, PricedLine,
    RankedGroup, RankedSums, Ranking, ReceiptPart, ReceiptSums, SumWidth, SumsGroup, SumsInterval, SumsPart,
    SumsQuestion, UsageSums,
};
use crate::kernel::money::Cost;
use crate::kernel::problem::Problem;

/// A page of a receipt has so many tools, models and rates. Each has a line for each class of its tokens.
const ON_A_PAGE: usize = 200;

/// What answers questions about sums.
pub(crate) fn sums_with(answers: UsageAnswers) -> UsageSums {
    UsageSums::new(move |context, user_id, question| sums(answers.clone(), context, user_id, question))
}

/// What accounts can do for a tracker's protocol.
pub(crate) fn devices_with(accounts: &Accounts) -> DeviceDoor {
    let (link_codes, devices) = (accounts.link_codes.clone(), accounts.devices.clone());
    DeviceDoor::new(
        move |context, actor, user_id| {
            let link_codes = link_codes.clone();
            Box::pin(async move {
                let made = link_codes.standing(&context, actor, user_id).await?;
                Ok(StandingCode { code: made.code.reveal(), expires_at: made.expires_at })
            })
        },
        move |context, user_id| {
            let devices = devices.clone();
            Box::pin(async move { devices.last_heard(&context, user_id).await })
        },
    )
}

fn sums(
    answers: UsageAnswers,
    context: RequestContext,
    user_id: Uuid,
    question: SumsQuestion,
) -> BoxFuture<'static, Result<AnsweredSums, Problem>> {
    let answered = async move {
        let zone = question.zone.as_ref().map(|zone| zone.name.clone());
        let asked = question.filters.clone();
        let filters = Filters { sources: asked.sources, models: asked.models, devices: asked.devices };
        let request = WholeRequest { time_zone: zone, filters: filters.clone() }.checked()?;
        let snapshot = answers.open(&context, user_id, request).await?;
        let asked = Arc::new((filters, question));
        let answered = snapshot.answer_with(|snapshot| {
            let asked = asked.clone();
            async move { read(snapshot, &asked.0, &asked.1).await }.boxed()
        });
        Ok(answered.await?.answer)
    };
    answered.boxed()
}

async fn read(
    snapshot: &mut OpenSnapshot<WholeRequest>,
    filters: &Filters,
    question: &SumsQuestion,
) -> Result<AnsweredSums, Problem> {
    let book = snapshot.book().await?;
    let mut spans = KnownSpans::default();
    let mut rankings = Vec::with_capacity(question.rankings.len());
    for ranking in &question.rankings {
        let mut found = match shortened(question, &rankings, ranking) {
            Some(found) => found,
            None => ranked(snapshot, ranking).await?,
        };
        if ranking.with_cost && book.is_some() {
            add_costs(snapshot, filters, ranking, &mut found, &mut spans).await?;
        }
        rankings.push(found);
    }
    let mut parts = Vec::with_capacity(question.parts.len());
    for part in &question.parts {
        let narrowed = match part.of_ranking.and_then(|at| Some((question.rankings.get(at)?, rankings.get(at)?))) {
            Some((ranking, found)) => narrowed(filters, ranking.dimension, found),
            None => Some(filters.clone()),
        };
        parts.push(summed(snapshot, part, narrowed.as_ref(), &mut spans).await?);
    }
    let hours_of_week = match question.hours_of_week {
        Some(days) => Some(hours_of_week(snapshot, days).await?),
        None => None,
    };
    let receipt = match question.receipt {
        Some(asked) => Some(receipt(snapshot, asked).await?),
        None => None,
    };
    let state = snapshot.state();
    Ok(AnsweredSums {
        today: state.today(),
        freshness: Freshness { as_of: state.as_of(), pending: state.pending(), version: state.version() },
        zone: state.time_zone().to_owned(),
        prices: book.map(|(book, dated)| PricedBook { book, dated, pending: state.pending_book() }),
        parts,
        rankings,
        hours_of_week,
        receipt,
    })
}

/// The days of a part of a question, now that it is known which day is today.
fn resolved(snapshot: &OpenSnapshot<WholeRequest>, days: PartDays) -> Result<DayRange, Problem> {
    let (from, to) = days.resolve(snapshot.state().today())?;
    Ok(DayRange { from, to })
}

/// The beginning of a longer ranking that was found already, without its costs: what has most tokens comes first in both.
fn shortened(question: &SumsQuestion, found: &[RankedSums], ranking: &Ranking) -> Option<RankedSums> {
    let is_longer = |known: &Ranking| {
        (known.days, known.dimension) == (ranking.days, ranking.dimension) && known.most >= ranking.most
    };
    let (_, found) = question.rankings.iter().zip(found).find(|(known, _)| is_longer(known))?;
    let groups = found.groups.iter().take(usize::from(ranking.most));
    let groups = groups.map(|group| RankedGroup { cost: Cost::default(), ..group.clone() }).collect();
    Some(RankedSums { groups, ..*found })
}

async fn ranked(snapshot: &mut OpenSnapshot<WholeRequest>, ranking: &Ranking) -> Result<RankedSums, Problem> {
    let days = resolved(snapshot, ranking.days)?;
    let by = match ranking.dimension {
        Dimension::Tool => RankBy::Source,
        Dimension::Model => RankBy::Model,
        Dimension::Device => RankBy::Device,
    };
    let RankedAnswer { count, tokens, groups } = snapshot.ranked(days, by, ranking.most).await?;
    let ranked = |group: RankedRow| RankedGroup { name: group.name, tokens: group.tokens, cost: Cost::default() };
    Ok(RankedSums { count, tokens, groups: groups.into_iter().map(ranked).collect() })
}

/// Adds what each group of a ranking cost: by the same sums that its days and months are made of.
async fn add_costs(
    snapshot: &mut OpenSnapshot<WholeRequest>,
    filters: &Filters,
    ranking: &Ranking,
    found: &mut RankedSums,
    spans: &mut KnownSpans,
) -> Result<(), Problem> {
    let Some(filters) = narrowed(filters, ranking.dimension, found) else { return Ok(()) };
    let (days, dimension) = (resolved(snapshot, ranking.days)?, ranking.dimension);
    let group_by = GroupBy {
        source: dimension == Dimension::Tool,
        model: dimension == Dimension::Model,
        device: dimension == Dimension::Device,
    };
    let asked = WholeSums { days, width: Width::Month, group_by, fills: false };
    let mut costs: HashMap<String, Cost> = HashMap::new();
    for group in snapshot.sums_among(&asked, &filters, spans).await?.into_iter().flat_map(|interval| interval.groups) {
        let name = match dimension {
            Dimension::Tool => group.key.source,
            Dimension::Model => group.key.model,
            Dimension::Device => group.key.device.to_string(),
        };
        let known = costs.entry(name).or_default();
        *known = *known + group.priced.cost;
    }
    for group in &mut found.groups {
        group.cost = costs.get(&group.name).copied().unwrap_or_default();
    }
    Ok(())
}

/// Filters that let through what a ranking lists; `None` where it lists nothing.
fn narrowed(filters: &Filters, dimension: Dimension, found: &RankedSums) -> Option<Filters> {
    let names = found.groups.iter().map(|group| group.name.as_str());
    let mut narrowed = filters.clone();
    match dimension {
        Dimension::Tool => narrowed.sources = names.filter_map(Source::parse).collect(),
        Dimension::Model => narrowed.models = names.filter_map(|name| Model::parse(name).ok()).collect(),
        Dimension::Device => narrowed.devices = names.filter_map(|id| Uuid::try_parse(id).ok()).collect(),
    }
    (!found.groups.is_empty()).then_some(narrowed)
}

async fn summed(
    snapshot: &mut OpenSnapshot<WholeRequest>,
    part: &SumsPart,
    filters: Option<&Filters>,
    spans: &mut KnownSpans,
) -> Result<PartSums, Problem> {
    let days = resolved(snapshot, part.days)?;
    let before = || days.before().ok_or_else(|| Problem::internal("no range is before the first day of all"));
    let days = if part.is_before { before()? } else { days };
    let wide = part.most_of_clock.map_or(part.width, |most| part.width.fitting(days.days(), most));
    let asked = WholeSums {
        days,
        width: width(wide),
        group_by: GroupBy { source: part.apart.by_source, model: part.apart.by_model, device: part.apart.by_device },
        fills: part.fills,
    };
    let intervals = match filters {
        Some(filters) => snapshot.sums_among(&asked, filters, spans).await?,
        None => Vec::new(),
    };
    let intervals = intervals.into_iter().map(interval).collect();
    Ok(PartSums { from: days.from, to: days.to, width: wide, intervals })
}

async fn hours_of_week(snapshot: &mut OpenSnapshot<WholeRequest>, days: PartDays) -> Result<HoursOfWeek, Problem> {
    let days = resolved(snapshot, days)?;
    let found = snapshot.week_hours(days).await?;
    let begins_later = found.later.map(|later| match later {
        LaterStart::TooMany(from) => LaterBegin::TooMany(from),
        LaterStart::Removed(before) => LaterBegin::Removed(before),
    });
    Ok(HoursOfWeek { from: days.from, to: days.to, tokens: found.tokens, begins_later })
}

async fn receipt(snapshot: &mut OpenSnapshot<WholeRequest>, asked: ReceiptPart) -> Result<ReceiptSums, Problem> {
    let days = resolved(snapshot, asked.days)?;
    let before = usize::from(asked.page.saturating_sub(1)) * ON_A_PAGE;
    let sheet = snapshot.receipt(days, before, ON_A_PAGE).await?;
    Ok(ReceiptSums {
        from: days.from,
        to: days.to,
        tokens: sheet.totals.sums.total_tokens,
        cost: sheet.totals.cost,
        count: sheet.count,
        before,
        listed: sheet.listed,
        lines: sheet.lines.into_iter().map(priced_line).collect(),
    })
}

fn priced_line(line: ReceiptLine) -> PricedLine {
    let (valid_from, valid_to) = line.validity();
    let rate = line.rate.as_ref();
    PricedLine {
        source: line.source,
        model: line.model,
        sku: line.matched.sku,
        rule: line.matched.rule,
        rate_id: rate.map(|(id, _)| *id),
        tier: rate.map(|(_, rate)| rate.tier.clone()),
        class: line.class,
        tokens: line.tokens,
        price: line.price,
        valid_from,
        valid_to,
        evidence: rate.map(|(_, rate)| rate.evidence.clone()),
    }
}

const fn width(width: SumWidth) -> Width {
    match width {
        SumWidth::HalfHour => Width::HalfHour,
        SumWidth::Hour => Width::Hour,
        SumWidth::Day => Width::Day,
        SumWidth::Week(chrono::Weekday::Sun) => Width::Week(WeekStart::Sunday),
        SumWidth::Week(_) => Width::Week(WeekStart::Monday),
        SumWidth::Month => Width::Month,
    }
}

fn interval(IntervalSums { span, groups }: IntervalSums) -> SumsInterval {
    let groups = groups.into_iter().map(|group| SumsGroup {
        source: group.key.source,
        model: group.key.model,
        device_id: group.key.device,
        sums: group.priced.sums.of_counters,
        cost: group.priced.cost,
    });
    let (local_start, starts_at, ends_at) = (span.local_start, span.starts_at, span.ends_at);
    SumsInterval { local_start, starts_at, ends_at, groups: groups.collect() }
}
