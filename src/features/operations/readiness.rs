//! Whether the database answers. It is asked once a second at most while it does, has half a second for it, and is asked
//! sooner again where it did not, so that a server is ready within two seconds of its database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::store;
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::problem::{Code, Problem};

const BOUND: Duration = Duration::from_millis(500);
const REMEMBERED: Duration = Duration::from_secs(1);
const FAILURE_REMEMBERED: Duration = Duration::from_millis(200);

/// What the database answered, and when.
#[derive(Debug)]
struct Answer {
    at: Instant,
    result: Result<(), Problem>,
}

impl Answer {
    fn holds_after(&self, age: Duration) -> bool {
        age < if self.result.is_ok() { REMEMBERED } else { FAILURE_REMEMBERED }
    }
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
            && answer.holds_after(answer.at.elapsed())
        {
            if answer.result.is_err() {
                context.upstream.relied_on_another();
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_answer_holds_for_a_second_and_a_bad_one_for_a_fifth_of_it() {
        for (result, bound) in [(Ok(()), 1_000), (Err(unavailable()), 200)] {
            let answer = Answer { at: Instant::now(), result };
            assert!(answer.holds_after(Duration::from_millis(bound - 1)), "{answer:?}");
            assert!(!answer.holds_after(Duration::from_millis(bound)), "{answer:?}");
        }
        // Asked just before the database is back, again when that is forgotten, and then answered: within two seconds.
        assert!(BOUND + FAILURE_REMEMBERED + BOUND < Duration::from_secs(2));
    }
}
