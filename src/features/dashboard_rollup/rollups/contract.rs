//! How the contract describes the query for rollups.

use utoipa::IntoParams;
use utoipa::openapi::Object;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::request::GroupBy;
use super::width::Width;
use crate::features::dashboard_rollup::contract::{csv, days, filters, if_none_match, time_zone, week_start};
use crate::kernel::http::page::MAX_LIMIT;
use crate::kernel::http::parameters::{cursor, distinct_list, query};
use crate::kernel::http::schemas;

/// How long an interval is.
pub fn widths() -> Object {
    schemas::one_of(Width::ALL.map(Width::as_str))
        .description(Some("How long an interval is."))
        .examples(["day"])
        .build()
}

/// The parameters.
#[derive(Clone, Copy, Debug)]
pub struct RollupsParameters;

impl IntoParams for RollupsParameters {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let widths = "How long an interval is. A range may have 31 days by `half_hour` and `hour`, 800 days by `day`, 520 \
            weeks by `week` and 120 months by `month`.";
        let width = schemas::one_of(Width::ALL.map(Width::as_str)).default(Some(Width::default().as_str().into()));
        let fill = schemas::one_of(["none", "zero"]).default(Some("none".into()));
        let zone = "Whose days; by default the rollup's. Another zone is served for at most 31 days.";
        let fills = "`none` leaves out intervals without usage, `zero` shows them; `zero` only without `group_by`.";
        let groups = schemas::one_of(GroupBy::ALL);
        let from = "First local day; by default 29 days before `to`, and not after it.";
        let mut parameters = Vec::from(days(from, "Last local day, inclusive; by default today."));
        parameters.extend([
            query("width", widths, width),
            week_start("The day on which weeks begin. Only with `width=week`."),
            time_zone(zone),
            distinct_list("group_by", "The groups within an interval; repeatable.", groups, GroupBy::ALL.len()),
        ]);
        parameters.extend(filters());
        parameters.extend([
            query("fill", fills, fill),
            csv(),
            query("limit", "Results on a page.", schemas::limit(MAX_LIMIT)),
            cursor(),
            if_none_match(),
        ]);
        parameters
    }
}
