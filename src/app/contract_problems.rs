//! Problems that every route has in common, and the codes of each: which of a status a route can be answered, follows from
//! what it takes.

use std::collections::BTreeSet;

use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{RefOr, Response};

use super::contract_headers::described;
use crate::kernel::http::refusals::refusal;
use crate::kernel::problem::Code;

/// The media type of a problem.
const PROBLEM: &str = "application/problem+json";
/// Where a response says its codes.
pub(crate) const CODES: &str = "x-problem-codes";
/// The only operation that compares a plan with what stands.
const EXECUTES: &str = "execute_backfill";

/// What the door and the outermost layer answer, whatever the route is.
const OF_EVERY_ROUTE: [(Code, &str); 6] = [
    (Code::Malformed, "The request cannot be read."),
    (Code::UriTooLong, "The path with its query is too long."),
    (Code::HeadersTooLarge, "Too many or too long header fields."),
    (Code::Internal, "A bug in halfhour. Sending the same request again is safe."),
    (Code::Overloaded, "Not now: send the same request again after `Retry-After`."),
    (Code::DeadlineExceeded, "The request took too long and was stopped. Sending it again is safe."),
];
/// The same of routes with a body.
const TOO_SLOW: (Code, &str) = (Code::RequestTimeout, "The body came too slowly, or paused for too long.");
/// The same of routes behind a limit.
const TOO_OFTEN: (Code, &str) = (Code::RateLimited, "Too many requests: wait as long as `Retry-After` says.");

/// Describes what no route describes for itself, and which codes each status has. `is_limited` where requests are counted.
pub(crate) fn describe(operation: &mut Operation, is_limited: bool) {
    let has_body = operation.request_body.is_some();
    let more = [TOO_SLOW].into_iter().filter(|_| has_body).chain([TOO_OFTEN].into_iter().filter(|_| is_limited));
    for (code, about) in OF_EVERY_ROUTE.into_iter().chain(more) {
        let status = code.status().as_str().to_owned();
        let responses = &mut operation.responses.responses;
        responses.entry(status).or_insert_with(|| RefOr::T(refusal(code.status(), about)));
    }
    name_codes(operation);
}

fn name_codes(operation: &mut Operation) {
    let takes = Takes::of(operation);
    for (status, answer) in &mut operation.responses.responses {
        let RefOr::T(answer) = answer else { continue };
        if answer.content.contains_key(PROBLEM) {
            let codes: BTreeSet<&str> = takes.codes(status).map(Code::as_str).collect();
            say(answer, &codes);
        }
    }
}

fn say(answer: &mut Response, codes: &BTreeSet<&str>) {
    let words = codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
    answer.description = format!("{} Codes: {words}.", ended(&answer.description));
    let codes: Vec<&str> = codes.iter().copied().collect();
    answer.extensions.get_or_insert_default().insert(CODES.to_owned(), codes.into());
}

/// A description as a sentence.
fn ended(description: &str) -> String {
    if description.ends_with(['.', '!', '?']) { description.to_owned() } else { format!("{description}.") }
}

/// What a route takes, as far as that decides how it can be refused.
struct Takes {
    key: bool,
    plan: bool,
}

impl Takes {
    fn of(operation: &Operation) -> Self {
        let mut headers = operation.parameters.iter().flatten().filter_map(described);
        let key = headers.any(|header| header.parameter_in == ParameterIn::Header && header.name == "Idempotency-Key");
        Self { key, plan: operation.operation_id.as_deref() == Some(EXECUTES) }
    }

    /// The codes of a status that such a route can be answered.
    fn codes(&self, status: &str) -> impl Iterator<Item = Code> {
        Code::ALL.iter().copied().filter(move |code| {
            code.status().as_str() == status
                && match code {
                    Code::IdempotencyInProgress | Code::IdempotencyKeyReused => self.key,
                    Code::PlanStale => self.plan,
                    _ => true,
                }
        })
    }
}
