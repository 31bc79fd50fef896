//! Another price book as a job: the plan says what it changes and changes nothing, users move one by one, and the way back
//! leads to the same bytes.

use reqwest::Method;
use serde_json::{Value, json};

use super::{file, import, me, move_to, post, put_in_force, read};
use crate::support::{TestApp, TestUser};

const FIRST: [&str; 2] = ["openai,gpt-5,2,0.2,20,,,,,,,,page,,", "google,gemini-3,2,0.2,12,100,4,0.4,18,,,,page,,"];
/// The same with another price of one model from noon of the 18th on, and a model more.
const SECOND: [&str; 4] = [
    "openai,gpt-5,2,0.2,20,,,,,,2026-11-18T12:00:00Z,,page,,",
    "openai,gpt-5,3,0.3,30,,,,,2026-11-18T12:00:00Z,,,page,the page was misread,correction",
    FIRST[1],
    "xai,grok-9,5,,5,,,,,,,,page,,",
];
/// The same with a third price.
const THIRD: [&str; 4] =
    [SECOND[0], "openai,gpt-5,4,0.4,40,,,,,2026-11-18T12:00:00Z,,,page,misread again,correction", FIRST[1], SECOND[3]];

/// Every row with the transaction that wrote it, and the versions.
const WRITTEN: &str = "select format('%s %s', d.xmin, d.*) from rollup.daily d
    union all select format('%s %s', s.user_id, s.version) from rollup.user_state s order by 1";
const WAITING: &str = "select count(*)::text from usage.outbox";

fn reprice(book: i64) -> Value {
    json!({"action": "reprice", "book": book, "reason": "the page was misread"})
}

async fn imported(app: &TestApp, user: &TestUser, lines: &[&str]) -> i64 {
    import(app, user, &file(lines)).await.expect_ok_or_created()["book"].as_i64().unwrap()
}

/// A user whose usage of three models is folded in the first book.
async fn folded(app: &TestApp) -> TestUser {
    let (me, device) = me(app, "Europe/Berlin").await;
    put_in_force(app, &me, &file(&FIRST)).await;
    let input = |tokens: u64| json!({"input_tokens": tokens});
    post(app, &device, "2026-11-17T16:00:00Z", "gpt-5", input(1_000_000)).await;
    post(app, &device, "2026-11-18T12:00:00Z", "gpt-5", json!({"input_tokens": 1_000_000, "output_tokens": 500_000}))
        .await;
    post(app, &device, "2026-11-18T12:00:00Z", "gemini-3", input(50)).await;
    post(app, &device, "2026-10-31T23:30:00Z", "grok-9", json!({"input_tokens": 7, "output_tokens": 3})).await;
    post(app, &device, "2026-11-18T12:30:00Z", "nobody-knows-me", input(9)).await;
    app.drain().await;
    me
}

#[tokio::test]
async fn a_plan_says_by_model_and_month_what_changes_and_changes_nothing() {
    let app = TestApp::start().await;
    let me = folded(&app).await;
    let you = app.user("you", "UTC").await;
    let yours = app.device(&you, "laptop").await;
    post(&app, &yours, "2026-11-18T12:00:00Z", "gpt-5", json!({"input_tokens": 1})).await;
    app.drain().await;
    let book = imported(&app, &me, &SECOND).await;
    let before = (app.ask(WRITTEN).await, read(&app, &me, "/v1/rollups").await["prices"].clone());
    let job = app.planned(&me.operator, &reprice(book)).await;
    // 1,000,000 and one tokens at 2 and then 3 dollars a million, and 500,000 at 20 and then 30.
    let changed = json!({"sku": "openai/gpt-5", "month": "2026-11", "tokens": "1500001", "usd_before": "12.000002",
        "usd_high_before": "12.000002", "usd_after": "18.000003", "usd_high_after": "18.000003",
        "newly_priced_tokens": "0", "newly_unpriced_tokens": "0", "users": 2, "user_days": 2});
    let new = json!({"sku": "xai/grok-9", "month": "2026-10", "tokens": "10", "usd_before": null,
        "usd_high_before": null, "usd_after": "0.00005", "usd_high_after": "0.00005", "newly_priced_tokens": "10",
        "newly_unpriced_tokens": "0", "users": 1, "user_days": 1});
    let prices = &job["prices"];
    assert_eq!(prices["lines"], json!([changed, new]), "{job}");
    assert_eq!((&prices["book"], &prices["former_book"], &prices["lines_left_out"]), (&json!(2), &json!(1), &json!(0)));
    let totals = json!({"tokens": "1500011", "usd_before": "12.000002", "usd_high_before": "12.000002",
        "usd_after": "18.000053", "usd_high_after": "18.000053", "newly_priced_tokens": "10",
        "newly_unpriced_tokens": "0", "users": 2, "user_days": 3});
    assert_eq!(prices["totals"], totals);
    assert_eq!((&job["state"], &job["progress"]["total"], &job["diff"]), (&json!("planned"), &json!(2), &Value::Null));
    assert_eq!((app.ask(WRITTEN).await, read(&app, &me, "/v1/rollups").await["prices"].clone()), before);
    let listed = app.get(&me.operator, "/v1/backfills").await.expect_ok()["data"][0]["prices"].clone();
    assert_eq!((&listed["lines"], &listed["lines_left_out"]), (&json!([]), &json!(2)));
    let audit = "select details ->> 'book' from ops.audit where action = 'backfill.plan'";
    assert_eq!(app.ask(audit).await, ["2"]);
    // The way there says what was, and the way back is its mirror.
    app.executed(&me.operator, &job).await;
    let back = app.planned(&me.operator, &reprice(1)).await["prices"].clone();
    assert_eq!(
        (&back["totals"]["usd_before"], &back["totals"]["usd_after"]),
        (&totals["usd_after"], &totals["usd_before"])
    );
    assert_eq!(back["totals"]["newly_unpriced_tokens"], "10");
}

#[tokio::test]
async fn there_and_back_is_equal_to_the_byte_touches_no_other_hour_and_the_same_book_writes_nothing() {
    let app = TestApp::start().await;
    let me = folded(&app).await;
    let (rows, written) = (app.rollups_checksum().await, app.ask(WRITTEN).await);
    let again = app.planned(&me.operator, &reprice(1)).await;
    assert_eq!((&again["prices"]["totals"]["tokens"], &again["prices"]["lines"]), (&json!("0"), &json!([])));
    assert_eq!(app.executed(&me.operator, &again).await["state"], "succeeded");
    assert_eq!(app.ask(WRITTEN).await, written, "no row, and no version");
    // A book that says the same of everything that was used, under another number.
    let equal = imported(&app, &me, &[FIRST[0], FIRST[1], "zai,glm-9,1,,2,,,,,,,,page,,"]).await;
    let job = app.planned(&me.operator, &reprice(equal)).await;
    assert_eq!(app.executed(&me.operator, &job).await["state"], "succeeded");
    assert_eq!(app.ask(WRITTEN).await, written, "no row, and no version");
    assert_eq!(read(&app, &me, "/v1/rollups").await["prices"]["book"], equal);

    let lines = [SECOND[0], SECOND[1], SECOND[2], SECOND[3], "zai,glm-9,1,,2,,,,,,,,page,,"];
    let second = imported(&app, &me, &lines).await;
    let job = app.planned(&me.operator, &reprice(second)).await;
    let done = app.executed(&me.operator, &job).await;
    assert_eq!((&done["state"], &done["progress"]["percent"]), (&json!("succeeded"), &json!(100.0)), "{done}");
    assert_ne!(app.rollups_checksum().await, rows);
    let others = "select format('%s %s', d.xmin, d.*) from rollup.daily d
        where model in ('gemini-3', 'nobody-knows-me') or model = 'gpt-5' and day < '2026-11-18'";
    let others = app.ask(others).await;
    assert!(others.len() == 3 && others.iter().all(|row| written.contains(row)), "{others:?}");
    let back = app.rolled_back(&me.operator, &done).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    assert_eq!(app.rollups_checksum().await, rows, "to the byte");
    let prices = json!({"currency": "USD", "basis": "api_list", "book": equal, "pending_book": null});
    assert_eq!(read(&app, &me, "/v1/rollups").await["prices"], prices);
    assert_eq!(app.rolled_back(&me.operator, &back).await["state"], "rolled_back", "it may be repeated");
    assert_eq!(app.rollups_checksum().await, rows);
}

#[tokio::test]
async fn the_first_book_is_a_reprice_from_nothing_and_leads_back_to_no_cost() {
    let app = TestApp::start().await;
    let (me, device) = me(&app, "UTC").await;
    post(&app, &device, "2026-11-18T12:00:00Z", "gpt-5", json!({"input_tokens": 1_000_000})).await;
    app.drain().await;
    let rows = app.rollups_checksum().await;
    let book = imported(&app, &me, &FIRST).await;
    let job = app.planned(&me.operator, &reprice(book)).await;
    let totals = &job["prices"]["totals"];
    assert_eq!((&job["prices"]["former_book"], &totals["usd_before"]), (&Value::Null, &Value::Null), "{job}");
    assert_eq!((&totals["usd_after"], &totals["newly_priced_tokens"]), (&json!("2"), &json!("1000000")));
    let done = app.executed(&me.operator, &job).await;
    assert_eq!(read(&app, &me, "/v1/rollups").await["totals"]["cost"]["amount"], "2");
    let back = app.rolled_back(&me.operator, &done).await;
    assert_eq!((&back["state"], app.rollups_checksum().await), (&json!("rolled_back"), rows), "{back}");
    let reply = read(&app, &me, "/v1/rollups").await;
    assert_eq!((reply.get("prices"), reply["totals"].get("cost")), (None, None));
}

#[tokio::test]
async fn no_reply_of_anybody_mixes_two_books_at_any_moment_of_a_running_job() {
    let app = TestApp::start().await;
    let me = folded(&app).await;
    let mut users = Vec::new();
    for number in 0..9 {
        let user = app.user(&format!("user {number}"), "Asia/Kathmandu").await;
        let device = app.device(&user, "laptop").await;
        post(&app, &device, "2026-11-18T12:00:00Z", "gpt-5", json!({"input_tokens": 1_000_000})).await;
        post(&app, &device, "2026-11-19T12:00:00Z", "gpt-5", json!({"input_tokens": 1_000_000})).await;
        users.push(user);
    }
    app.drain().await;
    let book = imported(&app, &me, &SECOND).await;
    let job = app.planned(&me.operator, &reprice(book)).await;
    let mut seen = std::collections::BTreeSet::new();
    for (order, from, to) in [("execute", (1, "4", "2"), (2, "6", "3")), ("rollback", (2, "6", "3"), (1, "4", "2"))] {
        let job = app.job(&me.operator, &job).await;
        app.tell_job(&me.operator, &job, order).await.expect_ok();
        loop {
            let mut moved = 0;
            for user in &users {
                let mut books = Vec::new();
                for path in ["/v1/rollups", "/v1/rollups?width=half_hour", "/v1/rollups/summary", "/v1/rollups/cost"] {
                    let reply = read(
                        &app,
                        user,
                        &format!("{path}{}from=2026-11-18&to=2026-11-19", if path.contains('?') { "&" } else { "?" }),
                    )
                    .await;
                    let (book, whole, day) = if reply["prices"]["book"] == to.0 { to } else { from };
                    assert_eq!(reply["prices"]["book"], book, "{reply}");
                    let pending = if book == to.0 { Value::Null } else { json!(to.0) };
                    assert_eq!(reply["prices"]["pending_book"], pending, "{reply}");
                    assert_eq!(reply["totals"]["cost"]["amount"], whole, "{path} {reply}");
                    for interval in reply["data"].as_array().into_iter().flatten() {
                        assert_eq!(interval["results"][0]["cost"]["amount"], day, "{path} {reply}");
                    }
                    books.push(book);
                }
                assert!(books.iter().all(|book| *book == books[0]), "nothing moves between these reads: {books:?}");
                moved += usize::from(books[0] == to.0);
            }
            seen.insert(moved);
            app.switches().set(halfhour::kernel::operations::switches::Switch::Backfill, true);
            app.backfill_worker().run_step().await.unwrap();
            let round = app.relay().run_round().await.unwrap();
            if round.consumed == 0 && app.ask(WAITING).await == ["0"] && moved == users.len() {
                break;
            }
        }
        app.work_and_fold().await;
    }
    assert!(seen.len() > 2, "some were moved while others waited: {seen:?}");
    assert_eq!(app.job(&me.operator, &job).await["state"], "rolled_back");
}

#[tokio::test]
async fn of_two_reprices_that_were_planned_beside_each_other_one_is_executed() {
    let app = TestApp::start().await;
    let me = folded(&app).await;
    let other = app.second_server().await;
    imported(&app, &me, &SECOND).await;
    imported(&app, &me, &THIRD).await;
    let plans = [app.planned(&me.operator, &reprice(2)).await, app.planned(&me.operator, &reprice(3)).await];
    let (one, two) = tokio::join!(
        app.tell_job(&me.operator, &plans[0], "execute"),
        other.tell_job(&me.operator, &plans[1], "execute")
    );
    let (won, lost) = if one.status == 200 { (0, two) } else { (1, one) };
    lost.expect_problem(409, "plan_stale");
    app.work_and_fold().await;
    let done = app.job(&me.operator, &plans[won]).await;
    assert_eq!(done["state"], "succeeded", "{done}");
    assert_eq!(read(&app, &me, "/v1/rollups").await["prices"]["book"], done["prices"]["book"]);
    // Whoever comes next has the way back of this one blocked, until it is taken back itself.
    let rest = app.planned(&me.operator, &reprice(1)).await;
    let third = app.executed(&me.operator, &rest).await;
    let blocked = app.tell_job(&me.operator, &done, "rollback").await;
    assert_eq!(blocked.status, 200, "the book of before is in force already");
    app.work_and_fold().await;
    assert_eq!(third["state"], "succeeded");
    move_to(&app, if won == 0 { 3 } else { 2 }).await;
    let now = app.job(&me.operator, &done).await;
    app.tell_job(&me.operator, &now, "rollback").await.expect_problem(409, "conflict");
}

#[tokio::test]
async fn a_job_whose_book_is_replaced_under_it_ends_failed_and_everybody_is_in_the_newest_book() {
    let app = TestApp::start().await;
    let me = folded(&app).await;
    imported(&app, &me, &SECOND).await;
    imported(&app, &me, &THIRD).await;
    let job = app.planned(&me.operator, &reprice(2)).await;
    app.tell_job(&me.operator, &job, "execute").await.expect_ok();
    move_to(&app, 3).await;
    app.work_and_fold().await;
    let ended = app.job(&me.operator, &job).await;
    assert_eq!((&ended["state"], &ended["failure"]), (&json!("failed"), &json!("superseded")), "{ended}");
    assert_eq!(read(&app, &me, "/v1/rollups").await["prices"]["book"], 3);
}

#[tokio::test]
async fn a_cancelled_reprice_is_taken_back_and_who_comes_meanwhile_moves_too() {
    let app = TestApp::start().await;
    let me = folded(&app).await;
    let rows = app.rollups_checksum().await;
    let book = imported(&app, &me, &SECOND).await;
    let job = app.planned(&me.operator, &reprice(book)).await;
    let running = app.tell_job(&me.operator, &job, "execute").await.expect_ok().clone();
    let cancelled = app.tell_job(&me.operator, &running, "cancel").await.expect_ok().clone();
    assert_eq!(read(&app, &me, "/v1/rollups").await["prices"]["pending_book"], book);
    let you = app.user("you", "UTC").await;
    let yours = app.device(&you, "laptop").await;
    post(&app, &yours, "2026-11-19T12:00:00Z", "gpt-5", json!({"input_tokens": 1_000_000})).await;
    app.drain().await;
    assert_eq!(read(&app, &you, "/v1/rollups").await["totals"]["cost"]["amount"], "3", "new rollups begin in it");
    let back = app.rolled_back(&me.operator, &cancelled).await;
    assert_eq!((&back["state"], &back["progress"]["done"]), (&json!("rolled_back"), &json!(2)), "{back}");
    let reply = read(&app, &you, "/v1/rollups").await;
    assert_eq!((&reply["totals"]["cost"]["amount"], &reply["prices"]["book"]), (&json!("2"), &json!(1)));
    app.tell(&format!("delete from rollup.daily where user_id = '{}'", you.user_id)).await;
    assert_eq!(app.rollups_checksum().await, rows);
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_said_and_nothing_is_put_in_force() {
    let app = TestApp::start().await;
    let me = folded(&app).await;
    let book = imported(&app, &me, &SECOND).await;
    let refused = app.post_backfill(&me.operator, "unknown", &reprice(7)).await;
    let problem = refused.expect_problem(422, "invalid");
    assert_eq!(
        (&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]),
        (&json!("/book"), &json!("unknown_book"))
    );
    assert_eq!(app.ask("select count(*)::text from backfill.job").await, ["0"]);
    app.post_backfill(&me.viewer, "viewer", &reprice(book)).await.expect_problem(403, "wrong_principal");
    let job = app.planned(&me.operator, &reprice(book)).await;
    let path = format!("/v1/backfills/{}/execute", job["id"].as_str().unwrap());
    let tell = || app.request(Method::POST, &path).bearer(&me.operator);
    tell().send().await.expect_problem(428, "precondition_required");
    tell().header("if-match", "\"1\"").send().await.expect_problem(412, "version_mismatch");
    app.tell_job(&me.operator, &job, "rollback").await.expect_problem(409, "conflict");
    assert_eq!(app.ask("select book::text from price.in_force").await, ["1"]);
    assert!(app.job_list(&me.operator, &job, "rows").await.is_empty());
    assert_eq!(app.get(&me.viewer, &format!("/v1/backfills/{}", job["id"].as_str().unwrap())).await.status, 404);
}
