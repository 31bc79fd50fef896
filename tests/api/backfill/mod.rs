//! History, changed by operators, and by viewers as far as merges go: planned, executed, verified and taken back.

mod end_to_end;
mod erasures;
mod guards;
mod keeping;
mod laws;
mod merge_guards;
mod merge_laws;
mod merge_memory;
mod merge_races;
pub mod merges;
mod overlaps;
mod plans;
mod ranks;
mod streaming;
mod streams;
mod verification;
mod worker;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp, TestDevice, TestUser};

/// A bucket of an import.
pub fn bucket(user: &TestUser, device: &TestDevice, hour_start: &str, model: &str, input_tokens: u64) -> Value {
    json!({"user_id": user.user_id, "device_id": device.device_id, "hour_start": hour_start, "source": "codex",
        "model": model, "input_tokens": input_tokens})
}

/// An import of November.
pub fn import(buckets: &[Value]) -> Value {
    json!({"action": "import", "reason": "ticket 7", "from": "2026-11-01", "to": "2026-11-20", "buckets": buckets})
}

/// Makes each step that comes to a model take its time, until the connection is closed: a step gives way to who holds a
/// row, and not to that.
pub async fn dawdle(app: &TestApp, model: &str) -> sqlx::PgConnection {
    let blocker = crate::relay::hold(app, "select pg_advisory_xact_lock(77)").await;
    app.tell(&format!(
        "create function public.dawdle() returns trigger language plpgsql as $$ begin
             while not pg_try_advisory_xact_lock_shared(77) loop perform pg_sleep(0.01); end loop; return new; end $$;
         create trigger dawdle before insert or update on usage.bucket for each row
             when (new.model = '{model}' and new.backfill_id is not null) execute function public.dawdle()",
    ))
    .await;
    blocker
}

/// Whether one of a pool's connections waits, and how.
pub fn waits(pool: &str, how: &str) -> String {
    format!(
        "select 'waits' from pg_stat_activity
         where datname = current_database() and application_name = 'halfhour {pool}' and {how}"
    )
}

impl TestApp {
    /// Makes a plan, under a key.
    pub async fn post_backfill(&self, token: &str, key: &str, body: &Value) -> Reply {
        self.request(Method::POST, "/v1/backfills").bearer(token).header("idempotency-key", key).json(body).send().await
    }

    /// Makes a plan, which has to succeed.
    pub async fn planned(&self, token: &str, body: &Value) -> Value {
        let reply = self.post_backfill(token, &uuid::Uuid::now_v7().to_string(), body).await;
        assert_eq!(reply.status, 201, "{}", reply.json);
        assert_eq!(reply.header("location"), format!("/v1/backfills/{}", reply.json["id"].as_str().unwrap()));
        reply.json
    }

    /// Streams lines into a plan.
    pub async fn stream(&self, token: &str, key: &str, query: &str, lines: &str) -> Reply {
        let path = format!("/v1/backfills?action=import&reason=ticket&{query}");
        let request = self.request(Method::POST, &path).bearer(token).header("idempotency-key", key);
        request.header("content-type", "application/x-ndjson").body(lines).send().await
    }

    /// Tells a job what to do, with the version that is in it.
    pub async fn tell_job(&self, token: &str, job: &Value, order: &str) -> Reply {
        let path = format!("/v1/backfills/{}/{order}", job["id"].as_str().unwrap());
        let version = format!("\"{}\"", job["version"]);
        self.request(Method::POST, &path).bearer(token).header("if-match", &version).send().await
    }

    /// A job as it is now.
    pub async fn job(&self, token: &str, job: &Value) -> Value {
        self.get(token, &format!("/v1/backfills/{}", job["id"].as_str().unwrap())).await.expect_ok().clone()
    }

    /// All of a job's list, in small pages.
    pub async fn job_list(&self, token: &str, job: &Value, list: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/backfills/{}/{list}?limit=7{cursor}", job["id"].as_str().unwrap());
            let reply = self.get(token, &path).await.expect_ok().clone();
            found.extend(reply["data"].as_array().unwrap().clone());
            match reply["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    }

    /// Executes a planned job to its end.
    pub async fn executed(&self, token: &str, job: &Value) -> Value {
        self.tell_job(token, job, "execute").await.expect_ok();
        self.work_and_fold().await;
        self.job(token, job).await
    }

    /// Rolls a job back to its end.
    pub async fn rolled_back(&self, token: &str, job: &Value) -> Value {
        self.tell_job(token, job, "rollback").await.expect_ok();
        self.work_and_fold().await;
        self.job(token, job).await
    }

    /// A checksum of all buckets: what they say, and as of when.
    pub async fn buckets_checksum(&self) -> String {
        let columns = "t.user_id, t.hour_start, t.device_id, t.source, t.model, t.input_tokens, t.cache_read_tokens,
            t.cache_write_5m_tokens, t.cache_write_1h_tokens, t.output_tokens, t.reasoning_tokens,
            t.unclassified_tokens, t.request_count, t.observed_at, t.stamped, t.backfill_id";
        self.table_checksum(columns, "usage.bucket").await
    }

    /// A checksum of all rollups.
    pub async fn rollups_checksum(&self) -> String {
        self.table_checksum("t.*", "rollup.daily").await
    }

    async fn table_checksum(&self, columns: &str, table: &str) -> String {
        let sql = format!(
            "select count(*) || ' rows, ' || coalesce(md5(string_agg(row::text, e'\\n' order by row::text)), 'none')
             from (select {columns} from {table} as t) as row"
        );
        self.ask(&sql).await.remove(0)
    }
}
