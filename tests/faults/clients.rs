//! Trackers and dashboards. They go on whatever happens, and note what they are told.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use halfhour::kernel::usage::writer::Verdict;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::figures::{Exchange, Figures, Route, Troubles};
use crate::history::{Call, Erasure, History, Keys, Micros, Outcome, Post, Read, Shows};
use crate::random::Random;
use crate::snapshots::{Maker, instant, listed, now};

/// Longer than any answer takes; shorter than a run.
const CLIENT_PATIENCE: Duration = Duration::from_secs(8);
/// How often a tracker sends a post again.
const ATTEMPTS: usize = 4;

/// One account, and its tokens.
#[derive(Clone, Debug)]
pub struct User {
    pub id: Uuid,
    pub viewer: String,
    /// Each with its token.
    pub devices: Vec<(Uuid, String)>,
}

/// What all clients share.
pub struct World {
    pub users: Vec<User>,
    /// The ports of the proxies before the servers.
    pub proxies: Vec<u16>,
    /// The ports at which the servers listen themselves.
    pub ports: Vec<AtomicU16>,
    pub keys: Mutex<Keys>,
    /// All but the keys and the end.
    pub history: Mutex<History>,
    pub figures: Mutex<Figures>,
    pub troubles: Troubles,
    pub maker: Maker,
    client: reqwest::Client,
    over: AtomicBool,
}

/// An answer read to its end, and how it came.
struct Reply {
    exchange: Exchange,
    json: Value,
}

impl World {
    pub fn new(users: Vec<User>, proxies: Vec<u16>, ports: &[u16]) -> Self {
        // The client speaks plain HTTP only, but is built with TLS because another crate asks for it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(CLIENT_PATIENCE).build().unwrap();
        let ports = ports.iter().copied().map(AtomicU16::new).collect();
        Self {
            users,
            proxies,
            ports,
            keys: Mutex::default(),
            history: Mutex::default(),
            figures: Mutex::default(),
            troubles: Troubles::default(),
            maker: Maker::new(),
            client,
            over: AtomicBool::new(false),
        }
    }

    /// Sets everyone to work.
    pub fn begin(self: &Arc<Self>, random: &mut Random) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for user in 0..self.users.len() {
            for _ in 0..4 {
                clients.spawn(self.clone().track(user, random.split()));
            }
            for _ in 0..2 {
                clients.spawn(self.clone().watch(user, random.split()));
            }
        }
        for server in 0..self.ports.len() {
            clients.spawn(self.clone().probe(server));
        }
        clients
    }

    /// Nobody begins anything new.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    /// A tracker of one user: it posts from any of the user's devices, through any server.
    async fn track(self: Arc<Self>, user: usize, mut random: Random) {
        while self.goes_on() {
            let (device, token) = &self.users[user].devices[random.below(self.users[user].devices.len())];
            let (post, body) = self.make_post(&mut random, user, *device);
            // A tracker that held its snapshots back for a while.
            let pause = if random.once_in(6) { random.between(50, 600) } else { random.between(0, 60) };
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let key = random.once_in(3).then(|| Uuid::now_v7().to_string());
            let mut server = random.below(self.proxies.len());
            for _ in 0..ATTEMPTS {
                let done = self.post(post, &body, token, key.as_deref(), server).await;
                // Some trackers send again what they have been answered.
                if done && !random.once_in(12) {
                    break;
                }
                if !done {
                    tokio::time::sleep(Duration::from_millis(random.between(20, 400))).await;
                }
                if random.once_in(2) {
                    server = (server + 1) % self.proxies.len();
                }
            }
        }
    }

    fn make_post(&self, random: &mut Random, user: usize, device: Uuid) -> (usize, Value) {
        let size = random.between(1, 6);
        let made: Vec<_> = (0..size).map(|_| self.maker.make(random, &self.keys, user, device)).collect();
        let mut buckets: Vec<Value> = made.iter().map(|made| made.json.clone()).collect();
        let mut unacceptable = None;
        if random.once_in(8) {
            let place = random.below(buckets.len());
            buckets[place]["model"] = "zero\u{200b}width".into();
            unacceptable = Some(place);
        }
        let snapshots = made.into_iter().map(|made| made.snapshot).collect();
        let posts = &mut self.history.lock().unwrap().posts;
        posts.push(Post { user, snapshots, unacceptable });
        (posts.len() - 1, json!({ "buckets": buckets }))
    }

    /// One new post of one user, sent once. Answers whether it was acknowledged.
    pub async fn post_once(&self, user: usize, server: usize, random: &mut Random) -> bool {
        let (device, token) = &self.users[user].devices[0];
        let (post, body) = self.make_post(random, user, *device);
        self.post(post, &body, token, None, server).await
    }

    /// Sends a post once. Answers whether it was acknowledged.
    async fn post(&self, post: usize, body: &Value, token: &str, key: Option<&str>, server: usize) -> bool {
        let mut request = self.client.post(self.url(server, "/v1/buckets")).bearer_auth(token).json(body);
        request = request.header("prefer", "handling=lenient");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let Reply { exchange: Exchange { began, ended, status, code, .. }, json } =
            self.exchange(Route::Buckets, server, request).await;
        let outcome = match status {
            Some(200) => answered(ended, &json).unwrap_or(Outcome::Unknown),
            Some(_) => Outcome::Refused { nothing_written: code.is_some_and(|code| nothing_is_written(&code)) },
            None => Outcome::Unknown,
        };
        let done = matches!(outcome, Outcome::Answered { .. });
        self.history.lock().unwrap().calls.push(Call { post, began, outcome });
        done
    }

    /// A dashboard of one user, which reads through any server.
    async fn watch(self: Arc<Self>, user: usize, mut random: Random) {
        while self.goes_on() {
            let server = random.below(self.proxies.len());
            let lists = random.once_in(4);
            if let Some(read) = self.read(user, server, lists).await {
                self.history.lock().unwrap().reads.push(read);
            }
            tokio::time::sleep(Duration::from_millis(random.between(5, 80))).await;
        }
    }

    /// One read, of buckets or of their sum.
    pub async fn read(&self, user: usize, server: usize, lists: bool) -> Option<Read> {
        let recent = instant(self.maker.recent_from * 1_000_000).date_naive();
        let (route, path) = if lists {
            (Route::Listing, format!("/v1/buckets?limit=1000&time_zone=UTC&from={recent}"))
        } else {
            (Route::Rollups, format!("/v1/rollups?from={}", recent - TimeDelta::days(100)))
        };
        let request = self.client.get(self.url(server, &path)).bearer_auth(&self.users[user].viewer);
        let Reply { exchange: Exchange { began, ended, status, .. }, json } =
            self.exchange(route, server, request).await;
        if status != Some(200) {
            return None;
        }
        let shows = if lists {
            let buckets = json["data"].as_array()?.iter();
            let from = recent.and_hms_opt(0, 0, 0)?.and_utc().timestamp();
            Shows::Buckets {
                from,
                buckets: buckets.map(|bucket| listed(&self.keys, user, bucket)).collect::<Option<_>>()?,
            }
        } else {
            Shows::Total(json["totals"]["total_tokens"].as_i64()?)
        };
        let as_of = json["as_of"].as_str()?.parse::<DateTime<Utc>>().ok()?.timestamp_micros();
        let (pending, version) = (json["pending"].as_bool()?, json["version"].as_i64()?);
        Some(Read { user, began, ended, as_of, pending, version, shows })
    }

    /// Deletes all usage of a user.
    pub async fn erase(&self, user: usize, server: usize) {
        let url = self.url(server, "/v1/me/usage?everything=true");
        let request = self.client.delete(url).bearer_auth(&self.users[user].viewer);
        let Reply { exchange, json } = self.exchange(Route::Erasure, server, request).await;
        let erased_at = json["erased_at"].as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
        if exchange.code.is_none_or(|code| !nothing_is_written(&code)) {
            let erased_at = erased_at.map(|at| at.timestamp_micros());
            let (began, ended) = (exchange.began, erased_at.map(|_| exchange.ended));
            self.history.lock().unwrap().erasures.push(Erasure { user, began, ended, erased_at });
        }
    }

    /// Asks a server, past its proxy, whether it lives.
    async fn probe(self: Arc<Self>, server: usize) {
        while self.goes_on() {
            self.ask(server, Route::Live, "/health/live").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks a server itself, past its proxy.
    pub async fn ask(&self, server: usize, route: Route, path: &str) -> Option<u16> {
        let port = self.ports[server].load(Ordering::Relaxed);
        let request = self.client.get(format!("http://127.0.0.1:{port}{path}"));
        self.exchange(route, server, request).await.exchange.status
    }

    fn url(&self, server: usize, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.proxies[server])
    }

    async fn exchange(&self, route: Route, server: usize, request: reqwest::RequestBuilder) -> Reply {
        let began = now();
        let (status, retry_after, json) = match request.send().await {
            Ok(response) => {
                let (status, retry_after) =
                    (response.status().as_u16(), response.headers().contains_key("retry-after"));
                match response.bytes().await {
                    Ok(body) => (Some(status), retry_after, serde_json::from_slice(&body).unwrap_or(Value::Null)),
                    Err(_) => (None, false, Value::Null),
                }
            }
            Err(_) => (None, false, Value::Null),
        };
        let code = json["code"].as_str().map(str::to_owned);
        let exchange = Exchange { route, server, began, ended: now(), status, code, retry_after };
        self.figures.lock().unwrap().count(&exchange, &self.troubles);
        Reply { exchange, json }
    }
}

fn answered(ended: Micros, json: &Value) -> Option<Outcome> {
    let request = json["request_id"].as_str()?.parse().ok()?;
    let verdicts = json["verdicts"].as_array()?.iter().map(|verdict| {
        let verdict = verdict.as_str()?;
        Verdict::ALL.into_iter().find(|known| known.as_str() == verdict)
    });
    Some(Outcome::Answered { ended, request, verdicts: verdicts.collect::<Option<_>>()? })
}

/// Whether the contract says of a refusal that nothing was written.
fn nothing_is_written(code: &str) -> bool {
    ["database_conflict", "invalid", "malformed", "overloaded", "rate_limited", "switched_off", "unauthorized"]
        .contains(&code)
}
