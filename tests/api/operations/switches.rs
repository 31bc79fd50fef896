//! Kill switches: stored once, obeyed by every process, never thrown without a name and a reason in the audit.

use futures_util::future::join_all;
use halfhour::kernel::operations::switches::Switch;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::support::{NOW, Reply, TestApp, TestUser};

async fn put(app: &TestApp, token: &str, name: &str, body: &Value) -> Reply {
    app.request(Method::PUT, &format!("/v1/switches/{name}")).bearer(token).json(body).send().await
}

async fn throw(app: &TestApp, user: &TestUser, name: &str, is_on: bool) -> Value {
    put(app, &user.operator, name, &json!({"is_on": is_on, "reason": "a test"})).await.expect_ok().clone()
}

fn known_to(app: &TestApp) -> [bool; 4] {
    Switch::ALL.map(|switch| app.switches().is_on(switch))
}

fn empty() -> Value {
    json!({"buckets": []})
}

#[tokio::test]
async fn before_the_switches_are_read_backfill_and_retention_rest_and_then_what_nobody_threw_is_on() {
    let app = TestApp::start().await;
    assert_eq!(known_to(&app), [true, true, false, false]);
    app.refresh_switches().await;
    assert_eq!(known_to(&app), [true; 4]);
    let user = app.user("ann", "UTC").await;
    let listed = app.get(&user.operator, "/v1/switches").await.expect_ok().clone();
    let expected = ["ingest", "relay", "backfill", "retention"]
        .map(|name| json!({"name": name, "is_on": true, "reason": null, "changed_at": null}));
    assert_eq!(listed, json!({ "switches": expected }));
}

#[tokio::test]
async fn each_switch_is_obeyed_at_once_here_and_after_the_next_reading_elsewhere() {
    let app = TestApp::start().await;
    let other = app.second_server().await;
    let user = app.user("ann", "UTC").await;
    for server in [&app, &other] {
        server.refresh_switches().await;
    }
    for (position, switch) in Switch::ALL.into_iter().enumerate() {
        for is_on in [false, true] {
            let reply = throw(&app, &user, switch.as_str(), is_on).await;
            let expected = json!({"name": switch.as_str(), "is_on": is_on, "reason": "a test", "changed_at": NOW});
            assert_eq!(reply, expected);
            let mut expected = [true; 4];
            expected[position] = is_on;
            assert_eq!(known_to(&app), expected, "{switch:?} here");
            assert_eq!(other.get(&user.operator, &format!("/v1/switches/{}", switch.as_str())).await.json, reply);
            other.refresh_switches().await;
            assert_eq!(known_to(&other), expected, "{switch:?} elsewhere");
        }
    }
}

#[tokio::test]
async fn posts_are_refused_while_ingest_is_off_before_their_body_is_looked_at() {
    let app = TestApp::start().await;
    let other = app.second_server().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    throw(&app, &user, "ingest", false).await;
    let post = |server: &TestApp| server.request(Method::POST, "/v1/buckets").bearer(&device.token);

    let reply = app.post_buckets(&device.token, &empty()).await;
    reply.expect_problem(503, "switched_off");
    assert_eq!(reply.header("retry-after"), "30");
    // Too large, and of no known kind: nobody looked.
    post(&app).body(vec![b' '; 2 * 1024 * 1024]).send().await.expect_problem(503, "switched_off");
    app.request(Method::POST, "/v1/buckets").send().await.expect_problem(401, "unauthorized");
    app.post_buckets(&user.viewer, &empty()).await.expect_problem(403, "wrong_principal");
    app.get(&user.viewer, "/v1/rollups").await.expect_ok();

    other.post_buckets(&device.token, &empty()).await.expect_ok();
    other.refresh_switches().await;
    other.post_buckets(&device.token, &empty()).await.expect_problem(503, "switched_off");

    throw(&other, &user, "ingest", true).await;
    other.post_buckets(&device.token, &empty()).await.expect_ok();
    app.refresh_switches().await;
    app.post_buckets(&device.token, &empty()).await.expect_ok();
}

#[tokio::test]
async fn what_cannot_be_read_stays_as_it_was_and_what_cannot_be_audited_is_not_thrown() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    throw(&app, &user, "backfill", false).await;
    app.refresh_switches().await;
    assert_eq!(known_to(&app), [true, true, false, true]);

    app.tell("alter table ops.audit rename to elsewhere").await;
    put(&app, &user.operator, "ingest", &json!({"is_on": false, "reason": "x"})).await.expect_problem(500, "internal");
    assert_eq!(app.ask("select name from ops.switch").await, ["backfill"], "both, or neither");
    assert!(app.switches().is_on(Switch::Ingest));
    app.tell("alter table ops.elsewhere rename to audit").await;

    app.tell("alter table ops.switch rename to elsewhere").await;
    assert!(app.switchboard().refresh().await.is_err());
    assert_eq!(known_to(&app), [true, true, false, true]);
    let started_blind = app.second_server().await;
    assert!(started_blind.switchboard().refresh().await.is_err());
    assert_eq!(known_to(&started_blind), [true, true, false, false]);
}

#[tokio::test]
async fn a_switch_is_thrown_by_operators_with_a_reason_only() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let body = json!({"is_on": false, "reason": "x"});
    for token in [&user.viewer, &device.token] {
        put(&app, token, "ingest", &body).await.expect_problem(403, "wrong_principal");
        app.get(token, "/v1/switches").await.expect_problem(403, "wrong_principal");
    }
    put(&app, &user.operator, "everything", &body).await.expect_problem(404, "not_found");
    app.get(&user.operator, "/v1/switches/Ingest").await.expect_problem(404, "not_found");
    put(&app, &user.operator, "ingest", &json!({"is_on": false})).await.expect_problem(422, "invalid");
    put(&app, &user.operator, "ingest", &json!([])).await.expect_problem(400, "malformed");
    let with_key = app.request(Method::PUT, "/v1/switches/ingest").bearer(&user.operator).json(&body);
    with_key.header("idempotency-key", "").send().await.expect_problem(400, "malformed");
    let problem = put(&app, &user.operator, "ingest?force=1&x", &body).await.expect_problem(422, "invalid").clone();
    let refused =
        ["?force", "?x"].map(|name| problem["errors"].as_array().unwrap().iter().any(|error| error["pointer"] == name));
    assert_eq!(refused, [true; 2], "{problem}");
    assert_eq!(app.ask("select count(*)::text from ops.switch").await, ["0"]);
    assert_eq!(app.ask("select count(*)::text from ops.audit where action = 'switch.set'").await, ["0"]);
}

#[tokio::test]
async fn a_setting_that_says_two_things_or_gives_no_plain_reason_throws_nothing() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let too_long = format!(r#"{{"is_on":false,"reason":"{}"}}"#, "é".repeat(501));
    for (body, expected) in [
        (r#"{"is_on":true,"is_on":false,"reason":"x"}"#, vec!["/is_on duplicate_field"]),
        (
            r#"{"is_on":false,"reason":"x","reason":"x","a/b":1}"#,
            vec!["/reason duplicate_field", "/a~1b unknown_field"],
        ),
        (r#"{"is_on":false,"reason":"disk\nfull"}"#, vec!["/reason control_character"]),
        (r#"{"is_on":0,"reason":" \t "}"#, vec!["/is_on wrong_type", "/reason wrong_length"]),
        (&too_long, vec!["/reason wrong_length"]),
    ] {
        let request = app.request(Method::PUT, "/v1/switches/ingest").bearer(&user.operator);
        let reply = request.header("content-type", "application/json").body(body).send().await;
        let errors = reply.expect_problem(422, "invalid")["errors"].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let found: Vec<_> =
            errors.iter().map(|error| format!("{} {}", text(&error["pointer"]), text(&error["code"]))).collect();
        assert_eq!(found, expected, "{body}");
    }
    assert!(app.switches().is_on(Switch::Ingest));
    assert_eq!(app.ask("select count(*)::text from ops.switch").await, ["0"]);
    assert_eq!(app.ask("select count(*)::text from ops.audit where action = 'switch.set'").await, ["0"]);
}

#[tokio::test]
async fn every_throw_is_audited_with_who_why_and_in_which_request_and_nothing_there_can_be_rewritten() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let longest = "é".repeat(500);
    let reply = put(&app, &user.operator, "relay", &json!({"is_on": false, "reason": longest})).await;
    reply.expect_ok();
    let written = app
        .ask("select concat_ws(' ', actor_kind, actor_user_id, action, subject, reason, request_id, details) from ops.audit where action = 'switch.set'")
        .await;
    let (user_id, request_id) = (user.user_id, reply.header("x-request-id"));
    let entry = format!(r#"operator {user_id} switch.set relay {longest} {request_id} {{"is_on": false}}"#);
    assert_eq!(written, [entry]);
    for change in ["update ops.audit set reason = 'y'", "delete from ops.audit", "truncate ops.audit"] {
        assert!(app.admin.execute(sqlx::raw_sql(change)).await.is_err(), "{change}");
    }
}

#[tokio::test]
async fn operators_who_throw_one_switch_at_once_leave_one_value_that_all_processes_know_and_an_entry_each() {
    let app = TestApp::start().await;
    let other = app.second_server().await;
    let user = app.user("ann", "UTC").await;
    let throws = (0..16).map(|number| {
        let server = if number % 2 == 0 { &app } else { &other };
        throw(server, &user, "retention", number % 3 == 0)
    });
    join_all(throws).await;
    app.refresh_switches().await;
    other.refresh_switches().await;
    let stored = app.ask("select is_on::text from ops.switch").await == ["true"];
    assert_eq!([&app, &other].map(|server| server.switches().is_on(Switch::Retention)), [stored; 2]);
    assert_eq!(app.ask("select count(*)::text from ops.audit where action = 'switch.set'").await, ["16"]);
}
