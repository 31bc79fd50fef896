//! How the contract describes the query for buckets.

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::features::dashboard_rollup::contract::{csv, days, filters, time_zone};
use crate::kernel::http::page::MAX_LIMIT;
use crate::kernel::http::parameters::{cursor, query};
use crate::kernel::http::schemas;

/// The parameters.
#[derive(Clone, Copy, Debug)]
pub struct BucketsParameters;

impl IntoParams for BucketsParameters {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let from = "First local day; by default 29 days before `to`, and not after it.";
        let limit = "Buckets on a page, by default 100 in JSON. Without it NDJSON and CSV come whole.";
        let mut parameters = Vec::from(days(from, "Last local day, inclusive; by default today. At most 31 days."));
        parameters.push(time_zone("Whose days; by default the rollup's."));
        parameters.extend(filters());
        parameters.extend([csv(), query("limit", limit, schemas::number(MAX_LIMIT)), cursor()]);
        parameters
    }
}
