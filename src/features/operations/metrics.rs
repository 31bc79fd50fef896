//! What this process counts and measures.
//!
//! The recorder belongs to the process, so every layer may count without being handed anything.
//! Labels are few, and never a caller's words.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of durations, in seconds.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Upper bounds of batches, in rows.
const ROWS: [f64; 9] = [1.0, 5.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0];

/// A metric as Prometheus is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// What its series are told apart by.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

impl Metric {
    const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: "counter", labels, help }
    }

    const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: "gauge", labels, help }
    }

    const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: "histogram", labels, help }
    }
}

/// Every metric; `docs/operations.md` lists the same, and panels and alerts in `docs/observability/` name no other.
pub const METRICS: [Metric; 41] = [
    Metric::histogram(
        "halfhour_request_seconds",
        &["route", "status"],
        "Requests: from receipt to the answer's head, by route and class of status.",
    ),
    Metric::counter(
        "halfhour_failures_total",
        &["function", "attribution", "code"],
        "Requests and workers' steps that failed, by whose fault it was.",
    ),
    Metric::histogram("halfhour_writer_batch_rows", &[], "Rows of the writer's transactions."),
    Metric::counter(
        "halfhour_writer_insertions_total",
        &["outcome"],
        "Batches that were expected to be new throughout, and whether they were.",
    ),
    Metric::gauge("halfhour_writer_queue_rows", &[], "Rows that wait for the writer or are being written."),
    Metric::counter(
        "halfhour_token_cache_total",
        &["outcome"],
        "Authentications by token, from memory (hit) or not (miss).",
    ),
    Metric::gauge(
        "halfhour_expiring_tokens_in_use",
        &[],
        "Tokens that were used in the last minute and end soon, because they were rotated.",
    ),
    Metric::counter("halfhour_limit_refusals_total", &["limit"], "Requests refused with 429, by limit."),
    Metric::counter("halfhour_kept_total", &[], "Late and silent snapshots that replaced nothing."),
    Metric::gauge("halfhour_connections_open", &[], "Connections of clients."),
    Metric::counter(
        "halfhour_connections_refused_total",
        &["reason"],
        "Connections for which there was no room, by reason.",
    ),
    Metric::counter(
        "halfhour_connections_timed_out_total",
        &["reason"],
        "Connections ended because a client was slow or idle, by reason.",
    ),
    Metric::counter(
        "halfhour_body_refusals_total",
        &[],
        "Requests refused because other requests' bodies fill the room for them.",
    ),
    Metric::gauge(
        "halfhour_pool_connections",
        &["pool", "state"],
        "Connections of the pools: open, in use, and at most.",
    ),
    Metric::gauge(
        "halfhour_breaker_state",
        &["pool", "state"],
        "1 for the state that the pool's breaker is in: closed, open or half_open.",
    ),
    Metric::counter(
        "halfhour_breaker_openings_total",
        &["pool"],
        "How often a pool stopped asking a database that does not answer.",
    ),
    Metric::counter(
        "halfhour_database_silences_total",
        &["pool"],
        "Connections given up because nothing came back on them, by pool.",
    ),
    Metric::counter("halfhour_reads_total", &["source"], "Reads of usage, by where their numbers came from."),
    Metric::counter(
        "halfhour_standby_fallbacks_total",
        &["reason"],
        "Reads that the primary answered although there is a standby, by reason.",
    ),
    Metric::gauge(
        "halfhour_standby_lag_seconds",
        &[],
        "How long ago the primary was where the standby has not come to.",
    ),
    Metric::gauge("halfhour_standby_usable", &[], "1 while reads ask the standby."),
    Metric::gauge("halfhour_switch_on", &["switch"], "1 where the switch is on, as this process knows it."),
    Metric::gauge("halfhour_clock_offset_seconds", &[], "The database's clock minus this machine's."),
    Metric::gauge("halfhour_clock_error_seconds", &[], "By how much the time that this process goes by may be wrong."),
    Metric::counter("halfhour_clock_jumps_total", &["clock"], "Jumps of clocks that were noticed, by clock."),
    Metric::counter(
        "halfhour_assertions_failed_total",
        &["assertion"],
        "Answers that were withheld because a number in them was wrong, by assertion.",
    ),
    Metric::gauge("halfhour_uptime_seconds", &[], "Since when the process serves."),
    Metric::gauge(
        "halfhour_postgres_upgrade",
        &["state"],
        "1 in the state of an upgrade of the private PostgreSQL that is not over.",
    ),
    Metric::gauge("halfhour_disk_free_bytes", &[], "Room on the disk of the private PostgreSQL."),
    Metric::gauge("halfhour_disk_size_bytes", &[], "Size of that disk."),
    Metric::counter("halfhour_log_lines_dropped_total", &[], "Log lines that the queue could not take."),
    Metric::counter(
        "halfhour_trace_spans_total",
        &["outcome"],
        "Spans: sent to the collector, refused by it, or dropped because the queue was full.",
    ),
    Metric::gauge("halfhour_outbox_backlog", &["lane"], "Events that wait to be folded, by lane."),
    Metric::gauge("halfhour_outbox_oldest_age_seconds", &[], "Age of the oldest event that is not folded."),
    Metric::gauge("halfhour_outbox_parked", &[], "Events set aside after too many failures."),
    Metric::counter("halfhour_relay_rounds_total", &["outcome"], "Rounds of the relay, by outcome."),
    Metric::counter("halfhour_folded_user_days_total", &[], "Local days of users that were folded."),
    Metric::histogram("halfhour_ack_to_fold_seconds", &[], "From the commit of a change to the commit of its fold."),
    Metric::counter("halfhour_backfill_steps_total", &["outcome"], "Steps of backfills, by outcome."),
    Metric::gauge("halfhour_unpriced_tokens", &[], "Tokens of the last thirty days that have no price."),
    Metric::counter("halfhour_retention_passes_total", &["outcome"], "Passes of retention, by outcome."),
];

/// The process's recorder. Clones share it.
#[derive(Clone, Debug)]
pub struct Metrics {
    handle: PrometheusHandle,
    dropped_lines: Option<Arc<AtomicU64>>,
}

impl Metrics {
    /// Records from now on whatever this process counts; to be called once. `dropped_lines` counts what the log lost.
    pub fn install(dropped_lines: Option<Arc<AtomicU64>>) -> Self {
        let bounds = |builder: PrometheusBuilder, suffix: &str, bounds: &[f64]| {
            // Errors are for empty bounds only.
            builder.set_buckets_for_metric(Matcher::Suffix(suffix.to_owned()), bounds).unwrap_or_default()
        };
        let builder = bounds(PrometheusBuilder::new(), "_seconds", &SECONDS);
        let recorder = bounds(builder, "_rows", &ROWS).build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::error!("metrics were installed twice; these stay empty");
        }
        for Metric { name, help, .. } in METRICS {
            // Only the help is kept: it belongs to the name, whatever the kind.
            metrics::describe_counter!(name, help);
        }
        Self { handle, dropped_lines }
    }

    /// Everything recorded so far, in Prometheus's text format.
    pub fn render(&self) -> String {
        let dropped = self.dropped_lines.as_ref().map_or(0, |dropped| dropped.load(Ordering::Relaxed));
        metrics::counter!("halfhour_log_lines_dropped_total").absolute(dropped);
        self.handle.render()
    }

    /// Folds what was recorded into its buckets, so that it does not pile up where nobody asks for it.
    pub fn tidy(&self) {
        self.handle.run_upkeep();
    }
}
