//! What all pages have in common: how they are sent, and the files that they load.

use askama::Template;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use uuid::Uuid;

use super::look::{Asset, PAGE_POLICY};
use crate::kernel::http::manner::Verbatim;
use crate::kernel::problem::{Code, Problem};

/// A page that is written. One of a session is for no cache that others read, and one with a secret for none at all.
pub fn shown(status: StatusCode, page: &impl Template, caching: &'static str) -> Result<Response, Problem> {
    let text = page.render().map_err(Problem::internal)?;
    let head = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY)),
        (CACHE_CONTROL, HeaderValue::from_static(caching)),
    ];
    let mut response = (status, head, text).into_response();
    if status.is_client_error() {
        response.extensions_mut().insert(Verbatim);
    }
    Ok(response)
}

/// A person has no more devices that are active, and a page knows the names of so many.
pub const MOST_DEVICES: u16 = 1000;

/// What is shown to one person.
pub const FOR_ONE: &str = "private, no-cache";
/// What is shown once.
pub const FOR_NOW: &str = "no-store";

/// Leads a browser to a path of this server, once its form is done.
pub fn led_to(path: &str) -> Result<Response, Problem> {
    let head = [
        (LOCATION, HeaderValue::try_from(path).map_err(Problem::internal)?),
        (CACHE_CONTROL, HeaderValue::from_static(FOR_NOW)),
    ];
    Ok((StatusCode::SEE_OTHER, head).into_response())
}

/// Leads a reader of `path` to where to sign in, and from there back again; `home` is where that leads by itself.
pub fn led_to_sign_in(sign_in: &str, home: &str, path: &str) -> Result<Response, Problem> {
    let next = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", path).finish();
    led_to(&if path == home { sign_in.to_owned() } else { format!("{sign_in}?{next}") })
}

/// What was filled in under a name, or nothing.
pub fn filled_in(form: &[(String, String)], name: &str) -> String {
    form.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

/// What is wrong with a form, for the page that has it still filled in. Errors: what is wrong with the server, or with whom
/// the form is about, which has a page of its own.
pub fn told(problem: Problem) -> Result<(StatusCode, String), Problem> {
    let is_of_form = matches!(
        problem.code(),
        Code::Invalid | Code::Conflict | Code::PlanStale | Code::VersionMismatch | Code::BatchTooLarge
    );
    if !is_of_form {
        return Err(problem);
    }
    let said = problem.violations().iter().map(|violation| violation.detail.as_str()).collect::<Vec<_>>().join(" ");
    let said = if said.is_empty() { problem.body(Uuid::nil(), "").detail } else { said };
    Ok((problem.code().status(), said))
}

/// The id in a path. A text that is no id names nothing either.
pub fn id_in_path(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::new(Code::NotFound, "You have nothing of that id."))
}

/// A file that pages load
///
/// The style sheet, the script or the icon. Its path holds a hash of it, so that it may be kept for good.
#[utoipa::path(
    get, path = "/assets/{name}", operation_id = "page_asset", tag = "page",
    params(("name" = String, Path)),
    responses((status = 200, description = "The file."))
)]
pub async fn page_asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let asset = Asset::named(&name);
    let asset = asset.ok_or_else(|| Problem::new(Code::NotFound, "No page of this release loads such a file."))?;
    let head = [
        (CONTENT_TYPE, HeaderValue::from_static(asset.media_type)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Ok((head, asset.text).into_response())
}
