//! What the application is made from, as the configuration or a test says it.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderValue;
use ipnet::IpNet;

use super::activity::Activity;
use crate::config::{Limits, PoolSizes};
use crate::embedded_postgres::Programs;
use crate::features::operations::Metrics;
use crate::kernel::http::unread_body::UnreadBodies;

/// Exchanges of link codes a minute for each address, unless strangers may do even less.
const EXCHANGES_PER_MINUTE: u32 = 10;

/// What the application is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where callers reach the server. What it has as a path stands before every path that leaves the server.
    pub public_url: String,
    /// Requests may take this long.
    pub request_deadline: Duration,
    /// Web origins that may call.
    pub cors_origins: Vec<HeaderValue>,
    /// Connections by purpose.
    pub pool_sizes: PoolSizes,
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
    /// What becomes of bodies that nobody reads.
    pub unread_bodies: UnreadBodies,
    /// Whether anybody is being served. Health checks, and what the contract itself is asked for, do not count.
    pub activity: Activity,
    /// The programs of the private PostgreSQL that this process runs, if it does.
    pub private_postgres: Option<Programs>,
    /// Where the private PostgreSQL keeps its data; `None` where PostgreSQL is somewhere else.
    pub data_dir: Option<PathBuf>,
    /// Where this process counts.
    pub metrics: Metrics,
}

impl Settings {
    /// Where strangers are limited at all, exchanges of link codes are limited strictly.
    pub(super) fn exchanges_per_minute(&self) -> u32 {
        self.limits.anonymous.min(EXCHANGES_PER_MINUTE)
    }
}
