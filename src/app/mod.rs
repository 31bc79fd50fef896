//! The composition root: state, routes, layers, workers and shutdown. Only this folder and `commands` name features.

mod activity;
mod contract_headers;
mod contract_links;
mod contract_problems;
mod contract_shared;
mod dashboards;
mod door;
mod forgetting;
mod housekeeping;
mod layers;
mod log_queue;
mod openapi;
mod operators;
mod page_merges;
mod pages;
mod paths;
mod problem_pages;
mod repricing;
mod routes;
mod settings;
mod shipped_prices;
mod state;
pub mod telemetry;
pub mod traces;
mod verification;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use activity::Activity;
pub use door::DoorLimits;
pub(crate) use forgetting::persons_with;
pub use pages::page_routes;
pub use repricing::prices_with;
pub use settings::Settings;
pub use shipped_prices::{books_with, shipped_book};
pub(crate) use verification::verify_with;

use housekeeping::{Housekeeper, follow_clock, tidy};

use crate::features::accounts::{Accounts, Persons};
use crate::features::backfill::{Backfills, Worker};
use crate::features::dashboard_rollup::{Relay, Retention, UsageAnswers, watch_coverage};
use crate::features::operations::{ProcessStatus, Readiness, Switchboard, follow_sources};
use crate::kernel::access::{Authenticator, ServerKey, Sessions, TokenCache};
use crate::kernel::call::Threads;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Pool, Pools, Standby, by_key, by_range, in_batches};
use crate::kernel::dialect::Enrolment;
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::operations::switches::Switches;
use crate::kernel::problem::Problem;
use crate::kernel::usage::intake::{Intake, RepeatLookups};
use crate::kernel::usage::relay_notifier::{RelayNotifier, Signal};
use crate::kernel::usage::sources::Sources;
use crate::kernel::usage::writer::Writer;
use layers::StrangerLimits;
use routes::Routes;
use shipped_prices::begin_prices;
use state::{AppState, Handed};

/// For readiness, the switches, the database's clock and marks for the standby. Each of these takes a few milliseconds.
const CONTROL_CONNECTIONS: u32 = 2;

/// The application, ready to serve.
#[derive(Debug)]
pub struct App {
    threads: Threads,
    /// The runtime of the workers, and of all requests but posts.
    aside: Handle,
    state: AppState,
    relays: Arc<Vec<Relay>>,
    strangers: StrangerLimits,
    retention: Option<Retention>,
    backfill_worker: Worker,
    signal: Signal,
    relay_notifier: RelayNotifier,
    settings: Settings,
}

/// The pools of connections, each for work that another kind must not hold up.
fn pools_of(threads: &Threads, database: &PgConnectOptions, settings: &Settings) -> Pools {
    let (sizes, tracer) = (settings.pool_sizes, &settings.tracer);
    let control = Pool::new(database.clone(), "control", CONTROL_CONNECTIONS);
    let standby = settings.standby.as_deref().map(|options| {
        let pool = Pool::new(by_range(options.clone()), "standby", sizes.read).traced(tracer);
        Standby::new(pool, control.clone())
    });
    Pools {
        ingest: Pool::new(by_key(database.clone()), "ingest", sizes.ingest).divided_among(threads).traced(tracer),
        read: Pool::new(by_range(database.clone()), "read", sizes.read).traced(tracer),
        worker: Pool::new(in_batches(database.clone()), "worker", sizes.worker).traced(tracer),
        control,
        standby,
    }
}

fn process_status(
    pools: &Pools,
    writer: &Writer,
    clock: &Clock,
    switches: &Switches,
    settings: &Settings,
) -> ProcessStatus {
    ProcessStatus {
        started: Instant::now(),
        pools: pools.clone(),
        writer: writer.clone(),
        clock: clock.clone(),
        switches: switches.clone(),
        retention_days: settings.retention_days,
        private_postgres: settings.private_postgres.clone(),
        metrics: settings.metrics.clone(),
    }
}

impl App {
    /// Puts everything together, for requests that are served by the caller's runtime. `database` must have been migrated.
    pub fn new(database: &PgConnectOptions, key: ServerKey, settings: Settings, clock: Clock) -> Self {
        Self::on(&Threads::of_caller(), database, key, settings, clock)
    }

    /// The same, for connections and posts that are served on `threads`. All other requests, and the workers, are the
    /// caller's runtime's.
    pub fn on(
        threads: &Threads,
        database: &PgConnectOptions,
        key: ServerKey,
        settings: Settings,
        clock: Clock,
    ) -> Self {
        let pools = pools_of(threads, database, &settings);
        let (signal, switches) = (Signal::of(settings.relays), Switches::at_start());
        let strangers = StrangerLimits::new(&settings.limits, &settings.trusted_proxies);
        let (cache, read) = (TokenCache::new(settings.token_memory), pools.read.clone());
        let writer = Writer::start(threads, &pools.ingest, &clock, &signal);
        let sources = Sources::new(pools.worker.clone(), clock.clone());
        let process_status = process_status(&pools, &writer, &clock, &switches, &settings);
        let answers = UsageAnswers::new(pools.reads(), clock.clone());
        let accounts = Accounts::serving(pools.read.clone(), key.clone(), clock.clone(), signal.clone());
        let authenticator = Authenticator::new(key.clone(), read, cache, strangers.callers.clone(), clock.clone());
        let (url, sealing) = (&settings.public_url, authenticator.clone());
        let sessions = Sessions::new(&key, sealing.clone(), clock.clone(), url);
        let operator_sessions = Sessions::of_operators(&key, sealing, clock.clone(), url);
        let state = AppState(Arc::new(Handed {
            clock: clock.clone(),
            authenticator,
            intake: Intake::new(
                switches.clone(),
                clock.clone(),
                writer.clone(),
                sources.clone(),
                settings.ingest_max_age_days,
                settings.limits.device_buckets_per_hour,
                RepeatLookups::new(pools.read.clone(), clock.clone()),
            ),
            writer,
            readiness: Readiness::new(pools.control.clone()),
            usage_sums: dashboards::sums_with(answers.clone()),
            device_door: dashboards::devices_with(&accounts),
            account_door: pages::accounts_with(&accounts, persons_with(&pools.worker), &sessions),
            sessions,
            operator_sessions,
            enrolment: Enrolment::new(accounts.pairings.clone()),
            accounts,
            public_url: PublicUrl::from(settings.public_url.as_str()),
            persons: persons_with(&pools.worker),
            answers,
            cursors: Cursors::new(key),
            switchboard: Switchboard::new(pools.control.clone(), clock.clone(), switches.clone()),
            switches,
            backfills: Backfills::new(
                pools.worker.clone(),
                clock.clone(),
                Signal::default(),
                settings.backfill_max_days,
                prices_with(&pools.worker, &clock),
            ),
            process_status,
            sources,
            books: books_with(&pools.worker, &clock),
            pools,
        }));
        Self::with_workers(threads, state, database, (settings, strangers), (signal, clock))
    }

    fn with_workers(
        threads: &Threads,
        state: AppState,
        database: &PgConnectOptions,
        (settings, strangers): (Settings, StrangerLimits),
        (signal, clock): (Signal, Clock),
    ) -> Self {
        let Handed { pools, switches, backfills, .. } = &*state.0;
        let workers = pools.worker.clone();
        let relays = Arc::new(Relay::several(&workers, &signal, &clock, switches, settings.relays));
        let verify = verify_with(&workers);
        let backfill_worker = Worker::new(backfills.clone(), switches.clone(), signal.clone(), verify);
        let retention = settings.retention_days.map(|days| Retention::new(workers, clock, switches.clone(), days));
        let relay_notifier = RelayNotifier::new(database, signal.clone());
        let (threads, aside) = (threads.clone(), Handle::current());
        Self { threads, aside, state, relays, strangers, retention, backfill_worker, signal, relay_notifier, settings }
    }

    /// The first relay, for callers that fold on demand.
    pub fn relay(&self) -> &Relay {
        &self.relays[0]
    }

    /// All relays, for callers that have several fold.
    pub fn relays(&self) -> &[Relay] {
        &self.relays
    }

    /// What wakes the relays, for callers that wait for them.
    pub fn signal(&self) -> &Signal {
        &self.signal
    }

    /// What carries wakes between processes.
    pub fn relay_notifier(&self) -> &RelayNotifier {
        &self.relay_notifier
    }

    /// Who carries jobs out, for callers that take steps on demand.
    pub fn backfill_worker(&self) -> &Worker {
        &self.backfill_worker
    }

    /// The jobs, for callers that look at them without a request.
    pub fn backfills(&self) -> &Backfills {
        &self.state.0.backfills
    }

    /// What dashboards read, for callers that ask without a request.
    pub fn answers(&self) -> &UsageAnswers {
        &self.state.0.answers
    }

    /// The pools, whose connections can do nothing outside a transaction.
    pub fn pools(&self) -> &Pools {
        &self.state.0.pools
    }

    /// Who removes the usage of erased persons, for callers that do so on demand.
    pub fn persons(&self) -> &Persons {
        &self.state.0.persons
    }

    /// The writer, for callers that want to know how much waits in its queue.
    pub fn writer(&self) -> &Writer {
        &self.state.0.writer
    }

    /// The door for posts, for callers that speak another protocol.
    pub fn intake(&self) -> &Intake {
        &self.state.0.intake
    }

    /// Writes down when tokens were last used.
    pub async fn note_token_uses(&self) -> Result<(), Problem> {
        self.housekeeper().note_token_uses().await
    }

    /// Writes down in which protocol devices reported last.
    pub async fn note_reports(&self) -> Result<(), Problem> {
        self.housekeeper().note_reports().await
    }

    fn housekeeper(&self) -> Housekeeper {
        let Handed { pools, clock, accounts, authenticator, backfills, intake, .. } = &*self.state.0;
        Housekeeper {
            pool: pools.worker.clone(),
            clock: clock.clone(),
            tokens: accounts.tokens.clone(),
            link_codes: accounts.link_codes.clone(),
            uses: authenticator.uses().clone(),
            devices: accounts.devices.clone(),
            heard: intake.heard().clone(),
            backfills: backfills.clone(),
            data_dir: self.settings.data_dir.clone(),
        }
    }

    /// The switches as this process knows them.
    pub fn switches(&self) -> &Switches {
        &self.state.0.switches
    }

    /// Who reads the switches, for callers that do so on demand.
    pub fn switchboard(&self) -> &Switchboard {
        &self.state.0.switchboard
    }

    /// The tools as this process knows them, for callers that read them on demand.
    pub fn sources(&self) -> &Sources {
        &self.state.0.sources
    }

    fn router(&self) -> Router {
        let Self { state, settings, strangers, .. } = self;
        Routes { state, settings, strangers, aside: self.aside.clone() }.router()
    }

    /// The routes as a service that knows where each connection comes from.
    pub fn service(&self) -> IntoMakeServiceWithConnectInfo<Router, SocketAddr> {
        self.router().into_make_service_with_connect_info()
    }

    /// Answers whoever connects, until `shutdown` and for as long after it as open requests may take.
    pub async fn listen(&self, listener: TcpListener, shutdown: CancellationToken) {
        door::serve(listener, self.router(), self.settings.door, &self.threads, shutdown).await;
    }

    /// Serves until `shutdown`, then lets open requests finish, stops the workers and closes the pools, all within `patience`.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken, patience: Duration) {
        let tasks = TaskTracker::new();
        // Workers stop after the requests, so that what was just acknowledged is folded too.
        let workers = CancellationToken::new();
        for number in 0..self.relays.len() {
            let (relays, stop) = (self.relays.clone(), workers.clone());
            tasks.spawn(async move { relays[number].run(stop).await });
        }
        let (relay_notifier, stop) = (self.relay_notifier.clone(), workers.clone());
        tasks.spawn(async move { tokio::join!(relay_notifier.announce(stop.clone()), relay_notifier.listen(stop)) });
        if let Some(retention) = self.retention.clone() {
            let stop = workers.clone();
            tasks.spawn(async move { retention.run(stop).await });
        }
        let (backfill_worker, stop) = (self.backfill_worker.clone(), workers.clone());
        tasks.spawn(async move { backfill_worker.run(stop).await });
        let (persons, stop) = (self.state.0.persons.clone(), workers.clone());
        tasks.spawn(async move { persons.run(stop).await });
        let (switchboard, stop) = (self.state.0.switchboard.clone(), workers.clone());
        tasks.spawn(async move { switchboard.run(stop).await });
        tasks.spawn(follow_sources(self.state.0.sources.clone(), workers.clone()));
        tasks.spawn(begin_prices(self.settings.data_dir.is_some(), self.state.0.books.clone(), workers.clone()));
        let Handed { pools, clock, .. } = &*self.state.0;
        tasks.spawn(follow_clock(pools.control.clone(), clock.clone(), workers.clone()));
        if let Some(standby) = pools.standby.clone() {
            tasks.spawn(standby.watch(workers.clone()));
        }
        tasks.spawn(watch_coverage(pools.worker.clone(), clock.clone(), workers.clone()));
        tasks.spawn(tidy(self.settings.metrics.clone(), workers.clone()));
        tasks.spawn(self.housekeeper().run(workers.clone()));
        tasks.close();

        let asked = async {
            shutdown.cancelled().await;
            tokio::time::Instant::now()
        };
        let ((), asked) = tokio::join!(self.listen(listener, shutdown.clone()), asked);
        let (written, stopped, closed) = (patience.mul_f64(0.85), patience.mul_f64(0.95), patience);
        // What was taken into the queue is written before anything is closed.
        if tokio::time::timeout_at(asked + written, self.state.0.writer.close()).await.is_err() {
            tracing::warn!("the writer did not finish in time; what it had not committed was not acknowledged");
        }
        workers.cancel();
        if tokio::time::timeout_at(asked + stopped, tasks.wait()).await.is_err() {
            tracing::warn!("a worker did not stop in time; its transaction is rolled back");
        }
        // Closing waits for connections in use; what is cut off must not hold the process.
        let _ = tokio::time::timeout_at(asked + closed, async {
            self.relay_notifier.close().await;
            self.state.0.pools.close().await;
        })
        .await;
    }
}
