//! `/settings/usage` and `/settings/erase`.

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::reply::{DeletionPage, DeletionStep, ErasurePage};
use super::request::{Deletion, DeletionScope, typed, typed_name};
use crate::features::dashboard_page::doors::AccountDoor;
use crate::features::dashboard_page::handler::{FOR_NOW, MOST_DEVICES, filled_in, shown, told};
use crate::kernel::access::{Sessions, Viewer};
use crate::kernel::http::body::{FormFields, NoParameters, Parameters};
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::problem::{Code, Problem};

/// What the pages are made of.
type Sources = (State<AccountDoor>, State<PublicUrl>);

/// Look at how much would be deleted
#[utoipa::path(get, path = "/settings/usage", operation_id = "show_deletion", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_deletion(
    viewer: Viewer,
    sources: Sources,
    Parameters(asked): Parameters,
) -> Result<Response, Problem> {
    let scope = DeletionScope::parse(&asked)?;
    if !scope.is_named() {
        let page = deletion(viewer, &sources, scope, DeletionStep::Ask).await?;
        return shown(StatusCode::OK, &page, FOR_NOW);
    }
    match sources.0.acts().erase_usage(viewer.clone(), scope.parameters(true)).await {
        Ok(counted) => {
            let page = deletion(viewer, &sources, scope, DeletionStep::Counted(counted)).await?;
            shown(StatusCode::OK, &page, FOR_NOW)
        }
        Err(problem) => {
            let (status, said) = told(problem)?;
            let page = deletion(viewer, &sources, scope, DeletionStep::Ask).await?;
            shown(status, &page.saying(said, String::new()), FOR_NOW)
        }
    }
}

/// Delete usage
#[utoipa::path(post, path = "/settings/usage", operation_id = "delete_page_usage", tag = "page", responses((status = 200, description = "Deleted.")))]
pub async fn delete_usage(viewer: Viewer, sources: Sources, FormFields(form): FormFields) -> Result<Response, Problem> {
    let asked = Deletion::parse(&form)?;
    let acts = sources.0.acts();
    let person = acts.person(viewer.clone()).await?;
    let counted = match acts.erase_usage(viewer.clone(), asked.scope.parameters(true)).await {
        Ok(counted) => counted,
        Err(problem) => {
            let (status, said) = told(problem)?;
            let page = deletion(viewer, &sources, asked.scope, DeletionStep::Ask).await?;
            return shown(status, &page.saying(said, asked.confirm), FOR_NOW);
        }
    };
    let done = if let Err(problem) = asked.confirmed_by(&person.name) {
        Err(problem)
    } else if counted.buckets > asked.seen {
        Err(Problem::new(Code::Conflict, "There is more by now than you have seen. Look again; nothing was deleted."))
    } else {
        acts.erase_usage(viewer.clone(), asked.scope.parameters(false)).await
    };
    match done {
        Ok(deleted) => {
            let page = deletion(viewer, &sources, asked.scope, DeletionStep::Done(deleted)).await?;
            shown(StatusCode::OK, &page, FOR_NOW)
        }
        Err(problem) => {
            let (status, said) = told(problem)?;
            let page = deletion(viewer, &sources, asked.scope, DeletionStep::Counted(counted)).await?;
            shown(status, &page.saying(said, asked.confirm), FOR_NOW)
        }
    }
}

async fn deletion(
    viewer: Viewer,
    (accounts, public_url): &Sources,
    scope: DeletionScope,
    step: DeletionStep,
) -> Result<DeletionPage, Problem> {
    let person = accounts.acts().person(viewer.clone()).await?;
    let devices = accounts.acts().devices(viewer, MOST_DEVICES).await?;
    Ok(DeletionPage::new(public_url.path(), person, devices, scope, step))
}

/// Look at what deleting everything takes
#[utoipa::path(get, path = "/settings/erase", operation_id = "show_erasure", tag = "page", responses((status = 200, description = "The page.")))]
pub async fn show_erasure(viewer: Viewer, _: NoParameters, sources: Sources) -> Result<Response, Problem> {
    shown(StatusCode::OK, &erasure(viewer, &sources).await?, FOR_NOW)
}

/// Delete everything
#[utoipa::path(post, path = "/settings/erase", operation_id = "erase_page_person", tag = "page", responses((status = 200, description = "Deleted.")))]
pub async fn erase_everything(
    viewer: Viewer,
    State(sessions): State<Sessions>,
    sources: Sources,
    headers: HeaderMap,
    FormFields(form): FormFields,
) -> Result<Response, Problem> {
    let name = sources.0.acts().person(viewer.clone()).await?.name;
    // The act compares the two once more, in the end.
    let confirmed = typed_name(&form).and_then(|confirm| typed(&confirm, &name).map(|()| confirm));
    let erased = match confirmed {
        Ok(confirm) => sources.0.acts().erase_person(viewer.clone(), Some(confirm)).await,
        Err(problem) => Err(problem),
    };
    match erased {
        Ok(farewell) => {
            let mut response = shown(StatusCode::OK, &ErasurePage::gone(sources.1.path(), farewell), FOR_NOW)?;
            response.headers_mut().insert(SET_COOKIE, sessions.forget(&headers)?);
            Ok(response)
        }
        Err(problem) => {
            let (status, said) = told(problem)?;
            let page = erasure(viewer, &sources).await?.saying(said, filled_in(&form, "confirm"));
            shown(status, &page, FOR_NOW)
        }
    }
}

async fn erasure(viewer: Viewer, (accounts, public_url): &Sources) -> Result<ErasurePage, Problem> {
    let person = accounts.acts().person(viewer.clone()).await?;
    let farewell = accounts.acts().erase_person(viewer, None).await?;
    Ok(ErasurePage::of(public_url.path(), &person.name, farewell))
}
