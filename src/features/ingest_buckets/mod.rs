//! Trackers post what their devices used: `POST /v1/buckets`, for device tokens.
//!
//! Promises: an answer of 200 means that every bucket with a verdict other than `rejected` is durable, or lost to a
//! version that is; whatever was posted may be posted again. A request is refused whole, with every violation and
//! nothing written, unless it asks for `Prefer: handling=lenient`.
//!
//! Invariants: whose buckets they are comes from the token, and a body cannot name anyone; a snapshot without
//! `observed_at` gets the time of its arrival, before it waits for anything; the body is read once, and no input makes
//! the reading panic, recurse without bound, or answer with many times its size.

mod acceptance;
mod body;
mod contract;
mod handler;
mod prefer;
mod request;
mod scalar;
mod violations;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kernel::access::{Authenticator, Limit};
use crate::kernel::clock::Clock;
use crate::kernel::operations::switches::Switches;
use crate::kernel::usage::writer::Writer;

/// What the slice is configured with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Half hours older than this many days are refused; `None` for no limit.
    pub(crate) max_age_days: Option<u32>,
    /// Buckets an hour for each device; `None` for no limit.
    pub(crate) allowance: Option<Limit>,
}

impl Settings {
    /// `buckets_per_hour` for each device; 0 for no limit.
    pub(crate) fn new(max_age_days: Option<u32>, buckets_per_hour: u32) -> Self {
        let refusal = "This device has posted too many buckets for now, and nothing of this post was written";
        Self { max_age_days, allowance: Limit::per_hour("buckets", buckets_per_hour, refusal) }
    }
}

/// The slice's routes.
pub(crate) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Authenticator: FromRef<S>,
    Clock: FromRef<S>,
    Settings: FromRef<S>,
    Switches: FromRef<S>,
    Writer: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::ingest_buckets))
}

/// The door of `tests/fuzz`: any bytes as a request's body. Panics where reading them breaks a promise.
#[doc(hidden)]
pub fn parse_any(body: &[u8]) {
    request::parse_any(body);
}
