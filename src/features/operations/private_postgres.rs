//! What operators are told of the private PostgreSQL's programs.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::embedded_postgres::{Programs, Upgrade};

/// The private PostgreSQL, which this process runs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PrivatePostgresReply {
    /// The version that runs.
    #[schema(example = "15.18 (Debian 15.18-1)")]
    version: String,
    /// The programs on disk, where they are not those that run; null otherwise.
    upgrade: Option<UpgradeReply>,
}

/// Programs on disk that are not those that run.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UpgradeReply {
    /// `settling`: they have just changed; `restart_waits`: PostgreSQL is restarted at a quiet moment; `unusable`: the old
    /// programs go on, and `detail` says what to do.
    #[schema(example = "restart_waits")]
    state: &'static str,
    /// Since when they are seen.
    since: DateTime<Utc>,
    /// Their version, as far as it is known.
    #[schema(example = "15.19 (Debian 15.19-1)")]
    version: Option<String>,
    /// Why they cannot be used, and what to do; null where they can.
    detail: Option<String>,
}

impl PrivatePostgresReply {
    pub(super) fn new(programs: &Programs) -> Self {
        let upgrade = programs.upgrade().map(|Upgrade { since, state, version, detail }| UpgradeReply {
            state: state.as_str(),
            since: since.into(),
            version,
            detail,
        });
        Self { version: programs.version(), upgrade }
    }
}
