//! How operators get what they see and do on the page: operations, jobs, accounts and prices do it, as they do it for the API.
//! The composition root puts that together.

use std::collections::BTreeMap;

use axum::extract::FromRef;
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::state::AppState;
use crate::features::accounts::UserListing;
use crate::features::backfill::{
    Exception, Job, JobChange, Order, Pairing, PlanKey, PlanRow, Repricing, Resolve, Shown,
};
use crate::features::dashboard_page::{
    FromOperating, OperatorActs, OperatorDoor, PageBook, PageBookInForce, PageException, PageJob, PageJobChange,
    PageLane, PageParked, PagePlanRow, PagePriceLine, PageRowPosition, PageStatus, PageSwitch, PageThrow,
    PageUncovered, PageUser, WantedThrow,
};
use crate::features::dashboard_rollup::uncovered;
use crate::features::operations::{ParkedEvent, TurnedSwitch, Waiting};
use crate::features::pricing::BookRow;
use crate::kernel::access::{Operator, Session};
use crate::kernel::bucket::{BucketKey, TokenCounts};
use crate::kernel::call::RequestContext;
use crate::kernel::idempotency::Once;
use crate::kernel::operations::switches::Switch;
use crate::kernel::problem::Problem;

/// Does what operators ask for with what every handler is given.
struct Operating(AppState);

impl FromRef<AppState> for OperatorDoor {
    fn from_ref(state: &AppState) -> Self {
        Self::new(Operating(state.clone()))
    }
}

impl OperatorActs for Operating {
    fn sign_in(&self, context: RequestContext, token: String) -> FromOperating<Session> {
        let (sign_ins, sessions) = (self.0.0.accounts.sign_ins.clone(), self.0.0.operator_sessions.0.clone());
        Box::pin(async move {
            let (principal, hash) = sessions.owner_of(&token, &context).await?;
            sign_ins.begin_with_token(&context, (principal.kind(), principal.user_id()), hash).await
        })
    }

    fn sign_out(&self, operator: Operator, everywhere: bool) -> FromOperating<u64> {
        let sign_ins = self.0.0.accounts.sign_ins.clone();
        Box::pin(
            async move { sign_ins.end(operator.context(), operator.actor(), operator.user_id(), everywhere).await },
        )
    }

    fn name(&self, operator: Operator) -> FromOperating<String> {
        let profiles = self.0.0.accounts.profiles.clone();
        Box::pin(async move { Ok(profiles.find(operator.context(), operator.user_id()).await?.name) })
    }

    fn status(&self, operator: Operator) -> FromOperating<PageStatus> {
        let status = self.0.0.process_status.clone();
        Box::pin(async move {
            let waiting = status.waiting(operator.context()).await?;
            Ok(page_status(waiting, status.started.elapsed().as_secs(), status.clock.now()))
        })
    }

    fn switches(&self, operator: Operator) -> FromOperating<Vec<PageSwitch>> {
        let switchboard = self.0.0.switchboard.clone();
        Box::pin(async move {
            let turned = switchboard.turned(operator.context()).await?;
            Ok(Switch::ALL.into_iter().map(|switch| page_switch(switch, &turned)).collect())
        })
    }

    fn throw_switch(&self, operator: Operator, wanted: WantedThrow) -> FromOperating<()> {
        let switchboard = self.0.0.switchboard.clone();
        Box::pin(async move {
            let WantedThrow { switch, seen, is_on, reason } = wanted;
            let (context, actor) = (operator.context(), operator.actor());
            switchboard.throw_seen(context, actor, (switch, seen), is_on, reason).await?;
            Ok(())
        })
    }

    fn users(&self, operator: Operator, after: Option<Uuid>, most: i64) -> FromOperating<Vec<PageUser>> {
        let users = self.0.0.accounts.users.clone();
        Box::pin(async move {
            let listed = users.list(operator.context(), after, most).await?;
            Ok(listed.into_iter().map(page_user).collect())
        })
    }

    fn books(&self, operator: Operator) -> FromOperating<Vec<PageBook>> {
        let books = self.0.0.books.clone();
        Box::pin(async move { Ok(books.list(operator.context()).await?.into_iter().map(page_book).collect()) })
    }

    fn uncovered(&self, operator: Operator) -> FromOperating<Vec<PageUncovered>> {
        let workers = self.0.0.pools.worker.clone();
        Box::pin(async move {
            let found = uncovered(&workers, operator.context()).await?;
            let lines = found.into_iter().map(|line| PageUncovered {
                source: line.source,
                model: line.model,
                tokens: line.tokens,
                users: line.users.max(0).unsigned_abs(),
            });
            Ok(lines.collect())
        })
    }

    fn jobs(&self, operator: Operator, before: Option<Uuid>, most: i64) -> FromOperating<Vec<PageJob>> {
        let backfills = self.0.0.backfills.clone();
        Box::pin(async move {
            let now = backfills.clock().now();
            let jobs = backfills.list(operator.context(), before, most).await?;
            Ok(jobs.into_iter().map(|job| page_job(job, now, 0)).collect())
        })
    }

    fn job(&self, operator: Operator, job_id: Uuid) -> FromOperating<PageJob> {
        let backfills = self.0.0.backfills.clone();
        Box::pin(async move {
            let Shown { job, at, kept } = backfills.find(operator.context(), job_id).await?;
            Ok(page_job(job, at, kept.len()))
        })
    }

    fn job_rows(
        &self,
        operator: Operator,
        job_id: Uuid,
        after: Option<PageRowPosition>,
        most: i64,
    ) -> FromOperating<Vec<PagePlanRow>> {
        let backfills = self.0.0.backfills.clone();
        Box::pin(async move {
            let rows = backfills.rows(operator.context(), job_id, after.as_ref(), most).await?;
            Ok(rows.into_iter().map(page_row).collect())
        })
    }

    fn job_exceptions(
        &self,
        operator: Operator,
        job_id: Uuid,
        after: i64,
        most: i64,
    ) -> FromOperating<Vec<PageException>> {
        let backfills = self.0.0.backfills.clone();
        Box::pin(async move {
            let found = backfills.exceptions(operator.context(), job_id, None, after, most).await?;
            Ok(found.into_iter().map(page_exception).collect())
        })
    }

    fn change_job(&self, operator: Operator, job_id: Uuid, version: i64, change: PageJobChange) -> FromOperating<()> {
        let backfills = self.0.0.backfills.clone();
        Box::pin(async move {
            let (context, actor, once) = (operator.context(), operator.actor(), Once::unkeyed());
            let changed = backfills.change(context, actor, job_id, Some(version), job_change(change), once).await;
            changed.map(|_shown| ()).map_err(Problem::from)
        })
    }

    fn plan_job(&self, operator: Operator, key: Uuid, fields: Vec<(String, String)>) -> FromOperating<Uuid> {
        let backfills = self.0.0.backfills.clone();
        Box::pin(async move {
            let order = Order::parse_parameters(&fields, backfills.limits())?;
            let key = PlanKey::of_form(operator.user_id(), key, &fields);
            let planned = backfills.plan(operator.context(), operator.actor(), Some(&key), &order, &[]).await?;
            Ok(planned.job.job_id)
        })
    }
}

const fn job_change(change: PageJobChange) -> JobChange {
    match change {
        PageJobChange::Execute => JobChange::Execute,
        PageJobChange::Cancel => JobChange::Cancel,
        PageJobChange::RollBack => JobChange::Rollback,
    }
}

/// What nobody has less of than none.
fn count(number: i64) -> u64 {
    number.max(0).unsigned_abs()
}

fn page_status(Waiting { backlog, first_parked, book }: Waiting, uptime_s: u64, at: DateTime<Utc>) -> PageStatus {
    let lanes = backlog.iter().map(|lane| PageLane {
        name: lane.lane.as_str(),
        waiting: count(lane.waiting),
        parked: count(lane.parked),
        oldest_at: lane.oldest_at,
    });
    PageStatus {
        at,
        uptime_s,
        lanes: lanes.collect(),
        parked: first_parked.into_iter().map(page_parked).collect(),
        book: book.map(|book| PageBookInForce { version: book.version, dated: book.dated }),
    }
}

fn page_parked(event: ParkedEvent) -> PageParked {
    let ParkedEvent { user_id, user_name, id, topic, utc_day, attempts, parked_at, last_error } = event;
    PageParked { id, user_id, user_name, topic, utc_day, attempts, parked_at, last_error }
}

fn page_switch(switch: Switch, turned: &[TurnedSwitch]) -> PageSwitch {
    let turned = turned.iter().find(|turned| turned.thrown.switch == switch);
    let last = turned.map(|TurnedSwitch { thrown, actor_kind, actor_name }| PageThrow {
        reason: thrown.reason.clone(),
        at: thrown.changed_at,
        by: match (actor_kind.as_deref(), actor_name) {
            (_, Some(name)) => name.clone(),
            (Some("command"), None) => "a command on the machine".to_owned(),
            (Some("operator"), None) => "an operator who was erased since".to_owned(),
            _ => "nobody who was written down".to_owned(),
        },
    });
    PageSwitch { switch, is_on: turned.is_none_or(|turned| turned.thrown.is_on), last }
}

fn page_user(listing: UserListing) -> PageUser {
    let UserListing { user_id, name, time_zone, created_at, revoked_at, last_used_at } = listing;
    PageUser { user_id, name, time_zone, created_at, revoked_at, last_used_at }
}

fn page_book(row: BookRow) -> PageBook {
    let BookRow { version, dated, reason, imported_by, imported_at, in_force_since, .. } = row;
    PageBook { version, dated, reason, imported_by, imported_at, in_force_since }
}

/// A job, of which a rollback kept `kept` rows as far as they are listed.
fn page_job(job: Job, now: DateTime<Utc>, kept: usize) -> PageJob {
    let progress = job.progress(now);
    let total = progress.total.max(0);
    let permille = if total == 0 { i64::from(job.executed_at.is_some()) * 1000 } else { progress.done * 1000 / total };
    let changes = [PageJobChange::Execute, PageJobChange::Cancel, PageJobChange::RollBack];
    let can = changes.into_iter().filter(|change| job.may(job_change(*change))).collect();
    let diff = diff_lines(&job);
    let (prices, prices_left_out) = price_lines(job.repricing.as_ref());
    PageJob {
        job_id: job.job_id,
        action: job.action.as_str(),
        state: job.state.as_str(),
        version: job.version,
        reason: job.reason,
        days: (job.days.first, job.days.last),
        user_ids: job.user_ids,
        diff,
        prices,
        prices_left_out,
        progress: (count(progress.done), count(total)),
        permille: u16::try_from(permille.clamp(0, 1000)).unwrap_or(1000),
        eta_s: progress.eta_seconds,
        exceptions: (count(job.poisoned), count(job.skipped), kept.try_into().unwrap_or(u64::MAX)),
        drift: job.drift.map(|drift| (drift_lines(&drift), format!("{drift:#}"))),
        failure: job.failure,
        created_at: job.created_at,
        executed_at: job.executed_at,
        finished_at: job.finished_at,
        can,
    }
}

/// What a plan comes to, in lines that can be read.
fn diff_lines(job: &Job) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if job.action.changes_buckets() {
        let diff = &job.diff;
        let counts = [
            ("Inserted", diff.inserted),
            ("Raised", diff.raised),
            ("Lowered", diff.lowered),
            ("Changed", diff.changed),
            ("Unchanged", diff.unchanged),
            ("Rollup rows", diff.rollup_rows),
        ];
        lines.extend(counts.map(|(name, number)| (name, number.to_string())));
        lines.push(("Tokens before", diff.tokens_before.to_string()));
        lines.push(("Tokens afterwards", diff.tokens_after.to_string()));
    }
    if let Some(merge) = &job.merge {
        let resolve = merge.order.resolve.map_or("nobody has decided", Resolve::as_str);
        lines.push(("From the device", merge.order.from_device_id.to_string()));
        lines.push(("Into the device", merge.order.into_device_id.to_string()));
        lines.push(("Only in the first", merge.only_in_from.to_string()));
        lines.push(("Only in the second", merge.only_in_into.to_string()));
        lines.push(("In both alike", merge.equal.to_string()));
        lines.push(("In both different", merge.different.to_string()));
        lines.push(("Where they differ", resolve.to_owned()));
    }
    if let Some(Repricing { book, former_book, diff }) = &job.repricing {
        lines.push(("Price book", book.to_string()));
        lines.push(("In place of", former_book.map_or_else(|| "none".to_owned(), |book| book.to_string())));
        if let Some(diff) = diff {
            lines.push(("Tokens", diff.totals.tokens.clone()));
            lines.push(("US dollars before", dollars(diff.totals.usd_before.as_ref())));
            lines.push(("US dollars afterwards", dollars(diff.totals.usd_after.as_ref())));
            lines.push(("Tokens that get a price", diff.totals.newly_priced_tokens.clone()));
            lines.push(("Tokens that lose it", diff.totals.newly_unpriced_tokens.clone()));
        }
    }
    lines
}

fn price_lines(repricing: Option<&Repricing>) -> (Vec<PagePriceLine>, usize) {
    let Some(diff) = repricing.and_then(|repricing| repricing.diff.as_ref()) else { return (Vec::new(), 0) };
    let lines = diff.lines.iter().map(|line| PagePriceLine {
        sku: line.sku.clone(),
        month: line.month.clone(),
        tokens: line.effect.tokens.clone(),
        usd: (dollars(line.effect.usd_before.as_ref()), dollars(line.effect.usd_after.as_ref())),
    });
    (lines.collect(), diff.lines_left_out)
}

fn dollars(amount: Option<&String>) -> String {
    amount.cloned().unwrap_or_else(|| "no price".to_owned())
}

/// What is counted in a finding.
fn drift_lines(drift: &Value) -> Vec<(String, String)> {
    let members: BTreeMap<&String, &Value> = drift.as_object().into_iter().flatten().collect();
    let counted = members.into_iter().filter(|(_, value)| value.is_number());
    counted.map(|(name, value)| (finding(name), value.to_string())).collect()
}

/// What is counted, in words.
fn finding(name: &str) -> String {
    match name {
        "count" => "Days with drift".to_owned(),
        "user_days" => "Days in all".to_owned(),
        "pending" => "Days that wait to be folded".to_owned(),
        "not_compared" => "Users that were not compared".to_owned(),
        "orphaned" => "Users and devices that do not exist".to_owned(),
        "of_unknown_sources" => "Buckets of unknown tools".to_owned(),
        other => other.replace('_', " "),
    }
}

fn position(key: &BucketKey) -> PageRowPosition {
    let (source, model) = (key.source.as_str().to_owned(), key.model.as_str().to_owned());
    (key.user_id, key.hour_start.start(), key.device_id, source, model)
}

fn page_row(plan_row: PlanRow) -> PagePlanRow {
    let effect = plan_row.effect();
    let PlanRow { row, pairing, removes } = plan_row;
    let before = row.seen.map(|seen| seen.counts);
    let after = (!removes).then_some(row.counts);
    let values = |counts: Option<TokenCounts>| counts.unwrap_or_default().into_values().map(count);
    let each = TokenCounts::NAMES.into_iter().zip(values(before)).zip(values(after));
    let changes = each.filter(|((_, before), after)| before != after);
    PagePlanRow {
        position: position(&row.key),
        effect,
        pairing: pairing.map(Pairing::as_str),
        totals: (before.map(|counts| count(counts.total())), after.map(|counts| count(counts.total()))),
        changes: changes.map(|((name, before), after)| (name, before, after)).collect(),
    }
}

fn page_exception((number, exception): (i64, Exception)) -> PageException {
    let Exception { kind, line, key, code, expected } = exception;
    PageException { number, kind: kind.as_str(), line, bucket: key.as_ref().map(position), code, expected }
}
