//! Backfills by command, as a process of their own: killed at twenty points of one import, put to sleep past the lease,
//! and used from the plan to the way back.

use std::fmt::Write as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use halfhour::embedded_postgres::{Durability, EmbeddedPostgres};
use rustix::process::Signal;
use serde_json::Value;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use tempfile::TempDir;

use crate::http::PATIENCE;
use crate::processes::{Postmaster, send};
use crate::support::Home;

const SECRET: &str = "a secret of the tests, the same on every process";
const BUCKETS: usize = 100_000;

/// A PostgreSQL that outlives the commands, a user with a device, and a file with an import.
pub struct Scene {
    pub home: Home,
    pub admin: PgPool,
    postgres: EmbeddedPostgres,
    directory: TempDir,
}

impl Scene {
    pub fn new(buckets: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let postgres = EmbeddedPostgres::start(directory.path(), Durability::Disposable).unwrap();
        let options = postgres.connect_options();
        let password = std::fs::read_to_string(directory.path().join("postgres.password")).unwrap();
        let socket_dir = options.get_socket().unwrap().display();
        let url = format!("postgres://halfhour:{}@localhost/halfhour?host={socket_dir}", password.trim());
        let home = Home::new().with("DATABASE_URL", &url).with("HALFHOUR_SECRET", SECRET);
        let user = home.json(&["user", "add", "ann"]);
        let device = home.json(&["device", "add", "--user", "ann", "--name", "laptop"]);
        let (user, device) = (user["user_id"].as_str().unwrap(), device["device_id"].as_str().unwrap());
        let mut lines = String::new();
        let first: chrono::DateTime<chrono::Utc> = "2026-01-05T00:00:00Z".parse().unwrap();
        for at in 0..buckets {
            let hour = first + chrono::TimeDelta::minutes(30 * i64::try_from(at % 2_400).unwrap());
            writeln!(
                lines,
                r#"{{"user_id":"{user}","device_id":"{device}","hour_start":"{}","source":"codex","model":"m{}","input_tokens":{}}}"#,
                hour.to_rfc3339(),
                at / 2_400,
                at + 1
            )
            .unwrap();
        }
        std::fs::write(home.path().join("import"), lines).unwrap();
        Self { home, admin: PgPool::connect_lazy_with(options), postgres, directory }
    }

    pub fn plan(&self) -> String {
        let job = self.home.json(&[
            "backfill",
            "plan",
            "--action",
            "import",
            "--reason",
            "load",
            "--from",
            "2026-01-05",
            "--to",
            "2026-02-23",
            "import",
        ]);
        assert_eq!((&job["state"], &job["poisoned"]), (&"planned".into(), &0.into()), "{job}");
        job["id"].as_str().unwrap().to_owned()
    }

    /// A worker: the command that executes the job, and goes on with it.
    fn worker(&self, job: &str) -> Child {
        let mut command = self.home.command();
        command.args(["backfill", "execute", job, "--json"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    pub async fn ask(&self, sql: &str) -> String {
        self.admin.fetch_one(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap().get(0)
    }

    pub async fn done(&self) -> i64 {
        self.ask("select done::text from backfill.job").await.parse().unwrap()
    }

    /// Waits until the job has come so far.
    pub async fn reached(&self, rows: i64) -> i64 {
        let wait = async {
            loop {
                let done = self.done().await;
                if done >= rows {
                    return done;
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        };
        tokio::time::timeout(4 * PATIENCE, wait).await.expect("the job to go on")
    }

    /// Its PostgreSQL, which comes back by itself when it is killed; `None` on its way.
    pub fn postmaster(&self) -> Option<Postmaster> {
        Postmaster::find(self.directory.path())
    }

    /// Lets a dead or sleeping worker's lease run out now. Waits for a step that is being committed.
    pub async fn end_lease(&self) {
        let sql = "update backfill.job set lease_until = clock_timestamp() - interval '1 second'";
        self.admin.execute(sqlx::raw_sql(sql)).await.unwrap();
    }

    pub async fn end(self) {
        self.admin.close().await;
        self.postgres.stop().unwrap();
    }
}

#[tokio::test]
async fn an_import_whose_worker_is_killed_at_twenty_points_ends_as_if_nothing_had_been() {
    let scene = Scene::new(BUCKETS);
    let job = scene.plan();
    let mut seed = 7_u64;
    let mut last = 0;
    for kill in 1..=20_i64 {
        let mut worker = scene.worker(&job);
        // Somewhere in the next part, and then somewhere in a step.
        scene.reached(last + 1).await;
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis((seed >> 33) % 60)).await;
        worker.kill().unwrap();
        worker.wait().unwrap();
        let done = scene.done().await;
        assert!(done > last, "progress goes forward only: {done} after {last}");
        // As many buckets as the job says, whenever one looks.
        let consistent = "select (done = (select count(*) from usage.bucket))::text from backfill.job";
        assert_eq!(scene.ask(consistent).await, "true", "after kill {kill}");
        assert!(done < 100_000, "the job ended before kill {kill}");
        last = done;
        scene.end_lease().await;
    }
    let said = scene.home.run(&["backfill", "execute", &job, "--json"]);
    let ended: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.code, &ended["state"]), (Some(0), &"succeeded".into()), "{said:?}");
    let sums = "select count(*) || ' ' || sum(input_tokens) from usage.bucket";
    assert_eq!(scene.ask(sums).await, "100000 5000050000");
    let rollup = "select sum(bucket_count) || ' ' || sum(input_tokens) from rollup.daily";
    assert_eq!(scene.ask(rollup).await, "100000 5000050000");
    scene.end().await;
}

#[tokio::test]
async fn a_worker_that_slept_past_its_lease_writes_nothing() {
    let scene = Scene::new(20_000);
    let job = scene.plan();
    let mut worker = scene.worker(&job);
    scene.reached(1).await;
    send(worker.id(), Signal::STOP);
    scene.end_lease().await;
    let asleep = scene.done().await;
    // Another process takes the job, so that there is something to disturb.
    let other =
        "update backfill.job set lease_token = gen_random_uuid(), lease_until = clock_timestamp() + interval '5 s'
                 returning lease_token::text";
    let token = scene.ask(other).await;
    let fence = "select done || ' ' || lease_token from backfill.job";
    send(worker.id(), Signal::CONT);
    // It says to itself that it has lost the job, and asks for another: its poll is seen in the database.
    let polls = "select (count(*) > 0)::text from pg_stat_activity
                 where application_name = 'halfhour command' and query like '%skip locked%'";
    let polled = async { while scene.ask(polls).await != "true" {} };
    tokio::time::timeout(PATIENCE, polled).await.unwrap();
    assert_eq!(scene.ask(fence).await, format!("{asleep} {token}"));
    let written = scene.ask("select count(*)::text from usage.bucket").await;
    assert_eq!(written, asleep.to_string());
    worker.kill().unwrap();
    worker.wait().unwrap();
    scene.end().await;
}

#[tokio::test]
async fn commands_lead_an_import_from_its_plan_to_the_way_back() {
    let scene = Scene::new(300);
    let job = scene.plan();
    let execute = scene.home.json(&["backfill", "execute", &job]);
    assert_eq!((&execute["state"], &execute["progress"]["percent"]), (&"succeeded".into(), &100.0.into()), "{execute}");
    assert_eq!(scene.home.json(&["backfill", "status", &job])["version"], execute["version"]);
    assert_eq!(scene.home.json(&["backfill", "status"])["data"][0]["id"], execute["id"]);
    let back = scene.home.json(&["backfill", "rollback", &job]);
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&"rolled_back".into(), &serde_json::json!([])), "{back}");
    let left = "select (select count(*) from usage.bucket) || ' ' || (select count(*) from rollup.daily)";
    assert_eq!(scene.ask(left).await, "0 0");

    let cancelled = scene.plan();
    assert_eq!(scene.home.json(&["backfill", "cancel", &cancelled])["state"], "cancelled");
    for (arguments, code) in [
        (vec!["backfill", "execute", &cancelled], 1),
        (vec!["backfill", "status", "01980000-0000-7000-8000-000000000001"], 1),
        (vec!["backfill", "execute", &job, "--version", "1"], 1),
        (vec!["backfill", "plan", "--action", "import"], 2),
        (vec!["backfill", "status", "nonsense"], 2),
    ] {
        let said = scene.home.run(&arguments);
        assert_eq!((said.code, said.stdout.as_str()), (Some(code), ""), "{arguments:?}: {said:?}");
    }
    let detached = scene.plan();
    assert_eq!(scene.home.json(&["backfill", "execute", &detached, "--detach"])["state"], "running");
    scene.end().await;
}
