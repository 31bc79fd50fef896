//! What speaks as vibeusage's server does.

mod link_codes;
mod reads;
mod refusals;
mod reports;
mod shapes;
mod zones;

use serde_json::Value;

use crate::support::rollups::Usage;
use crate::support::{Reply, TestApp, TestDevice, TestUser};

/// Both names of a route.
const NAMES: [&str; 2] = ["/functions/vibeusage-", "/functions/vibescore-"];

/// What a read answers, which both of its names answer alike.
async fn read(app: &TestApp, user: &TestUser, slug: &str, query: &str) -> Reply {
    let [newer, older] = NAMES.map(|prefix| format!("{prefix}{slug}?{query}"));
    let (newer, older) = (app.get(&user.viewer, &newer).await, app.get(&user.viewer, &older).await);
    newer.expect_ok();
    assert_eq!(newer.body, older.body, "{slug}?{query}");
    newer
}

/// A text that is a number.
#[track_caller]
fn count(value: &Value) -> u64 {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).parse().unwrap()
}

/// What a bucket shows here: all tokens twice, input, cached input, output and reasoning.
fn shown(usage: &Usage) -> [u64; 6] {
    let [input, cached, five, hour, output, reasoning, ..] = usage.counts;
    let total = usage.sums()[8];
    [total, total, input + five + hour, cached, output, reasoning]
}

/// The counts of an object, in that order.
#[track_caller]
fn counts(object: &Value) -> [u64; 6] {
    [
        "total_tokens",
        "billable_total_tokens",
        "input_tokens",
        "cached_input_tokens",
        "output_tokens",
        "reasoning_output_tokens",
    ]
    .map(|name| count(&object[name]))
}

fn added(usages: impl Iterator<Item = [u64; 6]>) -> [u64; 6] {
    usages.fold([0; 6], |all, more| std::array::from_fn(|place| all[place] + more[place]))
}

/// Somebody in a zone, with usage that was folded.
async fn somebody(app: &TestApp, zone: &str, usages: &[Usage]) -> (TestUser, TestDevice) {
    let user = app.user("ann", zone).await;
    let device = app.device(&user, "laptop").await;
    app.post_usage(&device, usages).await;
    app.drain().await;
    (user, device)
}
