//! Signing in and out on a browser.
//!
//! A link's code is shown to its reader before it is used, with the name of whom it signs in, so that who follows somebody
//! else's link is not signed in as that somebody. A form that comes when its session has ended is held: it rides in the page
//! that asks to sign in, and is offered again afterwards. Nothing sends it but the person.

mod handler;
mod held;
mod reply;
mod request;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use handler::{NOT_KEPT, held_form_of, turn_away};
pub use held::{HeldForm, local_path};
pub use reply::{SignInPage, SignInStep};

use super::doors::AccountDoor;
use crate::kernel::access::Sessions;
use crate::kernel::http::public_url::PublicUrl;

/// The routes for everybody.
pub(super) fn open_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    AccountDoor: FromRef<S>,
    PublicUrl: FromRef<S>,
    Sessions: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::show_sign_in, handler::sign_in))
}

/// The routes for whoever is signed in.
pub(super) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    AccountDoor: FromRef<S>,
    Sessions: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::sign_out))
}
