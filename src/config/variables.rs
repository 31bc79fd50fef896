//! The names of the variables.

use serde::Deserialize;

/// Every variable as text. envy reports a number by its position and not by its name, so the conversion is ours.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Raw {
    pub(super) database_url: Option<String>,
    pub(super) halfhour_read_database_url: Option<String>,
    pub(super) halfhour_secret: Option<String>,
    pub(super) halfhour_bind: Option<String>,
    pub(super) halfhour_public_url: Option<String>,
    pub(super) halfhour_data_dir: Option<String>,
    pub(super) halfhour_log: Option<String>,
    pub(super) halfhour_ingest_max_age_days: Option<String>,
    pub(super) halfhour_retention_days: Option<String>,
    pub(super) halfhour_backfill_max_days: Option<String>,
    pub(super) halfhour_trusted_proxies: Option<String>,
    pub(super) halfhour_cors_origins: Option<String>,
    pub(super) halfhour_pool_ingest: Option<String>,
    pub(super) halfhour_pool_read: Option<String>,
    pub(super) halfhour_pool_worker: Option<String>,
    pub(super) halfhour_relays: Option<String>,
    pub(super) halfhour_request_deadline_ms: Option<String>,
    pub(super) halfhour_limit_anonymous_per_minute: Option<String>,
    pub(super) halfhour_limit_device_per_minute: Option<String>,
    pub(super) halfhour_limit_viewer_per_minute: Option<String>,
    pub(super) halfhour_limit_operator_per_minute: Option<String>,
    pub(super) halfhour_limit_device_buckets_per_hour: Option<String>,
    pub(super) otel_exporter_otlp_endpoint: Option<String>,
    pub(super) otel_exporter_otlp_headers: Option<String>,
    pub(super) otel_exporter_otlp_timeout: Option<String>,
    pub(super) otel_service_name: Option<String>,
    pub(super) otel_traces_sampler_arg: Option<String>,
    pub(super) otel_sdk_disabled: Option<String>,
}

/// Every variable that halfhour reads, in the order of `.env.example`.
pub const VARIABLES: [&str; 28] = [
    "DATABASE_URL",
    "HALFHOUR_READ_DATABASE_URL",
    "HALFHOUR_SECRET",
    "HALFHOUR_BIND",
    "HALFHOUR_PUBLIC_URL",
    "HALFHOUR_DATA_DIR",
    "HALFHOUR_LOG",
    "HALFHOUR_INGEST_MAX_AGE_DAYS",
    "HALFHOUR_RETENTION_DAYS",
    "HALFHOUR_BACKFILL_MAX_DAYS",
    "HALFHOUR_TRUSTED_PROXIES",
    "HALFHOUR_CORS_ORIGINS",
    "HALFHOUR_POOL_INGEST",
    "HALFHOUR_POOL_READ",
    "HALFHOUR_POOL_WORKER",
    "HALFHOUR_RELAYS",
    "HALFHOUR_REQUEST_DEADLINE_MS",
    "HALFHOUR_LIMIT_ANONYMOUS_PER_MINUTE",
    "HALFHOUR_LIMIT_DEVICE_PER_MINUTE",
    "HALFHOUR_LIMIT_VIEWER_PER_MINUTE",
    "HALFHOUR_LIMIT_OPERATOR_PER_MINUTE",
    "HALFHOUR_LIMIT_DEVICE_BUCKETS_PER_HOUR",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_SDK_DISABLED",
];

/// What `credentials.env` holds for clients: whoever exported it may still run commands.
pub const CREDENTIALS: [&str; 6] = [
    "HALFHOUR_URL",
    "HALFHOUR_DEVICE_TOKEN",
    "HALFHOUR_VIEWER_TOKEN",
    "HALFHOUR_OPERATOR_TOKEN",
    "HALFHOUR_USER_ID",
    "HALFHOUR_DEVICE_ID",
];
