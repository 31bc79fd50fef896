//! What is done with link codes.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use serde_json::json;
use uuid::Uuid;

use super::super::audit::{begin_change, record};
use super::super::devices::RegisteredDevice;
use super::failed_exchanges::FailedExchanges;
use super::link_code::LinkCode;
use super::reply::MadeLinkCode;
use super::request::{Exchange, UNUSABLE_CODE};
use super::store::{self, ExchangeOutcome};
use crate::kernel::access::{Actor, ServerKey};
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::problem::{Code, Problem, Violation};

/// How long a code can be used.
const LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// How many usable codes a user may have.
pub const MAX_CODES: u8 = 20;
/// A code that stands is given again for so long, and can be used for as long after that.
const STANDING_S: i64 = 1800;

/// The link codes of one installation.
#[derive(Clone, Debug)]
pub struct LinkCodes {
    pool: Pool,
    key: Arc<ServerKey>,
    clock: Clock,
    failed_exchanges: FailedExchanges,
}

impl LinkCodes {
    /// Codes that expire by `clock`, and whose tokens are made under `key`.
    pub fn new(pool: Pool, key: Arc<ServerKey>, clock: Clock) -> Self {
        Self { pool, key, clock, failed_exchanges: FailedExchanges::default() }
    }

    /// What has failed, for who exchanges codes in another protocol.
    pub fn failed_exchanges(&self) -> FailedExchanges {
        self.failed_exchanges.clone()
    }

    /// A new code for a user, once. Errors: 429 when too many could still be used; those of
    /// [`Once::claim_secret`].
    pub async fn make(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        once: Once<MadeLinkCode>,
    ) -> Result<MadeLinkCode, Unexecuted> {
        let code = match once.seed() {
            Some(seed) => LinkCode::derive(&self.key, seed),
            None => LinkCode::make().map_err(|error| Problem::internal(error.to_string()))?,
        };
        let now = self.clock.now();
        let expires_at = now + LIFETIME;
        let tx = begin_change(&self.pool, context, actor, user_id).await?;
        let mut tx = once.claim_secret(tx, context, |seed| Some(LinkCode::derive(&self.key, seed).reveal())).await?;
        store::lock_maker(&mut tx, user_id).await?;
        if !store::insert_link_code(&mut tx, &code.hash(), user_id, now, expires_at, MAX_CODES.into()).await? {
            tx.rollback().await?;
            return Err(too_many_codes().into());
        }
        let details = json!({ "expires_at": expires_at });
        record(&mut tx, context, actor, "link_code.add", user_id, &details).await?;
        let made = MadeLinkCode { code, expires_at };
        once.commit(tx, context, &made).await?;
        Ok(made)
    }

    /// The code that stands for a user: the same one for half an hour, until it is used, so that whoever asks again and
    /// again makes one only. It can be used for half an hour at least. Errors: 429 when too many could still be used, or
    /// were used within the half hour.
    pub async fn standing(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
    ) -> Result<MadeLinkCode, Problem> {
        let now = self.clock.now();
        let span = now.timestamp().div_euclid(STANDING_S);
        let expires_at = DateTime::from_timestamp((span + 2) * STANDING_S, 0);
        let expires_at = expires_at.ok_or_else(|| Problem::internal("the clock is at the end of time"))?;
        let codes = (0..MAX_CODES).map(|ordinal| LinkCode::standing(&self.key, user_id, span, ordinal));
        let codes: Vec<LinkCode> = codes.collect();
        let hashes: Vec<Vec<u8>> = codes.iter().map(|code| code.hash().to_vec()).collect();
        let mut tx = begin_change(&self.pool, context, actor, user_id).await?;
        store::lock_maker(&mut tx, user_id).await?;
        let given = store::standing_link_codes(&mut tx, user_id, &hashes).await?;
        let used = |hash: &Vec<u8>| given.iter().find(|(known, _)| known == hash).map(|(_, is_used)| *is_used);
        let next = codes.into_iter().zip(&hashes).find(|(_, hash)| used(hash) != Some(true));
        let Some((code, hash)) = next else {
            tx.rollback().await?;
            return Err(too_many_codes());
        };
        if used(hash).is_some() {
            tx.rollback().await?;
            return Ok(MadeLinkCode { code, expires_at });
        }
        if !store::insert_link_code(&mut tx, hash, user_id, now, expires_at, MAX_CODES.into()).await? {
            tx.rollback().await?;
            return Err(too_many_codes());
        }
        let details = json!({ "expires_at": expires_at });
        record(&mut tx, context, actor, "link_code.add", user_id, &details).await?;
        tx.commit().await?;
        Ok(MadeLinkCode { code, expires_at })
    }

    /// Turns a code into a device and its token, once. The same request gets the same token again.
    /// Errors: 409 the device's name is in use, 422 for a code that cannot be used, 429 when too
    /// many exchanges failed from the same network, or in this process.
    pub async fn exchange(&self, context: &RequestContext, exchange: &Exchange) -> Result<RegisteredDevice, Problem> {
        let attempt = self.failed_exchanges.begin(context.caller)?;
        let token = exchange.request_id.token(&self.key, &exchange.code);
        let new_ids = (Uuid::now_v7(), Uuid::now_v7());
        let mut tx = self.pool.begin(context, Access::NOBODY, Mode::ReadWrite).await?;
        let outcome = store::exchange_link_code(&mut tx, exchange, &token, new_ids, self.clock.now()).await?;
        let device_id = match outcome {
            ExchangeOutcome::Exchanged { user_id, device_id } => {
                let details = json!({ "user_id": user_id, "token_id": new_ids.1 });
                record(&mut tx, context, Actor::Server, "device.link", device_id, &details).await?;
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
        attempt.succeeded();
        Ok(RegisteredDevice { device_id, token })
    }

    /// Removes codes that expired a day ago.
    pub async fn purge(&self, context: &RequestContext) -> Result<(), Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        store::purge_link_codes(&mut tx, self.clock.now()).await?;
        tx.commit().await
    }
}

fn too_many_codes() -> Problem {
    let detail = format!("You have {MAX_CODES} codes that nobody has used; use one, or wait until they expire.");
    Problem::new(Code::RateLimited, detail).retry_after(60)
}
