//! Replies to dashboards of other products. Their bodies have no room for how fresh they are, so that headers say it.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use chrono::SecondsFormat;
use serde::Serialize;

use super::sums::{AnsweredSums, Freshness, PartSums};
use crate::kernel::http::body::JSON;
use crate::kernel::problem::Problem;

impl AnsweredSums {
    /// 200 with what `write` makes of as many parts as were asked for. Errors: 500 for another number.
    pub fn reply<const N: usize, T: Serialize>(
        self,
        write: impl FnOnce([PartSums; N]) -> T,
    ) -> Result<Response, Problem> {
        let freshness = self.freshness;
        dashboard_reply(freshness, &write(self.into_parts()?))
    }
}

/// 200 with a body of JSON.
pub fn dashboard_reply(freshness: Freshness, body: &impl Serialize) -> Result<Response, Problem> {
    let mut response = Response::new(Body::from(serde_json::to_vec(body).map_err(Problem::internal)?));
    let as_of = freshness.as_of.to_rfc3339_opts(SecondsFormat::Micros, true);
    let fields = [
        (CONTENT_TYPE, HeaderValue::from_static(JSON)),
        (HeaderName::from_static("halfhour-as-of"), HeaderValue::try_from(as_of).map_err(Problem::internal)?),
        (
            HeaderName::from_static("halfhour-pending"),
            HeaderValue::from_static(if freshness.pending { "true" } else { "false" }),
        ),
        (HeaderName::from_static("halfhour-version"), HeaderValue::from(freshness.version)),
    ];
    response.headers_mut().extend(fields);
    Ok(response)
}
