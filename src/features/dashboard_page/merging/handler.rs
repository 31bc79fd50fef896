//! `/settings/merges` and what hangs below it.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use uuid::Uuid;

use super::door::{MergeDoor, MergeStep};
use super::reply::{LISTED, MergePage, MergesPage};
use super::request::{chosen, seen_version, wished};
use crate::features::dashboard_page::doors::AccountDoor;
use crate::features::dashboard_page::handler::{FOR_NOW, MOST_DEVICES, filled_in, id_in_path, led_to, shown, told};
use crate::kernel::access::Viewer;
use crate::kernel::http::body::{FormFields, NoParameters, Parameters};
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::problem::{Code, Problem};

/// What the pages are made of.
type Sources = (State<AccountDoor>, State<MergeDoor>, State<PublicUrl>);

/// Choose two devices
#[utoipa::path(get, path = "/settings/merges", operation_id = "show_merges", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_merges(viewer: Viewer, sources: Sources, Parameters(asked): Parameters) -> Result<Response, Problem> {
    let page = merges(viewer, &sources, chosen(&asked)?).await?;
    shown(StatusCode::OK, &page, FOR_NOW)
}

/// Plan a merge
#[utoipa::path(post, path = "/settings/merges", operation_id = "plan_page_merge", tag = "page", responses((status = 303, description = "Planned.")))]
pub async fn plan_merge(viewer: Viewer, sources: Sources, FormFields(form): FormFields) -> Result<Response, Problem> {
    let acts = sources.1.acts();
    let planned = match wished(&form) {
        Ok(wish) => acts.plan(viewer.clone(), wish.order).await.map(|planned| (planned, wish.instead_of)),
        Err(problem) => Err(problem),
    };
    let (planned, instead_of) = match planned {
        Ok(planned) => planned,
        Err(problem) => {
            let (status, said) = told(problem)?;
            let id = |name: &str| Uuid::try_parse(&filled_in(&form, name)).ok();
            let page = merges(viewer, &sources, (id("from"), id("into"))).await?.saying(said);
            return shown(status, &page, FOR_NOW);
        }
    };
    if let Some((job_id, version)) = instead_of {
        // One that was executed or cancelled meanwhile is no plan any more, and is left as it is.
        let cancelled = acts.change(viewer, job_id, version, MergeStep::Cancel).await;
        if let Err(problem) = cancelled
            && !is_past(problem.code())
        {
            return Err(problem);
        }
    }
    led_to(&path_of(planned.job_id))
}

/// Look at a merge
#[utoipa::path(
    get, path = "/settings/merges/{job_id}", operation_id = "show_merge", tag = "page",
    params(("job_id" = Uuid, Path)), responses((status = 200, description = "The page."))
)]
pub async fn show_merge(
    viewer: Viewer,
    _: NoParameters,
    sources: Sources,
    Path(job_id): Path<String>,
) -> Result<Response, Problem> {
    let page = merge(viewer, &sources, id_in_path(&job_id)?).await?;
    shown(StatusCode::OK, &page, FOR_NOW)
}

/// Carry a merge out
#[utoipa::path(
    post, path = "/settings/merges/{job_id}/execute", operation_id = "execute_page_merge", tag = "page",
    params(("job_id" = Uuid, Path)), responses((status = 303, description = "Begun."))
)]
pub async fn execute_merge(
    viewer: Viewer,
    sources: Sources,
    Path(job_id): Path<String>,
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    change(viewer, &sources, &job_id, &form, MergeStep::Execute).await
}

/// Cancel a merge
#[utoipa::path(
    post, path = "/settings/merges/{job_id}/cancel", operation_id = "cancel_page_merge", tag = "page",
    params(("job_id" = Uuid, Path)), responses((status = 303, description = "Cancelled."))
)]
pub async fn cancel_merge(
    viewer: Viewer,
    sources: Sources,
    Path(job_id): Path<String>,
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    change(viewer, &sources, &job_id, &form, MergeStep::Cancel).await
}

/// Take a merge back
#[utoipa::path(
    post, path = "/settings/merges/{job_id}/rollback", operation_id = "roll_back_page_merge", tag = "page",
    params(("job_id" = Uuid, Path)), responses((status = 303, description = "Begun."))
)]
pub async fn roll_back_merge(
    viewer: Viewer,
    sources: Sources,
    Path(job_id): Path<String>,
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    change(viewer, &sources, &job_id, &form, MergeStep::RollBack).await
}

async fn change(
    viewer: Viewer,
    sources: &Sources,
    job_id: &str,
    form: &[(String, String)],
    step: MergeStep,
) -> Result<Response, Problem> {
    let job_id = id_in_path(job_id)?;
    let changed = match seen_version(form) {
        Ok(version) => sources.1.acts().change(viewer.clone(), job_id, version, step).await,
        Err(problem) => Err(problem),
    };
    match changed {
        Ok(_) => led_to(&path_of(job_id)),
        Err(problem) => {
            let is_of_before = problem.code() == Code::VersionMismatch;
            let (status, said) = told(problem)?;
            let said = if is_of_before { OF_BEFORE.to_owned() } else { said };
            shown(status, &merge(viewer, sources, job_id).await?.saying(said), FOR_NOW)
        }
    }
}

/// What is told to whoever sends the form of a page that is not true any more.
const OF_BEFORE: &str = "Something was done to this merge since you looked at it, here or elsewhere. This is how it stands now; \
                         nothing was done.";

async fn merges(
    viewer: Viewer,
    (accounts, doors, public_url): &Sources,
    chosen: (Option<Uuid>, Option<Uuid>),
) -> Result<MergesPage, Problem> {
    let person = accounts.acts().person(viewer.clone()).await?;
    let devices = accounts.acts().devices(viewer.clone(), MOST_DEVICES).await?;
    let merges = doors.acts().list(viewer, LISTED).await?;
    Ok(MergesPage::new(public_url.path(), &person, devices, merges, chosen))
}

async fn merge(viewer: Viewer, (accounts, doors, public_url): &Sources, job_id: Uuid) -> Result<MergePage, Problem> {
    let found = doors.acts().find(viewer.clone(), job_id).await?;
    let person = accounts.acts().person(viewer.clone()).await?;
    let devices = accounts.acts().devices(viewer, MOST_DEVICES).await?;
    Ok(MergePage::new(public_url.path(), &person, &devices, found))
}

fn path_of(job_id: Uuid) -> String {
    format!("/settings/merges/{job_id}")
}

/// What says that a plan is none any more.
const fn is_past(code: Code) -> bool {
    matches!(code, Code::Conflict | Code::VersionMismatch | Code::NotFound)
}
