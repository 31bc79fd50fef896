//! One run of a load, through HTTP or as raw SQL, and what it cost.

use std::time::Duration;

use super::Plan;
use super::raw::{self, Transaction};
use super::stores::Store;
use super::support::installation::Installation;
use super::support::load::{Load, Outcome};
use super::support::processes::{Cost, Usage};
use super::support::table::{Table, spread};

/// Clients that saturate the server.
pub const CLIENTS: usize = 64;

/// How soon a connection's process has ended, and its parent knows what it has cost.
const ENDED: Duration = Duration::from_millis(100);

/// Runs of one kind, one a round.
#[derive(Debug, Default)]
pub struct Runs {
    /// Posts or transactions a second.
    pub rates: Vec<f64>,
    costs: Vec<Cost>,
    /// Posts in a transaction of the server's writer.
    together: Vec<f64>,
    /// Events that were left to fold, and how long that took.
    left: Vec<(i64, Duration)>,
}

impl Installation {
    /// Runs a load and keeps account of what it left.
    pub async fn run(&mut self, load: &Load, plan: &Plan) -> anyhow::Result<Outcome> {
        self.settle().await?;
        let outcome = load.run(plan.window).await?;
        self.expected += i64::from(outcome.inserted);
        Ok(outcome)
    }

    /// New posts by the usual clients.
    pub async fn post(&mut self, buckets: u32, plan: &Plan) -> anyhow::Result<Outcome> {
        let load = Load::new(self.server.address, &self.devices, CLIENTS, buckets);
        self.run(&load, plan).await
    }

    async fn settle(&mut self) -> anyhow::Result<()> {
        self.admin.wait_for_the_relay().await?;
        self.admin.run("checkpoint".to_owned()).await
    }
}

impl Runs {
    /// One more run through HTTP.
    pub async fn through_http(
        &mut self,
        on: &mut Installation,
        load: &Load,
        operator: &str,
        plan: &Plan,
    ) -> anyhow::Result<()> {
        on.settle().await?;
        let (batches, before) = (on.batches(operator).await?, Usage::now(on.server.pid(), &mut on.admin).await?);
        let outcome = on.run(load, plan).await?;
        let after = Usage::now(on.server.pid(), &mut on.admin).await?;
        let batches = on.batches(operator).await? - batches;
        self.rates.push(outcome.rate);
        self.costs.push(after.cost_since(&before, outcome.posts));
        self.together.push(f64::from(outcome.posts) / f64::from(batches.max(1)));
        self.left.push((on.admin.backlog().await?, on.admin.wait_for_the_relay().await?));
        Ok(())
    }

    /// One more run of raw SQL, with the machine to itself: the relay rests, and events of rows that are nobody's are
    /// dropped.
    pub async fn of_raw_sql(
        &mut self,
        on: &mut Installation,
        connections: usize,
        transaction: Transaction,
        plan: &Plan,
    ) -> anyhow::Result<()> {
        on.settle().await?;
        on.admin.hold_the_relay().await?;
        let before = Usage::now(on.server.pid(), &mut on.admin).await?;
        let (rate, transactions) =
            raw::run(&on.database, &on.raw_devices[..CLIENTS], connections, transaction, plan.window).await?;
        tokio::time::sleep(ENDED).await;
        let after = Usage::now(on.server.pid(), &mut on.admin).await?;
        on.admin.drop_events_and_let_the_relay_go().await?;
        self.rates.push(rate);
        self.costs.push(after.cost_since(&before, transactions));
        Ok(())
    }

    /// One more run of posts to another store, while the product and its database have nothing to do.
    pub async fn of_store(
        &mut self,
        on: &mut Installation,
        store: &mut Store,
        buckets: u32,
        plan: &Plan,
    ) -> anyhow::Result<()> {
        on.settle().await?;
        let before = Usage::now(store.pid(), &mut on.admin).await?;
        let outcome = store.post(buckets, plan.window).await?;
        let after = Usage::now(store.pid(), &mut on.admin).await?;
        self.rates.push(outcome.rate);
        self.costs.push(after.cost_since(&before, outcome.posts));
        store.rest().await
    }

    /// What one post cost, by process, and how many were committed together.
    pub fn note_costs(&self, table: &mut Table) {
        let part = |of: fn(&Cost) -> f64| spread(&self.costs.iter().map(of).collect::<Vec<_>>(), 0);
        let costs = format!(
            "server {}, PostgreSQL {}, client {}",
            part(|cost| cost.server),
            part(|cost| cost.database),
            part(|cost| cost.client)
        );
        table.note("    processor time of each, in microseconds", costs, "");
        if !self.together.is_empty() {
            table.note("    posts in a commit", spread(&self.together, 1), "");
        }
    }

    /// What the posts left behind.
    pub fn note_backlog(&self, table: &mut Table) {
        let Some((events, time)) = self.left.iter().max() else { return };
        let folded = format!("{events} events, {:.2} s", time.as_secs_f64());
        table.note("    most that was left to fold when the posts ended, and how long that took", folded, "");
    }

    /// How many times dearer for the machine than those of neighbouring runs, all processes together.
    pub fn dearer_than(&self, others: &Self, of: fn(&Cost) -> f64) -> String {
        let ratios: Vec<f64> = self
            .costs
            .iter()
            .zip(&others.costs)
            .map(|(one, other)| of(one) / of(other).max(f64::MIN_POSITIVE))
            .collect();
        spread(&ratios, 2)
    }
}
