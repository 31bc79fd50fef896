//! `/v1/devices`: registering, listing, rotating and revoking.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{made, violations};
use crate::support::{NOW, TestApp, instant};

fn nothing() -> Value {
    json!({"buckets": []})
}

#[tokio::test]
async fn a_registered_device_posts_and_its_token_is_shown_once() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let reply = app.post(&user.viewer, "/v1/devices", &json!({"name": "laptop", "platform": "linux"})).await;
    let token = made(&reply, "token").to_owned();
    assert!(token.starts_with("hhd_"), "not a device token");
    app.post_buckets(&token, &nothing()).await.expect_ok();

    let list = app.get(&user.viewer, "/v1/devices").await;
    let listed = &list.expect_ok()["data"][0];
    assert_eq!(listed["device_id"], reply.json["device_id"]);
    assert_eq!(
        (&listed["name"], &listed["platform"], &listed["revoked_at"]),
        (&"laptop".into(), &"linux".into(), &Value::Null)
    );
    assert_eq!(list.json["next_cursor"], Value::Null);
    assert!(!String::from_utf8_lossy(&list.body).contains("hhd_"), "a token is listed");
    let stored = app.ask("select string_agg(t::text, '') from account.token t").await;
    assert!(!stored[0].contains(&token), "a token is stored");
    let acts = app.acts("viewer").await;
    assert_eq!(acts, [format!("device.add {}", reply.json["device_id"].as_str().unwrap())]);
}

#[tokio::test]
async fn of_devices_that_race_for_a_name_one_is_made() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let other = app.user("bob", "UTC").await;
    let body = json!({"name": "laptop"});
    let replies = join_all((0..8).map(|_| app.post(&user.viewer, "/v1/devices", &body))).await;
    let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 7), "{replies:?}");
    for reply in lost {
        reply.expect_problem(409, "conflict");
        assert_eq!(violations(reply), [("/name", "name_in_use")]);
    }
    let rows = "select (select count(*) from account.device) || ' ' || (select count(*) from account.token where kind = 'device')";
    assert_eq!(app.ask(rows).await, ["1 1"], "a device and its token come together or not at all");
    made(&app.post(&other.viewer, "/v1/devices", &body).await, "token");
}

#[tokio::test]
async fn what_is_wrong_with_a_device_is_said_at_once_and_nothing_is_made() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let body = json!({"name": "a\nb", "platform": "x".repeat(41), "token": "mine"});
    let refused = app.post(&user.viewer, "/v1/devices", &body).await;
    refused.expect_problem(422, "invalid");
    let expected = [("/token", "unknown_field"), ("/name", "control_character"), ("/platform", "wrong_length")];
    assert_eq!(violations(&refused), expected);
    app.post(&user.viewer, "/v1/devices", &json!([])).await.expect_problem(400, "malformed");
    app.act(&user.viewer, "/v1/devices").await.expect_problem(415, "unsupported_media_type");
    let keyed = app.request(reqwest::Method::POST, "/v1/devices").bearer(&user.viewer).json(&json!({"name": "x"}));
    keyed.header("idempotency-key", "").send().await.expect_problem(400, "malformed");
    assert_eq!(app.ask("select name from account.device").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_user_has_at_most_a_thousand_active_devices() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let fill = format!(
        "insert into account.device (user_id, device_id, name)
         select '{}', gen_random_uuid(), 'device ' || n from generate_series(1, 999) n",
        user.user_id
    );
    app.tell(&fill).await;
    let add = async |name: &str| app.post(&user.viewer, "/v1/devices", &json!({"name": name})).await;
    let thousandth = add("last").await;
    made(&thousandth, "token");
    add("one more").await.expect_problem(409, "conflict");
    let device_id = thousandth.json["device_id"].as_str().unwrap();
    app.act(&user.viewer, &format!("/v1/devices/{device_id}/revoke")).await.expect_ok();
    made(&add("one more").await, "token");
}

#[tokio::test]
async fn a_rotated_token_works_at_once_and_the_old_one_until_its_end() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let rotate = format!("/v1/devices/{}/rotate", device.device_id);
    let reply = app.act(&user.viewer, &rotate).await;
    let second = made(&reply, "token").to_owned();
    assert_eq!(reply.json["previous_valid_for_s"], 600);
    for token in [&device.token, &second] {
        app.post_buckets(token, &nothing()).await.expect_ok();
    }
    let ends =
        "select coalesce(extract(epoch from expires_at - transaction_timestamp()) between 590 and 600, false)::text
                from account.token where kind = 'device' order by token_id";
    assert_eq!(app.ask(ends).await, ["true", "false"], "only the old one has an end, ten minutes from now");

    // A few minutes later the first end stands, however often the device is rotated.
    app.tell("update account.token set expires_at = expires_at - interval '7 minutes' where kind = 'device'").await;
    let third = made(&app.act(&user.viewer, &rotate).await, "token").to_owned();
    app.tell("update account.token set expires_at = expires_at - interval '3 minutes' where kind = 'device'").await;
    let later = app.second_server().await;
    later.post_buckets(&device.token, &nothing()).await.expect_problem(401, "unauthorized");
    for token in [&second, &third] {
        later.post_buckets(token, &nothing()).await.expect_ok();
    }
}

#[tokio::test]
async fn rotations_that_race_leave_one_token_without_an_end() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let rotate = format!("/v1/devices/{}/rotate", device.device_id);
    let replies = join_all((0..6).map(|_| app.act(&user.viewer, &rotate))).await;
    for reply in &replies {
        app.post_buckets(made(reply, "token"), &nothing()).await.expect_ok();
    }
    let lasting = "select count(*)::text from account.token where kind = 'device' and expires_at is null";
    assert_eq!(app.ask(lasting).await, ["1"]);
}

#[tokio::test]
async fn a_revoked_device_is_refused_and_its_name_is_free_and_its_buckets_stay() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let body = json!({"buckets": [{"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "gpt", "input_tokens": 7}]});
    app.post_buckets(&device.token, &body).await.expect_ok();
    let revoke = format!("/v1/devices/{}/revoke", device.device_id);
    let replies = join_all((0..4).map(|_| app.act(&user.viewer, &revoke))).await;
    for reply in &replies {
        assert_eq!(reply.expect_ok(), replies[0].expect_ok(), "revoking again changes nothing");
    }
    // A server that remembers the token heeds it within ten seconds, as `token_cache` shows.
    let other = app.second_server().await;
    other.post_buckets(&device.token, &nothing()).await.expect_problem(401, "unauthorized");
    let rotate = app.act(&user.viewer, &format!("/v1/devices/{}/rotate", device.device_id)).await;
    rotate.expect_problem(409, "conflict");
    made(&app.post(&user.viewer, "/v1/devices", &json!({"name": "laptop"})).await, "token");
    assert_eq!(app.ask("select input_tokens::text from usage.bucket").await, ["7"]);
    let acts = app.acts("viewer").await;
    assert_eq!(acts.iter().filter(|act| act.starts_with("device.revoke")).count(), 1, "{acts:?}");
}

#[tokio::test]
async fn pages_of_devices_join_without_gaps_and_cursors_belong_to_their_list() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let mut expected = Vec::new();
    for number in 0..5 {
        expected.push(app.device(&user, &format!("device {number}")).await.device_id.to_string());
    }
    let (mut found, mut path) = (Vec::new(), "/v1/devices?limit=2".to_owned());
    let cursor = loop {
        let page = app.get(&user.viewer, &path).await;
        let data = page.expect_ok()["data"].as_array().unwrap();
        assert!((1..=2).contains(&data.len()), "{page:?}");
        found.extend(data.iter().map(|device| device["device_id"].as_str().unwrap().to_owned()));
        match page.json["next_cursor"].as_str() {
            // What comes meanwhile is at the end.
            Some(cursor) if found.len() == 4 => {
                expected.push(app.device(&user, "late").await.device_id.to_string());
                path = format!("/v1/devices?limit=2&cursor={cursor}");
            }
            Some(cursor) => path = format!("/v1/devices?limit=2&cursor={cursor}"),
            None => break path.split("cursor=").nth(1).unwrap().to_owned(),
        }
    };
    assert_eq!(found, expected);
    let other = app.user("bob", "UTC").await;
    app.get(&other.viewer, &format!("/v1/devices?cursor={cursor}")).await.expect_problem(400, "malformed");
    app.get(&user.operator, &format!("/v1/users?cursor={cursor}")).await.expect_problem(400, "malformed");
    let refused = app.get(&user.viewer, "/v1/devices?limit=0&sort=name").await;
    assert_eq!(violations(&refused), [("?sort", "unknown_parameter"), ("?limit", "out_of_range")]);
}

#[tokio::test]
async fn the_last_use_is_written_down_by_the_server_and_not_by_the_request() {
    let app = TestApp::start().await;
    let other = app.second_server().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    app.device(&user, "idle").await;
    other.clock.set(instant(NOW) + TimeDelta::minutes(5));
    for server in [&app, &other] {
        server.post_buckets(&device.token, &nothing()).await.expect_ok();
    }
    let last_uses = async || {
        let list = app.get(&user.viewer, "/v1/devices").await;
        let data = list.expect_ok()["data"].as_array().unwrap().clone();
        data.iter().map(|device| device["last_used_at"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(last_uses().await, [Value::Null, Value::Null], "no request writes");
    // Both processes write at once, the older use last, and the newer one stands.
    tokio::join!(app.note_token_uses(), other.note_token_uses());
    assert_eq!(last_uses().await, [json!("2026-11-20T12:05:00Z"), Value::Null]);
    app.post_buckets(&device.token, &nothing()).await.expect_ok();
    app.note_token_uses().await;
    assert_eq!(last_uses().await[0], "2026-11-20T12:05:00Z");
}

#[tokio::test]
async fn a_last_use_that_could_not_be_written_down_is_written_down_later() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    app.get(&user.viewer, "/v1/me").await.expect_ok();
    let mut blocker = app.admin.begin().await.unwrap();
    sqlx::raw_sql("lock table account.token in access exclusive mode").execute(&mut *blocker).await.unwrap();
    assert!(app.try_note_token_uses().await.is_err(), "the table is locked for longer than the worker waits");
    blocker.rollback().await.unwrap();
    app.note_token_uses().await;
    let written_down = "select kind from account.token where last_used_at is not null";
    tokio::time::timeout(Duration::from_secs(5), app.wait_for(written_down)).await.unwrap();
}

impl TestApp {
    async fn rename(&self, token: &str, device_id: uuid::Uuid, body: &Value) -> crate::support::Reply {
        let path = format!("/v1/devices/{device_id}");
        self.request(reqwest::Method::PATCH, &path).bearer(token).json(body).send().await
    }
}

const NAMES: &str = "select string_agg(name, ',' order by device_id) from account.device";

#[tokio::test]
async fn a_device_gets_another_name_and_keeps_its_id_its_token_and_its_usage() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let body = json!({"buckets": [{"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "gpt", "input_tokens": 7}]});
    app.post_buckets(&device.token, &body).await.expect_ok();
    for name in ["laptop of work", "laptop of work", "<script>alert(1)</script>"] {
        let renamed = app.rename(&user.viewer, device.device_id, &json!({"name": name})).await;
        assert_eq!(renamed.expect_ok(), &json!({"device_id": device.device_id, "name": name}));
        assert_eq!(app.get(&user.viewer, "/v1/devices").await.expect_ok()["data"][0]["name"], name);
    }
    app.post_buckets(&device.token, &body).await.expect_ok();
    assert_eq!(app.ask("select input_tokens::text from usage.bucket").await, ["7"]);
    let act = format!("device.rename {}", device.device_id);
    assert_eq!(app.acts("viewer").await, [act.clone(), act], "the same name once more changes nothing");
    let written = app.ask("select details::text from ops.audit where action = 'device.rename'").await;
    assert_eq!(written, ["{}", "{}"], "no name is in the audit");
}

#[tokio::test]
async fn a_name_is_one_devices_whoever_is_first() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let mut devices = Vec::new();
    for number in 0..6 {
        devices.push(app.device(&user, &format!("device {number}")).await.device_id);
    }
    let body = json!({"name": "laptop"});
    let replies = join_all(devices.iter().map(|device_id| app.rename(&user.viewer, *device_id, &body))).await;
    let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 5), "{replies:?}");
    for reply in lost {
        reply.expect_problem(409, "conflict");
        assert_eq!(violations(reply), [("/name", "name_in_use")]);
    }
    let named = "select count(*) filter (where name = 'laptop') || ' ' || count(*) filter (where name like 'device %')
                 from account.device";
    assert_eq!(app.ask(named).await, ["1 5"]);
    // A name of another user is free, and so is that of a device that is revoked.
    let other = app.user("bob", "UTC").await;
    let theirs = app.device(&other, "tower").await.device_id;
    app.rename(&other.viewer, theirs, &body).await.expect_ok();
    let holder = won[0].json["device_id"].as_str().unwrap().to_owned();
    app.act(&user.viewer, &format!("/v1/devices/{holder}/revoke")).await.expect_ok();
    let next = *devices.iter().find(|device_id| device_id.to_string() != holder).unwrap();
    app.rename(&user.viewer, next, &body).await.expect_ok();
    let revoked = app.rename(&user.viewer, holder.parse().unwrap(), &json!({"name": "laptop that broke"})).await;
    revoked.expect_ok();
}

#[tokio::test]
async fn who_says_what_a_device_was_called_does_not_rename_one_that_is_called_something_else() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await.device_id;
    let change = |name: String| json!({"name": name, "former_name": "laptop"});
    let bodies: Vec<Value> = (0..6).map(|number| change(format!("laptop {number}"))).collect();
    let replies = join_all(bodies.iter().map(|body| app.rename(&user.viewer, device, body))).await;
    let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 5), "{replies:?}");
    for reply in lost {
        reply.expect_problem(409, "conflict");
        assert_eq!(violations(reply), [("/former_name", "renamed_meanwhile")]);
    }
    let present = won[0].json["name"].as_str().unwrap();
    assert_eq!(app.ask(NAMES).await, [present]);
    // Whoever lost the answer and asks again is told that it is so.
    app.rename(&user.viewer, device, &change(present.to_owned())).await.expect_ok();
    assert_eq!(app.ask("select count(*)::text from ops.audit where action = 'device.rename'").await, ["1"]);
}

#[tokio::test]
async fn what_is_wrong_with_another_name_is_said_at_once_and_nothing_is_changed() {
    let app = TestApp::start().await;
    let (user, other) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let device = app.device(&user, "laptop").await.device_id;
    for script in ["x", "é", "長", "ع", "ह", "🙂", "e\u{301}"] {
        let longest = script.repeat(100 / script.chars().count());
        app.rename(&user.viewer, device, &json!({"name": longest})).await.expect_ok();
        for too_long in [format!("{longest}x"), script.repeat(256)] {
            let refused = app.rename(&user.viewer, device, &json!({"name": too_long})).await;
            refused.expect_problem(422, "invalid");
            assert_eq!(violations(&refused), [("/name", "wrong_length")], "{script}");
        }
    }
    app.rename(&user.viewer, device, &json!({"name": "laptop"})).await.expect_ok();
    for (body, expected) in [
        (json!({}), vec![("/name", "missing")]),
        (json!({"name": ""}), vec![("/name", "wrong_length")]),
        (json!({"name": 7}), vec![("/name", "wrong_type")]),
        (json!({"name": "a\nb"}), vec![("/name", "control_character")]),
        (
            json!({"name": "a\u{0}b", "former_name": "\u{85}"}),
            vec![("/name", "control_character"), ("/former_name", "control_character")],
        ),
        (json!({"name": "tower", "platform": "linux"}), vec![("/platform", "unknown_field")]),
    ] {
        let refused = app.rename(&user.viewer, device, &body).await;
        refused.expect_problem(422, "invalid");
        assert_eq!(violations(&refused), expected, "{body}");
    }
    app.rename(&user.viewer, device, &json!([])).await.expect_problem(400, "malformed");
    app.rename(&other.viewer, device, &json!({"name": "mine"})).await.expect_problem(404, "not_found");
    app.rename(&user.operator, device, &json!({"name": "mine"})).await.expect_problem(403, "wrong_principal");
    assert_eq!(app.ask(NAMES).await, ["laptop"]);
}
