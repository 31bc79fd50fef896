//! What dashboards read: usage by local day, folded from buckets.
//!
//! Promises: `rollup.daily = fold(usage.bucket)`, whole local days at a time, so that any replay gives the same rows;
//! an event is consumed in the transaction that takes its effect, so that nothing is lost or counted twice; totals are
//! exact over the whole range; every reply says as of when it is true, and in which price book its costs are.
//!
//! Invariants: only the holder of the fold lock of a user's part writes that user's rows of `rollup.*`; a user's version
//! rises only when a row changed; a day belongs to the zone that `rollup.user_state` records; days before the retention
//! horizon are never touched.
//!
//! Every read is one snapshot that opens with the rollup's state, so that its sums, `as_of`, `pending` and `version`
//! belong together. Days, weeks and months come from the rollup only; half hours, hours and
//! the days of another zone from buckets.
//!
//! [`UsageAnswers`] is the door to all reads, without HTTP. A folder for each question holds its `request`, `answer` and
//! SQL, and a `handler` that puts a query in and an answer out.
//!
//! Routes: `GET /v1/rollups`, `/v1/rollups/summary`, `/v1/rollups/cost`, `/v1/rollups/heatmap`, `/v1/buckets` (viewer), a folder each.
//! Workers: [`Relay`], [`Retention`]. For commands and other slices: [`UsageAnswers`], [`verify()`],
//! [`compare_books`].

mod buckets;
mod cells;
mod checked;
mod contract;
mod cost;
mod coverage;
mod forgetting;
mod heatmap;
mod media;
mod range;
mod receipt;
mod relay;
mod reply;
mod repricing;
mod retention;
mod rollups;
mod snapshot;
mod state;
mod store;
mod summary;
mod sums;
mod verify;
mod week;
mod week_hours;

use axum::extract::FromRef;
use axum::middleware::map_response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use buckets::{BucketRow, BucketsAnswer, BucketsRequest, RowKey};
pub use checked::Checked;
pub use cost::PricedSums;
pub use coverage::{Uncovered, measure_coverage, uncovered, watch_coverage};
pub use forgetting::{count_rows_of, forget_rows_of};
pub use heatmap::{DaySums, HeatmapAnswer, HeatmapRequest};
pub use range::{AskedDays, DayRange, Filters, PagePosition};
pub use receipt::{ReceiptLine, ReceiptSheet};
pub use relay::{FOLD_LOCK, Relay, Round};
pub use repricing::{BookChange, Repriced, compare_books};
pub use retention::{Pass, Retention};
pub use rollups::{
    GroupBy, GroupSums, IntervalSums, KnownSpans, RankBy, RankedAnswer, RankedRow, ResultKey, RollupsAnswer,
    RollupsRequest, Span, WholeRequest, WholeSums, Width,
};
pub use snapshot::{Answered, OpenSnapshot, UsageAnswers, UsageRequest};
pub use state::RollupState;
pub use summary::{BothSums, Streaks, SummaryAnswer, SummaryRequest};
pub use sums::Counters;
pub use verify::{Drift, LISTED, NotCompared, Orphan, Report, UnknownSource, Window, verify, verify_sample};
pub use week::WeekStart;
pub use week_hours::{LaterStart, WeekHours};

use crate::kernel::http::cursor::Cursors;

/// The slice's routes.
pub(crate) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    UsageAnswers: FromRef<S>,
    Cursors: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(rollups::handler::get_rollups))
        .routes(routes!(summary::handler::get_summary))
        .routes(routes!(receipt::handler::get_receipt))
        .routes(routes!(heatmap::handler::get_heatmap))
        .routes(routes!(buckets::handler::get_buckets))
        .route_layer(map_response(reply::vary_by_accept))
}
