//! Memory that outlives the tools' logs: a late and silent snapshot lowers nothing that was reported in time.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Tracker, bucket, verdicts};
use crate::support::{TestDevice, instant};

/// More than 25 days before the tests' present.
const WINTER: &str = "2026-10-20T10:30:00Z";
const IN_TIME: &str = "2026-10-20T10:58:00Z";
const SCAN: &str = "2026-11-20T11:58:00Z";
const LATER_SCAN: &str = "2026-11-20T11:59:00Z";

/// A snapshot of last winter: its input, and when it was taken.
fn old(input_tokens: i64, observed_at: Option<&str>) -> Value {
    let mut bucket = bucket(&json!({"hour_start": WINTER, "input_tokens": input_tokens}));
    if let Some(observed_at) = observed_at {
        bucket["observed_at"] = observed_at.into();
    }
    bucket
}

fn retracting(mut snapshot: Value) -> Value {
    snapshot["retracts"] = true.into();
    snapshot
}

/// What the list of devices says of how much was kept out.
async fn listed(tracker: &Tracker) -> Vec<(i64, bool)> {
    let list = tracker.app.get(&tracker.me.viewer, "/v1/devices").await.expect_ok().clone();
    let device = |device: &Value| (device["kept"].as_i64().unwrap(), device["last_kept_at"].is_string());
    list["data"].as_array().unwrap().iter().map(device).collect()
}

async fn counted(tracker: &Tracker) -> u64 {
    tracker.app.counter(&tracker.me, "halfhour_kept_total").await
}

#[tokio::test]
async fn a_shrunken_scan_of_last_winter_is_kept_out_and_says_so_everywhere() {
    let tracker = Tracker::start().await;
    assert_eq!(tracker.verdicts(&[old(900, Some(IN_TIME))]).await, ["inserted"]);
    let (events, before) = (tracker.events().await, counted(&tracker).await);
    let reply = tracker.post(&[old(100, Some(SCAN)), bucket(&json!({"input_tokens": 1}))]).await;
    assert_eq!(verdicts(&reply), ["kept", "inserted"]);
    assert_eq!((&reply.json["kept"], &reply.json["stale"]), (&1.into(), &0.into()));
    let row = &tracker.rows().await[0];
    assert_eq!((&row["input_tokens"], &row["observed_at"]), (&900.into(), &"2026-10-20T10:58:00+00:00".into()));
    assert_eq!(tracker.events().await, events + 1, "only the other bucket is announced");
    assert_eq!(listed(&tracker).await, [(1, true)]);
    assert!(counted(&tracker).await > before, "other tests may count beside this one");
    assert_eq!(tracker.verdicts(&[old(0, None)]).await, ["kept"], "without a stamp it is as late as its arrival");
    assert_eq!(listed(&tracker).await, [(2, true)]);
}

#[tokio::test]
async fn what_is_merely_older_is_stale_and_counts_for_no_device() {
    let tracker = Tracker::start().await;
    tracker.verdicts(&[old(900, Some(IN_TIME))]).await;
    for observed_at in ["2026-10-20T10:40:00Z", IN_TIME] {
        assert_eq!(tracker.verdicts(&[old(100, Some(observed_at))]).await, ["stale"], "{observed_at}");
    }
    assert_eq!(tracker.verdicts(&[retracting(old(900, Some(LATER_SCAN)))]).await, ["unchanged"]);
    assert_eq!(tracker.verdicts(&[old(901, Some(SCAN))]).await, ["stale"], "late and silent, and older besides");
    assert_eq!(listed(&tracker).await, [(0, false)]);
}

#[tokio::test]
async fn where_the_stronger_snapshot_was_erased_the_weaker_one_that_is_newer_is_taken() {
    let tracker = Tracker::start().await;
    tracker.verdicts(&[old(900, Some(IN_TIME))]).await;
    let user_id = tracker.me.user_id;
    tracker
        .execute(format!(
            "with gone as (delete from usage.bucket where user_id = '{user_id}')
             insert into usage.erasure (user_id, erasure_id, erased_at, device_id, source, first_hour, last_hour)
             values ('{user_id}', gen_random_uuid(), '2026-11-01T00:00:00Z', null, null, '-infinity', 'infinity')"
        ))
        .await;
    let sent = [old(900, Some(IN_TIME)), old(800, Some("2026-10-20T10:50:00Z")), old(100, Some(SCAN))];
    assert_eq!(tracker.verdicts(&sent).await, ["erased", "erased", "inserted"]);
    let rows = tracker.rows().await;
    assert_eq!((rows.len(), &rows[0]["input_tokens"]), (1, &100.into()), "{rows:?}");
    assert_eq!(tracker.verdicts(&sent).await, ["erased", "erased", "unchanged"], "again");
}

#[tokio::test]
async fn of_late_scans_the_larger_total_stands_in_either_order() {
    for order in [[(900, SCAN), (100, LATER_SCAN)], [(100, LATER_SCAN), (900, SCAN)]] {
        let tracker = Tracker::start().await;
        let mut said = Vec::new();
        for (input_tokens, observed_at) in order {
            said.extend(tracker.verdicts(&[old(input_tokens, Some(observed_at))]).await);
        }
        let expected = if order[0].0 == 900 { ["inserted", "kept"] } else { ["inserted", "updated"] };
        assert_eq!(said, expected);
        assert_eq!(tracker.row().await["input_tokens"], 900);
    }
}

#[tokio::test]
async fn a_half_hour_that_is_completed_too_late_keeps_its_part_unless_the_tracker_retracts() {
    let tracker = Tracker::start().await;
    tracker.verdicts(&[old(100, Some(IN_TIME))]).await;
    assert_eq!(tracker.verdicts(&[old(900, Some(SCAN))]).await, ["kept"], "the price");
    assert_eq!(tracker.verdicts(&[retracting(old(900, Some(SCAN)))]).await, ["updated"]);
    assert_eq!(tracker.verdicts(&[retracting(old(7, Some(LATER_SCAN)))]).await, ["updated"], "it may fall, too");
    assert_eq!(tracker.verdicts(&[old(8, Some("2026-11-20T12:04:00Z"))]).await, ["kept"]);
    assert_eq!(tracker.row().await["input_tokens"], 7);
    assert_eq!(tracker.verdicts(&[retracting(old(5, None))]).await, ["updated"], "retracting, as of its arrival");
}

#[tokio::test]
async fn a_snapshot_is_late_from_a_microsecond_after_the_twenty_fifth_day_on() {
    // The half hour ends at 10:00.
    let at = |observed_at: &str, input: i64| {
        bucket(&json!({"hour_start": "2026-10-26T09:30:00Z", "observed_at": observed_at, "input_tokens": input}))
    };
    let tracker = Tracker::start().await;
    tracker.verdicts(&[at("2026-10-26T09:31:00Z", 900)]).await;
    assert_eq!(tracker.verdicts(&[at("2026-11-20T10:00:00.000001Z", 8)]).await, ["kept"]);
    assert_eq!(tracker.verdicts(&[at("2026-11-20T10:00:00Z", 7)]).await, ["updated"]);

    let tracker = Tracker::start().await;
    tracker.app.clock.set(instant("2026-11-20T10:00:00Z"));
    let arriving = bucket(&json!({"hour_start": "2026-10-26T09:30:00Z", "model": "n", "input_tokens": 5}));
    assert_eq!(tracker.verdicts(std::slice::from_ref(&arriving)).await, ["inserted"]);
    assert_eq!(tracker.row().await["rank"], 1);
    tracker.app.clock.set(instant("2026-11-20T10:00:01Z"));
    let mut less = arriving;
    less["input_tokens"] = 4.into();
    assert_eq!(tracker.verdicts(&[less]).await, ["kept"]);
}

#[tokio::test]
async fn equal_counts_are_unchanged_whatever_the_rank_and_the_greater_version_is_stored() {
    let tracker = Tracker::start().await;
    let observed_at = async || tracker.row().await["observed_at"].as_str().unwrap().to_owned();
    tracker.verdicts(&[old(9, Some(SCAN))]).await;
    assert_eq!(tracker.verdicts(&[old(9, Some(LATER_SCAN))]).await, ["unchanged"]);
    assert_eq!(observed_at().await, "2026-11-20T11:59:00+00:00");
    assert_eq!(tracker.verdicts(&[old(9, Some(IN_TIME))]).await, ["unchanged"]);
    assert_eq!(observed_at().await, "2026-10-20T10:58:00+00:00", "on time is greater");
    assert_eq!(tracker.verdicts(&[old(9, Some(LATER_SCAN))]).await, ["unchanged"]);
    assert_eq!(observed_at().await, "2026-10-20T10:58:00+00:00");
    assert_eq!(tracker.verdicts(&[retracting(old(9, Some(SCAN)))]).await, ["unchanged"]);
    assert_eq!(observed_at().await, "2026-11-20T11:58:00+00:00");
    assert_eq!((tracker.events().await, listed(&tracker).await), (1, vec![(0, false)]));
}

#[tokio::test]
async fn a_repeated_key_is_answered_kept_again_and_counted_once() {
    let tracker = Tracker::start().await;
    tracker.verdicts(&[old(900, Some(IN_TIME))]).await;
    for replayed in ["", "true", "true"] {
        let reply = tracker.send(&[("idempotency-key", "k")], &[old(1, Some(SCAN))]).await.unwrap();
        assert_eq!((verdicts(&reply), reply.header("idempotency-replayed")), (vec!["kept".to_owned()], replayed));
    }
    assert_eq!(listed(&tracker).await, [(1, true)]);
}

#[tokio::test]
async fn sixteen_shrunken_scans_at_once_are_all_kept_out_and_counted() {
    let tracker = Tracker::start().await;
    let second = tracker.app.device(&tracker.me, "desktop").await;
    tracker.verdicts(&[old(900, Some(IN_TIME))]).await;
    tracker.app.post_buckets(&second.token, &json!({"buckets": [old(800, Some(IN_TIME))]})).await.expect_ok();
    let post = async |device: &TestDevice, input: i64| {
        let body = json!({"buckets": [old(input, Some(SCAN))]});
        verdicts(&tracker.app.post_buckets(&device.token, &body).await).remove(0)
    };
    let posts = (0..16).map(|number| post(if number % 4 == 0 { &second } else { &tracker.device }, number));
    assert_eq!(join_all(posts).await, ["kept"; 16]);
    assert_eq!(listed(&tracker).await, [(12, true), (4, true)]);
}

#[tokio::test]
async fn what_could_not_be_committed_is_not_counted() {
    let tracker = Tracker::start().await;
    tracker.verdicts(&[old(900, Some(IN_TIME))]).await;
    tracker.app.refuse_inserts("usage.kept", "23514").await;
    let refused = tracker.post(&[old(1, Some(SCAN)), bucket(&json!({"input_tokens": 1}))]).await;
    assert!(refused.status >= 500, "{}", refused.json);
    assert_eq!(tracker.rows().await.len(), 1, "the post is written whole or not at all");
    tracker.app.tell("drop trigger refuse_insert on usage.kept").await;
    assert_eq!(listed(&tracker).await, [(0, false)]);
}

const CORRECT: &str = "update usage.bucket set input_tokens = 50, observed_at = '2026-11-20T11:30:00Z',
    backfill_id = '00000000-0000-7000-8000-000000000001'";

#[tokio::test]
async fn a_correction_of_an_old_half_hour_stands_against_silent_scans_and_gives_way_to_a_retraction() {
    let tracker = Tracker::start().await;
    tracker.verdicts(&[old(900, Some(IN_TIME))]).await;
    tracker.execute(CORRECT.to_owned()).await;
    assert_eq!(tracker.verdicts(&[old(60, Some(SCAN))]).await, ["kept"], "it is newer, and lost by its rank");
    assert_eq!(tracker.verdicts(&[old(60, None)]).await, ["corrected"]);
    assert_eq!(
        tracker.verdicts(&[retracting(old(60, None))]).await,
        ["corrected"],
        "an arrival time never outweighs one"
    );
    assert_eq!(tracker.verdicts(&[retracting(old(61, Some("2026-11-20T11:29:00Z")))]).await, ["stale"]);
    assert_eq!(tracker.row().await["input_tokens"], 50);
    assert_eq!(tracker.verdicts(&[retracting(old(60, Some(SCAN)))]).await, ["updated"]);
    let row = tracker.row().await;
    assert!(row["backfill_id"].is_null() && row["input_tokens"] == 60, "{row:?}");
}

/// Writes a row as a release does that knows no ranks.
async fn as_an_older_release(tracker: &Tracker, model: &str, observed_at: &str, backfill_id: &str) {
    let (user_id, device_id) = (tracker.me.user_id, tracker.device.device_id);
    tracker
        .execute(format!(
            "insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
                 cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
                 request_count, observed_at, stamped, backfill_id, changed_at)
             values ('{user_id}', '{WINTER}', '{device_id}', 'claude-code', '{model}', 500, 0, 0, 0, 0, 0, 0, 0,
                 '{observed_at}', true, {backfill_id}, now())
             on conflict (user_id, hour_start, device_id, source, model) do update set
                 input_tokens = excluded.input_tokens, observed_at = excluded.observed_at,
                 backfill_id = excluded.backfill_id"
        ))
        .await;
}

#[tokio::test]
async fn a_row_of_an_older_release_has_the_rank_that_it_would_have_had() {
    let tracker = Tracker::start().await;
    let job = "'00000000-0000-7000-8000-000000000001'";
    for (number, (observed_at, backfill_id, sent, verdict)) in [
        (IN_TIME, "null", old(900, Some(LATER_SCAN)), "kept"),
        (SCAN, "null", old(900, Some("2026-11-20T11:00:00Z")), "updated"),
        (SCAN, "null", old(400, Some(LATER_SCAN)), "kept"),
        (SCAN, "null", old(400, Some(IN_TIME)), "updated"),
        (SCAN, "null", retracting(old(400, Some("2026-11-20T11:00:00Z"))), "updated"),
        (SCAN, job, old(900, Some(LATER_SCAN)), "kept"),
        (SCAN, job, retracting(old(900, Some("2026-11-20T11:00:00Z"))), "stale"),
        (SCAN, job, retracting(old(900, Some(LATER_SCAN))), "updated"),
    ]
    .into_iter()
    .enumerate()
    {
        // It may have inserted the row, or replaced one of this release, whose rank is another.
        for (variant, standing) in [None, Some(SCAN), Some(IN_TIME)].into_iter().enumerate() {
            let model = format!("m{number}/{variant}");
            let named = |mut snapshot: Value| {
                snapshot["model"] = model.as_str().into();
                snapshot
            };
            let standing: Vec<_> = standing.map(|observed_at| named(old(3, Some(observed_at)))).into_iter().collect();
            tracker.verdicts(&standing).await;
            as_an_older_release(&tracker, &model, observed_at, backfill_id).await;
            let said = tracker.verdicts(&[named(sent.clone())]).await;
            assert_eq!(said, [verdict], "{model} {observed_at} {backfill_id} {sent}");
        }
    }
}

#[tokio::test]
async fn retracts_is_a_boolean_and_nothing_is_written_where_it_is_not() {
    let tracker = Tracker::start().await;
    for bad in [json!("true"), json!(1), json!(null), json!([])] {
        let mut sent = old(1, Some(SCAN));
        sent["retracts"] = bad;
        let reply = tracker.app.request(Method::POST, "/v1/buckets").bearer(&tracker.device.token);
        let reply = reply.json(&json!({"buckets": [old(2, Some(SCAN)), sent]})).send().await;
        let error = &reply.expect_problem(422, "invalid")["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&"/buckets/1/retracts".into(), &"wrong_type".into()));
    }
    assert!(tracker.rows().await.is_empty());
}
