//! The SQL of tools.

use chrono::{DateTime, Utc};

use super::known::{KnownSources, Standing};
use crate::kernel::access::Actor;
use crate::kernel::bucket::Source;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// A tool that may report usage, or might once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSource {
    /// What buckets call it.
    pub name: Source,
    /// What people call it.
    pub title: String,
    /// What other products call it, in byte order.
    pub aliases: Vec<Source>,
    /// Who allowed it: `operator`, `command`, or `server` for what a release brought.
    pub allowed_by: String,
    /// Since when.
    pub allowed_at: DateTime<Utc>,
    /// Since when it is retired; `None` where it may report usage.
    pub retired_at: Option<DateTime<Utc>>,
}

/// All of them, in byte order. Access: anyone.
pub async fn list_sources(tx: &mut Tx) -> Result<Vec<ListedSource>, Problem> {
    let rows = sqlx::query_file!("src/kernel/usage/sources/list_sources.sql").fetch_all(tx).await?;
    let listed = rows.into_iter().map(|row| {
        Ok(ListedSource {
            name: stored(&row.name)?,
            title: row.title,
            aliases: row.aliases.iter().map(|alias| stored(alias)).collect::<Result<_, _>>()?,
            allowed_by: row.allowed_by,
            allowed_at: row.allowed_at,
            retired_at: row.retired_at,
        })
    });
    listed.collect()
}

fn stored(name: &str) -> Result<Source, Problem> {
    Source::parse(name).ok_or_else(|| Problem::internal("a name in usage.source is not well formed"))
}

/// The same for looking names up.
pub fn index(listed: &[ListedSource]) -> KnownSources {
    let names = listed.iter().flat_map(|source| {
        let standing = if source.retired_at.is_none() { Standing::Allowed } else { Standing::Retired };
        let aliases = source.aliases.iter().map(|alias| (*alias, Standing::AliasOf(source.name)));
        std::iter::once((source.name, standing)).chain(aliases)
    });
    names.collect()
}

/// Allows a tool, for the first time or again. True where there was no such tool; `None` where the
/// name is another tool's other name, and nothing was written. Access: the worker.
pub async fn add_source(
    tx: &mut Tx,
    name: Source,
    title: Option<&str>,
    actor: Actor,
    now: DateTime<Utc>,
) -> Result<Option<bool>, Problem> {
    let query = sqlx::query_file_scalar!(
        "src/kernel/usage/sources/add_source.sql",
        name.as_str(),
        title,
        actor.as_str(),
        actor.user_id(),
        now,
    );
    Ok(query.fetch_optional(tx).await?)
}

/// Retires a tool, unless it is retired already. False where there is no such tool. Access: the worker.
pub async fn retire_source(tx: &mut Tx, name: Source, now: DateTime<Utc>) -> Result<bool, Problem> {
    let query = sqlx::query_file!("src/kernel/usage/sources/retire_source.sql", name.as_str(), now);
    Ok(query.execute(tx).await?.rows_affected() > 0)
}
