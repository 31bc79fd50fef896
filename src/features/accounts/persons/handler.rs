//! `DELETE /v1/me`.

use axum::extract::State;

use super::acts::Persons;
use super::reply::PersonErasure;
use super::request::{PersonParameters, PersonQuery};
use crate::kernel::access::Viewer;
use crate::kernel::http::body::Parameters;
use crate::kernel::http::keyed::{KeyHeader, KeyedEmpty};
use crate::kernel::http::refusals::{ConflictRefusal, QueryRefusal, Refusals};
use crate::kernel::idempotency::Answer;
use crate::kernel::problem::Problem;

/// Erase me
///
/// Erases the token's user for good: the name, the devices, the tokens and the link codes at once,
/// and with them all usage, rollups, stored answers, and rows of backfills. Nothing is taken of this
/// user any more, so that no retry brings anything back. What stays is that a user of this id was
/// erased. 202 means that a server is still removing usage, which it goes on with by itself. The
/// last user who can operate the installation is a conflict. With `dry_run=true` it only counts.
/// An `Idempotency-Key` is taken and recorded nowhere, because nothing of the person stays. A
/// repetition erases nothing else. It gets the same answer for some seconds, and then 401.
#[utoipa::path(
    delete, path = "/v1/me", operation_id = "erase_me", tag = "accounts",
    params(
        KeyHeader,
        PersonParameters,
    ),
    responses(
        (status = 200, description = "What went, or would.", body = PersonErasure),
        (status = 202, description = "The person is erased, and some usage is still being removed.", body = PersonErasure),
        ConflictRefusal, QueryRefusal, Refusals,
    ),
    security(("viewer" = [])),
)]
pub(super) async fn erase_me(
    viewer: Viewer,
    State(persons): State<Persons>,
    Parameters(parameters): Parameters,
    KeyedEmpty(_unneeded): KeyedEmpty,
) -> Result<Answer, Problem> {
    let query = PersonQuery::parse(&parameters)?;
    let erasure = persons.erase_oneself(viewer.context(), viewer.actor(), viewer.user_id(), &query).await?;
    let done = erasure.finished || erasure.dry_run;
    let answer = if done { Answer::ok(&erasure) } else { Answer::accepted(&erasure) };
    answer.map(Answer::unkept)
}
