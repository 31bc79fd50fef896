//! Hears what other processes announce, on a connection of its own that proves from time to time that it is alive.

use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{Acquire as _, Connection as _};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::limits::in_time;
use super::pool::Pool;

/// A silent connection hears as little as one on which nothing is announced. So it is asked this often,
const HEARTBEAT: Duration = Duration::from_secs(5);
/// and has so long to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Listens to one channel.
#[derive(Debug)]
pub struct Listener {
    /// `None` once it was let go.
    inner: Option<PgListener>,
    heartbeat: Interval,
}

impl Listener {
    /// Listens on a connection of `pool`. Errors: there is none, or it does not answer in time.
    pub async fn on(pool: &Pool, channel: &str) -> Result<Self, sqlx::Error> {
        // The pool has a limit for that.
        let mut inner = PgListener::connect_with(pool.connections()).await?;
        inner.eager_reconnect(false);
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut listener = Self { inner: Some(inner), heartbeat };
        in_time(ANSWER_LIMIT, listener.connected().listen(channel)).await?;
        Ok(listener)
    }

    /// The next announcement; `None` where the connection was lost. Errors: it does not answer any more.
    pub async fn next(&mut self) -> Result<Option<String>, sqlx::Error> {
        loop {
            let Self { inner: Some(inner), heartbeat } = self else { return Ok(None) };
            tokio::select! {
                biased;
                announced = inner.try_recv() => {
                    return Ok(announced?.map(|announced| announced.payload().to_owned()));
                }
                _ = heartbeat.tick() => {}
            }
            let alive = async {
                let connection = inner.acquire().await?;
                connection.ping().await
            };
            in_time(ANSWER_LIMIT, alive).await?;
        }
    }

    fn connected(&mut self) -> &mut PgListener {
        match &mut self.inner {
            Some(inner) => inner,
            None => unreachable!("it is let go when it is dropped"),
        }
    }
}

impl Drop for Listener {
    /// The driver says goodbye on the connection, and waits for the answer without a limit and with the connection's place
    /// in the pool. On a runtime that never runs, the goodbye ends with the connection instead.
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
        {
            let _inside = runtime.enter();
            self.inner = None;
        }
        runtime.shutdown_background();
    }
}
