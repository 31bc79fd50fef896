//! Ways to hold the writer still, so that a test decides who meets whom: somebody else's locks in the database, and a
//! look at who waits for them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::task::JoinHandle;

use super::{Tracker, bucket};
use crate::support::{Reply, TestApp};

/// Locks of somebody else's; dropped or released, they are gone.
pub struct Hold(PgConnection);

impl Hold {
    /// Nothing can be written to any bucket.
    pub async fn of_all_buckets(app: &TestApp) -> Self {
        Self::begin(app, "lock table usage.bucket in exclusive mode").await
    }

    /// The buckets that meet a condition cannot be changed.
    pub async fn of_buckets(app: &TestApp, condition: &str) -> Self {
        Self::begin(app, &format!("select 1 from usage.bucket where {condition} for update")).await
    }

    /// A statement that is not committed yet.
    pub async fn begin(app: &TestApp, sql: &str) -> Self {
        let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
        connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("begin; {sql}")))).await.unwrap();
        Self(connection)
    }

    /// Lets go, and returns when that has happened.
    pub async fn release(mut self) {
        self.0.execute(sqlx::raw_sql("rollback")).await.unwrap();
    }

    /// Has it done, and returns when that has happened.
    pub async fn commit(mut self) {
        self.0.execute(sqlx::raw_sql("commit")).await.unwrap();
    }
}

/// Returns as soon as so many of the servers' batches wait for a lock.
pub async fn batches_waiting(app: &TestApp, count: u32) {
    app.wait_for(&format!(
        "select 'as many as expected' from pg_stat_activity
         where datname = current_database() and application_name = 'halfhour ingest' and wait_event_type = 'Lock'
         having count(*) = {count}"
    ))
    .await;
}

/// Returns as soon as so many rows are in a server's queue or being written.
pub async fn rows_queued(app: &TestApp, rows: usize) {
    let queued = async {
        while app.writer().queued_rows() != rows {
            tokio::task::yield_now().await;
        }
    };
    let queued = tokio::time::timeout(Duration::from_secs(20), queued).await;
    assert!(queued.is_ok(), "{} rows are queued, not {rows}", app.writer().queued_rows());
}

/// A post that is under way.
pub type Sent = JoinHandle<Reply>;

/// Sends buckets and does not wait for the reply.
pub fn send(app: &TestApp, token: &str, headers: &[(&str, &str)], buckets: &[Value]) -> Sent {
    let request = app.request(Method::POST, "/v1/buckets").bearer(token).json(&json!({"buckets": buckets}));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    tokio::spawn(request.send())
}

impl Tracker {
    /// Sends buckets of the tracker's device and does not wait for the reply.
    pub fn send(&self, headers: &[(&str, &str)], buckets: &[Value]) -> Sent {
        send(&self.app, &self.device.token, headers, buckets)
    }

    /// Holds every bucket and lets both writer tasks run into that, with one row each, so that whatever is posted now
    /// gathers in the queue. The second is the two posts under way.
    pub async fn hold_both_writers(&self) -> (Hold, [Sent; 2]) {
        let hold = Hold::of_all_buckets(&self.app).await;
        let first = self.send(&[], &[decoy(1)]);
        batches_waiting(&self.app, 1).await;
        let second = self.send(&[], &[decoy(2)]);
        batches_waiting(&self.app, 2).await;
        (hold, [first, second])
    }
}

/// A bucket that only occupies a writer.
pub fn decoy(number: u32) -> Value {
    bucket(&json!({"model": format!("decoy-{number}"), "input_tokens": 1}))
}
