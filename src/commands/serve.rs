//! `serve`: from a configuration to a server, and back to nothing.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

use super::database::Opened;
use super::first_run::{self, Credentials};
use super::key_doubt::say_doubts;
use super::output::explain;
use super::shutdown::Shutdown;
use crate::app::telemetry::Telemetry;
use crate::app::traces::Traces;
use crate::app::{Activity, App, DoorLimits, Settings};
use crate::config::Config;
use crate::features::operations::Metrics;
use crate::kernel::access::REVOCATION_BOUND;
use crate::kernel::call::{Threads, Tracer};
use crate::kernel::clock::Clock;
use crate::kernel::database::follow_database_clock;
use crate::kernel::http::unread_body::Bodies;

/// Once the server is told to stop: by when its requests and workers have ended, and by when its PostgreSQL has. What is
/// left of ten seconds is for the log.
const SERVING: Duration = Duration::from_secs(7);
const POSTGRES: Duration = Duration::from_millis(8400);

/// For how long nobody must have been served before an upgraded PostgreSQL is restarted.
const QUIET: Duration = Duration::from_secs(3);

pub async fn serve(config: Config) -> anyhow::Result<()> {
    let telemetry = Telemetry::start(&config.log)?;
    // Signals are caught from here on, so that stopping early leaves no PostgreSQL behind.
    let shutdown = Shutdown::on_signals()?;
    // An address that is taken is found out before a database is started for nothing.
    let listener = TcpListener::bind(config.bind).await.map_err(|error| cannot_listen(config.bind, error))?;
    let traces = Traces::start(config.traces.as_ref())?;
    if !config.unread.is_empty() {
        tracing::warn!(variables = ?config.unread, "variables of OpenTelemetry that halfhour does not read are set");
    }
    let opened = match Opened::open_to_serve(&config, &shutdown).await {
        Err(_interrupted) if shutdown.is_asked() => {
            tracing::info!("stopped before it served");
            return Ok(());
        }
        opened => opened?,
    };
    let metrics = Metrics::install(Some(telemetry.dropped_lines().clone()));
    let served = run(&config, &opened, listener, (metrics, traces.tracer()), &shutdown).await;
    let (closed, ()) = tokio::join!(opened.close_by(shutdown.within(POSTGRES)), traces.close());
    closed?;
    let dropped_lines = telemetry.dropped_lines().load(Ordering::Relaxed);
    if dropped_lines > 0 {
        tracing::warn!(dropped_lines, "the log could not keep up");
    }
    served
}

/// Names what is wrong with the address, and the way out.
fn cannot_listen(bind: SocketAddr, error: std::io::Error) -> anyhow::Error {
    let other = SocketAddr::new(bind.ip(), bind.port().checked_add(1).unwrap_or(8080));
    let taken = format!(
        "is not free, because another halfhour or something else listens there already; stop it, or start with another \
         port, such as HALFHOUR_BIND={other} (0 takes a free one)"
    );
    let way_out = match error.kind() {
        ErrorKind::AddrInUse => taken.as_str(),
        ErrorKind::AddrNotAvailable => {
            "is no address of this machine; 0.0.0.0 or [::] stands for all of them, 127.0.0.1 for none but this machine"
        }
        ErrorKind::PermissionDenied => "may not be used by this user; choose a port from 1024",
        _ => "cannot be listened on",
    };
    anyhow::Error::new(error).context(format!("HALFHOUR_BIND: {bind} {way_out}"))
}

async fn run(
    config: &Config,
    opened: &Opened,
    listener: TcpListener,
    (metrics, tracer): (Metrics, Tracer),
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let public_url = config.public_url.clone();
    let activity = Activity::default();
    let settings = Settings {
        public_url: public_url.clone().unwrap_or_else(|| format!("http://{address}")),
        request_deadline: config.request_deadline,
        cors_origins: config.cors_origins.clone(),
        standby: config.read_database.clone(),
        pool_sizes: config.pool_sizes,
        relays: config.relays.try_into()?,
        limits: config.limits,
        token_memory: REVOCATION_BOUND,
        trusted_proxies: config.trusted_proxies.clone(),
        ingest_max_age_days: config.ingest_max_age_days,
        retention_days: config.retention_days,
        backfill_max_days: config.backfill_max_days,
        door: DoorLimits::of_this_process(config.database_connections() + 1),
        bodies: Bodies::default(),
        activity: activity.clone(),
        private_postgres: opened.programs(),
        data_dir: opened.is_embedded().then(|| config.data_dir.clone()),
        metrics,
        tracer,
    };
    let clock = Clock::system();
    let threads = Threads::start_for_processors().context("the threads that serve cannot be started")?;
    let app = App::on(threads.threads(), opened.options(), opened.key(), settings, clock.clone());
    if let Some(programs) = opened.programs() {
        let writer = app.writer().clone();
        let is_quiet = move || activity.quiet_for().is_some_and(|quiet| quiet >= QUIET) && writer.queued_rows() == 0;
        programs.restart_when(is_quiet);
    }
    let prepare = async {
        // No stamp may be taken before the clock is known.
        follow_database_clock(&app.pools().control, &clock).await.map_err(|problem| explain(&problem))?;
        say_doubts(opened, config, &app.pools().worker).await;
        if !opened.is_embedded() {
            return anyhow::Ok(None);
        }
        first_run::credentials(opened, &config.data_dir, public_url.as_deref(), address).await.map(Some)
    };
    let credentials = tokio::select! {
        credentials = prepare => credentials?,
        () = shutdown.token().cancelled() => {
            tracing::info!("stopped before it served");
            return Ok(());
        }
    };
    greet(address, public_url.as_deref(), credentials.as_ref());
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
    app.serve(listener, shutdown.token().clone(), SERVING).await;
    tracing::info!("stopped");
    Ok(())
}

/// For the person at the terminal; the log is for machines.
fn greet(address: SocketAddr, public_url: Option<&str>, credentials: Option<&Credentials>) {
    let mut stderr = std::io::stderr().lock();
    // When standard error is closed, the server serves all the same.
    let listens = format!("http://{address}");
    let docs = public_url.unwrap_or(&listens);
    let _ = writeln!(stderr, "halfhour listens on {listens} and explains itself at {docs}/docs");
    if let Some(Credentials { path, link }) = credentials {
        let path = path.display();
        if let Some(link) = link {
            let _ = writeln!(stderr, "See your usage, within ten minutes and on one browser: {link}");
        } else {
            let _ = writeln!(stderr, "`halfhour open` signs you in on a browser.");
        }
        let _ = writeln!(stderr, "Your tokens are in {path}. Try, in another terminal:\n  . {path}");
        let _ = writeln!(
            stderr,
            "  curl --header \"Authorization: Bearer $HALFHOUR_VIEWER_TOKEN\" \"$HALFHOUR_URL/v1/rollups\""
        );
        let _ = writeln!(stderr, "`halfhour demo` sends a year of made-up usage, to look around.");
    }
}
