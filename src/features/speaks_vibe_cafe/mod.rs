//! The protocol of vibe-usage, the tracker of vibe-cafe: `/api/usage/*`.
//!
//! Promises: the unmodified tracker pairs, uploads, reads and takes back what it sent, with one line of its configuration
//! changed. Whatever it was told is `ingested` is durable. A row that cannot be taken holds up no other. A tool that may not
//! report yet is named in `unknownSources`, so that the tracker keeps its rows and sends them again.
//!
//! Invariants: the token says whose device it is, and host names are labels; a device reads and takes back its own usage
//! only. Sessions, which hold when a person was at work, are not read.

mod handler;
mod reply;
mod request;
mod store;

use axum::extract::FromRef;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kernel::clock::Clock;
use crate::kernel::database::Pools;
use crate::kernel::dialect::{Enrolment, Speech};
use crate::kernel::http::manner::{Form, Manner};
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::usage::intake::Intake;

/// The slice's routes. Its clients give up at the first 429 and try 503 again.
pub(crate) fn speech<S>() -> Speech<S>
where
    S: Clone + Send + Sync + 'static,
    Clock: FromRef<S>,
    Enrolment: FromRef<S>,
    Intake: FromRef<S>,
    Pools: FromRef<S>,
    PublicUrl: FromRef<S>,
{
    Speech {
        devices: OpenApiRouter::new()
            .routes(routes!(handler::vibe_cafe_settings))
            .routes(routes!(handler::vibe_cafe_ingest, handler::vibe_cafe_delete))
            .routes(routes!(handler::vibe_cafe_usage)),
        viewers: OpenApiRouter::new(),
        strangers: OpenApiRouter::new()
            .routes(routes!(handler::vibe_cafe_device_code))
            .routes(routes!(handler::vibe_cafe_device_poll)),
        manner: Manner {
            paths: &["/api/usage"],
            form: Form::ErrorAndMessage { too_often: StatusCode::SERVICE_UNAVAILABLE },
        },
    }
}
