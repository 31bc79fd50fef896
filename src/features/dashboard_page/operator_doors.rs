//! What operators can do on the page, and what they see there. The composition root hands it over.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::kernel::access::{Operator, Session};
use crate::kernel::call::RequestContext;
use crate::kernel::operations::switches::Switch;
use crate::kernel::problem::Problem;

/// What comes of asking.
pub type FromOperating<T> = BoxFuture<'static, Result<T, Problem>>;

/// How the server is doing.
#[derive(Clone, Debug)]
pub struct PageStatus {
    /// When it was asked.
    pub at: DateTime<Utc>,
    /// Since how many seconds the process that answers runs.
    pub uptime_s: u64,
    /// What waits to be folded.
    pub lanes: Vec<PageLane>,
    /// What was set aside, the first hundred.
    pub parked: Vec<PageParked>,
    /// The book that is in force.
    pub book: Option<PageBookInForce>,
}

/// A lane of the outbox.
#[derive(Clone, Debug)]
pub struct PageLane {
    /// Its name.
    pub name: &'static str,
    /// Events that wait.
    pub waiting: u64,
    /// Events that were set aside.
    pub parked: u64,
    /// When the oldest was written.
    pub oldest_at: Option<DateTime<Utc>>,
}

/// An event that was set aside.
#[derive(Clone, Debug)]
pub struct PageParked {
    /// The event.
    pub id: i64,
    /// Whose usage is not folded.
    pub user_id: Uuid,
    /// Its name.
    pub user_name: Option<String>,
    /// What happened.
    pub topic: String,
    /// The UTC day that changed.
    pub utc_day: NaiveDate,
    /// How often its fold failed.
    pub attempts: i32,
    /// Since when it is set aside.
    pub parked_at: DateTime<Utc>,
    /// The last failure.
    pub last_error: Option<String>,
}

/// The book that is in force.
#[derive(Clone, Copy, Debug)]
pub struct PageBookInForce {
    /// Its number.
    pub version: i32,
    /// As of which day its prices are known.
    pub dated: NaiveDate,
}

/// A kill switch.
#[derive(Clone, Debug)]
pub struct PageSwitch {
    /// Which.
    pub switch: Switch,
    /// Whether it may run.
    pub is_on: bool,
    /// How it was thrown last, if it ever was.
    pub last: Option<PageThrow>,
}

/// How a switch was thrown last.
#[derive(Clone, Debug)]
pub struct PageThrow {
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
    /// By whom, in words.
    pub by: String,
}

/// How a switch is to be thrown.
#[derive(Clone, Debug)]
pub struct WantedThrow {
    /// Which.
    pub switch: Switch,
    /// When it had been thrown last, as far as who throws it knows.
    pub seen: Option<DateTime<Utc>>,
    /// Whether it may run from now on.
    pub is_on: bool,
    /// Why.
    pub reason: String,
}

/// A user, as operators see it.
#[derive(Clone, Debug)]
pub struct PageUser {
    /// Its id.
    pub user_id: Uuid,
    /// Its name.
    pub name: String,
    /// The zone that it wants.
    pub time_zone: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Since when it may do nothing.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When any of its tokens was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A price book.
#[derive(Clone, Debug)]
pub struct PageBook {
    /// Its number.
    pub version: i32,
    /// As of which day its prices are known.
    pub dated: NaiveDate,
    /// Why it was imported.
    pub reason: String,
    /// Who has.
    pub imported_by: String,
    /// When.
    pub imported_at: DateTime<Utc>,
    /// Since when it is in force, if it is.
    pub in_force_since: Option<DateTime<Utc>>,
}

/// Tokens without a price.
#[derive(Clone, Debug)]
pub struct PageUncovered {
    /// The tool.
    pub source: String,
    /// The model.
    pub model: String,
    /// How many.
    pub tokens: u128,
    /// Of how many users.
    pub users: u64,
}

/// A job.
#[derive(Clone, Debug)]
pub struct PageJob {
    /// Its id.
    pub job_id: Uuid,
    /// What it does.
    pub action: &'static str,
    /// Where it is on its way.
    pub state: &'static str,
    /// Changes with the state.
    pub version: i64,
    /// Why.
    pub reason: String,
    /// The first UTC day and the last one.
    pub days: (NaiveDate, NaiveDate),
    /// Its users; `None` for all.
    pub user_ids: Option<Vec<Uuid>>,
    /// What its plan comes to: what is counted, and how many in digits.
    pub diff: Vec<(&'static str, String)>,
    /// What a reprice changes, by what is sold and month.
    pub prices: Vec<PagePriceLine>,
    /// How many more lines of that there are.
    pub prices_left_out: usize,
    /// Rows or users that the present phase has behind it, and all of them.
    pub progress: (u64, u64),
    /// From 0 to 1000.
    pub permille: u16,
    /// Seconds to its end.
    pub eta_s: Option<i64>,
    /// Rows that could not be taken, that had changed since the plan, and that a rollback kept as far as those are listed.
    pub exceptions: (u64, u64, u64),
    /// What a verification found: what is counted and how many, and all of it as JSON.
    pub drift: Option<(Vec<(String, String)>, String)>,
    /// Why it failed, in a word.
    pub failure: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When its execution began.
    pub executed_at: Option<DateTime<Utc>>,
    /// When it came to its present end.
    pub finished_at: Option<DateTime<Utc>>,
    /// What can be done with it now.
    pub can: Vec<PageJobChange>,
}

impl PageJob {
    /// Where it is on its way, as people write it.
    pub fn state_in_words(&self) -> String {
        self.state.replace('_', " ")
    }
}

/// What a reprice changes of something that is sold, in a month.
#[derive(Clone, Debug)]
pub struct PagePriceLine {
    /// What is sold.
    pub sku: String,
    /// The UTC month.
    pub month: String,
    /// How many tokens.
    pub tokens: String,
    /// What they cost before, and will, in dollars.
    pub usd: (String, String),
}

/// What is done to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageJobChange {
    /// Its plan is carried out.
    Execute,
    /// It stops.
    Cancel,
    /// It is taken back.
    RollBack,
}

/// Behind which row of a plan a page begins.
pub type PageRowPosition = (Uuid, DateTime<Utc>, Uuid, String, String);

/// A row of a plan.
#[derive(Clone, Debug)]
pub struct PagePlanRow {
    /// Where it stands.
    pub position: PageRowPosition,
    /// What it does to the bucket.
    pub effect: &'static str,
    /// How both buckets of a merge stand to each other.
    pub pairing: Option<&'static str>,
    /// All tokens before and afterwards; `None` where there is no bucket.
    pub totals: (Option<u64>, Option<u64>),
    /// The counters that change: name, before, afterwards.
    pub changes: Vec<(&'static str, u64, u64)>,
}

/// What did not go as planned.
#[derive(Clone, Debug)]
pub struct PageException {
    /// Where it stands in the list.
    pub number: i64,
    /// Why.
    pub kind: &'static str,
    /// The line of the stream.
    pub line: Option<i64>,
    /// The bucket.
    pub bucket: Option<PageRowPosition>,
    /// What is wrong with it.
    pub code: String,
    /// The field that is wrong, and what was expected.
    pub expected: Option<(String, String)>,
}

/// Does what operators ask for.
pub trait OperatorActs: Send + Sync {
    /// Begins a session for the owner of an operator token. Errors: 401 and 403 for any other token.
    fn sign_in(&self, context: RequestContext, token: String) -> FromOperating<Session>;
    /// Ends the session of an operator, or all sessions of its user where it says `everywhere`.
    fn sign_out(&self, operator: Operator, everywhere: bool) -> FromOperating<u64>;
    /// The name of an operator.
    fn name(&self, operator: Operator) -> FromOperating<String>;
    /// How the server is doing.
    fn status(&self, operator: Operator) -> FromOperating<PageStatus>;
    /// Every kill switch.
    fn switches(&self, operator: Operator) -> FromOperating<Vec<PageSwitch>>;
    /// Throws a switch. Errors: 412 where it was thrown since it was seen.
    fn throw_switch(&self, operator: Operator, wanted: WantedThrow) -> FromOperating<()>;
    /// Users behind `after`, at most so many.
    fn users(&self, operator: Operator, after: Option<Uuid>, most: i64) -> FromOperating<Vec<PageUser>>;
    /// Every price book, the newest first.
    fn books(&self, operator: Operator) -> FromOperating<Vec<PageBook>>;
    /// The tokens of all users that have no price, the most first.
    fn uncovered(&self, operator: Operator) -> FromOperating<Vec<PageUncovered>>;
    /// Jobs that were made before one, the newest first, at most so many.
    fn jobs(&self, operator: Operator, before: Option<Uuid>, most: i64) -> FromOperating<Vec<PageJob>>;
    /// One job. Errors: 404.
    fn job(&self, operator: Operator, job_id: Uuid) -> FromOperating<PageJob>;
    /// Rows of its plan. Errors: 404.
    fn job_rows(
        &self,
        operator: Operator,
        job_id: Uuid,
        after: Option<PageRowPosition>,
        most: i64,
    ) -> FromOperating<Vec<PagePlanRow>>;
    /// What did not go as planned. Errors: 404.
    fn job_exceptions(
        &self,
        operator: Operator,
        job_id: Uuid,
        after: i64,
        most: i64,
    ) -> FromOperating<Vec<PageException>>;
    /// Executes, cancels or takes a job back that still has the version that was seen. Errors: 404; 412 for another
    /// version; 409 where it cannot be done.
    fn change_job(&self, operator: Operator, job_id: Uuid, version: i64, change: PageJobChange) -> FromOperating<()>;
    /// Plans a job, once for each key. Errors: 422 with everything that is wrong with it.
    fn plan_job(&self, operator: Operator, key: Uuid, fields: Vec<(String, String)>) -> FromOperating<Uuid>;
}

/// The door to what operators do.
#[derive(Clone)]
pub struct OperatorDoor(Arc<dyn OperatorActs>);

impl OperatorDoor {
    /// To whoever does these acts.
    pub fn new(acts: impl OperatorActs + 'static) -> Self {
        Self(Arc::new(acts))
    }

    /// The acts.
    pub fn acts(&self) -> &dyn OperatorActs {
        &*self.0
    }
}

impl fmt::Debug for OperatorDoor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OperatorDoor")
    }
}
