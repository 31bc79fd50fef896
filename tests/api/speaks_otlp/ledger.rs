//! The ledger: how long it remembers, and what erasures and retention leave of it.

use chrono::TimeDelta;
use halfhour::kernel::usage::ledger;
use reqwest::Method;

use super::Tool;
use super::wire::{event, export, request};
use crate::support::{context, instant};

impl Tool {
    async fn erase_usage(&self, query: &str) {
        let path = format!("/v1/me/usage?{query}");
        self.app.request(Method::DELETE, &path).bearer(&self.me.viewer).send().await.expect_ok();
    }

    async fn purge(&self) -> u64 {
        ledger::purge(&self.app.pools.worker, &context(), &self.app.clock).await.unwrap()
    }
}

#[tokio::test]
async fn a_record_is_remembered_for_as_long_as_it_is_taken() {
    let tool = Tool::start().await;
    let records = [request(0, "2026-11-20T10:31:00Z", 10, 5), request(1, "2026-11-20T11:31:00Z", 1, 1)];
    tool.count(&records).await;
    tool.app.clock.set(instant("2026-12-20T10:30:00Z"));
    assert_eq!(tool.purge().await, 0);
    tool.count(&records).await;
    assert_eq!(tool.says().await, ["10:30 10+5 of 1", "11:30 1+1 of 1"]);
    tool.app.clock.set(instant("2026-12-20T10:30:00Z") + TimeDelta::microseconds(1));
    let (rejected, why) = tool.rejected(&records).await;
    assert!(rejected == 1 && why.contains("too_old"), "{why}");
    tool.app.clock.set(instant("2026-12-21T10:30:00Z") + TimeDelta::microseconds(1));
    assert_eq!((tool.purge().await, tool.ledger().await), (1, 1));
    tool.app.clock.set(instant("2027-01-20T00:00:00Z"));
    assert_eq!((tool.purge().await, tool.ledger().await), (1, 0));
    assert_eq!(tool.rejected(&records).await.0, 2, "what was forgotten cannot come again");
    assert_eq!(tool.says().await, ["10:30 10+5 of 1", "11:30 1+1 of 1"]);
}

#[tokio::test]
async fn what_its_owner_has_erased_does_not_come_back_and_what_happens_later_is_counted() {
    let tool = Tool::start().await;
    tool.app.clock.set(instant("2026-11-20T12:10:00Z"));
    // The second one's clock is fast: it happens later than the erasure, as far as anybody knows.
    let before = [request(0, "2026-11-20T10:31:00Z", 10, 5), request(1, "2026-11-20T12:14:00Z", 1, 1)];
    tool.count(&before).await;
    tool.erase_usage("everything=true").await;
    assert_eq!((tool.says().await, tool.ledger().await), (vec![], 1), "the half hour goes on");
    let (rejected, why) = tool.rejected(&before).await;
    assert!(rejected == 1 && why.contains("/logRecords/0: erased"), "{why}");
    tool.app.clock.set(instant("2026-11-20T12:20:00Z"));
    tool.count(&[request(2, "2026-11-20T12:16:00Z", 3, 3)]).await;
    assert_eq!(tool.says().await, ["12:00 3+3 of 1"]);
}

#[tokio::test]
async fn an_erasure_of_one_tool_or_device_leaves_the_others_records() {
    let tool = Tool::start().await;
    let at = "2026-11-20T10:31:00Z";
    let codex = || {
        let values = serde_json::json!({"event.kind": "response.completed", "model": "m", "input_token_count": 4});
        event("codex.sse_event", at, &values)
    };
    let other = tool.app.device(&tool.me, "tower").await;
    tool.count(&[request(0, at, 10, 5), codex()]).await;
    tool.app.export(&other.token, &export(&[request(1, at, 7, 7)])).await.expect_ok();
    tool.erase_usage("source=codex").await;
    assert_eq!((tool.says().await, tool.ledger().await), (vec!["10:30 10+5 of 1".into(), "10:30 7+7 of 1".into()], 2));
    tool.erase_usage(&format!("device={}", tool.device.device_id)).await;
    assert_eq!((tool.says().await, tool.ledger().await), (vec!["10:30 7+7 of 1".to_owned()], 1));
    assert_eq!(tool.rejected(&[request(0, at, 10, 5), codex()]).await.0, 2);
}

#[tokio::test]
async fn of_a_person_who_is_erased_nothing_is_left() {
    let tool = Tool::start().await;
    tool.count(&[request(0, "2026-11-20T10:31:00Z", 10, 5), request(1, "2026-11-20T11:59:59Z", 1, 1)]).await;
    // Somebody else operates.
    tool.app.user("bob", "UTC").await;
    tool.app.erase_person(&tool.me).await.expect_ok();
    // The token is remembered for a moment.
    let late = tool.app.export(&tool.device.token, &export(&[request(2, "2026-11-20T12:00:00Z", 1, 1)])).await;
    assert_eq!(late.expect_ok()["partialSuccess"]["rejectedLogRecords"], 1);
    tool.app.assert_gone(&tool.me, &["me"][..0]).await;
}

#[tokio::test]
async fn what_is_past_retention_is_neither_kept_nor_taken() {
    let tool = Tool::start().await;
    let records = [request(0, "2026-11-15T10:31:00Z", 10, 5), request(1, "2026-11-20T10:31:00Z", 1, 1)];
    tool.count(&records).await;
    tool.app.drain().await;
    assert_eq!(tool.app.retention(3).run_pass().await.unwrap().buckets, 1);
    assert_eq!((tool.says().await, tool.ledger().await), (vec!["10:30 1+1 of 1".to_owned()], 1));
    let (rejected, why) = tool.rejected(&records).await;
    assert!(rejected == 1 && why.contains("/logRecords/0: before_retention_horizon"), "{why}");
}

/// A device's token was changed, and the export that got no answer comes again with the other one.
#[tokio::test]
async fn a_record_counts_once_for_its_owner_whichever_device_sends_it() {
    let tool = Tool::start().await;
    let other = tool.app.device(&tool.me, "laptop again").await;
    let stranger = tool.app.user("bob", "UTC").await;
    let strangers = tool.app.device(&stranger, "laptop").await;
    let record = export(&[request(0, "2026-11-20T10:31:00Z", 10, 5)]);
    for token in [&tool.device.token, &other.token, &strangers.token] {
        assert_eq!(tool.app.export(token, &record).await.expect_ok(), &serde_json::json!({}));
    }
    assert_eq!((tool.says().await, tool.ledger().await), (vec!["10:30 10+5 of 1".to_owned(); 2], 2));
}
