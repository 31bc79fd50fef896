//! Retention removes the buckets of local days that are past it, and freezes their rollup. It
//! cannot be taken back.
//!
//! First the horizons of many users are raised, in a transaction of their own. After its commit no
//! writer takes an older bucket, and none is on its way. Then each user has a transaction under the
//! fold lock of its part: the days before the horizon lose their buckets and become frozen, and the
//! audit gets its entry. A user with an event of such a day that is not folded yet waits for the next pass.
//!
//! A process that dies in between leaves a horizon without a removal. The next pass makes up for
//! it.

mod store;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use store::{Candidate, FrozenDays};

use super::relay::take_fold_lock;
use crate::kernel::access::Actor;
use crate::kernel::call::{CallOutcome, Place, RequestContext, RequestLogLine};
use crate::kernel::clock::{Clock, jittered};
use crate::kernel::database::{Access, Mode, Pool, Tx, is_lock_timeout};
use crate::kernel::operations::audit::{Act, record_act};
use crate::kernel::operations::switches::{Switch, Switches};
use crate::kernel::problem::Problem;
use crate::kernel::usage::horizon::{expire_buckets, raise_horizons};

/// Between passes: a day ends somewhere every half hour.
const INTERVAL: Duration = Duration::from_mins(30);
/// How often to look whether a pass is due.
const POLL: Duration = Duration::from_secs(10);
/// Users whose horizons are raised together: all writers wait meanwhile, a few milliseconds.
const PAGE: i64 = 500;
/// How often that is tried where a long transaction reads horizons, as a dump does; then the pass is over.
const TRIES: u32 = 10;
/// Between tries.
const PAUSE: Duration = Duration::from_millis(500);
/// Days that one transaction removes at most, so that it holds the fold lock for a short time.
const DAYS_AT_ONCE: i32 = 31;
/// One transaction may take this long.
const LIMIT: Duration = Duration::from_secs(30);

/// Removes what is past its retention.
#[derive(Clone, Debug)]
pub struct Retention {
    pool: Pool,
    clock: Clock,
    switches: Switches,
    days: u32,
}

/// What one pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Users of whom something was removed.
    pub users: u64,
    /// Buckets removed.
    pub buckets: u64,
    /// Users who were left alone because an event of theirs is not folded yet.
    pub pending: u64,
}

impl Retention {
    /// Keeps `days` whole local days before today, and today.
    pub fn new(pool: Pool, clock: Clock, switches: Switches, days: u32) -> Self {
        Self { pool, clock, switches, days }
    }

    /// Works until `stop`. To be dropped in the middle of a pass loses nothing.
    pub async fn run(&self, stop: CancellationToken) {
        let mut last: Option<Instant> = None;
        loop {
            let due = last.is_none_or(|last| last.elapsed() >= INTERVAL);
            if due && self.may_run() {
                last = Some(Instant::now());
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    // What went wrong is in its line; the next pass goes on.
                    _ = self.run_pass() => {}
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// One pass over all users; it ends early when it is switched off. Errors: what ended it; what it did until then
    /// is done, and the next pass does the rest.
    pub async fn run_pass(&self) -> Result<Pass, Problem> {
        let context = RequestContext::step("retention_pass", self.pool.tracer(), LIMIT);
        let (started, mut pass) = (Instant::now(), Pass::default());
        let result = self.pass(&context, &mut pass).await;
        let passed = if result.is_ok() { "done" } else { "failed" };
        metrics::counter!("halfhour_retention_passes_total", "outcome" => passed).increment(1);
        let outcome = match &result {
            Err(problem) => CallOutcome::Failed(problem),
            Ok(()) if pass.users > 0 => CallOutcome::Done(200),
            Ok(()) => return Ok(pass),
        };
        let place = Place { function: "retention_pass", stage: "pass", method: None, route: None, principal: None };
        RequestLogLine::new(&context, place, &outcome, started.elapsed()).write();
        result.map(|()| pass)
    }

    async fn pass(&self, context: &RequestContext, pass: &mut Pass) -> Result<(), Problem> {
        let mut after = Uuid::nil();
        while self.may_run() {
            let page = self.raise(context, after).await?;
            let Some(last) = page.last() else { break };
            after = last.user_id;
            let (due, passed_over): (Vec<_>, Vec<_>) = page.iter().partition(|user| user.first_hour.is_some());
            if !passed_over.is_empty() {
                let user_ids: Vec<Uuid> = passed_over.iter().map(|user| user.user_id).collect();
                tracing::warn!(?user_ids, "the time zone of users is not known any more; all their buckets are kept");
            }
            for user in due.into_iter().take_while(|_| self.may_run()) {
                self.expire(context, user.user_id, pass).await?;
            }
        }
        Ok(())
    }

    fn may_run(&self) -> bool {
        self.switches.is_on(Switch::Retention)
    }

    /// Raises the horizons of the next users of whom something is past its retention, and returns them; with them those
    /// of whom nobody can say so, because their time zone is not known any more.
    async fn raise(&self, context: &RequestContext, after: Uuid) -> Result<Vec<Candidate>, Problem> {
        for _ in 1..TRIES {
            match self.try_to_raise(context, after).await {
                Err(problem) if problem.database_error().is_some_and(is_lock_timeout) => {
                    tokio::time::sleep(jittered(PAUSE)).await;
                }
                result => return result,
            }
        }
        self.try_to_raise(context, after).await
    }

    async fn try_to_raise(&self, context: &RequestContext, after: Uuid) -> Result<Vec<Candidate>, Problem> {
        let mut tx = self.begin(context).await?;
        let page = store::users_past_retention(&mut tx, self.clock.earliest(), self.days, after, PAGE).await?;
        let due = page.iter().filter_map(|user| Some((user.user_id, user.first_hour?)));
        let (user_ids, first_hours): (Vec<Uuid>, Vec<DateTime<Utc>>) = due.unzip();
        if user_ids.is_empty() {
            tx.rollback().await?;
        } else if let Err(problem) = raise_horizons(&mut tx, &user_ids, &first_hours).await {
            // At once, so that writers go on; where the connection is lost, they already do.
            let _ = tx.rollback().await;
            return Err(problem);
        } else {
            tx.commit().await?;
        }
        Ok(page)
    }

    /// Removes what a user has before the horizon, a month at a time, and says so in the audit.
    async fn expire(&self, context: &RequestContext, user_id: Uuid, pass: &mut Pass) -> Result<(), Problem> {
        let mut removed = 0;
        loop {
            let mut tx = self.begin(context).await?;
            take_fold_lock(&mut tx, user_id).await?;
            let Some(FrozenDays { time_zone, day }) = store::next_frozen_days(&mut tx, user_id, DAYS_AT_ONCE).await?
            else {
                tx.rollback().await?;
                break;
            };
            let gone = expire_buckets(&mut tx, user_id, &time_zone, day).await?;
            // Asked after the removal, which waited for whoever was changing those buckets: their event is seen.
            if !store::freeze_days(&mut tx, user_id, &time_zone, day).await? {
                tx.rollback().await?;
                pass.pending += 1;
                break;
            }
            let details = json!({ "retention_days": self.days, "before": day, "buckets": gone });
            let subject = user_id.to_string();
            let act = Act { action: "retention.expire", subject: &subject, reason: None, details: &details };
            record_act(&mut tx, context.request_id, Actor::Server, act).await?;
            tx.commit().await?;
            removed += gone;
        }
        pass.users += u64::from(removed > 0);
        pass.buckets += removed;
        Ok(())
    }

    /// A transaction of a pass, with a deadline of its own.
    async fn begin(&self, context: &RequestContext) -> Result<Tx, Problem> {
        let context = RequestContext { deadline: Instant::now() + LIMIT, ..context.clone() };
        self.pool.begin(&context, Access::Worker, Mode::ReadWrite).await
    }
}
