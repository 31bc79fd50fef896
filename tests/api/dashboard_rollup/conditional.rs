//! Representations and validators: CSV, `Accept`, `ETag` and 304, and the page that `Link` leads to.

use reqwest::Method;

use super::{results_of, rollups};
use crate::support::rollups::{COUNTERS, Usage, half_hours};
use crate::support::{Reply, TestApp, TestDevice, TestUser, instant};

const PATHS: [&str; 9] = [
    "/v1/rollups?from=2026-11-01&to=2026-11-20",
    "/v1/rollups?width=month&group_by=source&from=2026-11-01&to=2026-11-20",
    "/v1/rollups?width=half_hour&from=2026-11-01&to=2026-11-20",
    "/v1/rollups/summary",
    "/v1/rollups?width=hour&from=2026-11-01&to=2026-11-20",
    "/v1/rollups?width=week&from=2026-11-01&to=2026-11-20",
    "/v1/rollups?width=week&week_start=sunday&from=2026-11-01&to=2026-11-20",
    "/v1/rollups/heatmap?weeks=4",
    "/v1/rollups/heatmap?from=2026-10-26&to=2026-11-22",
];

async fn one_user(app: &TestApp) -> (TestUser, TestDevice) {
    let me = app.user("me", "Europe/Berlin").await;
    let device = app.device(&me, "laptop").await;
    let hours = half_hours("2026-11-18T01:00:00Z", "2026-11-20T01:00:00Z").step_by(5);
    let buckets: Vec<_> = hours.zip(1..).map(|(hour, number)| Usage::numbered(hour, number)).collect();
    app.post_usage(&device, &buckets).await;
    app.drain().await;
    (me, device)
}

async fn get(app: &TestApp, user: &TestUser, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = app.request(Method::GET, path).bearer(&user.viewer);
    headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send().await
}

fn varies_by(reply: &Reply, name: &str) -> bool {
    let values = reply.headers.get_all("vary").iter().flat_map(|value| value.to_str().unwrap().split(','));
    values.map(str::trim).any(|value| value.eq_ignore_ascii_case(name))
}

#[tokio::test]
async fn csv_has_the_same_rows_as_json() {
    let app = TestApp::start().await;
    let (me, _) = one_user(&app).await;
    let names: Vec<_> = ["input_tokens", "total_tokens", "request_count", "bucket_count"].to_vec();
    for query in [
        "group_by=device,model,source",
        "",
        "width=half_hour&group_by=model",
        "width=hour&group_by=model,device",
        "width=week&fill=zero",
        "width=week&week_start=sunday&group_by=source",
        "width=month&fill=zero",
    ] {
        let path = format!("/v1/rollups?from=2026-11-18&to=2026-11-20&{query}");
        let reply = get(&app, &me, &path, &[("accept", "text/csv")]).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "text/csv; charset=utf-8; header=present"));
        assert!(varies_by(&reply, "accept") && varies_by(&reply, "authorization"), "{:?}", reply.headers);
        let text = String::from_utf8(reply.body.clone()).unwrap();
        assert_eq!(text.matches("\r\n").count(), text.matches('\n').count(), "RFC 4180 ends lines with CRLF");

        let expected = results_of(&[rollups(&app, &me, &path["/v1/rollups?".len()..]).await]);
        let mut table = csv::Reader::from_reader(reply.body.as_slice());
        let columns = table.headers().unwrap().clone();
        let rows: Vec<_> = table.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), expected.len(), "{query}");
        assert!(!rows.is_empty(), "{query}: an empty table is no test");
        for (row, expected) in rows.iter().zip(&expected) {
            let groups = ["start", "end", "label", "source", "model", "device"];
            for (column, cell) in columns.iter().zip(row) {
                let wanted = &expected[column];
                let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
                assert_eq!(cell, wanted, "{column} of {row:?}");
            }
            let present = groups.iter().filter(|group| !expected[**group].is_null()).count();
            assert_eq!(columns.len(), present + COUNTERS.len(), "{query}");
        }
        assert!(names.iter().all(|name| columns.iter().any(|column| column == *name)), "{columns:?}");
    }
    let empty = get(&app, &me, "/v1/rollups?from=2026-01-01&to=2026-01-02", &[("accept", "text/csv")]).await;
    assert_eq!(String::from_utf8(empty.body).unwrap().lines().count(), 1, "the header line alone");
}

#[tokio::test]
async fn csv_quotes_what_needs_it_and_says_the_rest_in_headers() {
    let app = TestApp::start().await;
    let (me, _) = one_user(&app).await;
    // No tracker may post such a model; the table must not break even so.
    app.tell(
        "alter table usage.bucket drop constraint bucket_model_is_well_formed;
         update rollup.daily set model = e'a,\"b\"\\r\\nc' where day = '2026-11-18' and model = 'gpt'",
    )
    .await;
    let path = "/v1/rollups?from=2026-11-18&to=2026-11-20&group_by=model&limit=3";
    let first = get(&app, &me, path, &[("accept", "text/csv")]).await;
    let mut table = csv::Reader::from_reader(first.body.as_slice());
    let models: Vec<_> = table.records().map(|row| row.unwrap()[3].to_owned()).collect();
    assert_eq!(models.len(), 3);
    assert!(models.contains(&"a,\"b\"\r\nc".to_owned()), "{models:?}");

    let json = rollups(&app, &me, &path["/v1/rollups?".len()..]).await;
    assert_eq!(first.header("halfhour-pending"), "false");
    assert_eq!(first.header("halfhour-version"), json["version"].to_string());
    assert!(instant(first.header("halfhour-as-of")) <= instant(json["as_of"].as_str().unwrap()));
    let link = first.header("link").strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    let second = get(&app, &me, &link, &[("accept", "text/csv")]).await;
    let cursor = json["next_cursor"].as_str().unwrap();
    let expected = rollups(&app, &me, &format!("{}&cursor={cursor}", &path["/v1/rollups?".len()..])).await;
    let rows = csv::Reader::from_reader(second.body.as_slice()).records().count();
    assert_eq!(rows, results_of(&[expected]).len(), "{link}");
}

#[tokio::test]
async fn a_caller_gets_what_it_likes_best_or_learns_what_there_is() {
    let app = TestApp::start().await;
    let (me, _) = one_user(&app).await;
    let media = async |path: &str, accept: &str| {
        let reply = get(&app, &me, path, &[("accept", accept)]).await;
        assert!(varies_by(&reply, "accept"), "{path} {accept}");
        (reply.status, reply.header("content-type").split(';').next().unwrap().to_owned())
    };
    let ok = |name: &str| (200, name.to_owned());
    assert_eq!(media("/v1/rollups", "*/*").await, ok("application/json"));
    assert_eq!(media("/v1/rollups", "text/*;q=0.9, application/json;q=0.8").await, ok("text/csv"));
    assert_eq!(media("/v1/buckets", "application/x-ndjson").await, ok("application/x-ndjson"));
    assert_eq!(media("/v1/rollups/summary", "application/*").await, ok("application/json"));
    for (path, accept) in [
        ("/v1/rollups", "application/x-ndjson"),
        ("/v1/rollups", "application/json;q=0, text/csv;q=0"),
        ("/v1/rollups/summary", "text/csv"),
        ("/v1/rollups/heatmap", "text/html"),
        ("/v1/buckets", "application/xml"),
    ] {
        let reply = get(&app, &me, path, &[("accept", accept)]).await;
        let detail = reply.expect_problem(406, "not_acceptable")["detail"].as_str().unwrap();
        assert!(detail.contains("application/json"), "{detail}");
        assert!(varies_by(&reply, "accept"), "{path} {accept}");
    }
}

#[tokio::test]
async fn what_a_caller_has_is_not_sent_again_until_a_fold_changed_it() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    for (number, path) in PATHS.iter().enumerate() {
        let first = get(&app, &me, path, &[]).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\"") && tag.ends_with('"'), "{tag}");
        for list in [tag.clone(), "*".to_owned(), format!("\"x\", {tag}"), tag.trim_start_matches("W/").to_owned()] {
            let again = get(&app, &me, path, &[("if-none-match", &list)]).await;
            assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, tag.as_str()), "{path} {list}");
            assert!(varies_by(&again, "accept"));
            assert_eq!(again.header("cache-control"), "private, no-cache");
            let as_of = instant(again.header("halfhour-as-of"));
            assert_eq!(again.header("date"), as_of.format("%a, %d %b %Y %H:%M:%S GMT").to_string(), "{path}");
        }
        assert_eq!(get(&app, &me, path, &[("if-none-match", "\"other\"")]).await.status, 200);

        // A change waits: what the caller has may be wrong soon, and is not called current.
        let tokens = 1000 + u64::try_from(number).unwrap();
        app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", tokens)]).await;
        let waiting = get(&app, &me, path, &[("if-none-match", &tag)]).await;
        assert_eq!((waiting.status, waiting.header("halfhour-pending")), (200, "true"), "{path}");
        assert_ne!(waiting.header("etag"), tag, "{path}: the newest event is in it");
        let same = get(&app, &me, path, &[("if-none-match", waiting.header("etag"))]).await;
        assert_eq!(same.status, 200, "{path}: never 304 while something is pending");
        app.tell("update usage.outbox set parked_at = now()").await;
        let parked = get(&app, &me, path, &[("if-none-match", waiting.header("etag"))]).await;
        assert_eq!(parked.status, 200, "{path}: nor while something is parked");

        app.tell("update usage.outbox set parked_at = null").await;
        app.drain().await;
        let folded = get(&app, &me, path, &[("if-none-match", &tag)]).await;
        assert_eq!(folded.status, 200, "{path}");
        assert_ne!(folded.header("etag"), tag);
        assert_eq!(get(&app, &me, path, &[("if-none-match", folded.header("etag"))]).await.status, 304, "{path}");
    }
}

#[tokio::test]
async fn usage_that_moves_within_a_day_changes_its_half_hours_and_hours_though_not_the_rollup() {
    let app = TestApp::start().await;
    let me = app.user("me", "UTC").await;
    let device = app.device(&me, "laptop").await;
    let post = async |counts: [u64; 3]| {
        let hours = ["2026-11-20T09:00:00Z", "2026-11-20T09:30:00Z", "2026-11-20T10:30:00Z"];
        let buckets: Vec<_> = hours.into_iter().zip(counts).map(|(hour, count)| Usage::input(hour, count)).collect();
        app.post_usage(&device, &buckets).await;
        app.drain().await;
    };
    post([10, 20, 30]).await;
    let mut tags = Vec::new();
    for width in ["half_hour", "hour", "day", "week", "month"] {
        let path = format!("/v1/rollups?width={width}");
        tags.push((get(&app, &me, &path, &[]).await.header("etag").to_owned(), path));
    }
    for (counts, changed) in [([20, 10, 30], 1), ([10, 30, 20], 2)] {
        post(counts).await;
        assert_eq!(app.ask("select version::text from rollup.user_state").await, ["1"], "the day adds up to the same");
        for (number, (tag, path)) in tags.iter().enumerate() {
            let again = get(&app, &me, path, &[("if-none-match", tag)]).await;
            assert_eq!(again.status, if number < changed { 200 } else { 304 }, "{path}: {counts:?}");
            if number == 0 {
                assert_eq!(results_of(&[again.expect_ok().clone()])[0]["input_tokens"], counts[0]);
            }
        }
    }
}

#[tokio::test]
async fn every_question_representation_page_day_and_user_has_a_validator_of_its_own() {
    let app = TestApp::start().await;
    let (me, _) = one_user(&app).await;
    let you = app.user("you", "Europe/Berlin").await;
    app.tell("insert into rollup.user_state select user_id, 'Europe/Berlin', 1 from account.user where name = 'you'")
        .await;
    let mut tags = Vec::new();
    for path in PATHS {
        tags.push(get(&app, &me, path, &[]).await.header("etag").to_owned());
        tags.push(get(&app, &you, path, &[]).await.header("etag").to_owned());
    }
    let path = "/v1/rollups?from=2026-11-18&to=2026-11-20";
    for more in ["", "&source=codex", "&limit=2", "&time_zone=UTC", "&fill=zero", "&width=month"] {
        tags.push(get(&app, &me, &format!("{path}{more}"), &[]).await.header("etag").to_owned());
    }
    tags.push(get(&app, &me, path, &[("accept", "text/csv")]).await.header("etag").to_owned());
    // The same words mean other days tomorrow, and a streak ends overnight.
    for path in ["/v1/rollups", "/v1/rollups/summary?from=2026-11-18&to=2026-11-20"] {
        tags.push(get(&app, &me, path, &[]).await.header("etag").to_owned());
        app.clock.set(app.clock.now() + chrono::TimeDelta::days(1));
        tags.push(get(&app, &me, path, &[]).await.header("etag").to_owned());
    }
    let count = tags.len();
    assert!(!tags.contains(&String::new()));
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), count);
}

#[tokio::test]
async fn a_refused_question_is_refused_whatever_the_caller_has() {
    let app = TestApp::start().await;
    let (me, _) = one_user(&app).await;
    for path in ["/v1/rollups?width=year", "/v1/rollups/summary?weeks=1", "/v1/rollups/heatmap?weeks=0"] {
        get(&app, &me, path, &[("if-none-match", "*")]).await.expect_problem(422, "invalid");
    }
    let head = app.request(Method::HEAD, "/v1/rollups").bearer(&me.viewer).send().await;
    assert_eq!((head.status, head.body.len(), head.header("etag").is_empty()), (200, 0, false));
}
