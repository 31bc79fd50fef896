//! What every route's documentation says about refusals that are not its own.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type};
use utoipa::{IntoResponses, ToSchema as _};

use crate::kernel::problem::ProblemBody;

/// The refusals that any authenticated route may answer with, for `responses(Refusals, …)`.
///
/// They refer to the schema of [`ProblemBody`], which the composition root's document must register.
#[derive(Debug)]
pub struct Refusals;

const REFUSALS: [(StatusCode, &str); 7] = [
    (StatusCode::BAD_REQUEST, "The request cannot be read."),
    (StatusCode::UNAUTHORIZED, "There is no token, or it is not valid."),
    (StatusCode::FORBIDDEN, "The token is of another kind than this route is for."),
    (StatusCode::TOO_MANY_REQUESTS, "Too many requests: wait as long as `Retry-After` says."),
    (StatusCode::INTERNAL_SERVER_ERROR, "A bug in halfhour. Sending the same request again is safe."),
    (StatusCode::SERVICE_UNAVAILABLE, "Not now: send the same request again after `Retry-After`."),
    (StatusCode::GATEWAY_TIMEOUT, "The request took too long and was stopped. Sending it again is safe."),
];

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        described(REFUSALS)
    }
}

/// Refusals as the contract describes them, by status; each is a problem.
pub fn described<const N: usize>(refusals: [(StatusCode, &str); N]) -> BTreeMap<String, RefOr<Response>> {
    refusals.map(|(status, description)| (status.as_str().to_owned(), refusal(status, description).into())).into()
}

fn refusal(status: StatusCode, description: &str) -> Response {
    let schema = Ref::from_schema_name(ProblemBody::name());
    let body = ContentBuilder::new().schema(Some(schema)).build();
    let refusal = ResponseBuilder::new().description(description).content("application/problem+json", body);
    let waits = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if waits { refusal.header("Retry-After", retry_after()).build() } else { refusal.build() }
}

fn retry_after() -> Header {
    HeaderBuilder::new()
        .description(Some("Seconds to wait."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::Integer).build()))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_a_problem_and_those_worth_waiting_for_say_how_long() {
        let responses = serde_json::to_value(Refusals::responses()).unwrap();
        for (status, _) in REFUSALS {
            let response = &responses[status.as_str()];
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{status}");
            let waits = response["headers"]["Retry-After"].is_object();
            assert_eq!(waits, [429, 503].contains(&status.as_u16()), "{status}");
        }
    }
}
