//! Drift that was planted by hand is found, every single one, and a replay heals it.

use serde_json::json;

use crate::support::TestApp;
use crate::support::rollups::{Usage, half_hours};

#[tokio::test]
async fn fifty_planted_drifts_are_found_and_a_replay_heals_them_all_but_what_is_past_retention() {
    let app = TestApp::start().await;
    let user = app.user("ann", "Asia/Kathmandu").await;
    let device = app.device(&user, "laptop").await;
    let hours = half_hours("2026-10-01T00:00:00Z", "2026-11-20T00:00:00Z").step_by(12);
    let usage: Vec<Usage> = hours.zip(1..).map(|(hour, number)| Usage::numbered(hour, number)).collect();
    app.post_usage(&device, &usage).await;
    app.drain().await;
    let whole = app.rollups_checksum().await;
    let order = |action: &str| json!({"action": action, "reason": "drift", "from": "2026-10-01", "to": "2026-11-20"});
    let clean = app.planned(&user.operator, &order("verify")).await;
    let clean = app.executed(&user.operator, &clean).await;
    assert_eq!((&clean["state"], &clean["drift"]["count"]), (&json!("succeeded"), &json!(0)), "{clean}");

    // One a day, on fifty days: changed, missing and extra rows by turns.
    let days = app.ask("select distinct day::text from rollup.daily order by 1").await;
    assert!(days.len() >= 50, "{days:?}");
    for (place, day) in days.iter().take(50).enumerate() {
        let one = format!("ctid = (select min(ctid) from rollup.daily where day = '{day}')");
        app.tell(&match place % 3 {
            0 => format!("update rollup.daily set request_count = request_count + 1 where {one}"),
            1 => format!("delete from rollup.daily where {one}"),
            _ => format!(
                "insert into rollup.daily (user_id, day, device_id, source, model, input_tokens, cache_read_tokens,
                     cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens,
                     unclassified_tokens, request_count, bucket_count)
                 select user_id, day, device_id, 'other', 'planted', 1, 0, 0, 0, 0, 0, 0, 0, 1
                 from rollup.daily where {one}"
            ),
        })
        .await;
    }
    let verify = async || {
        let job = app.planned(&user.operator, &order("verify")).await;
        app.executed(&user.operator, &job).await["drift"].clone()
    };
    let found = verify().await;
    assert_eq!((&found["count"], found["first"].as_array().unwrap().len()), (&json!(50), 50), "{found}");

    let replay = app.planned(&user.operator, &order("replay")).await;
    let replay = app.executed(&user.operator, &replay).await;
    assert_eq!((&replay["state"], &replay["failure"]), (&json!("succeeded"), &json!(null)), "{replay}");
    assert_eq!(verify().await["count"], 0);
    assert_eq!(app.rollups_checksum().await, whole);

    // Before the horizon there are sums without buckets: a replay leaves them alone.
    app.tell("delete from usage.bucket where hour_start < '2026-10-09T18:15:00Z'").await;
    app.tell("update rollup.user_state set frozen_before = '2026-10-10'").await;
    let replay = app.planned(&user.operator, &order("replay")).await;
    assert_eq!(app.executed(&user.operator, &replay).await["state"], "succeeded");
    assert_eq!(app.rollups_checksum().await, whole);
}
