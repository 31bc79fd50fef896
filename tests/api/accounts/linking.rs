//! Link codes and their exchange.

use chrono::TimeDelta;
use futures_util::future::join_all;
use halfhour::features::accounts::Accounts;
use halfhour::kernel::access::Actor;
use halfhour::kernel::usage::relay_notifier::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{anonymous, made, violations};
use crate::support::{NOW, Reply, TestApp, TestUser, context, instant, server_key};

async fn make_code(app: &TestApp, user: &TestUser) -> String {
    made(&app.act(&user.viewer, "/v1/link-codes").await, "code").to_owned()
}

async fn exchange(app: &TestApp, code: &str, request_id: Uuid, name: &str) -> Reply {
    let body = json!({"code": code, "request_id": request_id, "device_name": name, "platform": "linux"});
    app.request(Method::POST, "/v1/link-codes/exchange").json(&body).send().await
}

/// The same from somewhere, as the trusted proxy says.
async fn exchange_from(app: &TestApp, address: &str, code: &str, name: &str) -> Reply {
    let body = json!({"code": code, "request_id": Uuid::now_v7(), "device_name": name});
    let request = app.request(Method::POST, "/v1/link-codes/exchange").header("x-forwarded-for", address);
    request.json(&body).send().await
}

#[tokio::test]
async fn a_code_that_is_typed_on_a_device_becomes_its_token() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let reply = app.act(&user.viewer, "/v1/link-codes").await;
    let code = made(&reply, "code").to_owned();
    assert_eq!(reply.json["expires_at"], "2026-11-20T12:10:00Z");
    let linked = exchange(&app, &code.to_lowercase().replace('-', " "), Uuid::now_v7(), "phone").await;
    let token = made(&linked, "token");
    app.post_buckets(token, &json!({"buckets": []})).await.expect_ok();
    let device_id = linked.json["device_id"].as_str().unwrap();
    let listed = app.get(&user.viewer, "/v1/devices").await;
    assert_eq!(listed.expect_ok()["data"][0]["device_id"], device_id);
    assert_eq!(app.acts("viewer").await, [format!("link_code.add {}", user.user_id)]);
    assert_eq!(app.acts("server").await, [format!("device.link {device_id}")]);
    let stored = app.ask("select c::text || d::text from account.link_code c, ops.audit d").await.concat();
    assert!(!stored.contains(&code) && !stored.contains(token), "a secret is stored");
}

#[tokio::test]
async fn sixteen_exchanges_of_one_code_yield_one_token_which_its_request_replays() {
    let app = TestApp::start().await;
    let other = app.second_server().await;
    let user = app.user("ann", "UTC").await;
    let code = make_code(&app, &user).await;
    let requests: Vec<Uuid> = (0..16).map(|_| Uuid::new_v4()).collect();
    let exchanges = requests.iter().enumerate().map(|(number, request)| {
        let server = if number % 2 == 0 { &app } else { &other };
        exchange(server, &code, *request, "phone")
    });
    let replies = join_all(exchanges).await;
    let won: Vec<usize> = (0..16).filter(|number| replies[*number].status == 201).collect();
    assert_eq!(won.len(), 1, "{replies:?}");
    let first = &replies[won[0]];
    let refusals: Vec<Value> = replies.iter().filter(|reply| reply.status != 201).map(anonymous).collect();
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");

    // The answer was lost. The same request gets it again, from any process, also long after the
    // code expired.
    for server in [&app, &other] {
        server.clock.set(instant(NOW) + TimeDelta::hours(3));
        let replays = join_all((0..4).map(|_| exchange(server, &code, requests[won[0]], "another name"))).await;
        assert!(replays.iter().all(|reply| reply.json == first.json && reply.status == 201), "{replays:?}");
    }
    let rows = "select (select count(*) from account.device) || ' ' || (select count(*) from account.token where kind = 'device')";
    assert_eq!(app.ask(rows).await, ["1 1"]);
    app.post_buckets(made(first, "token"), &json!({"buckets": []})).await.expect_ok();
}

#[tokio::test]
async fn codes_that_are_wrong_used_or_expired_are_refused_alike() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let gone = app.user("bob", "UTC").await;
    let [spent, expired, last_moment, of_revoked] = [
        make_code(&app, &user).await,
        make_code(&app, &user).await,
        make_code(&app, &user).await,
        make_code(&app, &gone).await,
    ];
    made(&exchange(&app, &spent, Uuid::now_v7(), "phone").await, "token");
    app.accounts().users.revoke(&context(), Actor::Command, "bob").await.unwrap();
    let mut refusals = Vec::new();
    for code in [&spent, &of_revoked, "0000-0000-0000", "7K3M", "not a code at all", ""] {
        refusals.push(exchange(&app, code, Uuid::now_v7(), "tablet").await);
    }
    app.clock.set(instant("2026-11-20T12:09:59.999999Z"));
    made(&exchange(&app, &last_moment, Uuid::now_v7(), "in time").await, "token");
    app.clock.set(instant("2026-11-20T12:10:00Z"));
    refusals.push(exchange(&app, &expired, Uuid::now_v7(), "tablet").await);
    for refused in &refusals {
        refused.expect_problem(422, "invalid");
        assert_eq!(violations(refused), [("/code", "unusable_code")]);
        assert_eq!(anonymous(refused), anonymous(&refusals[0]));
    }
    assert_eq!(app.ask("select name from account.device order by name").await, ["in time", "phone"]);
}

#[tokio::test]
async fn who_guesses_codes_is_shut_out_and_nobody_in_another_network_is() {
    let app = TestApp::start_with(|settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let user = app.user("ann", "UTC").await;
    let [code, other_code, third_code] =
        [make_code(&app, &user).await, make_code(&app, &user).await, make_code(&app, &user).await];
    for number in 0..60 {
        let guess = format!("0000-0000-{number:04}");
        let guessed = exchange_from(&app, &format!("192.0.2.{}", number % 7), &guess, "phone").await;
        guessed.expect_problem(422, "invalid");
        if number == 50 {
            made(&exchange_from(&app, "192.0.2.1", &other_code, "laptop").await, "token");
        }
    }
    let refused = exchange_from(&app, "192.0.2.200", &code, "phone").await;
    refused.expect_problem(429, "rate_limited");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    for (network, code, name) in [("192.0.3.1", &code, "phone"), ("2001:db8::1", &third_code, "tablet")] {
        made(&exchange_from(&app, network, code, name).await, "token");
    }
}

#[tokio::test]
async fn many_who_make_codes_at_once_make_no_more_than_there_may_be() {
    let app = TestApp::start().await;
    let other = app.second_server().await;
    let user = app.user("ann", "UTC").await;
    let eve = app.user("eve", "UTC").await;
    for _ in 0..3 {
        let makers = (0..16).map(|number| {
            let (server, maker) = (if number % 2 == 0 { &app } else { &other }, if number == 7 { &eve } else { &user });
            server.act(&maker.viewer, "/v1/link-codes")
        });
        for reply in join_all(makers).await {
            assert!([201, 429, 503].contains(&reply.status), "{}", reply.json);
        }
    }
    // Where the machine was too busy for some of them, others have made up for it by now.
    for maker in [&user, &eve] {
        while app.act(&maker.viewer, "/v1/link-codes").await.status != 429 {}
    }
    let codes = "select count(*)::text from account.link_code c join account.user u using (user_id) group by u.name
                 order by u.name";
    assert_eq!(app.ask(codes).await, ["20", "20"]);
}

#[tokio::test]
async fn a_name_that_is_taken_leaves_the_code_unused() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    app.device(&user, "laptop").await;
    let code = make_code(&app, &user).await;
    let request_id = Uuid::now_v7();
    let refused = exchange(&app, &code, request_id, "laptop").await;
    refused.expect_problem(409, "conflict");
    assert_eq!(violations(&refused), [("/device_name", "name_in_use")]);
    let body = json!({"code": code, "request_id": 7, "device_name": "", "device": "x"});
    let refused = app.request(Method::POST, "/v1/link-codes/exchange").json(&body).send().await;
    let expected = [("/device", "unknown_field"), ("/request_id", "wrong_type"), ("/device_name", "wrong_length")];
    assert_eq!(violations(&refused), expected);
    made(&exchange(&app, &code, request_id, "phone").await, "token");
}

#[tokio::test]
async fn codes_are_few_and_go_a_day_after_they_expired() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    for _ in 0..20 {
        make_code(&app, &user).await;
    }
    let refused = app.act(&user.viewer, "/v1/link-codes").await;
    refused.expect_problem(429, "rate_limited");
    app.clock.set(instant("2026-11-20T12:10:00Z"));
    make_code(&app, &user).await;
    let accounts = Accounts::serving(app.pools.worker.clone(), server_key(), app.clock.clone(), Signal::default());
    for (at, left) in [("2026-11-21T12:09:59Z", "21"), ("2026-11-21T12:10:00Z", "1"), ("2026-11-21T12:20:00Z", "0")] {
        app.clock.set(instant(at));
        accounts.link_codes.purge(&context()).await.unwrap();
        assert_eq!(app.ask("select count(*)::text from account.link_code").await, [left], "{at}");
    }
}
