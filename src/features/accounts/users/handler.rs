//! `POST` and `GET /v1/users`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::acts::Users;
use super::reply::{CreatedUser, UsersPage};
use super::request::NewUser;
use crate::kernel::access::Operator;
use crate::kernel::http::body::{NoParameters, Parameters};
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::keyed::{KeyHeader, KeyedJson};
use crate::kernel::http::page::Page;
use crate::kernel::http::parameters::PageParameters;
use crate::kernel::http::refusals::{BodyRefusals, KeyRefusals, QueryRefusal, Refusals};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::problem::Problem;

/// Create a user
///
/// Makes a user and its viewer token, which is shown once. A name that an active user has is a
/// conflict. A repetition with the same `Idempotency-Key` gets the same token.
#[utoipa::path(
    post, path = "/v1/users", operation_id = "add_user", tag = "accounts",
    params(KeyHeader),
    request_body = NewUser,
    responses(
        (status = 201, description = "The user and its viewer token.", body = CreatedUser),
        BodyRefusals, KeyRefusals, Refusals,
    ),
    security(("operator" = [])),
)]
pub(super) async fn add_user(
    operator: Operator,
    _: NoParameters,
    State(users): State<Users>,
    KeyedJson(request, body): KeyedJson,
) -> Result<Response, Unexecuted> {
    let NewUser { name, time_zone } = NewUser::parse(&body)?;
    let once = Once::new(request.by(operator.actor()), CreatedUser::answer);
    let created = users.create(operator.context(), operator.actor(), &name, &time_zone, once).await?;
    Ok(created.answer()?.into_response())
}

/// List users
///
/// All users, revoked ones included, with their last activity.
#[utoipa::path(
    get, path = "/v1/users", operation_id = "list_users", tag = "accounts",
    params(PageParameters),
    responses((status = 200, description = "A page.", body = UsersPage), QueryRefusal, Refusals),
    security(("operator" = [])),
)]
pub(super) async fn list_users(
    operator: Operator,
    State(users): State<Users>,
    State(cursors): State<Cursors>,
    Parameters(parameters): Parameters,
) -> Result<Json<UsersPage>, Problem> {
    let list = Page::parse(&parameters)?.of(cursors, "GET /v1/users");
    let users = users.list(operator.context(), list.after()?, list.one_more()).await?;
    let (data, next_cursor) = list.cut(users, |user| user.user_id)?;
    Ok(Json(UsersPage { data, next_cursor }))
}
