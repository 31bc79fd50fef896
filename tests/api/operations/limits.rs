//! Limits: nobody uses up what is another's, and strangers cost next to nothing.

use std::time::Instant;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use halfhour::kernel::access::{Actor, TokenKind};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp, context, server_key};
use crate::token_cache::look_ups;

/// A post of so many buckets, each of another model.
fn buckets(count: usize) -> Value {
    let bucket =
        |number| json!({"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": format!("m{number}")});
    json!({"buckets": (0..count).map(bucket).collect::<Vec<_>>()})
}

/// As if from behind the proxy that the test's own address is.
async fn from(app: &TestApp, address: &str, path: &str) -> Reply {
    app.request(Method::GET, path).header("x-forwarded-for", address).send().await
}

async fn behind_a_proxy(anonymous: u32) -> TestApp {
    TestApp::start_with(|settings| {
        settings.limits.anonymous = anonymous;
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await
}

fn fields(reply: &Reply) -> [Vec<&str>; 2] {
    ["ratelimit-policy", "ratelimit"]
        .map(|name| reply.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect())
}

/// Tokens as they look, but under no key of ours.
fn forged(number: u32) -> String {
    format!("hhd_{number:0>54}")
}

#[tokio::test]
async fn each_role_has_its_own_limit_and_is_told_what_is_left() {
    let app = TestApp::start_with(|settings| {
        settings.limits.device = 2;
        settings.limits.viewer = 3;
        settings.limits.operator = 4;
    })
    .await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let send = async |kind: &str| match kind {
        "device" => app.post_buckets(&device.token, &buckets(0)).await,
        "viewer" => app.get(&user.viewer, "/v1/rollups").await,
        _ => app.get(&user.operator, "/v1/switches").await,
    };
    for (kind, quota) in [("device", 2_u32), ("viewer", 3), ("operator", 4)] {
        for left in (0..quota).rev() {
            let reply = send(kind).await;
            reply.expect_ok();
            let restored = (60 * (quota - left)).div_ceil(quota);
            let said = [format!("\"{kind}\";q={quota};w=60"), format!("\"{kind}\";r={left};t={restored}")];
            assert_eq!(fields(&reply), [[said[0].as_str()], [said[1].as_str()]], "{kind}");
            assert_eq!(reply.header("x-ratelimit-limit"), "", "the older dialect is not spoken");
        }
        let reply = send(kind).await;
        reply.expect_problem(429, "rate_limited");
        assert!((1..=60).contains(&reply.header("retry-after").parse::<u32>().unwrap()), "{:?}", reply.headers);
        assert_eq!(fields(&reply)[1], [format!("\"{kind}\";r=0;t=60")]);
    }
}

#[tokio::test]
async fn a_device_posts_so_many_buckets_an_hour_and_a_post_that_is_too_large_is_refused_whole() {
    let app = TestApp::start_with(|settings| settings.limits.device_buckets_per_hour = 500).await;
    let user = app.user("ann", "UTC").await;
    let (device, other) = (app.device(&user, "laptop").await, app.device(&user, "phone").await);
    let reply = app.post_buckets(&device.token, &buckets(300)).await;
    reply.expect_ok();
    assert_eq!(fields(&reply), [["\"buckets\";q=500;w=3600"], ["\"buckets\";r=200;t=2160"]]);

    let too_many = app.post_buckets(&device.token, &buckets(250)).await;
    let problem = too_many.expect_problem(429, "rate_limited");
    assert!(problem["detail"].as_str().unwrap().contains("500 an hour"), "{problem}");
    // Fifty more than there are, of which one comes back every 7.2 seconds.
    let seconds: u32 = too_many.header("retry-after").parse().unwrap();
    assert!((340..=361).contains(&seconds), "{seconds}");
    assert_eq!(app.ask("select count(*)::text from usage.bucket").await, ["300"]);

    app.post_buckets(&device.token, &json!({"buckets": [{}]})).await.expect_problem(422, "invalid");
    app.post_buckets(&device.token, &buckets(200)).await.expect_ok();
    app.post_buckets(&device.token, &buckets(2)).await.expect_problem(429, "rate_limited");
    app.post_buckets(&device.token, &buckets(0)).await.expect_ok();
    app.post_buckets(&other.token, &buckets(500)).await.expect_ok();
    let another = app.accounts().devices.issue_token(&context(), Actor::Command, "ann", "laptop").await.unwrap();
    app.post_buckets(another.token.reveal(), &buckets(2)).await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn who_comes_without_a_token_is_limited_by_address_and_health_checks_are_not() {
    let app = behind_a_proxy(3).await;
    for path in ["/openapi.json", "/problems/invalid", "/docs/"] {
        let reply = from(&app, "192.0.2.1", path).await;
        assert_eq!(
            (reply.status, fields(&reply)[0].as_slice()),
            (200, ["\"anonymous\";q=3;w=60"].as_slice()),
            "{path}"
        );
    }
    for path in ["/openapi.json", "/problems/invalid", "/docs/", "/v1/rollups"] {
        from(&app, "192.0.2.1", path).await.expect_problem(429, "rate_limited");
    }
    for path in ["/health/live", "/health/ready", "/health/startup"] {
        assert_eq!(from(&app, "192.0.2.1", path).await.status, 200, "{path}");
    }
    assert_eq!(from(&app, "192.0.2.2", "/openapi.json").await.status, 200);
}

#[tokio::test]
async fn an_address_cannot_be_made_up() {
    let app = TestApp::start_with(|settings| settings.limits.anonymous = 3).await;
    for number in 0..3 {
        assert_eq!(from(&app, &format!("192.0.2.{number}"), "/openapi.json").await.status, 200);
    }
    from(&app, "192.0.2.9", "/openapi.json").await.expect_problem(429, "rate_limited");

    let app = behind_a_proxy(3).await;
    for number in 0..3 {
        let made_up = format!("203.0.113.{number}, 192.0.2.1");
        assert_eq!(from(&app, &made_up, "/openapi.json").await.status, 200);
    }
    from(&app, "203.0.113.9, 192.0.2.1", "/openapi.json").await.expect_problem(429, "rate_limited");
    let forwarded = app.request(Method::GET, "/openapi.json").header("x-forwarded-for", "192.0.2.1");
    forwarded.header("forwarded", "for=203.0.113.10").send().await.expect_problem(429, "rate_limited");
    // One IPv6 caller has 2^64 addresses.
    for number in 0..3 {
        assert_eq!(from(&app, &format!("2001:db8::{number}"), "/openapi.json").await.status, 200);
    }
    from(&app, "2001:db8::ffff:ffff:ffff:ffff", "/openapi.json").await.expect_problem(429, "rate_limited");
    assert_eq!(from(&app, "2001:db8:0:1::1", "/openapi.json").await.status, 200);
}

#[tokio::test]
async fn strangers_who_come_together_get_no_more_than_one_allowance() {
    let app = behind_a_proxy(20).await;
    let started = Instant::now();
    let replies = join_all((0..64).map(|_| from(&app, "192.0.2.1", "/problems/invalid"))).await;
    let granted = replies.iter().filter(|reply| reply.status == 200).count();
    let restored = usize::try_from(started.elapsed().as_secs() / 3).unwrap();
    assert!((20..=21 + restored).contains(&granted), "{granted}");
    assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 429)));
}

/// Sends all of them, some at a time, with a device of the same address in between: how many of the strangers were
/// refused as unauthorized, and how many as too many.
async fn besiege(app: &TestApp, tokens: Vec<String>, device: &str) -> (usize, usize) {
    let strangers = stream::iter(tokens).map(|token| async move { app.get(&token, "/v1/rollups").await.status });
    let (mut unauthorized, mut limited) = (0, 0);
    let mut statuses = strangers.buffer_unordered(16);
    let mut number = 0;
    while let Some(status) = statuses.next().await {
        match status {
            401 => unauthorized += 1,
            429 => limited += 1,
            // Only a token that was looked up can find the database busy.
            503 => {}
            other => panic!("{other}"),
        }
        if number % 500 == 0 {
            app.post_buckets(device, &buckets(1)).await.expect_ok();
        }
        number += 1;
    }
    (unauthorized, limited)
}

#[tokio::test]
async fn ten_thousand_random_tokens_cost_no_look_up_and_the_device_beside_them_keeps_working() {
    let app = TestApp::start().await;
    let database = app.superuser.get_database().unwrap();
    app.tell(&format!("alter database {database} set track_functions = 'all'")).await;
    let server = app.second_server_with(|settings| settings.limits.anonymous = 60).await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;

    let started = Instant::now();
    let (unauthorized, limited) = besiege(&server, (0..10_000).map(forged).collect(), &device.token).await;
    let restored = usize::try_from(started.elapsed().as_secs()).unwrap();
    assert!((60..=61 + restored).contains(&unauthorized), "{unauthorized}");
    assert_eq!(unauthorized + limited, 10_000);

    // Whoever has the server's key, or many tokens that were revoked, can do no more.
    let genuine = (0..500).map(|_| server_key().issue(TokenKind::Device).unwrap().reveal().to_owned()).collect();
    besiege(&server, genuine, &device.token).await;
    server.pools.read.close().await;
    let look_ups = look_ups(&app).await;
    assert!((1..=100).contains(&look_ups), "{look_ups}");
}

#[tokio::test]
async fn forged_tokens_keep_nobody_out_and_unknown_ones_only_who_was_never_seen() {
    let app = TestApp::start_with(|settings| settings.limits.anonymous = 1).await;
    let user = app.user("ann", "UTC").await;
    app.get(&forged(1), "/v1/rollups").await.expect_problem(401, "unauthorized");
    let refused = app.get(&forged(1), "/v1/rollups").await;
    refused.expect_problem(429, "rate_limited");
    assert_eq!(fields(&refused)[1], ["\"anonymous\";r=0;t=60"]);
    app.get(&user.viewer, "/v1/rollups").await.expect_ok();

    // With the server's key, or with tokens that were revoked, it goes as far as two look-ups.
    for _ in 0..2 {
        let unknown = server_key().issue(TokenKind::Viewer).unwrap();
        app.get(unknown.reveal(), "/v1/rollups").await.expect_problem(429, "rate_limited");
    }
    // Not "not valid", for nobody has looked.
    let reply = app.get(&user.operator, "/v1/switches").await;
    reply.expect_problem(429, "rate_limited");
    assert_eq!(reply.header("retry-after"), "1");
    app.get(&user.viewer, "/v1/rollups").await.expect_ok();
}
