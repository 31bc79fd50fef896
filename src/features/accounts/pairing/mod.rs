//! Pairing: a new device shows a code, and its owner approves it. It is linking the other way round, for trackers of other
//! products and for machines without a browser.
//!
//! Until somebody approves it, nothing is stored of a pairing: what a device said of itself travels in its own secret, which
//! the server has signed. An approval is a link code that only that device can meet. A device's token is a function of the
//! server's key and that secret, so that a device whose answer was lost asks again.
//!
//! A name that an active device has gets a number. A machine that says what it is called is one device for its owner,
//! however often it is paired or installed.

mod acts;
mod device_code;
mod handler;
mod reply;
mod request;
mod store;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use acts::Pairings;

use crate::kernel::http::public_url::PublicUrl;

/// The route of viewers.
pub(super) fn viewer_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Pairings: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::approve_pairing))
}

/// The page that a device sends its owner to.
pub(super) fn page_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    PublicUrl: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::get_pairing_page))
}
