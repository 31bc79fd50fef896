//! Devices: what posts buckets, each with tokens of its own.
//!
//! A name is unique among a user's active devices. A device and its token come into being together
//! or not at all. A device is revoked for good and never deleted. An id in a path is looked up
//! together with its owner in one statement, so that another user's device looks as if it did not
//! exist. Its owner may give it another name at any time.

mod acts;
mod handler;
mod reply;
mod request;
mod store;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use acts::Devices;
pub(super) use acts::MAX_DEVICES;
pub use reply::{DeviceListing, RegisteredDevice};
pub use request::{DeviceChange, NewDevice};
pub(super) use request::{platform, read_platform};
pub(super) use store::{insert_device, refusal};

use crate::kernel::http::cursor::Cursors;

/// The routes of viewers.
pub(super) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Cursors: FromRef<S>,
    Devices: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(handler::register_device, handler::list_devices))
        .routes(routes!(handler::rename_device))
        .routes(routes!(handler::revoke_device))
        .routes(routes!(handler::rotate_device))
}
