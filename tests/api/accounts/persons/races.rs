//! Erasures of persons beside posts, registrations, exchanges and each other, on two servers.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use sqlx::Connection as _;

use super::{NAME, one_bucket};
use crate::relay::{hold, release};
use crate::support::{TestApp, TestDevice};

/// What a post that races with its owner's erasure may be answered.
const KNOWN: [&str; 4] = ["inserted", "unchanged", "erased", "refused"];

/// Posts bucket after bucket until the owner is erased, and the post after that.
async fn keep_posting(server: &TestApp, device: &TestDevice, lane: usize) -> Vec<String> {
    let mut verdicts = Vec::new();
    for number in 0..400 {
        let body = one_bucket(&format!("m{lane}.{number}"), "2026-11-19T10:20:00Z");
        let key = format!("{lane} {number}");
        let request = server.request(Method::POST, "/v1/buckets").bearer(&device.token).header("idempotency-key", &key);
        let reply = request.json(&body).send().await;
        let verdict = match reply.status {
            503 => "refused",
            // A server that asks again who this is.
            401 => "erased",
            _ => reply.expect_ok()["verdicts"][0].as_str().unwrap(),
        };
        verdicts.push(verdict.to_owned());
        if verdict == "erased" {
            break;
        }
    }
    verdicts
}

#[tokio::test]
async fn posts_to_two_servers_that_race_with_the_erasure_of_their_owner_leave_nothing() {
    let app = TestApp::start().await;
    let other = app.second_server().await;
    app.somebody("bob", 5).await;
    for round in 0..3 {
        let (ann, device) = app.somebody(&format!("ann {round}"), 7).await;
        other.get(&device.token, "/v1/sources").await.expect_ok();
        let posting =
            join_all((0..4).map(|lane| keep_posting(if lane % 2 == 0 { &app } else { &other }, &device, lane)));
        let erasing = async {
            app.wait_for(&format!(
                "select 'some' from usage.bucket where user_id = '{}' having count(*) > 5",
                ann.user_id
            ))
            .await;
            let mut erased = app.erase_person(&ann).await;
            while erased.status == 503 {
                erased = app.erase_person(&ann).await;
            }
            erased
        };
        let folding = async {
            for _ in 0..10 {
                // A round that finds no connection folds nothing; the drain at the end folds the rest.
                let _ = app.relay().run_round().await;
            }
        };
        let (verdicts, erased, ()) = tokio::join!(posting, erasing, folding);
        assert!([200, 202].contains(&erased.status), "{erased:?}");
        assert!(verdicts.iter().flatten().all(|verdict| KNOWN.contains(&&**verdict)), "{verdicts:?}");
        assert!(verdicts.iter().all(|lane| lane.last().unwrap() == "erased"), "{verdicts:?}");
        app.persons().run_pass().await.unwrap();
        app.assert_gone(&ann, &[]).await;
    }
}

#[tokio::test]
async fn who_asks_twice_at_once_is_erased_once_and_told_so_twice() {
    let app = TestApp::start().await;
    let other = app.second_server().await;
    app.somebody("bob", 5).await;
    for round in 0..4 {
        let (ann, _) = app.somebody(&format!("ann {round}"), 7).await;
        // Both know the token, or whoever looks it up last finds that it went with its owner.
        for server in [&app, &other] {
            server.get(&ann.viewer, "/v1/me").await.expect_ok();
        }
        let asked = join_all([&app, &other, &app].map(|server| server.erase_person(&ann))).await;
        assert!(asked.iter().all(|reply| [200, 202].contains(&reply.status)), "{asked:?}");
        assert!(asked.iter().all(|reply| reply.json["erased_at"] == asked[0].json["erased_at"]), "{asked:?}");
        app.persons().run_pass().await.unwrap();
        app.assert_gone(&ann, &[]).await;
        let acts = format!(
            "select action from ops.audit where subject = '{}' and action like 'user.erase%' order by 1",
            ann.user_id
        );
        assert_eq!(app.ask(&acts).await, ["user.erase", "user.erase_finished"]);
    }
}

#[tokio::test]
async fn a_post_that_is_being_written_is_waited_for_and_goes_with_the_rest() {
    let app = TestApp::start().await;
    app.somebody("bob", 5).await;
    let (ann, device) = app.somebody(NAME, 7).await;
    // Somebody holds the row that the post replaces: the writer has looked for erasures, and waits.
    let blocker = hold(&app, "select from usage.bucket for update").await;
    let body = json!({"buckets": [{"hour_start": "2026-11-19T10:00:00Z", "source": "codex", "model": "gpt",
        "input_tokens": 900, "observed_at": "2026-11-20T12:00:30Z"}]});
    let erasing = async {
        app.wait_for(&crate::backfill::waits("ingest", "wait_event_type = 'Lock'")).await;
        let letting_go = async {
            app.wait_for(&crate::backfill::waits("worker", "wait_event = 'advisory'")).await;
            release(blocker).await;
        };
        tokio::join!(app.erase_person(&ann), letting_go).0
    };
    let posting = app.post_buckets(&device.token, &body);
    let (posted, erased) = tokio::join!(posting, erasing);
    assert_ne!(posted.expect_ok()["verdicts"], json!(["erased"]), "it was first");
    erased.expect_ok();
    app.assert_gone(&ann, &[]).await;
    assert_eq!(app.post_buckets(&device.token, &body).await.expect_ok()["verdicts"], json!(["erased"]));
    app.assert_gone(&ann, &[]).await;
}

#[tokio::test]
async fn whatever_is_registered_linked_and_changed_at_that_moment_goes_too() {
    let app = TestApp::start().await;
    let other = app.second_server().await;
    app.somebody("bob", 5).await;
    for round in 0..6 {
        let name = format!("ann {round}");
        let (ann, _) = app.somebody(&name, 7).await;
        let code = app.request(Method::POST, "/v1/link-codes").bearer(&ann.viewer).send().await.json["code"].clone();
        other.get(&ann.viewer, "/v1/me").await.expect_ok();
        let register = join_all((0..6).map(async |number| {
            let body = json!({ "name": format!("device {number}") });
            let server = if number % 2 == 0 { &app } else { &other };
            server.request(Method::POST, "/v1/devices").bearer(&ann.viewer).json(&body).send().await
        }));
        let link = join_all(
            (0..4).map(async |_| other.request(Method::POST, "/v1/link-codes").bearer(&ann.viewer).send().await),
        );
        let exchange = async {
            let body = json!({"code": code, "request_id": uuid::Uuid::now_v7(), "device_name": "phone"});
            other.request(Method::POST, "/v1/link-codes/exchange").json(&body).send().await
        };
        let zone = other.change_zone(&ann, "Europe/Berlin");
        let less = other.erase(&ann, "source=codex");
        let erase = async {
            let mut erased = app.erase_person(&ann).await;
            // A deadlock is somebody's 503, and nothing was erased then.
            while erased.status == 503 {
                erased = app.erase_person(&ann).await;
            }
            erased
        };
        let (erased, registered, linked, exchanged, zoned, lessened) =
            tokio::join!(erase, register, link, exchange, zone, less);
        assert!([200, 202].contains(&erased.status), "{erased:?}");
        for reply in registered.iter().chain(&linked) {
            assert!([201, 401, 503].contains(&reply.status), "{reply:?}");
        }
        assert!([201, 422, 401, 503].contains(&exchanged.status), "{exchanged:?}");
        for reply in [zoned, lessened] {
            assert!([200, 401, 503].contains(&reply.status), "{reply:?}");
        }
        app.persons().run_pass().await.unwrap();
        app.assert_gone(&ann, &[]).await;
    }
}

#[tokio::test]
async fn what_a_request_cannot_finish_is_left_to_the_servers_and_said_to_be() {
    let app = TestApp::start_with(|settings| settings.request_deadline = std::time::Duration::from_secs(2)).await;
    let other = app.second_server().await;
    let (bob, _) = app.somebody("bob", 5).await;
    let (ann, device) = app.somebody(NAME, 7).await;
    let blocker = hold(&app, &format!("select from usage.bucket where user_id = '{}' for update", ann.user_id)).await;
    let erased = app.erase_person(&ann).await;
    assert_eq!((erased.status, &erased.json["finished"], &erased.json["buckets"]), (202, &json!(false), &json!(0)));
    // The person is gone all the same: from the tokens, and for whoever looks for the name.
    other.get(&ann.viewer, "/v1/me").await.expect_problem(401, "unauthorized");
    assert_eq!(app.columns_saying(NAME).await, Vec::<String>::new());
    let listed = other.get(&bob.operator, "/v1/users").await.expect_ok()["data"].as_array().unwrap().len();
    assert_eq!(listed, 1);
    // What is left is no drift and nobody's orphan while it is being removed.
    let window = halfhour::features::dashboard_rollup::Window::default();
    let report = halfhour::features::dashboard_rollup::verify(&app.pools.worker, &window).await.unwrap();
    assert!(report.is_clean() && report.pending == 1, "{report:?}");
    // Events that come in the meantime bring nothing about.
    app.replay(&ann, "2026-11-19T00:00:00Z", "2026-11-19T23:30:00Z").await;
    app.drain().await;
    assert_eq!(app.post_buckets(&device.token, &one_bucket("new", "2026-11-19T10:20:00Z")).await.status, 200);
    release(blocker).await;
    let (one, two) = tokio::join!(app.persons().run_pass(), other.persons().run_pass());
    one.and(two).unwrap();
    app.replay(&ann, "2026-11-19T00:00:00Z", "2026-11-19T23:30:00Z").await;
    app.assert_gone(&ann, &[NAME]).await;
    assert_eq!(app.ask("select (finished_at is not null)::text from account.erased_user").await, ["true"]);
}

#[tokio::test]
async fn a_large_erasure_takes_many_short_transactions_and_two_servers_do_not_stop_early() {
    let app = TestApp::start().await;
    let other = app.second_server().await;
    app.somebody("bob", 5).await;
    let (ann, device) = app.somebody(NAME, 7).await;
    let fill = format!(
        "insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
            cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens, request_count,
            observed_at, changed_at, stamped)
         select '{0}', '2026-11-01T00:00Z'::timestamptz + n % 900 * interval '30 minutes', '{1}', 'codex', 'm' || n, 1, 0, 0,
            0, 0, 0, 0, 0, '2026-11-19T10:00Z', now(), true from generate_series(1, 23000) n;
         insert into rollup.daily (user_id, day, device_id, source, model, input_tokens, cache_read_tokens,
            cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
            request_count, bucket_count)
         select '{0}', '2020-01-01'::date + n, '{1}', 'codex', 'm', 1, 0, 0, 0, 0, 0, 0, 0, 1 from generate_series(1, 7000) n",
        ann.user_id, device.device_id
    );
    app.tell(&fill).await;
    let (actor, now) = (halfhour::kernel::access::Actor::Command, std::time::Instant::now());
    let erased = app.persons().erase(&crate::support::context(), actor, ann.user_id, true, now).await.unwrap();
    assert!(!erased.finished, "{erased:?}");
    // Only one of them sees the end of each part; neither takes what the other has locked for the end.
    let passes = join_all([&app, &other, &app, &other].map(|server| server.persons().run_pass())).await;
    assert!(passes.iter().all(Result::is_ok), "{passes:?}");
    app.assert_gone(&ann, &[NAME]).await;
}

#[tokio::test]
async fn a_horizon_that_is_raised_at_that_moment_leaves_none_behind() {
    let app = TestApp::start().await;
    app.somebody("bob", 5).await;
    let (ann, device) = app.somebody(NAME, 7).await;
    let old = crate::support::rollups::Usage::input("2026-10-01T10:00:00Z", 3);
    app.post_usage(&device, &[old]).await;
    app.drain().await;
    // A pass of retention has found the user, and waits for a reader of horizons.
    let reader = hold(&app, "select from usage.horizon").await;
    let retention = app.retention(20);
    let erasing = async {
        app.wait_for(&crate::backfill::waits("worker", "wait_event_type = 'Lock'")).await;
        let erased = app.erase_person(&ann).await;
        reader.close().await.unwrap();
        erased
    };
    let (pass, erased) = tokio::join!(retention.run_pass(), erasing);
    pass.unwrap();
    assert!([200, 202].contains(&erased.status), "{erased:?}");
    app.persons().run_pass().await.unwrap();
    app.assert_gone(&ann, &[NAME]).await;
}
