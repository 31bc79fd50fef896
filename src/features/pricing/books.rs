//! Price books: importing them, listing them, putting one in force, and asking one for a price.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;

use super::difference::{SkuDifference, between, undeclared};
use super::listing::Listing;
use super::row::{self, PriceRow};
use super::store::{self, BookRow, RateRow};
use crate::kernel::access::Actor;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::operations::audit::{Act, record_act};
use crate::kernel::problem::{Code, Problem, Violation};
use crate::kernel::usage::outbox::publish_rebuilds;

/// The key of the advisory lock that imports take, one after the other: "prices" in ASCII.
const IMPORT_LOCK: i64 = 0x7072_6963_6573;
/// A book has so many lines at most.
const MAX_ROWS: usize = 10_000;
/// And so many names and spans: a calendar may make many of one line.
const MAX_MADE: usize = 300_000;

/// A book that is to be imported.
#[derive(Debug)]
pub struct NewBook {
    dated: NaiveDate,
    reason: String,
    rows: Vec<PriceRow>,
    listing: Listing,
}

impl NewBook {
    /// Reads price files as one book. `dated` is the day as of which they are known. Errors: 422 with every violation.
    pub fn read(dated: NaiveDate, reason: String, files: &[&str]) -> Result<Self, Problem> {
        let mut rows = Vec::new();
        for file in files {
            rows.extend(row::read(file).map_err(Problem::invalid)?);
        }
        let too_many = |what: &str, most: usize| {
            let detail = format!("A book has at most {most} {what}.");
            Problem::invalid(vec![Violation::new("/csv", "too_many_rows", detail)])
        };
        if rows.is_empty() {
            let nothing = Violation::new("/csv", "missing", "A book has at least one price.");
            return Err(Problem::invalid(vec![nothing]));
        }
        if rows.len() > MAX_ROWS {
            return Err(too_many("lines", MAX_ROWS));
        }
        let listing = Listing::of(&rows).map_err(Problem::invalid)?;
        if listing.names.len() + listing.spans.len() > MAX_MADE {
            return Err(too_many("names and spans", MAX_MADE));
        }
        Ok(Self { dated, reason, rows, listing })
    }
}

/// A book that was imported.
#[derive(Clone, Debug)]
pub struct ImportedBook {
    /// As it is listed.
    pub book: BookRow,
    /// False where there was a book that says the same.
    pub created: bool,
}

/// What a question about a price is answered.
#[derive(Clone, Debug)]
pub struct PriceAnswer {
    /// The book that was asked; `None` where there is none.
    pub book: Option<BookRow>,
    /// What the model stands for, and by which rule.
    pub name: Option<(String, String)>,
    /// Its rates at that instant.
    pub rates: Vec<RateRow>,
}

/// Price books, through a pool that may write them.
#[derive(Clone, Debug)]
pub struct Books {
    pool: Pool,
    clock: Clock,
    fold_lock: i64,
}

impl Books {
    /// Works through `pool`. The holder of `fold_lock` alone changes how rollups are folded.
    pub const fn new(pool: Pool, clock: Clock, fold_lock: i64) -> Self {
        Self { pool, clock, fold_lock }
    }

    /// Seals a book once, and writes down who did it. What says the same as a book that there is, is that book. Errors: 422
    /// for prices that differ from the book before and are not declared; those of [`Once::claim`].
    pub async fn import(
        &self,
        context: &RequestContext,
        actor: Actor,
        new: &NewBook,
        once: Once<ImportedBook>,
    ) -> Result<ImportedBook, Unexecuted> {
        let tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        let mut tx = once.claim(tx, context).await?;
        store::lock(&mut tx, IMPORT_LOCK).await?;
        let books = store::list_books(&mut tx).await?;
        if let Some(book) = books.iter().find(|book| book.content_hash == new.listing.hash) {
            let found = ImportedBook { book: book.clone(), created: false };
            once.commit(tx, context, &found).await?;
            return Ok(found);
        }
        if let Some(parent) = books.first() {
            let before = store::book_spans(&mut tx, parent.version).await?;
            let violations = undeclared(&before, &new.listing, &new.rows, self.clock.now());
            if !violations.is_empty() {
                tx.rollback().await?;
                return Err(Problem::invalid(violations).into());
            }
        }
        let version = store::insert_book(&mut tx, &new.listing.hash, new.dated, &new.reason, actor).await?;
        store::fill_book(&mut tx, version, &new.listing).await?;
        let details = json!({ "dated": new.dated, "rates": new.listing.rates.len() });
        write_down(&mut tx, context, actor, ("price.import", version, &new.reason, &details)).await?;
        let book = store::list_books(&mut tx).await?.into_iter().find(|book| book.version == version);
        let book = book.ok_or_else(|| Problem::internal("a sealed book is not listed"))?;
        let imported = ImportedBook { book, created: true };
        once.commit(tx, context, &imported).await?;
        Ok(imported)
    }

    /// The sealed books, the newest first.
    pub async fn list(&self, context: &RequestContext) -> Result<Vec<BookRow>, Problem> {
        let mut tx = self.pool.begin(context, Access::NOBODY, Mode::Snapshot).await?;
        let books = store::list_books(&mut tx).await?;
        tx.rollback().await?;
        Ok(books)
    }

    /// What the second of two books says otherwise than the first. Errors: 404 where there is no such book.
    pub async fn difference(
        &self,
        context: &RequestContext,
        first: i32,
        second: i32,
    ) -> Result<Vec<SkuDifference>, Problem> {
        let mut tx = self.pool.begin(context, Access::NOBODY, Mode::Snapshot).await?;
        let known: Vec<i32> = store::list_books(&mut tx).await?.iter().map(|book| book.version).collect();
        let timelines = [store::book_spans(&mut tx, first).await?, store::book_spans(&mut tx, second).await?];
        tx.rollback().await?;
        if let Some(missing) = [first, second].into_iter().find(|version| !known.contains(version)) {
            return Err(no_such_book(missing));
        }
        let [first, second] = timelines;
        Ok(between(&first, &second))
    }

    /// Puts a book in force, and has every rollup folded again in it, one user after the other. False where it is in force
    /// already. Errors: 404 where there is no such book; the database's.
    pub async fn put_in_force(
        &self,
        context: &RequestContext,
        actor: Actor,
        version: i32,
        reason: &str,
    ) -> Result<bool, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        // From here on no fold can begin in the book before and end after this.
        store::lock(&mut tx, self.fold_lock).await?;
        if !store::list_books(&mut tx).await?.iter().any(|book| book.version == version) {
            tx.rollback().await?;
            return Err(no_such_book(version));
        }
        store::key_rollups_by_rate(&mut tx).await?;
        let is_put = store::put_in_force(&mut tx, version, self.clock.now()).await?;
        if is_put {
            let users = publish_rebuilds(&mut tx, None, context).await?;
            write_down(&mut tx, context, actor, ("price.use", version, reason, &json!({ "users": users }))).await?;
        }
        tx.commit().await?;
        Ok(is_put)
    }

    /// Puts a book, or none, in force in place of another one, in the transaction of who has the rollups folded in it. False
    /// where another one is in force. Errors: the database's.
    pub async fn replace(&self, tx: &mut Tx, former: Option<i32>, version: Option<i32>) -> Result<bool, Problem> {
        // From here on no fold can begin in the book before and end after this.
        store::lock(tx, self.fold_lock).await?;
        let books = store::list_books(tx).await?;
        let in_force = books.iter().find(|book| book.in_force_since.is_some()).map(|book| book.version);
        if in_force != former {
            return Ok(false);
        }
        match version {
            Some(version) => {
                store::key_rollups_by_rate(tx).await?;
                store::put_in_force(tx, version, self.clock.now()).await?;
            }
            None => store::put_none_in_force(tx).await?,
        }
        Ok(true)
    }

    /// Imports a book where there is none that says the same, and puts it in force where none is. For a server that brings
    /// everything itself.
    pub async fn begin_with(&self, context: &RequestContext, new: &NewBook) -> Result<(), Problem> {
        let imported = self.import(context, Actor::Server, new, Once::unkeyed()).await;
        let ImportedBook { book, created } = match imported {
            Ok(imported) => imported,
            Err(Unexecuted::Refused(problem)) => return Err(problem),
            Err(Unexecuted::Answered(_)) => return Err(Problem::internal("an import without a key was answered")),
        };
        if created {
            tracing::info!(book = book.version, "a price book was imported");
        }
        let is_any_in_force = self.list(context).await?.iter().any(|book| book.in_force_since.is_some());
        if !is_any_in_force {
            self.put_in_force(context, Actor::Server, book.version, "the first book of this server").await?;
        }
        Ok(())
    }

    /// What a model that a tool reports costs at an instant, in the book that is in force or in another one. Errors: 404
    /// where there is no such book.
    pub async fn price_of(
        &self,
        context: &RequestContext,
        (source, model): (&str, &str),
        at: Option<DateTime<Utc>>,
        version: Option<i32>,
    ) -> Result<PriceAnswer, Problem> {
        let at = at.unwrap_or_else(|| self.clock.now());
        let mut tx = self.pool.begin(context, Access::NOBODY, Mode::Snapshot).await?;
        let answer = answer(&mut tx, (source, model), at, version).await;
        tx.rollback().await?;
        answer
    }
}

async fn answer(
    tx: &mut Tx,
    (source, model): (&str, &str),
    at: DateTime<Utc>,
    version: Option<i32>,
) -> Result<PriceAnswer, Problem> {
    let books = store::list_books(tx).await?;
    let book = match version {
        Some(version) => {
            let book = books.into_iter().find(|book| book.version == version);
            Some(book.ok_or_else(|| no_such_book(version))?)
        }
        None => books.into_iter().find(|book| book.in_force_since.is_some()),
    };
    let Some(version) = book.as_ref().map(|book| book.version) else {
        return Ok(PriceAnswer { book: None, name: None, rates: Vec::new() });
    };
    let name = store::find_name(tx, version, source, model).await?;
    let rates = match &name {
        Some((sku, _)) => store::find_rates(tx, version, sku, at).await?,
        None => Vec::new(),
    };
    Ok(PriceAnswer { book, name, rates })
}

fn no_such_book(version: i32) -> Problem {
    Problem::new(Code::NotFound, format!("There is no price book {version}; GET /v1/price-books lists them."))
}

async fn write_down(
    tx: &mut Tx,
    context: &RequestContext,
    actor: Actor,
    (action, version, reason, details): (&'static str, i32, &str, &serde_json::Value),
) -> Result<(), Problem> {
    let act = Act { action, subject: &version.to_string(), reason: Some(reason), details };
    record_act(tx, context.request_id, actor, act).await
}
