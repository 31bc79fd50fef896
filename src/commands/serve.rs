//! `serve`: from a configuration to a server, and back to nothing.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::database::Opened;
use super::first_run;
use super::output::explain;
use crate::app::telemetry::Telemetry;
use crate::app::{Activity, App, Settings};
use crate::config::Config;
use crate::features::operations::Metrics;
use crate::kernel::access::REVOCATION_BOUND;
use crate::kernel::clock::Clock;
use crate::kernel::database::follow_database_clock;
use crate::kernel::http::unread_body::UnreadBodies;

/// For how long nobody must have been served before an upgraded PostgreSQL is restarted.
const QUIET: Duration = Duration::from_secs(3);

pub async fn serve(config: Config) -> anyhow::Result<()> {
    let telemetry = Telemetry::start(&config.log);
    // Signals are caught from here on, so that stopping early leaves no PostgreSQL behind.
    let shutdown = stop_on_signals()?;
    // An address that is taken is found out before a database is started for nothing.
    let listener =
        TcpListener::bind(config.bind).await.with_context(|| format!("HALFHOUR_BIND: {} is not free", config.bind))?;
    let opened = Opened::open_to_serve(&config).await?;
    let metrics = Metrics::install(Some(telemetry.dropped_lines().clone()));
    let served = run(&config, &opened, listener, metrics, shutdown).await;
    opened.close().await?;
    let dropped_lines = telemetry.dropped_lines().dropped_lines();
    if dropped_lines > 0 {
        tracing::warn!(dropped_lines, "the log could not keep up");
    }
    served
}

async fn run(
    config: &Config,
    opened: &Opened,
    listener: TcpListener,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let public_url = config.public_url.clone();
    let activity = Activity::default();
    let settings = Settings {
        public_url: public_url.clone().unwrap_or_else(|| format!("http://{address}")),
        request_deadline: config.request_deadline,
        cors_origins: config.cors_origins.clone(),
        pool_sizes: config.pool_sizes,
        limits: config.limits,
        token_memory: REVOCATION_BOUND,
        trusted_proxies: config.trusted_proxies.clone(),
        ingest_max_age_days: config.ingest_max_age_days,
        retention_days: config.retention_days,
        backfill_max_days: config.backfill_max_days,
        unread_bodies: UnreadBodies::default(),
        activity: activity.clone(),
        private_postgres: opened.programs(),
        data_dir: opened.is_embedded().then(|| config.data_dir.clone()),
        metrics,
    };
    let clock = Clock::system();
    let app = App::new(opened.options(), opened.key(), settings, clock.clone());
    if let Some(programs) = opened.programs() {
        let writer = app.writer().clone();
        let is_quiet = move || activity.quiet_for().is_some_and(|quiet| quiet >= QUIET) && writer.queued_rows() == 0;
        programs.restart_when(is_quiet);
    }
    // No stamp may be taken before the clock is known.
    follow_database_clock(&app.pools().worker, &clock).await.map_err(|problem| explain(&problem))?;
    let credentials = if opened.is_embedded() {
        Some(first_run::credentials(opened, &config.data_dir, public_url.as_deref(), address).await?)
    } else {
        None
    };
    greet(address, public_url.as_deref(), credentials.as_deref());
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
    app.serve(listener, shutdown).await.context("the server failed")?;
    tracing::info!("stopped");
    Ok(())
}

/// For the person at the terminal; the log is for machines.
fn greet(address: SocketAddr, public_url: Option<&str>, credentials: Option<&Path>) {
    let mut stderr = std::io::stderr().lock();
    // When standard error is closed, the server serves all the same.
    let listens = format!("http://{address}");
    let docs = public_url.unwrap_or(&listens);
    let _ = writeln!(stderr, "halfhour listens on {listens} and explains itself at {docs}/docs");
    if let Some(path) = credentials {
        let path = path.display();
        let _ = writeln!(stderr, "Your tokens are in {path}. Try, in another terminal:\n  . {path}");
        let _ = writeln!(
            stderr,
            "  curl --header \"Authorization: Bearer $HALFHOUR_VIEWER_TOKEN\" \"$HALFHOUR_URL/v1/rollups\""
        );
    }
}

/// Cancelled by the first SIGTERM or SIGINT.
pub fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
    let token = shutdown.clone();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
        token.cancel();
    });
    Ok(shutdown)
}
