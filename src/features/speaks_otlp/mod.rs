//! Coding tools' own OpenTelemetry, without a tracker: `POST /v1/logs`, for device tokens, in JSON and in protobuf, as
//! OTLP over HTTP has them. `POST /v1/metrics` and `/v1/traces` are answered, and what they carry is thrown away unread.
//!
//! Promises: an answer of 200 means that every record of usage is in its bucket, once, however often and in whatever
//! batches it is sent, or that the answer says why it is not. A record of another kind is nobody's business: it is
//! passed over, and that is not a rejection.
//!
//! Invariants: of a payload only the names in `attribute` are read, and only numbers, the model, the tool and the time
//! are kept. What tells a record from another one goes into a hash. No text of a payload comes into an answer, a log
//! line or a table, but for the model's name.
//!
//! The slice knows the protocol and the three tools' events (`tool`). That a device counts, that a record counts once,
//! and how old it may be, the kernel's intake knows.

mod attribute;
mod contract;
mod encoding;
mod event;
mod export;
mod handler;
mod json;
mod protobuf;
mod reply;
mod request;
mod tool;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kernel::http::problem_format::ProblemFormat;
use crate::kernel::usage::intake::Intake;

/// How problems are written to callers that speak protobuf.
pub(crate) const PROBLEM_FORMAT: ProblemFormat = ProblemFormat {
    routes: &["/v1/logs", "/v1/metrics", "/v1/traces"],
    asked_in: Some("application/x-protobuf"),
    media_type: "application/x-protobuf",
    policy: None,
    write: |body, _| reply::status(body),
};

/// The routes of what is read, and those of what is thrown away. Each has its limit, so that the second cannot use up
/// that of the first.
pub(crate) fn routers<S>() -> (OpenApiRouter<S>, OpenApiRouter<S>)
where
    S: Clone + Send + Sync + 'static,
    Intake: FromRef<S>,
{
    let read = OpenApiRouter::new().routes(routes!(handler::export_logs));
    let unread = OpenApiRouter::new().routes(routes!(handler::drop_metrics)).routes(routes!(handler::drop_traces));
    (read, unread)
}
