//! The API over real HTTP on a real PostgreSQL, as its users meet it: one file a slice, named like the slice.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where it stopped")]

mod accounts;
mod answers;
mod assertions;
mod azure;
#[path = "../data/azure_llm_2023.rs"]
mod azure_llm_2023;
mod backfill;
mod captures;
mod clocks;
mod connections;
mod contract;
mod cors;
mod dashboard_page;
mod dashboard_rollup;
mod dialects;
mod door;
mod encodings;
mod escalations;
mod hot_paths;
mod ingest_buckets;
mod intake;
mod isolation;
mod keys;
mod lines;
mod local_days;
mod manners;
mod mistakes;
mod model_names;
mod operate;
mod operations;
mod paths;
mod prices;
mod problem_pages;
mod proxies;
mod relay;
mod reporting;
mod request_line;
mod retention;
mod routes;
mod secrets;
mod silence;
mod speaks_otlp;
mod speaks_tokentracker;
mod speaks_vibe_cafe;
mod speaks_vibeusage;
mod support;
mod token_cache;
mod unknown_models;
mod upgrades;
mod verify;
mod walk;
