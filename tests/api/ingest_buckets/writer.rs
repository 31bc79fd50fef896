//! The queue behind `POST /v1/buckets`: many devices in one transaction, and what one of them may do to the others.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};
use uuid::Uuid;

use super::held::{Hold, Sent, batches_waiting, decoy, rows_queued, send};
use super::{Tracker, bucket, rows, snapshot, verdicts};
use crate::support::{Reply, TestDevice, TestUser, line, wait_for_line};

/// Rows that may wait in one server.
const QUEUE_ROWS: usize = 32_000;

async fn all(sent: impl IntoIterator<Item = Sent>) -> Vec<Reply> {
    join_all(sent).await.into_iter().map(Result::unwrap).collect()
}

impl Tracker {
    /// Other users with a device each.
    pub async fn strangers(&self, count: u32) -> Vec<(TestUser, TestDevice)> {
        let mut strangers = Vec::new();
        for number in 0..count {
            let user = self.app.user(&format!("stranger-{number}"), "UTC").await;
            let device = self.app.device(&user, "laptop").await;
            strangers.push((user, device));
        }
        strangers
    }
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_writes_nothing_of_what_it_refused() {
    let tracker = Tracker::start().await;
    let models = |count: usize| -> Vec<_> {
        (0..count).map(|number| bucket(&json!({"model": format!("model-{number}")}))).collect()
    };
    let (hold, decoys) = tracker.hold_both_writers().await;
    let full: Vec<_> = (0..63).map(|_| tracker.send(&[], &models(500))).collect();
    rows_queued(&tracker.app, 2 + 63 * 500).await;
    let too_much: Vec<_> = (0..499).map(decoy).collect();
    tracker.post(&too_much).await.expect_problem(503, "overloaded");
    let last = tracker.send(&[], &models(498));
    rows_queued(&tracker.app, QUEUE_ROWS).await;

    for headers in [&[][..], &[("idempotency-key", "one")]] {
        let refused = tracker.send(headers, &[decoy(600)]).await.unwrap();
        let problem = refused.expect_problem(503, "overloaded");
        assert_eq!((&problem["fault"], &problem["retry"]), (&"server".into(), &"after".into()));
        assert_eq!(refused.header("retry-after"), "1");
        let line = line(refused.header("x-request-id"));
        assert_eq!((&line["upstream_status"], &line["attribution"]), (&Value::Null, &"UNKNOWN".into()));
    }
    tracker.post(&[]).await.expect_ok();
    hold.release().await;

    for reply in all(full.into_iter().chain([last]).chain(decoys)).await {
        assert_eq!(reply.status, 200, "{}", reply.json);
    }
    assert_eq!(tracker.rows().await.len(), 502);
    assert_eq!(tracker.app.writer().queued_rows(), 0, "the room is given back");
    let keyed = tracker.send(&[("idempotency-key", "one")], &[decoy(600)]).await.unwrap();
    assert_eq!((verdicts(&keyed)[0].as_str(), keyed.header("idempotency-replayed")), ("inserted", ""));
}

#[tokio::test]
async fn a_batch_that_fails_through_one_users_data_fails_for_that_user_alone() {
    for (sqlstate, upstream_status) in [("P0001", 500), ("23514", 400), ("22003", 400)] {
        let tracker = Tracker::start().await;
        let strangers = tracker.strangers(10).await;
        let (culprit, _) = &strangers[9];
        // A sequence counts what is rolled back, too.
        let refuse = format!(
            "create sequence public.attempt;
             grant usage on sequence public.attempt to halfhour_api;
             grant usage on schema public to halfhour_api;
             create function public.refuse() returns trigger language plpgsql as $$
             begin
                 perform nextval('public.attempt');
                 raise exception 'refused' using errcode = '{sqlstate}';
             end $$;
             create trigger refuse before insert on usage.bucket for each row
                 when (new.user_id = '{}') execute function public.refuse()",
            culprit.user_id
        );
        tracker.app.tell(&refuse).await;
        let (hold, decoys) = tracker.hold_both_writers().await;
        let mut sent = Vec::new();
        for (_, device) in &strangers {
            sent.push(send(&tracker.app, &device.token, &[], &[snapshot(7, 40)]));
            rows_queued(&tracker.app, 2 + sent.len()).await;
        }
        hold.release().await;

        for ((user, _), reply) in strangers.iter().zip(all(sent).await) {
            let line = line(reply.header("x-request-id"));
            if user.user_id == culprit.user_id {
                reply.expect_problem(500, "internal");
                assert_eq!(line["upstream_status"], upstream_status, "{line}");
            } else {
                assert_eq!(verdicts(&reply), ["inserted"]);
                assert_eq!(line["upstream_status"], 200, "{line}");
            }
        }
        all(decoys).await;
        let attempts: u32 = tracker.app.ask("select last_value::text from public.attempt").await[0].parse().unwrap();
        assert_eq!(attempts, 5, "ten, five, three, two, and then the culprit alone");
        assert_eq!(rows(&tracker.app, "input_tokens = 7").await.len(), 9);
    }
}

#[tokio::test]
async fn a_batch_that_failed_in_passing_is_tried_again_and_known_by_the_attempt_that_went_well() {
    for (sqlstate, failures) in [("40001", 1), ("40P01", 2)] {
        let tracker = Tracker::start().await;
        // A sequence counts what is rolled back, too.
        let refuse = format!(
            "create sequence public.attempt;
             grant usage on sequence public.attempt to halfhour_api;
             grant usage on schema public to halfhour_api;
             create function public.refuse() returns trigger language plpgsql as $$
             begin
                 if nextval('public.attempt') <= {failures} then
                     raise exception 'in passing' using errcode = '{sqlstate}';
                 end if;
                 return new;
             end $$;
             create trigger refuse before insert on usage.bucket for each row execute function public.refuse()"
        );
        tracker.app.tell(&refuse).await;
        let reply = tracker.post(&[snapshot(7, 40)]).await;
        assert_eq!(verdicts(&reply), ["inserted"]);
        let line = line(reply.header("x-request-id"));
        assert_eq!((&line["status"], &line["upstream_status"]), (&200.into(), &200.into()), "{line}");
        assert_eq!((&line["retries"], &line["error_code"]), (&failures.into(), &Value::Null), "{line}");
        assert_eq!(rows(&tracker.app, "input_tokens = 7").await.len(), 1);
    }
}

#[tokio::test]
async fn users_of_one_batch_meet_in_one_transaction_and_each_has_exactly_its_rows() {
    let tracker = Tracker::start().await;
    let strangers = tracker.strangers(3).await;
    tracker
        .app
        .tell(
            "create table public.probe (transaction text, user_ids text, user_id uuid);
             create function public.look() returns trigger language plpgsql security definer as $$
             begin
                 insert into public.probe
                 values (pg_current_xact_id()::text, current_setting('app.user_ids'), new.user_id);
                 return new;
             end $$;
             create trigger look before insert on usage.bucket for each row execute function public.look()",
        )
        .await;
    let (hold, decoys) = tracker.hold_both_writers().await;
    // The same bucket of everybody, twice of the first.
    let sent: Vec<_> = (0..4)
        .map(|number| {
            let (_, device) = &strangers[number % 3];
            let counts = i64::try_from(number).unwrap();
            send(&tracker.app, &device.token, &[], &[snapshot(counts, 40), decoy(9)])
        })
        .collect();
    rows_queued(&tracker.app, 10).await;
    hold.release().await;
    let replies = all(sent.into_iter().chain(decoys)).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");

    let ids: BTreeSet<_> = strangers.iter().map(|(user, _)| user.user_id).collect();
    let named = |text: &str| text.split(',').map(|id| Uuid::parse_str(id).unwrap()).collect::<BTreeSet<_>>();
    let batch =
        format!("select distinct user_ids, transaction from public.probe where user_id <> '{}'", tracker.me.user_id);
    let batches = tracker.app.ask(&batch).await;
    assert_eq!(batches.iter().map(|users| named(users)).collect::<Vec<_>>(), [ids], "one transaction, of these users");
    let mine = format!("select distinct user_ids from public.probe where user_id = '{}'", tracker.me.user_id);
    assert_eq!(tracker.app.ask(&mine).await, [tracker.me.user_id.to_string()], "and of the decoys' user alone before");

    for (number, (user, device)) in (0..3_i64).zip(&strangers) {
        let found = rows(&tracker.app, &format!("user_id = '{}'", user.user_id)).await;
        let found: Vec<_> = found.iter().map(|row| (row["input_tokens"].clone(), row["device_id"].clone())).collect();
        let device = Value::from(device.device_id.to_string());
        // The fourth post is the first stranger's, and outweighs its first.
        let counts = if number == 0 { 3 } else { number };
        assert_eq!(found, [(counts.into(), device.clone()), (1.into(), device)]);
    }
    let events = tracker.app.ask("select o.user_id || ' ' || o.request_id from usage.outbox o").await;
    let announced: BTreeSet<_> = events.iter().filter_map(|event| Some(event.split_once(' ')?.0.to_owned())).collect();
    let everybody = strangers.iter().map(|(user, _)| user.user_id).chain([tracker.me.user_id]);
    assert_eq!(announced, everybody.map(|id| id.to_string()).collect(), "events of everybody");
    for event in events {
        let (user_id, request_id) = event.split_once(' ').unwrap();
        let strangers = strangers.iter().map(|(user, _)| user.user_id.to_string());
        let owners: Vec<_> =
            strangers.cycle().take(4).chain([(); 2].map(|()| tracker.me.user_id.to_string())).collect();
        let cause = replies.iter().position(|reply| reply.header("x-request-id") == request_id).unwrap();
        assert_eq!(owners[cause], user_id, "an event is put down to a request of its own user");
    }
}

#[tokio::test]
async fn every_request_of_a_batch_has_the_batchs_answer_on_its_line() {
    let tracker = Tracker::start().await;
    let (hold, decoys) = tracker.hold_both_writers().await;
    let sent = [tracker.send(&[], &[snapshot(1, 40)]), tracker.send(&[("idempotency-key", "one")], &[snapshot(2, 41)])];
    rows_queued(&tracker.app, 4).await;
    hold.release().await;
    let lines: Vec<_> = all(sent).await.iter().map(|reply| line(reply.header("x-request-id"))).collect();
    for line in &lines {
        assert_eq!((&line["upstream_status"], &line["retries"]), (&200.into(), &0.into()), "{line}");
        assert!(line["upstream_latency_ms"].as_f64().unwrap() > 0.0, "{line}");
    }
    assert_eq!(lines[0]["upstream_latency_ms"], lines[1]["upstream_latency_ms"], "it was one transaction");
    assert_eq!((&lines[0]["idempotency"], &lines[1]["idempotency"]), (&Value::Null, &"executed".into()));
    all(decoys).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_its_turn_is_never_started() {
    let tracker = Tracker::start().await;
    let (hold, decoys) = tracker.hold_both_writers().await;
    let (abandoned, kept) = (Uuid::now_v7().to_string(), Uuid::now_v7().to_string());
    let leaving =
        tracker.send(&[("x-request-id", &abandoned)], &[bucket(&json!({"model": "left", "input_tokens": 7}))]);
    // Who brings a key can come back for the answer: it is executed for them.
    let coming_back = [("x-request-id", kept.as_str()), ("idempotency-key", "one")];
    let keyed = tracker.send(&coming_back, &[snapshot(8, 41)]);
    rows_queued(&tracker.app, 4).await;
    for (leaving, id) in [(leaving, &abandoned), (keyed, &kept)] {
        leaving.abort();
        assert_eq!(wait_for_line(id).await["status"], 499);
    }
    hold.release().await;
    all(decoys).await;
    // Behind them in the queue: when it is written, they had their turn.
    assert_eq!(tracker.verdicts(&[decoy(3)]).await, ["inserted"]);
    rows_queued(&tracker.app, 0).await;
    let found = rows(&tracker.app, "input_tokens <> 1").await;
    assert_eq!(found.iter().map(|row| &row["input_tokens"]).collect::<Vec<_>>(), [8]);
    let answer = tracker.send(&[coming_back[1]], &[snapshot(8, 41)]).await.unwrap();
    assert_eq!((verdicts(&answer)[0].as_str(), answer.header("idempotency-replayed")), ("inserted", "true"));
}

#[tokio::test]
async fn a_client_that_leaves_after_its_turn_came_is_wholly_committed() {
    let tracker = Tracker::start().await;
    let hold = Hold::of_all_buckets(&tracker.app).await;
    let id = Uuid::now_v7().to_string();
    let leaving = tracker.send(&[("x-request-id", &id)], &[snapshot(7, 40), decoy(1)]);
    batches_waiting(&tracker.app, 1).await;
    leaving.abort();
    assert_eq!(wait_for_line(&id).await["status"], 499);
    hold.release().await;
    rows_queued(&tracker.app, 0).await;
    assert_eq!((tracker.rows().await.len(), tracker.events().await), (2, 1));
}

#[tokio::test]
async fn what_another_servers_batch_locks_in_another_order_is_no_deadlock() {
    let tracker = Tracker::start().await;
    let second_server = tracker.app.second_server().await;
    // Names that collations other than "C" would put in another order than the code does.
    let names = ["A", "a", "B", "b", "m.1", "m-1", "m_1", "m1"];
    let buckets = |second: u32| -> Vec<_> {
        let models =
            names.into_iter().flat_map(|model| ["codex", "claude-code", "cline"].map(|source| (model, source)));
        let observed_at = format!("2026-11-20T10:40:{second:02}Z");
        let mut buckets: Vec<_> = models
            .map(|(model, source)| {
                bucket(&json!({"model": model, "source": source, "observed_at": observed_at, "input_tokens": second}))
            })
            .collect();
        let middle = usize::try_from(second).unwrap() % buckets.len();
        buckets.rotate_left(middle);
        if second.is_multiple_of(2) {
            buckets.reverse();
        }
        buckets
    };
    let deadlocks = async || {
        let sql = "select deadlocks::text from pg_stat_database where datname = current_database()";
        tracker.app.admin.execute(sqlx::raw_sql(AssertSqlSafe("select pg_stat_clear_snapshot()"))).await.unwrap();
        tracker.app.ask(sql).await
    };
    for round in 0..3 {
        let posts = (0..16_u32).map(|second| {
            let server = if second.is_multiple_of(2) { &tracker.app } else { &second_server };
            send(server, &tracker.device.token, &[], &buckets(16 * round + second))
        });
        for reply in all(posts.collect::<Vec<_>>()).await {
            reply.expect_ok();
            assert_eq!(line(reply.header("x-request-id"))["retries"], 0, "a retry hid a deadlock");
        }
    }
    assert_eq!(deadlocks().await, ["0"]);
    let rows = tracker.rows().await;
    assert_eq!(rows.len(), 3 * names.len());
    assert!(rows.iter().all(|row| row["input_tokens"] == 47), "{rows:?}");
}
