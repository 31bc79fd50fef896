//! `cargo bench --bench rollup`: what dashboards wait for, measured. The real server runs as its own process, with its
//! log and its relay at work, on a durable PostgreSQL on the real disk; client, server and database share the machine.
//! Times are reported and not judged; every reply must be the expected one.
//!
//! `-- --seconds N` sets how long each run lasts (5), `-- --quick` makes all of it small, `-- --only LETTER` takes one
//! measure.

mod fold;
mod freshness;
mod pages;
mod reads;
mod rollups;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "the benches share it, and each leaves some of it unused")]
mod support;

use std::io::Write as _;
use std::time::Duration;

use rollups::Rollups;
use support::arguments::Arguments;
use support::installation::{Cluster, DEVICES, Installation};
use support::load::Window;
use support::table::{Table, progress};

/// On both tables everyone who reads has so many days, 32 buckets each: a million buckets less some. The rest is others'.
const GROWTH_DAYS: i32 = 60;

/// How much to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    window: Window,
    /// Odd, for the median.
    rounds: u32,
    /// Days of past that every user with an account has.
    days: i32,
    /// Users without an account whose rollups lie around.
    strangers: i32,
    /// Buckets on the small and on the large table.
    sizes: [i64; 2],
    /// Which measures to take.
    asked: Arguments,
}

impl Plan {
    fn from_arguments() -> anyhow::Result<Self> {
        let asked = Arguments::read()?;
        let measured = Duration::from_secs(asked.seconds.unwrap_or(if asked.quick { 2 } else { 5 }));
        let window = Window { warm_up: Duration::from_millis(500), measured };
        Ok(if asked.quick {
            Self { window, rounds: 3, days: 90, strangers: 10_000, sizes: [1_000_000, 3_000_000], asked }
        } else {
            Self { window, rounds: 3, days: 365, strangers: 100_000, sizes: [1_000_000, 20_000_000], asked }
        })
    }
}

fn main() -> anyhow::Result<()> {
    let plan = Plan::from_arguments()?;
    let cluster = Cluster::start()?;
    // One thread is enough for the client, and leaves the rest to what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut table = Table::new();
    let machine = runtime.block_on(measure(&cluster, &plan, &mut table))?;
    write!(std::io::stdout(), "\n{table}\n{machine}\n")?;
    Ok(())
}

/// Returns what it was measured on.
async fn measure(cluster: &Cluster, plan: &Plan, table: &mut Table) -> anyhow::Result<String> {
    let mut fresh = Installation::new(cluster, "fresh", 0).await?;
    let version = fresh.admin.version().await?;
    if plan.asked.wants("abchr") {
        progress(format_args!("filling {} days of {DEVICES} users in, and {} strangers", plan.days, plan.strangers));
        let mut rollups = Rollups::connect(&fresh.database).await?;
        rollups.fill_days(plan.days).await?;
        if plan.asked.wants("a") {
            fold::rate(&mut fresh, &mut rollups, plan, table).await?;
        }
        if plan.asked.wants("r") {
            fold::relays(&mut fresh, &mut rollups, plan, table).await?;
        }
        rollups.fold_all().await?;
        rollups.fill_strangers(plan.strangers).await?;
        if plan.asked.wants("b") {
            reads::latency(&fresh, plan, table).await?;
        }
        if plan.asked.wants("c") {
            freshness::ack_to_visible(&mut fresh, plan, table).await?;
        }
        if plan.asked.wants("h") {
            freshness::beside_a_hot_user(&mut fresh, plan, table).await?;
        }
    }
    fresh.server.stop()?;
    if plan.asked.wants("d") {
        let mut sides = Vec::new();
        for (name, size) in ["small", "large"].into_iter().zip(plan.sizes) {
            progress(format_args!("filling {size} buckets in"));
            let installation = Installation::new(cluster, name, 0).await?;
            let mut rollups = Rollups::connect(&installation.database).await?;
            rollups.fill_days(GROWTH_DAYS).await?;
            rollups.fill_buckets_of_strangers(size - i64::from(GROWTH_DAYS) * 32 * i64::from(DEVICES)).await?;
            rollups.fold_all().await?;
            sides.push(installation);
        }
        reads::growth(&sides, plan, table).await?;
    }
    if plan.asked.wants("ef") {
        let mut people = Installation::new(cluster, "people", 0).await?;
        if plan.asked.wants("e") {
            pages::weight(cluster, &mut people, plan, table).await?;
        }
        if plan.asked.wants("f") {
            pages::wait(&mut people, plan, table).await?;
        }
        people.server.stop()?;
    }
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "{cores} cores, shared by client, server and database; PostgreSQL {version}, durable; runs of {} s, medians of {}",
        plan.window.measured.as_secs(),
        plan.rounds,
    ))
}
