//! Statements of the hot paths on tables that are empty, that were just filled and have no statistics, and that are known
//! to be full, with plans that were made in each of these states. The server does what it always does, and PostgreSQL
//! writes down the plan of every statement that it ran. Which statements there are, the files say: one that is new is
//! looked at too, or has to be excused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

use crate::dashboard_page::Browser;
use crate::support::plans::{buffers, explain_everything, fill_without_statistics, nodes, outline, ran_since};
use crate::support::{TestApp, TestDevice, TestUser};

/// Where statements of posts, authentication and the relay are. Those of reads are in the folders of [`READS`].
const HOT: [&str; 7] = [
    "kernel/access",
    "kernel/idempotency",
    "kernel/usage",
    "kernel/usage/intake",
    "kernel/usage/outbox",
    "kernel/usage/writer",
    "kernel/usage/writer/newness",
];

/// Every folder in it is hot, a new one as well, but for those that are [`COLD`].
const READS: &str = "features/dashboard_rollup";

/// Once a day, for an erasure, for who verifies, and for an operator who asks what has no price or plans
/// another price book.
const COLD: [&str; 5] = ["coverage", "forgetting", "repricing", "retention", "verify"];

/// Statements of these folders that are run elsewhere than on a hot path.
const EXCUSED: [(&str, &str); 29] = [
    ("kernel/idempotency/purge_keys.sql", "housekeeping, once a minute; tests/api/keys/plans.rs"),
    ("kernel/idempotency/lock_keys.sql", "looks at no table"),
    ("kernel/idempotency/find_answer.sql", "requests that are no posts; tests/api/keys/plans.rs"),
    ("kernel/idempotency/record_answer.sql", "requests that are no posts; tests/api/keys/plans.rs"),
    ("kernel/usage/notify_relays.sql", "looks at no table"),
    (
        "kernel/usage/intake/repeated_buckets.sql",
        "only for a new device of a user with another; tests/api/ingest_buckets",
    ),
    ("kernel/usage/outbox/claim_parked_events.sql", "only beside events that failed"),
    ("kernel/usage/outbox/fail_event.sql", "only for events that failed"),
    ("kernel/usage/outbox/measure_backlog.sql", "once in five seconds, and for operators"),
    ("kernel/usage/outbox/publish_erased.sql", "erasures"),
    ("kernel/usage/outbox/publish_rebuild.sql", "changes of zone"),
    ("kernel/usage/outbox/publish_rebuilds.sql", "another price book"),
    ("kernel/usage/outbox/publish_replay.sql", "backfills"),
    ("kernel/usage/writer/add_to_pre_images.sql", "only on top of corrections"),
    ("kernel/usage/writer/carry_kept.sql", "merges"),
    ("kernel/usage/writer/decide_buckets.sql", "merges"),
    ("kernel/usage/writer/insert_moved.sql", "merges"),
    ("kernel/usage/writer/lock_buckets.sql", "backfills"),
    ("kernel/usage/writer/merge_pre_images.sql", "only behind corrections"),
    ("kernel/usage/writer/purge_pre_images.sql", "backfills"),
    ("kernel/usage/writer/remove_moved.sql", "merges"),
    ("kernel/usage/writer/restore_buckets.sql", "backfills"),
    ("kernel/usage/writer/return_kept.sql", "merges"),
    ("kernel/usage/writer/return_moved.sql", "merges"),
    ("kernel/usage/writer/save_pre_images.sql", "backfills"),
    ("features/dashboard_rollup/relay/erase_frozen_days.sql", "erasures"),
    ("features/dashboard_rollup/relay/record_wishes.sql", "changes of zone and of the price book"),
    ("features/dashboard_rollup/relay/take_fold_lock.sql", "retention"),
    (
        "features/dashboard_rollup/summary/range_sums.sql",
        "only for more parts than a summary adds up itself; tests/api/dashboard_rollup/plans.rs",
    ),
];

/// Statements that add a user's rows up as they come. To sort them before takes a third of their time.
const HASHED: [&str; 2] =
    ["features/dashboard_rollup/summary/range_parts.sql", "features/dashboard_rollup/rollups/daily_totals.sql"];

/// More pages than a statement of one small request needs, whatever the tables hold.
const MOST_PAGES: u64 = 1_500;
/// More often than a part of a plan is repeated for one small request.
const MOST_LOOPS: u64 = 400;

/// The files of the hot folders by their text, as PostgreSQL is sent it.
fn hot_files() -> BTreeMap<String, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders: Vec<_> = HOT.iter().map(|folder| source.join(folder)).collect();
    let reads = std::fs::read_dir(source.join(READS)).unwrap().map(|entry| entry.unwrap());
    let is_cold = |name: &std::ffi::OsStr| COLD.iter().any(|cold| name == *cold);
    let reads = reads.filter(|entry| entry.path().is_dir() && !is_cold(&entry.file_name()));
    folders.extend(reads.map(|entry| entry.path()).chain([source.join(READS)]));
    let mut files = BTreeMap::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "sql") {
                let name = path.strip_prefix(&source).unwrap().to_string_lossy().into_owned();
                files.insert(std::fs::read_to_string(&path).unwrap().trim().to_owned(), name);
            }
        }
    }
    assert!(files.len() > 30, "only {} files were found", files.len());
    files
}

/// Statements that ran and that stand in these files, each with its plan, since a place in PostgreSQL's log.
fn plans_since(start: usize, files: &BTreeMap<String, String>) -> (Vec<(String, Value)>, usize) {
    let (ran, end) = ran_since(start);
    let of_files = ran.into_iter().filter_map(|ran| Some((files.get(ran.text.trim())?.clone(), ran.plan)));
    (of_files.collect(), end)
}

/// What trackers and dashboards do all day, once.
async fn use_it(server: &TestApp, user: &TestUser, device: &TestDevice, turn: u32) {
    let bucket = |minute: u32, input: u32, observed: u32| {
        json!({"hour_start": format!("2026-11-20T{:02}:{:02}:00Z", minute / 60, minute % 60), "source": "codex",
            "model": "hot", "input_tokens": input, "observed_at": format!("2026-11-20T11:{:02}:00Z", observed)})
    };
    // New, raised, and one that loses.
    for (input, observed) in [(10 * turn + 1, 2 * turn), (10 * turn + 2, 2 * turn + 1), (1, 0)] {
        let mut yesterday = bucket(60, input, observed);
        yesterday["hour_start"] = "2026-11-19T10:00:00Z".into();
        // This one has a price.
        yesterday["model"] = "gpt-5.5".into();
        let body = json!({"buckets": [bucket(60, input, observed), bucket(30, input, observed), yesterday]});
        server.post_buckets(&device.token, &body).await.expect_ok();
        let keyed = server.request(Method::POST, "/v1/buckets").bearer(&device.token).json(&body);
        keyed.header("idempotency-key", &Uuid::now_v7().to_string()).send().await.expect_ok();
    }
    // Twice in one post, and neither is what stands.
    let body = json!({"buckets": [bucket(60, 3, 0), bucket(60, 4, 0)]});
    server.post_buckets(&device.token, &body).await.expect_ok();
    // Late and silent, and less than what stands.
    for (input, observed) in [(7, 0), (3, 5)] {
        let mut late = bucket(60, input, observed);
        late["hour_start"] = "2026-10-01T10:00:00Z".into();
        server.post_buckets(&device.token, &json!({ "buckets": [late] })).await.expect_ok();
    }
    // News and nothing else, until writers expect no other.
    for place in 0..12 {
        let mut new = bucket(60, 1, 2 * turn);
        new["model"] = format!("new-{turn}-{place}").into();
        server.post_buckets(&device.token, &json!({ "buckets": [new] })).await.expect_ok();
    }
    // Records that are new, and the same again.
    let counting = server.device(user, &format!("counts from turn {turn} on")).await;
    let export = crate::speaks_otlp::exported(100);
    for _ in 0..2 {
        server.request(Method::POST, "/v1/logs").bearer(&counting.token).json(&export).send().await.expect_ok();
    }
    server.drain().await;
    let days = "from=2026-10-22&to=2026-11-20";
    for path in [
        format!("/v1/rollups?{days}"),
        format!("/v1/rollups?{days}&width=week&group_by=source,model,device"),
        format!("/v1/rollups?{days}&width=month"),
        format!("/v1/rollups?{days}&group_by=model&limit=1"),
        format!("/v1/rollups?{days}&width=hour&limit=1"),
        format!("/v1/rollups?{days}&width=half_hour&group_by=model"),
        format!("/v1/rollups?{days}&time_zone=Asia/Kathmandu"),
        "/v1/rollups/summary".to_owned(),
        format!("/v1/rollups/summary?{days}"),
        format!("/v1/rollups/cost?{days}"),
        "/v1/rollups/heatmap".to_owned(),
        format!("/v1/rollups/heatmap?{days}"),
        format!("/v1/buckets?{days}&limit=100"),
    ] {
        server.get(&user.viewer, &path).await.expect_ok();
    }
    let mut browser = Browser::signed_in(server, user).await;
    for path in ["/", "/day?day=2026-11-20&tz=Asia/Kathmandu", "/receipt?last=30&tz=Asia/Kathmandu"] {
        browser.get(path).await.page(200);
    }
}

fn cost(plan: &Value) -> (u64, u64) {
    let loops = nodes(plan).into_iter().map(|node| node["Actual Loops"].as_u64().unwrap_or_default()).max();
    (buffers(plan), loops.unwrap_or_default())
}

/// What was seen of the plans so far.
struct Watch {
    files: BTreeMap<String, String>,
    place: usize,
    seen: BTreeSet<String>,
    dear: Vec<String>,
}

impl Watch {
    fn new(files: BTreeMap<String, String>) -> Self {
        let (_, place) = plans_since(0, &files);
        Self { files, place, seen: BTreeSet::new(), dear: Vec::new() }
    }

    /// What ran until now is nobody's request.
    fn skip(&mut self) {
        self.place = plans_since(self.place, &self.files).1;
    }

    fn judge(&mut self, state: &str) {
        let (plans, end) = plans_since(self.place, &self.files);
        assert!(!plans.is_empty(), "no plan was written: {state}");
        self.place = end;
        for (file, plan) in plans {
            let (pages, loops) = cost(&plan);
            if pages > MOST_PAGES || loops > MOST_LOOPS {
                self.dear.push(format!("{file}, {state}: {pages} pages, {loops} times\n{}", outline(&plan)));
            }
            let sorts = nodes(&plan).into_iter().any(|node| node["Strategy"] == "Sorted");
            if sorts && HASHED.contains(&file.as_str()) {
                self.dear.push(format!("{file}, {state}: rows are sorted before they are summed\n{}", outline(&plan)));
            }
            self.seen.insert(file);
        }
    }

    fn assert_all_seen_and_cheap(&self) {
        assert!(self.dear.is_empty(), "{} are too dear:\n{}", self.dear.len(), self.dear.join("\n"));
        let excused: BTreeSet<&str> = EXCUSED.iter().map(|(file, _why)| *file).collect();
        let is_missed = |file: &&String| !self.seen.contains(*file) && !excused.contains(file.as_str());
        let missed: Vec<_> = self.files.values().filter(is_missed).collect();
        assert!(missed.is_empty(), "nothing here runs {missed:?}: let `use_it` do so, or excuse them");
        let gone: Vec<_> = excused.iter().filter(|file| !self.files.values().any(|known| known == *file)).collect();
        assert!(gone.is_empty(), "{gone:?} are excused and are no files");
    }
}

/// Records of keys, as the device has after a day of keyed posts.
const KEYS: &str = "
    insert into usage.idempotency (user_id, scope_hash, device_id, fingerprint, request_id, verdicts, created_at)
    select '$user', sha256((d || ' ' || n)::bytea), case when d = 0 then '$device' else md5(d::text)::uuid end,
        sha256('x'), '$user', '', now() - n * interval '1 second'
    from generate_series(1, 990) n, generate_series(0, 20) d";

#[tokio::test]
async fn every_statement_of_a_hot_path_is_cheap_on_empty_just_filled_and_full_tables() {
    let app = TestApp::start().await;
    app.begin_prices().await;
    explain_everything(&app).await;
    // Before any connection of a server: each has its plans for good.
    let (planned_empty, files) = (app.second_server().await, hot_files());
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let mut watch = Watch::new(files);
    use_it(&planned_empty, &user, &device, 1).await;
    app.tell(&format!("update rollup.user_state set frozen_before = '2026-10-21' where user_id = '{}'", user.user_id))
        .await;
    use_it(&planned_empty, &user, &device, 2).await;
    watch.judge("on empty tables");

    // From now on nothing is vacuumed or analyzed but by the test.
    for table in
        ["usage.bucket", "usage.idempotency", "usage.ledger", "usage.outbox", "rollup.daily", "rollup.user_state"]
    {
        app.tell(&format!("alter table {table} set (autovacuum_enabled = off)")).await;
    }
    fill_without_statistics(&app, 1, 400).await;
    app.tell(&KEYS.replace("$user", &user.user_id.to_string()).replace("$device", &device.device_id.to_string())).await;
    // Whose events wait is folded by nobody but the test, and not within it.
    app.tell("delete from usage.outbox where request_id <> all (select user_id from account.user where name = 'ann')")
        .await;
    let planned_filled = app.second_server().await;
    watch.skip();
    use_it(&planned_empty, &user, &device, 3).await;
    watch.judge("on just filled tables, with plans from empty ones");
    use_it(&planned_filled, &user, &device, 4).await;
    watch.judge("on just filled tables");

    let mut superuser = PgConnection::connect_with(&app.superuser).await.unwrap();
    superuser.execute(sqlx::raw_sql(AssertSqlSafe("vacuum analyze".to_owned()))).await.unwrap();
    superuser.close().await.unwrap();
    let planned_full = app.second_server().await;
    watch.skip();
    for (state, server, turn) in [
        ("on full tables, with plans from empty ones", &planned_empty, 5),
        ("on full tables, with plans from just filled ones", &planned_filled, 6),
        ("on full tables", &planned_full, 7),
    ] {
        use_it(server, &user, &device, turn).await;
        watch.judge(state);
    }
    // And a purge has emptied them again.
    app.tell("delete from usage.idempotency").await;
    use_it(&planned_full, &user, &device, 8).await;
    watch.judge("on emptied tables, with plans from full ones");

    watch.assert_all_seen_and_cheap();
}

#[test]
fn a_quadratic_plan_is_too_dear() {
    let plan = json!({
        "Node Type": "Nested Loop", "Actual Loops": 1, "Shared Hit Blocks": 900, "Shared Read Blocks": 0,
        "Plans": [{"Node Type": "Sort", "Actual Loops": 990, "Shared Hit Blocks": 900, "Shared Read Blocks": 0}],
    });
    assert!(cost(&plan).1 > MOST_LOOPS);
}
