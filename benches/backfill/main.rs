//! `cargo bench --bench backfill`: an import of a million buckets, measured. The real server runs as its own process, on
//! a durable PostgreSQL on the real disk, while trackers go on posting; client, server and database share the machine.
//! Rates are reported and not judged; the job must end well, and every bucket must be there.
//!
//! `-- --quick` imports a tenth of that.

mod import;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "the benches share it, and each leaves some of it unused")]
mod support;

use std::io::Write as _;
use std::time::Duration;

use anyhow::ensure;

use import::Import;
use support::installation::{Cluster, Installation};
use support::load::{Load, Window, percentile};
use support::processes::{Usage, peak_memory_mib};
use support::table::{Table, milliseconds, progress, rate};

/// Clients that saturate the server.
const CLIENTS: usize = 64;
/// Trackers that post beside the import.
const TRACKERS: usize = 16;
/// Their posts a second, all together: as many as of 3,000 trackers that post once a minute.
const TRACKED: f64 = 50.0;

fn main() -> anyhow::Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let buckets = if quick { 100_000 } else { 1_000_000 };
    let cluster = Cluster::start()?;
    // One thread is enough for the client, and leaves the rest to what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut table = Table::new();
    runtime.block_on(measure(&cluster, buckets, &mut table))?;
    write!(std::io::stdout(), "\n{table}\n")?;
    Ok(())
}

async fn measure(cluster: &Cluster, buckets: u32, table: &mut Table) -> anyhow::Result<()> {
    let mut on = Installation::new(cluster, "fresh", 0).await?;
    let window = |seconds| Window { warm_up: Duration::from_millis(500), measured: Duration::from_secs(seconds) };

    let before = Load::new(on.server.address, &on.devices, CLIENTS, 500).run(window(5)).await?;
    on.admin.wait_for_the_relay().await?;
    // As on a server that has run for a while: the log's old files are there to be written again.
    on.admin.run("checkpoint".to_owned()).await?;
    on.restart_server().await?;

    let operator = on.operator().await?;
    let trackers = |seconds| {
        let load = Load::new(on.server.address, &on.devices, TRACKERS, 1);
        async move { Load { rate: Some(TRACKED), ..load }.run(window(seconds)).await }
    };
    let idle = percentile(&trackers(10).await?.accepted, 99);

    progress(format_args!("importing {buckets} buckets"));
    let mut import = Import::connect(on.server.address, operator).await?;
    let streamed = import.plan(&on.devices[CLIENTS..], buckets).await?;
    let executing = async {
        let took = import.execute().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        took
    };
    // As long as an import at half of the rate that is wanted would take.
    let seconds = u64::from(buckets) / 20_000;
    let usage = Usage::now(on.server.pid(), &mut on.admin).await?;
    let (executed, beside) = tokio::try_join!(executing, trackers(seconds.max(3)))?;
    let cost = Usage::now(on.server.pid(), &mut on.admin).await?.per_post_since(&usage, buckets / 500);
    table.note("processor time of 500 buckets", cost, "");
    let beside = beside.accepted;
    let peak = peak_memory_mib(on.server.pid()).map_or_else(|| "not known here".to_owned(), |mib| format!("{mib} MiB"));
    let after = Load::new(on.server.address, &on.devices, CLIENTS, 500).run(window(5)).await?;

    let per_second = |time: Duration| f64::from(buckets) / time.as_secs_f64();
    // Before and after: a machine is not equally fast all the time.
    let bulk = f64::midpoint(before.rate, after.rate) * 500.0;
    table.compare("lines streamed into a plan; against buckets in posts of 500", per_second(streamed), bulk, "");
    table.compare("buckets of the plan executed and folded; against the same", per_second(executed), bulk, ">= 0.6");
    table.compare("both together", per_second(streamed + executed), bulk, "");
    let times = format!("{} / {}", milliseconds(idle), milliseconds(percentile(&beside, 99)));
    let measure = format!("p99 of trackers' posts at {}, idle / beside the import", rate(TRACKED));
    table.note(measure, times, "<= 3 x");
    table.note("peak memory of the server", peak, "");

    let imported = on.admin.number("select count(*) from usage.bucket where backfill_id is not null").await?;
    ensure!(imported == i64::from(buckets), "{buckets} buckets were to be imported, and {imported} are there");
    on.server.stop()
}
