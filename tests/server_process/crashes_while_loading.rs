//! `kill -9` in the middle of loading real usage: every acknowledged bucket is there right after the restart, and the
//! load, repeated, adds up to what the trace itself says.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use halfhour::embedded_postgres::EmbeddedPostgres;
use halfhour::features::accounts::Accounts;
use halfhour::kernel::access::{Actor, ServerKey};
use halfhour::kernel::call::RequestContext;
use halfhour::kernel::database::Pool;
use rustix::process::Signal;
use serde_json::json;
use sqlx::postgres::PgRow;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};

use crate::azure_llm_2023::{self as data, Posted};
use crate::http::wait_until;
use crate::processes::working_in;
use crate::support::{Home, Server};

const CLIENTS: usize = 8;

/// Device, half hour and model: a bucket's key in this data.
type Key = (String, String, String);

fn key(Posted { device, bucket }: &Posted) -> Key {
    let text = |name: &str| bucket[name].as_str().unwrap().to_owned();
    (device.clone(), text("hour_start"), text("model"))
}

/// The devices' tokens, made by the library next to the running server: forty commands would take seconds.
async fn add_devices(home: &Home) -> BTreeMap<String, String> {
    let postgres = EmbeddedPostgres::join_or_start(&home.data_dir()).unwrap();
    let key = ServerKey::new(&std::fs::read(home.data_dir().join("secret.key")).unwrap()).unwrap();
    let pool = Pool::new(postgres.connect_options(), "test", 1);
    let accounts = Accounts::new(pool.clone(), key);
    let context = RequestContext::internal(Duration::from_secs(30));
    let mut tokens = BTreeMap::new();
    for name in data::devices() {
        let device = accounts.devices.add(&context, Actor::Command, "me", &name, "test").await.unwrap();
        tokens.insert(name, device.token.reveal().to_owned());
    }
    pool.close().await;
    postgres.stop().unwrap();
    tokens
}

/// Asks the database past the server.
async fn rows(home: &Home, sql: &'static str) -> Vec<PgRow> {
    let postgres = EmbeddedPostgres::join_or_start(&home.data_dir()).unwrap();
    let mut connection = postgres.connect_options().connect().await.unwrap();
    let rows = connection.fetch_all(sqlx::raw_sql(sql)).await.unwrap();
    connection.close().await.unwrap();
    postgres.stop().unwrap();
    rows
}

/// Events that nobody has folded.
async fn waiting_events(home: &Home) -> i64 {
    rows(home, "select count(*) from usage.outbox").await[0].get(0)
}

/// The buckets that are there.
async fn stored(home: &Home) -> BTreeSet<Key> {
    let sql = "select d.name, to_char(b.hour_start at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), b.model
               from usage.bucket b join account.device d using (user_id, device_id)";
    let rows = rows(home, sql).await;
    rows.into_iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

/// Posts bucket by bucket, several at a time, and signals the server after some acknowledgements. Returns what was
/// acknowledged in the end: clients whose posts were on their way may add to it.
async fn load_and_signal(
    server: &Server,
    tokens: &BTreeMap<String, String>,
    buckets: Vec<Posted>,
    (after, signal): (usize, Signal),
) -> BTreeSet<Key> {
    // Nothing is posted to an address that another process may have by now.
    let signalled = Cell::new(false);
    let mut posts = Box::pin(
        stream::iter(buckets)
            .map(async |posted| {
                if signalled.get() {
                    return None;
                }
                let body = json!({"buckets": [posted.bucket]});
                let reply = server.try_post(&tokens[&posted.device], &body).await.ok()?;
                assert_eq!(reply.status, 200, "{}", reply.json);
                Some(key(&posted))
            })
            .buffer_unordered(CLIENTS),
    );
    let mut acknowledged = BTreeSet::new();
    while let Some(outcome) = posts.next().await {
        acknowledged.extend(outcome);
        if acknowledged.len() == after && !signalled.replace(true) {
            server.running.signal(signal);
        }
    }
    assert!((after..240).contains(&acknowledged.len()), "{} acknowledged", acknowledged.len());
    acknowledged
}

/// Asserts that nothing acknowledged is missing.
#[track_caller]
fn assert_all_there(acknowledged: &BTreeSet<Key>, stored: &BTreeSet<Key>) {
    let lost: Vec<_> = acknowledged.difference(stored).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}

#[tokio::test]
async fn a_server_killed_while_it_loads_loses_nothing_acknowledged_and_the_load_repeated_is_exact() {
    let home = Home::new().with_any_age();
    let mut server = home.serve().await;
    let tokens = add_devices(&home).await;
    let mut acknowledged = BTreeSet::new();
    for (seed, after) in [(1, 37), (2, 90), (3, 150)] {
        let postgres = home.postmaster();
        let buckets = data::shuffled(data::buckets(), seed);
        acknowledged.extend(load_and_signal(&server, &tokens, buckets, (after, Signal::KILL)).await);
        server.kill().await;

        // At once, while PostgreSQL may still be on its way out.
        let began = Instant::now();
        server = home.serve().await;
        eprintln!("listens {:?} after the restart", began.elapsed());
        assert_ne!(home.postmaster().pid, postgres.pid);
        let stored = stored(&home).await;
        assert_all_there(&acknowledged, &stored);
        // What was stored is folded, whoever was to fold it when the server was killed.
        let rollups = server.folded(&home.viewer_token(), data::QUESTION).await;
        assert_eq!(rollups["totals"]["bucket_count"], stored.len());
    }

    for (device, body) in data::bodies() {
        let reply = server.post(&tokens[&device], &body).await;
        let count = |verdict: &str| reply[verdict].as_u64().unwrap();
        assert_eq!(count("inserted") + count("unchanged"), 6, "{reply}");
    }
    data::assert_exact(&server.folded(&home.viewer_token(), data::QUESTION).await);
    server.kill().await;
    wait_until("the private PostgreSQL to follow its server", || working_in(&home.data_dir()).is_empty()).await;

    let server = home.serve().await;
    data::assert_exact(&server.folded(&home.viewer_token(), data::QUESTION).await);
    server.stop().await;
    home.assert_nothing_left();
}

#[tokio::test]
async fn a_server_stopped_while_it_loads_has_stored_and_folded_what_it_acknowledged() {
    let home = Home::new().with_any_age();
    let mut server = home.serve().await;
    let tokens = add_devices(&home).await;
    let buckets = data::shuffled(data::buckets(), 4);
    let acknowledged = load_and_signal(&server, &tokens, buckets, (120, Signal::TERM)).await;
    let status = server.running.ended_within(Duration::from_secs(10)).await;
    assert_eq!(status.code(), Some(0), "{}", server.running.stderr());
    home.assert_nothing_left();

    // Read without any server, so that nobody folds in between.
    let stored = stored(&home).await;
    assert_eq!(stored, acknowledged, "each post was answered");
    assert_eq!(waiting_events(&home).await, 0);
    home.assert_nothing_left();
}
