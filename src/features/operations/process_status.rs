//! How this process and the outbox are doing, for people (`GET /v1/status`) and for machines (`GET
//! /metrics`).

use std::time::{Duration, Instant};

use super::book_in_force::BookInForce;
use super::metrics::Metrics;
use super::store::{self, ParkedEvent};
use crate::embedded_postgres::{Programs, UpgradeState};
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, BreakerState, Mode, Pools, Standby, StandbyReport};
use crate::kernel::operations::switches::{Switch, Switches};
use crate::kernel::problem::Problem;
use crate::kernel::usage::outbox::{Backlog, measure_backlog};
use crate::kernel::usage::writer::Writer;

/// As many parked events are shown.
const SHOWN: i64 = 100;

/// What waits in the database.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// By lane.
    pub backlog: Vec<Backlog>,
    /// The first of those that are parked, at most a hundred.
    pub first_parked: Vec<ParkedEvent>,
    /// The price book that is in force.
    pub book: Option<BookInForce>,
}

/// What can be asked of a process. Clones share it.
#[derive(Clone, Debug)]
pub struct ProcessStatus {
    /// Since when it runs.
    pub started: Instant,
    /// Its pools.
    pub pools: Pools,
    /// Its writer.
    pub writer: Writer,
    /// Its clock.
    pub clock: Clock,
    /// The switches as it knows them.
    pub switches: Switches,
    /// Whole local days of buckets that are kept; `None` keeps all.
    pub retention_days: Option<u32>,
    /// The programs of the private PostgreSQL; `None` where the database is somebody else's.
    pub private_postgres: Option<Programs>,
    /// What was counted so far.
    pub metrics: Metrics,
}

impl ProcessStatus {
    /// What waits in the database, in one snapshot. Errors: the database's.
    pub async fn waiting(&self, context: &RequestContext) -> Result<Waiting, Problem> {
        let mut tx = self.pools.worker.begin(context, Access::Worker, Mode::Snapshot).await?;
        let backlog = measure_backlog(&mut tx).await?;
        let first_parked = store::parked_events(&mut tx, SHOWN).await?;
        let book = store::book_in_force(&mut tx).await?;
        tx.rollback().await?;
        Ok(Waiting { backlog, first_parked, book })
    }

    /// Everything that was counted and measured, as Prometheus reads it. It asks nothing of the database.
    pub fn exposition(&self) -> String {
        metrics::gauge!("halfhour_uptime_seconds").set(self.started.elapsed().as_secs_f64());
        let offset_us = self.clock.offset_us();
        let offset = Duration::from_micros(offset_us.unsigned_abs()).as_secs_f64();
        metrics::gauge!("halfhour_clock_offset_seconds").set(if offset_us < 0 { -offset } else { offset });
        let error = Duration::from_micros(self.clock.error_us().unsigned_abs()).as_secs_f64();
        metrics::gauge!("halfhour_clock_error_seconds").set(error);
        metrics::gauge!("halfhour_writer_queue_rows").set(whole(self.writer.queued_rows()));
        for switch in Switch::ALL {
            let is_on = f64::from(u8::from(self.switches.is_on(switch)));
            metrics::gauge!("halfhour_switch_on", "switch" => switch.as_str()).set(is_on);
        }
        let upgrade = self.private_postgres.as_ref().and_then(Programs::upgrade).map(|upgrade| upgrade.state);
        for state in UpgradeState::ALL {
            let gauge = metrics::gauge!("halfhour_postgres_upgrade", "state" => state.as_str());
            gauge.set(f64::from(u8::from(upgrade == Some(state))));
        }
        if let Some(StandbyReport { usable, lag }) = self.pools.standby.as_ref().map(Standby::report) {
            metrics::gauge!("halfhour_standby_usable").set(f64::from(u8::from(usable.is_ok())));
            if let Some(lag) = lag {
                metrics::gauge!("halfhour_standby_lag_seconds").set(lag.as_secs_f64());
            }
        }
        for load in self.pools.loads() {
            for (state, connections) in [("open", load.open), ("in_use", load.in_use), ("max", load.max)] {
                let gauge = metrics::gauge!("halfhour_pool_connections", "pool" => load.name, "state" => state);
                gauge.set(f64::from(connections));
            }
            for state in BreakerState::ALL {
                let gauge = metrics::gauge!("halfhour_breaker_state", "pool" => load.name, "state" => state.as_str());
                gauge.set(f64::from(u8::from(load.breaker == state)));
            }
        }
        self.metrics.render()
    }
}

fn whole(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
