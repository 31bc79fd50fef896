//! Clocks that are wrong and clocks that jump, on the way of a post: whatever the machine's says, stamps go by the
//! database's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use halfhour::kernel::clock::{Clock, Measurement, Reading};
use halfhour::kernel::database::{follow_database_clock, watch_machine_clock};
use serde_json::{Value, json};

use crate::support::{TestApp, TestDevice, logs};

const HOUR_US: i64 = 3_600_000_000;

/// A machine whose clock is set ahead by so much, and whose other clocks are this one's.
#[derive(Clone, Default)]
struct Machine(Arc<AtomicI64>);

impl Machine {
    fn ahead(us: i64) -> Self {
        Self(Arc::new(AtomicI64::new(us)))
    }

    fn set(&self, us: i64) {
        self.0.store(us, Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let machine = self.clone();
        Clock::of_machine(move || {
            let Reading { steady_us, running_us, wall_us } = Reading::now();
            Reading { steady_us, running_us, wall_us: wall_us + machine.0.load(Ordering::Relaxed) }
        })
    }
}

async fn database_now(app: &TestApp) -> DateTime<Utc> {
    app.ask("select to_json(clock_timestamp())#>>'{}'").await[0].parse().unwrap()
}

/// A server by a machine's clock, which knows the database's.
async fn server(app: &TestApp, machine: &Machine) -> TestApp {
    let server = app.second_server_by(machine.clock()).await;
    follow_database_clock(&server.pools.worker, &server.clock).await.unwrap();
    server
}

/// Posts one bucket of the present half hour, and returns its verdict.
async fn post(server: &TestApp, device: &TestDevice, input: i64, observed_at: Option<DateTime<Utc>>) -> Value {
    let now = Clock::machine_now().timestamp();
    let hour_start = DateTime::from_timestamp(now - now.rem_euclid(1800) - 1800, 0).unwrap();
    let mut bucket = json!({
        "hour_start": hour_start.to_rfc3339_opts(SecondsFormat::Secs, true),
        "source": "codex", "model": "m", "input_tokens": input,
    });
    if let Some(observed_at) = observed_at {
        bucket["observed_at"] = observed_at.to_rfc3339().into();
    }
    let reply = server.post_buckets(&device.token, &json!({ "buckets": [bucket] })).await;
    let receipt = reply.expect_ok();
    assert_eq!(receipt["rejected"], 0, "{receipt}");
    receipt["verdicts"][0].clone()
}

async fn stands(app: &TestApp) -> (DateTime<Utc>, String) {
    let row = app
        .ask("select to_json(observed_at)#>>'{}' || ' ' || input_tokens from usage.bucket order by changed_at desc limit 1")
        .await;
    let (at, tokens) = row[0].split_once(' ').unwrap();
    (at.parse().unwrap(), tokens.to_owned())
}

#[tokio::test]
async fn a_servers_clock_that_jumps_ahead_poisons_no_bucket_and_refuses_none() {
    let app = TestApp::start().await;
    let device = app.device(&app.user("ann", "UTC").await, "laptop").await;
    let machine = Machine::default();
    let server = server(&app, &machine).await;
    for (input, jump) in [(1, HOUR_US), (2, 26 * HOUR_US), (3, -26 * HOUR_US)] {
        machine.set(jump);
        let verdict = post(&server, &device, 10 * input, None).await;
        assert!(["inserted", "updated"].contains(&verdict.as_str().unwrap()), "{verdict}");
        let error = TimeDelta::microseconds(server.clock.error_us() + 1_000);
        assert!(stands(&app).await.0 <= database_now(&app).await + error, "a stamp of the future");
        // The clock is corrected, and what a tracker knows counts.
        machine.set(0);
        let truth = database_now(&app).await;
        assert_eq!(post(&server, &device, 10 * input + 1, Some(truth)).await, "updated");
        assert_eq!(stands(&app).await, (truth, (10 * input + 1).to_string()));
    }
}

#[tokio::test]
async fn two_servers_with_different_clocks_agree_on_what_is_later() {
    let app = TestApp::start().await;
    let device = app.device(&app.user("ann", "UTC").await, "laptop").await;
    let (fast, slow) = (server(&app, &Machine::ahead(HOUR_US)).await, server(&app, &Machine::ahead(-HOUR_US)).await);
    assert!(fast.clock.offset_us() < -HOUR_US / 2 && slow.clock.offset_us() > HOUR_US / 2);
    assert_eq!(post(&fast, &device, 1, None).await, "inserted");
    // Longer than either knows the time wrongly.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(post(&slow, &device, 2, None).await, "updated");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(post(&fast, &device, 3, None).await, "updated");
    let at = database_now(&app).await;
    assert_eq!(post(&slow, &device, 4, Some(at)).await, "updated");
}

#[tokio::test]
async fn a_databases_clock_that_jumps_is_held_or_followed_and_nobody_is_refused() {
    let app = TestApp::start().await;
    let device = app.device(&app.user("ann", "UTC").await, "laptop").await;
    let server = server(&app, &Machine::default()).await;
    let found = |by_us: i64| {
        let reading = server.clock.read_machine();
        Measurement { before: reading, database_us: reading.wall_us + by_us, after: server.clock.read_machine() }
    };
    // It is an hour ahead: trackers that go by it are heard, and arrivals are not stamped by it.
    assert!(server.clock.follow_database(&found(HOUR_US)).is_some());
    assert_eq!(post(&server, &device, 1, None).await, "inserted");
    let right = Clock::machine_now();
    assert!(stands(&app).await.0 <= right);
    assert_eq!(post(&server, &device, 2, Some(right)).await, "updated");
    assert_eq!(server.clock.follow_database(&found(0)), None, "it is corrected");
    assert_eq!(post(&server, &device, 3, None).await, "updated");

    // It is an hour back: arrivals are stamped by it, and trackers that are right are heard.
    assert!(server.clock.follow_database(&found(-HOUR_US)).is_some());
    assert!(server.clock.stamp() <= Clock::machine_now() - TimeDelta::minutes(59));
    assert_eq!(post(&server, &device, 4, Some(Clock::machine_now())).await, "updated");
}

#[tokio::test]
async fn a_jump_is_logged_once_and_counted() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let machine = Machine::default();
    let server = server(&app, &machine).await;
    let jumps = async || app.counter(&user, r#"halfhour_clock_jumps_total{clock="machine"}"#).await;
    let before = jumps().await;
    watch_machine_clock(&server.clock);
    assert_eq!(jumps().await, before);
    // Nobody else's clock jumps by just as much.
    machine.set(-7_654_321_000);
    watch_machine_clock(&server.clock);
    watch_machine_clock(&server.clock);
    follow_database_clock(&server.pools.worker, &server.clock).await.unwrap();
    assert_eq!(jumps().await, before + 1);
    let lines: Vec<_> = logs::lines_with("a clock jumped")
        .into_iter()
        .filter(|line| line["by_ms"].as_i64().is_some_and(|by| (-7_654_400..=-7_654_300).contains(&by)))
        .collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!((&lines[0]["clock"], &lines[0]["level"]), (&json!("machine"), &json!("WARN")));
}
