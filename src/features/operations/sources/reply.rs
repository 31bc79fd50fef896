//! What is said of tools.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::kernel::bucket::Source;
use crate::kernel::idempotency::Answer;
use crate::kernel::problem::Problem;
use crate::kernel::usage::sources::{AddedSource, ListedSource};

/// A tool that may report usage, or might once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Source)]
pub struct SourceReply {
    /// What buckets call it.
    #[schema(example = "claude-code")]
    name: String,
    /// What people call it.
    #[schema(example = "Claude Code")]
    title: String,
    /// What other products call it. A post says the name.
    #[schema(example = json!(["claude"]))]
    aliases: Vec<String>,
    /// Who allowed it last: `operator`, `command`, or `server` for what a release brought.
    #[schema(example = "server")]
    allowed_by: String,
    /// Since when it may report usage.
    allowed_at: DateTime<Utc>,
    /// Since when it may no more; null while it may. Its history stays.
    retired_at: Option<DateTime<Utc>>,
}

impl From<ListedSource> for SourceReply {
    fn from(listed: ListedSource) -> Self {
        let ListedSource { name, title, aliases, allowed_by, allowed_at, retired_at } = listed;
        let text = |source: &Source| source.as_str().to_owned();
        Self {
            name: text(&name),
            title,
            aliases: aliases.iter().map(text).collect(),
            allowed_by,
            allowed_at,
            retired_at,
        }
    }
}

impl SourceReply {
    /// The answer to a tool that was allowed.
    pub(super) fn answer_to_addition(added: &AddedSource) -> Result<Answer, Problem> {
        let reply = Self::from(added.source.clone());
        if added.created { Answer::created(&reply) } else { Answer::ok(&reply) }
    }

    /// The answer to a tool that was retired.
    pub(super) fn answer_to_retirement(retired: &ListedSource) -> Result<Answer, Problem> {
        Answer::ok(&Self::from(retired.clone()))
    }
}

/// All tools.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SourcesReply {
    /// By name.
    sources: Vec<SourceReply>,
}

impl From<Vec<ListedSource>> for SourcesReply {
    fn from(listed: Vec<ListedSource>) -> Self {
        Self { sources: listed.into_iter().map(SourceReply::from).collect() }
    }
}
