//! Prices: books that never change, names that are matched to the letter, and amounts that add up to the last digit.

mod amounts;
mod books;
mod changes;
mod complaints;
mod digits;
mod laws;
mod names;
mod neighbours;
mod reprice;
mod summaries;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp, TestDevice, TestUser};

/// The columns of the tests' price files.
pub const HEADER: &str = "provider,model_pattern,input_per_mtok_usd,cache_read_per_mtok_usd,output_per_mtok_usd,\
    long_context_threshold_tokens,long_input_per_mtok_usd,long_cache_read_per_mtok_usd,long_output_per_mtok_usd,\
    effective_from,effective_until,daily_utc_window,source,note,declared";

/// A price file of these lines.
pub fn file(lines: &[&str]) -> String {
    format!("{HEADER}\n{}\n", lines.join("\n"))
}

pub async fn import(app: &TestApp, user: &TestUser, csv: &str) -> Reply {
    let body = json!({"dated": "2026-11-20", "reason": "a test", "csv": csv});
    app.request(Method::POST, "/v1/price-books").bearer(&user.operator).json(&body).send().await
}

/// Imports a file, puts it in force and folds everything in it. Returns its number.
pub async fn put_in_force(app: &TestApp, user: &TestUser, csv: &str) -> i32 {
    let book = import(app, user, csv).await.expect_ok_or_created()["book"].as_i64().unwrap();
    let book = i32::try_from(book).unwrap();
    move_to(app, book).await;
    app.drain().await;
    book
}

/// Puts a book in force, and folds nothing yet.
pub async fn move_to(app: &TestApp, book: i32) {
    let actor = halfhour::kernel::access::Actor::Command;
    app.books().put_in_force(&crate::support::context(), actor, book, "a test").await.unwrap();
}

pub async fn me(app: &TestApp, time_zone: &str) -> (TestUser, TestDevice) {
    let me = app.user("me", time_zone).await;
    let device = app.device(&me, "laptop").await;
    (me, device)
}

pub async fn read(app: &TestApp, user: &TestUser, path: &str) -> Value {
    app.get(&user.viewer, path).await.expect_ok().clone()
}

/// Posts one bucket with these counters.
pub async fn post(app: &TestApp, device: &TestDevice, hour: &str, model: &str, counters: Value) {
    let mut bucket = json!({"hour_start": hour, "source": "claude-code", "model": model});
    for (name, count) in counters.as_object().unwrap() {
        bucket[name] = count.clone();
    }
    app.post_buckets(&device.token, &json!({"buckets": [bucket]})).await.expect_ok();
}
