//! What is measured on one installation, each in its own function. Product and raw SQL take turns, round by round, and
//! medians are compared, because the machine is noisy. Every run starts with nothing left to fold and a checkpoint.

use std::time::Duration;

use anyhow::ensure;

use super::Plan;
use super::raw::{self, Transaction};
use super::support::installation::Installation;
use super::support::load::{Load, Outcome, percentile};
use super::support::processes::{Usage, peak_memory_mib};
use super::support::table::{Table, median, milliseconds, rate};

/// Clients that saturate the server.
pub const CLIENTS: usize = 64;
/// As many transactions at once as the server's writer tasks make, one for each connection of its pool for posts; and
/// four times as many.
const CONNECTIONS: [usize; 2] = [2, 8];

impl Installation {
    /// Runs a load and keeps account of what it left.
    pub async fn run(&mut self, load: &Load, plan: &Plan) -> anyhow::Result<Outcome> {
        self.settle().await?;
        let outcome = load.run(plan.window).await?;
        self.expected += i64::from(outcome.inserted);
        Ok(outcome)
    }

    /// New posts by the usual clients.
    async fn post(&mut self, buckets: u32, plan: &Plan) -> anyhow::Result<Outcome> {
        let load = Load::new(self.server.address, &self.devices, CLIENTS, buckets);
        self.run(&load, plan).await
    }

    async fn raw(&mut self, connections: usize, transaction: Transaction, plan: &Plan) -> anyhow::Result<f64> {
        self.settle().await?;
        let devices = &self.raw_devices[..CLIENTS];
        raw::run(&self.database, devices, connections, transaction, plan.window).await
    }

    /// Raw SQL that has the machine to itself: its events are dropped unfolded.
    async fn raw_alone(&mut self, transaction: Transaction, plan: &Plan) -> anyhow::Result<f64> {
        self.admin.hold_the_relay().await?;
        let rate = raw::run(&self.database, &self.raw_devices[..CLIENTS], 2, transaction, plan.window).await?;
        self.admin.drop_events_and_let_the_relay_go().await?;
        Ok(rate)
    }

    async fn settle(&mut self) -> anyhow::Result<()> {
        self.admin.wait_for_the_relay().await?;
        self.admin.run("checkpoint".to_owned()).await
    }
}

/// (a) Posts of one bucket against one transaction a bucket. Returns the product's rate.
pub async fn single_posts(on: &mut Installation, plan: &Plan, table: &mut Table) -> anyhow::Result<f64> {
    let (mut product, mut bare, mut confined) = (Vec::new(), [vec![], vec![]], [vec![], vec![]]);
    let (mut costs, mut left) = (String::new(), Vec::new());
    for _ in 0..plan.rounds {
        for (index, connections) in CONNECTIONS.into_iter().enumerate() {
            bare[index].push(on.raw(connections, Transaction::OneUpsert, plan).await?);
        }
        on.settle().await?;
        let before = Usage::now(on.server.pid(), &mut on.admin).await?;
        let outcome = on.post(1, plan).await?;
        costs = Usage::now(on.server.pid(), &mut on.admin).await?.per_post_since(&before, outcome.posts);
        product.push(outcome.rate);
        left.push((on.admin.backlog().await?, on.admin.wait_for_the_relay().await?));
        for (index, connections) in CONNECTIONS.into_iter().enumerate() {
            confined[index].push(on.raw(connections, Transaction::Confined(1), plan).await?);
        }
    }
    let (product, bare, confined) = (median(product), bare.map(median), confined.map(median));
    table.compare(
        "(a) new one-bucket posts, 64 clients; raw: one upsert a transaction, as many connections (2)",
        product,
        bare[0],
        ">= 1.4",
    );
    table.compare("    raw: one upsert a transaction, 8 connections", product, bare[1], "");
    for (index, connections) in CONNECTIONS.into_iter().enumerate() {
        let measure = format!("    raw: the product's own transaction, one post each, {connections} connections");
        table.compare(measure, product, confined[index], "");
    }
    table.note("    processor time a post", costs, "");
    note_backlog(left, table);
    Ok(product)
}

/// (b) Posts of many buckets against the same statement.
pub async fn batch_posts(on: &mut Installation, buckets: u32, plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let (mut product, mut alone, mut confined, mut left) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        on.settle().await?;
        alone.push(on.raw_alone(Transaction::Statement(buckets), plan).await?);
        product.push(on.post(buckets, plan).await?.rate);
        left.push((on.admin.backlog().await?, on.admin.wait_for_the_relay().await?));
        confined.push(on.raw(2, Transaction::Confined(buckets), plan).await?);
    }
    let rows = |rates| f64::from(buckets) * median(rates);
    let product = rows(product);
    let measure = format!("(b) buckets in new posts of {buckets}; raw: the statement alone, 2 connections, no relay");
    table.compare(measure, product, rows(alone), if buckets == 100 { ">= 0.8" } else { "" });
    table.compare("    raw: with role, row-level security and the relay at work", product, rows(confined), "");
    note_backlog(left, table);
    Ok(())
}

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
    let peak = peak_memory_mib(on.server.pid()).map_or_else(|| "not known here".to_owned(), |mib| format!("{mib} MiB"));
    table.note("(e) peak memory of a fresh server, 64 clients, posts of 500", peak, "<= 100 MiB");
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
    let peak = peak_memory_mib(on.server.pid()).map_or_else(|| "not known here".to_owned(), |mib| format!("{mib} MiB"));
    table.note("    peak memory since the server started", peak, "");
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

fn note_backlog(left: Vec<(i64, Duration)>, table: &mut Table) {
    let (events, time) = median(left);
    let folded = format!("{events} events, {:.2} s", time.as_secs_f64());
    table.note("    left to fold when the posts end, and how long that takes", folded, "");
}
