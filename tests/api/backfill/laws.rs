//! The law of the way back: once every job is rolled back, newest first, the buckets are what trackers alone would have
//! made of them, whatever was posted before, between, after and beside the jobs.

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{bucket, import};
use crate::support::{TestApp, TestDevice, TestUser, instant};

const HOUR: &str = "2026-11-20T10:30:00Z";
/// What is seen of it late in November is late.
const OLD_HOUR: &str = "2026-10-20T10:30:00Z";
const KEYS: u64 = 240;

/// Every second bucket is of the old half hour.
fn hour(key: u64) -> &'static str {
    if key.is_multiple_of(2) { OLD_HOUR } else { HOUR }
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A user with jobs, and her twin without.
struct Scene {
    app: TestApp,
    user: TestUser,
    device: TestDevice,
    twin: TestUser,
    twins_device: TestDevice,
    numbers: Numbers,
}

impl Scene {
    async fn start(seed: u64) -> Self {
        let app = TestApp::start().await;
        let (user, twin) = (app.user("ann", "Asia/Kathmandu").await, app.user("twin", "Asia/Kathmandu").await);
        let (device, twins_device) = (app.device(&user, "laptop").await, app.device(&twin, "laptop").await);
        app.switches().set(halfhour::kernel::operations::switches::Switch::Backfill, true);
        Self { app, user, device, twin, twins_device, numbers: Numbers(seed) }
    }

    /// Some snapshots, in batches: trackers that stamp and trackers that do not, each for buckets of its own.
    fn snapshots(&mut self) -> Vec<Value> {
        let mut batches = Vec::new();
        for _ in 0..6 {
            let mut batch = Vec::new();
            for _ in 0..40 {
                let key = self.numbers.below(KEYS);
                let mut bucket = json!({"hour_start": hour(key), "source": "codex", "model": format!("m{key:03}"),
                    "input_tokens": self.numbers.below(4), "output_tokens": self.numbers.below(3)});
                if !key.is_multiple_of(3) {
                    // Before, between and after the corrections.
                    bucket["observed_at"] = json!(format!("2026-11-20T12:00:{:02}Z", self.numbers.below(60)));
                    if self.numbers.below(4) == 0 {
                        bucket["observed_at"] = json!(format!("2026-10-20T12:00:{:02}Z", self.numbers.below(60)));
                    }
                }
                if self.numbers.below(3) == 0 {
                    bucket["retracts"] = json!(true);
                }
                batch.push(bucket);
            }
            batches.push(json!({ "buckets": batch }));
        }
        batches
    }

    /// Both get the same.
    async fn post(&self, batches: &[Value]) {
        for batch in batches {
            let posts = [&self.device, &self.twins_device].map(|device| self.app.post_buckets(&device.token, batch));
            for reply in futures_util::future::join_all(posts).await {
                reply.expect_ok();
            }
        }
    }

    /// Plans a correction of about every second bucket, and begins it.
    async fn correct(&mut self, second: u32) -> Value {
        self.app.clock.set(instant(&format!("2026-11-20T12:00:{second:02}Z")));
        let mut all = Vec::new();
        for key in (0..KEYS).filter(|_| self.numbers.below(2) == 0).collect::<Vec<_>>() {
            let input_tokens = self.numbers.below(4);
            all.push(bucket(&self.user, &self.device, hour(key), &format!("m{key:03}"), input_tokens));
        }
        let mut body = import(&all);
        body["from"] = json!("2026-10-01");
        let plan = self.app.planned(&self.user.operator, &body).await;
        self.app.tell_job(&self.user.operator, &plan, "execute").await.expect_ok().clone()
    }

    /// A worker and a relay bring a job to its end, beside posts. Whom a deadlock ends tries again by itself.
    async fn work_beside(&self, job: &Value, batches: &[Value]) {
        let stop = CancellationToken::new();
        let job_id = job["id"].as_str().unwrap().parse().unwrap();
        let work = async {
            self.app.backfill_worker().run_job(job_id, &stop).await.unwrap();
            stop.cancel();
        };
        tokio::join!(Box::pin(work), Box::pin(self.app.relay().run(stop.clone())), Box::pin(self.post(batches)));
        self.app.drain().await;
    }

    async fn says(&self, user: &TestUser) -> Vec<String> {
        // An arrival is of another microsecond for each of them.
        let sql = format!(
            "select concat_ws(' ', model, input_tokens, output_tokens, rank, stamped, case when stamped then observed_at end, backfill_id)
             from usage.bucket where user_id = '{}' order by model",
            user.user_id
        );
        self.app.ask(&sql).await
    }
}

#[tokio::test]
async fn when_all_jobs_are_taken_back_the_buckets_are_what_trackers_alone_have_made_of_them() {
    for seed in [1, 2, 3] {
        let mut scene = Scene::start(seed).await;
        let posts: Vec<Vec<Value>> = (0..6).map(|_| scene.snapshots()).collect();
        scene.post(&posts[0]).await;
        let below = scene.correct(20).await;
        scene.work_beside(&below, &posts[1]).await;
        let on_top = scene.correct(40).await;
        scene.work_beside(&on_top, &posts[2]).await;
        scene.app.clock.set(instant("2026-11-20T12:00:50Z"));
        scene.post(&posts[3]).await;
        assert_ne!(scene.says(&scene.user).await, scene.says(&scene.twin).await, "the jobs have changed something");
        let corrected = "select count(distinct backfill_id)::text from usage.bucket";
        assert_eq!(scene.app.ask(corrected).await, ["2"], "and stand one on the other");

        for (job, beside) in [(on_top, &posts[4]), (below, &posts[5])] {
            let job = scene.app.job(&scene.user.operator, &job).await;
            scene.app.tell_job(&scene.user.operator, &job, "rollback").await.expect_ok();
            scene.work_beside(&job, beside).await;
            let back = scene.app.job(&scene.user.operator, &job).await;
            assert_eq!(back["state"], "rolled_back", "{back}");
        }
        assert_eq!(scene.says(&scene.user).await, scene.says(&scene.twin).await, "seed {seed}");
        let sums = |user: &TestUser| {
            format!(
                "select concat_ws(' ', model, input_tokens, bucket_count) from rollup.daily where user_id = '{}' order by model",
                user.user_id
            )
        };
        assert_eq!(scene.app.ask(&sums(&scene.user)).await, scene.app.ask(&sums(&scene.twin)).await, "seed {seed}");
    }
}
