//! How the contract describes the query for a heatmap.

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::request::{DEFAULT_WEEKS, MAX_WEEKS};
use crate::features::dashboard_rollup::contract::{days, filters, if_none_match, week_start};
use crate::kernel::http::parameters::query;
use crate::kernel::http::schemas;

/// The parameters.
#[derive(Clone, Copy, Debug)]
pub struct HeatmapParameters;

impl IntoParams for HeatmapParameters {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let from = "First local day; where only `to` is named, 29 days before it. Not after `to`.";
        let to = "Last local day, inclusive; where only `from` is named, today. At most 728 days.";
        let weeks = format!(
            "How many weeks, with today in the last one. By default {DEFAULT_WEEKS}. Not beside `from` or `to`."
        );
        let mut parameters = Vec::from(days(from, to));
        parameters
            .extend([query("weeks", &weeks, schemas::number(MAX_WEEKS)), week_start("The day on which weeks begin.")]);
        parameters.extend(filters());
        parameters.push(if_none_match());
        parameters
    }
}
