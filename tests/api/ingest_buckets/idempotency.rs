//! `Idempotency-Key`: a request that is repeated gets its first answer again, in one process and across them.

use futures_util::future::join_all;
use halfhour::kernel::idempotency::purge;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use super::held::{Hold, batches_waiting, decoy, rows_queued, send};
use super::{Tracker, bucket, rows, snapshot, verdicts};
use crate::support::{Reply, TestApp, TestDevice, context, line};

const KEY: (&str, &str) = ("idempotency-key", "one");

async fn post(app: &TestApp, device: &TestDevice, headers: &[(&str, &str)], buckets: &[Value]) -> Reply {
    send(app, &device.token, headers, buckets).await.unwrap()
}

fn replayed(reply: &Reply) -> bool {
    match reply.header("idempotency-replayed") {
        "true" => true,
        "" => false,
        other => panic!("{other}"),
    }
}

impl Tracker {
    async fn post_with(&self, headers: &[(&str, &str)], buckets: &[Value]) -> Reply {
        post(&self.app, &self.device, headers, buckets).await
    }

    async fn records(&self) -> usize {
        self.app.ask("select request_id::text from usage.idempotency").await.len()
    }
}

#[tokio::test]
async fn one_key_from_sixteen_connections_is_executed_once_and_all_get_its_answer() {
    let tracker = Tracker::start().await;
    let hold = Hold::of_all_buckets(&tracker.app).await;
    let sent: Vec<_> = (0..16).map(|_| tracker.send(&[KEY], &[snapshot(7, 40)])).collect();
    batches_waiting(&tracker.app, 1).await;
    assert_eq!(tracker.app.writer().queued_rows(), 1, "the others wait for the first and not in the queue");
    hold.release().await;
    let replies: Vec<_> = join_all(sent).await.into_iter().map(Result::unwrap).collect();

    assert_eq!(replies.iter().filter(|reply| replayed(reply)).count(), 15);
    for reply in &replies {
        assert_eq!(verdicts(reply), ["inserted"]);
        assert_eq!(reply.body, replies[0].body);
        let expected = if replayed(reply) { "replayed" } else { "executed" };
        assert_eq!(line(reply.header("x-request-id"))["idempotency"], expected);
    }
    let executed = replies.iter().find(|reply| !replayed(reply)).unwrap();
    assert_eq!(executed.json["request_id"], executed.header("x-request-id"));
    assert_eq!((tracker.records().await, tracker.rows().await.len(), tracker.events().await), (1, 1, 1));
}

#[tokio::test]
async fn while_another_process_executes_a_key_its_repetition_is_told_to_come_back_and_delays_nobody() {
    let tracker = Tracker::start().await;
    let other_server = tracker.app.second_server().await;
    let other_device = tracker.app.device(&tracker.me, "phone").await;
    tracker.verdicts(&[decoy(1), decoy(2), decoy(3)]).await;
    let hold = Hold::of_buckets(&tracker.app, "model = 'decoy-1'").await;
    let buckets = [decoy(1), snapshot(7, 40)];
    let first = tracker.send(&[KEY], &buckets);
    batches_waiting(&tracker.app, 1).await;

    let early = post(&other_server, &tracker.device, &[KEY], &buckets).await;
    early.expect_problem(409, "idempotency_in_progress");
    assert_eq!((early.header("retry-after"), &early.json["retry"]), ("1", &"after".into()));

    // In one batch with others, too, only the repetition leaves it.
    let occupied = Hold::of_buckets(&tracker.app, "model in ('decoy-2', 'decoy-3')").await;
    let mut decoys = Vec::new();
    for number in [2, 3] {
        // Newer than what stands, so that it has to wait for the row.
        let mut newer = decoy(number);
        newer["observed_at"] = "2026-11-20T12:01:00Z".into();
        decoys.push(send(&other_server, &tracker.device.token, &[], &[newer]));
        batches_waiting(&tracker.app, number).await;
    }
    let repetition = send(&other_server, &tracker.device.token, &[KEY], &buckets);
    let companion = send(&other_server, &other_device.token, &[KEY], &[decoy(1)]);
    rows_queued(&other_server, 5).await;
    occupied.release().await;
    repetition.await.unwrap().expect_problem(409, "idempotency_in_progress");
    assert_eq!(verdicts(&companion.await.unwrap()), ["inserted"]);
    for decoy in decoys {
        decoy.await.unwrap().expect_ok();
    }

    hold.release().await;
    let first = first.await.unwrap();
    assert_eq!(verdicts(&first)[1], "inserted");
    let late = post(&other_server, &tracker.device, &[KEY], &buckets).await;
    assert_eq!((replayed(&late), &late.body), (true, &first.body));
    assert_eq!(line(late.header("x-request-id"))["idempotency"], "replayed");
    assert_ne!(late.header("x-request-id"), first.header("x-request-id"), "its own id is in the header");
}

#[tokio::test]
async fn a_key_stands_for_one_request_while_it_runs_and_afterwards() {
    let tracker = Tracker::start().await;
    let hold = Hold::of_all_buckets(&tracker.app).await;
    let sound = [snapshot(7, 40)];
    let first = tracker.send(&[KEY], &sound);
    batches_waiting(&tracker.app, 1).await;
    let others = async || {
        let post = |path| tracker.app.request(Method::POST, path).bearer(&tracker.device.token).header(KEY.0, KEY.1);
        let body = json!({ "buckets": sound });
        let typed = post("/v1/buckets").header("content-type", "application/json;charset=utf-8");
        [
            tracker.post_with(&[KEY], &[snapshot(8, 40)]).await,
            tracker.post_with(&[KEY, ("prefer", "handling=lenient")], &sound).await,
            post("/v1/buckets?again").json(&body).send().await,
            typed.body(body.to_string()).send().await,
        ]
    };
    for reply in others().await {
        reply.expect_problem(422, "idempotency_key_reused");
    }
    hold.release().await;
    verdicts(&first.await.unwrap());
    for reply in others().await {
        reply.expect_problem(422, "idempotency_key_reused");
        assert_eq!(line(reply.header("x-request-id"))["idempotency"], Value::Null);
    }
    assert!(replayed(&tracker.post_with(&[KEY], &sound).await), "and still for its own");
    assert_eq!((tracker.row().await["input_tokens"].clone(), tracker.records().await), (7.into(), 1));
}

#[tokio::test]
async fn a_replay_is_the_first_answer_to_the_byte_whatever_has_changed_since() {
    let tracker = Tracker::start().await;
    let lenient = [KEY, ("prefer", "handling=lenient")];
    let oldest = bucket(&json!({"hour_start": "2025-10-16T12:00:00Z"}));
    let mixed = [json!({"hour_start": 7}), oldest.clone(), json!(null), snapshot(7, 40)];
    let first = tracker.post_with(&lenient, &mixed).await;
    assert_eq!(verdicts(&first), ["rejected", "inserted", "rejected", "inserted"]);
    let all_sound = [lenient[1], ("idempotency-key", "two")];
    let second = tracker.post_with(&all_sound, std::slice::from_ref(&oldest)).await;

    tracker.verdicts(&[snapshot(8, 50)]).await;
    // By now the oldest bucket would be too old.
    tracker.app.clock.set("2026-11-20T13:00:00Z".parse().unwrap());
    for (headers, buckets, first) in [(&lenient, &mixed[..], first), (&all_sound, &[oldest], second)] {
        let again = tracker.post_with(headers, buckets).await;
        assert_eq!(String::from_utf8_lossy(&again.body), String::from_utf8_lossy(&first.body));
        assert!(replayed(&again) && !replayed(&first));
        assert_eq!(again.header("preference-applied"), "handling=lenient");
    }
    assert_eq!(tracker.rows().await[1]["input_tokens"], 8, "a replay writes nothing");
}

#[tokio::test]
async fn a_key_is_one_header_of_printable_characters_and_its_quotes_do_not_count() {
    let tracker = Tracker::start().await;
    let post = |keys: &[&[u8]]| {
        let request = tracker.app.request(Method::POST, "/v1/buckets").bearer(&tracker.device.token);
        let request = request.json(&json!({"buckets": [snapshot(7, 40)]}));
        keys.iter()
            .fold(request, |request, key| request.raw_header(KEY.0, HeaderValue::from_bytes(key).unwrap()))
            .send()
    };
    let longest = "k".repeat(255);
    let too_long = "k".repeat(256);
    let bad: [&[&[u8]]; 7] =
        [&[b""], &[b"\"\""], &[too_long.as_bytes()], &["schlüssel".as_bytes()], &[b"a\tb"], &[b"a\xff"], &[b"a", b"a"]];
    for keys in bad {
        post(keys).await.expect_problem(400, "malformed");
    }
    assert_eq!((tracker.rows().await.len(), tracker.records().await), (0, 0));

    for (key, quoted) in [("a, b; \"c", "\"a, b; \"c\""), (&longest, &format!("\"{longest}\""))] {
        let first = post(&[key.as_bytes()]).await;
        let second = post(&[quoted.as_bytes()]).await;
        assert_eq!((replayed(&first), replayed(&second)), (false, true), "{key}");
        assert_eq!(second.body, first.body);
    }
    assert_eq!(tracker.records().await, 2);
}

#[tokio::test]
async fn the_same_key_of_another_device_is_another_key() {
    let tracker = Tracker::start().await;
    let phone = tracker.app.device(&tracker.me, "phone").await;
    let bob = tracker.app.user("bob", "UTC").await;
    let bobs = tracker.app.device(&bob, "laptop").await;
    for (number, device) in (1..).zip([&tracker.device, &phone, &bobs]) {
        let reply = post(&tracker.app, device, &[KEY], &[snapshot(number, 40)]).await;
        assert_eq!((verdicts(&reply), replayed(&reply)), (vec!["inserted".to_owned()], false));
    }
    assert_eq!((tracker.records().await, tracker.rows().await.len()), (3, 3));
}

#[tokio::test]
async fn after_a_day_a_key_is_forgotten_and_its_record_removed() {
    let tracker = Tracker::start().await;
    let age = async |hours: u32| {
        let sql = format!("update usage.idempotency set created_at = created_at - interval '{hours} hours'");
        tracker.app.tell(&sql).await;
    };
    let buckets = [snapshot(7, 40)];
    let post = || tracker.post_with(&[KEY], &buckets);
    post().await.expect_ok();
    age(23).await;
    assert!(replayed(&post().await), "for a day it is kept");
    age(2).await;
    let again = post().await;
    assert_eq!((verdicts(&again), replayed(&again)), (vec!["unchanged".to_owned()], false));
    assert_eq!((replayed(&post().await), tracker.records().await), (true, 1), "the new answer has replaced the old");

    tracker.post_with(&[("idempotency-key", "two")], &[]).await.expect_ok();
    let (hash, other) = ("encode(scope_hash, 'hex')", "usage.idempotency order by created_at desc limit 1");
    let newest = tracker.app.ask(&format!("select {hash} from {other}")).await;
    tracker
        .app
        .tell(&format!(
            "update usage.idempotency set created_at = created_at - interval '25 hours'
        where {hash} <> '{}'",
            newest[0]
        ))
        .await;
    assert_eq!(purge(&tracker.app.pools.worker, &context()).await.unwrap(), 1);
    assert_eq!(tracker.app.ask(&format!("select {hash} from usage.idempotency")).await, newest);
    assert_eq!(purge(&tracker.app.pools.worker, &context()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_repetition_that_has_become_too_old_gets_its_first_answer_and_a_new_request_does_not() {
    let tracker = Tracker::start().await;
    let buckets = [snapshot(7, 40)];
    let first = tracker.post_with(&[KEY], &buckets).await;
    // A year and more passes for the rules, and not for the record.
    tracker.app.clock.set("2027-12-31T12:00:00Z".parse().unwrap());
    let again = tracker.post_with(&[KEY], &buckets).await;
    assert_eq!((replayed(&again), &again.body), (true, &first.body));
    assert_eq!(line(again.header("x-request-id"))["idempotency"], "replayed");
    for headers in [&[][..], &[("idempotency-key", "two")]] {
        tracker.post_with(headers, &buckets).await.expect_problem(422, "invalid");
    }
    let reused = tracker.post_with(&[KEY], &[snapshot(8, 40)]).await;
    reused.expect_problem(422, "idempotency_key_reused");
    assert_eq!(tracker.records().await, 1);
}

#[tokio::test]
async fn a_device_keeps_its_newest_thousand_answers() {
    let tracker = Tracker::start().await;
    let phone = tracker.app.device(&tracker.me, "phone").await;
    for device in [&tracker.device, &phone] {
        tracker
            .app
            .tell(&format!(
                "insert into usage.idempotency
                     (user_id, scope_hash, device_id, fingerprint, request_id, verdicts, created_at)
                 select '{}', sha256(convert_to('{1} ' || number, 'UTF8')), '{1}', sha256(''), gen_random_uuid(), '',
                        now() - number * interval '1 second'
                 from generate_series(1, 1000) as number",
                tracker.me.user_id, device.device_id
            ))
            .await;
    }
    let kept = async |device: &TestDevice| {
        let sql = "select count(*) || ' since ' || round(extract(epoch from now() - min(created_at)) / 20)
                   from usage.idempotency where device_id =";
        tracker.app.ask(&format!("{sql} '{}'", device.device_id)).await.remove(0)
    };
    assert_eq!(kept(&tracker.device).await, "1000 since 50");
    tracker.post_with(&[KEY], &[]).await.expect_ok();
    assert_eq!(kept(&tracker.device).await, "1000 since 50");
    let oldest = "select '1' from usage.idempotency where created_at < now() - interval '1000 seconds'";
    assert_eq!(tracker.app.ask(oldest).await.len(), 1, "only the phone's oldest is left");
    assert!(replayed(&tracker.post_with(&[KEY], &[]).await), "the newest is kept");
    assert_eq!(kept(&phone).await, "1000 since 50");
}

#[tokio::test]
async fn a_record_of_a_newer_release_is_no_answer_and_stays_for_that_release() {
    let tracker = Tracker::start().await;
    let buckets = [snapshot(7, 40)];
    tracker.post_with(&[KEY], &buckets).await.expect_ok();
    tracker.app.tell("update usage.idempotency set verdicts = '\\xff'").await;
    let again = tracker.post_with(&[KEY], &buckets).await;
    again.expect_problem(500, "internal");
    assert_eq!(line(again.header("x-request-id"))["idempotency"], Value::Null);
    assert_eq!(tracker.records().await, 1);
    let unkeyed = tracker.post_with(&[], &buckets).await;
    assert_eq!(verdicts(&unkeyed), ["unchanged"], "only the key is held up");
}

#[tokio::test]
async fn a_record_of_the_release_before_rejected_had_a_byte_is_answered_as_that_release_answered() {
    let tracker = Tracker::start().await;
    let lenient = [KEY, ("prefer", "handling=lenient")];
    let mixed = [json!({"hour_start": 7}), snapshot(7, 40), json!(null), snapshot(8, 50)];
    let first = tracker.post_with(&lenient, &mixed).await;
    assert_eq!(verdicts(&first), ["rejected", "superseded", "rejected", "inserted"]);
    let bytes = tracker.app.ask("select encode(verdicts, 'hex') from usage.idempotency").await;
    assert_eq!(bytes, ["08040800"], "a byte a place");

    // What it wrote: bytes for what was not rejected, and this text.
    let rejections = concat!(
        r#"[{"index":0,"pointer":"/buckets/0/hour_start","code":"wrong_type","detail":"Expected a string, found a number."},"#,
        r#"{"index":0,"pointer":"/buckets/0/source","code":"missing","detail":"This field is required."},"#,
        r#"{"index":0,"pointer":"/buckets/0/model","code":"missing","detail":"This field is required."},"#,
        r#"{"index":2,"pointer":"/buckets/2","code":"wrong_type","detail":"Expected an object, found null."}]"#,
    );
    tracker.app.tell(&format!("update usage.idempotency set verdicts = '\\x0400', rejections = '{rejections}'")).await;
    let again = tracker.post_with(&lenient, &mixed).await;
    assert!(replayed(&again));
    assert_eq!(String::from_utf8_lossy(&again.body), String::from_utf8_lossy(&first.body));
    let body = String::from_utf8(again.body).unwrap();
    assert!(body.ends_with(&format!(r#""rejections":{rejections}}}"#)), "{body}");
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free() {
    let tracker = Tracker::start().await;
    tracker.post_with(&[KEY], &[json!({})]).await.expect_problem(422, "invalid");
    assert_eq!(tracker.records().await, 0);
    let corrected = tracker.post_with(&[KEY], &[snapshot(7, 40)]).await;
    assert_eq!((verdicts(&corrected), replayed(&corrected)), (vec!["inserted".to_owned()], false));
}

#[tokio::test]
async fn a_record_that_cannot_be_kept_takes_its_buckets_with_it_and_nobody_elses() {
    let tracker = Tracker::start().await;
    let bob = tracker.app.user("bob", "UTC").await;
    let bobs = tracker.app.device(&bob, "laptop").await;
    tracker
        .app
        .tell(&format!(
            "create function public.refuse() returns trigger language plpgsql as
                 $$ begin raise exception 'refused' using errcode = 'P0001'; end $$;
             create trigger refuse before insert on usage.idempotency for each row
                 when (new.device_id = '{}') execute function public.refuse()",
            bobs.device_id
        ))
        .await;
    let (hold, decoys) = tracker.hold_both_writers().await;
    let mine = tracker.send(&[KEY], &[snapshot(7, 40)]);
    let refused = send(&tracker.app, &bobs.token, &[KEY], &[snapshot(8, 40), snapshot(9, 41)]);
    let also_mine = tracker.send(&[], &[decoy(3)]);
    rows_queued(&tracker.app, 6).await;
    hold.release().await;

    refused.await.unwrap().expect_problem(500, "internal");
    for reply in [mine, also_mine].into_iter().chain(decoys) {
        assert_eq!(verdicts(&reply.await.unwrap()), ["inserted"]);
    }
    assert_eq!(tracker.records().await, 1);
    assert_eq!((rows(&tracker.app, "input_tokens >= 7").await.len(), tracker.rows().await.len()), (1, 4));
    let unkeyed = send(&tracker.app, &bobs.token, &[], &[snapshot(8, 40)]).await.unwrap();
    assert_eq!(verdicts(&unkeyed), ["inserted"], "it is the record that is refused");
}

#[tokio::test]
async fn routes_that_keep_no_answers_refuse_the_header_by_name() {
    let tracker = Tracker::start().await;
    for path in ["/v1/rollups", "/v1/rollups?width=day"] {
        let request = tracker.app.request(Method::GET, path).bearer(&tracker.me.viewer);
        let reply = request.header(KEY.0, KEY.1).send().await;
        let problem = reply.expect_problem(400, "malformed");
        assert!(problem["detail"].as_str().unwrap().contains("Idempotency-Key"), "{problem}");
    }
    tracker.app.get(&tracker.me.viewer, "/v1/rollups").await.expect_ok();
    let anonymous = tracker.app.request(Method::GET, "/v1/rollups").header(KEY.0, KEY.1).send().await;
    anonymous.expect_problem(401, "unauthorized");
}
