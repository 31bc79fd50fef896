//! A whole server for one test: its own database, cloned from a migrated template; a clock that stands still; a login
//! that is no superuser, so that row-level security binds as in production; and a relay that folds on demand.

mod cluster;
mod http;
mod jobs;
mod lines;
pub mod logs;
pub mod plans;
mod proxy;
pub mod rollups;
pub mod shapes;
pub mod snapshots;
mod web_proxy;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use halfhour::app::{Activity, App, DoorLimits, Settings};
use halfhour::config::{Limits, PoolSizes};
use halfhour::features::accounts::Accounts;
use halfhour::features::dashboard_rollup::Retention;
use halfhour::features::operations::Metrics;
use halfhour::kernel::access::{Actor, ServerKey, TokenKind};
use halfhour::kernel::call::{RequestContext, Threads, Tracer};
use halfhour::kernel::clock::Clock;
use halfhour::kernel::database::Pools;
use halfhour::kernel::http::unread_body::Bodies;
use halfhour::kernel::operations::switches::Switch;
use halfhour::kernel::usage::relay_notifier::{RelayNotifier, Signal};
use reqwest::Method;
use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio_util::sync::CancellationToken;
use tower::{Service as _, ServiceExt as _};
use uuid::Uuid;

pub use http::{Reply, Request};
pub use lines::{LINE_FIELDS, line, line_with, lines_of, wait_for_line, wait_for_lines};
pub use proxy::Proxy;
pub use web_proxy::{PREFIX, WebProxy};

/// What the tests' tokens are made under.
pub const SERVER_SECRET: &str = "the tests' key, which is no secret";

/// When every test begins.
pub const NOW: &str = "2026-11-20T12:00:00Z";

/// A server and everything around it.
pub struct TestApp {
    /// Where it listens.
    pub url: String,
    /// Its clock.
    pub clock: Clock,
    /// The superuser's own connections: for looking at rows, and for breaking them.
    pub admin: PgPool,
    /// The application's pools.
    pub pools: Pools,
    /// How the superuser connects to this test's database.
    pub superuser: PgConnectOptions,
    /// How the application connects to it.
    pub login: PgConnectOptions,
    app: Arc<App>,
    accounts: Accounts,
    client: reqwest::Client,
}

/// A user with a token of either kind that belongs to users.
pub struct TestUser {
    pub name: String,
    pub user_id: Uuid,
    pub viewer: String,
    pub operator: String,
}

/// A device and its token.
pub struct TestDevice {
    pub device_id: Uuid,
    pub token: String,
}

impl TestApp {
    /// A server with ordinary settings.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A server with some settings changed.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let database = cluster::new_database().await;
        Self::on(database, change).await
    }

    /// Another server process, as it were, on the same database: its own pools, clock and relay.
    pub async fn second_server(&self) -> Self {
        self.second_server_with(|_| {}).await
    }

    /// Another server on the same database with some settings changed.
    pub async fn second_server_with(&self, change: impl FnOnce(&mut Settings)) -> Self {
        let database = cluster::Database { superuser: self.superuser.clone(), login: self.login.clone() };
        Self::on(database, change).await
    }

    /// Another server on the same database that reaches it only so.
    pub async fn second_server_through(&self, proxy: &Proxy) -> Self {
        self.second_server_through_with(proxy, |_| {}).await
    }

    /// The same with some settings changed.
    pub async fn second_server_through_with(&self, proxy: &Proxy, change: impl FnOnce(&mut Settings)) -> Self {
        let login = self.login.clone().socket(proxy.directory());
        Self::on(cluster::Database { superuser: self.superuser.clone(), login }, change).await
    }

    /// Another server on the same database whose login is the superuser.
    pub async fn server_as_superuser(&self) -> Self {
        let database = cluster::Database { superuser: self.superuser.clone(), login: self.superuser.clone() };
        Self::on(database, |_| {}).await
    }

    /// A server on a database of the test's own making.
    pub async fn on_database(superuser: PgConnectOptions, login: PgConnectOptions) -> Self {
        Self::on(cluster::Database { superuser, login }, |_| {}).await
    }

    /// Another server on the same database that goes by another clock.
    pub async fn second_server_by(&self, clock: Clock) -> Self {
        let database = cluster::Database { superuser: self.superuser.clone(), login: self.login.clone() };
        Self::by(&Threads::of_caller(), clock, database, |_| {}).await
    }

    /// Another server on the same database that serves on these threads.
    pub async fn second_server_on(&self, threads: &Threads) -> Self {
        let database = cluster::Database { superuser: self.superuser.clone(), login: self.login.clone() };
        Self::by(threads, Clock::fixed(NOW.parse().unwrap()), database, |_| {}).await
    }

    async fn on(database: cluster::Database, change: impl FnOnce(&mut Settings)) -> Self {
        Self::by(&Threads::of_caller(), Clock::fixed(NOW.parse().unwrap()), database, change).await
    }

    async fn by(
        threads: &Threads,
        clock: Clock,
        database: cluster::Database,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        logs::capture();
        let cluster::Database { superuser, login } = database;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut settings = Settings {
            public_url: url.clone(),
            request_deadline: Duration::from_secs(10),
            cors_origins: Vec::new(),
            standby: None,
            pool_sizes: PoolSizes { ingest: 2, read: 4, worker: 3 },
            relays: 1,
            limits: Limits::OFF,
            token_memory: halfhour::kernel::access::REVOCATION_BOUND,
            door: DoorLimits::default(),
            bodies: Bodies::default(),
            activity: Activity::default(),
            private_postgres: None,
            data_dir: None,
            metrics: metrics(),
            tracer: Tracer::off(),
            trusted_proxies: Vec::new(),
            ingest_max_age_days: Some(400),
            retention_days: None,
            backfill_max_days: 90,
        };
        change(&mut settings);
        let key = server_key();
        let app = Arc::new(App::on(threads, &login, key.clone(), settings, clock.clone()));
        let (serving, shutdown) = (app.clone(), CancellationToken::new());
        tokio::spawn(async move { serving.listen(listener, shutdown).await });
        let admin = PgPoolOptions::new().max_connections(3).connect_lazy_with(superuser.clone());
        let pools = app.pools().clone();
        let accounts = Accounts::new(pools.worker.clone(), key);
        // The client speaks plain HTTP only, but is built with TLS because another crate asks for it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        Self { url, clock, admin, pools, superuser, login, app, accounts, client }
    }

    /// Has the same server listen at another address until `shutdown`. Returns its URL, and what ends with it.
    pub async fn listen(&self, shutdown: CancellationToken) -> (String, tokio::task::JoinHandle<()>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, app) = (format!("http://{}", listener.local_addr().unwrap()), self.app.clone());
        (url, tokio::spawn(async move { app.listen(listener, shutdown).await }))
    }

    /// A new user.
    pub async fn user(&self, name: &str, time_zone: &str) -> TestUser {
        let user = self.accounts.users.add(&context(), Actor::Command, name, time_zone).await.unwrap();
        let operator =
            self.accounts.users.issue_token(&context(), Actor::Command, name, TokenKind::Operator).await.unwrap();
        TestUser {
            name: name.to_owned(),
            user_id: user.user_id,
            viewer: user.viewer_token.reveal().to_owned(),
            operator: operator.token.reveal().to_owned(),
        }
    }

    /// A new device of a user.
    pub async fn device(&self, user: &TestUser, name: &str) -> TestDevice {
        let device = self.accounts.devices.add(&context(), Actor::Command, &user.name, name, "test").await.unwrap();
        TestDevice { device_id: device.device_id, token: device.token.reveal().to_owned() }
    }

    /// Accounts, as the commands use them.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Who erases persons, as commands and workers use it.
    pub fn persons(&self) -> &halfhour::features::accounts::Persons {
        self.app.persons()
    }

    /// What dashboards read, without a request.
    pub fn answers(&self) -> &halfhour::features::dashboard_rollup::UsageAnswers {
        self.app.answers()
    }

    /// The application's own relay.
    pub fn relay(&self) -> &halfhour::features::dashboard_rollup::Relay {
        self.app.relay()
    }

    /// All relays of the application.
    pub fn relays(&self) -> &[halfhour::features::dashboard_rollup::Relay] {
        self.app.relays()
    }

    /// What keeps so many days of buckets, and removes the others on demand.
    pub fn retention(&self, days: u32) -> Retention {
        let switches = self.app.switches().clone();
        switches.set(Switch::Retention, true);
        Retention::new(self.pools.worker.clone(), self.clock.clone(), switches, days)
    }

    /// What carries the application's wakes to other processes, and theirs here.
    pub fn relay_notifier(&self) -> &RelayNotifier {
        self.app.relay_notifier()
    }

    /// What wakes the application's relay.
    pub fn signal(&self) -> &Signal {
        self.app.signal()
    }

    /// Waits for a wake of the application's relay.
    pub async fn woken(&self) {
        self.app.signal().woken().await;
    }

    /// The application's own writer.
    pub fn writer(&self) -> &halfhour::kernel::usage::writer::Writer {
        self.app.writer()
    }

    /// The door for posts of any protocol.
    pub fn intake(&self) -> &halfhour::kernel::usage::intake::Intake {
        self.app.intake()
    }

    /// The switches as this server knows them.
    pub fn switches(&self) -> &halfhour::kernel::operations::switches::Switches {
        self.app.switches()
    }

    /// The tools as this server knows them.
    pub fn sources(&self) -> &halfhour::kernel::usage::sources::Sources {
        self.app.sources()
    }

    /// Who reads the switches.
    pub fn switchboard(&self) -> &halfhour::features::operations::Switchboard {
        self.app.switchboard()
    }

    /// Reads the switches, as a running server does every second.
    pub async fn refresh_switches(&self) {
        self.app.switchboard().refresh().await.unwrap();
    }

    /// Folds every event that is due.
    pub async fn drain(&self) {
        self.app.relay().drain().await.unwrap();
    }

    /// Makes every insert into a table fail with an SQLSTATE, from now on. Returns what only lines of these failures say.
    pub async fn refuse_inserts(&self, table: &str, sqlstate: &str) -> String {
        let mark = format!("refused for {}", Uuid::now_v7());
        self.tell(&format!(
            "create or replace function public.refuse_insert() returns trigger language plpgsql as
             $$ begin raise exception '{mark}' using errcode = '{sqlstate}'; end $$;
             create or replace trigger refuse_insert before insert on {table}
             for each row execute function public.refuse_insert()"
        ))
        .await;
        mark
    }

    /// Writes down when tokens were last used, as the server does once a minute.
    pub async fn note_token_uses(&self) {
        self.try_note_token_uses().await.unwrap();
    }

    /// The same where it may fail.
    pub async fn try_note_token_uses(&self) -> Result<(), halfhour::kernel::problem::Problem> {
        self.app.note_token_uses().await
    }

    /// Writes down in which protocol devices reported last, as the server does once a minute.
    pub async fn note_reports(&self) {
        self.app.note_reports().await.unwrap();
    }

    /// Answers a request without a network: its body is asked for only as it is read.
    pub async fn answer(&self, request: axum::http::Request<axum::body::Body>) -> axum::response::Response {
        let client: std::net::SocketAddr = "127.0.0.1:1".parse().unwrap();
        let service = self.app.service().call(client).await.unwrap();
        service.oneshot(request).await.unwrap()
    }

    /// The same, to be waited for elsewhere.
    pub async fn answering(
        &self,
        request: axum::http::Request<axum::body::Body>,
    ) -> impl Future<Output = axum::response::Response> + Send + 'static {
        let client: std::net::SocketAddr = "127.0.0.1:1".parse().unwrap();
        let service = self.app.service().call(client).await.unwrap();
        async move { service.oneshot(request).await.unwrap() }
    }

    /// A request to build up and send.
    pub fn request(&self, method: Method, path: &str) -> Request {
        Request::new(self.client.request(method, format!("{}{path}", self.url)))
    }

    /// GET with a token.
    pub async fn get(&self, token: &str, path: &str) -> Reply {
        self.request(Method::GET, path).bearer(token).send().await
    }

    /// What a counter has come to, by its series with its labels; 0 where there is none yet.
    pub async fn counter(&self, user: &TestUser, series: &str) -> u64 {
        let text = String::from_utf8(self.get(&user.operator, "/metrics").await.body).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// POST /v1/buckets with a token.
    pub async fn post_buckets(&self, token: &str, body: &Value) -> Reply {
        self.request(Method::POST, "/v1/buckets").bearer(token).json(body).send().await
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            logs::assert_no_leak();
        }
    }
}

/// Where all servers of this process count.
fn metrics() -> Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(|| Metrics::install(None)).clone()
}

/// The key under which the tests' tokens are made.
pub fn server_key() -> ServerKey {
    ServerKey::new(SERVER_SECRET.as_bytes()).unwrap()
}

/// A call without a request.
pub fn context() -> RequestContext {
    RequestContext::internal(Duration::from_secs(30))
}

/// An instant from its text.
pub fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}
