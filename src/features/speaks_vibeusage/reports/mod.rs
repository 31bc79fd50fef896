//! What vibeusage's tracker sends, and how its device gets a token.
//!
//! Promises: the unmodified tracker uploads, pings and is linked, with one line of its configuration changed. What was
//! `inserted` is durable. A row that cannot be taken is `skipped` and holds up no other, because the tracker sends a batch
//! again until it is taken. Rows of a tool that may not report are kept as of the source `other`.
//!
//! Invariants: rows by project are the same tokens again and are not read; neither are subscriptions.

mod handler;
mod reply;
mod request;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::names::by_both_names;
use crate::kernel::clock::Clock;
use crate::kernel::dialect::Enrolment;
use crate::kernel::usage::intake::Intake;

/// For a device's token.
pub(super) fn device_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Clock: FromRef<S>,
    Enrolment: FromRef<S>,
    Intake: FromRef<S>,
{
    by_both_names(routes!(handler::vibeusage_ingest)).merge(by_both_names(routes!(handler::vibeusage_sync_ping)))
}

/// For a viewer's token.
pub(super) fn viewer_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Enrolment: FromRef<S>,
{
    by_both_names(routes!(handler::vibeusage_device_token_issue))
}

/// For whoever knows a link code.
pub(super) fn stranger_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Enrolment: FromRef<S>,
{
    by_both_names(routes!(handler::vibeusage_link_code_exchange))
}
