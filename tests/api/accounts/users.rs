//! `/v1/users`, and the acts of commands, each of which is written down.

use futures_util::future::join_all;
use halfhour::kernel::access::{Actor, TokenKind};
use serde_json::json;

use super::{made, violations};
use crate::support::{TestApp, context};

#[tokio::test]
async fn an_operator_creates_a_user_whose_viewer_token_is_shown_once() {
    let app = TestApp::start().await;
    let root = app.user("root", "UTC").await;
    let reply = app.post(&root.operator, "/v1/users", &json!({"name": "ann", "time_zone": "Asia/Kathmandu"})).await;
    let token = made(&reply, "viewer_token").to_owned();
    let me = app.get(&token, "/v1/me").await;
    assert_eq!((&me.expect_ok()["name"], &me.json["time_zone"]), (&json!("ann"), &json!("Asia/Kathmandu")));
    assert_eq!(me.json["user_id"], reply.json["user_id"]);

    let list = app.get(&root.operator, "/v1/users").await;
    let names: Vec<_> = list.expect_ok()["data"].as_array().unwrap().iter().map(|user| user["name"].clone()).collect();
    assert_eq!(names, ["root", "ann"]);
    assert!(!String::from_utf8_lossy(&list.body).contains("hhv_"), "a token is listed");
    let acts = format!("user.add {} by {}", reply.json["user_id"].as_str().unwrap(), root.user_id);
    let sql = "select action || ' ' || subject || ' by ' || actor_user_id from ops.audit where actor_kind = 'operator'";
    assert_eq!(app.ask(sql).await, [acts]);
    app.post(&root.viewer, "/v1/users", &json!({"name": "eve"})).await.expect_problem(403, "wrong_principal");
}

#[tokio::test]
async fn of_users_that_race_for_a_name_one_is_made_and_a_revoked_one_gives_it_back() {
    let app = TestApp::start().await;
    let root = app.user("root", "UTC").await;
    let ann = json!({"name": "ann"});
    let add = || app.post(&root.operator, "/v1/users", &ann);
    let replies = join_all((0..8).map(|_| add())).await;
    let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 7), "{replies:?}");
    for reply in lost {
        reply.expect_problem(409, "conflict");
        assert_eq!(violations(reply), [("/name", "name_in_use")]);
    }
    let tokens = "select count(*)::text from account.token t join account.user u using (user_id) where u.name = 'ann'";
    assert_eq!(app.ask(tokens).await, ["1"]);
    app.accounts().users.revoke(&context(), Actor::Command, "ann").await.unwrap();
    let other = app.second_server().await;
    other.get(made(won[0], "viewer_token"), "/v1/me").await.expect_problem(401, "unauthorized");
    made(&add().await, "viewer_token");
    let all = app.get(&root.operator, "/v1/users").await;
    let revoked: Vec<_> =
        all.expect_ok()["data"].as_array().unwrap().iter().map(|user| user["revoked_at"].is_string()).collect();
    assert_eq!(revoked, [false, true, false], "rows are revoked and never deleted");
}

#[tokio::test]
async fn what_is_wrong_with_a_user_is_said_and_nothing_is_made() {
    let app = TestApp::start().await;
    let root = app.user("root", "UTC").await;
    for (body, expected) in [
        (json!({"name": "ann", "time_zone": "Mars/Olympus"}), vec![("/time_zone", "unknown_time_zone")]),
        (json!({"name": "x".repeat(101)}), vec![("/name", "wrong_length")]),
        (
            json!({"time_zone": null, "admin": true}),
            vec![("/admin", "unknown_field"), ("/name", "missing"), ("/time_zone", "wrong_type")],
        ),
    ] {
        let refused = app.post(&root.operator, "/v1/users", &body).await;
        refused.expect_problem(422, "invalid");
        assert_eq!(violations(&refused), expected);
    }
    assert_eq!(app.ask("select name from account.user").await, ["root"]);
}

#[tokio::test]
async fn users_are_listed_by_pages() {
    let app = TestApp::start().await;
    let root = app.user("a", "UTC").await;
    for name in ["b", "c"] {
        app.user(name, "UTC").await;
    }
    let first = app.get(&root.operator, "/v1/users?limit=2").await;
    let cursor = first.expect_ok()["next_cursor"].as_str().unwrap();
    let second = app.get(&root.operator, &format!("/v1/users?limit=2&cursor={cursor}")).await;
    let data = second.expect_ok()["data"].as_array().unwrap();
    assert_eq!((data.len(), &data[0]["name"], second.json["next_cursor"].is_null()), (1, &json!("c"), true));
}

#[tokio::test]
async fn what_commands_do_is_written_down_and_no_secret_with_it() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let accounts = app.accounts();
    let tokens = accounts.tokens.list(&context(), Some(user.user_id)).await.unwrap();
    let viewer = tokens.iter().find(|token| token.kind == "viewer").unwrap().token_id;
    let rotated = accounts.tokens.rotate(&context(), Actor::Command, viewer).await.unwrap();
    app.get(&user.viewer, "/v1/me").await.expect_ok();
    app.get(rotated.token.reveal(), "/v1/me").await.expect_ok();
    assert!(accounts.tokens.revoke(&context(), Actor::Command, viewer).await.unwrap());
    assert!(!accounts.tokens.revoke(&context(), Actor::Command, viewer).await.unwrap());
    assert_eq!(
        accounts.tokens.rotate(&context(), Actor::Command, viewer).await.unwrap_err().code().as_str(),
        "conflict"
    );
    accounts.profiles.change_zone_of(&context(), Actor::Command, "ann", "Europe/Berlin").await.unwrap();
    let revoked = accounts.devices.revoke_named(&context(), Actor::Command, "ann", "laptop").await.unwrap();
    assert_eq!(revoked.device_id, device.device_id);
    assert!(
        accounts.devices.revoke_named(&context(), Actor::Command, "ann", "laptop").await.is_err(),
        "it has no name any more"
    );
    accounts.users.revoke(&context(), Actor::Command, "ann").await.unwrap();
    assert!(accounts.users.issue_token(&context(), Actor::Command, "ann", TokenKind::Viewer).await.is_err());

    let acts = app.acts("command").await;
    let actions: Vec<_> = acts.iter().map(|act| act.split(' ').next().unwrap()).collect();
    let expected = [
        "user.add",
        "token.issue",
        "device.add",
        "token.rotate",
        "token.revoke",
        "user.zone",
        "device.revoke",
        "user.revoke",
    ];
    assert_eq!(actions, expected);
    assert_eq!(app.ask("select topic from usage.outbox").await, ["rebuild"]);
    let written = app.ask("select a::text from ops.audit a").await.concat();
    for secret in [&user.viewer, &user.operator, &device.token, rotated.token.reveal()] {
        assert!(!written.contains(secret), "a token is in the audit");
    }
}
