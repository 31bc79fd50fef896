//! Posts beside raw SQL at its best, on as many connections as serve it best in each round, and beside posts of the same
//! buckets to other stores.

use super::Plan;
use super::raw::Transaction;
use super::runs::{CLIENTS, Runs};
use super::stores::{Kind, Store};
use super::support::installation::Installation;
use super::support::load::Load;
use super::support::posts::Format;
use super::support::processes::Cost;
use super::support::table::{Table, median};

/// Raw SQL is tried on so many connections.
const CONNECTIONS: [usize; 5] = [1, 2, 4, 8, 16];

/// So many clients post at once, each over a connection of its own.
const CROWDS: [usize; 3] = [16, CLIENTS, 4 * CLIENTS];

/// Raw SQL on several numbers of connections.
#[derive(Debug, Default)]
struct Raw([Runs; CONNECTIONS.len()]);

impl Raw {
    async fn round(&mut self, on: &mut Installation, transaction: Transaction, plan: &Plan) -> anyhow::Result<()> {
        for (runs, connections) in self.0.iter_mut().zip(CONNECTIONS) {
            runs.of_raw_sql(on, connections, transaction, plan).await?;
        }
        Ok(())
    }

    /// The highest rate of each round.
    fn best(&self) -> Vec<f64> {
        let rounds = self.0[0].rates.len();
        (0..rounds).map(|round| self.0.iter().map(|runs| runs.rates[round]).fold(0.0, f64::max)).collect()
    }

    /// The runs whose median is the highest, and on how many connections they were.
    fn winner(&self) -> (usize, &Runs) {
        let rate = |runs: &Runs| median(runs.rates.clone());
        let all = CONNECTIONS.into_iter().zip(&self.0);
        all.max_by(|(_, one), (_, other)| rate(one).total_cmp(&rate(other))).unwrap_or((0, &self.0[0]))
    }

    fn rates(&self) -> String {
        let rates = CONNECTIONS.iter().zip(&self.0).map(|(connections, runs)| {
            let rate = median(runs.rates.clone());
            format!("{connections}: {rate:.0}")
        });
        rates.collect::<Vec<_>>().join(", ")
    }
}

/// The other stores, empty at the start of each measure. Those that are not installed have no runs.
#[derive(Debug)]
struct Stores(Vec<(Kind, Option<Store>, Runs)>);

impl Stores {
    async fn start() -> anyhow::Result<Self> {
        let mut stores = Vec::new();
        for kind in Kind::ALL {
            stores.push((kind, Store::start(kind, CLIENTS).await?, Runs::default()));
        }
        Ok(Self(stores))
    }

    async fn round(&mut self, on: &mut Installation, buckets: u32, plan: &Plan) -> anyhow::Result<()> {
        for (_, store, runs) in &mut self.0 {
            if let Some(store) = store {
                runs.of_store(on, store, buckets, plan).await?;
            }
        }
        Ok(())
    }

    /// Compares the product's rates of posts with theirs, and checks that they have what they acknowledged. `wanted` is
    /// for the one that is as durable.
    async fn compare(self, posts: &Runs, buckets: u32, wanted: &str, table: &mut Table) -> anyhow::Result<()> {
        for (kind, store, runs) in self.0 {
            let Some(store) = store else {
                table.note(format!("    {}", kind.name()), "not installed", "");
                continue;
            };
            store.check().await?;
            let wanted = if kind == Kind::InfluxDb { wanted } else { "" };
            let measure = format!("    raw: the same posts to {}", store.title());
            table.pairs(measure, &rows(&posts.rates, buckets), &rows(&runs.rates, buckets), wanted);
            runs.note_costs(table);
        }
        Ok(())
    }
}

/// Buckets a second, from posts or transactions of so many.
fn rows(rates: &[f64], buckets: u32) -> Vec<f64> {
    rates.iter().map(|rate| f64::from(buckets) * rate).collect()
}

/// (a) Posts of one bucket against one upsert a transaction. Returns the product's rate with the usual clients.
pub async fn single_posts(on: &mut Installation, plan: &Plan, table: &mut Table) -> anyhow::Result<f64> {
    let operator = on.operator().await?;
    let (mut raw, mut crowds) = (Raw::default(), [Runs::default(), Runs::default(), Runs::default()]);
    let mut stores = Stores::start().await?;
    for _ in 0..plan.rounds {
        raw.round(on, Transaction::OneUpsert, plan).await?;
        for (runs, clients) in crowds.iter_mut().zip(CROWDS) {
            let load = Load::new(on.server.address, &on.devices, clients, 1);
            runs.through_http(on, &load, &operator, plan).await?;
            if clients == CLIENTS {
                stores.round(on, 1, plan).await?;
            }
        }
    }
    let best = raw.best();
    for ((runs, clients), wanted) in crowds.iter().zip(CROWDS).zip(["", ">= 1.0", ">= 1.3"]) {
        let measure = format!("(a) one-bucket posts, {clients} clients; raw: one upsert a transaction, at its best");
        table.pairs(measure, &runs.rates, &best, wanted);
        runs.note_costs(table);
        runs.note_backlog(table);
    }
    stores.compare(&crowds[1], 1, "", table).await?;
    let (connections, winner) = raw.winner();
    table.note("    raw, connections: transactions a second", raw.rates(), "");
    table.note(format!("    raw on {connections} connections"), "", "");
    winner.note_costs(table);
    Ok(median(crowds[1].rates.clone()))
}

/// (b) Posts of many buckets against upserts of as many.
pub async fn batch_posts(on: &mut Installation, buckets: u32, plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let operator = on.operator().await?;
    let (mut product, mut sent, mut made) = (Runs::default(), Raw::default(), Raw::default());
    let (mut alone, mut stores) = (Runs::default(), Stores::start().await?);
    let load = Load::new(on.server.address, &on.devices, CLIENTS, buckets);
    for _ in 0..plan.rounds {
        sent.round(on, Transaction::SentRows(buckets), plan).await?;
        product.through_http(on, &load, &operator, plan).await?;
        stores.round(on, buckets, plan).await?;
        made.round(on, Transaction::MadeRows(buckets), plan).await?;
        alone.of_raw_sql(on, 2, Transaction::Statement(buckets), plan).await?;
    }
    let rows = |rates: &[f64]| rows(rates, buckets);
    let rates = rows(&product.rates);
    let measure =
        format!("(b) buckets in posts of {buckets}; raw: upserts of as many rows that the client sends, at its best");
    table.pairs(measure, &rates, &rows(&sent.best()), if buckets == 100 { ">= 0.8" } else { "" });
    product.note_costs(table);
    product.note_backlog(table);
    table.pairs("    raw: of rows that the database makes itself, at its best", &rates, &rows(&made.best()), "");
    table.pairs("    raw: the product's own statement, 2 connections", &rates, &rows(&alone.rates), "");
    stores.compare(&product, buckets, if buckets == 100 { ">= 1.0" } else { "" }, table).await?;
    for (name, raw) in [("sent", &sent), ("made", &made)] {
        let (connections, winner) = raw.winner();
        table.note(format!("    raw, rows {name}, connections: transactions a second"), raw.rates(), "");
        table.note(format!("    raw, rows {name}, on {connections} connections"), "", "");
        winner.note_costs(table);
    }
    Ok(())
}

/// (k) Posts of one bucket under keys against those without, from the first post of each device on.
pub async fn keyed_posts(on: &mut Installation, plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let operator = on.operator().await?;
    let (mut keyed, mut unkeyed) = (Runs::default(), Runs::default());
    for round in 0..usize::try_from(plan.rounds)? {
        // Devices that have posted nothing, as long as there are any.
        let mut load = Load::new(on.server.address, &on.devices, CLIENTS, 1);
        let fresh = on.devices.iter().skip((round + 1) * CLIENTS % (on.devices.len() - CLIENTS)).take(CLIENTS);
        load.clients = fresh.map(|device| vec![device.clone()]).collect();
        unkeyed.through_http(on, &load, &operator, plan).await?;
        keyed.through_http(on, &Load { format: Format::Product { keyed: true }, ..load }, &operator, plan).await?;
    }
    table.pairs("(k) one-bucket posts under keys, 64 clients; against those without", &keyed.rates, &unkeyed.rates, "");
    keyed.note_costs(table);
    let all = |cost: &Cost| cost.server + cost.database;
    table.note("    how many times dearer for server and PostgreSQL", keyed.dearer_than(&unkeyed, all), "<= 1.3");
    Ok(())
}

/// (x) This build beside another one, each on a database of its own.
pub async fn beside(
    [this, other]: [&mut Installation; 2],
    buckets: u32,
    keyed: bool,
    clients: usize,
    plan: &Plan,
    table: &mut Table,
) -> anyhow::Result<()> {
    let operators = [this.operator().await?, other.operator().await?];
    let (mut ours, mut theirs) = (Runs::default(), Runs::default());
    for round in 0..plan.rounds {
        // Who goes first takes turns, too.
        for turn in 0..2 {
            let (on, operator, runs) = if (round + turn).is_multiple_of(2) {
                (&mut *this, &operators[0], &mut ours)
            } else {
                (&mut *other, &operators[1], &mut theirs)
            };
            let load = Load::new(on.server.address, &on.devices, clients, buckets);
            let load = Load { format: Format::Product { keyed }, ..load };
            runs.through_http(on, &load, operator, plan).await?;
        }
    }
    let under = if keyed { " under keys" } else { "" };
    let measure = format!("(x) posts of {buckets}{under}, {clients} clients; against the other build");
    table.pairs(measure, &ours.rates, &theirs.rates, "");
    ours.note_costs(table);
    theirs.note_costs(table);
    table.note(
        "    processor time of the server, against the other's",
        ours.dearer_than(&theirs, |cost| cost.server),
        "",
    );
    table.note("    of PostgreSQL", ours.dearer_than(&theirs, |cost| cost.database), "");
    Ok(())
}
