//! Whose a key is, where it is valid, and how many there are.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use halfhour::kernel::access::{Actor, TokenKind};
use halfhour::kernel::idempotency::purge;

use super::{assert_repeats, replayed};
use crate::support::{Reply, TestApp, TestUser, context};

const KEY: (&str, &str) = ("idempotency-key", "one");

async fn act(app: &TestApp, token: &str, path: &str, key: &str) -> Reply {
    app.request(Method::POST, path).bearer(token).header(KEY.0, key).send().await
}

async fn register(app: &TestApp, token: &str, name: &str) -> Reply {
    let request = app.request(Method::POST, "/v1/devices").bearer(token).header(KEY.0, KEY.1);
    request.json(&json!({ "name": name })).send().await
}

async fn another_token(app: &TestApp, user: &TestUser, kind: TokenKind) -> String {
    let issued = app.accounts().issue_token(&context(), Actor::Command, &user.name, kind, None).await.unwrap();
    issued.token.reveal().to_owned()
}

#[tokio::test]
async fn a_key_is_a_users_whichever_of_its_tokens_comes_and_another_users_is_another() {
    let app = TestApp::start().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let first = register(&app, &ann.viewer, "tablet").await;
    assert_repeats(&register(&app, &another_token(&app, &ann, TokenKind::Viewer).await, "tablet").await, &first);
    let bobs = register(&app, &bob.viewer, "tablet").await;
    assert_eq!((bobs.status, replayed(&bobs)), (201, false));
    assert_ne!(bobs.json["token"], first.json["token"]);
    let owners = "select user_id::text from usage.idempotency where user_id = device_id order by created_at";
    assert_eq!(app.ask(owners).await, [ann.user_id, bob.user_id].map(|id| id.to_string()));
}

#[tokio::test]
async fn what_an_operator_does_to_others_is_recorded_as_its_own() {
    let app = TestApp::start().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let create = async |token: &str| {
        let request = app.request(Method::POST, "/v1/users").bearer(token).header(KEY.0, KEY.1);
        request.json(&json!({"name": "carl"})).send().await
    };
    let first = create(&ann.operator).await;
    assert_eq!(first.status, 201);
    create(&bob.operator).await.expect_problem(409, "conflict");
    assert_repeats(&create(&another_token(&app, &ann, TokenKind::Operator).await).await, &first);
    assert_eq!(app.ask("select user_id::text from usage.idempotency").await, [ann.user_id.to_string()]);
}

#[tokio::test]
async fn the_same_key_elsewhere_is_another_key_and_makes_another_token() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let devices = [app.device(&ann, "laptop").await, app.device(&ann, "phone").await];
    let mut tokens = vec![register(&app, &ann.viewer, "tablet").await.json["token"].clone()];
    for device in &devices {
        let rotated = act(&app, &ann.viewer, &format!("/v1/devices/{}/rotate", device.device_id), KEY.1).await;
        assert_eq!((rotated.status, replayed(&rotated)), (201, false));
        tokens.push(rotated.json["token"].clone());
    }
    tokens.sort_by_key(ToString::to_string);
    tokens.dedup();
    assert_eq!(tokens.len(), 3);
    assert_eq!(act(&app, &ann.viewer, "/v1/link-codes", KEY.1).await.status, 201);
    assert_eq!(app.ask("select count(*)::text from usage.idempotency").await, ["4"]);
}

#[tokio::test]
async fn one_device_is_not_rotated_twice_by_one_key_however_its_id_is_spelled() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let id = app.device(&ann, "laptop").await.device_id;
    let path = |id: &str| format!("/v1/devices/{id}/rotate");
    let first = act(&app, &ann.viewer, &path(&id.to_string()), KEY.1).await;
    assert_eq!(first.status, 201);
    for spelled in [id.to_string().to_uppercase(), id.simple().to_string(), format!("urn:uuid:{id}")] {
        let other = act(&app, &ann.viewer, &path(&spelled), KEY.1).await;
        other.expect_problem(422, "idempotency_key_reused");
    }
    let encoded = id.to_string().replace('-', "%2D");
    assert_repeats(&act(&app, &ann.viewer, &path(&encoded), KEY.1).await, &first);
    assert_eq!(app.ask("select count(*)::text from ops.audit where action = 'device.rotate'").await, ["1"]);
}

/// So many records of a user or of its device, each a second older than the next.
async fn fill(app: &TestApp, user_id: Uuid, device_id: Uuid, number: u32) {
    app.tell(&format!(
        "insert into usage.idempotency (user_id, scope_hash, device_id, fingerprint, request_id, verdicts, created_at)
         select '{user_id}', sha256(('{device_id}' || n)::bytea), '{device_id}', sha256('x'), '{user_id}', '',
             now() - n * interval '1 second'
         from generate_series(1, {number}) n"
    ))
    .await;
}

#[tokio::test]
async fn only_the_newest_thousand_of_a_users_own_records_stay_beside_those_of_its_devices() {
    let app = TestApp::start().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let laptop = app.device(&ann, "laptop").await;
    for (user, device) in [(ann.user_id, ann.user_id), (ann.user_id, laptop.device_id), (bob.user_id, bob.user_id)] {
        fill(&app, user, device, 1002).await;
    }
    let count = async |device: Uuid| {
        let sql = format!("select count(*)::text from usage.idempotency where device_id = '{device}'");
        app.ask(&sql).await[0].clone()
    };
    let first = act(&app, &ann.viewer, "/v1/link-codes", "1").await;
    let counts = [count(ann.user_id).await, count(laptop.device_id).await, count(bob.user_id).await];
    assert_eq!(counts, ["1000", "1002", "1002"]);
    act(&app, &ann.viewer, "/v1/link-codes", "2").await;
    assert_eq!(count(ann.user_id).await, "1000");
    assert_repeats(&act(&app, &ann.viewer, "/v1/link-codes", "1").await, &first);
    let own = format!("from usage.idempotency where device_id = '{}'", ann.user_id);
    assert_eq!(app.ask(&format!("select count(*)::text {own} and status is null")).await, ["998"]);
    let oldest = format!("select (scope_hash = sha256(('{}' || 998)::bytea))::text {own}", ann.user_id);
    assert_eq!(app.ask(&format!("{oldest} order by created_at limit 1")).await, ["true"], "the oldest went");
}

#[tokio::test]
async fn the_purge_removes_what_has_expired_and_nothing_else() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    for key in ["old", "young"] {
        assert_eq!(act(&app, &ann.viewer, "/v1/link-codes", key).await.status, 201);
        let aged = format!(
            "update usage.idempotency set created_at = created_at - interval '{} hours'",
            if key == "old" { 1 } else { 23 }
        );
        app.tell(&aged).await;
    }
    fill(&app, ann.user_id, Uuid::nil(), 10_500).await;
    app.tell("update usage.idempotency set created_at = now() - interval '2 days' where device_id <> user_id").await;
    assert_eq!(purge(&app.pools.worker, &context()).await.unwrap(), 10_501);
    assert!(replayed(&act(&app, &ann.viewer, "/v1/link-codes", "young").await));
    assert!(!replayed(&act(&app, &ann.viewer, "/v1/link-codes", "old").await));
}
