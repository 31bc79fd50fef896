//! The vertical slices. They never import each other: they meet through the kernel, the outbox and the kernel's
//! schemas. Only `app` and `commands` name them.

pub mod accounts;
pub mod attribution;
pub mod backfill;
pub mod dashboard_page;
pub mod dashboard_rollup;
pub mod ingest_buckets;
pub mod operations;
pub mod pricing;
pub mod speaks_otlp;
pub mod speaks_tokentracker;
pub mod speaks_vibe_cafe;
pub mod speaks_vibeusage;
