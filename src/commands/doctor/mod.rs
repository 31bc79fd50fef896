//! `doctor`: is this installation well? It looks, changes nothing, and says what to do.
//!
//! A check is a function that returns findings. To add one, write it in the file that it belongs to, and name it in
//! [`examine`]: `machine` knows what can be seen without a database, `server` how PostgreSQL is set, and `contents` what
//! is in the database.

mod contents;
mod finding;
mod machine;
mod server;

use std::fmt;
use std::time::Duration;

use tokio::time::timeout;

use super::database::Located;
use super::output::Output;
use crate::config::{Config, Database, Faults};
use crate::embedded_postgres::installed_version;
use crate::kernel::clock::Clock;
use crate::kernel::database::Pool;
use crate::kernel::database::condition::{self, DatabaseCondition};
use finding::{Finding, FindingState};
pub(super) use machine::has_cluster;

/// A private PostgreSQL is joined or started within this time, or says itself why not.
const LOCATE_LIMIT: Duration = Duration::from_secs(150);
/// Looking at the server may take this long.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// Closing the connections may take this long; then the process ends without.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Everything was looked at, and something is broken.
#[derive(Debug)]
pub struct Unwell(usize);

impl fmt::Display for Unwell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} check(s) failed; each says what to do", self.0)
    }
}

impl std::error::Error for Unwell {}

pub async fn doctor(config: Result<Config, Faults>, output: &Output) -> anyhow::Result<()> {
    let mut findings = vec![machine::settings(&config)];
    let config = match config {
        Ok(config) => config,
        Err(faults) => {
            say(&findings, output)?;
            return Err(faults.into());
        }
    };
    let examined = examine(&config, &mut findings).await;
    say(&findings, output)?;
    examined?;
    let failures = findings.iter().filter(|finding| finding.state == FindingState::Failure).count();
    anyhow::ensure!(failures == 0, Unwell(failures));
    Ok(())
}

async fn examine(config: &Config, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    findings.extend([machine::secret(config), machine::disk(config)]);
    if matches!(config.database, Database::Embedded) && !machine::has_cluster(&config.data_dir) {
        findings.push(machine::no_cluster(config));
        return Ok(());
    }
    let located = match timeout(LOCATE_LIMIT, Located::find(config)).await {
        Ok(Ok(located)) => located,
        Ok(Err(error)) => {
            findings.push(server::not_reached(&format!("{error:#}")));
            return Ok(());
        }
        Err(_overdue) => {
            findings.push(server::not_reached("it could not be joined or started in time"));
            return Ok(());
        }
    };
    match timeout(LOOK_LIMIT, condition::examine(located.options())).await {
        Ok(Ok(condition)) => {
            findings.extend(server::findings(config, &condition));
            if matches!(config.database, Database::Embedded) {
                findings.push(programs(config, &condition).await?);
            }
            look_inside(&located, &condition, findings).await;
        }
        Ok(Err(error)) => findings.push(server::not_reached(&format!("{:#}", anyhow::Error::from(error)))),
        Err(_overdue) => findings.push(server::not_reached("it did not answer in time")),
    }
    located.close().await
}

/// Each program that is asked for its version has a limit.
async fn programs(config: &Config, condition: &DatabaseCondition) -> anyhow::Result<Finding> {
    let (data_dir, major) = (config.data_dir.clone(), condition.server.version_number / 10_000);
    let major = u32::try_from(major)?;
    let installed = tokio::task::spawn_blocking(move || installed_version(&data_dir, major)).await?;
    Ok(server::programs(&condition.server, installed.as_deref()))
}

/// What can only be asked of a schema that this release knows.
async fn look_inside(located: &Located, condition: &DatabaseCondition, findings: &mut Vec<Finding>) {
    if !condition.migrations.is_complete() {
        findings.extend(contents::not_checked());
        return;
    }
    let pool = Pool::new(located.options().clone(), "doctor", 1);
    let clock = Clock::system();
    // In this order: the clock is set by the first one.
    findings.push(contents::clock(&pool, &clock).await);
    findings.push(contents::switches(&pool, &clock).await);
    findings.extend(contents::backlog(&pool, &clock).await);
    findings.push(contents::tokens(&pool, &clock).await);
    findings.push(contents::drift(&pool).await);
    let _ = timeout(CLOSE_LIMIT, pool.close()).await;
}

fn say(findings: &[Finding], output: &Output) -> anyhow::Result<()> {
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let counts = FindingState::ALL.map(|state| format!("{} {}", count(state), state.as_str()));
    let words: Vec<_> = findings.iter().map(ToString::to_string).chain([counts.join(", ")]).collect();
    let json = serde_json::json!({
        "is_well": count(FindingState::Failure) == 0,
        "findings": findings,
    });
    output.write(&json, words.join("\n"))
}
