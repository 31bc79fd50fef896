//! Secrets in answers under keys: the same again for the same request, another for any other, and nowhere in the database.

use std::sync::Arc;

use halfhour::features::accounts::{Accounts, CreatedUser};
use halfhour::kernel::access::{Actor, ServerKey, TokenKind};
use halfhour::kernel::idempotency::{Once, RequestKey, Unexecuted};
use halfhour::kernel::problem::Code;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CASES, World, assert_repeats};
use crate::support::{TestApp, TestUser, context};

const KEY: (&str, &str) = ("idempotency-key", "one-that-is-not-to-be-stored");

/// Every secret that an answer may hold.
fn secrets(answer: &Value) -> Vec<String> {
    ["token", "viewer_token", "code"].iter().filter_map(|name| Some(answer[*name].as_str()?.to_owned())).collect()
}

/// The rows of every table in which a text stands, also as the bytes of a `bytea`.
async fn found_in_tables(app: &TestApp, text: &str) -> Vec<String> {
    let hex = &app.ask(&format!("select encode('{text}'::bytea, 'hex')")).await[0];
    let tables = app
        .ask(
            "select format('%I.%I', table_schema, table_name) from information_schema.tables
             where table_schema in ('account', 'usage', 'rollup', 'backfill', 'ops') and table_type = 'BASE TABLE'",
        )
        .await;
    assert!(tables.len() > 12, "only {tables:?} were looked at");
    let mut found = Vec::new();
    for table in tables {
        let sql = format!(
            "select t::text from {table} t where strpos(t::text, '{text}') > 0 or strpos(t::text, '{hex}') > 0"
        );
        found.extend(app.ask(&sql).await.into_iter().map(|row| format!("{table}: {row}")));
    }
    found
}

#[tokio::test]
async fn no_secret_and_no_key_of_any_route_is_in_any_table() {
    let world = World::new().await;
    let mut seen = Vec::new();
    for case in CASES {
        let target = world.target(case).await;
        let first = world.send(&world.app, case, &target, &[KEY], case.body).await;
        assert_eq!(first.status, case.status, "{case:?}");
        seen.extend(secrets(&first.json));
    }
    assert_eq!(seen.len(), 4, "two device tokens, a viewer token, a code");
    let code = seen.iter().find(|secret| secret.len() == 14).unwrap().replace('-', "");
    seen.extend([code, KEY.1.to_owned()]);
    for secret in &seen {
        assert_eq!(found_in_tables(&world.app, secret).await, Vec::<String>::new());
    }
    assert!(!found_in_tables(&world.app, "tablet").await.is_empty(), "what is there is found");
    let planted = format!("update usage.idempotency set answer = 'x {} x' where status = 201", seen[0]);
    world.app.tell(&planted).await;
    assert!(!found_in_tables(&world.app, &seen[0]).await.is_empty(), "a secret that is there is found");
}

#[tokio::test]
async fn a_token_that_was_made_under_a_key_works_and_a_repetition_after_its_end_says_what_was_answered() {
    let world = World::new().await;
    let (app, viewer) = (&world.app, &world.ann.viewer);
    let register = || {
        let request = app.request(Method::POST, "/v1/devices").bearer(viewer).header(KEY.0, KEY.1);
        request.json(&json!({"name": "tablet"})).send()
    };
    let first = register().await;
    let (token, device) = (first.json["token"].as_str().unwrap(), first.json["device_id"].as_str().unwrap());
    app.post_buckets(token, &json!({"buckets": []})).await.expect_ok();
    let act = |what: &str, key: &'static str| {
        let request = app.request(Method::POST, &format!("/v1/devices/{device}/{what}"));
        request.bearer(viewer).header(KEY.0, key).send()
    };
    let rotated = act("rotate", "a").await;
    let again = act("rotate", "b").await;
    assert_ne!(rotated.json["token"], again.json["token"]);
    assert_repeats(&act("rotate", "a").await, &rotated);
    act("revoke", "c").await.expect_ok();
    // What was done is done: nothing is made anew, and the tokens stay what they have become.
    for (repeated, first) in [(register().await, &first), (act("rotate", "a").await, &rotated)] {
        assert_repeats(&repeated, first);
        let other = app.second_server().await;
        let refused = other.post_buckets(repeated.json["token"].as_str().unwrap(), &json!({"buckets": []})).await;
        refused.expect_problem(401, "unauthorized");
    }
    act("rotate", "d").await.expect_problem(409, "conflict");
}

#[tokio::test]
async fn a_code_that_was_made_under_a_key_is_exchanged_once() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let make = || app.request(Method::POST, "/v1/link-codes").bearer(&ann.viewer).header(KEY.0, KEY.1).send();
    let first = make().await;
    assert_repeats(&make().await, &first);
    let exchange = |name: &'static str| {
        let body = json!({"code": first.json["code"], "request_id": Uuid::now_v7(), "device_name": name});
        app.request(Method::POST, "/v1/link-codes/exchange").json(&body).send()
    };
    assert_eq!(exchange("phone").await.status, 201);
    assert_repeats(&make().await, &first);
    exchange("watch").await.expect_problem(422, "invalid");
    assert_eq!(app.ask("select count(*)::text from account.link_code").await, ["1"]);
}

/// A user as the operator that one of its tokens makes it.
async fn operator(app: &TestApp, user: &TestUser) -> Actor {
    let sql =
        format!("select token_id::text from account.token where kind = 'operator' and user_id = '{}'", user.user_id);
    let token_id = app.ask(&sql).await[0].parse().unwrap();
    Actor::Principal { kind: TokenKind::Operator, user_id: user.user_id, token_id }
}

async fn create(accounts: &Accounts, actor: Actor, place: u8, name: &str) -> Result<CreatedUser, Unexecuted> {
    let key = RequestKey::new(actor, &[place; 32], b"k", [1; 32]);
    let once = Once::new(key, CreatedUser::answer);
    accounts.users.create(&context(), actor, name, "UTC", once).await
}

#[tokio::test]
async fn once_the_servers_key_was_replaced_a_repetition_gets_no_token_that_never_worked() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let operator = operator(&app, &ann).await;
    let under = |secret: &str| Accounts::new(app.pools.worker.clone(), ServerKey::new(secret.as_bytes()).unwrap());
    let [before, after] = ["the key of yesterday, 32 characters", "the key of today, of 32 characters"].map(under);
    create(&before, operator, 1, "carl").await.unwrap();
    assert!(matches!(create(&before, operator, 1, "carl").await.unwrap_err(), Unexecuted::Answered(_)));
    let Unexecuted::Refused(problem) = create(&after, operator, 1, "carl").await.unwrap_err() else {
        panic!("a token was derived from another key");
    };
    assert_eq!(problem.code(), Code::Conflict);
    create(&after, operator, 2, "carla").await.unwrap();
    assert_eq!(app.ask("select count(*)::text from account.user").await, ["3"]);
}

#[tokio::test]
async fn sixteen_at_once_in_one_process_make_one_user_and_one_token() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let operator = operator(&app, &ann).await;
    let accounts = Arc::new(Accounts::new(app.pools.worker.clone(), crate::support::server_key()));
    let tasks = (0..16).map(|_| {
        let accounts = accounts.clone();
        tokio::spawn(async move { create(&accounts, operator, 1, "carl").await })
    });
    let mut made = 0;
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(Unexecuted::Answered(_)) => {}
            Err(Unexecuted::Refused(problem)) => {
                assert!([Code::IdempotencyInProgress, Code::Overloaded].contains(&problem.code()), "{problem:?}");
            }
        }
    }
    assert_eq!(made, 1);
    assert_eq!(app.ask("select count(*)::text from account.token where kind = 'viewer'").await, ["2"]);
}
