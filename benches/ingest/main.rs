//! `cargo bench --bench ingest`: what the README claims, measured. The real server runs as its own process, with its log
//! and its relay at work, on a durable PostgreSQL on the real disk; client, server and database share the machine.
//! Raw SQL is measured in the same run, and so are InfluxDB 1 and VictoriaMetrics where they are installed. Speed is
//! reported and not judged; correctness is: what was acknowledged must be there, and every reply must be the expected one.
//!
//! `-- --seconds N` sets how long each run lasts (5), `-- --quick` makes all of it small, `-- --only LETTER` takes one
//! measure. `-- --beside PROGRAM` measures nothing but this build of the server beside another one. PostgreSQL is the one
//! that is first in `PATH`: `PATH=/usr/lib/postgresql/18/bin:$PATH cargo bench --bench ingest`.

mod measures;
mod opponents;
mod raw;
mod runs;
mod stores;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "the benches share it, and each leaves some of it unused")]
mod support;

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use support::arguments::Arguments;
use support::installation::{Cluster, DEVICES, Installation};
use support::load::Window;
use support::table::{Table, progress};

/// How much to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    window: Window,
    /// Odd, for the median.
    rounds: u32,
    /// Half hours of past that every device has on the small and on the large table.
    half_hours: [i64; 2],
    /// Which measures to take.
    asked: Arguments,
}

impl Plan {
    fn from_arguments() -> anyhow::Result<Self> {
        let asked = Arguments::read()?;
        let measured = Duration::from_secs(asked.seconds.unwrap_or(if asked.quick { 1 } else { 5 }));
        let window = Window { warm_up: Duration::from_millis(500), measured };
        let rows = if asked.quick { [100_000, 1_000_000] } else { [1_000_000, 10_000_000] };
        Ok(Self {
            window,
            rounds: if asked.quick { 3 } else { 5 },
            half_hours: rows.map(|rows| rows / (8 * i64::from(DEVICES))),
            asked,
        })
    }
}

fn main() -> anyhow::Result<()> {
    let plan = Plan::from_arguments()?;
    let cluster = Cluster::start()?;
    // One thread is enough for the client, and leaves the rest to what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut table = Table::new();
    let machine = runtime.block_on(async {
        match plan.asked.beside.clone() {
            Some(program) => beside(&cluster, &program, &plan, &mut table).await,
            None => measure(&cluster, &plan, &mut table).await,
        }
    })?;
    write!(std::io::stdout(), "\n{table}\n{machine}\n")?;
    Ok(())
}

/// This build of the server beside another one. Returns what they were measured on.
async fn beside(cluster: &Cluster, program: &Path, plan: &Plan, table: &mut Table) -> anyhow::Result<String> {
    let mut this = Installation::new(cluster, "this", 0).await?;
    let mut other = Installation::of(program, cluster, "other", 0).await?;
    let kinds =
        [('a', 1, false, 16), ('b', 1, false, 64), ('c', 1, false, 256), ('d', 100, false, 64), ('e', 1, true, 64)];
    for (_, buckets, keyed, clients) in kinds.into_iter().filter(|(letter, ..)| plan.asked.wants(&letter.to_string())) {
        opponents::beside([&mut this, &mut other], buckets, keyed, clients, plan, table).await?;
    }
    for side in [&mut this, &mut other] {
        side.check().await?;
        side.server.stop()?;
    }
    let version = this.admin.version().await?;
    Ok(measured_on(plan, &version)?)
}

fn measured_on(plan: &Plan, version: &str) -> std::io::Result<String> {
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "{cores} cores, shared by client, server and database; PostgreSQL {version}, durable; the relay folds meanwhile; \
         {} rounds of {} s: medians [and extremes]",
        plan.rounds,
        plan.window.measured.as_secs(),
    ))
}

/// Returns what it was measured on.
async fn measure(cluster: &Cluster, plan: &Plan, table: &mut Table) -> anyhow::Result<String> {
    let mut fresh = Installation::new(cluster, "fresh", 0).await?;
    let version = fresh.admin.version().await?;
    if plan.asked.wants("ad") {
        let peak = opponents::single_posts(&mut fresh, plan, table).await?;
        measures::latency(&mut fresh, peak, plan, table).await?;
    }
    if plan.asked.wants("b") {
        opponents::batch_posts(&mut fresh, 100, plan, table).await?;
        opponents::batch_posts(&mut fresh, 500, plan, table).await?;
    }
    if plan.asked.wants("k") {
        opponents::keyed_posts(&mut fresh, plan, table).await?;
    }
    if plan.asked.wants("c") {
        measures::replays(&mut fresh, plan, table).await?;
    }
    if plan.asked.wants("e") {
        measures::memory(&mut fresh, plan, table).await?;
    }
    if plan.asked.wants("g") {
        measures::overload(&mut fresh, 3 * runs::CLIENTS, plan, table).await?;
        measures::overload(&mut fresh, 8 * runs::CLIENTS, plan, table).await?;
    }
    fresh.check().await?;
    fresh.server.stop()?;
    if plan.asked.wants("f") {
        let [small, large] = plan.half_hours;
        progress(format_args!(
            "filling {} and {} buckets in",
            small * 8 * i64::from(DEVICES),
            large * 8 * i64::from(DEVICES)
        ));
        let mut small = Installation::new(cluster, "small", small).await?;
        let mut large = Installation::new(cluster, "large", large).await?;
        for buckets in [1, 100] {
            measures::growth([&mut small, &mut large], buckets, plan, table).await?;
        }
        small.check().await?;
        large.check().await?;
    }
    Ok(measured_on(plan, &version)?)
}
