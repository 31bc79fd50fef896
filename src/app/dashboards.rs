//! How dashboards of other products get their numbers: the slice that owns the rollups sums, and accounts gives link codes
//! and knows when devices were heard of. The composition root hands that over.

use uuid::Uuid;

use crate::features::accounts::Accounts;
use crate::features::dashboard_rollup::{
    DayRange, Filters, GroupBy, IntervalSums, OpenSnapshot, RankBy, RankedAnswer, UsageAnswers, WeekStart,
    WholeRequest, WholeSums, Width,
};
use crate::features::speaks_vibeusage::{DeviceDoor, StandingCode};
use crate::kernel::bucket::{Model, Source};
use crate::kernel::call::RequestContext;
use crate::kernel::dashboards::{
    AnsweredSums, Dimension, Freshness, PartSums, RankedGroup, RankedSums, Ranking, SumWidth, SumsGroup, SumsInterval,
    SumsPart, SumsQuestion, UsageSums,
};
use crate::kernel::problem::Problem;

/// What answers questions about sums.
pub(crate) fn sums_with(answers: UsageAnswers) -> UsageSums {
    UsageSums::new(move |context, user_id, question| {
        let answers = answers.clone();
        Box::pin(async move { sums(&answers, &context, user_id, question).await })
    })
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

async fn sums(
    answers: &UsageAnswers,
    context: &RequestContext,
    user_id: Uuid,
    question: SumsQuestion,
) -> Result<AnsweredSums, Problem> {
    let SumsQuestion { zone, filters, parts, rankings } = question;
    let filters = Filters { sources: filters.sources, models: filters.models, devices: filters.devices };
    let request = WholeRequest { time_zone: zone.map(|zone| zone.name), filters: filters.clone() }.checked()?;
    let mut snapshot = answers.open(context, user_id, request).await?;
    let summed = read(&mut snapshot, &filters, &parts, &rankings).await;
    let answered = snapshot.close(summed).await?;
    let (state, (parts, rankings)) = (answered.state, answered.answer);
    let freshness = Freshness { as_of: state.as_of(), pending: state.pending(), version: state.version() };
    Ok(AnsweredSums { today: state.today(), freshness, zone: state.time_zone().to_owned(), parts, rankings })
}

async fn read(
    snapshot: &mut OpenSnapshot<WholeRequest>,
    filters: &Filters,
    parts: &[SumsPart],
    rankings: &[Ranking],
) -> Result<(Vec<PartSums>, Vec<RankedSums>), Problem> {
    let mut ranked = Vec::with_capacity(rankings.len());
    for ranking in rankings {
        let (from, to) = ranking.days.resolve(snapshot.state().today())?;
        let by = match ranking.dimension {
            Dimension::Tool => RankBy::Source,
            Dimension::Model => RankBy::Model,
            Dimension::Device => RankBy::Device,
        };
        ranked.push(ranked_sums(snapshot.ranked(DayRange { from, to }, by, ranking.most).await?));
    }
    let mut all = Vec::with_capacity(parts.len());
    for part in parts {
        let narrowed = match part.of_ranking.and_then(|at| Some((rankings.get(at)?, ranked.get(at)?))) {
            Some((ranking, found)) => narrowed(filters, ranking.dimension, found),
            None => Some(filters.clone()),
        };
        all.push(summed(snapshot, part, narrowed.as_ref()).await?);
    }
    Ok((all, ranked))
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
) -> Result<PartSums, Problem> {
    let (from, to) = part.days.resolve(snapshot.state().today())?;
    let days = DayRange { from, to };
    let before = || days.before().ok_or_else(|| Problem::internal("no range is before the first day of all"));
    let days = if part.is_before { before()? } else { days };
    let asked = WholeSums {
        days,
        width: width(part.width),
        group_by: GroupBy { source: part.apart.by_source, model: part.apart.by_model, device: part.apart.by_device },
        fills: part.fills,
    };
    let intervals = match filters {
        Some(filters) => snapshot.sums_among(&asked, filters).await?,
        None => Vec::new(),
    };
    Ok(PartSums { from: days.from, to: days.to, intervals: intervals.into_iter().map(interval).collect() })
}

fn ranked_sums(answer: RankedAnswer) -> RankedSums {
    let groups = answer.groups.into_iter().map(|group| RankedGroup { name: group.name, tokens: group.tokens });
    RankedSums { count: answer.count, tokens: answer.tokens, groups: groups.collect() }
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
    });
    let (local_start, starts_at, ends_at) = (span.local_start, span.starts_at, span.ends_at);
    SumsInterval { local_start, starts_at, ends_at, groups: groups.collect() }
}
