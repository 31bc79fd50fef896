//! The middleware in front of every page that is for somebody: no session, no entry.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;

use super::session::Sessions;
use crate::kernel::call::{Observed, PrincipalName, RequestContext};
use crate::kernel::problem::Problem;

/// What lets callers with a session in, and what is answered to all others.
#[derive(Clone)]
pub struct SessionGate {
    sessions: Sessions,
    turn_away: Arc<TurnAway>,
}

type TurnAway = dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync;

impl SessionGate {
    /// Whoever has no session is answered by `turn_away`.
    pub fn new(
        sessions: Sessions,
        turn_away: impl Fn(Request) -> BoxFuture<'static, Response> + Send + Sync + 'static,
    ) -> Self {
        Self { sessions, turn_away: Arc::new(turn_away) }
    }
}

impl fmt::Debug for SessionGate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionGate")
    }
}

/// The middleware.
pub async fn require_session(State(gate): State<SessionGate>, mut request: Request, next: Next) -> Response {
    let Some(context) = request.extensions().get::<RequestContext>().cloned() else {
        return Problem::internal("the request line did not run before authentication").into_response();
    };
    let found = match gate.sessions.find(request.headers(), &context).await {
        Ok(Some(found)) => found,
        Ok(None) => return (gate.turn_away)(request).await,
        Err(problem) => return problem.into_response(),
    };
    if let Some(observed) = request.extensions().get::<Observed>() {
        let (kind, id) = (found.principal.kind().as_str(), found.principal.token_id());
        observed.set_principal(PrincipalName { kind, id });
    }
    request.extensions_mut().insert(found.principal.clone());
    let renewed = gate.sessions.renew(request.headers(), &found);
    let mut response = next.run(request).await;
    // A session that was just ended is not renewed.
    if let Some(renewed) = renewed.filter(|_| !response.headers().contains_key(SET_COOKIE)) {
        response.headers_mut().insert(SET_COOKIE, renewed);
    }
    response
}
