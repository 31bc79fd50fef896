//! What corrections and merges mean where more is added later: it goes on top of them, and is still there when they are
//! taken back.

use chrono::TimeDelta;
use halfhour::features::dashboard_rollup::{Window, verify};
use serde_json::{Value, json};

use super::Tool;
use super::wire::{export, request};
use crate::backfill::import;

const AT: &str = "2026-11-20T10:31:00Z";

impl Tool {
    /// An import that lets the one bucket say so.
    async fn corrected(&self, input_tokens: u64) -> Value {
        let bucket = json!({"user_id": self.me.user_id, "device_id": self.device.device_id,
            "hour_start": "2026-11-20T10:30:00Z", "source": "claude-code", "model": "claude-opus-4-5",
            "input_tokens": input_tokens, "request_count": 1});
        let planned = self.app.planned(&self.me.operator, &import(&[bucket])).await;
        let done = self.app.executed(&self.me.operator, &planned).await;
        assert_eq!(done["state"], "succeeded", "{done}");
        done
    }

    async fn add(&self, number: usize, input: u64) {
        self.app.clock.set(self.app.clock.now() + TimeDelta::seconds(1));
        self.count(&[request(number, AT, input, 0)]).await;
    }

    async fn take_back(&self, job: &Value) {
        let back = self.app.rolled_back(&self.me.operator, job).await;
        assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    }

    async fn assert_clean(&self) {
        self.app.drain().await;
        let report = verify(&self.app.pools.worker, &Window::default()).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
}

#[tokio::test]
async fn what_is_added_to_a_correction_stays_when_it_is_taken_back() {
    let tool = Tool::start().await;
    tool.add(0, 10).await;
    let job = tool.corrected(100).await;
    assert_eq!(tool.says().await, ["10:30 100+0 of 1"]);
    tool.add(1, 7).await;
    tool.add(1, 7).await;
    assert_eq!(tool.says().await, ["10:30 107+0 of 2"]);
    tool.assert_clean().await;
    tool.take_back(&job).await;
    assert_eq!(tool.says().await, ["10:30 17+0 of 2"]);
    tool.add(2, 1).await;
    assert_eq!(tool.says().await, ["10:30 18+0 of 3"]);
    tool.assert_clean().await;
}

#[tokio::test]
async fn what_is_added_to_a_bucket_that_a_correction_made_is_all_that_is_left_without_it() {
    let tool = Tool::start().await;
    let job = tool.corrected(100).await;
    tool.add(0, 10).await;
    assert_eq!(tool.says().await, ["10:30 110+0 of 2"]);
    tool.take_back(&job).await;
    assert_eq!(tool.says().await, ["10:30 10+0 of 1"]);
    tool.assert_clean().await;
}

#[tokio::test]
async fn what_is_added_reaches_every_correction_under_another_one() {
    for first_makes_it in [false, true] {
        let tool = Tool::start().await;
        if !first_makes_it {
            tool.add(0, 10).await;
        }
        let first = tool.corrected(100).await;
        tool.add(1, 7).await;
        let second = tool.corrected(1000).await;
        tool.add(2, 3).await;
        assert_eq!(tool.says().await, ["10:30 1003+0 of 2"]);
        tool.take_back(&second).await;
        assert_eq!(tool.says().await, ["10:30 110+0 of 3"]);
        tool.take_back(&first).await;
        let (input, requests) = if first_makes_it { (10, 2) } else { (20, 3) };
        assert_eq!(tool.says().await, [format!("10:30 {input}+0 of {requests}")]);
        tool.assert_clean().await;
    }
}

/// A record that comes between a plan and its execution moves the bucket, and the plan leaves it alone.
#[tokio::test]
async fn a_correction_does_not_swallow_what_came_after_its_plan() {
    let tool = Tool::start().await;
    tool.add(0, 10).await;
    let bucket = json!({"user_id": tool.me.user_id, "device_id": tool.device.device_id,
        "hour_start": "2026-11-20T10:30:00Z", "source": "claude-code", "model": "claude-opus-4-5", "input_tokens": 5});
    let planned = tool.app.planned(&tool.me.operator, &import(&[bucket])).await;
    tool.add(1, 7).await;
    tool.app.tell_job(&tool.me.operator, &planned, "execute").await.expect_problem(409, "plan_stale");
    assert_eq!(tool.says().await, ["10:30 17+0 of 2"]);
}

#[tokio::test]
async fn records_go_on_top_of_what_a_merge_has_moved_and_stay_when_it_is_taken_back() {
    let tool = Tool::start().await;
    tool.add(0, 10).await;
    let new = tool.app.device(&tool.me, "laptop again").await;
    tool.app.switches().set(halfhour::kernel::operations::switches::Switch::Backfill, true);
    let path = format!("/v1/devices/{}/revoke", tool.device.device_id);
    tool.app.request(reqwest::Method::POST, &path).bearer(&tool.me.viewer).send().await.expect_ok();
    let order = json!({"action": "merge", "reason": "installed anew", "from_device_id": tool.device.device_id,
        "into_device_id": new.device_id});
    let planned = tool.app.planned(&tool.me.viewer, &order).await;
    let job = tool.app.executed(&tool.me.viewer, &planned).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    // The first post of the new device: what a merge has brought is not its own, so that it may count.
    let records = export(&[request(0, AT, 10, 0), request(1, AT, 7, 0)]);
    assert_eq!(tool.app.export(&new.token, &records).await.expect_ok(), &json!({}));
    assert_eq!(tool.says().await, ["10:30 17+0 of 2"]);
    tool.assert_clean().await;
    let back = tool.app.rolled_back(&tool.me.viewer, &job).await;
    assert_eq!(back["state"], "rolled_back", "{back}");
    assert_eq!(tool.says().await, ["10:30 10+0 of 1", "10:30 7+0 of 1"]);
    tool.assert_clean().await;
}
