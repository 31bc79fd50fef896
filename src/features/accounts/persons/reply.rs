//! What is told of an erasure of a person.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::AccountRows;
use crate::kernel::usage::erasure::PersonUsage;

/// What went of a person, or would.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PersonErasure {
    /// True where nothing went, and the numbers say what would.
    pub dry_run: bool,
    /// What stays: that the user of this id was erased.
    pub user_id: Uuid,
    /// When the name, the devices and the tokens went, since when nothing of this user is taken any
    /// more; null in a dry run.
    pub erased_at: Option<DateTime<Utc>>,
    /// False where a server has yet to remove some of the usage, as it does by itself.
    pub finished: bool,
    /// Devices, revoked ones included.
    pub devices: i64,
    /// Tokens, revoked ones included.
    pub tokens: i64,
    /// Link codes.
    pub link_codes: i64,
    /// Buckets. This and the following are what has gone by now where `finished` is false, and what
    /// went with this request where the user was erased before.
    pub buckets: i64,
    /// Versions of buckets that corrections hide.
    pub hidden_versions: i64,
    /// Answers kept for an `Idempotency-Key`.
    pub stored_answers: i64,
    /// Changes that were not folded yet.
    pub events: i64,
    /// Rows and exceptions of backfills.
    pub backfill_rows: i64,
    /// Rows of the rollup.
    pub rollup_rows: i64,
}

impl PersonErasure {
    /// Of a user of whom nothing is counted yet.
    pub(super) fn of(user_id: Uuid) -> Self {
        Self {
            dry_run: false,
            user_id,
            erased_at: None,
            finished: false,
            devices: 0,
            tokens: 0,
            link_codes: 0,
            buckets: 0,
            hidden_versions: 0,
            stored_answers: 0,
            events: 0,
            backfill_rows: 0,
            rollup_rows: 0,
        }
    }

    /// With rows of accounts.
    pub(super) fn with_accounts(self, rows: AccountRows) -> Self {
        let AccountRows { devices, tokens, link_codes } = rows;
        Self { devices, tokens, link_codes, ..self }
    }

    /// Counts usage too.
    pub(super) fn add_usage(&mut self, usage: PersonUsage) {
        let PersonUsage { buckets, hidden_versions, stored_answers, events } = usage;
        self.buckets += buckets;
        self.hidden_versions += hidden_versions;
        self.stored_answers += stored_answers;
        self.events += events;
    }
}
