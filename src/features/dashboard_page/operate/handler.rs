//! `/operate`, its switches, and the lists of users, prices and what has none.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::reply::{CoveragePage, OperatePage, PricesPage, UsersList};
use super::request::{switch_named, wanted_throw};
use crate::features::dashboard_page::handler::{FOR_NOW, filled_in, led_to, shown};
use crate::features::dashboard_page::operator_doors::OperatorDoor;
use crate::kernel::access::Operator;
use crate::kernel::http::body::{FormFields, NoParameters, Parameters};
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::page::Page;
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::problem::{Code, Problem};

/// So many of the latest jobs are shown first.
const LATEST: i64 = 5;

/// How the server is doing
#[utoipa::path(get, path = "/operate", operation_id = "show_operate", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_operate(
    operator: Operator,
    _: NoParameters,
    State(operating): State<OperatorDoor>,
    State(public_url): State<PublicUrl>,
) -> Result<Response, Problem> {
    shown(StatusCode::OK, &operate(operator, &operating, &public_url).await?, FOR_NOW)
}

/// Throw a switch that still stands as it was seen
#[utoipa::path(
    post, path = "/operate/switches/{name}", operation_id = "throw_page_switch", tag = "page",
    params(("name" = String, Path)), responses((status = 303, description = "Done."))
)]
pub async fn throw_page_switch(
    operator: Operator,
    State(operating): State<OperatorDoor>,
    State(public_url): State<PublicUrl>,
    Path(name): Path<String>,
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    let switch = switch_named(&name)?;
    let thrown = match wanted_throw(switch, &form) {
        Ok(wanted) => operating.acts().throw_switch(operator.clone(), wanted).await,
        Err(problem) => Err(problem),
    };
    let problem = match thrown {
        Ok(()) => return led_to("/operate"),
        Err(problem) => problem,
    };
    if !matches!(problem.code(), Code::Invalid | Code::VersionMismatch) {
        return Err(problem);
    }
    let page = operate(operator, &operating, &public_url).await?;
    let page = page.saying(said(&problem), switch, filled_in(&form, "reason"));
    shown(problem.code().status(), &page, FOR_NOW)
}

/// Users
#[utoipa::path(get, path = "/operate/users", operation_id = "show_operate_users", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_operate_users(
    operator: Operator,
    State(operating): State<OperatorDoor>,
    State(cursors): State<Cursors>,
    State(public_url): State<PublicUrl>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let list = Page::parse(&parameters)?.of(cursors, "GET /operate/users");
    let acts = operating.acts();
    let users = acts.users(operator.clone(), list.after()?, list.one_more()).await?;
    let (users, next) = list.cut(users, |user| user.user_id)?;
    let name = acts.name(operator).await?;
    shown(StatusCode::OK, &UsersList::new(public_url.path(), &name, users, next), FOR_NOW)
}

/// Price books
#[utoipa::path(get, path = "/operate/prices", operation_id = "show_operate_prices", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_operate_prices(
    operator: Operator,
    _: NoParameters,
    State(operating): State<OperatorDoor>,
    State(public_url): State<PublicUrl>,
) -> Result<Response, Problem> {
    let acts = operating.acts();
    let books = acts.books(operator.clone()).await?;
    let name = acts.name(operator).await?;
    shown(StatusCode::OK, &PricesPage::new(public_url.path(), &name, books), FOR_NOW)
}

/// What has no price
#[utoipa::path(get, path = "/operate/coverage", operation_id = "show_operate_coverage", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_operate_coverage(
    operator: Operator,
    _: NoParameters,
    State(operating): State<OperatorDoor>,
    State(public_url): State<PublicUrl>,
) -> Result<Response, Problem> {
    let acts = operating.acts();
    let uncovered = acts.uncovered(operator.clone()).await?;
    let name = acts.name(operator).await?;
    shown(StatusCode::OK, &CoveragePage::new(public_url.path(), &name, uncovered), FOR_NOW)
}

async fn operate(operator: Operator, operating: &OperatorDoor, public_url: &PublicUrl) -> Result<OperatePage, Problem> {
    let acts = operating.acts();
    let status = acts.status(operator.clone()).await?;
    let switches = acts.switches(operator.clone()).await?;
    let jobs = acts.jobs(operator.clone(), None, LATEST).await?;
    let name = acts.name(operator).await?;
    Ok(OperatePage::new(public_url.path(), &name, status, switches, jobs))
}

/// What is wrong, in a sentence or more.
fn said(problem: &Problem) -> String {
    let wrong: Vec<&str> = problem.violations().iter().map(|violation| violation.detail.as_str()).collect();
    if wrong.is_empty() {
        return format!("{} Nothing was done. This is how it stands now.", problem.body(uuid::Uuid::nil(), "").detail);
    }
    format!("{} Nothing was done.", wrong.join(" "))
}
