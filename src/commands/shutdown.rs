//! The way out: SIGTERM or SIGINT ends the server in good order, and in any case within ten seconds.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::embedded_postgres::Interrupt;

/// After this time the process ends itself, whatever still holds it.
const LAST: Duration = Duration::from_millis(9800);

/// Whether, and when, the server was told to stop. Clones share it.
#[derive(Clone, Debug)]
pub struct Shutdown {
    token: CancellationToken,
    asked_at: Arc<OnceLock<Instant>>,
}

impl Shutdown {
    /// Asked for by the first signal. From then on the process has ten seconds.
    pub fn on_signals() -> anyhow::Result<Self> {
        let asked_at = Arc::new(OnceLock::new());
        let noted = asked_at.clone();
        let token = stop_on_signals(move || {
            let _ = noted.set(Instant::now());
            // Nothing that hangs can hold a thread that does nothing else.
            thread::spawn(|| {
                thread::sleep(LAST);
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            });
        })?;
        Ok(Self { token, asked_at })
    }

    /// Cancelled once it is asked for.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// True once it is asked for.
    pub fn is_asked(&self) -> bool {
        self.token.is_cancelled()
    }

    /// So long after it was asked for, or from now where the server ends by itself.
    pub fn within(&self, time: Duration) -> Instant {
        self.asked_at.get().copied().unwrap_or_else(Instant::now) + time
    }

    /// Set once it is asked for.
    pub fn interrupt(&self) -> Interrupt {
        let (interrupt, token) = (Interrupt::default(), self.token.clone());
        let set = interrupt.clone();
        tokio::spawn(async move {
            token.cancelled().await;
            set.set();
        });
        interrupt
    }
}

/// Cancelled by the first SIGTERM or SIGINT, after `asked` has run.
pub fn stop_on_signals(asked: impl FnOnce() + Send + 'static) -> anyhow::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
    let token = shutdown.clone();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        asked();
        tracing::info!(signal = name, "stopping");
        token.cancel();
    });
    Ok(shutdown)
}
