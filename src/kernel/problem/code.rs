//! The closed set of problem codes: what each means, whose fault it is, and whether to try again.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// Whose fault a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The request has to change.
    Client,
    /// halfhour failed.
    Server,
    /// The database, or the capacity behind the server, failed.
    Dependency,
}

impl Fault {
    /// As replies and log lines spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Dependency => "dependency",
        }
    }
}

/// Whether the same request may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The same request will fail again.
    Never,
    /// The same request may succeed at once.
    SameRequest,
    /// The same request may succeed after the time in `Retry-After`.
    After,
}

macro_rules! codes {
    ($($variant:ident $code:literal $status:ident $fault:ident $retry:ident $title:literal $advice:literal;)*) => {
        /// Every `code` a problem can carry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// All of them, in documentation order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable text of the code, as in `/problems/{code}`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// Whose fault it is.
            pub const fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }

            /// Whether to send it again.
            pub const fn retry(self) -> Retry {
                match self { $(Self::$variant => Retry::$retry,)* }
            }

            /// The short title: the same for every problem with this code.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What the caller can do about it, in a sentence or two.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)* }
            }

            /// The page that explains it, in Markdown. Nothing compiles while a code has none.
            pub const fn page(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(concat!("../../../docs/problems/", $code, ".md")),)*
                }
            }
        }
    };
}

codes! {
    Malformed "malformed" BAD_REQUEST Client Never
        "The request cannot be read"
        "Send well-formed JSON, headers and query parameters, as /openapi.json describes them.";
    Unauthorized "unauthorized" UNAUTHORIZED Client Never
        "No valid token"
        "Send `Authorization: Bearer <token>` with a token that has not been revoked.";
    WrongPrincipal "wrong_principal" FORBIDDEN Client Never
        "This token may not do that"
        "Devices write buckets, viewers read their own user, operators run operations: use the right kind of token.";
    CrossSite "cross_site" FORBIDDEN Client Never
        "This form did not come from a page of this server"
        "Open the page here and send the form from it. A proxy passes `Origin`, `Sec-Fetch-Site` and `Host` on as they came.";
    NotFound "not_found" NOT_FOUND Client Never
        "Nothing here"
        "Check the path and the id; another user's things look as if they did not exist.";
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED Client Never
        "This path does not answer that method"
        "The `Allow` header lists the methods of this path.";
    NotAcceptable "not_acceptable" NOT_ACCEPTABLE Client Never
        "None of the media types that you accept"
        "Leave `Accept` out, or name one of the media types that the detail lists.";
    Conflict "conflict" CONFLICT Client Never
        "This contradicts what is stored"
        "Read the present state and decide again.";
    PlanStale "plan_stale" CONFLICT Client Never
        "What the plan replaces has changed since"
        "Make a new plan, look at its diff, and execute that one.";
    UpgradeRequired "upgrade_required" UPGRADE_REQUIRED Client Never
        "HTTP/1.0 cannot tell the end of a stream"
        "Ask for pages with `limit`, or speak HTTP/1.1. nginx does so with `proxy_http_version 1.1;`.";
    VersionMismatch "version_mismatch" PRECONDITION_FAILED Client Never
        "`If-Match` names another version"
        "Somebody changed it meanwhile: read it again, and decide again.";
    PreconditionRequired "precondition_required" PRECONDITION_REQUIRED Client Never
        "`If-Match` is missing"
        "Send `If-Match: \"<version>\"` with the version that you have read, so that you change what you have seen.";
    IdempotencyInProgress "idempotency_in_progress" CONFLICT Client After
        "The same request is being executed"
        "The request with this Idempotency-Key has not ended yet; send it again after `Retry-After`.";
    IdempotencyKeyReused "idempotency_key_reused" UNPROCESSABLE_ENTITY Client Never
        "This Idempotency-Key stands for another request"
        "Take a new key for every new request; repeat a request with the same path, query, body, media type, `Prefer` and `If-Match`.";
    BatchTooLarge "batch_too_large" PAYLOAD_TOO_LARGE Client Never
        "Too much in one request"
        "Split it; the detail says how much one request may hold.";
    RequestTimeout "request_timeout" REQUEST_TIMEOUT Client SameRequest
        "The request came too slowly"
        "Send the whole request within the time that the detail names; smaller bodies, or compressed ones, are there sooner.";
    UriTooLong "uri_too_long" URI_TOO_LONG Client Never
        "The path with its query is too long"
        "Ask for less at once; the detail says how long it may be.";
    HeadersTooLarge "headers_too_large" REQUEST_HEADER_FIELDS_TOO_LARGE Client Never
        "Too many or too long header fields"
        "Send fewer and shorter header fields; the detail says how much they may be.";
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE Client Never
        "The body is not in a form this route takes"
        "Send a media type that /openapi.json has for this route, plain or with `Content-Encoding: gzip` or `zstd`.";
    Invalid "invalid" UNPROCESSABLE_ENTITY Client Never
        "The request is readable but not acceptable"
        "Every violation is listed in `errors`, with a pointer to its field. Nothing was written.";
    RateLimited "rate_limited" TOO_MANY_REQUESTS Client After
        "Too many requests"
        "Wait as long as `Retry-After` says. Send several buckets in one request.";
    Internal "internal" INTERNAL_SERVER_ERROR Server SameRequest
        "A bug in halfhour"
        "Report it with the request_id. Sending the same request again is safe.";
    WrongNumber "wrong_number" INTERNAL_SERVER_ERROR Server SameRequest
        "A number would have been wrong"
        "Nothing wrong was sent. Ask again in a moment, and report it with the request_id if it stays.";
    DatabaseUnavailable "database_unavailable" SERVICE_UNAVAILABLE Dependency After
        "The database does not answer"
        "Send the same request again after `Retry-After`; nothing was acknowledged.";
    DatabaseConflict "database_conflict" SERVICE_UNAVAILABLE Dependency After
        "The database was busy with a competing change"
        "Send the same request again after `Retry-After`; nothing was written.";
    Overloaded "overloaded" SERVICE_UNAVAILABLE Server After
        "More work than this server can take just now"
        "Send the same request again after `Retry-After`; nothing was written.";
    SwitchedOff "switched_off" SERVICE_UNAVAILABLE Server After
        "An operator has switched this off"
        "Keep what you have and send the same request again after `Retry-After`; nothing was written.";
    DeadlineExceeded "deadline_exceeded" GATEWAY_TIMEOUT Dependency SameRequest
        "The request took too long and was stopped"
        "Ask for less, or send the same request again: writes are idempotent.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_client_faults_are_4xx_and_the_rest_5xx() {
        let distinct: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(distinct.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(code.status().is_client_error(), code.fault() == Fault::Client, "{}", code.as_str());
        }
    }
}
