//! Whether the database answers. It is asked at most once a second, and has half a second for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::store;
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::problem::{Code, Problem};

const BOUND: Duration = Duration::from_millis(500);
const REMEMBERED: Duration = Duration::from_secs(1);

/// What the database answered, and when.
#[derive(Debug)]
struct Answer {
    at: Instant,
    result: Result<(), Problem>,
}

/// The last answer, shared by all probes. Probes that come while one asks wait for its answer.
#[derive(Clone, Debug)]
pub struct Readiness {
    pool: Pool,
    last: Arc<Mutex<Option<Answer>>>,
}

impl Readiness {
    /// Asks through `pool`.
    pub fn new(pool: Pool) -> Self {
        Self { pool, last: Arc::default() }
    }

    /// Errors: 503 when the database does not answer within half a second.
    pub async fn check(&self, context: &RequestContext) -> Result<(), Problem> {
        let mut last = self.last.lock().await;
        if let Some(answer) = last.as_ref()
            && answer.at.elapsed() < REMEMBERED
        {
            return answer.result.clone();
        }
        let result = match tokio::time::timeout(BOUND, self.ask(context)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(problem)) => Err(unavailable().because(problem.source_chain().unwrap_or_default())),
            Err(_elapsed) => Err(unavailable().because("no answer within 500 ms")),
        };
        *last = Some(Answer { at: Instant::now(), result: result.clone() });
        result
    }

    async fn ask(&self, context: &RequestContext) -> Result<(), Problem> {
        let mut tx = self.pool.begin(context, Access::NOBODY, Mode::ReadWrite).await?;
        store::ping(&mut tx).await?;
        tx.rollback().await
    }
}

fn unavailable() -> Problem {
    Problem::new(Code::DatabaseUnavailable, "The database does not answer.")
}
