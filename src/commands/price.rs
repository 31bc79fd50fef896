//! `price`: price books, which one is in force, and what a model costs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use clap::Subcommand;
use serde_json::json;

use super::backfill::{BackfillCommand, JobArguments, PlanArguments, backfill};
use super::database::Opened;
use super::output::{Output, explain};
use crate::app::{books_with, shipped_book};
use crate::config::Config;
use crate::features::dashboard_rollup::{Uncovered, uncovered};
use crate::features::pricing::{BookReply, BookRow, Books, NewBook, PriceQuestion, PriceReply, SkuDifference};
use crate::kernel::access::Actor;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::Pool;
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::problem::Problem;

/// How long one command may work on the database.
const LIMIT: Duration = Duration::from_mins(2);

#[derive(Debug, Subcommand)]
pub enum PriceCommand {
    /// Import a price file as a new book. It is not in force by that. Nothing is fetched from anywhere.
    Import {
        /// The file, as CSV. Without it the prices that this release brings.
        file: Option<PathBuf>,
        /// The day as of which the file's prices are known; today by default.
        #[arg(long, requires = "file")]
        dated: Option<NaiveDate>,
        /// Why.
        #[arg(long, requires = "file")]
        reason: Option<String>,
    },
    /// List the books and say which one is in force.
    List,
    /// Say what a model costs that a tool reports, and why.
    Show {
        /// The tool, as buckets have it.
        source: String,
        /// The model, as buckets have it.
        model: String,
        /// At which instant; now by default.
        #[arg(long)]
        at: Option<DateTime<Utc>>,
        /// In which book; by default the one in force.
        #[arg(long)]
        book: Option<u16>,
    },
    /// Say which tokens of all users have no price, by tool and model, the most first.
    Coverage,
    /// Say what one book prices otherwise than another one.
    Diff {
        /// The number of the one.
        from: u16,
        /// The number of the other one.
        to: u16,
    },
    /// Plan to put a book in force, and say what that changes, by model and month. Changes nothing.
    Plan {
        /// Its number.
        book: u16,
        /// Why, for the audit.
        #[arg(long)]
        reason: String,
    },
    /// Carry a plan out, and wait for its end: every rollup is moved into the book, one user after the other.
    Execute(JobArguments),
    /// Put the book in force again that was before, and wait until every rollup is back in it.
    Rollback(JobArguments),
    /// Put a book in force at once, without a plan. Running servers fold every rollup again in it, one user after the other.
    /// For the first book, every server must be of this release.
    Use {
        /// Its number.
        book: u16,
        /// Why, for the audit.
        #[arg(long)]
        reason: String,
    },
}

pub async fn price(config: Config, command: PriceCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        PriceCommand::Import { file, dated, reason } => import(&config, file.as_deref(), dated, reason, output).await,
        PriceCommand::List => list(&config, output).await,
        PriceCommand::Show { source, model, at, book } => {
            let question = PriceQuestion::of(&source, &model, at, book).map_err(|problem| explain(&problem))?;
            show(&config, &question, output).await
        }
        PriceCommand::Coverage => coverage(&config, output).await,
        PriceCommand::Diff { from, to } => difference(&config, from.into(), to.into(), output).await,
        PriceCommand::Plan { book, reason } => {
            let plan = BackfillCommand::Plan(PlanArguments::reprice(book, reason));
            Box::pin(backfill(config, plan, output)).await
        }
        PriceCommand::Execute(job) => Box::pin(backfill(config, BackfillCommand::Execute(job), output)).await,
        PriceCommand::Rollback(job) => Box::pin(backfill(config, BackfillCommand::Rollback(job), output)).await,
        PriceCommand::Use { book, reason } => {
            let work = async |books: &Books, context: &RequestContext| {
                books.put_in_force(context, Actor::Command, book.into(), &reason).await
            };
            let is_put = with_books(&config, work).await?;
            let state =
                if is_put { "is in force from now on; running servers fold rollups in it" } else { "was in force" };
            output.write(&json!({ "book": book, "changed": is_put }), format!("Book {book} {state}."))
        }
    }
}

async fn import(
    config: &Config,
    file: Option<&Path>,
    dated: Option<NaiveDate>,
    reason: Option<String>,
    output: &Output,
) -> anyhow::Result<()> {
    let new = match file {
        None => shipped_book(),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let dated = dated.unwrap_or_else(|| Clock::system().now().date_naive());
            NewBook::read(dated, reason.unwrap_or_else(|| "by command".to_owned()), &[&text])
        }
    };
    let new = new.map_err(|problem| explain(&problem))?;
    let work = async |books: &Books, context: &RequestContext| {
        books.import(context, Actor::Command, &new, Once::unkeyed()).await.map_err(refused)
    };
    let imported = with_books(config, work).await?;
    let book = imported.book.version;
    let words = if imported.created {
        format!("Book {book} is sealed. `halfhour price plan {book} --reason …` says what it changes.")
    } else {
        format!("These are the prices of book {book}.")
    };
    output.write(&serde_json::to_value(BookReply::from(imported.book))?, words)
}

async fn list(config: &Config, output: &Output) -> anyhow::Result<()> {
    let listed = with_books(config, async |books, context| books.list(context).await).await?;
    let line = |book: &BookRow| {
        let state = if book.in_force_since.is_some() { "in force" } else { "" };
        format!("{:4}  {}  {state:8}  {}", book.version, book.dated, book.reason)
    };
    let words = listed.iter().map(line).collect::<Vec<_>>().join("\n");
    let replies: Vec<_> = listed.into_iter().map(BookReply::from).collect();
    output.write(&serde_json::to_value(&replies)?, words)
}

async fn show(config: &Config, question: &PriceQuestion, output: &Output) -> anyhow::Result<()> {
    let named = (question.source.as_str(), question.model.as_str());
    let work = async |books: &Books, context: &RequestContext| {
        books.price_of(context, named, question.at, question.book).await
    };
    let reply = PriceReply::new(question, with_books(config, work).await?);
    output.write(&serde_json::to_value(&reply)?, reply.words())
}

async fn coverage(config: &Config, output: &Output) -> anyhow::Result<()> {
    let found = with_pool(config, async |pool, context| uncovered(pool, context).await).await?;
    let line = |Uncovered { source, model, tokens, users }: &Uncovered| {
        format!("{tokens:>16}  {users:6} users  {source}  {model}")
    };
    let value = |Uncovered { source, model, tokens, users }: &Uncovered| json!({ "source": source, "model": model, "tokens": tokens, "users": users });
    let words = found.iter().map(line).collect::<Vec<_>>().join("\n");
    output.write(&found.iter().map(value).collect(), words)
}

async fn difference(config: &Config, from: i32, to: i32, output: &Output) -> anyhow::Result<()> {
    let work = async |books: &Books, context: &RequestContext| books.difference(context, from, to).await;
    let found = with_books(config, work).await?;
    let line = |SkuDifference { sku, what, from }: &SkuDifference| format!("{from}  {what:10}  {sku}");
    let value =
        |SkuDifference { sku, what, from }: &SkuDifference| json!({ "sku": sku, "difference": what, "from": from });
    let words = found.iter().map(line).collect::<Vec<_>>().join("\n");
    output.write(&found.iter().map(value).collect(), words)
}

/// A command has no key, so that nothing was done before under it.
fn refused(unexecuted: Unexecuted) -> Problem {
    match unexecuted {
        Unexecuted::Refused(problem) => problem,
        Unexecuted::Answered(_) => Problem::internal("a command was answered from a key"),
    }
}

/// Opens the database, works, and closes it whatever came of the work.
async fn with_books<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Books, &RequestContext) -> Result<T, Problem>,
) -> anyhow::Result<T> {
    with_pool(config, async |pool, context| work(&books_with(pool, &Clock::system()), context).await).await
}

/// The same with the pool alone.
async fn with_pool<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Pool, &RequestContext) -> Result<T, Problem>,
) -> anyhow::Result<T> {
    let opened = Opened::open(config).await?;
    let pool = Pool::new(opened.options().clone(), "command", 1);
    let result = work(&pool, &RequestContext::internal(LIMIT)).await;
    pool.close().await;
    opened.close().await?;
    result.map_err(|problem| explain(&problem))
}
