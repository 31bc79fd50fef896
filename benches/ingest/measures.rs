//! What is measured on one installation, each in its own function. Product and raw SQL take turns, round by round, because
//! the machine is noisy. Every run starts with nothing left to fold and a checkpoint.

use std::time::Duration;

use anyhow::ensure;

use super::Plan;
use super::runs::CLIENTS;
use super::support::installation::Installation;
use super::support::load::{Load, percentile};
use super::support::processes::{peak_memory_mib, resident_memory_mib};
use super::support::table::{Table, median, milliseconds, rate};

/// (c) The same posts again.
pub async fn replays(on: &mut Installation, plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    const BUCKETS: u32 = 100;
    let (mut fresh, mut replayed, mut written) = (Vec::new(), Vec::new(), 0);
    for _ in 0..plan.rounds {
        let firsts: Vec<u32> = on.devices.iter().take(CLIENTS).map(|device| device.taken()).collect();
        fresh.push(on.post(BUCKETS, plan).await?.rate);
        on.admin.wait_for_the_relay().await?;
        // The last post of each client was prepared and not sent.
        let sent = on.devices.iter().zip(firsts).map(|(device, first)| first..device.taken() - BUCKETS).collect();
        on.restart_server().await?;
        let before = on.admin.rows_written().await?;
        let load = Load::new(on.server.address, &on.devices, CLIENTS, BUCKETS);
        let again = on.run(&Load { again: Some(sent), ..load }, plan).await?;
        on.restart_server().await?;
        written += on.admin.rows_written().await? - before;
        ensure!(again.inserted == 0 && written == 0, "replays wrote {written} rows");
        replayed.push(again.rate);
    }
    let buckets = |rates| median(rates) * f64::from(BUCKETS);
    let measure = "(c) buckets in replayed posts of 100; against new ones";
    table.compare(measure, buckets(replayed), buckets(fresh), ">= 1.5");
    table.note("    rows that the replays wrote", written, "0");
    Ok(())
}

/// (d) How long a post takes at half the peak.
pub async fn latency(on: &mut Installation, peak: f64, plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let load = Load::new(on.server.address, &on.devices, CLIENTS, 1);
    let outcome = on.run(&Load { rate: Some(peak / 2.0), ..load }, plan).await?;
    let times = [50, 99].map(|per_cent| milliseconds(percentile(&outcome.accepted, per_cent)));
    let measure = format!("(d) p50 / p99 from when a post was due, at {} on schedule", rate(peak / 2.0));
    table.note(measure, format!("{} ({} kept)", times.join(" / "), rate(outcome.rate)), "");
    Ok(())
}

/// (e) The most memory that a fresh server ever takes.
pub async fn memory(on: &mut Installation, plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    on.restart_server().await?;
    on.post(500, plan).await?;
    let pid = on.server.pid();
    table.note(
        "(e) peak memory of a fresh server, 64 clients, posts of 500",
        mebibytes(peak_memory_mib(pid)),
        "<= 80 MiB",
    );
    tokio::time::sleep(if plan.asked.quick { Duration::from_secs(1) } else { Duration::from_mins(1) }).await;
    table.note("    its memory a minute later", mebibytes(resident_memory_mib(pid)), "<= 50 MiB");
    Ok(())
}

/// (g) More clients than can be served.
pub async fn overload(on: &mut Installation, clients: usize, plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let load = Load::new(on.server.address, &on.devices, clients, 100);
    let outcome = on.run(&Load { overload: true, ..load }, plan).await?;
    let (accepted, refused) = (outcome.accepted.len(), outcome.overloaded.len());
    table.note(
        format!("(g) {clients} clients, posts of 100: 200 / 503 / 429"),
        format!("{accepted} / {refused} / {}", outcome.limited),
        "",
    );
    let times = [&outcome.accepted, &outcome.overloaded].map(|times| milliseconds(percentile(times, 99)));
    table.note("    p99 of the accepted / of the refusals", times.join(" / "), "< 10 s / <= 50 ms");
    table.note("    peak memory since the server started", mebibytes(peak_memory_mib(on.server.pid())), "");
    table.note("    buckets a second", rate(outcome.rate * 100.0), "");
    on.check().await?;
    table.note("    acknowledged buckets that are missing", 0, "0");
    Ok(())
}

/// (f) The same posts on two tables of different size.
pub async fn growth(
    [small, large]: [&mut Installation; 2],
    buckets: u32,
    plan: &Plan,
    table: &mut Table,
) -> anyhow::Result<()> {
    let sizes = [small.admin.buckets().await?, large.admin.buckets().await?];
    let (mut small_rates, mut large_rates) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        small_rates.push(spread_posts(small, buckets, plan).await?);
        large_rates.push(spread_posts(large, buckets, plan).await?);
    }
    let (small_rate, large_rate) = (median(small_rates), median(large_rates));
    let measure = format!("(f) posts of {buckets}, new: {} buckets stored / {}", sizes[0], sizes[1]);
    let ratio = large_rate / small_rate.max(f64::MIN_POSITIVE);
    table.note(measure, format!("{} / {}: {ratio:.2}", rate(small_rate), rate(large_rate)), ">= 0.8");
    Ok(())
}

/// Posts by the usual number of clients, each for several devices in turn, so that all users get some.
async fn spread_posts(on: &mut Installation, buckets: u32, plan: &Plan) -> anyhow::Result<f64> {
    let mut load = Load::new(on.server.address, &on.devices, CLIENTS, buckets);
    load.clients =
        (0..CLIENTS).map(|client| on.devices.iter().skip(client).step_by(CLIENTS).cloned().collect()).collect();
    Ok(on.run(&load, plan).await?.rate)
}

fn mebibytes(mib: Option<u64>) -> String {
    mib.map_or_else(|| "not known here".to_owned(), |mib| format!("{mib} MiB"))
}
