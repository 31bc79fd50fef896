//! The composition root: state, routes, layers, workers and shutdown. Only this file and `commands` name features.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, Request};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{from_fn_with_state, map_request, map_response};
use axum::response::{IntoResponse as _, Response};
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::decompression::RequestDecompressionLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::config::{LimitsPerMinute, PoolSizes};
use crate::features::backfill::{self, Backfills, Findings, Verify, Worker};
use crate::features::dashboard_rollup::{self, Relay, Retention};
use crate::features::ingest_buckets;
use crate::features::operations::{self, Readiness, Switchboard};
use crate::kernel::auth::{Authenticator, require_principal};
use crate::kernel::call::Call;
use crate::kernel::clock::Clock;
use crate::kernel::cursor::Cursors;
use crate::kernel::db::{Pool, Pools};
use crate::kernel::idempotency::{self, IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED};
use crate::kernel::limits::limit_by_token;
use crate::kernel::problem::{Code, Problem};
use crate::kernel::request_line::{RequestLine, X_REQUEST_ID, observe};
use crate::kernel::schema::follow_database_clock;
use crate::kernel::switches::Switches;
use crate::kernel::token::ServerKey;
use crate::kernel::wakes::{Signal, Wakes};
use crate::kernel::writer::Writer;
use crate::openapi;

/// How long open requests may take to finish once the server was told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// How often the clock is set and expired records are removed.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_mins(1);

/// What the application is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where `/problems/{code}` can be reached.
    pub public_url: String,
    /// Requests may take this long.
    pub request_deadline: Duration,
    /// Web origins that may call.
    pub cors_origins: Vec<HeaderValue>,
    /// Connections by purpose.
    pub pool_sizes: PoolSizes,
    /// Requests by role.
    pub limits: LimitsPerMinute,
    /// The oldest half hour that a tracker may post.
    pub ingest_max_age_days: Option<u32>,
    /// Whole local days of buckets that are kept; `None` keeps all.
    pub retention_days: Option<u32>,
    /// The longest window of an import of buckets, in days.
    pub backfill_max_days: u32,
}

/// What handlers are given. Slices state which parts they need. Every request takes a clone, hence one pointer.
#[derive(Clone, Debug)]
struct State(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    pools: Pools,
    clock: Clock,
    authenticator: Authenticator,
    writer: Writer,
    readiness: Readiness,
    switches: Switches,
    switchboard: Switchboard,
    cursors: Cursors,
    backfills: Backfills,
    ingest: ingest_buckets::Settings,
}

macro_rules! state_holds {
    ($($field:ident: $part:ty,)*) => {
        $(impl FromRef<State> for $part {
            fn from_ref(state: &State) -> Self {
                state.0.$field.clone()
            }
        })*
    };
}

state_holds! {
    pools: Pools,
    clock: Clock,
    authenticator: Authenticator,
    writer: Writer,
    readiness: Readiness,
    switches: Switches,
    switchboard: Switchboard,
    cursors: Cursors,
    backfills: Backfills,
    ingest: ingest_buckets::Settings,
}

/// The application, ready to serve.
#[derive(Debug)]
pub struct App {
    state: State,
    relay: Arc<Relay>,
    retention: Option<Retention>,
    backfill_worker: Worker,
    signal: Signal,
    wakes: Wakes,
    settings: Settings,
}

impl App {
    /// Puts everything together. `database` must have been migrated.
    pub fn new(database: &PgConnectOptions, key: ServerKey, settings: Settings, clock: Clock) -> Self {
        let sizes = settings.pool_sizes;
        let pools = Pools {
            ingest: Pool::new(database.clone(), "ingest", sizes.ingest),
            read: Pool::new(database.clone(), "read", sizes.read),
            // The outbox is empty one moment and long the next: a plan made for the one is wrong for the other.
            worker: Pool::new(
                database.clone().options([("plan_cache_mode", "force_custom_plan")]),
                "worker",
                sizes.worker,
            ),
        };
        let (signal, switches) = (Signal::default(), Switches::at_start());
        let state = State(Arc::new(Parts {
            cursors: Cursors::new(key.clone()),
            backfills: Backfills::new(
                pools.worker.clone(),
                clock.clone(),
                Signal::default(),
                settings.backfill_max_days,
            ),
            authenticator: Authenticator::new(key, pools.read.clone()),
            writer: Writer::start(&pools.ingest, &clock, &signal),
            readiness: Readiness::new(pools.read.clone()),
            switchboard: Switchboard::new(pools.worker.clone(), clock.clone(), switches.clone()),
            switches,
            ingest: ingest_buckets::Settings { max_age_days: settings.ingest_max_age_days },
            clock: clock.clone(),
            pools,
        }));
        let (workers, switches) = (state.0.pools.worker.clone(), state.0.switches.clone());
        let relay = Arc::new(Relay::new(workers.clone(), signal.clone(), clock.clone(), switches.clone()));
        let verify = verify_with(&workers);
        let backfill_worker = Worker::new(state.0.backfills.clone(), switches.clone(), signal.clone(), verify);
        let retention = settings.retention_days.map(|days| Retention::new(workers, clock, switches, days));
        let wakes = Wakes::new(database, signal.clone());
        Self { state, relay, retention, backfill_worker, signal, wakes, settings }
    }

    /// The relay, for callers that fold on demand.
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// What wakes the relay, for callers that wait for it.
    pub fn signal(&self) -> &Signal {
        &self.signal
    }

    /// What carries wakes between processes.
    pub fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    /// Who carries jobs out, for callers that take steps on demand.
    pub fn backfill_worker(&self) -> &Worker {
        &self.backfill_worker
    }

    /// The jobs, for callers that look at them without a request.
    pub fn backfills(&self) -> &Backfills {
        &self.state.0.backfills
    }

    /// The pools, whose connections can do nothing outside a transaction.
    pub fn pools(&self) -> &Pools {
        &self.state.0.pools
    }

    /// The writer, for callers that want to know how much waits in its queue.
    pub fn writer(&self) -> &Writer {
        &self.state.0.writer
    }

    /// The switches as this process knows them.
    pub fn switches(&self) -> &Switches {
        &self.state.0.switches
    }

    /// Who reads the switches, for callers that do so on demand.
    pub fn switchboard(&self) -> &Switchboard {
        &self.state.0.switchboard
    }

    /// Every route behind every layer.
    pub fn router(&self) -> Router {
        let Settings { limits, .. } = &self.settings;
        let for_principals = self
            .behind_token(ingest_buckets::router(), limits.device)
            .merge(self.behind_token(dashboard_rollup::router().route_layer(map_request(without_key)), limits.viewer))
            .merge(self.behind_token(backfill::router(), limits.operator))
            .merge(self.behind_token(operations::router().route_layer(map_request(without_key)), limits.operator));
        let (router, document) = openapi::frame().merge(operations::health()).merge(for_principals).split_for_parts();
        let line = RequestLine {
            deadline: self.settings.request_deadline,
            streaming_routes: backfill::STREAMING_ROUTES,
            public_url: self.settings.public_url.as_str().into(),
            operations: Arc::new(openapi::operations(&document)),
        };
        // The last layer is the outermost.
        router
            .merge(openapi::publish(document))
            .fallback(async || Problem::new(Code::NotFound, "There is no such path; /docs lists them all."))
            .layer(RequestDecompressionLayer::new())
            .layer(CatchPanicLayer::custom(panicked))
            .layer(tower::util::option_layer(self.cors()))
            .layer(CompressionLayer::new())
            .layer(from_fn_with_state(line, observe))
            .with_state(self.state.clone())
    }

    /// Serves until `shutdown`, then lets open requests finish, stops the workers and closes the pools.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let tasks = TaskTracker::new();
        // Workers stop after the requests, so that what was just acknowledged is folded too.
        let workers = CancellationToken::new();
        let (relay, stop) = (self.relay.clone(), workers.clone());
        tasks.spawn(async move { relay.run(stop).await });
        let (wakes, stop) = (self.wakes.clone(), workers.clone());
        tasks.spawn(async move { tokio::join!(wakes.announce(stop.clone()), wakes.listen(stop)) });
        if let Some(retention) = self.retention.clone() {
            let stop = workers.clone();
            tasks.spawn(async move { retention.run(stop).await });
        }
        let (backfill_worker, stop) = (self.backfill_worker.clone(), workers.clone());
        tasks.spawn(async move { backfill_worker.run(stop).await });
        let (switchboard, stop) = (self.state.0.switchboard.clone(), workers.clone());
        tasks.spawn(async move { switchboard.run(stop).await });
        tasks.spawn(keep_house(self.state.clone(), workers.clone()));
        tasks.close();

        let server = axum::serve(listener, self.router()).with_graceful_shutdown(shutdown.clone().cancelled_owned());
        let overdue = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        let result = tokio::select! {
            result = server => result,
            () = overdue => {
                tracing::warn!("some requests did not finish in time and were cut off");
                Ok(())
            }
        };
        // What was taken into the queue is written before anything is closed.
        if tokio::time::timeout(Duration::from_secs(2), self.state.0.writer.close()).await.is_err() {
            tracing::warn!("the writer did not finish in time; what it had not committed was not acknowledged");
        }
        workers.cancel();
        if tokio::time::timeout(Duration::from_secs(2), tasks.wait()).await.is_err() {
            tracing::warn!("a worker did not stop in time; its transaction is rolled back");
        }
        // Closing waits for connections in use; what is cut off must not hold the process.
        let _ = tokio::time::timeout(Duration::from_millis(500), async {
            self.wakes.close().await;
            self.state.0.pools.close().await;
        })
        .await;
        result
    }

    /// A slice's routes behind authentication and its role's limit.
    fn behind_token(&self, routes: OpenApiRouter<State>, per_minute: Option<u32>) -> OpenApiRouter<State> {
        let routes = match per_minute.and_then(limit_by_token) {
            Some(limit) => routes.route_layer(limit),
            None => routes,
        };
        routes
            .route_layer(from_fn_with_state(self.state.0.authenticator.clone(), require_principal))
            .route_layer(map_response(keep_private))
    }

    /// `None` where no browser may call from elsewhere.
    fn cors(&self) -> Option<CorsLayer> {
        let origins = &self.settings.cors_origins;
        let cors = CorsLayer::new()
            .allow_origin(origins.clone())
            .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE])
            .allow_headers([
                AUTHORIZATION,
                CONTENT_TYPE,
                X_REQUEST_ID,
                IDEMPOTENCY_KEY,
                HeaderName::from_static("prefer"),
                HeaderName::from_static("traceparent"),
            ])
            .expose_headers([
                X_REQUEST_ID,
                RETRY_AFTER,
                IDEMPOTENCY_REPLAYED,
                HeaderName::from_static("preference-applied"),
            ])
            .max_age(Duration::from_hours(1));
        (!origins.is_empty()).then_some(cors)
    }
}

/// How jobs verify: the slice that owns the rollups compares them.
pub fn verify_with(pool: &Pool) -> Verify {
    let pool = pool.clone();
    Verify::new(move |user_ids, days| {
        let pool = pool.clone();
        Box::pin(async move {
            let window = dashboard_rollup::Window {
                user_ids: Some(user_ids),
                from: Some(days.first),
                to: Some(days.last),
            };
            let report = dashboard_rollup::verify(&pool, &window).await?;
            let json = |value| serde_json::to_value(value).map_err(Problem::internal);
            Ok(Findings {
                count: report.drifted,
                pending: report.pending,
                user_days: report.user_days,
                first: report.drift.iter().map(json).collect::<Result<_, _>>()?,
                orphaned: report.orphaned,
                orphans: report.orphans.iter().map(|orphan| serde_json::to_value(orphan).map_err(Problem::internal))
                    .collect::<Result<_, _>>()?,
            })
        })
    })
}

/// For routes that keep no answers: an Idempotency-Key there would promise what nobody keeps.
async fn without_key(request: Request) -> Result<Request, Problem> {
    idempotency::refuse_key(request.headers())?;
    Ok(request)
}

/// One user's data is for no shared cache.
async fn keep_private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    headers.append(VARY, HeaderValue::from_static("authorization"));
    response
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Problem::internal(format!("panic: {}", words.unwrap_or("no message"))).into_response()
}

/// Once a minute: sets the clock by the database's (a failure leaves the last offset in place), and removes expired
/// answers to Idempotency-Keys and what is kept no longer of jobs.
async fn keep_house(state: State, stop: CancellationToken) {
    let Parts { pools: Pools { worker: pool, .. }, clock, backfills, .. } = &*state.0;
    loop {
        if let Err(problem) = follow_database_clock(pool, clock).await {
            tracing::warn!(error = problem.source_chain(), "the database's clock could not be read");
        }
        if let Err(problem) = idempotency::purge(pool, &Call::internal(HOUSEKEEPING_INTERVAL)).await {
            tracing::warn!(error = problem.source_chain(), "expired idempotency records could not be removed");
        }
        if let Err(problem) = backfills.purge(&Call::internal(HOUSEKEEPING_INTERVAL)).await {
            tracing::warn!(error = problem.source_chain(), "what is kept no longer of jobs could not be removed");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(HOUSEKEEPING_INTERVAL) => {}
        }
    }
}
