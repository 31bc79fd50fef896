//! The pools of a process, each for work that another kind must not hold up.

use super::pool::{Pool, PoolLoad};
use super::reads::UsageReads;
use super::standby::Standby;

/// The pools of one process, by purpose.
#[derive(Clone, Debug)]
pub struct Pools {
    /// Trackers' posts.
    pub ingest: Pool,
    /// Authentication, and dashboards' reads where no standby answers them.
    pub read: Pool,
    /// The relay, other workers and operators.
    pub worker: Pool,
    /// What must not wait behind any work: readiness, switches, and the database's clock.
    pub control: Pool,
    /// A standby that answers reads of usage; `None` where there is none.
    pub standby: Option<Standby>,
}

impl Pools {
    /// Where usage is read.
    pub fn reads(&self) -> UsageReads {
        UsageReads::new(self.read.clone(), self.standby.clone())
    }

    /// How busy they are.
    pub fn loads(&self) -> Vec<PoolLoad> {
        let Self { ingest, read, worker, control, standby } = self;
        let on_primary = [ingest, read, worker, control].map(Pool::load);
        on_primary.into_iter().chain(standby.as_ref().map(Standby::load)).collect()
    }

    /// Waits until all connections are closed: at shutdown.
    pub async fn close(&self) {
        let Self { ingest, read, worker, control, standby } = self;
        let standby = async {
            if let Some(standby) = standby {
                standby.close().await;
            }
        };
        tokio::join!(ingest.close(), read.close(), worker.close(), control.close(), standby);
    }
}
