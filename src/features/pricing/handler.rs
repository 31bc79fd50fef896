//! `GET /v1/prices`, `GET` and `POST /v1/price-books`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::books::Books;
use super::contract::PriceParameters;
use super::reply::{BookReply, BooksReply, PriceReply};
use super::request::{BookOrder, PriceQuestion};
use crate::kernel::access::{Caller, Operator};
use crate::kernel::http::body::{NoParameters, Parameters};
use crate::kernel::http::keyed::{KeyHeader, KeyedJson};
use crate::kernel::http::refusals::{BodyRefusals, KeyRefusals, NotFoundRefusal, QueryRefusal, Refusals};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::problem::Problem;

/// What a model costs
///
/// The public list price of a model as a tool reports it, at an instant, and why: what the name stands for, by which rule,
/// and where the price was found. A name that the book does not have to the letter has no price.
#[utoipa::path(
    get, path = "/v1/prices", operation_id = "get_price", tag = "prices",
    params(PriceParameters),
    responses(
        (status = 200, description = "The price, or why there is none.", body = PriceReply),
        NotFoundRefusal,
        Refusals,
        QueryRefusal,
    ),
    security(("device" = []), ("viewer" = []), ("operator" = [])),
)]
pub(super) async fn get_price(
    caller: Caller,
    State(books): State<Books>,
    Parameters(parameters): Parameters,
) -> Result<Json<PriceReply>, Problem> {
    let question = PriceQuestion::parse(&parameters)?;
    let named = (question.source.as_str(), question.model.as_str());
    let answer = books.price_of(caller.context(), named, question.at, question.book).await?;
    Ok(Json(PriceReply::new(&question, answer)))
}

/// The price books
///
/// Every book that was imported, the newest first, and which one is in force.
#[utoipa::path(
    get, path = "/v1/price-books", operation_id = "list_price_books", tag = "prices",
    responses(
        (status = 200, description = "All of them.", body = BooksReply),
        Refusals,
        QueryRefusal,
    ),
    security(("device" = []), ("viewer" = []), ("operator" = [])),
)]
pub(super) async fn list_price_books(
    caller: Caller,
    _: NoParameters,
    State(books): State<Books>,
) -> Result<Json<BooksReply>, Problem> {
    Ok(Json(books.list(caller.context()).await?.into()))
}

/// Import a price book
///
/// Seals a new book, which never changes again. It is not in force by that. Prices that say the same as a book that there
/// is are that book. Where a price differs from the book before, its line declares a `change`, which begins in the future,
/// or a `correction`, whose note says what was wrong. Prices that are missing are refused, because usage stays.
#[utoipa::path(
    post, path = "/v1/price-books", operation_id = "import_price_book", tag = "prices",
    params(KeyHeader),
    request_body = BookOrder,
    responses(
        (status = 201, description = "The new book.", body = BookReply),
        (status = 200, description = "There was a book that says the same.", body = BookReply),
        BodyRefusals,
        KeyRefusals,
        Refusals,
    ),
    security(("operator" = [])),
)]
pub(super) async fn import_price_book(
    operator: Operator,
    _: NoParameters,
    State(books): State<Books>,
    KeyedJson(request, body): KeyedJson,
) -> Result<Response, Unexecuted> {
    let new = BookOrder::parse(&body)?;
    let once = Once::new(request.by(operator.actor()), BookReply::answer_to_import);
    let imported = books.import(operator.context(), operator.actor(), &new, once).await?;
    Ok(BookReply::answer_to_import(&imported)?.into_response())
}
