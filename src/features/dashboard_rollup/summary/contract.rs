//! How the contract describes the query for a summary.

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::features::dashboard_rollup::contract::{days, filters, if_none_match};

/// The parameters.
#[derive(Clone, Copy, Debug)]
pub struct SummaryParameters;

impl IntoParams for SummaryParameters {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let from = "First local day; by default 29 days before `to`, and not after it.";
        let to = "Last local day, inclusive; by default today. At most 800 days.";
        let mut parameters = Vec::from(days(from, to));
        parameters.extend(filters());
        parameters.push(if_none_match());
        parameters
    }
}
