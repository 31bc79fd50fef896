//! The law: whatever was posted, in whichever zones, however often it was folded, erased, replayed and past retention,
//! the rollup is the fold of the buckets, and frozen days are what they were. The model knows neither SQL nor the relay.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use halfhour::features::dashboard_rollup::{Window, verify};
use halfhour::kernel::database::{Access, Mode};
use halfhour::kernel::usage::outbox::{self, ErasedScope};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;
use uuid::Uuid;

use crate::support::rollups::{Rows, Usage, day_start, fold_rows};
use crate::support::{NOW, TestApp, TestDevice, TestUser, context, instant};

const CASES: u32 = 60;
const USERS: usize = 2;
const DEVICES: usize = 2;
/// Quarters of an hour, half an hour of summer time, a midnight that is skipped and one that comes twice, an evening
/// that comes twice, and the far ends of the day.
const ZONES: [Tz; 11] = [
    Tz::UTC,
    Tz::Asia__Kathmandu,
    Tz::Pacific__Chatham,
    Tz::Australia__Lord_Howe,
    Tz::America__Sao_Paulo,
    Tz::Pacific__Apia,
    Tz::Europe__Berlin,
    Tz::America__Havana,
    Tz::Africa__Cairo,
    Tz::Pacific__Pago_Pago,
    Tz::America__Los_Angeles,
];
/// Around changes of the clocks of these zones in 2026, a quiet winter day, and around now.
const AROUND: [&str; 9] = [
    "2026-03-08T05:00:00Z",
    "2026-03-29T01:00:00Z",
    "2026-04-04T15:00:00Z",
    "2026-10-03T15:30:00Z",
    "2026-10-25T01:00:00Z",
    "2026-10-29T21:00:00Z",
    "2026-11-01T04:30:00Z",
    "2026-11-15T00:00:00Z",
    "2026-11-19T12:00:00Z",
];

#[derive(Clone, Debug)]
enum Act {
    Post { user: usize, device: usize, hour: DateTime<Utc>, number: u64 },
    Zone { user: usize, zone: Tz },
    Round,
    Replay { user: usize },
    Corrupt { user: usize },
    Erase { user: usize, device: usize },
    Retain { days: u32 },
}

fn act() -> impl Strategy<Value = Act> {
    let hour = (0..AROUND.len(), -40..40_i32)
        .prop_map(|(around, half_hours)| instant(AROUND[around]) + TimeDelta::minutes(30) * half_hours);
    let post = (0..USERS, 0..DEVICES, hour, 0..1000_u64).prop_map(|(user, device, hour, number)| Act::Post {
        user,
        device,
        hour,
        number,
    });
    prop_oneof![
        12 => post,
        3 => (0..USERS, 0..ZONES.len()).prop_map(|(user, zone)| Act::Zone { user, zone: ZONES[zone] }),
        4 => Just(Act::Round),
        1 => (0..USERS).prop_map(|user| Act::Replay { user }),
        1 => (0..USERS).prop_map(|user| Act::Corrupt { user }),
        1 => (0..USERS, 0..DEVICES).prop_map(|(user, device)| Act::Erase { user, device }),
        2 => prop_oneof![0..6_u32, 15..60_u32].prop_map(|days| Act::Retain { days }),
    ]
}

/// What is known of a user without asking the database.
struct Model {
    user: TestUser,
    devices: Vec<TestDevice>,
    zone: Tz,
    buckets: BTreeMap<(Uuid, DateTime<Utc>, &'static str, &'static str), Usage>,
    horizon: Option<DateTime<Utc>>,
    frozen_before: Option<NaiveDate>,
    frozen: Rows,
}

impl Model {
    async fn new(app: &TestApp, name: String, zone: Tz) -> Self {
        let user = app.user(&name, zone.name()).await;
        let mut devices = Vec::new();
        for device in 0..DEVICES {
            devices.push(app.device(&user, &format!("device {device}")).await);
        }
        let (buckets, frozen) = (BTreeMap::new(), Rows::new());
        Self { user, devices, zone, buckets, horizon: None, frozen_before: None, frozen }
    }

    /// Of buckets that are folded.
    fn rows(&self) -> Rows {
        let buckets = self.buckets.iter().map(|((device_id, ..), usage)| (*device_id, usage));
        fold_rows(buckets, self.zone, self.frozen_before)
    }

    async fn post(&mut self, app: &TestApp, device: usize, hour: DateTime<Utc>, number: u64) {
        let (usage, device) = (Usage::numbered(hour, number), &self.devices[device]);
        let body = json!({ "buckets": [usage.json()] });
        let reply = app.post_buckets(&device.token, &body).await;
        let verdict = &reply.expect_ok()["verdicts"][0];
        if self.horizon.is_some_and(|horizon| hour < horizon) {
            assert_eq!(verdict, "before_retention_horizon", "{hour}");
        } else if verdict == "kept" {
            // Of what is late and silent the greatest stands, and greater numbers have greater totals.
            let standing = &self.buckets[&(device.device_id, hour, usage.source, usage.model)];
            assert!(standing.counts[0] > usage.counts[0], "{hour}");
        } else {
            assert!(["inserted", "updated", "unchanged"].iter().any(|known| verdict == known), "{verdict}");
            self.buckets.insert((device.device_id, hour, usage.source, usage.model), usage);
        }
    }

    async fn erase(&mut self, app: &TestApp, device: usize) {
        let device_id = self.devices[device].device_id;
        app.tell(&format!("delete from usage.bucket where device_id = '{device_id}'")).await;
        let user_id = self.user.user_id;
        let mut tx = app.pools.worker.begin(&context(), Access::Worker, Mode::ReadWrite).await.unwrap();
        let scope =
            ErasedScope { user_id, device_id: Some(device_id), source: None, first_hour: None, last_hour: None };
        outbox::publish_erased(&mut tx, scope, &context()).await.unwrap();
        tx.commit().await.unwrap();
        self.buckets.retain(|(device, ..), _| *device != device_id);
        self.frozen.retain(|(_, device, ..), _| *device != device_id);
    }

    async fn corrupt(&self, app: &TestApp) {
        let (user_id, first) = (self.user.user_id, self.frozen_before.unwrap_or(NaiveDate::MIN));
        let first = first.max("2020-01-01".parse().unwrap());
        app.tell(&format!(
            "update rollup.daily set input_tokens = input_tokens + 1 where user_id = '{user_id}' and day >= '{first}'"
        ))
        .await;
        self.replay(app).await;
    }

    async fn replay(&self, app: &TestApp) {
        app.replay(&self.user, "2026-02-20T00:00:00Z", "2026-11-20T23:30:00Z").await;
    }

    /// After a pass of retention, with all events folded before.
    async fn retain(&mut self, app: &TestApp, days: u32) {
        let today = instant(NOW).with_timezone(&self.zone).date_naive();
        let first_hour = half_hour_from(day_start(self.zone, today - Days::new(days.into())));
        if !self.buckets.keys().any(|(_, hour, ..)| *hour < first_hour) {
            return;
        }
        let horizon = self.horizon.map_or(first_hour, |horizon| horizon.max(first_hour));
        self.horizon = Some(horizon);
        let local = |hour: &DateTime<Utc>| hour.with_timezone(&self.zone).date_naive();
        let first_day = local(&horizon);
        if self.frozen_before.is_some_and(|frozen_before| frozen_before >= first_day) {
            return;
        }
        let rows = self.rows();
        let count = self.buckets.len();
        let zone = self.zone;
        self.buckets.retain(|(_, hour, ..), _| hour.with_timezone(&zone).date_naive() >= first_day);
        if self.buckets.len() == count {
            return;
        }
        let sql = format!("select frozen_before::text from rollup.user_state where user_id = '{}'", self.user.user_id);
        let frozen_before: NaiveDate = app.ask(&sql).await[0].parse().unwrap();
        assert!(frozen_before <= first_day && self.frozen_before.is_none_or(|before| before < frozen_before));
        self.frozen.extend(rows.into_iter().filter(|((day, ..), _)| *day < frozen_before));
        self.frozen_before = Some(frozen_before);
    }
}

fn half_hour_from(at: DateTime<Utc>) -> DateTime<Utc> {
    let seconds = (at.timestamp() + 1799).div_euclid(1800) * 1800;
    DateTime::from_timestamp(seconds, 0).unwrap()
}

async fn live(app: &TestApp, case: usize, zones: [Tz; USERS], acts: Vec<Act>) {
    let mut users = Vec::new();
    for (number, zone) in zones.into_iter().enumerate() {
        users.push(Model::new(app, format!("user {number} of case {case}"), zone).await);
    }
    for act in acts {
        match act {
            Act::Post { user, device, hour, number } => users[user].post(app, device, hour, number).await,
            Act::Zone { user, zone } => {
                app.want_zone(&users[user].user, zone.name()).await;
                users[user].zone = zone;
            }
            Act::Round => drop(app.relay().run_round().await.unwrap()),
            Act::Replay { user } => users[user].replay(app).await,
            Act::Corrupt { user } => users[user].corrupt(app).await,
            Act::Erase { user, device } => users[user].erase(app, device).await,
            Act::Retain { days } => {
                app.drain().await;
                app.retention(days).run_pass().await.unwrap();
                for user in &mut users {
                    user.retain(app, days).await;
                }
            }
        }
    }
    app.drain().await;
    let user_ids = Some(users.iter().map(|user| user.user.user_id).collect());
    for user in users {
        let mut expected = user.rows();
        let folded = expected.len();
        expected.extend(user.frozen.clone());
        assert_eq!(expected.len(), folded + user.frozen.len(), "no frozen day is folded");
        assert_eq!(app.rollup_rows(user.user.user_id).await, expected, "in {}", user.zone);
    }
    let report = verify(&app.pools.worker, &Window { user_ids, ..Window::default() }).await.unwrap();
    assert!(report.is_clean() && report.pending == 0, "{report:?}");
}

#[test]
fn after_draining_the_rollup_is_the_fold_of_the_buckets_and_frozen_days_are_what_they_were() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let app = runtime.block_on(TestApp::start_with(|settings| settings.ingest_max_age_days = None));
    let case = std::cell::Cell::new(0);
    let zones = [0, 1].map(|_| (0..ZONES.len()).prop_map(|zone| ZONES[zone]));
    let mut runner = TestRunner::new(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..<_>::default()
    });
    let law = runner.run(&(zones, vec(act(), 10..60)), |(zones, acts)| {
        case.set(case.get() + 1);
        runtime.block_on(live(&app, case.get(), zones, acts));
        Ok(())
    });
    law.unwrap();
}
