//! `/settings`, and what its buttons do.

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use uuid::Uuid;

use super::reply::{MOST, SecretPage, SettingsPage};
use super::request::{new_device, wanted_zone};
use super::setups::{Setup, setups_with_code, setups_with_token};
use crate::features::dashboard_page::doors::{AccountDoor, PageSecret};
use crate::features::dashboard_page::handler::{FOR_NOW, shown};
use crate::kernel::access::Viewer;
use crate::kernel::http::body::{FormFields, NoParameters};
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::problem::{Code, Problem};

/// What is told of a token.
const OF_TOKEN: &str = "The device reports with this token. Nobody is shown it again.";
/// What is told of a code.
const OF_CODE: &str = "A new device gets its token with this code, once, within ten minutes.";

/// The settings
#[utoipa::path(get, path = "/settings", operation_id = "show_settings", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_settings(
    viewer: Viewer,
    _: NoParameters,
    State(accounts): State<AccountDoor>,
    State(public_url): State<PublicUrl>,
) -> Result<Response, Problem> {
    shown(StatusCode::OK, &settings(viewer, &accounts, &public_url).await?, FOR_NOW)
}

/// Have one's days in another zone
#[utoipa::path(post, path = "/settings/zone", operation_id = "set_zone", tag = "page", responses((status = 303, description = "Done.")))]
pub async fn set_zone(
    viewer: Viewer,
    State(accounts): State<AccountDoor>,
    State(public_url): State<PublicUrl>,
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    let done = match wanted_zone(&form) {
        Ok(zone) => accounts.acts().change_zone(viewer.clone(), zone).await,
        Err(problem) => Err(problem),
    };
    match done {
        Ok(()) => Ok(done_with_it()),
        Err(problem) => refused(&problem, viewer, &accounts, &public_url, &form).await,
    }
}

/// Add a device
#[utoipa::path(post, path = "/settings/devices", operation_id = "add_page_device", tag = "page", responses((status = 200, description = "Its token.")))]
pub async fn add_page_device(
    viewer: Viewer,
    State(accounts): State<AccountDoor>,
    State(public_url): State<PublicUrl>,
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    let added = match new_device(&form) {
        Ok((name, platform)) => accounts.acts().add_device(viewer.clone(), name, platform).await,
        Err(problem) => Err(problem),
    };
    let secret = match added {
        Ok(secret) => secret,
        Err(problem) => return refused(&problem, viewer, &accounts, &public_url, &form).await,
    };
    let device_id = secret.device_id.unwrap_or_default().to_string();
    let setups = setups_with_token(public_url.as_str(), &device_id, &secret.text);
    shown_once(viewer, &accounts, &public_url, ("A new device", OF_TOKEN), secret, setups).await
}

/// Give a device another token
#[utoipa::path(
    post, path = "/settings/devices/{device_id}/rotate", operation_id = "rotate_page_device", tag = "page",
    params(("device_id" = Uuid, Path)), responses((status = 200, description = "Its new token."))
)]
pub async fn rotate_page_device(
    viewer: Viewer,
    State(accounts): State<AccountDoor>,
    State(public_url): State<PublicUrl>,
    Path(device_id): Path<String>,
) -> Result<Response, Problem> {
    let secret = accounts.acts().rotate_device(viewer.clone(), named(&device_id)?).await?;
    let setups = setups_with_token(public_url.as_str(), &device_id, &secret.text);
    shown_once(viewer, &accounts, &public_url, ("Another token", OF_TOKEN), secret, setups).await
}

/// Revoke a device
#[utoipa::path(
    post, path = "/settings/devices/{device_id}/revoke", operation_id = "revoke_page_device", tag = "page",
    params(("device_id" = Uuid, Path)), responses((status = 303, description = "Done."))
)]
pub async fn revoke_page_device(
    viewer: Viewer,
    State(accounts): State<AccountDoor>,
    Path(device_id): Path<String>,
) -> Result<Response, Problem> {
    accounts.acts().revoke_device(viewer, named(&device_id)?).await?;
    Ok(done_with_it())
}

/// Make a link code
#[utoipa::path(post, path = "/settings/link-codes", operation_id = "make_page_link_code", tag = "page", responses((status = 200, description = "The code.")))]
pub async fn make_page_link_code(
    viewer: Viewer,
    State(accounts): State<AccountDoor>,
    State(public_url): State<PublicUrl>,
) -> Result<Response, Problem> {
    let secret = accounts.acts().make_link_code(viewer.clone()).await?;
    let setups = setups_with_code(public_url.as_str(), &secret.text);
    shown_once(viewer, &accounts, &public_url, ("A link code", OF_CODE), secret, setups).await
}

/// Revoke a viewer token or a session
#[utoipa::path(
    post, path = "/settings/tokens/{token_id}/revoke", operation_id = "revoke_page_token", tag = "page",
    params(("token_id" = Uuid, Path)), responses((status = 303, description = "Done."))
)]
pub async fn revoke_page_token(
    viewer: Viewer,
    State(accounts): State<AccountDoor>,
    Path(token_id): Path<String>,
) -> Result<Response, Problem> {
    accounts.acts().revoke_token(viewer, named(&token_id)?).await?;
    Ok(done_with_it())
}

/// A secret, which no later page shows, with how to use it.
async fn shown_once(
    viewer: Viewer,
    accounts: &AccountDoor,
    public_url: &PublicUrl,
    (title, about): (&'static str, &'static str),
    secret: PageSecret,
    setups: Vec<Setup>,
) -> Result<Response, Problem> {
    let person = accounts.acts().person(viewer).await?;
    let page = SecretPage::new(public_url.path(), title, &person, about, secret.text, setups);
    shown(StatusCode::OK, &page, FOR_NOW)
}

async fn settings(viewer: Viewer, accounts: &AccountDoor, public_url: &PublicUrl) -> Result<SettingsPage, Problem> {
    let acts = accounts.acts();
    let person = acts.person(viewer.clone()).await?;
    let devices = acts.devices(viewer.clone(), MOST).await?;
    let tokens = acts.tokens(viewer, MOST).await?;
    Ok(SettingsPage::new(public_url.path(), person, devices, tokens))
}

/// What is wrong with a form is said above it, and it is still filled in. What is wrong with the server is not.
async fn refused(
    problem: &Problem,
    viewer: Viewer,
    accounts: &AccountDoor,
    public_url: &PublicUrl,
    form: &[(String, String)],
) -> Result<Response, Problem> {
    if !matches!(problem.code(), Code::Invalid | Code::Conflict) {
        return Err(problem.clone());
    }
    let said = problem.violations().iter().map(|violation| violation.detail.as_str()).collect::<Vec<_>>().join(" ");
    let said = if said.is_empty() { problem.body(Uuid::nil(), "").detail } else { said };
    let page = settings(viewer, accounts, public_url).await?.saying(said, form);
    shown(problem.code().status(), &page, FOR_NOW)
}

fn done_with_it() -> Response {
    let head = [(LOCATION, HeaderValue::from_static("/settings")), (CACHE_CONTROL, HeaderValue::from_static(FOR_NOW))];
    (StatusCode::SEE_OTHER, head).into_response()
}

fn named(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::new(Code::NotFound, "You have nothing of that id."))
}
