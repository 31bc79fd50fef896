//! The tools as this process knows them, and how operators change them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};

use super::known::KnownSources;
use super::store::{self, ListedSource};
use crate::kernel::access::Actor;
use crate::kernel::bucket::Source;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::operations::audit::{Act, record_act};
use crate::kernel::problem::{Code, Problem, Violation};

/// A reading is given up before the next one is due.
const READING_LIMIT: Duration = Duration::from_millis(900);

/// Reads and changes the tools. Clones share what was read.
#[derive(Clone, Debug)]
pub struct Sources {
    pool: Pool,
    clock: Clock,
    known: watch::Sender<Option<Arc<KnownSources>>>,
    /// One at a time, so that an older reading cannot undo what was changed meanwhile.
    turn: Arc<Mutex<()>>,
}

/// A tool that was allowed.
#[derive(Clone, Debug)]
pub struct AddedSource {
    /// As it is now.
    pub source: ListedSource,
    /// True where there was no such tool before.
    pub created: bool,
}

impl Sources {
    /// Reads and writes through `pool`. Nothing is known before the first reading.
    pub fn new(pool: Pool, clock: Clock) -> Self {
        Self { pool, clock, known: watch::Sender::new(None), turn: Arc::default() }
    }

    /// What was read last. Whoever comes before the first reading waits for it, so that nobody is
    /// refused for what is not known yet. Errors: 503 or 504 where the database cannot be read
    /// either.
    pub async fn known(&self) -> Result<Arc<KnownSources>, Problem> {
        if let Some(known) = self.last() {
            return Ok(known);
        }
        let turn = self.turn.lock().await;
        // Somebody else may have read them while this one waited.
        if let Some(known) = self.last() {
            return Ok(known);
        }
        let known = self.read().await;
        drop(turn);
        known
    }

    /// What was read last; `None` before the first reading.
    pub fn last(&self) -> Option<Arc<KnownSources>> {
        self.known.borrow().clone()
    }

    /// One reading. Errors: the database's, or that it took too long; then nothing has changed.
    pub async fn refresh(&self) -> Result<(), Problem> {
        let _turn = self.turn.lock().await;
        self.read().await.map(drop)
    }

    /// All tools as they are stored. Errors: the database's.
    pub async fn list(&self, context: &RequestContext) -> Result<Vec<ListedSource>, Problem> {
        let mut tx = self.pool.begin(context, Access::NOBODY, Mode::Snapshot).await?;
        let listed = store::list_sources(&mut tx).await?;
        tx.rollback().await?;
        Ok(listed)
    }

    /// Allows a tool once, for the first time or again, and writes down who did it. This process obeys
    /// at once. `title` has 1 to 100 characters; without it a tool keeps its title, or is called by its
    /// name. Errors: 409 for another tool's other name; those of [`Once::claim`].
    pub async fn add(
        &self,
        context: &RequestContext,
        actor: Actor,
        name: Source,
        title: Option<&str>,
        once: Once<AddedSource>,
    ) -> Result<AddedSource, Unexecuted> {
        let _turn = self.turn.lock().await;
        let tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        let mut tx = once.claim(tx, context).await?;
        let created = store::add_source(&mut tx, name, title, actor, self.clock.now()).await?;
        let listed = store::list_sources(&mut tx).await?;
        let Some(created) = created else {
            tx.rollback().await?;
            return Err(is_alias(name, &listed).into());
        };
        let details = json!({ "title": title, "created": created });
        write_down(&mut tx, context, actor, ("source.add", name, &details)).await?;
        let added = AddedSource { source: changed(&listed, name)?, created };
        once.commit(tx, context, &added).await?;
        self.apply(store::index(&listed));
        Ok(added)
    }

    /// Retires a tool once, and writes down who did it. This process obeys at once. Errors: 404 where
    /// there is no such tool; those of [`Once::claim`].
    pub async fn retire(
        &self,
        context: &RequestContext,
        actor: Actor,
        name: &str,
        once: Once<ListedSource>,
    ) -> Result<ListedSource, Unexecuted> {
        let source = Source::parse(name).ok_or_else(|| no_such_source(None))?;
        let _turn = self.turn.lock().await;
        let tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        let mut tx = once.claim(tx, context).await?;
        let found = store::retire_source(&mut tx, source, self.clock.now()).await?;
        let listed = store::list_sources(&mut tx).await?;
        if !found {
            tx.rollback().await?;
            return Err(no_such_source(store::index(&listed).canonical(source)).into());
        }
        write_down(&mut tx, context, actor, ("source.retire", source, &json!({}))).await?;
        let retired = changed(&listed, source)?;
        once.commit(tx, context, &retired).await?;
        self.apply(store::index(&listed));
        Ok(retired)
    }

    async fn read(&self) -> Result<Arc<KnownSources>, Problem> {
        let listed = self.list(&RequestContext::internal(READING_LIMIT)).await?;
        Ok(self.apply(store::index(&listed)))
    }

    /// From now on this is known. Whoever holds what was known before keeps it.
    fn apply(&self, known: KnownSources) -> Arc<KnownSources> {
        let known = Arc::new(known);
        let before = self.known.send_replace(Some(known.clone()));
        if before.is_some_and(|before| before != known) {
            tracing::info!("the tools that may report usage have changed");
        }
        known
    }
}

/// Writes a change into the audit.
async fn write_down(
    tx: &mut Tx,
    context: &RequestContext,
    actor: Actor,
    (action, name, details): (&'static str, Source, &Value),
) -> Result<(), Problem> {
    let act = Act { action, subject: name.as_str(), reason: None, details };
    record_act(tx, context.request_id, actor, act).await
}

/// The tool that was just changed.
fn changed(listed: &[ListedSource], name: Source) -> Result<ListedSource, Problem> {
    let changed = listed.iter().find(|source| source.name == name).cloned();
    changed.ok_or_else(|| Problem::internal("a tool that was just written is not listed"))
}

/// The tools as a transaction sees them. Errors: the database's.
pub async fn known_in(tx: &mut Tx) -> Result<KnownSources, Problem> {
    Ok(store::index(&store::list_sources(tx).await?))
}

fn is_alias(name: Source, listed: &[ListedSource]) -> Problem {
    let canonical = store::index(listed).canonical(name).unwrap_or(name);
    let [name, canonical] = [&name, &canonical].map(Source::as_str);
    let detail = format!("`{name}` is another name of `{canonical}`, which is the one that is posted.");
    Problem::new(Code::Conflict, detail.clone()).violating(vec![Violation::new("/name", "name_is_alias", detail)])
}

fn no_such_source(canonical: Option<Source>) -> Problem {
    let detail = match &canonical {
        Some(canonical) => format!("This is another name of `{}`; retire that.", canonical.as_str()),
        None => "There is no such tool; GET /v1/sources lists them all.".to_owned(),
    };
    Problem::new(Code::NotFound, detail)
}
