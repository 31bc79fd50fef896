//! The real binary as an operator meets it: started, killed at bad moments, stopped, and used as a tool. Every test has
//! a directory and a database of its own, and looks for what is left of them at the end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where it stopped")]

#[path = "../data/azure_llm_2023.rs"]
mod azure_llm_2023;
mod backfills;
mod backfills_interrupted;
mod collector;
mod commands;
mod commands_accounts;
mod commands_attribute;
mod commands_doctor;
mod commands_prices;
mod commands_refused;
mod commands_sources;
mod configuration;
mod crashes;
mod crashes_while_loading;
mod demo;
mod door;
mod erasures;
mod external_database;
mod first_run;
mod http;
mod log;
mod merges;
mod mistakes;
mod processes;
mod programs;
mod reference_tracker;
mod relays;
mod releases;
mod reprices;
mod standby;
mod stopping;
mod stopping_early;
mod support;
mod tour;
mod traces;
mod traces_lost;
mod upgrades;
mod words;
