//! `verify`: are the rollups what the buckets say?

use std::fmt::{self, Write as _};

use chrono::NaiveDate;
use clap::Args;
use uuid::Uuid;

use super::database::Opened;
use super::output::{Output, explain};
use crate::config::Config;
use crate::features::dashboard_rollup::{self, Report, Window};
use crate::kernel::database::Pool;

#[derive(Debug, Args)]
pub struct VerifyCommand {
    /// Only this user, by id.
    #[arg(long, value_name = "USER_ID")]
    user: Option<Uuid>,
    /// The first local day, such as 2026-11-01.
    #[arg(long, value_name = "DAY")]
    from: Option<NaiveDate>,
    /// The last local day.
    #[arg(long, value_name = "DAY")]
    to: Option<NaiveDate>,
}

/// The comparison was made, and not all is well.
#[derive(Debug)]
pub struct Unclean;

impl fmt::Display for Unclean {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "not all is well; a replay of those days heals drift, and a tool that is allowed is no longer unknown",
        )
    }
}

impl std::error::Error for Unclean {}

pub async fn verify(config: Config, command: VerifyCommand, output: &Output) -> anyhow::Result<()> {
    let VerifyCommand { user, from, to } = command;
    anyhow::ensure!(from.zip(to).is_none_or(|(from, to)| from <= to), "--from must not be after --to");
    let window = Window { user_ids: user.map(|user_id| vec![user_id]), from, to, limit: None };
    let opened = Opened::open(&config).await?;
    let pool = Pool::new(opened.options().clone(), "command", 1);
    let result = dashboard_rollup::verify(&pool, &window).await;
    pool.close().await;
    opened.close().await?;
    let report = result.map_err(|problem| explain(&problem))?;
    output.write(&serde_json::to_value(&report)?, words(&report))?;
    anyhow::ensure!(report.is_clean(), Unclean);
    Ok(())
}

fn words(report: &Report) -> String {
    let mut words = format!(
        "{} day(s) of {} user(s) compared: {} with drift, {} with events that are not folded yet; {} orphan(s); \
         {} bucket(s) of unknown tools; {} user(s) not compared.",
        report.user_days,
        report.users,
        report.drifted,
        report.pending,
        report.orphaned,
        report.of_unknown_sources,
        report.not_compared
    );
    for drift in &report.drift {
        // Writing to a String cannot fail.
        let _ = write!(
            words,
            "\n{} {}: {} row(s) missing, {} too many, {} different; {} tokens instead of {}",
            drift.user_id,
            drift.day,
            drift.missing_rows,
            drift.extra_rows,
            drift.different_rows,
            drift.actual_tokens,
            drift.expected_tokens
        );
    }
    for orphan in &report.orphans {
        let _ = match orphan.device_id {
            None => write!(words, "\n{}: there is no such user", orphan.user_id),
            Some(device_id) => write!(words, "\n{}: there is no such device, {device_id}", orphan.user_id),
        };
    }
    for unknown in &report.unknown_sources {
        let _ = write!(
            words,
            "\n{}: {} bucket(s) of {}, which is no tool; `halfhour source add {}` makes it one",
            unknown.user_id, unknown.buckets, unknown.source, unknown.source
        );
    }
    for user in &report.not_compared_users {
        let _ = write!(words, "\n{}: could not be compared, {}", user.user_id, user.code);
    }
    words
}
