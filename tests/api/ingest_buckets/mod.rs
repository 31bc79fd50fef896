//! `POST /v1/buckets` as trackers meet it.

mod arrivals;
mod bodies;
mod convergence;
mod failures;
mod held;
mod hints;
mod hostile;
mod idempotency;
mod kept;
mod laws;
mod lenient;
mod news;
mod numbers;
mod orders;
mod refusals;
mod threads;
mod verdicts;
mod writer;

use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use crate::support::{Reply, TestApp, TestDevice, TestUser};

/// A server, a user and a device of theirs.
struct Tracker {
    app: TestApp,
    me: TestUser,
    device: TestDevice,
}

impl Tracker {
    async fn start() -> Self {
        let app = TestApp::start().await;
        let me = app.user("me", "Europe/Berlin").await;
        let device = app.device(&me, "laptop").await;
        Self { app, me, device }
    }

    async fn post(&self, buckets: &[Value]) -> Reply {
        self.app.post_buckets(&self.device.token, &json!({"buckets": buckets})).await
    }

    /// Posts buckets that are acceptable; returns their verdicts.
    async fn verdicts(&self, buckets: &[Value]) -> Vec<String> {
        verdicts(&self.post(buckets).await)
    }

    /// Every stored bucket, in the order of the key.
    async fn rows(&self) -> Vec<Map<String, Value>> {
        rows(&self.app, "true").await
    }

    /// The stored bucket, which must be the only one.
    async fn row(&self) -> Map<String, Value> {
        let mut rows = self.rows().await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }

    async fn events(&self) -> i64 {
        let sql = sqlx::raw_sql("select count(*) from usage.outbox");
        self.app.admin.fetch_one(sql).await.unwrap().get(0)
    }

    /// Changes rows behind the application's back.
    async fn execute(&self, sql: String) {
        self.app.admin.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
    }
}

/// The stored buckets that meet a condition, in the order of the key.
async fn rows(app: &TestApp, condition: &str) -> Vec<Map<String, Value>> {
    let sql = format!(
        "select to_jsonb(b)::text from usage.bucket b where {condition}
         order by b.user_id, b.hour_start, b.device_id, b.source, b.model"
    );
    let rows = app.admin.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
    rows.into_iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
}

#[track_caller]
fn verdicts(reply: &Reply) -> Vec<String> {
    let verdicts = reply.expect_ok()["verdicts"].as_array().unwrap();
    verdicts.iter().map(|verdict| verdict.as_str().unwrap().to_owned()).collect()
}

/// An acceptable bucket with some fields set.
fn bucket(fields: &Value) -> Value {
    let mut bucket = json!({"hour_start": "2026-11-20T10:30:00Z", "source": "claude-code", "model": "claude-opus-4-5"});
    for (name, value) in fields.as_object().unwrap() {
        bucket[name] = value.clone();
    }
    bucket
}

/// A snapshot of that one bucket: its input, and the minute of the half hour in which it was taken.
fn snapshot(input_tokens: i64, minute: u32) -> Value {
    bucket(&json!({"input_tokens": input_tokens, "observed_at": format!("2026-11-20T10:{minute}:00Z")}))
}
