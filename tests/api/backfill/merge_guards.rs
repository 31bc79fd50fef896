//! Who may merge what: orders that are refused, and what a viewer sees and changes.

use serde_json::{Value, json};

use super::bucket;
use super::merges::{HOURS, Scene};

const NOT_FOUND: &str = "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2";

#[tokio::test]
async fn orders_that_are_none_are_refused_with_the_field() {
    let scene = Scene::start().await;
    let other = scene.app.user("bob", "UTC").await;
    let others = scene.app.device(&other, "laptop").await;
    let ask = async |token: &str, changes: Value| {
        let mut order = scene.order(Some("sum"));
        for (name, value) in changes.as_object().unwrap() {
            order[name] = value.clone();
            if value.is_null() {
                order.as_object_mut().unwrap().remove(name);
            }
        }
        scene.app.post_backfill(token, &uuid::Uuid::now_v7().to_string(), &order).await
    };
    for (changes, status, pointer, code) in [
        (json!({"into_device_id": scene.old.device_id}), 422, "/into_device_id", "same_device"),
        (json!({"from_device_id": null}), 422, "/from_device_id", "missing"),
        (json!({"into_device_id": "laptop"}), 422, "/into_device_id", "not_a_uuid"),
        (json!({"resolve": "max"}), 422, "/resolve", "unknown_resolve"),
        (json!({"resolve": ["sum"]}), 422, "/resolve", "wrong_type"),
        (json!({"buckets": []}), 422, "/buckets", "not_an_import"),
        (json!({"user_ids": [scene.user.user_id, other.user_id]}), 422, "/user_ids", "wrong_length"),
        (json!({"from": "2026-11-20", "to": "2026-11-19"}), 422, "/to", "range_is_reversed"),
        (json!({"from_device_id": NOT_FOUND}), 404, "/from_device_id", "unknown_device"),
        (json!({"into_device_id": others.device_id}), 404, "/into_device_id", "unknown_device"),
        (json!({"from_device_id": others.device_id}), 404, "/from_device_id", "unknown_device"),
        (json!({"user_ids": [other.user_id]}), 404, "/user_ids", "unknown_user"),
    ] {
        let reply = ask(&scene.user.viewer, changes.clone()).await;
        assert_eq!(reply.status, status, "{changes}: {}", reply.json);
        let found = &reply.json["errors"][0];
        assert_eq!((&found["pointer"], &found["code"]), (&json!(pointer), &json!(code)), "{changes}");
    }
    let no_merge = json!({"action": "replay", "reason": "r", "from": "2026-11-01", "to": "2026-11-02",
        "resolve": "sum", "into_device_id": scene.new.device_id});
    let reply = scene.app.post_backfill(&scene.user.operator, "k", &no_merge).await;
    let pointers: Vec<&str> =
        reply.json["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!((reply.status, pointers), (422, vec!["/into_device_id", "/resolve"]));
    // An operator names the user, and finds the devices of that one only.
    assert_eq!(ask(&other.operator, json!({})).await.status, 404);
    assert_eq!(ask(&other.operator, json!({"user_ids": [scene.user.user_id]})).await.status, 201);
    assert_eq!(scene.app.ask("select count(*)::text from backfill.job").await, ["1"], "no refusal leaves a job");
}

#[tokio::test]
async fn a_viewer_sees_and_changes_its_own_merges_and_nothing_else() {
    let scene = Scene::start().await;
    let other = scene.app.user("bob", "UTC").await;
    let merge = scene.planned("sum").await;
    let one = bucket(&scene.user, &scene.new, HOURS[0], "m", 1);
    let import = scene.app.planned(&scene.user.operator, &super::import(std::slice::from_ref(&one))).await;
    let by_operator = scene
        .app
        .planned(&other.operator, &{
            let mut order = scene.order(Some("into"));
            order["user_ids"] = json!([scene.user.user_id]);
            order
        })
        .await;
    let listed = async |token: &str| {
        let reply = scene.app.get(token, "/v1/backfills").await.expect_ok().clone();
        reply["data"].as_array().unwrap().iter().map(|job| job["id"].clone()).collect::<Vec<_>>()
    };
    let ids = [&by_operator, &import, &merge].map(|job| job["id"].clone());
    assert_eq!(listed(&scene.user.operator).await, ids);
    assert_eq!(listed(&scene.user.viewer).await, [ids[0].clone(), ids[2].clone()]);
    assert_eq!(listed(&other.viewer).await, [] as [Value; 0]);
    for (token, job) in [(&scene.user.viewer, &import), (&other.viewer, &merge), (&other.viewer, &import)] {
        let path = format!("/v1/backfills/{}", job["id"].as_str().unwrap());
        for list in ["", "/rows", "/exceptions"] {
            scene.app.get(token, &format!("{path}{list}")).await.expect_problem(404, "not_found");
        }
        for order in ["execute", "cancel", "rollback"] {
            scene.app.tell_job(token, job, order).await.expect_problem(404, "not_found");
        }
    }
    assert_eq!(scene.app.job(&scene.user.operator, &merge).await["version"], merge["version"], "nothing has happened");
    // A viewer plans nothing else, as a body or as a stream.
    let reply = scene.app.post_backfill(&scene.user.viewer, "a", &super::import(&[one])).await;
    reply.expect_problem(403, "wrong_principal");
    let reply = scene.app.stream(&scene.user.viewer, "b", "from=2026-11-01&to=2026-11-02", "{}\n").await;
    reply.expect_problem(403, "wrong_principal");
    for action in ["replay", "verify"] {
        let order = json!({"action": action, "reason": "r", "from": "2026-11-01", "to": "2026-11-02"});
        scene.app.post_backfill(&scene.user.viewer, action, &order).await.expect_problem(403, "wrong_principal");
    }
    let reply = scene.app.post_backfill(&scene.new.token, "c", &scene.order(None)).await;
    reply.expect_problem(403, "wrong_principal");
    // A repetition gets the same job, and another order under the key is refused.
    let first = scene.app.post_backfill(&scene.user.viewer, "key", &scene.order(None)).await;
    let again = scene.app.post_backfill(&scene.user.viewer, "key", &scene.order(None)).await;
    assert_eq!((again.status, &again.json["id"]), (201, &first.json["id"]));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let reply = scene.app.post_backfill(&scene.user.viewer, "key", &scene.order(Some("sum"))).await;
    reply.expect_problem(422, "idempotency_key_reused");
}
