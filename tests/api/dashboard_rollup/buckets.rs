//! The user's own buckets: pages, lines and tables of the same rows, and streams that are whole or visibly cut off.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::{all_pages, refusals};
use crate::support::rollups::{Usage, half_hours};
use crate::support::{NOW, Reply, TestApp, TestDevice, TestUser, instant, lines_of};

const RANGE: &str = "from=2026-11-01&to=2026-11-20";

async fn one_user(app: &TestApp) -> (TestUser, TestDevice) {
    let me = app.user("me", "Asia/Kathmandu").await;
    let device = app.device(&me, "laptop").await;
    (me, device)
}

async fn get(app: &TestApp, user: &TestUser, path: &str, accept: &str) -> Reply {
    app.request(Method::GET, path).bearer(&user.viewer).header("accept", accept).send().await
}

fn rows(pages: &[Value]) -> Vec<Value> {
    pages.iter().flat_map(|page| page["data"].as_array().unwrap().clone()).collect()
}

fn lines(body: &[u8]) -> Vec<Value> {
    std::str::from_utf8(body).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The rows of a table as JSON would have them.
fn table(body: &[u8]) -> Vec<Value> {
    let mut table = csv::Reader::from_reader(body);
    let names = table.headers().unwrap().clone();
    let row = |row: csv::StringRecord| {
        let cells = names.iter().zip(&row).map(|(name, cell)| {
            let is_text = ["hour_start", "device_id", "source", "model", "observed_at", "changed_at"].contains(&name);
            (name.to_owned(), if is_text { json!(cell) } else { serde_json::from_str(cell).unwrap() })
        });
        Value::Object(cells.collect())
    };
    table.records().map(|record| row(record.unwrap())).collect()
}

/// So many buckets in November, without posting each.
async fn fill(app: &TestApp, user: &TestUser, device: &TestDevice, buckets: u32) {
    app.tell(&format!(
        "insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
            cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
            request_count, observed_at, changed_at, stamped)
         select '{}', '2026-11-01T00:00Z'::timestamptz + (n % 900) * interval '30 minutes', '{}', 'codex', 'm' || n / 900,
            n, 0, 0, 0, 0, 0, 0, 0, now(), now(), true
         from generate_series(0, {buckets} - 1) n",
        user.user_id, device.device_id
    ))
    .await;
}

#[tokio::test]
async fn a_bucket_reads_as_it_was_posted_with_what_the_server_knows_of_it() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    let stamped = json!({"hour_start": "2026-11-20T09:00:00Z", "source": "claude-code", "model": "opus",
        "observed_at": "2026-11-20T09:20:01.000002Z", "input_tokens": 1, "cache_read_tokens": 2, "cache_write_5m_tokens": 3,
        "cache_write_1h_tokens": 4, "output_tokens": 50, "reasoning_tokens": 6, "unclassified_tokens": 7, "request_count": 8});
    let bare = json!({"hour_start": "2026-11-20T09:30:00Z", "source": "codex", "model": "gpt"});
    app.post_buckets(&device.token, &json!({"buckets": [stamped, bare]})).await.expect_ok();
    app.tell("update usage.bucket set backfill_id = user_id where source = 'codex'").await;
    let reply = app.get(&me.viewer, "/v1/buckets").await.expect_ok().clone();
    assert_eq!((&reply["from"], &reply["to"]), (&json!("2026-10-22"), &json!("2026-11-20")));
    assert_eq!((&reply["time_zone"], &reply["pending"]), (&json!("Asia/Kathmandu"), &json!(true)));
    let changed_at = reply["data"][0]["changed_at"].clone();
    let mut expected = stamped.clone();
    for (name, value) in [
        ("device_id", json!(device.device_id)),
        ("total_tokens", json!(67)),
        ("changed_at", changed_at.clone()),
        ("stamped", json!(true)),
        ("corrected", json!(false)),
    ] {
        expected[name] = value;
    }
    assert_eq!(reply["data"][0], expected);
    assert!(changed_at.is_string());
    let second = &reply["data"][1];
    assert_eq!(
        (&second["stamped"], &second["corrected"], &second["total_tokens"]),
        (&json!(false), &json!(true), &json!(0))
    );
    assert_eq!(instant(second["observed_at"].as_str().unwrap()).timestamp(), instant(NOW).timestamp());
    assert_eq!(reply["next_cursor"], Value::Null);
}

#[tokio::test]
async fn pages_lines_and_tables_hold_the_same_rows_in_the_same_order() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    fill(&app, &me, &device, 2500).await;
    let other = app.user("other", "UTC").await;
    let others = app.device(&other, "laptop").await;
    fill(&app, &other, &others, 10).await;
    let path = format!("/v1/buckets?{RANGE}");
    let pages = all_pages(&app, &me, &format!("{path}&limit=700")).await;
    let all = rows(&pages);
    assert_eq!((pages.len(), all.len()), (4, 2500));
    let key =
        |row: &Value| ["hour_start", "device_id", "source", "model"].map(|name| row[name].as_str().unwrap().to_owned());
    assert!(all.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])), "strictly ascending");
    assert_eq!(app.get(&me.viewer, &path).await.json["data"].as_array().unwrap().len(), 100, "by default");

    let (ndjson, csv) = (get(&app, &me, &path, "application/x-ndjson").await, get(&app, &me, &path, "text/csv").await);
    assert_eq!((ndjson.header("content-type"), lines(&ndjson.body)), ("application/x-ndjson", all.clone()));
    assert_eq!(
        (csv.header("content-type"), table(&csv.body)),
        ("text/csv; charset=utf-8; header=present", all.clone())
    );
    assert_eq!((ndjson.header("halfhour-pending"), ndjson.header("link")), ("false", ""));

    // With a limit it is one page, and Link leads on; a stream takes up where a page ended.
    let page = get(&app, &me, &format!("{path}&limit=2"), "text/csv").await;
    assert_eq!(table(&page.body), all[..2]);
    let next = page.header("link").strip_prefix('<').unwrap().split('>').next().unwrap().to_owned();
    assert_eq!(lines(&get(&app, &me, &next, "application/x-ndjson").await.body), all[2..4]);
    let rest = next.replace("limit=2&", "");
    assert_eq!(lines(&get(&app, &me, &rest, "application/x-ndjson").await.body), all[2..]);
    let none = get(&app, &me, "/v1/buckets?from=2026-01-01&to=2026-01-02", "text/csv").await;
    assert_eq!((table(&none.body), String::from_utf8(none.body).unwrap().lines().count()), (vec![], 1));
}

#[tokio::test]
async fn filters_and_local_days_choose_buckets() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    let hours: Vec<_> = half_hours("2026-11-18T00:00:00Z", "2026-11-20T00:00:00Z").collect();
    let buckets: Vec<_> = hours.iter().zip(1..).map(|(hour, number)| Usage::numbered(*hour, number)).collect();
    app.post_usage(&device, &buckets).await;
    let count = async |query: &str| {
        let path = format!("/v1/buckets?{query}&limit=1000");
        app.get(&me.viewer, &path).await.expect_ok()["data"].as_array().unwrap().len()
    };
    assert_eq!(count("from=2026-11-19&to=2026-11-19").await, 48, "from 18:15 UTC on");
    assert_eq!(count("from=2026-11-18&to=2026-11-18").await, 37);
    assert_eq!(count("from=2026-11-18&to=2026-11-18&time_zone=UTC").await, 48);
    assert_eq!(count("source=codex&from=2026-11-01").await, 32);
    assert_eq!(count("source=codex&model=gpt&model=opus&from=2026-11-01").await, 16);
    assert_eq!(count(&format!("device={}", me.user_id)).await, 0);
    for (query, refused) in [
        ("from=2026-10-20&to=2026-11-20", "?from range_too_long"),
        ("from=2026-10-20", "?from range_too_long"),
        ("limit=1001", "?limit out_of_range"),
        ("width=day", "?width unknown_parameter"),
        ("limit=1&limit=1", "?limit repeated_parameter"),
        ("time_zone=Mars/Base", "?time_zone unknown_time_zone"),
    ] {
        assert_eq!(refusals(&app, &me, &format!("/v1/buckets?{query}")).await, [refused]);
    }
    app.get(&device.token, "/v1/buckets").await.expect_problem(403, "wrong_principal");
    app.request(Method::GET, "/v1/buckets").send().await.expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn a_key_present_throughout_a_stream_comes_exactly_once_while_others_come_and_go() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    fill(&app, &me, &device, 5000).await;
    let path = format!("/v1/buckets?{RANGE}");
    let reading = get(&app, &me, &path, "application/x-ndjson");
    let writing = async {
        for round in 0_u64..20 {
            let hours = half_hours("2026-11-01T00:00:00Z", "2026-11-19T00:00:00Z").step_by(4);
            let new: Vec<_> = hours.map(|hour| Usage { model: "zz", ..Usage::numbered(hour, round + 1) }).collect();
            app.post_usage(&device, &new).await;
            app.tell("delete from usage.bucket where model = 'zz'").await;
        }
    };
    let (reply, ()) = tokio::join!(reading, writing);
    let mut keys: Vec<_> = lines(&reply.body)
        .into_iter()
        .filter(|row| row["model"] != "zz")
        .map(|row| format!("{} {}", row["hour_start"], row["model"]))
        .collect();
    assert_eq!(keys.len(), 5000);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 5000);
}

/// A stream that is not read any further than its first kilobyte.
async fn begin_stream(app: &TestApp, user: &TestUser, request_id: Uuid) -> TcpStream {
    let address = app.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /v1/buckets?{RANGE} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\naccept: application/x-ndjson\r\n\
         x-request-id: {request_id}\r\nconnection: close\r\n\r\n",
        user.viewer
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut beginning = [0; 1024];
    stream.read_exact(&mut beginning).await.unwrap();
    let text = String::from_utf8_lossy(&beginning);
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("\"hour_start\""), "{text}");
    stream
}

/// Answers once nobody reads any more.
const QUIET: &str = "select 'quiet' from pg_stat_activity
    where datname = current_database() and application_name = 'halfhour read'
    having count(*) filter (where state <> 'idle') = 0";

#[tokio::test]
async fn a_stream_that_cannot_be_finished_is_cut_off_and_never_looks_whole() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    fill(&app, &me, &device, 60_000).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T10:00:00Z", 1)]).await;
    app.drain().await;
    let whole = async |mut stream: TcpStream| {
        let mut body = Vec::new();
        let read = tokio::time::timeout(Duration::from_mins(1), stream.read_to_end(&mut body)).await.unwrap();
        read.is_ok() && body.ends_with(b"0\r\n\r\n")
    };
    assert!(whole(begin_stream(&app, &me, Uuid::now_v7()).await).await, "an undisturbed one has its end");

    let request_id = Uuid::now_v7();
    let stream = begin_stream(&app, &me, request_id).await;
    app.wait_for(QUIET).await;
    app.tell("alter table usage.bucket rename to away").await;
    assert!(!whole(stream).await, "what a failure took away is not left out in silence");
    let lines = lines_of(&request_id.to_string());
    let says = |line: &Value| (line["stage"].clone(), line["status"].clone(), line["upstream_status"].clone());
    let said: Vec<_> = lines.iter().map(says).collect();
    assert_eq!(said, [(json!("request"), json!(200), json!(200)), (json!("stream"), json!(500), json!(500))]);
    app.tell("alter table usage.away rename to bucket").await;

    let stream = begin_stream(&app, &me, Uuid::now_v7()).await;
    app.wait_for(QUIET).await;
    app.tell("update rollup.user_state set frozen_before = '2026-11-20'").await;
    assert!(!whole(stream).await, "nor what retention removes meanwhile");
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_seen_to_break_off_through_any_compression() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    fill(&app, &me, &device, 2500).await;
    let ask = async |encoding: &str, accept: &str| {
        let request = app.request(Method::GET, &format!("/v1/buckets?{RANGE}")).bearer(&me.viewer);
        request.header("accept-encoding", encoding).header("accept", accept).try_send().await
    };
    let encodings = ["identity", "gzip", "zstd"];
    let asked =
        encodings.into_iter().flat_map(|encoding| ["application/x-ndjson", "text/csv"].map(|one| (encoding, one)));
    for (encoding, accept) in asked.clone() {
        let whole = ask(encoding, accept).await.unwrap();
        assert_eq!((whole.status, whole.header("content-encoding")), (200, encoding.trim_start_matches("identity")));
    }
    // A bucket of the second page cannot be read.
    app.tell(
        "create policy breaks on usage.bucket as restrictive for select to halfhour_api
         using (case when input_tokens = 2400 then 1 / (input_tokens - 2400) = 0 else true end)",
    )
    .await;
    for (encoding, accept) in asked {
        let broken = ask(encoding, accept).await.unwrap_err();
        // It may break before its head was sent, too.
        assert!(!broken.is_timeout(), "{encoding} {accept}: {broken:?}");
    }
}

#[tokio::test]
async fn a_slow_or_absent_reader_of_a_stream_holds_no_connection() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    fill(&app, &me, &device, 60_000).await;
    // More of them than the pool has connections.
    let mut streams = Vec::new();
    for _ in 0..6 {
        streams.push(begin_stream(&app, &me, Uuid::now_v7()).await);
    }
    app.wait_for(QUIET).await;
    app.get(&me.viewer, "/v1/rollups").await.expect_ok();
    drop(streams);
    app.get(&me.viewer, "/v1/buckets").await.expect_ok();
    app.wait_for(QUIET).await;
}
