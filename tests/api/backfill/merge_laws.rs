//! The laws of merges, over random devices: after the execution the into-device says what a model of a few lines says and
//! the from-device nothing, whatever decides; and once it is taken back, everything is what trackers alone have made of it,
//! whatever was posted between.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestApp, TestDevice, TestUser, instant};

const RESOLVES: [&str; 4] = ["sum", "larger", "from", "into"];
const CASES: usize = 6;
/// Every second bucket is of the old half hour: what is seen of it late in November is late.
const HOURS: [&str; 2] = ["2026-11-20T10:30:00Z", "2026-10-20T10:30:00Z"];

/// One snapshot: bucket, input, output, second, whether it is of October, whether it retracts.
type Snapshot = (u64, u64, u64, u32, bool, bool);

/// Before the merge: of the from-device, of the into-device. Beside it: of the into-device.
type Case = (Vec<Snapshot>, Vec<Snapshot>, Vec<Snapshot>);

fn case() -> impl Strategy<Value = Case> {
    let snapshot = || (0..20_u64, 0..4_u64, 0..3_u64, 0..60_u32, any::<bool>(), any::<bool>());
    (vec(snapshot(), 0..40), vec(snapshot(), 0..40), vec(snapshot(), 0..30))
}

fn body(snapshots: &[Snapshot]) -> Value {
    let bucket = |&(key, input, output, second, is_old, retracts): &Snapshot| {
        let mut bucket = json!({"hour_start": HOURS[usize::from(key.is_multiple_of(2))], "source": "codex",
            "model": format!("m{key:02}"), "input_tokens": input, "output_tokens": output, "retracts": retracts});
        // Every fifth bucket is of a tracker that does not stamp.
        if !key.is_multiple_of(5) {
            let day = if is_old { "10-20" } else { "11-20" };
            bucket["observed_at"] = json!(format!("2026-{day}T11:59:{second:02}Z"));
        }
        bucket
    };
    json!({ "buckets": snapshots.iter().map(bucket).collect::<Vec<_>>() })
}

/// A user with two devices.
struct Owner {
    user: TestUser,
    from: TestDevice,
    into: TestDevice,
}

type Counts = (i64, i64);

impl Owner {
    async fn new(app: &TestApp, name: &str) -> Self {
        let user = app.user(name, "Asia/Kathmandu").await;
        let (from, into) = (app.device(&user, "from").await, app.device(&user, "into").await);
        Self { user, from, into }
    }

    async fn post(&self, app: &TestApp, device: &TestDevice, snapshots: &[Snapshot]) {
        app.post_buckets(&device.token, &body(snapshots)).await.expect_ok();
    }

    /// What a device has: input and output of each bucket.
    async fn has(&self, app: &TestApp, device: &TestDevice) -> BTreeMap<String, Counts> {
        let sql = format!(
            "select concat_ws(' ', model, input_tokens, output_tokens) from usage.bucket
             where user_id = '{}' and device_id = '{}'",
            self.user.user_id, device.device_id
        );
        let rows = app.ask(&sql).await;
        rows.iter()
            .map(|row| {
                let words: Vec<&str> = row.split(' ').collect();
                (words[0].to_owned(), (words[1].parse().unwrap(), words[2].parse().unwrap()))
            })
            .collect()
    }

    /// Everything of both devices, to the letter, but for arrivals, which are of another microsecond for a twin.
    async fn says(&self, app: &TestApp) -> Vec<String> {
        let sql = format!(
            "select concat_ws(' ', device_id = '{}', model, input_tokens, output_tokens, rank, stamped,
                 case when stamped then observed_at end, backfill_id)
             from usage.bucket where user_id = '{}' order by 1",
            self.from.device_id, self.user.user_id
        );
        app.ask(&sql).await
    }

    /// The sums of each device and day, from the rollup and from the buckets.
    async fn assert_folded(&self, app: &TestApp) {
        let of = |table: &str, day: &str, count: &str| {
            format!(
                "select concat_ws(' ', {day}, device_id, model, sum(input_tokens), sum(output_tokens), {count})
                 from {table} where user_id = '{}' group by {day}, device_id, model order by 1",
                self.user.user_id
            )
        };
        let rollup = app.ask(&of("rollup.daily", "day", "sum(bucket_count)")).await;
        let day = "(hour_start at time zone 'Asia/Kathmandu')::date";
        assert_eq!(rollup, app.ask(&of("usage.bucket", day, "count(*)")).await);
    }
}

/// What the into-device is to have.
fn merged(from: &BTreeMap<String, Counts>, into: &BTreeMap<String, Counts>, resolve: &str) -> BTreeMap<String, Counts> {
    let mut merged = into.clone();
    for (key, &(input, output)) in from {
        let Some(&(other_input, other_output)) = into.get(key) else {
            merged.insert(key.clone(), (input, output));
            continue;
        };
        let is_larger = input + output > other_input + other_output;
        let decided = match resolve {
            _ if (input, output) == (other_input, other_output) => (input, output),
            "sum" => (input + other_input, output + other_output),
            "from" => (input, output),
            "larger" if is_larger => (input, output),
            _ => (other_input, other_output),
        };
        merged.insert(key.clone(), decided);
    }
    merged
}

#[tokio::test]
async fn the_into_device_says_what_the_model_says_and_the_way_back_what_trackers_alone_have_made() {
    let app = TestApp::start().await;
    app.switches().set(halfhour::kernel::operations::switches::Switch::Backfill, true);
    let mut runner = TestRunner::deterministic();
    for at in 0..CASES {
        for resolve in RESOLVES {
            app.clock.set(instant("2026-11-20T12:00:00Z"));
            let (of_from, of_into, beside) = case().new_tree(&mut runner).unwrap().current();
            let owner = Owner::new(&app, &format!("ann-{at}-{resolve}")).await;
            let twin = Owner::new(&app, &format!("twin-{at}-{resolve}")).await;
            for owner in [&owner, &twin] {
                owner.post(&app, &owner.from, &of_from).await;
                owner.post(&app, &owner.into, &of_into).await;
            }
            app.drain().await;
            let (from, into) = (owner.has(&app, &owner.from).await, owner.has(&app, &owner.into).await);
            let order = json!({"action": "merge", "reason": "law", "from_device_id": owner.from.device_id,
                "into_device_id": owner.into.device_id, "resolve": resolve});
            let path = format!("/v1/devices/{}/revoke", owner.from.device_id);
            app.request(Method::POST, &path).bearer(&owner.user.viewer).send().await.expect_ok();
            let job = app.planned(&owner.user.viewer, &order).await;
            let done = app.executed(&owner.user.viewer, &job).await;
            assert_eq!(done["state"], "succeeded", "{resolve}: {done}");
            let expected = merged(&from, &into, resolve);
            assert_eq!(owner.has(&app, &owner.into).await, expected, "{resolve}");
            assert_eq!(owner.has(&app, &owner.from).await, BTreeMap::new(), "{resolve}");
            owner.assert_folded(&app).await;
            let counts = ["only_in_from", "only_in_into", "equal", "different"].map(|name| job["merge"][name].as_i64());
            let both = from.iter().filter(|(key, _)| into.contains_key(*key)).count();
            let equal = from.iter().filter(|(key, counts)| into.get(*key) == Some(*counts)).count();
            let counted = [from.len() - both, into.len() - both, equal, both - equal];
            assert_eq!(counts, counted.map(|count| Some(i64::try_from(count).unwrap())), "{resolve}");

            app.clock.set(instant("2026-11-20T12:00:30Z"));
            for owner in [&owner, &twin] {
                owner.post(&app, &owner.into, &beside).await;
            }
            let back = app.rolled_back(&owner.user.viewer, &done).await;
            assert_eq!(back["state"], "rolled_back", "{resolve}: {back}");
            assert_eq!(owner.says(&app).await, twin.says(&app).await, "{resolve}");
            owner.assert_folded(&app).await;
        }
    }
    assert_eq!(app.ask("select count(*)::text from usage.bucket where backfill_id is not null").await, ["0"]);
}
