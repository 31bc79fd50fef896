//! `HALFHOUR_READ_DATABASE_URL`: a real standby, in whatever state a standby may be.

mod cluster;
mod cost;
mod mixed;

use std::str::FromStr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::external_database;
use crate::http::{INTERVAL, PATIENCE, Reply, recent};
use crate::support::{Home, Server};
use cluster::Pair;

/// Whoever reads, writes and looks in these tests.
pub struct People {
    pub device: String,
    pub viewer: String,
    pub operator: String,
}

/// A home whose servers read from a standby.
fn home(pair: &Pair, read_url: &str) -> Home {
    let home = external_database::home(&pair.url()).with("HALFHOUR_READ_DATABASE_URL", read_url).with_any_age();
    ["DEVICE_PER_MINUTE", "VIEWER_PER_MINUTE", "OPERATOR_PER_MINUTE", "DEVICE_BUCKETS_PER_HOUR"]
        .into_iter()
        .fold(home, |home, limit| home.with(&format!("HALFHOUR_LIMIT_{limit}"), "0"))
}

fn people(home: &Home) -> People {
    let user = home.json(&["user", "add", "ann", "--time-zone", "Europe/Berlin"]);
    let device = home.json(&["device", "add", "--user", "ann", "--name", "laptop"]);
    let operator = home.json(&["token", "issue", "--user", "ann", "--kind", "operator"]);
    let token = |of: &Value, name: &str| of[name].as_str().unwrap().to_owned();
    People {
        device: token(&device, "token"),
        viewer: token(&user, "viewer_token"),
        operator: token(&operator, "token"),
    }
}

/// What most tests begin with.
struct Scene {
    pair: Pair,
    home: Home,
    server: Server,
    people: People,
    /// The rollups as they are then.
    known: Value,
}

impl Scene {
    /// So many tokens are folded, and the standby answers reads.
    async fn begin(tokens: u64) -> Self {
        let pair = Pair::start().await;
        let home = home(&pair, &pair.standby.url());
        let server = home.serve().await;
        let people = people(&home);
        server.post(&people.device, &recent("m", tokens)).await;
        let known = server.folded(&people.viewer, "/v1/rollups").await;
        people.until(&server, None).await;
        Self { pair, home, server, people, known }
    }
}

impl People {
    /// A counter or gauge of a server, by its series with its labels.
    pub async fn measured<T: FromStr + Default>(&self, server: &Server, series: &str) -> T {
        let text = server.text(&self.operator, "/metrics").await;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or_else(T::default, |value| value.parse().ok().unwrap())
    }

    /// The lines of a metric.
    pub async fn lines(&self, server: &Server, name: &str) -> Vec<String> {
        let text = server.text(&self.operator, "/metrics").await;
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    pub async fn standby_reads(&self, server: &Server) -> u64 {
        self.measured(server, "halfhour_reads_total{source=\"standby\"}").await
    }

    pub async fn fallbacks(&self, server: &Server, reason: &str) -> u64 {
        self.measured(server, &format!("halfhour_standby_fallbacks_total{{reason=\"{reason}\"}}")).await
    }

    /// What the status says of the standby.
    pub async fn standby(&self, server: &Server) -> Value {
        server.get(&self.operator, "/v1/status").await.json["standby"].take()
    }

    /// Waits until reads ask the standby, or do not for this reason.
    pub async fn until(&self, server: &Server, reason: Option<&str>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let standby = self.standby(server).await;
            if standby["reason"].as_str() == reason {
                return;
            }
            assert!(Instant::now() < deadline, "never {reason:?}: {standby}");
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// What the standby answers, as soon as it does: on a busy machine it may be behind at any time.
    pub async fn told_by_standby(&self, server: &Server, path: &str) -> Reply {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let before = self.standby_reads(server).await;
            let reply = server.get(&self.viewer, path).await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.json);
            if self.standby_reads(server).await > before {
                return reply;
            }
            assert!(Instant::now() < deadline, "the standby never answers {path}: {}", self.standby(server).await);
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// A read, which nothing may fail.
    pub async fn totals(&self, server: &Server) -> Value {
        let reply = server.get(&self.viewer, "/v1/rollups").await;
        assert_eq!(reply.status, 200, "{}", reply.json);
        reply.json
    }
}

/// Usage of three weeks: two tools, three models, each hour another number.
fn history() -> Vec<Value> {
    let now = halfhour::kernel::clock::Clock::machine_now().timestamp();
    let bucket = |hour: i64| {
        let start = now - now.rem_euclid(1800) - hour * 3600;
        let models = ["gpt-5.2-codex", "claude-opus-4-5", "unheard-of"];
        json!({
            "hour_start": chrono::DateTime::from_timestamp(start, 0).unwrap().to_rfc3339(),
            "source": if hour % 2 == 0 { "codex" } else { "claude-code" },
            "model": models[usize::try_from(hour).unwrap() % models.len()],
            "input_tokens": 1000 + hour, "output_tokens": 10 + hour, "cache_read_tokens": hour,
        })
    };
    let buckets: Vec<_> = (1..500).map(bucket).collect();
    buckets.chunks(250).map(|part| json!({ "buckets": part })).collect()
}

const READS: [&str; 14] = [
    "/v1/rollups?group_by=source,model,device",
    "/v1/rollups?width=month",
    "/v1/rollups?width=week&week_start=sunday&group_by=source",
    "/v1/rollups?limit=7&group_by=model",
    "/v1/rollups?width=half_hour&from=2026-01-01&to=2026-01-03&fill=zero",
    "/v1/rollups/summary",
    "/v1/rollups/cost",
    "/v1/rollups/heatmap?weeks=8",
    "/v1/buckets?limit=100",
    "/v1/buckets",
    "/api/usage?days=30",
    "/functions/vibeusage-usage-summary?from=2026-01-01&to=2026-12-31",
    "/functions/vibeusage-usage-daily?from=2026-11-01&to=2026-11-20",
    "/functions/tokentracker-usage-summary?from=2026-11-01&to=2026-11-20",
];

#[tokio::test]
async fn a_standby_that_has_caught_up_answers_every_read_as_the_primary_does() {
    let pair = Pair::start().await;
    let reading = home(&pair, &pair.standby.url());
    let server = reading.serve().await;
    let alone = external_database::home(&pair.url()).with_any_age();
    let other = alone.serve().await;
    let people = people(&reading);
    for post in history() {
        server.post(&people.device, &post).await;
    }
    server.folded(&people.viewer, "/v1/rollups").await;
    people.until(&server, None).await;

    for path in READS {
        let there = people.told_by_standby(&server, path).await;
        let here = other.get(&people.viewer, path).await;
        assert_eq!((here.status, there.content_type, there.etag), (200, here.content_type, here.etag), "{path}");
        assert_eq!(without_moment(there.json), without_moment(here.json), "{path}");
    }
    assert!(people.standby_reads(&other).await == 0 && people.standby(&other).await.is_null());
    people.until(&server, None).await;
    assert_eq!(people.measured::<u64>(&server, "halfhour_standby_usable").await, 1);
    let lines = server.running.stdout();
    assert!(lines.contains("\"read_from\":\"standby\""), "{lines}");
    server.stop().await;
    other.stop().await;
}

/// A reply but for the moment in which it was asked for.
fn without_moment(mut reply: Value) -> Value {
    for name in ["as_of", "generated_at", "next_cursor"] {
        if let Some(object) = reply.as_object_mut() {
            object.remove(name);
        }
    }
    reply
}

#[tokio::test]
async fn what_was_posted_is_read_at_once_however_far_the_standby_is_behind() {
    let Scene { pair, home: _home, server, people, known } = Scene::begin(1).await;

    pair.standby.pause().await;
    server.post(&people.device, &recent("m", 42)).await;
    let buckets = server.get(&people.viewer, "/v1/buckets").await.json;
    assert_eq!(buckets["data"][0]["input_tokens"], 42, "{buckets}");
    let folded = server.folded(&people.viewer, "/v1/rollups").await;
    assert_eq!(folded["totals"]["input_tokens"], 42);
    assert!(folded["version"].as_i64() > known["version"].as_i64(), "{folded}");
    assert!(people.fallbacks(&server, "behind").await > 0);
    people.until(&server, Some("behind")).await;
    // Nobody waits for it any more.
    let began = Instant::now();
    for _ in 0..20 {
        people.totals(&server).await;
    }
    assert!(began.elapsed() < Duration::from_secs(20) / 4, "{:?}", began.elapsed());
    let deadline = Instant::now() + PATIENCE;
    while people.measured::<f64>(&server, "halfhour_standby_lag_seconds").await < 1.0 {
        assert!(Instant::now() < deadline, "no lag is seen");
        tokio::time::sleep(INTERVAL).await;
    }
    assert_eq!(server.get("", "/health/ready").await.status, 200);

    pair.standby.resume().await;
    people.until(&server, None).await;
    assert_eq!(people.told_by_standby(&server, "/v1/rollups").await.json["totals"]["input_tokens"], 42);
    server.stop().await;
}

#[tokio::test]
async fn what_the_primary_does_not_show_yet_is_not_shown_by_the_standby_either() {
    let Scene { pair, home: _home, server, people, known } = Scene::begin(1).await;

    pair.hold_commits().await;
    let (http, device) = (server.http.clone(), people.device.clone());
    let post = tokio::spawn(async move { http.try_post(&device, &recent("m", 42)).await.unwrap() });
    pair.standby.until("select count(*) = 1 from usage.bucket where input_tokens = 42").await;
    assert!(!post.is_finished(), "the post was acknowledged");
    for _ in 0..20 {
        let buckets = server.get(&people.viewer, "/v1/buckets").await.json;
        assert_eq!((&buckets["data"][0]["input_tokens"], &buckets["version"]), (&json!(1), &known["version"]));
        assert_eq!(buckets["pending"], false, "{buckets}");
    }
    assert!(people.fallbacks(&server, "ahead").await > 0);

    pair.let_commits_go().await;
    assert_eq!(post.await.unwrap().status, 200);
    assert_eq!(people.told_by_standby(&server, "/v1/buckets").await.json["data"][0]["input_tokens"], 42);
    server.stop().await;
}

#[tokio::test]
async fn a_standby_that_is_promoted_is_never_read_again() {
    let Scene { pair, home: _home, server, people, .. } = Scene::begin(42).await;
    people.told_by_standby(&server, "/v1/rollups").await;
    let before = people.standby_reads(&server).await;

    // The connections that the server has to it outlive that.
    assert!(pair.standby.ask("select pg_promote()").await);
    pair.standby.ask("with lie as (update rollup.daily set input_tokens = 41 returning 1) select true from lie").await;
    for _ in 0..50 {
        assert_eq!(people.totals(&server).await["totals"]["input_tokens"], 42);
    }
    assert_eq!(people.standby_reads(&server).await, before);
    people.until(&server, Some("promoted")).await;
    server.stop().await;
}

#[tokio::test]
async fn a_read_that_the_standby_ends_in_the_middle_is_answered_by_the_primary() {
    let Scene { pair, home: _home, server, people, .. } = Scene::begin(42).await;
    people.told_by_standby(&server, "/v1/rollups").await;
    // On a busy machine reads may have fallen back before.
    let before = people.fallbacks(&server, "unreachable").await;

    // The standby replays the lock, so that the read waits for it behind the state.
    let held = pair.hold_on_primary("lock table rollup.daily in access exclusive mode").await;
    pair.standby.until("select exists (select from pg_locks where relation = 'rollup.daily'::regclass)").await;
    let (http, viewer) = (server.http.clone(), people.viewer.clone());
    let read = tokio::spawn(async move { http.get(&viewer, "/v1/rollups").await });
    let waiting = "from pg_stat_activity where application_name = 'halfhour standby' and wait_event_type = 'Lock'";
    pair.standby.until(&format!("select coalesce(bool_or(pg_terminate_backend(pid)), false) {waiting}")).await;
    drop(held);
    let reply = read.await.unwrap();
    assert_eq!((reply.status, &reply.json["totals"]["input_tokens"]), (200, &json!(42)), "{}", reply.json);
    assert_eq!(people.fallbacks(&server, "unreachable").await - before, 1);
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_standby_of_this_database_is_never_read() {
    let pair = Pair::start().await;
    let stranger = external_database::start_postgres();
    let other_cluster = external_database::database_url(stranger.0.path(), &stranger.1);
    // A halfhour of somebody else's.
    external_database::home(&other_cluster).json(&["migrate"]);
    let nowhere = "postgres://halfhour:x@localhost/halfhour?host=/nowhere".to_owned();
    let mut known = None;
    for (url, reason) in [
        (pair.standby.url_of("postgres"), "other_database"),
        (other_cluster, "other_database"),
        (pair.url(), "promoted"),
        (nowhere, "unreachable"),
    ] {
        let home = home(&pair, &url);
        let server = home.serve().await;
        let people = known.get_or_insert_with(|| people(&home));
        server.post(&people.device, &recent("m", 42)).await;
        people.until(&server, Some(reason)).await;
        assert_eq!(server.folded(&people.viewer, "/v1/rollups").await["totals"]["input_tokens"], 42, "{reason}");
        assert_eq!(people.standby_reads(&server).await, 0, "{reason}");
        assert!(people.fallbacks(&server, reason).await > 0, "{reason}");
        assert_eq!(server.get("", "/health/ready").await.status, 200, "{reason}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_standby_that_says_nothing_delays_a_few_reads_and_fails_none() {
    let Scene { pair, home: _home, server, people, .. } = Scene::begin(42).await;
    people.totals(&server).await;

    pair.standby.freeze();
    let (began, mut longest) = (Instant::now(), Duration::ZERO);
    for _ in 0..40 {
        let asked = Instant::now();
        assert_eq!(people.totals(&server).await["totals"]["input_tokens"], 42);
        longest = longest.max(asked.elapsed());
    }
    let (took, fallbacks) = (began.elapsed(), people.fallbacks(&server, "unreachable").await);
    pair.standby.thaw();
    assert!(fallbacks >= 1, "{fallbacks}");
    assert!(longest < Duration::from_secs(3) && took < Duration::from_secs(10), "{longest:?} of {took:?}");
    people.until(&server, None).await;
    server.stop().await;
}
