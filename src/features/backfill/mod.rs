//! Operators change history as jobs: planned, looked at, executed, and taken back. Viewers merge their devices so.
//!
//! Promises: a plan changes nothing, and its diff is what the execution does, row by row, or says why not; a job
//! survives crashes and never counts a bucket twice; what it replaces is kept for 30 days after its end, and what
//! trackers send meanwhile is merged in there, so that a rollback loses nothing that was acknowledged; a job that has
//! left anything undone ends `failed`; `succeeded` and `rolled_back` mean that dashboards show it.
//!
//! Invariants: buckets are written by the kernel's writer only, with their events; a job's version changes with its
//! state and only then; a worker's step is one transaction behind a fence; the cursor never moves back within a phase.
//!
//! Jobs may overlap. Each row is judged by itself, under its lock: who comes second finds another version than the one
//! it was planned to replace, skips the row and says so. They are taken back newest first.
//!
//! A merge moves the buckets of one device into another one of the same user. Both buckets of a pair go in one step.
//! A reprice puts a price book in force and has the rollup of every user folded again in it, one user after the other.
//!
//! Routes, for operators, and for viewers as far as merges of their own devices go: `POST` and `GET /v1/backfills`, `GET /v1/backfills/{job_id}`, `/rows` and `/exceptions` under
//! it, `POST …/execute`, `/cancel`, `/rollback`. Worker: [`Worker`]. Commands use [`Backfills`].

mod forgetting;
mod handler;
mod job;
mod jobs;
mod merge;
mod pairing;
mod plan;
mod prices_reply;
mod purge;
mod reply;
mod reprice;
mod repricing;
mod request;
mod store;
mod work;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use forgetting::{count_rows_of, forget_rows_of};
pub use job::{Days, Exception, ExceptionKind, Job, State};
pub use jobs::{Backfills, JobChange, Shown};
pub use pairing::{Pairing, PlanRow, Resolve};
pub use plan::Import;
pub use plan::key::PlanKey;
pub use plan::lines::Lines;
pub use plan::request::Order;
pub use reply::JobReply;
pub use repricing::{PriceDiff, PriceDoors, PriceEffect, PriceLine, Repricing};
pub use work::{Findings, Verify, Worker};

use crate::kernel::http::cursor::Cursors;

/// Routes that take bodies longer than a request may last; each of their transactions has its own deadline.
pub(crate) const STREAMING_ROUTES: &[&str] = &["/v1/backfills"];

/// The routes of operators, and of viewers as far as their merges go.
pub(crate) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Backfills: FromRef<S>,
    Cursors: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(plan::handler::create_backfill, handler::list_backfills))
        .routes(routes!(handler::get_backfill))
        .routes(routes!(handler::list_backfill_rows))
        .routes(routes!(handler::list_backfill_exceptions))
        .routes(routes!(handler::execute_backfill))
        .routes(routes!(handler::cancel_backfill))
        .routes(routes!(handler::rollback_backfill))
}
