//! Who may do what, when: operators only, with the version that they have read, on a plan that still fits.

use reqwest::Method;
use serde_json::{Value, json};

use super::{bucket, import};
use crate::support::{TestApp, TestDevice, TestUser};

const HOUR: &str = "2026-11-20T10:30:00Z";

async fn start() -> (TestApp, TestUser, TestDevice) {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    (app, user, device)
}

#[tokio::test]
async fn nobody_but_operators_learns_anything_of_jobs_that_are_no_merges() {
    let (app, user, device) = start().await;
    let job = app.planned(&user.operator, &import(&[bucket(&user, &device, HOUR, "gpt", 1)])).await;
    let (known, unknown) = (job["id"].as_str().unwrap().to_owned(), uuid::Uuid::now_v7().to_string());
    for id in [known.as_str(), unknown.as_str(), "nonsense"] {
        for (method, path) in [
            (Method::POST, "/v1/backfills".to_owned()),
            (Method::GET, "/v1/backfills".to_owned()),
            (Method::GET, format!("/v1/backfills/{id}")),
            (Method::GET, format!("/v1/backfills/{id}/rows")),
            (Method::GET, format!("/v1/backfills/{id}/exceptions")),
            (Method::POST, format!("/v1/backfills/{id}/execute")),
            (Method::POST, format!("/v1/backfills/{id}/cancel")),
            (Method::POST, format!("/v1/backfills/{id}/rollback")),
        ] {
            let ask = |token| app.request(method.clone(), &path).bearer(token).header("if-match", "\"1\"").send();
            let reply = ask(&device.token).await;
            let problem = reply.expect_problem(403, "wrong_principal");
            assert!(!problem["detail"].as_str().unwrap().contains(id), "{problem}");
            // A viewer may have merges, and this is none.
            let reply = ask(&user.viewer).await;
            match (&method, path.as_str()) {
                (&Method::GET, "/v1/backfills") => assert_eq!(reply.expect_ok()["data"], json!([])),
                (&Method::POST, "/v1/backfills") => {
                    reply.expect_problem(422, "invalid");
                }
                _ => {
                    let problem = reply.expect_problem(404, "not_found");
                    assert!(!problem["detail"].as_str().unwrap().contains(id), "{problem}");
                }
            }
            app.request(method.clone(), &path).send().await.expect_problem(401, "unauthorized");
        }
    }
    for list in ["", "/rows", "/exceptions"] {
        for id in [unknown.as_str(), "nonsense"] {
            let path = format!("/v1/backfills/{id}{list}");
            app.get(&user.operator, &path).await.expect_problem(404, "not_found");
        }
    }
    let gone = app.tell_job(&user.operator, &json!({"id": unknown, "version": 1}), "execute").await;
    gone.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_job_is_changed_only_by_who_has_read_its_version() {
    let (app, user, device) = start().await;
    let job = app.planned(&user.operator, &import(&[bucket(&user, &device, HOUR, "gpt", 1)])).await;
    let path = format!("/v1/backfills/{}/execute", job["id"].as_str().unwrap());
    let execute = async |version: Option<&str>| {
        let request = app.request(Method::POST, &path).bearer(&user.operator);
        match version {
            Some(version) => request.header("if-match", version).send().await,
            None => request.send().await,
        }
    };
    execute(None).await.expect_problem(428, "precondition_required");
    for version in ["2", "*", "W/\"2\"", "\"two\"", "\"\"", "\"2\", \"3\"", "\"99999999999999999999\""] {
        let reply = execute(Some(version)).await;
        let problem = reply.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], "If-Match:", "{version}");
    }
    for version in ["\"1\"", "\"3\""] {
        execute(Some(version)).await.expect_problem(412, "version_mismatch");
    }
    let (one, other) = tokio::join!(execute(Some("\"2\"")), execute(Some("\"2\"")));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412], "of two who decide at once, one has decided on what was");
    assert_eq!(app.job(&user.operator, &job).await["version"], 3);
    let again = app.tell_job(&user.operator, &json!({"id": job["id"], "version": 3}), "execute").await;
    again.expect_problem(409, "conflict");
}

#[tokio::test]
async fn a_change_that_does_not_suit_a_jobs_state_is_told_which_states_do() {
    let (app, user, device) = start().await;
    let job = app.planned(&user.operator, &import(&[bucket(&user, &device, HOUR, "gpt", 1)])).await;
    let refused = async |job: &Value, order: &str| {
        let reply = app.tell_job(&user.operator, job, order).await;
        reply.expect_problem(409, "conflict")["detail"].as_str().unwrap().to_owned()
    };
    let words = "The job is planned; only a job that has ended can be rolled back.";
    assert_eq!(refused(&job, "rollback").await, words);
    let running = app.tell_job(&user.operator, &job, "execute").await.expect_ok().clone();
    assert_eq!(refused(&running, "execute").await, "The job is running; only a planned job can be executed.");
    app.work_and_fold().await;
    let done = app.job(&user.operator, &job).await;
    let words = "The job is succeeded; only a planning, planned or running job can be cancelled.";
    assert_eq!(refused(&done, "cancel").await, words);
}

#[tokio::test]
async fn a_body_of_a_media_type_that_is_not_taken_is_told_of_both_that_are() {
    let (app, user, _device) = start().await;
    for media_type in ["", "text/csv", "application/x-ndjson-not"] {
        let request =
            app.request(Method::POST, "/v1/backfills").bearer(&user.operator).header("idempotency-key", "key");
        let reply = request.header("content-type", media_type).body("{}").send().await;
        let detail = &reply.expect_problem(415, "unsupported_media_type")["detail"];
        for taken in ["`application/json`", "`application/x-ndjson`"] {
            assert!(detail.as_str().unwrap().contains(taken), "{media_type}: {detail}");
        }
    }
}

#[tokio::test]
async fn a_plan_that_does_not_fit_any_more_is_not_executed() {
    let (app, user, device) = start().await;
    let post = async |input: u64, observed_at: &str| {
        let body = json!({"buckets": [{"hour_start": HOUR, "source": "codex", "model": "gpt", "input_tokens": input,
            "observed_at": observed_at}]});
        app.post_buckets(&device.token, &body).await.expect_ok();
    };
    let plan = async || app.planned(&user.operator, &import(&[bucket(&user, &device, HOUR, "gpt", 7)])).await;
    // A bucket that was absent came; one came in a newer version; one has the same stamp and greater counts.
    for (input, observed_at) in [(1, "10:51:00"), (1, "10:52:00"), (2, "10:52:00")] {
        let job = plan().await;
        post(input, &format!("2026-11-20T{observed_at}Z")).await;
        let stale = app.tell_job(&user.operator, &job, "execute").await;
        stale.expect_problem(409, "plan_stale");
        assert_eq!(app.job(&user.operator, &job).await["state"], "planned");
    }
    let job = plan().await;
    post(2, "2026-11-20T10:52:00Z").await;
    assert_eq!(app.executed(&user.operator, &job).await["state"], "succeeded", "a repetition moves nothing");
}

#[tokio::test]
async fn the_same_key_gives_the_same_job_and_no_other_request_may_use_it() {
    let (app, user, device) = start().await;
    let body = import(&[bucket(&user, &device, HOUR, "gpt", 1)]);
    let ten = futures_util::future::join_all((0..10).map(|_| app.post_backfill(&user.operator, "key", &body))).await;
    let ids: std::collections::BTreeSet<String> = ten.iter().map(|reply| reply.json["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let replayed = ten.iter().filter(|reply| reply.header("idempotency-replayed") == "true").count();
    assert_eq!((replayed, ten.iter().filter(|reply| reply.status == 201).count()), (9, 10));
    let other = import(&[bucket(&user, &device, HOUR, "gpt", 2)]);
    app.post_backfill(&user.operator, "key", &other).await.expect_problem(422, "idempotency_key_reused");
    let bob = app.user("bob", "UTC").await;
    assert_eq!(app.post_backfill(&bob.operator, "key", &body).await.header("idempotency-replayed"), "");

    let line = bucket(&user, &device, HOUR, "line", 1).to_string();
    let query = "from=2026-11-20&to=2026-11-20";
    let first = app.stream(&user.operator, "stream", query, &line).await;
    let second = app.stream(&user.operator, "stream", query, &line).await;
    assert_eq!((first.json["id"].clone(), second.header("idempotency-replayed")), (second.json["id"].clone(), "true"));
    let changed = app.stream(&user.operator, "stream", query, &format!("{line}\n{line}")).await;
    changed.expect_problem(422, "idempotency_key_reused");
    let without = app.request(Method::POST, "/v1/backfills").bearer(&user.operator).json(&body).send().await;
    assert_eq!(without.expect_problem(422, "invalid")["errors"][0]["pointer"], "Idempotency-Key:");
}

#[tokio::test]
async fn every_act_is_in_the_audit_and_a_refused_one_is_not() {
    let (app, user, device) = start().await;
    let job = app.planned(&user.operator, &import(&[bucket(&user, &device, HOUR, "gpt", 1)])).await;
    let done = app.executed(&user.operator, &job).await;
    app.tell_job(&user.operator, &done, "cancel").await.expect_problem(409, "conflict");
    app.rolled_back(&user.operator, &done).await;
    let waiting = app.planned(&user.operator, &import(&[bucket(&user, &device, HOUR, "gpt", 1)])).await;
    app.tell_job(&user.operator, &waiting, "cancel").await.expect_ok();
    let acts = app
        .ask("select action || ' ' || reason || ' ' || actor_kind from ops.audit where action like 'backfill%' order by acted_at")
        .await;
    let expected = ["plan", "execute", "rollback", "plan", "cancel"];
    assert_eq!(acts, expected.map(|act| format!("backfill.{act} ticket 7 operator")));
    let wrong = app.tell_job(&user.operator, &app.job(&user.operator, &waiting).await, "rollback").await;
    wrong.expect_problem(409, "conflict");
}

#[tokio::test]
async fn jobs_are_listed_newest_first_in_pages_that_belong_to_their_question() {
    let (app, user, _device) = start().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let body = json!({"action": "replay", "reason": "r", "from": "2026-11-01", "to": "2026-11-02"});
        ids.insert(0, app.planned(&user.operator, &body).await["id"].clone());
    }
    let mut found: Vec<Value> = Vec::new();
    let mut path = "/v1/backfills?limit=2".to_owned();
    let cursor = loop {
        let page = app.get(&user.operator, &path).await.expect_ok().clone();
        found.extend(page["data"].as_array().unwrap().iter().map(|job| job["id"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/v1/backfills?limit=2&cursor={next}"),
            None => break path.split("cursor=").nth(1).unwrap().to_owned(),
        }
    };
    assert_eq!(found, ids);
    let job = ids[0].as_str().unwrap();
    for path in [format!("/v1/backfills/{job}/rows?cursor={cursor}"), "/v1/backfills?cursor=AAAA".to_owned()] {
        app.get(&user.operator, &path).await.expect_problem(400, "malformed");
    }
    app.get(&user.operator, "/v1/backfills?limit=0&state=planned").await.expect_problem(422, "invalid");
}

#[tokio::test]
async fn an_order_that_cannot_wait_for_the_step_under_way_is_told_to_come_back() {
    let (app, user, device) = start().await;
    let job = app.planned(&user.operator, &import(&[bucket(&user, &device, HOUR, "gpt", 1)])).await;
    // As a worker that sleeps in the middle of a step does, until the database ends its transaction.
    let step = crate::relay::hold(&app, "select from backfill.job for update").await;
    for order in ["execute", "cancel"] {
        let reply = app.tell_job(&user.operator, &job, order).await;
        let problem = reply.expect_problem(503, "database_conflict");
        assert_eq!((&problem["retry"], reply.header("retry-after")), (&json!("after"), "1"), "{problem}");
    }
    sqlx::Connection::close(step).await.unwrap();
    assert_eq!(app.tell_job(&user.operator, &job, "cancel").await.expect_ok()["state"], "cancelled");
}
