//! `DELETE /v1/me/usage`: what goes, what stays, and that nothing comes back.

use std::cell::Cell;

use futures_util::future::join_all;
use halfhour::kernel::database::{Access, Mode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::sync::Notify;
use uuid::Uuid;

use super::violations;
use crate::support::rollups::Usage;
use crate::support::{Reply, TestApp, TestDevice, TestUser, context, line};

fn bucket(hour_start: &str, source: &str, observed_at: &str) -> Value {
    json!({"hour_start": hour_start, "source": source, "model": "gpt", "input_tokens": 7, "observed_at": observed_at})
}

/// Posts buckets and returns their verdicts.
async fn post(app: &TestApp, device: &TestDevice, buckets: &[Value]) -> Vec<String> {
    let reply = app.post_buckets(&device.token, &json!({ "buckets": buckets })).await;
    let verdicts = reply.expect_ok()["verdicts"].as_array().unwrap();
    verdicts.iter().map(|verdict| verdict.as_str().unwrap().to_owned()).collect()
}

/// `device source` of every bucket there is, device by its name.
async fn standing(app: &TestApp) -> Vec<String> {
    let sql = "select d.name || ' ' || b.source || ' ' || to_char(b.hour_start at time zone 'UTC', 'MM-DD\"T\"HH24:MI')
               from usage.bucket b join account.device d using (user_id, device_id) order by 1";
    app.ask(sql).await
}

async fn total(app: &TestApp, user: &TestUser) -> Value {
    app.drain().await;
    app.get(&user.viewer, "/v1/rollups").await.expect_ok()["totals"]["input_tokens"].clone()
}

#[track_caller]
fn count(reply: &Reply) -> i64 {
    reply.expect_ok()["buckets"].as_i64().unwrap()
}

#[tokio::test]
async fn a_part_of_ones_usage_goes_from_buckets_and_rollups_and_a_retry_does_not_bring_it_back() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let (laptop, phone) = (app.device(&user, "laptop").await, app.device(&user, "phone").await);
    let codex = bucket("2026-11-18T10:00:00Z", "codex", "2026-11-18T10:20:00Z");
    let amp = bucket("2026-11-19T10:00:00Z", "amp", "2026-11-19T10:20:00Z");
    for device in [&laptop, &phone] {
        assert_eq!(post(&app, device, &[codex.clone(), amp.clone()]).await, ["inserted", "inserted"]);
    }
    assert_eq!(total(&app, &user).await, 28);

    let query = format!("device={}&source=codex", laptop.device_id);
    let preview = app.erase(&user, &format!("{query}&dry_run=true")).await;
    assert_eq!(
        (count(&preview), &preview.json["dry_run"], &preview.json["erased_at"]),
        (1, &json!(true), &Value::Null)
    );
    let written = "select (select count(*) from usage.erasure) || ' ' || (select count(*) from usage.outbox)
                   || ' ' || (select count(*) from usage.bucket) || ' ' || (select count(*) from ops.audit where action = 'usage.erase')";
    assert_eq!(app.ask(written).await, ["0 0 4 0"], "a dry run writes nothing");

    let erased = app.erase(&user, &query).await;
    assert_eq!((count(&erased), &erased.json["first_hour"]), (1, &json!("2026-11-18T10:00:00Z")));
    assert_eq!(erased.header("cache-control"), "no-store");
    assert_eq!(standing(&app).await, ["laptop amp 11-19T10:00", "phone amp 11-19T10:00", "phone codex 11-18T10:00"]);
    assert_eq!(total(&app, &user).await, 21);
    assert_eq!(post(&app, &laptop, &[codex.clone(), amp.clone()]).await, ["erased", "unchanged"]);
    assert_eq!(post(&app, &phone, std::slice::from_ref(&codex)).await, ["unchanged"]);
    assert_eq!(total(&app, &user).await, 21);
    assert_eq!(app.acts("viewer").await, [format!("usage.erase {}", user.user_id)]);

    // What is observed later counts, and is not a retry.
    app.clock.set("2026-11-20T12:01:00Z".parse().unwrap());
    let later = bucket("2026-11-18T10:00:00Z", "codex", "2026-11-20T12:00:30Z");
    assert_eq!(post(&app, &laptop, &[later]).await, ["inserted"]);
    assert_eq!(total(&app, &user).await, 28);
}

#[tokio::test]
async fn days_are_local_and_both_ends_belong_to_them() {
    let app = TestApp::start().await;
    let user = app.user("ann", "Asia/Kathmandu").await;
    let device = app.device(&user, "laptop").await;
    // The 19th is from 18:15 to 18:15 UTC, so its first half hour begins at 18:30.
    let hours = ["2026-11-18T18:00:00Z", "2026-11-18T18:30:00Z", "2026-11-19T18:00:00Z", "2026-11-19T18:30:00Z"];
    let buckets: Vec<Usage> = hours.iter().map(|hour| Usage::input(hour, 1)).collect();
    app.post_usage(&device, &buckets).await;
    let day = app.erase(&user, "from=2026-11-19&to=2026-11-19").await;
    assert_eq!(count(&day), 2);
    assert_eq!((&day.json["first_hour"], &day.json["last_hour"]), (&json!(hours[1]), &json!(hours[2])));
    assert_eq!(standing(&app).await, ["laptop codex 11-18T18:00", "laptop codex 11-19T18:30"]);
    assert_eq!(count(&app.erase(&user, "to=2026-11-18").await), 1);
    assert_eq!(count(&app.erase(&user, "from=2026-11-21&dry_run=true").await), 0);
    assert_eq!(count(&app.erase(&user, "from=2026-11-20").await), 1);
    assert_eq!(total(&app, &user).await, 0);
}

#[tokio::test]
async fn a_fast_clock_is_kept_from_bringing_back_what_it_stored_and_no_other_device_pays_for_it() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let (fast, right) = (app.device(&user, "fast").await, app.device(&user, "right").await);
    let ahead = bucket("2026-11-20T11:30:00Z", "codex", "2026-11-20T12:04:00Z");
    assert_eq!(post(&app, &fast, std::slice::from_ref(&ahead)).await, ["inserted"]);
    assert_eq!(
        post(&app, &right, &[bucket("2026-11-20T11:30:00Z", "codex", "2026-11-20T11:59:00Z")]).await,
        ["inserted"]
    );
    assert_eq!(count(&app.erase(&user, "everything=true").await), 2);
    app.clock.set("2026-11-20T12:02:00Z".parse().unwrap());
    assert_eq!(post(&app, &fast, std::slice::from_ref(&ahead)).await, ["erased"]);
    assert_eq!(
        post(&app, &right, &[bucket("2026-11-20T11:30:00Z", "codex", "2026-11-20T12:01:00Z")]).await,
        ["inserted"]
    );
}

#[tokio::test]
async fn everything_is_one_users_only_and_has_to_be_asked_for() {
    let app = TestApp::start().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let (hers, his) = (app.device(&ann, "hers").await, app.device(&bob, "his").await);
    for device in [&hers, &his] {
        app.post_usage(device, &[Usage::input("2026-11-19T10:00:00Z", 7)]).await;
    }
    for query in ["", "everything=true&source=codex", "from=2026-11-20&to=2026-11-19", "everything=yes", "all=true"] {
        app.erase(&ann, query).await.expect_problem(422, "invalid");
    }
    assert_eq!(violations(&app.erase(&ann, "").await), [("?everything", "missing")]);
    // Another user's device is a device that one does not have.
    for device_id in [his.device_id, Uuid::now_v7()] {
        assert_eq!(count(&app.erase(&ann, &format!("device={device_id}")).await), 0);
    }
    assert_eq!(count(&app.erase(&ann, "everything=true").await), 1);
    assert_eq!(standing(&app).await, ["his codex 11-19T10:00"]);
    assert_eq!((total(&app, &ann).await, total(&app, &bob).await), (json!(0), json!(7)));
    assert_eq!(
        app.ask("select user_id::text from usage.erasure").await,
        [ann.user_id.to_string()],
        "the others are covered"
    );
}

#[tokio::test]
async fn separate_deletions_are_few_and_a_wider_one_covers_them() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let fill = format!(
        "insert into usage.erasure (user_id, erasure_id, erased_at, first_hour, last_hour)
         select '{}', gen_random_uuid(), '2026-11-20T11:00:00Z', h, h
         from generate_series('2025-01-01T00:00:00Z'::timestamptz, '2025-04-09T00:00:00Z', '1 day') h",
        user.user_id
    );
    app.tell(&fill).await;
    let erasures = async || app.ask("select count(*)::text from usage.erasure").await.remove(0);
    assert_eq!(erasures().await, "99");
    app.erase(&user, "source=codex").await.expect_ok();
    app.erase(&user, "source=amp").await.expect_problem(409, "conflict");
    assert_eq!(erasures().await, "100");
    app.erase(&user, "from=2025-01-01&to=2025-04-30").await.expect_ok();
    assert_eq!(erasures().await, "2");
    app.erase(&user, "everything=true").await.expect_ok();
    assert_eq!(erasures().await, "1");
}

#[tokio::test]
async fn a_post_that_began_before_the_erasure_does_not_survive_it() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let codex = bucket("2026-11-19T10:00:00Z", "codex", "2026-11-19T10:20:00Z");
    // Somebody else is about to insert the same key. The writer's statement has looked for
    // erasures, and waits.
    let mut blocker = app.admin.begin().await.unwrap();
    let columns = "insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, changed_at, stamped) values";
    let values = format!(
        " ('{}', '2026-11-19T10:00:00Z', '{}', 'codex', 'gpt', 1, 0, 0, 0, 0, 0, 0, 0, '2026-11-19T10:00:00Z', now(), true)",
        user.user_id, device.device_id
    );
    blocker.execute(sqlx::raw_sql(AssertSqlSafe(format!("{columns}{values}")))).await.unwrap();
    let posting = post(&app, &device, std::slice::from_ref(&codex));
    let erasing = async {
        let waits = "select 'waits' from pg_stat_activity
                     where datname = current_database() and application_name = 'halfhour ingest' and wait_event_type = 'Lock'";
        app.wait_for(waits).await;
        let erase = app.erase(&user, "everything=true");
        let release = async {
            let waits = "select 'waits' from pg_stat_activity
                         where datname = current_database() and application_name = 'halfhour read' and wait_event = 'advisory'";
            app.wait_for(waits).await;
            blocker.rollback().await.unwrap();
        };
        tokio::join!(erase, release).0
    };
    let (verdicts, erased) = tokio::join!(posting, erasing);
    assert_eq!((verdicts, count(&erased)), (vec!["inserted".to_owned()], 1));
    assert_eq!(standing(&app).await, Vec::<String>::new());
    assert_eq!(post(&app, &device, &[codex]).await, ["erased"]);
    assert_eq!(total(&app, &user).await, 0);
}

#[tokio::test]
async fn while_a_user_is_erased_its_posts_are_told_to_come_back_and_nobody_else_waits() {
    let app = TestApp::start().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let (hers, his) = (app.device(&ann, "hers").await, app.device(&bob, "his").await);
    app.post_usage(&hers, &[Usage::input("2026-11-19T10:00:00Z", 7)]).await;
    let mut blocker = app.admin.begin().await.unwrap();
    blocker.execute(sqlx::raw_sql("select from usage.bucket for update")).await.unwrap();
    let erase = app.erase(&ann, "everything=true");
    let meanwhile = async {
        let waits = "select 'waits' from pg_stat_activity
                     where datname = current_database() and application_name = 'halfhour read' and wait_event_type = 'Lock'";
        app.wait_for(waits).await;
        let body = json!({"buckets": [bucket("2026-11-20T10:00:00Z", "codex", "2026-11-20T10:20:00Z")]});
        let posts =
            (0..8).map(|number| app.post_buckets(if number % 2 == 0 { &hers.token } else { &his.token }, &body));
        for (number, reply) in join_all(posts).await.iter().enumerate() {
            if number % 2 == 0 {
                let request_id = reply.expect_problem(503, "database_conflict")["request_id"].as_str().unwrap();
                assert_eq!(reply.header("retry-after"), "1");
                let line = line(request_id);
                let blame = [&line["attribution"], &line["upstream_status"], &line["upstream_evidence"]];
                assert_eq!(blame, [&json!("UNKNOWN"), &json!(null), &json!("queued")], "{line}");
            } else {
                reply.expect_ok();
            }
        }
        blocker.rollback().await.unwrap();
    };
    let (erased, ()) = tokio::join!(erase, meanwhile);
    assert_eq!(count(&erased), 1);
    assert_eq!(standing(&app).await, ["his codex 11-20T10:00"]);
}

#[tokio::test]
async fn what_corrections_hide_goes_with_the_buckets_of_the_scope() {
    let app = TestApp::start().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let (hers, his) = (app.device(&ann, "hers").await, app.device(&bob, "his").await);
    for device in [&hers, &his] {
        let buckets = ["codex", "amp"].map(|source| bucket("2026-11-19T10:00:00Z", source, "2026-11-19T10:20:00Z"));
        post(&app, device, &buckets).await;
    }
    app.tell(
        "insert into usage.pre_image
         select user_id, hour_start, device_id, source, model, gen_random_uuid(), input_tokens, cache_read_tokens,
             cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens, request_count,
             observed_at, stamped, null
         from usage.bucket",
    )
    .await;
    assert_eq!(count(&app.erase(&ann, "source=codex").await), 1);
    let hidden = "select d.name || ' ' || p.source from usage.pre_image p join account.device d using (user_id, device_id) order by 1";
    assert_eq!(app.ask(hidden).await, ["hers amp", "his amp", "his codex"]);
}

/// How many trackers post at once.
const LANES: usize = 4;

/// Posts one bucket after another, each of another half hour, until the erasure is `over` and a post
/// that began later is answered. Returns the verdicts, with `refused` for a 503.
async fn keep_posting(
    (server, device): (&TestApp, &TestDevice),
    lane: usize,
    observed_at: &str,
    inserted: &Notify,
    over: &Cell<bool>,
) -> Vec<String> {
    let mut verdicts = Vec::new();
    for number in (lane..).step_by(LANES).take(10_000) {
        let is_last = over.get();
        let (day, half_hour) = (1 + number / 48 % 19, number % 48);
        let hour = format!("2026-11-{day:02}T{:02}:{:02}:00Z", half_hour / 2, half_hour % 2 * 30);
        let body = json!({"buckets": [bucket(&hour, "codex", observed_at)]});
        let reply = server.post_buckets(&device.token, &body).await;
        let verdict = match reply.status {
            503 => "refused",
            _ => reply.expect_ok()["verdicts"][0].as_str().unwrap(),
        };
        if verdict == "inserted" {
            inserted.notify_one();
        }
        verdicts.push(verdict.to_owned());
        if is_last && verdict != "refused" {
            break;
        }
    }
    verdicts
}

#[tokio::test]
async fn posts_and_erasures_that_race_leave_only_what_came_after_the_last_erasure() {
    let app = TestApp::start().await;
    let other = app.second_server().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    for round in 0..5 {
        for server in [&app, &other] {
            server.clock.set(format!("2026-11-20T12:{round:02}:30Z").parse().unwrap());
        }
        // Taken after the last erasure and before this one.
        let observed_at = format!("2026-11-20T12:{round:02}:00Z");
        let (inserted, over) = (Notify::new(), Cell::new(false));
        let posting = join_all((0..LANES).map(|lane| {
            let server = if lane % 2 == 0 { &app } else { &other };
            keep_posting((server, &device), lane, &observed_at, &inserted, &over)
        }));
        let erasing = async {
            inserted.notified().await;
            let mut erased = app.erase(&user, "everything=true").await;
            for _ in 0..9 {
                // A 503 changed nothing, and the race goes on.
                if erased.status == 503 {
                    erased = app.erase(&user, "everything=true").await;
                }
            }
            over.set(true);
            erased
        };
        let (verdicts, erased) = tokio::join!(posting, erasing);

        let known = ["inserted", "unchanged", "refused", "erased"];
        assert!(verdicts.iter().flatten().all(|verdict| known.contains(&&**verdict)), "{verdicts:?}");
        let accepted = verdicts.iter().flatten().filter(|verdict| *verdict == "inserted").count();
        assert!(accepted > 0, "no post came before the erasure");
        assert_eq!(count(&erased), i64::try_from(accepted).unwrap(), "round {round}: {verdicts:?}");
        assert!(verdicts.iter().all(|lane| lane.last().unwrap() == "erased"), "{verdicts:?}");
        assert_eq!(standing(&app).await, Vec::<String>::new(), "round {round}");
    }
    assert_eq!(total(&app, &user).await, 0);
    assert_eq!(app.ask("select count(*)::text from rollup.daily").await, ["0"]);
}

#[tokio::test]
async fn an_erasure_that_writers_do_not_let_in_changes_nothing_and_is_no_bug() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    app.post_usage(&device, &[Usage::input("2026-11-19T10:00:00Z", 7)]).await;
    let mut writer = app.pools.ingest.begin(&context(), Access::Users(&[user.user_id]), Mode::ReadWrite).await.unwrap();
    let erasing = halfhour::kernel::usage::erasure::hold_off_erasures(&mut writer, &[user.user_id]).await.unwrap();
    assert_eq!(erasing, Vec::<Uuid>::new());
    app.erase(&user, "everything=true").await.expect_problem(503, "database_conflict");
    writer.rollback().await.unwrap();
    assert_eq!(standing(&app).await, ["laptop codex 11-19T10:00"]);
    assert_eq!(count(&app.erase(&user, "everything=true").await), 1);
}
