//! `/operate/sign-in`, `/operate/sign-out`, and what is answered to who shows no session or one of the other kind.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::reply::OperatorSignInPage;
use super::request::{OperatorForm, held_form, next_of};
use crate::features::dashboard_page::handler::{FOR_NOW, led_to, led_to_sign_in, shown};
use crate::features::dashboard_page::operator_doors::OperatorDoor;
use crate::features::dashboard_page::sign_in::{NOT_KEPT, SignInPage, SignInStep, held_form_of, turn_away};
use crate::kernel::access::{Operator, OperatorSessions, Sessions};
use crate::kernel::call::RequestContext;
use crate::kernel::http::body::{FormFields, Parameters};
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::problem::{Code, Problem};

/// What a viewer is told on operators' pages.
const VIEWERS: &str = "You are signed in as a viewer, and a viewer’s session does not operate the server. Sign in with an operator \
                       token; the viewer’s session stays beside it.";
/// What an operator is told on viewers' pages.
const OPERATORS: &str = "You are signed in as an operator, and an operator’s session shows nobody’s usage. Sign in with a viewer \
                         token; the operator’s session stays beside it, at /operate.";

/// Ask an operator to sign in
#[utoipa::path(
    get, path = "/operate/sign-in", operation_id = "show_operator_sign_in", tag = "page",
    responses((status = 200, description = "The page."))
)]
pub async fn show_operator_sign_in(
    State(OperatorSessions(sessions)): State<OperatorSessions>,
    State(public_url): State<PublicUrl>,
    headers: HeaderMap,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let page = OperatorSignInPage::new(public_url.path(), next_of(&parameters)?);
    let page = if sessions.are_kept(&headers) { page } else { page.saying(NOT_KEPT) };
    shown(StatusCode::OK, &page, FOR_NOW)
}

/// Sign in as an operator
#[utoipa::path(
    post, path = "/operate/sign-in", operation_id = "sign_operator_in", tag = "page",
    responses((status = 303, description = "Signed in."))
)]
pub async fn sign_operator_in(
    State(operating): State<OperatorDoor>,
    State(OperatorSessions(sessions)): State<OperatorSessions>,
    State(public_url): State<PublicUrl>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    FormFields(fields): FormFields,
) -> Result<Response, Problem> {
    let OperatorForm { token, next, held } = OperatorForm::parse(&fields)?;
    let page = |next| OperatorSignInPage::new(public_url.path(), next);
    let session = match operating.acts().sign_in(context, token).await {
        Ok(session) => session,
        Err(problem) => return refused(&problem, page(next).holding(held)),
    };
    let mut response = match held {
        Some(_) => shown(StatusCode::OK, &page(next).holding(held).going_on(), FOR_NOW)?,
        None => led_to(&next)?,
    };
    response.headers_mut().insert(SET_COOKIE, sessions.begin(&headers, &session)?);
    Ok(response)
}

/// Sign out as an operator
#[utoipa::path(
    post, path = "/operate/sign-out", operation_id = "sign_operator_out", tag = "page",
    responses((status = 303, description = "Signed out."))
)]
pub async fn sign_operator_out(
    operator: Operator,
    State(operating): State<OperatorDoor>,
    State(OperatorSessions(sessions)): State<OperatorSessions>,
    headers: HeaderMap,
    FormFields(fields): FormFields,
) -> Result<Response, Problem> {
    let everywhere = fields.iter().any(|(name, value)| name == "everywhere" && value == "yes");
    operating.acts().sign_out(operator, everywhere).await?;
    let mut response = led_to("/operate/sign-in")?;
    response.headers_mut().insert(SET_COOKIE, sessions.forget(&headers)?);
    Ok(response)
}

/// What is wrong with a token is said on the page. What is wrong with the server is not.
fn refused(problem: &Problem, page: OperatorSignInPage) -> Result<Response, Problem> {
    if !matches!(problem.code(), Code::Unauthorized | Code::WrongPrincipal) {
        return Err(problem.clone());
    }
    let said = problem.body(uuid::Uuid::nil(), "").detail;
    shown(problem.code().status(), &page.saying(said), FOR_NOW)
}

/// What is answered at operators' pages to who shows no operator's session: a viewer is told that its own is none, anybody else
/// is led to where to sign in, and what a form says is held meanwhile.
pub async fn turn_operator_away(request: Request, public_url: PublicUrl, viewers: Sessions) -> Response {
    let base = public_url.path();
    let turned = if reads(&request) {
        let path = request.uri().path_and_query().map_or("/operate", |path| path.as_str()).to_owned();
        lead_to_sign_in(path, shown_by(&request), base, &viewers).await
    } else {
        hold(request, base).await
    };
    turned.unwrap_or_else(Problem::into_response)
}

/// Where somebody signs in, and from there to the page that is wanted.
async fn lead_to_sign_in(
    path: String,
    shown_by: (HeaderMap, Option<RequestContext>),
    base: &str,
    viewers: &Sessions,
) -> Result<Response, Problem> {
    if has_session(shown_by, viewers).await? {
        let page = OperatorSignInPage::new(base, path).saying(VIEWERS);
        return shown(StatusCode::FORBIDDEN, &page, FOR_NOW);
    }
    led_to_sign_in("/operate/sign-in", "/operate", &path)
}

/// What is answered at viewers' pages to who shows no viewer's session: an operator is told that its own is none.
pub async fn turn_stranger_away(request: Request, public_url: PublicUrl, operators: OperatorSessions) -> Response {
    if !reads(&request) {
        return turn_away(request, public_url).await;
    }
    match has_session(shown_by(&request), &operators.0).await {
        Ok(true) => {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
            let page = SignInPage::new(public_url.path(), SignInStep::Token, path).saying(OPERATORS);
            shown(StatusCode::FORBIDDEN, &page, FOR_NOW).unwrap_or_else(Problem::into_response)
        }
        Ok(false) => turn_away(request, public_url).await,
        Err(problem) => problem.into_response(),
    }
}

fn reads(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

/// What a request shows of who sends it.
fn shown_by(request: &Request) -> (HeaderMap, Option<RequestContext>) {
    (request.headers().clone(), request.extensions().get::<RequestContext>().cloned())
}

async fn has_session(
    (headers, context): (HeaderMap, Option<RequestContext>),
    sessions: &Sessions,
) -> Result<bool, Problem> {
    let context = context.ok_or_else(|| Problem::internal("the request line did not run before authentication"))?;
    Ok(sessions.find(&headers, &context).await?.is_some())
}

async fn hold(request: Request, base: &str) -> Result<Response, Problem> {
    let held = held_form_of(request, held_form).await?;
    let notice = match &held {
        Some(_) => {
            "No operator’s session is open. Sign in; what you filled in is kept on this page, and nothing was done yet."
        }
        None => "No operator’s session is open. Sign in; nothing was done.",
    };
    let page = OperatorSignInPage::new(base, "/operate".to_owned()).saying(notice).holding(held);
    shown(StatusCode::UNAUTHORIZED, &page, FOR_NOW)
}
