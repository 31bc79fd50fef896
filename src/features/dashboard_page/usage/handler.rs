//! `/`, `/model`, `/tool`, `/device`, `/day`, `/receipt` and `/usage.csv`.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::overview::overview;
use super::receipt::read_receipt;
use super::receipt_page::ReceiptPage;
use super::reply::UsagePage;
use super::request::{Scene, read_view};
use super::sheet::sheet;
use crate::features::dashboard_page::doors::AccountDoor;
use crate::features::dashboard_page::handler::{FOR_ONE, MOST_DEVICES, shown};
use crate::kernel::access::Viewer;
use crate::kernel::clock::Clock;
use crate::kernel::dashboards::UsageSums;
use crate::kernel::http::body::Parameters;
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::problem::{Code, Problem};

/// What pages are made of.
type Sources = (State<AccountDoor>, State<UsageSums>, State<PublicUrl>, State<Clock>);

/// The first page
#[utoipa::path(get, path = "/", operation_id = "show_usage", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_usage(viewer: Viewer, sources: Sources, Parameters(asked): Parameters) -> Result<Response, Problem> {
    page(Scene::Everything, viewer, sources, asked).await
}

/// A model
#[utoipa::path(get, path = "/model", operation_id = "show_model", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_model(viewer: Viewer, sources: Sources, Parameters(asked): Parameters) -> Result<Response, Problem> {
    page(Scene::Model, viewer, sources, asked).await
}

/// A tool
#[utoipa::path(get, path = "/tool", operation_id = "show_tool", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_tool(viewer: Viewer, sources: Sources, Parameters(asked): Parameters) -> Result<Response, Problem> {
    page(Scene::Tool, viewer, sources, asked).await
}

/// A device
#[utoipa::path(get, path = "/device", operation_id = "show_device", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_device(viewer: Viewer, sources: Sources, Parameters(asked): Parameters) -> Result<Response, Problem> {
    page(Scene::Device, viewer, sources, asked).await
}

/// A day
#[utoipa::path(get, path = "/day", operation_id = "show_day", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_day(viewer: Viewer, sources: Sources, Parameters(asked): Parameters) -> Result<Response, Problem> {
    page(Scene::Day, viewer, sources, asked).await
}

async fn page(
    scene: Scene,
    viewer: Viewer,
    (State(accounts), State(sums), State(public_url), State(clock)): Sources,
    asked: Vec<(String, String)>,
) -> Result<Response, Problem> {
    let (view, question) = read_view(scene, asked)?;
    let devices = question.filters.devices.clone();
    let subject = match scene {
        Scene::Model => question.filters.models.first().map(|model| model.as_str().to_owned()),
        Scene::Tool => question.filters.sources.first().map(|source| source.as_str().to_owned()),
        Scene::Everything | Scene::Day | Scene::Device => None,
    };
    let answered = sums.ask(viewer.context(), viewer.user_id(), question).await?;
    let person = accounts.acts().person(viewer.clone()).await?;
    let known = accounts.acts().devices(viewer, MOST_DEVICES).await?;
    let subject = match (scene, devices.first()) {
        (Scene::Device, Some(id)) => {
            let found = known.iter().find(|device| device.device_id == *id);
            let unknown = || Problem::new(Code::NotFound, "You have no such device.");
            Some(found.ok_or_else(unknown)?.name.clone())
        }
        _ => subject,
    };
    let seen = overview(&view, answered, &known, clock.now())?;
    let page = UsagePage::new((public_url.path(), public_url.as_str()), &view, seen, &person, subject.as_deref());
    shown(StatusCode::OK, &page, FOR_ONE)
}

/// A receipt
#[utoipa::path(get, path = "/receipt", operation_id = "show_receipt", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_receipt(
    viewer: Viewer,
    State(accounts): State<AccountDoor>,
    State(sums): State<UsageSums>,
    State(public_url): State<PublicUrl>,
    Parameters(asked): Parameters,
) -> Result<Response, Problem> {
    let (view, question) = read_receipt(asked)?;
    let answered = sums.ask(viewer.context(), viewer.user_id(), question).await?;
    let person = accounts.acts().person(viewer).await?;
    let page = ReceiptPage::new(public_url.path(), &view, answered, &person)?;
    shown(StatusCode::OK, &page, FOR_ONE)
}

/// The numbers of a page as CSV
#[utoipa::path(
    get, path = "/usage.csv", operation_id = "usage_sheet", tag = "page",
    responses((status = 200, description = "The bars, and every counter of each."))
)]
pub async fn usage_sheet(
    viewer: Viewer,
    State(sums): State<UsageSums>,
    Parameters(asked): Parameters,
) -> Result<Response, Problem> {
    let is_day = asked.iter().any(|(name, value)| name == "day" && !value.is_empty());
    let (_, mut question) = read_view(if is_day { Scene::Day } else { Scene::Everything }, asked)?;
    question.parts.truncate(1);
    question.rankings.clear();
    question.hours_of_week = None;
    // A sheet has room for all half hours that are served, and says what is too many.
    for part in &mut question.parts {
        part.most_of_clock = None;
    }
    let answered = sums.ask(viewer.context(), viewer.user_id(), question).await?;
    let whole = answered.parts.first().ok_or_else(|| Problem::internal("the sheet was not answered"))?;
    let head = [
        (CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"usage.csv\"")),
        (CACHE_CONTROL, HeaderValue::from_static(FOR_ONE)),
    ];
    Ok((head, sheet(whole, answered.prices.is_some())?).into_response())
}
