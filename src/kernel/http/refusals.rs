//! What the documentation of routes says about refusals that several routes share.
//!
//! Each group names statuses, and `responses(…)` of a route takes as many groups as it needs. What
//! is particular to one route stands in its own description.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type};
use utoipa::{IntoResponses, ToSchema as _};

use crate::kernel::problem::ProblemBody;

/// Makes a type for each group. It refers to the schema of [`ProblemBody`], which the composition
/// root's document must register.
macro_rules! groups {
    ($($(#[$about:meta])* $name:ident: [$(($status:ident, $description:literal)),* $(,)?])*) => {
        $(
            $(#[$about])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    described([$((StatusCode::$status, $description)),*])
                }
            }
        )*
    };
}

groups! {
    /// What any authenticated route may answer with.
    Refusals: [
        (BAD_REQUEST, "The request cannot be read."),
        (UNAUTHORIZED, "There is no token, or it is not valid."),
        (FORBIDDEN, "The token is of another kind than this route is for."),
        (TOO_MANY_REQUESTS, "Too many requests: wait as long as `Retry-After` says."),
        (INTERNAL_SERVER_ERROR, "A bug in halfhour. Sending the same request again is safe."),
        (SERVICE_UNAVAILABLE, "Not now: send the same request again after `Retry-After`."),
        (GATEWAY_TIMEOUT, "The request took too long and was stopped. Sending it again is safe."),
    ]

    /// Of routes without a body, whether or not they take parameters.
    QueryRefusal: [
        (UNPROCESSABLE_ENTITY, "Not acceptable: `errors` lists every violation, and nothing was done."),
    ]

    /// Of routes that answer in several media types, or in one that the caller may not accept.
    MediaTypeRefusal: [
        (NOT_ACCEPTABLE, "The caller accepts none of the media types that this route answers in."),
    ]

    /// Of routes that answer with a stream.
    StreamRefusal: [
        (UPGRADE_REQUIRED, "A stream over HTTP/1.0: ask for pages with `limit`, or speak HTTP/1.1."),
    ]

    /// Of routes with a body of JSON.
    BodyRefusals: [
        (PAYLOAD_TOO_LARGE, "The body is larger than 1 MiB, decompressed."),
        (UNSUPPORTED_MEDIA_TYPE, "Neither plain, gzip nor zstd JSON. `Accept-Encoding` lists the codings where one is not known."),
        (UNPROCESSABLE_ENTITY, "Not acceptable: `errors` lists every violation, and nothing was changed."),
    ]

    /// Of routes whose path names a thing.
    NotFoundRefusal: [
        (NOT_FOUND, "There is no such thing, or it is another user's."),
    ]

    /// Of routes that not every state allows.
    ConflictRefusal: [
        (CONFLICT, "The present state does not allow it: `detail` says why, and nothing was changed."),
    ]

    /// Of routes that take an `Idempotency-Key`, whether or not every state allows them.
    KeyRefusals: [
        (CONFLICT, "The present state does not allow it: `detail` says why, and nothing was changed. Or a request with \
            this `Idempotency-Key` is being executed: send the same again after `Retry-After`."),
        (UNPROCESSABLE_ENTITY, "Not acceptable: `errors` lists every violation, and nothing was changed. Or the \
            `Idempotency-Key` stands for another request."),
    ]

    /// Of routes that change one version of a thing.
    VersionRefusals: [
        (PRECONDITION_FAILED, "It has another version than `If-Match` says, and nothing was changed."),
        (PRECONDITION_REQUIRED, "`If-Match` is missing."),
    ]
}

/// Refusals as the contract describes them, by status. Each is a problem.
fn described<const N: usize>(refusals: [(StatusCode, &str); N]) -> BTreeMap<String, RefOr<Response>> {
    refusals.map(|(status, description)| (status.as_str().to_owned(), refusal(status, description).into())).into()
}

/// How the contract describes an answer of this status that is a problem.
pub fn refusal(status: StatusCode, description: &str) -> Response {
    let schema = Ref::from_schema_name(ProblemBody::name());
    let body = ContentBuilder::new().schema(Some(schema)).build();
    let refusal = ResponseBuilder::new().description(description).content("application/problem+json", body);
    let waits = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if waits { refusal.header("Retry-After", retry_after()).build() } else { refusal.build() }
}

fn retry_after() -> Header {
    HeaderBuilder::new()
        .description(Some("Seconds to wait."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1_u8)).build()))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a group's statuses, and that each is a problem which says how long to wait where that
    /// is worth it.
    #[track_caller]
    fn assert_describes<Group: IntoResponses>(statuses: &[u16]) {
        let responses = serde_json::to_value(Group::responses()).unwrap();
        let described: Vec<u16> = responses.as_object().unwrap().keys().map(|status| status.parse().unwrap()).collect();
        assert_eq!(described, statuses);
        for status in statuses {
            let response = &responses[status.to_string()];
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{status}");
            assert_eq!(response["headers"]["Retry-After"].is_object(), [429, 503].contains(status), "{status}");
        }
    }

    #[test]
    fn every_refusal_is_a_problem_and_those_worth_waiting_for_say_how_long() {
        assert_describes::<Refusals>(&[400, 401, 403, 429, 500, 503, 504]);
        assert_describes::<QueryRefusal>(&[422]);
        assert_describes::<MediaTypeRefusal>(&[406]);
        assert_describes::<StreamRefusal>(&[426]);
        assert_describes::<BodyRefusals>(&[413, 415, 422]);
        assert_describes::<NotFoundRefusal>(&[404]);
        assert_describes::<ConflictRefusal>(&[409]);
        assert_describes::<KeyRefusals>(&[409, 422]);
        assert_describes::<VersionRefusals>(&[412, 428]);
    }
}
