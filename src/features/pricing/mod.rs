//! Public list prices, in numbered books.
//!
//! Promises: a book that is sealed never changes; what says the same is the same book, and the same price is the same rate
//! in every book; a name is compared byte by byte, with spellings that were made at import; a price changes on a half hour,
//! and never without having been declared; what no book prices has no price, which is not a price of zero.
//!
//! Invariants: prices are whole micro-dollars per million tokens; the spans of a sku do not overlap; calendars are expanded
//! at import. A file becomes lines (`row`), spans (`calendar`), names (`names`) and rates (`listing`), is compared with the
//! book before (`difference`), and is written and sealed in one transaction (`books`).
//!
//! What usage would have cost is multiplied out by `dashboard_rollup`, which reads the schema `price`.
//!
//! Routes: `GET /v1/prices`, `GET /v1/price-books` (whoever has a token), `POST /v1/price-books` (operator).

mod books;
mod calendar;
mod contract;
mod difference;
mod handler;
mod listing;
mod names;
mod reply;
mod request;
mod row;
mod store;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use books::{Books, ImportedBook, NewBook};
pub use difference::SkuDifference;
pub use reply::{BookReply, PriceReply};
pub use request::PriceQuestion;
pub use store::BookRow;

/// Prices and the list of books, for whoever has a token.
pub(crate) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Books: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::get_price)).routes(routes!(handler::list_price_books))
}

/// What operators add.
pub(crate) fn operator_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Books: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::import_price_book))
}
