//! What the application is made from, as the configuration or a test says it.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderValue;
use ipnet::IpNet;
use sqlx::postgres::PgConnectOptions;

use super::activity::Activity;
use super::door::DoorLimits;
use crate::config::{Limits, PoolSizes};
use crate::embedded_postgres::Programs;
use crate::features::operations::Metrics;
use crate::kernel::call::Tracer;
use crate::kernel::http::unread_body::Bodies;

/// What the application is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where callers reach the server. What it has as a path stands before every path that leaves the server.
    pub public_url: String,
    /// Requests may take this long.
    pub request_deadline: Duration,
    /// Web origins that may call.
    pub cors_origins: Vec<HeaderValue>,
    /// A standby of the database, from which reads are answered where it has the numbers.
    pub standby: Option<Box<PgConnectOptions>>,
    /// Connections by purpose.
    pub pool_sizes: PoolSizes,
    /// How many relays fold beside each other, at least one.
    pub relays: usize,
    /// How often one caller may call.
    pub limits: Limits,
    /// How long a token is remembered, at most [`REVOCATION_BOUND`](crate::kernel::access::REVOCATION_BOUND).
    pub token_memory: Duration,
    /// Whose word on where a request comes from is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// The oldest half hour that a tracker may post.
    pub ingest_max_age_days: Option<u32>,
    /// Whole local days of buckets that are kept; `None` keeps all.
    pub retention_days: Option<u32>,
    /// The longest window of an import of buckets, in days.
    pub backfill_max_days: u32,
    /// How many connections there may be, and how slow they.
    pub door: DoorLimits,
    /// What becomes of bodies.
    pub bodies: Bodies,
    /// Whether anybody is being served. Health checks, and what the contract itself is asked for, do not count.
    pub activity: Activity,
    /// The programs of the private PostgreSQL that this process runs, if it does.
    pub private_postgres: Option<Programs>,
    /// Where the private PostgreSQL keeps its data; `None` where PostgreSQL is somewhere else.
    pub data_dir: Option<PathBuf>,
    /// Where this process counts.
    pub metrics: Metrics,
    /// What makes spans, or nothing.
    pub tracer: Tracer,
}
