//! Problems for callers of a protocol that has another form for failures. Whatever layer refuses a request, the
//! outermost one writes the answer in the form that the route's callers read.

use axum::extract::{MatchedPath, Request};

use super::body::media_type;
use crate::kernel::problem::ProblemBody;

/// A form, and who reads it.
#[derive(Clone, Copy, Debug)]
pub struct ProblemFormat {
    /// The routes' patterns.
    pub routes: &'static [&'static str],
    /// The media type of requests that are answered so, and of the answers.
    pub media_type: &'static str,
    /// Writes a problem in it.
    pub write: fn(&ProblemBody) -> Vec<u8>,
}

impl ProblemFormat {
    /// Of several forms the one that a request's caller reads; `None` for problem+json.
    pub(super) fn of(request: &Request, formats: &'static [Self]) -> Option<&'static Self> {
        let route = request.extensions().get::<MatchedPath>()?.as_str();
        formats
            .iter()
            .find(|format| format.routes.contains(&route) && media_type(request.headers()) == format.media_type)
    }
}
