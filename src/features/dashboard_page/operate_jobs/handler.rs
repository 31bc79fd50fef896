//! `/operate/jobs` and what hangs below it.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use uuid::Uuid;

use super::reply::{ExceptionsList, JobPage, JobsPage};
use super::request::{form_order, job_named, seen_version};
use crate::features::dashboard_page::handler::{FOR_NOW, led_to, shown};
use crate::features::dashboard_page::operator_doors::{OperatorDoor, PageJobChange};
use crate::kernel::access::Operator;
use crate::kernel::http::body::{FormFields, Parameters};
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::page::Page;
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::problem::{Code, Problem};

/// What pages of jobs are made of.
type Sources = (State<OperatorDoor>, State<Cursors>, State<PublicUrl>);

/// The jobs
#[utoipa::path(get, path = "/operate/jobs", operation_id = "show_operate_jobs", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_operate_jobs(
    operator: Operator,
    sources: Sources,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    shown(StatusCode::OK, &jobs(operator, &sources, &parameters).await?, FOR_NOW)
}

/// Plan a job
#[utoipa::path(post, path = "/operate/jobs", operation_id = "plan_page_job", tag = "page", responses((status = 303, description = "Planned.")))]
pub async fn plan_page_job(
    operator: Operator,
    sources: Sources,
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    let planned = match form_order(&form) {
        Ok((key, order)) => sources.0.0.acts().plan_job(operator.clone(), key, order).await,
        Err(problem) => Err(problem),
    };
    match planned {
        Ok(job_id) => led_to(&format!("/operate/jobs/{job_id}")),
        Err(problem) if matches!(problem.code(), Code::Invalid | Code::Conflict | Code::NotFound) => {
            let page = jobs(operator, &sources, &[]).await?.saying(said(&problem), &form);
            shown(problem.code().status(), &page, FOR_NOW)
        }
        Err(problem) => Err(problem),
    }
}

/// A job
#[utoipa::path(
    get, path = "/operate/jobs/{job_id}", operation_id = "show_operate_job", tag = "page",
    params(("job_id" = Uuid, Path)), responses((status = 200, description = "The page."))
)]
pub async fn show_operate_job(
    operator: Operator,
    sources: Sources,
    Path(job_id): Path<String>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    shown(StatusCode::OK, &job(operator, &sources, job_named(&job_id)?, &parameters).await?, FOR_NOW)
}

/// What did not go as planned
#[utoipa::path(
    get, path = "/operate/jobs/{job_id}/exceptions", operation_id = "show_operate_exceptions", tag = "page",
    params(("job_id" = Uuid, Path)), responses((status = 200, description = "The page."))
)]
pub async fn show_operate_exceptions(
    operator: Operator,
    sources: Sources,
    Path(job_id): Path<String>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let (State(operating), State(cursors), State(public_url)) = sources;
    let (job_id, acts) = (job_named(&job_id)?, operating.acts());
    let list = Page::parse(&parameters)?.of(cursors, format!("GET /operate/jobs/{job_id}/exceptions"));
    let after = list.after()?.unwrap_or(0);
    let found = acts.job_exceptions(operator.clone(), job_id, after, list.one_more()).await?;
    let (found, next) = list.cut(found, |exception| exception.number)?;
    let job = acts.job(operator.clone(), job_id).await?;
    let name = acts.name(operator).await?;
    shown(StatusCode::OK, &ExceptionsList::new(public_url.path(), &name, job, found, next), FOR_NOW)
}

/// Execute a plan
#[utoipa::path(
    post, path = "/operate/jobs/{job_id}/execute", operation_id = "execute_page_job", tag = "page",
    params(("job_id" = Uuid, Path)), responses((status = 303, description = "It is running."))
)]
pub async fn execute_page_job(
    operator: Operator,
    sources: Sources,
    Path(job_id): Path<String>,
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    change(operator, sources, &job_id, &form, PageJobChange::Execute).await
}

/// Cancel a job
#[utoipa::path(
    post, path = "/operate/jobs/{job_id}/cancel", operation_id = "cancel_page_job", tag = "page",
    params(("job_id" = Uuid, Path)), responses((status = 303, description = "It stops."))
)]
pub async fn cancel_page_job(
    operator: Operator,
    sources: Sources,
    Path(job_id): Path<String>,
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    change(operator, sources, &job_id, &form, PageJobChange::Cancel).await
}

/// Take a job back
#[utoipa::path(
    post, path = "/operate/jobs/{job_id}/rollback", operation_id = "roll_page_job_back", tag = "page",
    params(("job_id" = Uuid, Path)), responses((status = 303, description = "It is being taken back."))
)]
pub async fn roll_page_job_back(
    operator: Operator,
    sources: Sources,
    Path(job_id): Path<String>,
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    change(operator, sources, &job_id, &form, PageJobChange::RollBack).await
}

/// What cannot be done is said on the job's page, which shows how it stands now.
async fn change(
    operator: Operator,
    sources: Sources,
    job_id: &str,
    form: &[(String, String)],
    change: PageJobChange,
) -> Result<Response, Problem> {
    let job_id = job_named(job_id)?;
    let changed = match seen_version(form) {
        Ok(version) => sources.0.0.acts().change_job(operator.clone(), job_id, version, change).await,
        Err(problem) => Err(problem),
    };
    let problem = match changed {
        Ok(()) => return led_to(&format!("/operate/jobs/{job_id}")),
        Err(problem) => problem,
    };
    let is_of_the_job = matches!(
        problem.code(),
        Code::Invalid | Code::Conflict | Code::PlanStale | Code::VersionMismatch | Code::PreconditionRequired
    );
    if !is_of_the_job {
        return Err(problem);
    }
    let page = job(operator, &sources, job_id, &[]).await?.saying(said(&problem));
    shown(problem.code().status(), &page, FOR_NOW)
}

async fn jobs(operator: Operator, sources: &Sources, parameters: &[(String, String)]) -> Result<JobsPage, Problem> {
    let (State(operating), State(cursors), State(public_url)) = sources;
    let acts = operating.acts();
    let list = Page::parse(parameters)?.of(cursors.clone(), "GET /operate/jobs");
    let found = acts.jobs(operator.clone(), list.after()?, list.one_more()).await?;
    let (found, next) = list.cut(found, |job| job.job_id)?;
    let name = acts.name(operator).await?;
    Ok(JobsPage::new(public_url.path(), &name, found, next))
}

async fn job(
    operator: Operator,
    sources: &Sources,
    job_id: Uuid,
    parameters: &[(String, String)],
) -> Result<JobPage, Problem> {
    let (State(operating), State(cursors), State(public_url)) = sources;
    let acts = operating.acts();
    let list = Page::parse(parameters)?.of(cursors.clone(), format!("GET /operate/jobs/{job_id}"));
    let after = list.after()?;
    let is_first = after.is_none();
    let rows = acts.job_rows(operator.clone(), job_id, after, list.one_more()).await?;
    let (rows, next) = list.cut(rows, |row| row.position.clone())?;
    let found = acts.job(operator.clone(), job_id).await?;
    let name = acts.name(operator).await?;
    Ok(JobPage::new(public_url.path(), &name, found, (rows, is_first, next)))
}

/// What is wrong, in a sentence or more, and that nothing came of it.
fn said(problem: &Problem) -> String {
    let wrong = problem.violations().iter();
    let wrong = wrong.map(|violation| format!("{}: {}", violation.pointer.trim_start_matches('?'), violation.detail));
    let wrong = wrong.collect::<Vec<_>>().join(" ");
    let wrong = if wrong.is_empty() { problem.body(Uuid::nil(), "").detail } else { wrong };
    format!("{wrong} Nothing was done.")
}
