//! What the tests of other products' trackers have in common: a server in whose time the captures are recent, somebody with
//! a device, and what holds for each of the trackers.

use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use halfhour::config::{Config, Limits};
use serde_json::{Value, json};

use crate::captures::{LATER, capture, expected, standing, traces};
use crate::support::{TestApp, TestDevice, TestUser};

/// How many buckets the first upload of a year has.
const A_YEAR: i64 = 10_000;

/// A server, somebody, and a device.
pub struct World {
    pub app: TestApp,
    pub ann: TestUser,
    pub laptop: TestDevice,
}

impl World {
    pub async fn new() -> Self {
        Self::with_limits(Limits::OFF).await
    }

    /// As a server is that nobody has configured.
    pub async fn with_default_limits() -> Self {
        Self::with_limits(Config::from_variables([]).unwrap().limits).await
    }

    pub async fn with_limits(limits: Limits) -> Self {
        let app = TestApp::start_with(|settings| settings.limits = limits).await;
        app.clock.set(LATER.parse().unwrap());
        let ann = app.user("ann", "UTC").await;
        let laptop = app.device(&ann, "laptop").await;
        Self { app, ann, laptop }
    }

    /// A captured report becomes what it must, is answered as it was, and changes nothing when it comes again.
    pub async fn captured_report_becomes_what_it_must_and_changes_nothing_twice(&self, name: &str) {
        let (device, report) = (self.app.device(&self.ann, name).await, capture(name));
        assert_eq!(report.replay(&self.app, &device.token).await.expect_ok(), &report.answer);
        assert_eq!(standing(&self.app, &device).await, expected(name));
        let before = traces(&self.app).await;
        assert_eq!(report.replay(&self.app, &device.token).await.expect_ok(), &report.answer);
        assert_eq!(traces(&self.app).await, before, "{name}");
    }

    /// Has the laptop upload a year of half hours, so many at once, and sees them stored. `row` is one by its start; `upload`
    /// sends some and has to be content. Returns how many uploads it took.
    pub async fn uploads_a_year(
        &self,
        at_once: usize,
        row: impl Fn(String) -> Value,
        upload: impl AsyncFn(Value),
    ) -> usize {
        let first: DateTime<Utc> = "2025-12-01T00:00:00Z".parse().unwrap();
        let start = |number| (first + TimeDelta::minutes(30 * number)).to_rfc3339_opts(SecondsFormat::Millis, true);
        let rows: Vec<Value> = (0..A_YEAR).map(|number| row(start(number))).collect();
        let (started, mut uploads) = (Instant::now(), 0);
        for batch in rows.chunks(at_once) {
            upload(json!(batch)).await;
            uploads += 1;
        }
        assert!(started.elapsed() < Duration::from_secs(50), "{:?}", started.elapsed());
        assert_eq!(standing(&self.app, &self.laptop).await.len(), rows.len());
        uploads
    }
}

/// A row of a captured report, with some members of its own.
pub fn row(capture: &Value, changes: Value) -> Value {
    let mut row = capture.clone();
    let Value::Object(changes) = changes else { panic!("{changes}") };
    row.as_object_mut().unwrap().extend(changes);
    row
}

/// What the trackers of vibeusage and of TokenTracker are answered.
pub fn taken(inserted: usize, skipped: usize) -> Value {
    json!({"success": true, "ok": true, "inserted": inserted, "skipped": skipped,
        "project_inserted": 0, "project_skipped": 0})
}
