//! The kill switches. They are stored once, and every process knows of a change within two seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::readings::keep_reading;
use super::store::{self, ThrownSwitch, TurnedSwitch};
use crate::kernel::access::Actor;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::operations::audit::{Act, record_act};
use crate::kernel::operations::switches::{Switch, Switches};
use crate::kernel::problem::{Code, Problem};

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
    /// Before the first reading this process only assumes how they stand.
    was_read: Arc<AtomicBool>,
}

impl Switchboard {
    /// Reads through `pool` and sets `switches`.
    pub fn new(pool: Pool, clock: Clock, switches: Switches) -> Self {
        Self { pool, clock, switches, turn: Arc::default(), was_read: Arc::default() }
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
        self.was_read.store(true, Ordering::Release);
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
        let details = json!({ "is_on": is_on });
        let tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        let mut tx = once.claim(tx, context).await?;
        store::set_switch(&mut tx, switch, is_on, &reason, now).await?;
        record_act(&mut tx, context.request_id, actor, act(switch, &reason, &details)).await?;
        let thrown = ThrownSwitch { switch, is_on, reason, changed_at: now };
        once.commit(tx, context, &thrown).await?;
        self.apply(switch, is_on);
        Ok(thrown)
    }

    /// The switches that were ever thrown, and who has. The others are on.
    pub async fn turned(&self, context: &RequestContext) -> Result<Vec<TurnedSwitch>, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let turned = store::turned_switches(&mut tx).await;
        tx.rollback().await?;
        turned
    }

    /// Throws a switch as [`Switchboard::throw`] does, for who has `seen` when it was thrown last, or that it never was.
    /// Errors: 412 where it was thrown since, and nothing is changed; the database's.
    pub async fn throw_seen(
        &self,
        context: &RequestContext,
        actor: Actor,
        (switch, seen): (Switch, Option<DateTime<Utc>>),
        is_on: bool,
        reason: String,
    ) -> Result<ThrownSwitch, Problem> {
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        if !store::set_seen_switch(&mut tx, switch, (is_on, &reason), now, seen).await? {
            tx.rollback().await?;
            let detail = format!("The switch {} was thrown since you looked at it.", switch.as_str());
            return Err(Problem::new(Code::VersionMismatch, detail));
        }
        record_act(&mut tx, context.request_id, actor, act(switch, &reason, &json!({ "is_on": is_on }))).await?;
        tx.commit().await?;
        self.apply(switch, is_on);
        Ok(ThrownSwitch { switch, is_on, reason, changed_at: now })
    }

    fn apply(&self, switch: Switch, is_on: bool) {
        if !self.was_read.load(Ordering::Acquire) {
            if !is_on {
                tracing::warn!(switch = switch.as_str(), "this switch is off");
            }
        } else if self.switches.is_on(switch) != is_on {
            tracing::info!(switch = switch.as_str(), is_on, "a switch was thrown");
        }
        self.switches.set(switch, is_on);
    }
}

/// How a throw is written down.
fn act<'a>(switch: Switch, reason: &'a str, details: &'a Value) -> Act<'a> {
    Act { action: "switch.set", subject: switch.as_str(), reason: Some(reason), details }
}
