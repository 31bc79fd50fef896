//! Who gets the answer to a post: its caller, or everybody who waits for the execution of its key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::written::Written;
use crate::kernel::call::Upstream;
use crate::kernel::idempotency::{self, IdempotencyKey, KeyScope};
use crate::kernel::problem::Problem;

type Answer = Result<Written, Problem>;

/// Where the answer to a post goes.
#[derive(Debug)]
pub(super) enum Recipient {
    /// To its caller.
    Caller(oneshot::Sender<Answer>),
    /// To everybody who waits for the execution of its key.
    Execution(Execution),
}

impl Recipient {
    /// Whether nobody waits for it. A key's execution is waited for by whoever repeats it.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Caller(caller) if caller.is_closed())
    }

    /// Hands the answer over. Who went away needs none.
    pub(super) fn send(self, answer: Answer) {
        match self {
            Self::Caller(caller) => drop(caller.send(answer)),
            Self::Execution(execution) => execution.finish(&answer),
        }
    }
}

/// Keys of requests that are being executed in this process, with those who wait for the same answer. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<Mutex<HashMap<KeyScope, Waiting>>>);

/// Who waits for the execution of a key.
#[derive(Debug)]
struct Waiting {
    key: IdempotencyKey,
    /// What the database answers to it.
    upstream: Upstream,
    callers: Vec<oneshot::Sender<Answer>>,
}

/// The execution of a key. Dropped unfinished, it says so to everybody who waits.
#[derive(Debug)]
pub(super) struct Execution {
    /// `None` once finished.
    in_flight: Option<InFlight>,
    scope: KeyScope,
}

/// What came of a request with a key.
#[derive(Debug)]
pub(super) enum Joined {
    /// It is the first, and has to execute it.
    Executes(Execution),
    /// It waits for another one, to which the database answers this.
    Waits(Upstream),
}

impl InFlight {
    /// Joins the execution of the key, or begins one. Either way `caller` gets its answer. Errors: 422 where the key stands
    /// for another request.
    pub(super) fn join(
        &self,
        key: &IdempotencyKey,
        upstream: &Upstream,
        caller: oneshot::Sender<Answer>,
    ) -> Result<Joined, Problem> {
        let mut executions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match executions.get_mut(key.scope()) {
            Some(waiting) if !waiting.key.same_request(key) => Err(idempotency::key_reused()),
            Some(waiting) => {
                waiting.callers.push(caller);
                Ok(Joined::Waits(waiting.upstream.clone()))
            }
            None => {
                let waiting = Waiting { key: key.clone(), upstream: upstream.clone(), callers: vec![caller] };
                executions.insert(*key.scope(), waiting);
                Ok(Joined::Executes(Execution { in_flight: Some(self.clone()), scope: *key.scope() }))
            }
        }
    }

    /// Hands the answer to everybody who waits; the first of them caused it, for the others it is a replay.
    fn finish(&self, scope: &KeyScope, answer: &Answer) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(scope);
        let callers = waiting.map(|waiting| waiting.callers).unwrap_or_default();
        for (position, caller) in callers.into_iter().enumerate() {
            let answer =
                answer.clone().map(|written| Written { replayed: written.replayed || position > 0, ..written });
            // Who went away needs no answer.
            let _ = caller.send(answer);
        }
    }
}

impl Execution {
    fn finish(mut self, answer: &Answer) {
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.finish(&self.scope, answer);
        }
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.finish(&self.scope, &Err(unanswered()));
        }
    }
}

/// What somebody is told whose post was dropped.
pub(super) fn unanswered() -> Problem {
    Problem::internal("a writer task dropped a post without an answer")
}
