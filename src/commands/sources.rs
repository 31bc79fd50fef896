//! `source`: which tools may report usage.

use std::time::Duration;

use clap::Subcommand;

use super::database::Opened;
use super::output::{Output, explain};
use crate::config::Config;
use crate::features::operations::{NewSource, SourceReply};
use crate::kernel::access::Actor;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::Pool;
use crate::kernel::idempotency::Once;
use crate::kernel::problem::Problem;
use crate::kernel::usage::sources::{AddedSource, ListedSource, Sources};

/// How long one command may work on the database.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Subcommand)]
pub enum SourceCommand {
    /// Allow a tool, for the first time or again; running servers heed it within two seconds.
    Add {
        /// What buckets will call it: 1 to 64 of a-z 0-9 . _ - that begin with a letter or a digit.
        name: String,
        /// What people call it, 1 to 100 characters. Without it a tool keeps its title, or is called
        /// by its name.
        #[arg(long)]
        title: Option<String>,
    },
    /// List all tools, retired ones included.
    List,
    /// Refuse new usage of a tool. Its history stays.
    Retire {
        /// Its name.
        name: String,
    },
}

pub async fn source(config: Config, command: SourceCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        SourceCommand::Add { name, title } => {
            let asked = NewSource::of(&name, title.as_deref()).map_err(|problem| explain(&problem))?;
            let work = async |sources: &Sources, context: &RequestContext| {
                let title = asked.title.as_deref();
                Ok(sources.add(context, Actor::Command, asked.name, title, Once::unkeyed()).await?)
            };
            let AddedSource { source, created } = with_sources(&config, work).await?;
            let state = if created { "may report usage from now on" } else { "may report usage" };
            let words = format!("{} {state}; a running server heeds it within two seconds.", name_of(&source));
            output.write(&serde_json::to_value(SourceReply::from(source))?, words)
        }
        SourceCommand::List => {
            let work = async |sources: &Sources, context: &RequestContext| sources.list(context).await;
            let listed = with_sources(&config, work).await?;
            let words = listed.iter().map(line).collect::<Vec<_>>().join("\n");
            let replies: Vec<_> = listed.into_iter().map(SourceReply::from).collect();
            output.write(&serde_json::to_value(&replies)?, words)
        }
        SourceCommand::Retire { name } => {
            let work = async |sources: &Sources, context: &RequestContext| {
                Ok(sources.retire(context, Actor::Command, &name, Once::unkeyed()).await?)
            };
            let source = with_sources(&config, work).await?;
            let words = format!("{} is retired; a running server heeds it within two seconds.", name_of(&source));
            output.write(&serde_json::to_value(SourceReply::from(source))?, words)
        }
    }
}

fn name_of(source: &ListedSource) -> String {
    format!("{} ({})", source.name.as_str(), source.title)
}

fn line(source: &ListedSource) -> String {
    let ListedSource { name, title, aliases, retired_at, .. } = source;
    let state = retired_at.map_or("allowed".to_owned(), |at| format!("retired {}", at.format("%Y-%m-%d")));
    let aliases: Vec<_> = aliases.iter().map(|alias| format!("  also {}", alias.as_str())).collect();
    format!("{:24}  {state}  {title}{}", name.as_str(), aliases.concat())
}

/// Opens the database, works, and closes it whatever came of the work.
async fn with_sources<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Sources, &RequestContext) -> Result<T, Problem>,
) -> anyhow::Result<T> {
    let opened = Opened::open(config).await?;
    let pool = Pool::new(opened.options().clone(), "command", 1);
    let sources = Sources::new(pool.clone(), Clock::system());
    let result = work(&sources, &RequestContext::internal(LIMIT)).await;
    pool.close().await;
    opened.close().await?;
    result.map_err(|problem| explain(&problem))
}
