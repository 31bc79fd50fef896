//! Erasing a person, or only counting what would go.

use std::time::Instant;

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::super::audit::{begin_change, record};
use super::parts::Parts;
use super::reply::PersonErasure;
use super::request::PersonQuery;
use super::store::{self, NamedRow, PersonRow};
use crate::kernel::access::{Actor, erased_user};
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::problem::{Code, Problem};
use crate::kernel::usage::erasure;

/// The key of the advisory lock under which it is found out whether an operator is left: "operator"
/// in ASCII.
const OPERATORS_LOCK: i64 = 0x6f70_6572_6174_6f72;
/// Users of one name that are listed.
const LISTED: i64 = 10;

/// The persons of one installation.
#[derive(Clone, Debug)]
pub struct Persons {
    pub(super) pool: Pool,
    pub(super) parts: Parts,
}

/// Whom an id is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Person {
    /// A user, active or revoked.
    There {
        /// The name.
        name: String,
    },
    /// Somebody who was erased.
    Erased {
        /// When.
        erased_at: DateTime<Utc>,
        /// Whether all of the usage has gone.
        finished: bool,
    },
}

impl Persons {
    /// Persons of whom other slices keep `parts`. All work goes through `pool`.
    pub fn new(pool: Pool, parts: Parts) -> Self {
        Self { pool, parts }
    }

    /// Whom an id is of. Errors: 404.
    pub async fn find(&self, context: &RequestContext, user_id: Uuid) -> Result<Person, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let found = store::find_person(&mut tx, user_id).await?;
        tx.rollback().await?;
        match found {
            PersonRow { name: Some(name), .. } => Ok(Person::There { name }),
            PersonRow { erased_at: Some(erased_at), finished_at, .. } => {
                Ok(Person::Erased { erased_at, finished: finished_at.is_some() })
            }
            _ => Err(Problem::new(Code::NotFound, format!("There is no user {user_id}."))),
        }
    }

    /// The one user of a name, active or revoked. Errors: 404 for none, 409 for several.
    pub async fn find_named(&self, context: &RequestContext, name: &str) -> Result<Uuid, Problem> {
        let found = self.named(context, name).await?;
        match found.as_slice() {
            [] => Err(Problem::new(Code::NotFound, format!("There is no user named {name:?}."))),
            [only] => Ok(only.user_id),
            several => {
                let one =
                    |row: &NamedRow| format!("{} ({})", row.user_id, if row.revoked { "revoked" } else { "active" });
                let list: Vec<String> = several.iter().map(one).collect();
                let detail = format!("Several users are or were named {name:?}; say which: {}.", list.join(", "));
                Err(Problem::new(Code::Conflict, detail))
            }
        }
    }

    /// Every user of a name, active or revoked, at most ten.
    pub async fn all_named(&self, context: &RequestContext, name: &str) -> Result<Vec<Uuid>, Problem> {
        Ok(self.named(context, name).await?.into_iter().map(|row| row.user_id).collect())
    }

    async fn named(&self, context: &RequestContext, name: &str) -> Result<Vec<NamedRow>, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let found = store::persons_named(&mut tx, name, LISTED).await?;
        tx.rollback().await?;
        Ok(found)
    }

    /// Counts what would go of a user, and changes nothing.
    pub async fn preview(&self, context: &RequestContext, user_id: Uuid) -> Result<PersonErasure, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let accounts = store::count_accounts(&mut tx, user_id).await?;
        let usage = erasure::count_of_person(&mut tx, user_id).await?;
        tx.rollback().await?;
        let mut counted = PersonErasure { dry_run: true, ..PersonErasure::of(user_id) }.with_accounts(accounts);
        counted.add_usage(usage);
        counted.backfill_rows = self.parts.jobs.count(context, user_id).await?;
        counted.rollup_rows = self.parts.rollups.count(context, user_id).await?;
        Ok(counted)
    }

    /// What a user asks for itself. Half of the request's time goes into removing usage, and a server
    /// removes the rest.
    ///
    /// Errors: 422 where the confirmation is not the name, 409 for the last operator, 503 and 504
    /// when it takes too long. Then nothing was erased.
    pub async fn erase_oneself(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        query: &PersonQuery,
    ) -> Result<PersonErasure, Problem> {
        let until = Instant::now() + context.remaining() / 2;
        match self.find(context, user_id).await {
            Ok(Person::There { name }) => query.confirms(&name)?,
            // The same once more, while the token is still remembered.
            Ok(Person::Erased { .. }) if !query.dry_run => return self.go_on(context, user_id, until).await,
            Ok(Person::Erased { .. }) => return Err(erased_user()),
            Err(problem) => return Err(problem),
        }
        if query.dry_run {
            return self.preview(context, user_id).await;
        }
        match self.erase(context, actor, user_id, false, until).await {
            // Another request was first.
            Err(problem) if problem.code() == Code::NotFound => self.go_on(context, user_id, until).await,
            result => result,
        }
    }

    /// Erases a user, and removes usage until `until`. A server removes the rest.
    ///
    /// Errors: 404, 409 for the last operator unless `last_operator_may_go`, 503 and 504 when it takes
    /// too long. Then nothing was erased.
    pub async fn erase(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        last_operator_may_go: bool,
        until: Instant,
    ) -> Result<PersonErasure, Problem> {
        let mut tx = begin_change(&self.pool, context, actor, user_id).await?;
        let mut erasure = match erase_account(&mut tx, user_id, last_operator_may_go).await {
            Ok(erasure) => erasure,
            Err(problem) => {
                // At once, so that writers go on; where the connection is lost, they already do.
                let _ = tx.rollback().await;
                return Err(problem);
            }
        };
        let PersonErasure { devices, tokens, link_codes, .. } = erasure;
        let details = json!({ "devices": devices, "tokens": tokens, "link_codes": link_codes });
        record(&mut tx, context, actor, "user.erase", user_id, &details).await?;
        tx.commit().await?;
        self.remove_usage(context, &mut erasure, until).await;
        Ok(erasure)
    }

    /// Goes on with the erasure of a user who was erased, until `until`. Errors: 404.
    pub async fn go_on(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        until: Instant,
    ) -> Result<PersonErasure, Problem> {
        let Person::Erased { erased_at, finished } = self.find(context, user_id).await? else {
            return Err(Problem::new(Code::NotFound, format!("The user {user_id} was not erased.")));
        };
        let mut erasure = PersonErasure { erased_at: Some(erased_at), finished, ..PersonErasure::of(user_id) };
        if !finished {
            self.remove_usage(context, &mut erasure, until).await;
        }
        Ok(erasure)
    }
}

/// Takes everything of accounts, and has the rest refused for good. Whoever inserts something of
/// this user meanwhile waits for the row of the user, and finds none.
async fn erase_account(tx: &mut Tx, user_id: Uuid, last_operator_may_go: bool) -> Result<PersonErasure, Problem> {
    erasure::erase_for_good(tx, user_id).await?;
    // Before the user is locked, because an exchange locks its code first and then looks at the user.
    let mut link_codes = store::erase_link_codes(tx, user_id).await?;
    if !store::lock_person(tx, user_id).await? {
        return Err(Problem::new(Code::NotFound, format!("There is no user {user_id}.")));
    }
    if !last_operator_may_go && store::operates(tx, user_id).await? {
        // Two operators who go at once take their turns, and the second one stays.
        store::lock_operators(tx, OPERATORS_LOCK).await?;
        if !store::others_operate(tx, user_id).await? {
            return Err(last_operator());
        }
    }
    link_codes += store::erase_link_codes(tx, user_id).await?;
    let tokens = store::erase_tokens(tx, user_id).await?;
    let devices = store::erase_devices(tx, user_id).await?;
    store::erase_user(tx, user_id).await?;
    let erased_at = store::record_erased_user(tx, user_id).await?;
    let of_accounts = store::AccountRows { devices, tokens, link_codes };
    Ok(PersonErasure { erased_at: Some(erased_at), ..PersonErasure::of(user_id) }.with_accounts(of_accounts))
}

fn last_operator() -> Problem {
    let detail = "Nobody else has an operator's token that is valid. Have one issued to another user first \
        (`halfhour token issue --kind operator`), or be erased by `halfhour user erase` on the machine.";
    Problem::new(Code::Conflict, detail)
}
