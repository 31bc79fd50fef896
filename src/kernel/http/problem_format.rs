//! Problems for callers of a protocol that has another form for failures. Whatever layer refuses a request, the
//! outermost one writes the answer in the form that the route's callers read.

use axum::extract::{MatchedPath, Request};

use super::body::media_type;
use super::public_url::PublicUrl;
use crate::kernel::problem::ProblemBody;

/// A form, and who reads it.
#[derive(Clone, Copy, Debug)]
pub struct ProblemFormat {
    /// The routes' patterns.
    pub routes: &'static [&'static str],
    /// The media type of requests that are answered so; `None` for all requests of these routes.
    pub asked_in: Option<&'static str>,
    /// The media type of the answers.
    pub media_type: &'static str,
    /// What a browser may do with such an answer, where it may do more than show it.
    pub policy: Option<&'static str>,
    /// Writes a problem in it.
    pub write: fn(&ProblemBody, &PublicUrl) -> Vec<u8>,
}

impl ProblemFormat {
    /// Of several forms the one that a request's caller reads; `None` for problem+json.
    pub(super) fn of(request: &Request, formats: &'static [Self]) -> Option<&'static Self> {
        let route = request.extensions().get::<MatchedPath>()?.as_str();
        let is_read = |format: &&Self| {
            let asked = format.asked_in.is_none_or(|asked| media_type(request.headers()) == asked);
            format.routes.contains(&route) && asked
        };
        formats.iter().find(is_read)
    }
}
