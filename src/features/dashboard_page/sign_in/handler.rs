//! `/sign-in`, `/sign-out`, and what is answered to whoever is not signed in.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::held::{HeldForm, LONGEST};
use super::reply::{SignInPage, SignInStep};
use super::request::{SignInForm, SignInQuery, SignInSecret};
use crate::features::dashboard_page::doors::AccountDoor;
use crate::features::dashboard_page::handler::{FOR_NOW, led_to, led_to_sign_in, shown};
use crate::kernel::access::{Sessions, Viewer};
use crate::kernel::call::RequestContext;
use crate::kernel::http::body::{FORM, FormFields, Parameters, media_type, whole_within};
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::problem::{Code, Problem};

/// What is told where signing in leads nowhere.
pub const NOT_KEPT: &str = "Over plain HTTP no browser keeps a session, but on the server’s own machine. Put TLS in front of the \
                        server, and set HALFHOUR_PUBLIC_URL to its https address.";

/// Ask to sign in
#[utoipa::path(
    get, path = "/sign-in", operation_id = "show_sign_in", tag = "page",
    responses((status = 200, description = "The page."))
)]
pub async fn show_sign_in(
    State(accounts): State<AccountDoor>,
    State(sessions): State<Sessions>,
    State(public_url): State<PublicUrl>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let SignInQuery { code, next } = SignInQuery::parse(&parameters)?;
    let base = public_url.path();
    let page = |step, next| {
        let page = SignInPage::new(base, step, next);
        if sessions.are_kept(&headers) { page } else { page.saying(NOT_KEPT) }
    };
    let Some(code) = code else {
        return shown(StatusCode::OK, &page(SignInStep::Token, next), FOR_NOW);
    };
    match accounts.acts().owner_of_code(context, code.clone()).await {
        Ok(owner) => shown(StatusCode::OK, &page(SignInStep::Code { code, owner }, next), FOR_NOW),
        Err(problem) => refused(&problem, SignInPage::new(base, SignInStep::Token, next)),
    }
}

/// Sign in
#[utoipa::path(
    post, path = "/sign-in", operation_id = "sign_in", tag = "page",
    responses((status = 303, description = "Signed in."))
)]
pub async fn sign_in(
    State(accounts): State<AccountDoor>,
    State(sessions): State<Sessions>,
    State(public_url): State<PublicUrl>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    FormFields(fields): FormFields,
) -> Result<Response, Problem> {
    let SignInForm { secret, next, held } = SignInForm::parse(&fields)?;
    let began = match secret {
        SignInSecret::Token(token) => accounts.acts().sign_in_with_token(context, token).await,
        SignInSecret::Code(code) => accounts.acts().sign_in_with_code(context, code).await,
    };
    let base = public_url.path();
    let session = match began {
        Ok(session) => session,
        Err(problem) => return refused(&problem, SignInPage::new(base, SignInStep::Token, next).holding(held)),
    };
    let mut response = match held {
        Some(held) => {
            let page = SignInPage::new(base, SignInStep::GoOn, next).holding(Some(held));
            shown(StatusCode::OK, &page, FOR_NOW)?
        }
        None => led_to(&next)?,
    };
    response.headers_mut().insert(SET_COOKIE, sessions.begin(&headers, &session)?);
    Ok(response)
}

/// Sign out
#[utoipa::path(
    post, path = "/sign-out", operation_id = "sign_out", tag = "page",
    responses((status = 303, description = "Signed out."))
)]
pub async fn sign_out(
    viewer: Viewer,
    State(accounts): State<AccountDoor>,
    State(sessions): State<Sessions>,
    headers: HeaderMap,
    FormFields(fields): FormFields,
) -> Result<Response, Problem> {
    let everywhere = fields.iter().any(|(name, value)| name == "everywhere" && value == "yes");
    accounts.acts().sign_out(viewer, everywhere).await?;
    let mut response = led_to("/sign-in")?;
    response.headers_mut().insert(SET_COOKIE, sessions.forget(&headers)?);
    Ok(response)
}

/// What is wrong with a secret is said on the page. What is wrong with the server is not.
fn refused(problem: &Problem, page: SignInPage) -> Result<Response, Problem> {
    if !matches!(problem.code(), Code::Invalid | Code::Unauthorized | Code::WrongPrincipal) {
        return Err(problem.clone());
    }
    let said = problem.violations().first().map(|violation| violation.detail.clone());
    let said = said.unwrap_or_else(|| problem.body(uuid::Uuid::nil(), "").detail);
    shown(problem.code().status(), &page.saying(said), FOR_NOW)
}

/// What is answered to whoever is not signed in: a reader is led to the page that asks for it and back again, and what a form
/// says is held meanwhile.
pub async fn turn_away(request: Request, public_url: PublicUrl) -> Response {
    let turned = if matches!(*request.method(), Method::GET | Method::HEAD) {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        led_to_sign_in("/sign-in", "/", path)
    } else {
        hold(request, public_url.path()).await
    };
    turned.unwrap_or_else(Problem::into_response)
}

/// The form that a request sends, if `known` takes its path and fields. Errors: what is wrong with its body.
pub async fn held_form_of(
    request: Request,
    known: impl FnOnce(&str, &str) -> Option<HeldForm>,
) -> Result<Option<HeldForm>, Problem> {
    let (parts, body) = request.into_parts();
    let is_form = media_type(&parts.headers) == FORM;
    let fields = if is_form { whole_within(&parts, body, LONGEST).await? } else { Bytes::new() };
    Ok(str::from_utf8(&fields).ok().and_then(|fields| known(parts.uri.path(), fields)))
}

async fn hold(request: Request, base: &str) -> Result<Response, Problem> {
    let held = held_form_of(request, HeldForm::of).await?;
    let notice = match &held {
        Some(_) => "Your session has ended. Sign in again; what you filled in is kept on this page.",
        None => "Your session has ended. Sign in again.",
    };
    let page = SignInPage::new(base, SignInStep::Token, "/".to_owned()).saying(notice).holding(held);
    shown(StatusCode::UNAUTHORIZED, &page, FOR_NOW)
}
