//! The kill switches. They are stored once, and every process knows of a change within two seconds.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::readings::keep_reading;
use super::store::{self, ThrownSwitch};
use crate::kernel::access::Actor;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::operations::audit::{Act, record_act};
use crate::kernel::operations::switches::{Switch, Switches};
use crate::kernel::problem::Problem;

/// A reading is given up before the next is due.
const READING_LIMIT: Duration = Duration::from_millis(900);

/// Reads and throws the switches. Clones share them.
#[derive(Clone, Debug)]
pub struct Switchboard {
    pool: Pool,
    clock: Clock,
    switches: Switches,
    /// One at a time, so that an older reading cannot undo what was thrown meanwhile.
    turn: Arc<Mutex<()>>,
}

impl Switchboard {
    /// Reads through `pool` and sets `switches`.
    pub fn new(pool: Pool, clock: Clock, switches: Switches) -> Self {
        Self { pool, clock, switches, turn: Arc::default() }
    }

    /// Reads until `stop`. While the database cannot be read, this process keeps to what it last read.
    pub async fn run(&self, stop: CancellationToken) {
        keep_reading(stop, "the switches", || self.refresh()).await;
    }

    /// One reading. Errors: the database's, or that it took too long; then nothing has changed.
    pub async fn refresh(&self) -> Result<(), Problem> {
        let _turn = self.turn.lock().await;
        let thrown = self.read(&RequestContext::internal(READING_LIMIT)).await?;
        for switch in Switch::ALL {
            let is_on = thrown.iter().find(|thrown| thrown.switch == switch).is_none_or(|thrown| thrown.is_on);
            self.apply(switch, is_on);
        }
        Ok(())
    }

    /// What is stored: the switches that were ever thrown. The others are on.
    pub async fn read(&self, context: &RequestContext) -> Result<Vec<ThrownSwitch>, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let thrown = store::list_switches(&mut tx).await?;
        tx.rollback().await?;
        Ok(thrown)
    }

    /// Throws a switch once, writes down who did it and why, and obeys it in this process at once. `reason` has 1 to 500
    /// characters. Errors: the database's, and those of [`Once::claim`].
    pub async fn throw(
        &self,
        context: &RequestContext,
        actor: Actor,
        switch: Switch,
        is_on: bool,
        reason: String,
        once: Once<ThrownSwitch>,
    ) -> Result<ThrownSwitch, Unexecuted> {
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        let act = Act {
            action: "switch.set",
            subject: switch.as_str(),
            reason: Some(&reason),
            details: &json!({ "is_on": is_on }),
        };
        let tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        let mut tx = once.claim(tx, context).await?;
        store::set_switch(&mut tx, switch, is_on, &reason, now).await?;
        record_act(&mut tx, context.request_id, actor, act).await?;
        let thrown = ThrownSwitch { switch, is_on, reason, changed_at: now };
        once.commit(tx, context, &thrown).await?;
        self.apply(switch, is_on);
        Ok(thrown)
    }

    fn apply(&self, switch: Switch, is_on: bool) {
        if self.switches.is_on(switch) != is_on {
            tracing::info!(switch = switch.as_str(), is_on, "a switch was thrown");
        }
        self.switches.set(switch, is_on);
    }
}
