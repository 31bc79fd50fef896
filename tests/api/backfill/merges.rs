//! A merge of two devices: what the plan says, what the execution moves, what comes meanwhile, and the way back.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestApp, TestDevice, TestUser, instant};

pub const HOURS: [&str; 4] =
    ["2026-11-19T10:00:00Z", "2026-11-19T10:30:00Z", "2026-11-19T11:00:00Z", "2026-11-19T11:30:00Z"];

/// A user whose machine was installed anew.
pub struct Scene {
    pub app: TestApp,
    pub user: TestUser,
    pub old: TestDevice,
    pub new: TestDevice,
}

/// A snapshot of a half hour.
pub fn used(hour_start: &str, input_tokens: u64) -> Value {
    json!({"hour_start": hour_start, "source": "codex", "model": "m", "input_tokens": input_tokens,
        "observed_at": "2026-11-19T12:00:00Z"})
}

impl Scene {
    /// Both devices have used nothing.
    pub async fn empty() -> Self {
        let app = TestApp::start().await;
        let user = app.user("ann", "Asia/Kathmandu").await;
        let (old, new) = (app.device(&user, "laptop").await, app.device(&user, "laptop again").await);
        app.switches().set(halfhour::kernel::operations::switches::Switch::Backfill, true);
        Self { app, user, old, new }
    }

    /// One half hour is of the old device alone, one of both, one differs, one is of the new device alone.
    pub async fn start() -> Self {
        let scene = Self::empty().await;
        scene.post(&scene.old, &[used(HOURS[0], 5), used(HOURS[1], 7), used(HOURS[2], 9)]).await;
        scene.post(&scene.new, &[used(HOURS[1], 7), used(HOURS[2], 4), used(HOURS[3], 1)]).await;
        scene.app.drain().await;
        scene
    }

    pub async fn post(&self, device: &TestDevice, buckets: &[Value]) {
        self.app.post_buckets(&device.token, &json!({ "buckets": buckets })).await.expect_ok();
    }

    /// The order of a merge of the old device into the new one.
    pub fn order(&self, resolve: Option<&str>) -> Value {
        let mut order = json!({"action": "merge", "reason": "installed anew", "from_device_id": self.old.device_id,
            "into_device_id": self.new.device_id});
        if let Some(resolve) = resolve {
            order["resolve"] = resolve.into();
        }
        order
    }

    pub async fn revoke(&self, device: &TestDevice) {
        let path = format!("/v1/devices/{}/revoke", device.device_id);
        self.app.request(Method::POST, &path).bearer(&self.user.viewer).send().await.expect_ok();
    }

    /// A plan of the viewer's, whose from-device is revoked.
    pub async fn planned(&self, resolve: &str) -> Value {
        self.revoke(&self.old).await;
        self.app.planned(&self.user.viewer, &self.order(Some(resolve))).await
    }

    /// `old 10:00 5` for each bucket.
    pub async fn says(&self) -> Vec<String> {
        let sql = format!(
            "select concat_ws(' ', case device_id when '{}' then 'old' else 'new' end,
                 to_char(hour_start at time zone 'UTC', 'HH24:MI'), input_tokens)
             from usage.bucket order by 1",
            self.old.device_id
        );
        self.app.ask(&sql).await
    }

    /// The same sums from the rollup and from the buckets.
    pub async fn assert_folded(&self) {
        let of = |table: &str, count: &str| {
            format!(
                "select concat_ws(' ', device_id, sum(input_tokens), sum(output_tokens), {count}) from {table}
                 group by device_id order by device_id"
            )
        };
        let rollup = self.app.ask(&of("rollup.daily", "sum(bucket_count)")).await;
        assert_eq!(rollup, self.app.ask(&of("usage.bucket", "count(*)")).await);
        let problems = "select count(*)::text from usage.outbox";
        assert_eq!(self.app.ask(problems).await, ["0"]);
    }
}

fn count(job: &Value, name: &str) -> i64 {
    job["merge"][name].as_i64().unwrap()
}

#[tokio::test]
async fn a_plan_counts_what_each_device_has_and_lists_both_buckets_of_each_pair() {
    let scene = Scene::start().await;
    let before = scene.app.buckets_checksum().await;
    let job = scene.app.planned(&scene.user.viewer, &scene.order(None)).await;
    let counts = ["only_in_from", "only_in_into", "equal", "different"].map(|name| count(&job, name));
    assert_eq!((counts, &job["merge"]["resolve"]), ([1, 1, 1, 1], &Value::Null), "{job}");
    assert_eq!((&job["state"], &job["user_ids"]), (&json!("planned"), &json!([scene.user.user_id])));
    assert_eq!(job["progress"]["total"], 3);
    let rows = scene.app.job_list(&scene.user.viewer, &job, "rows").await;
    let mut listed: Vec<String> = rows
        .iter()
        .map(|row| {
            let side = if row["device_id"] == json!(scene.old.device_id) { "old" } else { "new" };
            let tokens = |of: &str| row[of]["input_tokens"].to_string();
            let (before, after) = (tokens("before"), tokens("after"));
            let words = [&row["pairing"], &row["effect"]].map(|word| word.as_str().unwrap());
            format!("{} {side} {} {} {before} {after}", row["hour_start"].as_str().unwrap(), words[0], words[1])
        })
        .collect();
    listed.sort_unstable();
    let expected = [
        "2026-11-19T10:00:00Z new only_in_from inserted null 5",
        "2026-11-19T10:00:00Z old only_in_from removed 5 null",
        "2026-11-19T10:30:00Z new equal unchanged 7 7",
        "2026-11-19T10:30:00Z old equal removed 7 null",
        "2026-11-19T11:00:00Z new different unchanged 4 4",
        "2026-11-19T11:00:00Z old different removed 9 null",
    ];
    assert_eq!(listed, expected);
    assert_eq!(scene.app.buckets_checksum().await, before, "a plan changes nothing");
    // Nobody has decided, and somebody has to.
    scene.revoke(&scene.old).await;
    let refused = scene.app.tell_job(&scene.user.viewer, &job, "execute").await;
    let problem = refused.expect_problem(409, "conflict");
    assert!(problem["detail"].as_str().unwrap().contains("`resolve`"), "{problem}");
    scene.app.tell_job(&scene.user.viewer, &job, "cancel").await.expect_ok();
}

#[tokio::test]
async fn each_resolve_moves_everything_counts_equal_buckets_once_and_leads_back_byte_for_byte() {
    for (resolve, expected, inserted_and_raised) in
        [("sum", 13, (1, 1)), ("larger", 9, (1, 1)), ("from", 9, (1, 1)), ("into", 4, (1, 0))]
    {
        let scene = Scene::start().await;
        let before = (scene.app.buckets_checksum().await, scene.app.rollups_checksum().await);
        let job = scene.planned(resolve).await;
        let diff = |name: &str| job["diff"][name].as_i64().unwrap();
        assert_eq!((diff("inserted"), diff("raised")), inserted_and_raised, "{job}");
        assert_eq!((diff("tokens_before"), diff("tokens_after")), (33 - 1, 5 + 7 + expected), "{job}");
        let done = scene.app.executed(&scene.user.viewer, &job).await;
        assert_eq!((&done["state"], &done["skipped"]), (&json!("succeeded"), &json!(0)), "{done}");
        let moved =
            ["new 10:00 5".to_owned(), "new 10:30 7".to_owned(), format!("new 11:00 {expected}"), "new 11:30 1".into()];
        assert_eq!(scene.says().await, moved, "{resolve}");
        scene.assert_folded().await;
        let back = scene.app.rolled_back(&scene.user.viewer, &done).await;
        assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
        let after = (scene.app.buckets_checksum().await, scene.app.rollups_checksum().await);
        assert_eq!(after, before, "{resolve}");
        let left = "select (select count(*) from usage.erasure) || ' ' || (select count(*) from usage.outbox)";
        assert_eq!(scene.app.ask(left).await, ["0 0"]);
        let acts = "select string_agg(action || ' ' || actor_kind, ', ' order by acted_at) from ops.audit
            where action like 'backfill%'";
        let expected = "backfill.plan viewer, backfill.execute viewer, backfill.rollback viewer";
        assert_eq!(scene.app.ask(acts).await, [expected]);
    }
}

#[tokio::test]
async fn what_the_old_device_still_sends_doubles_nothing() {
    let scene = Scene::start().await;
    let job = scene.planned("larger").await;
    let done = scene.app.executed(&scene.user.viewer, &job).await;
    let moved = scene.says().await;
    // Its token may be valid in memory for some seconds, and its tracker may scan everything again.
    let again: Vec<Value> = HOURS.iter().map(|hour| used(hour, 50)).collect();
    let now = HOURS.iter().map(|hour| {
        let mut snapshot = used(hour, 60);
        snapshot["observed_at"] = json!("2026-11-20T12:04:59Z");
        snapshot
    });
    let unstamped = HOURS.iter().map(|hour| json!({"hour_start": hour, "source": "codex", "model": "m"}));
    for buckets in [again, now.collect(), unstamped.collect()] {
        let reply = scene.app.post_buckets(&scene.old.token, &json!({ "buckets": buckets })).await;
        if reply.status != 401 {
            assert_eq!(reply.expect_ok()["erased"], 4, "{}", reply.json);
        }
    }
    scene.app.drain().await;
    assert_eq!(scene.says().await, moved);
    // The record refuses the old device only, and the rollback takes it away.
    scene.post(&scene.new, &[used("2026-11-19T12:00:00Z", 3)]).await;
    assert_eq!(scene.app.ask("select count(*)::text from usage.erasure").await, ["1"]);
    scene.app.rolled_back(&scene.user.viewer, &done).await;
    assert_eq!(scene.app.ask("select count(*)::text from usage.erasure").await, ["0"]);
}

#[tokio::test]
async fn what_was_decided_stands_against_what_the_new_device_alone_has_counted() {
    let scene = Scene::start().await;
    let job = scene.planned("sum").await;
    let done = scene.app.executed(&scene.user.viewer, &job).await;
    // It scans its logs again, a minute after the merge.
    let mut scan: Vec<Value> = [(HOURS[1], 7), (HOURS[2], 4), (HOURS[3], 1)].map(|(hour, n)| used(hour, n)).into();
    for snapshot in &mut scan {
        snapshot["observed_at"] = json!("2026-11-20T12:01:00Z");
    }
    let reply = scene.app.post_buckets(&scene.new.token, &json!({ "buckets": scan })).await;
    assert_eq!(reply.expect_ok()["verdicts"], json!(["unchanged", "kept", "unchanged"]));
    scene.app.drain().await;
    assert_eq!(scene.says().await[2], "new 11:00 13");
    // The way back restores the newer snapshot, which was acknowledged.
    scene.app.rolled_back(&scene.user.viewer, &done).await;
    let stamps = format!(
        "select to_json(observed_at)#>>'{{}}' from usage.bucket where device_id = '{}' and hour_start = '{}'",
        scene.new.device_id, HOURS[2]
    );
    assert_eq!(scene.app.ask(&stamps).await, ["2026-11-20T12:01:00+00:00"]);
}

#[tokio::test]
async fn posts_between_are_kept_and_listed_by_the_rollback() {
    let scene = Scene::start().await;
    let job = scene.planned("larger").await;
    let done = scene.app.executed(&scene.user.viewer, &job).await;
    let mut newer = used(HOURS[0], 6);
    newer["observed_at"] = json!("2026-11-20T11:59:00Z");
    scene.post(&scene.new, &[newer, used("2026-11-19T12:00:00Z", 2)]).await;
    let back = scene.app.rolled_back(&scene.user.viewer, &done).await;
    let kept = &back["kept_on_rollback"][0];
    assert_eq!(back["kept_on_rollback"].as_array().unwrap().len(), 1, "{back}");
    assert_eq!((&kept["device_id"], &kept["hour_start"]), (&json!(scene.new.device_id), &json!(HOURS[0])));
    let expected = [
        "new 10:00 6",
        "new 10:30 7",
        "new 11:00 4",
        "new 11:30 1",
        "new 12:00 2",
        "old 10:00 5",
        "old 10:30 7",
        "old 11:00 9",
    ];
    assert_eq!(scene.says().await, expected);
    scene.assert_folded().await;
    let again = scene.app.rolled_back(&scene.user.viewer, &back).await;
    assert_eq!(again["state"], "rolled_back");
    assert_eq!(scene.says().await, expected, "a second rollback doubles nothing");
}

#[tokio::test]
async fn a_plan_that_does_not_fit_any_more_is_refused_whichever_device_has_moved() {
    for is_old in [true, false] {
        for (hour, input_tokens) in [(HOURS[2], 8), ("2026-11-19T12:30:00Z", 8)] {
            let scene = Scene::start().await;
            let job = scene.app.planned(&scene.user.viewer, &scene.order(Some("sum"))).await;
            let mut newer = used(hour, input_tokens);
            newer["observed_at"] = json!("2026-11-19T13:30:00Z");
            scene.post(if is_old { &scene.old } else { &scene.new }, &[newer]).await;
            scene.revoke(&scene.old).await;
            let before = scene.app.buckets_checksum().await;
            let reply = scene.app.tell_job(&scene.user.viewer, &job, "execute").await;
            // What the new device alone has got has nothing to do with the merge.
            if !is_old && hour != HOURS[2] {
                reply.expect_ok();
                continue;
            }
            reply.expect_problem(409, "plan_stale");
            assert_eq!(scene.app.buckets_checksum().await, before);
            let traces = "select (select count(*) from usage.erasure) || ' ' || state from backfill.job";
            assert_eq!(scene.app.ask(traces).await, ["0 planned"], "nothing is half begun");
        }
    }
}

#[tokio::test]
async fn the_old_device_is_revoked_first_the_new_one_may_be_and_an_empty_one_is_merged_at_once() {
    let scene = Scene::start().await;
    let job = scene.app.planned(&scene.user.viewer, &scene.order(Some("sum"))).await;
    let problem = scene.app.tell_job(&scene.user.viewer, &job, "execute").await.expect_problem(409, "conflict").clone();
    assert!(problem["detail"].as_str().unwrap().contains("revoke"), "{problem}");
    scene.revoke(&scene.old).await;
    scene.revoke(&scene.new).await;
    assert_eq!(scene.app.executed(&scene.user.viewer, &job).await["state"], "succeeded");
    // The old one is empty now, and the merge back moves nothing that is not there.
    let empty = scene.app.planned(&scene.user.viewer, &scene.order(None)).await;
    assert_eq!((&empty["progress"]["total"], count(&empty, "only_in_into")), (&json!(0), 4));
    let before = scene.app.buckets_checksum().await;
    let done = scene.app.executed(&scene.user.viewer, &empty).await;
    assert_eq!((&done["state"], &done["progress"]["percent"]), (&json!("succeeded"), &json!(100.0)), "{done}");
    let back = scene.app.rolled_back(&scene.user.viewer, &done).await;
    assert_eq!((&back["state"], scene.app.buckets_checksum().await), (&json!("rolled_back"), before));
}

#[tokio::test]
async fn a_half_hour_that_has_not_ended_waits_and_days_that_are_named_are_the_only_ones() {
    let scene = Scene::start().await;
    let mut open = used("2026-11-20T12:00:00Z", 3);
    open["observed_at"] = json!("2026-11-20T12:00:00Z");
    scene.post(&scene.old, &[open]).await;
    let reply = scene.app.post_backfill(&scene.user.viewer, "a", &scene.order(Some("sum"))).await;
    let problem = reply.expect_problem(409, "conflict");
    assert!(problem["detail"].as_str().unwrap().contains("2026-11-20T12:30:00Z"), "{problem}");
    let mut order = scene.order(Some("sum"));
    order["to"] = json!("2026-11-19");
    scene.revoke(&scene.old).await;
    let job = scene.app.planned(&scene.user.viewer, &order).await;
    assert_eq!((&job["from"], &job["to"]), (&json!("2020-01-01"), &json!("2026-11-19")));
    let done = scene.app.executed(&scene.user.viewer, &job).await;
    assert_eq!(done["state"], "succeeded");
    let left = ["new 10:00 5", "new 10:30 7", "new 11:00 13", "new 11:30 1", "old 12:00 3"];
    assert_eq!(scene.says().await, left);
    scene.app.clock.set(instant("2026-11-20T12:30:00Z"));
    let job = scene.app.planned(&scene.user.viewer, &scene.order(Some("sum"))).await;
    assert_eq!(count(&job, "only_in_from"), 1);
}

#[tokio::test]
async fn a_sum_beyond_what_a_bucket_holds_is_listed_and_its_pair_stays_with_both() {
    let scene = Scene::empty().await;
    for device in [&scene.old, &scene.new] {
        let tokens = if device.device_id == scene.old.device_id { 900_000_000_000 } else { 800_000_000_000 };
        scene.post(device, &[used(HOURS[0], tokens), used(HOURS[1], 1)]).await;
    }
    scene.app.drain().await;
    let job = scene.planned("sum").await;
    let done = scene.app.executed(&scene.user.viewer, &job).await;
    assert_eq!(
        (&done["state"], &done["failure"], &done["poisoned"]),
        (&json!("failed"), &json!("incomplete"), &json!(1))
    );
    let listed = scene.app.job_list(&scene.user.viewer, &done, "exceptions").await;
    assert_eq!(
        (&listed[0]["bucket"]["device_id"], &listed[0]["code"]),
        (&json!(scene.old.device_id), &json!("refused_23514"))
    );
    assert_eq!(scene.says().await, ["new 10:00 800000000000", "new 10:30 1", "old 10:00 900000000000"]);
    scene.assert_folded().await;
    let back = scene.app.rolled_back(&scene.user.viewer, &done).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
}
