//! `/settings`, and what its buttons do.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::reply::{Belongings, Filled, MOST, SecretPage, SettingsPage};
use super::request::{FilledFields, asking_merge, new_device, new_label, other_name, wanted_zone};
use super::setups::{Setup, setups_to_read, setups_with_code, setups_with_token};
use crate::features::dashboard_page::doors::{AccountDoor, PageSecret};
use crate::features::dashboard_page::handler::{FOR_NOW, filled_in, id_in_path, led_to, shown, told};
use crate::kernel::access::Viewer;
use crate::kernel::dashboards::{SumsFilters, SumsQuestion, UsageSums};
use crate::kernel::http::body::{FormFields, NoParameters};
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::problem::Problem;

/// What is told of a device's token.
const OF_TOKEN: &str = "The device reports with this token. Nobody is shown it again.";
/// What is told of a code.
const OF_CODE: &str = "A new device gets its token with this code, once, within ten minutes.";
/// What is told of a viewer token.
const OF_VIEWER: &str = "Whoever has this token reads your usage and changes your settings. Nobody is shown it again.";

/// Where the page is.
const HERE: &str = "/settings";

/// What the page is made of.
type Sources = (State<AccountDoor>, State<UsageSums>, State<PublicUrl>);

/// The settings
#[utoipa::path(get, path = "/settings", operation_id = "show_settings", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_settings(viewer: Viewer, _: NoParameters, sources: Sources) -> Result<Response, Problem> {
    shown(StatusCode::OK, &settings(viewer, &sources).await?, FOR_NOW)
}

/// Have one's days in another zone
#[utoipa::path(post, path = "/settings/zone", operation_id = "set_zone", tag = "page", responses((status = 303, description = "Done.")))]
pub async fn set_zone(viewer: Viewer, sources: Sources, FormFields(form): FormFields) -> Result<Response, Problem> {
    let done = match wanted_zone(&form) {
        Ok(zone) => sources.0.acts().change_zone(viewer.clone(), zone).await,
        Err(problem) => Err(problem),
    };
    let Err(problem) = done else { return led_to(HERE) };
    let filled = Filled { zone: Some(filled_in(&form, "time_zone")), ..Filled::default() };
    refused(problem, viewer, &sources, filled).await
}

/// Add a device
#[utoipa::path(post, path = "/settings/devices", operation_id = "add_page_device", tag = "page", responses((status = 200, description = "Its token.")))]
pub async fn add_page_device(
    viewer: Viewer,
    sources: Sources,
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    let added = match new_device(&form) {
        Ok((name, platform)) => sources.0.acts().add_device(viewer.clone(), name, platform).await,
        Err(problem) => Err(problem),
    };
    let secret = match added {
        Ok(secret) => secret,
        Err(problem) => return refused(problem, viewer, &sources, device_filled_in(&form)).await,
    };
    let device_id = secret.device_id.unwrap_or_default().to_string();
    let setups = setups_with_token(sources.2.as_str(), &device_id, &secret.text);
    shown_once(viewer, &sources, ("A new device", OF_TOKEN), secret, setups).await
}

/// Rename a device
#[utoipa::path(
    post, path = "/settings/devices/{device_id}/rename", operation_id = "rename_page_device", tag = "page",
    params(("device_id" = Uuid, Path)), responses((status = 303, description = "Done."))
)]
pub async fn rename_page_device(
    viewer: Viewer,
    sources: Sources,
    Path(device_id): Path<String>,
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    let device_id = id_in_path(&device_id)?;
    let done = match other_name(&form) {
        Ok((name, former)) => sources.0.acts().rename_device(viewer.clone(), device_id, name, former).await,
        Err(problem) => Err(problem),
    };
    let Err(problem) = done else { return led_to(HERE) };
    let filled = Filled { renaming: Some((device_id, filled_in(&form, "name"))), ..Filled::default() };
    refused(problem, viewer, &sources, filled).await
}

/// Give a device another token
#[utoipa::path(
    post, path = "/settings/devices/{device_id}/rotate", operation_id = "rotate_page_device", tag = "page",
    params(("device_id" = Uuid, Path)), responses((status = 200, description = "Its new token."))
)]
pub async fn rotate_page_device(
    viewer: Viewer,
    sources: Sources,
    Path(device_id): Path<String>,
) -> Result<Response, Problem> {
    let secret = sources.0.acts().rotate_device(viewer.clone(), id_in_path(&device_id)?).await?;
    let setups = setups_with_token(sources.2.as_str(), &device_id, &secret.text);
    shown_once(viewer, &sources, ("Another token", OF_TOKEN), secret, setups).await
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
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    let merge = asking_merge(&form)?;
    accounts.acts().revoke_device(viewer, id_in_path(&device_id)?).await?;
    match merge {
        Some(job_id) => led_to(&format!("{HERE}/merges/{job_id}")),
        None => led_to(HERE),
    }
}

/// Make a link code
#[utoipa::path(post, path = "/settings/link-codes", operation_id = "make_page_link_code", tag = "page", responses((status = 200, description = "The code.")))]
pub async fn make_page_link_code(viewer: Viewer, sources: Sources) -> Result<Response, Problem> {
    let secret = sources.0.acts().make_link_code(viewer.clone()).await?;
    let setups = setups_with_code(sources.2.as_str(), &secret.text);
    shown_once(viewer, &sources, ("A link code", OF_CODE), secret, setups).await
}

/// Issue a viewer token
#[utoipa::path(post, path = "/settings/tokens", operation_id = "issue_page_token", tag = "page", responses((status = 200, description = "The token.")))]
pub async fn issue_page_token(
    viewer: Viewer,
    sources: Sources,
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    let issued = match new_label(&form) {
        Ok(label) => sources.0.acts().issue_token(viewer.clone(), label).await,
        Err(problem) => Err(problem),
    };
    let secret = match issued {
        Ok(secret) => secret,
        Err(problem) => {
            let filled = Filled { label: filled_in(&form, "label"), ..Filled::default() };
            return refused(problem, viewer, &sources, filled).await;
        }
    };
    let setups = setups_to_read(sources.2.as_str(), &secret.text);
    shown_once(viewer, &sources, ("A viewer token", OF_VIEWER), secret, setups).await
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
    accounts.acts().revoke_token(viewer, id_in_path(&token_id)?).await?;
    led_to(HERE)
}

/// A secret, which no later page shows, with how to use it.
async fn shown_once(
    viewer: Viewer,
    (accounts, _, public_url): &Sources,
    (title, about): (&'static str, &'static str),
    secret: PageSecret,
    setups: Vec<Setup>,
) -> Result<Response, Problem> {
    let person = accounts.acts().person(viewer).await?;
    let page = SecretPage::new(public_url.path(), title, &person, about, secret.text, setups);
    shown(StatusCode::OK, &page, FOR_NOW)
}

async fn settings(viewer: Viewer, (accounts, sums, public_url): &Sources) -> Result<SettingsPage, Problem> {
    let acts = accounts.acts();
    // Before who it is: a change that ends in between looks as if it had not begun, and not the other way round.
    let state = SumsQuestion {
        zone: None,
        filters: SumsFilters::default(),
        parts: Vec::new(),
        rankings: Vec::new(),
        hours_of_week: None,
        receipt: None,
    };
    let zone = sums.ask(viewer.context(), viewer.user_id(), state).await?.zone;
    let person = acts.person(viewer.clone()).await?;
    let devices = acts.devices(viewer.clone(), MOST).await?;
    let own_token = viewer.actor().token_id();
    let tokens = acts.tokens(viewer, MOST).await?;
    let belongings = Belongings { person, zone, devices, tokens, own_token };
    Ok(SettingsPage::new((public_url.path(), public_url.as_str()), belongings))
}

/// What is wrong with a form is said above it, and it is still filled in.
async fn refused(problem: Problem, viewer: Viewer, sources: &Sources, filled: Filled) -> Result<Response, Problem> {
    let (status, said) = told(problem)?;
    let page = settings(viewer, sources).await?.saying(said, filled);
    shown(status, &page, FOR_NOW)
}

fn device_filled_in(form: &FilledFields) -> Filled {
    Filled { device_name: filled_in(form, "name"), platform: filled_in(form, "platform"), ..Filled::default() }
}
