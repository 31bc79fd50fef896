//! When a request began to arrive: before who sent it was looked up, and before its body was read.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use chrono::{DateTime, Utc};

use crate::kernel::clock::Clock;
use crate::kernel::problem::Problem;

/// The instant at which a request began to arrive, by the server's clock, later than of every request that began before it
/// in this process. [`note_beginning`] stands around the routes whose handlers ask for it.
#[derive(Clone, Copy, Debug)]
pub struct Begun(pub(super) DateTime<Utc>);

/// The middleware for protocols whose posts say no time of their own. It goes around authentication.
pub async fn note_beginning(State(clock): State<Clock>, mut request: Request) -> Request {
    request.extensions_mut().insert(Begun(clock.stamp()));
    request
}

impl<S: Send + Sync> FromRequestParts<S> for Begun {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let begun = parts.extensions.get::<Self>().copied();
        begun.ok_or_else(|| Problem::internal("a handler asks when a request began on a route that does not note it"))
    }
}
