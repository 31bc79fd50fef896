//! Books and rollups over time: which book a row is in never depends on order, one book follows another as a whole, and an
//! older release beside this one does no harm.

use chrono::TimeDelta;
use halfhour::features::dashboard_rollup::{Window, verify};
use serde_json::json;

use super::{file, import, me, move_to, post, put_in_force, read};
use crate::support::rollups::half_hours;
use crate::support::{NOW, TestApp, TestDevice, instant};

/// Every row, whoever it belongs to, with its rate.
const ROWS: &str = "select format('%s', d) from (select day, source, model, rate_id, input_tokens, output_tokens,
    request_count, bucket_count from rollup.daily) d order by 1";
/// Every row with the transaction that wrote it, and the versions.
const WRITTEN: &str = "select format('%s %s', d.xmin, d.*) from rollup.daily d
    union all select format('%s %s', s.user_id, s.version) from rollup.user_state s order by 1";

const FIRST: [&str; 3] = [
    "openai,gpt-5,1,0.1,10,,,,,,2026-11-17T16:00:00Z,,page,,",
    "openai,gpt-5,2,0.2,20,,,,,2026-11-17T16:00:00Z,,,page,,",
    "google,gemini-3,2,0.2,12,100,4,0.4,18,,,,page,,",
];
/// The same with another price from noon of the 18th on, and a model more.
const SECOND: [&str; 5] = [
    FIRST[0],
    "openai,gpt-5,2,0.2,20,,,,,2026-11-17T16:00:00Z,2026-11-18T12:00:00Z,,page,,",
    "openai,gpt-5,3,0.3,30,,,,,2026-11-18T12:00:00Z,,,page,the page was misread,correction",
    FIRST[2],
    "xai,grok-9,5,,5,,,,,,,,page,,",
];

async fn fill(app: &TestApp, device: &TestDevice) {
    for (hour, place) in half_hours("2026-11-16T00:00:00Z", "2026-11-20T00:00:00Z").zip(0_u64..) {
        let models = ["gpt-5", "gemini-3", "grok-9", "gpt-5x"];
        let buckets: Vec<_> = models
            .iter()
            .map(|model| {
                json!({"hour_start": hour, "source": "codex", "model": model, "input_tokens": 7 * place % 211,
                    "output_tokens": place, "request_count": 1 + place % 2})
            })
            .collect();
        app.post_buckets(&device.token, &json!({"buckets": buckets})).await.expect_ok();
        if place % 50 == 3 {
            app.drain().await;
        }
    }
    app.drain().await;
}

#[tokio::test]
async fn whatever_comes_first_the_rows_and_their_rates_are_the_same() {
    let mut all = Vec::new();
    for order in 0..3 {
        let app = TestApp::start().await;
        let (me, device) = me(&app, "Asia/Kathmandu").await;
        if order == 0 {
            put_in_force(&app, &me, &file(&FIRST)).await;
            fill(&app, &device).await;
        } else if order == 1 {
            fill(&app, &device).await;
            put_in_force(&app, &me, &file(&FIRST)).await;
        } else {
            // Backwards, each bucket twice and first with another count, around the book and a change of zone.
            app.want_zone(&me, "America/New_York").await;
            for hour in ["2026-11-18T10:00:00Z", "2026-11-17T16:30:00Z"] {
                post(&app, &device, hour, "gpt-5", json!({"input_tokens": 1})).await;
            }
            app.drain().await;
            put_in_force(&app, &me, &file(&FIRST)).await;
            app.tell("delete from usage.bucket").await;
            fill(&app, &device).await;
            app.want_zone(&me, "Asia/Kathmandu").await;
            app.drain().await;
        }
        app.replay(&me, "2026-11-01T00:00:00Z", NOW).await;
        app.drain().await;
        all.push(app.ask(ROWS).await);
        assert!(verify(&app.pools.worker, &Window::default()).await.unwrap().is_clean());
    }
    assert!(all[0].len() > 20, "{:?}", all[0]);
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
}

#[tokio::test]
async fn the_same_book_again_writes_no_row_and_there_and_back_is_as_before() {
    let app = TestApp::start().await;
    let (me, device) = me(&app, "Europe/Berlin").await;
    let first = put_in_force(&app, &me, &file(&FIRST)).await;
    fill(&app, &device).await;
    let (written, rows) = (app.ask(WRITTEN).await, app.ask(ROWS).await);
    assert_eq!(put_in_force(&app, &me, &file(&FIRST)).await, first);
    // A book that says the same of everything that was used, under another number.
    let wider = file(&[FIRST[0], FIRST[1], FIRST[2], "zai,glm-9,1,,2,,,,,,,,page,,"]);
    let equal = put_in_force(&app, &me, &wider).await;
    assert_eq!(app.ask(WRITTEN).await, written, "no row, and no version");
    assert_eq!(read(&app, &me, "/v1/rollups").await["prices"]["book"], equal);

    let lines = [SECOND[0], SECOND[1], SECOND[2], SECOND[3], SECOND[4], "zai,glm-9,1,,2,,,,,,,,page,,"];
    let second = put_in_force(&app, &me, &file(&lines)).await;
    assert_ne!(app.ask(ROWS).await, rows);
    let of_days =
        |days: &str| format!("select format('%s %s', d.xmin, d.*) from rollup.daily d where {days} order by 1");
    let (before, unchanged) =
        (of_days("day < '2026-11-18' and model in ('gpt-5', 'gemini-3')"), of_days("model = 'gpt-5x'"));
    for sql in [&before, &unchanged] {
        let found = app.ask(sql).await;
        assert!(
            !found.is_empty() && found.iter().all(|row| written.contains(row)),
            "no other hour, and no other model"
        );
    }
    move_to(&app, first).await;
    app.drain().await;
    assert_eq!(app.ask(ROWS).await, rows);
    assert_eq!(second, equal + 1);
}

#[tokio::test]
async fn no_reply_mixes_books_while_rollups_move_and_a_move_that_is_cut_off_ends_the_same() {
    let app = TestApp::start().await;
    let (me, device) = me(&app, "Europe/Berlin").await;
    put_in_force(&app, &me, &file(&FIRST)).await;
    fill(&app, &device).await;
    let before = read(&app, &me, "/v1/rollups?group_by=model").await;
    let second = import(&app, &me, &file(&SECOND)).await.expect_ok_or_created()["book"].as_i64().unwrap();
    move_to(&app, i32::try_from(second).unwrap()).await;
    let waiting = read(&app, &me, "/v1/rollups?group_by=model").await;
    assert_eq!(waiting["prices"], json!({"currency": "USD", "basis": "api_list", "book": 1, "pending_book": 2}));
    assert_eq!((&waiting["data"], &waiting["pending"]), (&before["data"], &json!(true)));
    for _ in 0..10 {
        // A fold that is killed before it commits.
        let mut held = crate::relay::hold(&app, "lock table rollup.user_state in share mode").await;
        let _ = tokio::time::timeout(std::time::Duration::from_millis(30), app.relay().drain()).await;
        crate::relay::run(&mut held, "rollback").await;
        assert_eq!(read(&app, &me, "/v1/rollups?group_by=model").await["data"], before["data"]);
    }
    while app.ask("select count(*)::text from usage.outbox").await != ["0"] {
        app.drain().await;
    }
    let after = read(&app, &me, "/v1/rollups?group_by=model").await;
    assert_eq!(after["prices"], json!({"currency": "USD", "basis": "api_list", "book": 2, "pending_book": null}));
    assert_ne!(after["data"], before["data"]);
    let moved = app.ask(ROWS).await;
    app.tell("delete from rollup.daily; delete from rollup.user_state").await;
    app.replay(&me, "2026-11-01T00:00:00Z", NOW).await;
    app.drain().await;
    assert_eq!(app.ask(ROWS).await, moved);
}

#[tokio::test]
async fn another_book_is_another_reply_even_where_no_number_changes() {
    let app = TestApp::start().await;
    let (me, device) = me(&app, "UTC").await;
    post(&app, &device, "2026-11-20T10:00:00Z", "nobody-knows-me", json!({"input_tokens": 1})).await;
    app.drain().await;
    for path in ["/v1/rollups", "/v1/rollups/summary", "/v1/rollups/cost"] {
        let tag = app.get(&me.viewer, path).await.header("etag").to_owned();
        let again = async |tag: &str| {
            let request = app.request(reqwest::Method::GET, path).bearer(&me.viewer).header("if-none-match", tag);
            request.send().await.status
        };
        assert_eq!(again(&tag).await, 304);
    }
    let tag = async || app.get(&me.viewer, "/v1/rollups").await.header("etag").to_owned();
    let before = tag().await;
    put_in_force(&app, &me, &file(&FIRST)).await;
    assert_ne!(tag().await, before);
}

#[tokio::test]
async fn a_row_whose_rate_is_not_the_one_of_its_book_is_drift() {
    let app = TestApp::start().await;
    let (me, device) = me(&app, "UTC").await;
    put_in_force(&app, &me, &file(&FIRST)).await;
    for hour in ["2026-11-17T15:30:00Z", "2026-11-17T16:00:00Z"] {
        post(&app, &device, hour, "gpt-5", json!({"input_tokens": 1})).await;
    }
    app.drain().await;
    let report = async || verify(&app.pools.worker, &Window::default()).await.unwrap();
    assert!(report().await.is_clean());
    assert_eq!(app.ask("select count(*)::text from rollup.daily").await, ["2"], "a day with two prices has two rows");
    app.tell("update rollup.daily set rate_id = 0 where rate_id = (select max(rate_id) from rollup.daily)").await;
    assert!(!report().await.is_clean());
    app.replay(&me, "2026-11-17T00:00:00Z", NOW).await;
    app.drain().await;
    assert!(report().await.is_clean());
}

/// What the release before this one says when it writes a row.
const OLDER_FOLD: &str = "insert into rollup.daily as r (user_id, day, device_id, source, model, input_tokens,
        cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens,
        unclassified_tokens, request_count, bucket_count)
    select user_id, day, device_id, source, model, input_tokens + 1, 0, 0, 0, 0, 0, 0, 0, 1 from rollup.daily
    on conflict (user_id, day, device_id, source, model) do update set input_tokens = excluded.input_tokens";

#[tokio::test]
async fn an_older_release_folds_beside_this_one_until_a_first_book_is_in_force_and_then_writes_nothing() {
    let app = TestApp::start().await;
    // As 0040 leaves a database in which something was folded already.
    app.tell(
        "alter table rollup.daily drop constraint daily_pkey,
             add constraint daily_pkey primary key (user_id, day, device_id, source, model) include (is_active);
         create unique index daily_rate_key on rollup.daily (user_id, day, device_id, source, model, rate_id)
             include (is_active)",
    )
    .await;
    let (me, device) = me(&app, "UTC").await;
    let hour = "2026-11-17T15:30:00Z";
    post(&app, &device, hour, "gpt-5", json!({"input_tokens": 1})).await;
    app.drain().await;
    app.tell(OLDER_FOLD).await;
    let input = "select input_tokens::text from rollup.daily order by 1";
    assert_eq!(app.ask(input).await, ["2"]);
    app.replay(&me, hour, hour).await;
    app.drain().await;
    assert_eq!(app.ask(input).await, ["1"], "this release folds under the key of before");
    import(&app, &me, &file(&FIRST)).await.expect_ok_or_created();
    assert_eq!(app.ask("select count(*)::text from pg_indexes where indexname = 'daily_rate_key'").await, ["1"]);
    move_to(&app, 1).await;
    app.drain().await;
    post(&app, &device, "2026-11-17T16:00:00Z", "gpt-5", json!({"input_tokens": 1})).await;
    app.drain().await;
    assert_eq!(app.ask(input).await, ["1", "1"]);
    let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(OLDER_FOLD)).execute(&app.admin).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("42P10"));
    assert_eq!(app.ask(input).await, ["1", "1"]);
    let at = instant(hour) - TimeDelta::days(1);
    assert_eq!(
        read(&app, &me, &format!("/v1/rollups?from={}", at.date_naive())).await["totals"]["cost"]["amount"],
        "0.000003"
    );
}

#[tokio::test]
async fn users_move_one_by_one_and_never_see_each_other() {
    let app = TestApp::start().await;
    let (me, device) = me(&app, "UTC").await;
    let you = app.user("you", "UTC").await;
    let yours = app.device(&you, "laptop").await;
    put_in_force(&app, &me, &file(&FIRST)).await;
    for device in [&device, &yours] {
        post(&app, device, "2026-11-19T10:00:00Z", "gpt-5", json!({"input_tokens": 1_000_000})).await;
    }
    app.drain().await;
    let cost = async |user| read(&app, user, "/v1/rollups").await["totals"]["cost"]["amount"].clone();
    assert_eq!((cost(&me).await, cost(&you).await), (json!("2"), json!("2")));
    import(&app, &me, &file(&SECOND)).await.expect_ok_or_created();
    move_to(&app, 2).await;
    app.tell(&format!("delete from usage.outbox where user_id = '{}'", you.user_id)).await;
    app.drain().await;
    assert_eq!((cost(&me).await, cost(&you).await), (json!("3"), json!("2")), "who waits is in the book before");
    assert_eq!(read(&app, &you, "/v1/rollups").await["prices"]["pending_book"], 2);
    post(&app, &yours, "2026-11-19T10:30:00Z", "gpt-5", json!({"input_tokens": 1_000_000})).await;
    app.drain().await;
    assert_eq!(cost(&you).await, "4", "new usage is folded in the book that the rollup is in");
}
