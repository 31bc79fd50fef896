//! `DELETE /v1/me/usage`.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::acts::Erasures;
use super::reply::Erasure;
use super::request::{ErasureParameters, ErasureQuery};
use crate::kernel::access::Viewer;
use crate::kernel::http::body::Parameters;
use crate::kernel::http::keyed::{KeyHeader, KeyedEmpty};
use crate::kernel::http::refusals::{KeyRefusals, Refusals};
use crate::kernel::idempotency::{Once, Unexecuted};

/// Delete my usage
///
/// Deletes the user's buckets of a device, a tool or some local days, for good. A bucket must match
/// everything that is given. The rollup follows within seconds. Snapshots of the scope that were
/// taken before are refused as `erased` from then on, so that a retry brings nothing back. Asked
/// again, it deletes what has come since, unless it is a repetition with the same `Idempotency-Key`. More than 100 separate deletions are a conflict, which
/// the deletion of a wider scope avoids. With `dry_run=true` it only counts.
#[utoipa::path(
    delete, path = "/v1/me/usage", operation_id = "erase_usage", tag = "accounts",
    params(
        ErasureParameters,
        KeyHeader,
    ),
    responses(
        (status = 200, description = "What was deleted, or would be.", body = Erasure),
        KeyRefusals, Refusals,
    ),
    security(("viewer" = [])),
)]
pub(super) async fn erase_usage(
    viewer: Viewer,
    State(erasures): State<Erasures>,
    Parameters(parameters): Parameters,
    KeyedEmpty(request): KeyedEmpty,
) -> Result<Response, Unexecuted> {
    let asked = ErasureQuery::parse(&parameters)?;
    let (context, actor, user_id) = (viewer.context(), viewer.actor(), viewer.user_id());
    let once = Once::new(request.by(actor), Erasure::answer);
    let erasure = if asked.dry_run {
        erasures.preview(context, actor, user_id, &asked, once).await?
    } else {
        erasures.erase(context, actor, user_id, &asked, once).await?
    };
    Ok(erasure.answer()?.into_response())
}
