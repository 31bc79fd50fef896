//! Merging two devices of a person: what would change is shown first, and nothing changes until that is confirmed.
//!
//! A merge is a job, as the API has it. Its plan counts how the buckets of the two devices stand to each other, and every button
//! sends the version that was seen, so that who looks at a page of before is told so and does nothing by it.

mod door;
mod handler;
mod reply;
mod request;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use door::{FromMerges, MergeActs, MergeDoor, MergeStep, PageMerge};

use super::doors::AccountDoor;
use crate::kernel::http::public_url::PublicUrl;

/// The routes for whoever is signed in.
pub(super) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    AccountDoor: FromRef<S>,
    MergeDoor: FromRef<S>,
    PublicUrl: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(handler::show_merges, handler::plan_merge))
        .routes(routes!(handler::show_merge))
        .routes(routes!(handler::execute_merge))
        .routes(routes!(handler::cancel_merge))
        .routes(routes!(handler::roll_back_merge))
}
