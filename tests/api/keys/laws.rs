//! Laws over every route that changes something.

use futures_util::future::join;

use super::{CASES, Case, Target, WITHOUT_KEY, World, assert_repeats, replayed};
use crate::support::{Reply, line};

const KEY: (&str, &str) = ("idempotency-key", "one");

async fn first_and_repetitions(world: &World, case: Case, target: &Target) {
    let before = world.effects(case).await;
    let first = world.send(&world.app, case, target, &[KEY], case.body).await;
    assert_eq!((first.status, replayed(&first)), (case.status, false), "{case:?}: {}", first.json);
    assert_eq!(world.effects(case).await, before + 1, "{case:?}");
    // Also in quotes, and on another server. Where a version is asked for, there is another one by now.
    for (app, key) in [(&world.app, KEY), (&world.app, ("idempotency-key", "\"one\"")), (&world.second, KEY)] {
        let again = world.send(app, case, target, &[key], case.body).await;
        assert_repeats(&again, &first);
    }
    for other in another_request(world, case, target).await {
        other.expect_problem(422, "idempotency_key_reused");
    }
    assert_eq!(world.effects(case).await, before + 1, "{case:?}");
    assert_repeats(&world.send(&world.app, case, target, &[KEY], case.body).await, &first);
}

/// What says something else than the first request, under its key.
async fn another_request(world: &World, case: Case, target: &Target) -> Vec<Reply> {
    let mut others = vec![world.send(&world.app, case, target, &[KEY], case.other).await];
    if target.version.is_some() {
        let target = Target { version: Some("\"99\"".to_owned()), ..target.clone() };
        others.push(world.send(&world.app, case, &target, &[KEY], case.body).await);
    }
    if case.effect == "usage.erase" {
        for query in ["everything=true&dry_run=true", "source=codex"] {
            let target = Target { path: format!("/v1/me/usage?{query}"), version: None };
            others.push(world.send(&world.app, case, &target, &[KEY], case.body).await);
        }
    }
    others
}

#[tokio::test]
async fn a_request_that_is_repeated_under_its_key_is_answered_again_and_done_once() {
    let world = World::new().await;
    for case in CASES {
        let target = world.target(case).await;
        first_and_repetitions(&world, case, &target).await;
    }
}

#[tokio::test]
async fn two_at_once_from_two_servers_are_done_once_and_both_learn_of_it() {
    let world = World::new().await;
    for case in CASES {
        let target = world.target(case).await;
        let before = world.effects(case).await;
        let send = |app| world.send(app, case, &target, &[KEY], case.body);
        let (one, other) = join(send(&world.app), send(&world.second)).await;
        let (done, refused): (Vec<_>, Vec<_>) = [one, other].into_iter().partition(|reply| reply.status < 300);
        for reply in refused {
            reply.expect_problem(409, "idempotency_in_progress");
            assert_eq!(reply.header("retry-after"), "1");
        }
        let first = done.iter().find(|reply| !replayed(reply)).unwrap_or_else(|| panic!("{case:?}: {done:?}"));
        assert_eq!(world.effects(case).await, before + 1, "{case:?}");
        assert_repeats(&send(&world.app).await, first);
    }
}

#[tokio::test]
async fn while_a_request_is_executed_its_repetition_is_told_to_come_back_by_every_server() {
    let world = World::new().await;
    let case = *CASES.iter().find(|case| case.effect == "device.add").unwrap();
    let target = world.target(case).await;
    let held = crate::relay::hold(&world.app, "lock table account.device in share mode").await;
    let first = world.send(&world.app, case, &target, &[KEY], case.body);
    let early = async {
        world.app.wait_for(&crate::backfill::waits("read", "wait_event_type = 'Lock'")).await;
        for app in [&world.app, &world.second] {
            let early = world.send(app, case, &target, &[KEY], case.body).await;
            early.expect_problem(409, "idempotency_in_progress");
            assert_eq!(early.header("retry-after"), "1");
        }
        drop(held);
    };
    let (first, ()) = join(first, early).await;
    assert_eq!(first.status, 201, "{}", first.json);
    assert_repeats(&world.send(&world.second, case, &target, &[KEY], case.body).await, &first);
    assert_eq!(world.effects(case).await, 1);
}

#[tokio::test]
async fn a_malformed_key_is_refused_by_every_route_and_nothing_is_done() {
    let world = World::new().await;
    for case in CASES {
        let target = world.target(case).await;
        let before = world.effects(case).await;
        let long = "x".repeat(256);
        for keys in [vec![""], vec!["\"\""], vec!["a\tb"], vec![&long], vec!["a", "a"]] {
            let headers: Vec<_> = keys.iter().map(|key| ("idempotency-key", *key)).collect();
            let reply = world.send(&world.app, case, &target, &headers, case.body).await;
            reply.expect_problem(400, "malformed");
        }
        assert_eq!(world.effects(case).await, before, "{case:?}");
        let longest = ("idempotency-key", &long[1..]);
        assert_eq!(world.send(&world.app, case, &target, &[longest], case.body).await.status, case.status);
    }
    for (route, instead) in WITHOUT_KEY {
        let (method, path) = route.split_once(' ').unwrap();
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut refusals = Vec::new();
        for token in [&world.laptop.token, &world.ann.viewer] {
            let request = world.app.request(method.clone(), path).bearer(token).header(KEY.0, KEY.1);
            refusals.push(request.json(&serde_json::json!({})).send().await);
        }
        // Of the two tokens one may be of the wrong kind.
        refusals.retain(|refusal| refusal.status != 403);
        assert!(!refusals.is_empty(), "{route}");
        for refusal in refusals {
            let problem = refusal.expect_problem(400, "malformed");
            assert!(problem["detail"].as_str().unwrap().contains(instead), "{route}: {problem}");
        }
    }
    for path in ["/v1/me", "/v1/rollups", "/v1/devices"] {
        let read = world.app.request(reqwest::Method::GET, path).bearer(&world.ann.viewer).header(KEY.0, KEY.1);
        read.send().await.expect_problem(400, "malformed");
    }
}

#[tokio::test]
async fn without_a_key_nothing_is_recorded_and_what_is_sent_again_is_done_again() {
    let world = World::new().await;
    for case in CASES.into_iter().filter(|case| case.route != "POST /v1/backfills") {
        let target = world.target(case).await;
        let first = world.send(&world.app, case, &target, &[], case.body).await;
        assert_eq!((first.status, replayed(&first)), (case.status, false), "{case:?}: {}", first.json);
        assert!(!replayed(&world.send(&world.app, case, &target, &[], case.body).await), "{case:?}");
    }
    assert_eq!(world.app.ask("select count(*)::text from usage.idempotency").await, ["0"]);
}

#[tokio::test]
async fn a_key_that_has_expired_is_a_new_one() {
    let world = World::new().await;
    // A job keeps its own key as long as it is kept.
    for case in CASES.into_iter().filter(|case| case.route != "POST /v1/backfills") {
        let target = world.target(case).await;
        let first = world.send(&world.app, case, &target, &[KEY], case.body).await;
        let age = |by: &str| format!("update usage.idempotency set created_at = now() - interval '{by}'");
        world.app.tell(&age("23 hours 59 minutes")).await;
        assert_repeats(&world.send(&world.app, case, &target, &[KEY], case.body).await, &first);
        world.app.tell(&age("24 hours")).await;
        let again = world.send(&world.app, case, &target, &[KEY], case.body).await;
        assert!(!replayed(&again), "{case:?}: {again:?}");
        if ["device.rotate", "link_code.add"].contains(&case.effect) {
            assert_eq!(again.status, 201, "{case:?}: {}", again.json);
            assert_ne!(again.body, first.body, "{case:?}: tokens and codes are new, too");
        }
        world.app.tell("delete from usage.idempotency").await;
    }
}

#[tokio::test]
async fn what_is_refused_is_not_recorded_and_may_be_sent_again_once_it_can_be_done() {
    let world = World::new().await;
    let case = *CASES.iter().find(|case| case.effect == "device.add").unwrap();
    let target = world.target(case).await;
    let tablet = world.app.device(&world.ann, "tablet").await;
    for _ in 0..2 {
        let refused = world.send(&world.app, case, &target, &[KEY], case.body).await;
        refused.expect_problem(409, "conflict");
    }
    world.send(&world.app, case, &target, &[KEY], "{}").await.expect_problem(422, "invalid");
    let path = format!("/v1/devices/{}/revoke", tablet.device_id);
    world.app.request(reqwest::Method::POST, &path).bearer(&world.ann.viewer).send().await.expect_ok();
    let first = world.send(&world.app, case, &target, &[KEY], case.body).await;
    assert_eq!((first.status, replayed(&first)), (201, false));
    assert_repeats(&world.send(&world.app, case, &target, &[KEY], case.body).await, &first);
    assert_eq!(line(first.header("x-request-id"))["idempotency"], "executed");
}

#[tokio::test]
async fn a_database_that_refuses_the_record_undoes_the_act() {
    let world = World::new().await;
    world.app.refuse_inserts("usage.idempotency", "23514").await;
    for case in CASES.into_iter().filter(|case| !["POST /v1/backfills", "POST /v1/buckets"].contains(&case.route)) {
        let target = world.target(case).await;
        let before = world.effects(case).await;
        let reply = world.send(&world.app, case, &target, &[KEY], case.body).await;
        reply.expect_problem(500, "internal");
        assert_eq!(world.effects(case).await, before, "{case:?}");
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_answered_by_the_repetition() {
    let world = World::new().await;
    let proxy = crate::support::Proxy::before_database_of(&world.app);
    let behind = world.app.second_server_through(&proxy).await;
    for case in CASES.into_iter().filter(|case| !["POST /v1/backfills", "POST /v1/buckets"].contains(&case.route)) {
        let target = world.target(case).await;
        let before = world.effects(case).await;
        behind.get(world.token(case.who), "/v1/sources").await.expect_ok();
        proxy.swallow_commits(1);
        let lost = world.send(&behind, case, &target, &[KEY], case.body).await;
        lost.expect_problem(503, "database_unavailable");
        assert_eq!((proxy.commits_to_swallow(), world.effects(case).await), (0, before + 1), "{case:?}");
        let again = world.send(&behind, case, &target, &[KEY], case.body).await;
        assert_eq!((again.status, replayed(&again)), (case.status, true), "{case:?}: {}", again.json);
        assert_eq!(world.effects(case).await, before + 1, "{case:?}");
    }
}
