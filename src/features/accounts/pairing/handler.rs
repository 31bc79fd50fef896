//! `POST /v1/pairings` and `GET /pair`.

use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};

use super::acts::Pairings;
use super::reply::{ApprovedPairing, page};
use super::request::Approval;
use crate::kernel::access::Viewer;
use crate::kernel::http::body::{NoParameters, Parameters};
use crate::kernel::http::keyed::{KeyHeader, KeyedJson};
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::http::refusals::{BodyRefusals, KeyRefusals, Refusals};
use crate::kernel::idempotency::{Once, Unexecuted};

/// Approve a new device
///
/// A tracker that pairs shows a code. Whoever approves it becomes the owner of that device, which gets its token as soon as
/// it asks again. A machine that its owner has paired before is the same device with another token, and a name that is
/// in use gets a number. Approving it again changes nothing. A code that somebody else has approved is a conflict.
#[utoipa::path(
    post, path = "/v1/pairings", operation_id = "approve_pairing", tag = "accounts",
    params(KeyHeader),
    request_body = Approval,
    responses(
        (status = 201, description = "The device may become one of yours.", body = ApprovedPairing),
        BodyRefusals, KeyRefusals, Refusals,
    ),
    security(("viewer" = [])),
)]
pub(super) async fn approve_pairing(
    viewer: Viewer,
    _: NoParameters,
    State(pairings): State<Pairings>,
    KeyedJson(request, body): KeyedJson,
) -> Result<Response, Unexecuted> {
    let approval = Approval::parse(&body)?;
    let once = Once::new(request.by(viewer.actor()), ApprovedPairing::answer);
    let approved = pairings.approve(viewer.context(), viewer.actor(), viewer.user_id(), &approval, once).await?;
    Ok(approved.answer()?.into_response())
}

/// Show how to approve a device
///
/// The page that a tracker opens when it pairs. It says what to do with the code, which is in its query.
#[utoipa::path(
    get, path = "/pair", operation_id = "get_pairing_page", tag = "accounts",
    params(
        ("code" = Option<String>, Query, description = "As the device shows it.", example = "7K3M-9QXD-2VTA"),
        ("user_code" = Option<String>, Query, description = "The same, as other products call it."),
    ),
    responses((status = 200, description = "An explanation for people.", content_type = "text/html", body = String)),
    security(()),
)]
pub(super) async fn get_pairing_page(
    State(public_url): State<PublicUrl>,
    Parameters(parameters): Parameters,
) -> Html<String> {
    let code = parameters.iter().find(|(name, _)| name == "code" || name == "user_code");
    Html(page(public_url.as_str(), code.map_or("", |(_, code)| code)))
}
