//! How dashboards of other products get their numbers: the slice that owns the rollups sums, and accounts gives link codes
//! and knows when devices were heard of. The composition root hands that over.

use uuid::Uuid;

use crate::features::accounts::Accounts;
use crate::features::dashboard_rollup::{
    DayRange, Filters, GroupBy, IntervalSums, OpenSnapshot, UsageAnswers, WholeRequest, WholeSums, Width,
};
use crate::features::speaks_vibeusage::{DeviceDoor, StandingCode};
use crate::kernel::call::RequestContext;
use crate::kernel::dashboards::{
    AnsweredSums, Freshness, PartSums, SumWidth, SumsGroup, SumsInterval, SumsPart, SumsQuestion, UsageSums,
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
    let SumsQuestion { zone, filters, parts } = question;
    let filters = Filters { sources: filters.sources, models: filters.models, devices: filters.devices };
    let request = WholeRequest { time_zone: zone.map(|zone| zone.name), filters }.checked()?;
    let mut snapshot = answers.open(context, user_id, request).await?;
    let summed = summed(&mut snapshot, &parts).await;
    let answered = snapshot.close(summed).await?;
    let state = answered.state;
    let freshness = Freshness { as_of: state.as_of(), pending: state.pending(), version: state.version() };
    Ok(AnsweredSums { today: state.today(), freshness, parts: answered.answer })
}

async fn summed(snapshot: &mut OpenSnapshot<WholeRequest>, parts: &[SumsPart]) -> Result<Vec<PartSums>, Problem> {
    let mut all = Vec::with_capacity(parts.len());
    for part in parts {
        let (from, to) = part.days.resolve(snapshot.state().today())?;
        let asked = WholeSums {
            days: DayRange { from, to },
            width: width(part.width),
            group_by: GroupBy { source: part.by_source, model: part.by_model, device: false },
            fills: part.fills,
        };
        let intervals = snapshot.sums(&asked).await?.into_iter().map(interval).collect();
        all.push(PartSums { from, to, intervals });
    }
    Ok(all)
}

const fn width(width: SumWidth) -> Width {
    match width {
        SumWidth::HalfHour => Width::HalfHour,
        SumWidth::Hour => Width::Hour,
        SumWidth::Day => Width::Day,
        SumWidth::Month => Width::Month,
    }
}

fn interval(IntervalSums { span, groups }: IntervalSums) -> SumsInterval {
    let groups = groups.into_iter().map(|group| SumsGroup {
        source: group.key.source,
        model: group.key.model,
        sums: group.priced.sums.of_counters,
    });
    let (local_start, starts_at, ends_at) = (span.local_start, span.starts_at, span.ends_at);
    SumsInterval { local_start, starts_at, ends_at, groups: groups.collect() }
}
