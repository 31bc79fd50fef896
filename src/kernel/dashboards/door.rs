//! The door to sums: the slice that owns the rollups answers, and the composition root hands the door over.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::question::SumsQuestion;
use super::sums::AnsweredSums;
use crate::kernel::call::RequestContext;
use crate::kernel::problem::{Code, Problem, Violation};

/// Answers questions about users' usage.
#[derive(Clone)]
pub struct UsageSums(Arc<AskSums>);

type AskSums = dyn Fn(RequestContext, Uuid, SumsQuestion) -> Asked + Send + Sync;
type Asked = BoxFuture<'static, Result<AnsweredSums, Problem>>;

impl UsageSums {
    /// From a function of the call, a user and a question.
    pub fn new(ask: impl Fn(RequestContext, Uuid, SumsQuestion) -> Asked + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    /// The sums that a question is about. Errors: 422 for a zone that there is none, days that are refused or whose
    /// buckets retention has removed, and more sums than an answer has room for; the database's.
    pub async fn ask(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        question: SumsQuestion,
    ) -> Result<AnsweredSums, Problem> {
        let zone = question.zone.as_ref().map_or("tz", |zone| zone.parameter);
        let days = question.parts.first().map_or("from", |part| part.days.parameter());
        let answered = (self.0)(context.clone(), user_id, question).await;
        answered.map_err(|problem| named_as_asked(problem, zone, days))
    }
}

impl fmt::Debug for UsageSums {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("UsageSums")
    }
}

/// The same refusal with the names that the parameters have in the question.
fn named_as_asked(problem: Problem, zone: &str, days: &str) -> Problem {
    if problem.code() != Code::Invalid {
        return problem;
    }
    let renamed = problem.violations().iter().map(|violation| {
        let pointer = match violation.pointer.as_str() {
            "?time_zone" => format!("?{zone}"),
            "?from" => format!("?{days}"),
            "?device" => "?device_id".to_owned(),
            other => other.to_owned(),
        };
        Violation { pointer, ..violation.clone() }
    });
    Problem::invalid(renamed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_parameters_that_were_sent() {
        let violations = ["?time_zone", "?from", "?device", "?model"].map(|pointer| Violation::new(pointer, "x", "y"));
        let renamed = named_as_asked(Problem::invalid(violations.to_vec()), "tz_offset_minutes", "day");
        let pointers: Vec<_> = renamed.violations().iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!(pointers, ["?tz_offset_minutes", "?day", "?device_id", "?model"]);
        let other = named_as_asked(Problem::new(Code::DatabaseUnavailable, "x"), "tz", "from");
        assert_eq!(other.code(), Code::DatabaseUnavailable);
    }
}
