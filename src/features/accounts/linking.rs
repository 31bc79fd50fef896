//! Linking a device: its owner makes a code, the device exchanges it for a token.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::devices::NewDevice;
use super::directory::Directory;
use super::link_code::LinkCode;
use super::request::{Exchange, UNUSABLE_CODE};
use super::store;
use crate::kernel::access::Actor;
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode};
use crate::kernel::problem::{Code, Problem, Violation};

/// How long a code can be used.
const LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// How many usable codes a user may have.
const MAX_CODES: i64 = 20;

/// What became of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeOutcome {
    /// A device was made.
    Exchanged {
        /// The owner.
        user_id: Uuid,
        /// The new device.
        device_id: Uuid,
    },
    /// The same request did it before.
    Replayed {
        /// The device that was made then.
        device_id: Uuid,
    },
    /// The code is unknown, used or expired: the caller is not told which.
    Refused,
}

impl Directory {
    /// A new code for a user, and when it expires. Errors: 429 when too many could still be used.
    pub async fn make_link_code(
        &self,
        context: &RequestContext,
        user_id: Uuid,
    ) -> Result<(LinkCode, DateTime<Utc>), Problem> {
        let code = LinkCode::make().map_err(|error| Problem::internal(error.to_string()))?;
        let now = self.clock.now();
        let expires_at = now + LIFETIME;
        let mut tx = self.begin_for(context, user_id).await?;
        if !store::insert_link_code(&mut tx, &code.hash(), user_id, now, expires_at, MAX_CODES).await? {
            tx.rollback().await?;
            let detail =
                format!("You have {MAX_CODES} codes that nobody has used; use one, or wait until they expire.");
            return Err(Problem::new(Code::RateLimited, detail).retry_after(60));
        }
        self.record(&mut tx, context, "link_code.add", user_id, &json!({ "expires_at": expires_at })).await?;
        tx.commit().await?;
        Ok((code, expires_at))
    }

    /// Turns a code into a device and its token, once; the same request gets the same token again. Errors: 409 the
    /// device's name is in use, 422 for a code that cannot be used, 429 when too many exchanges failed in this process.
    pub async fn exchange_link_code(
        &self,
        context: &RequestContext,
        exchange: &Exchange,
    ) -> Result<NewDevice, Problem> {
        self.failed_exchanges.begin()?;
        let token = exchange.request_id.token(&self.key, &exchange.code);
        let new_ids = (Uuid::now_v7(), Uuid::now_v7());
        let mut tx = self.pool.begin(context, Access::NOBODY, Mode::ReadWrite).await?;
        let outcome = store::exchange_link_code(&mut tx, exchange, &token, new_ids, self.clock.now()).await?;
        let device_id = match outcome {
            ExchangeOutcome::Exchanged { user_id, device_id } => {
                let details = json!({ "user_id": user_id, "token_id": new_ids.1 });
                self.acting(Actor::Server).record(&mut tx, context, "device.link", device_id, &details).await?;
                device_id
            }
            ExchangeOutcome::Replayed { device_id } => device_id,
            ExchangeOutcome::Refused => {
                tx.rollback().await?;
                let (code, detail) = UNUSABLE_CODE;
                return Err(Problem::invalid(vec![Violation::new("/code", code, detail)]));
            }
        };
        tx.commit().await?;
        self.failed_exchanges.succeeded();
        Ok(NewDevice { device_id, token })
    }

    /// Removes codes that expired a day ago.
    pub async fn purge_link_codes(&self, context: &RequestContext) -> Result<(), Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        store::purge_link_codes(&mut tx, self.clock.now()).await?;
        tx.commit().await
    }
}
