//! How often one caller may call: a token bucket for each token, in this process. It stands behind authentication, so
//! that a forged token cannot use up a real one's allowance.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use axum::response::IntoResponse as _;
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::KeyExtractor;
use tower_governor::{GovernorError, GovernorLayer};
use uuid::Uuid;

use super::auth::Principal;
use super::problem::{Code, Problem};

/// Names a caller by its token.
#[derive(Clone, Debug)]
pub struct ByToken;

impl KeyExtractor for ByToken {
    type Key = Uuid;

    fn extract<T>(&self, request: &Request<T>) -> Result<Uuid, GovernorError> {
        request.extensions().get::<Principal>().map(Principal::token_id).ok_or(GovernorError::UnableToExtractKey)
    }
}

/// The layer that holds one role's routes to a rate.
pub type Limit = GovernorLayer<ByToken, ::governor::middleware::NoOpMiddleware, Body>;

/// At most `per_minute` requests a minute for each token, all of them at once if it likes. Errors behind the layer:
/// 429 `rate_limited` with `Retry-After`.
pub fn limit_by_token(per_minute: u32) -> Option<Limit> {
    let config = GovernorConfigBuilder::default()
        .period(Duration::from_mins(1) / per_minute.max(1))
        .burst_size(per_minute)
        .key_extractor(ByToken)
        .finish()?;
    Some(GovernorLayer::new(config).error_handler(refuse))
}

fn refuse(error: GovernorError) -> Response<Body> {
    match error {
        // The wait is given in whole seconds, rounded down.
        GovernorError::TooManyRequests { wait_time, .. } => {
            Problem::new(Code::RateLimited, "This token has used up its requests for now.").retry_after(wait_time + 1)
        }
        other => Problem::internal(other),
    }
    .into_response()
}
