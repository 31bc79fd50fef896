//! What is done with pairings, and with whatever else makes devices of other products' trackers.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::super::audit::{begin_change, record};
use super::super::devices::MAX_DEVICES;
use super::super::linking::{FailedExchanges, LinkCode, LinkRequest, MAX_CODES, UNUSABLE_CODE, lock_maker};
use super::super::tokens::Tokens;
use super::device_code::{DeviceCode, UserCode};
use super::reply::ApprovedPairing;
use super::request::{Approval, NO_SUCH_CODE};
use super::store::{self, Enrolling, Hashes};
use crate::kernel::access::{Actor, ServerKey, Token, TokenKind};
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::dialect::{BegunPairing, Enrolled, Newcomer, Paired, Polled, Registrar};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::problem::{Code, Problem, Violation};

/// How long a device shows its code, and an approval can be used.
const LIFETIME: TimeDelta = TimeDelta::minutes(15);
/// The same for the device.
const LIFETIME_S: u32 = 900;
/// Somebody else may take a name first. Nobody is faster so often.
const ATTEMPTS: usize = 5;

/// The pairings of one installation.
#[derive(Clone, Debug)]
pub struct Pairings {
    pool: Pool,
    key: Arc<ServerKey>,
    clock: Clock,
    tokens: Tokens,
    failed_exchanges: FailedExchanges,
}

impl Pairings {
    /// Pairings that expire by `clock`, and whose tokens are made under `key`.
    /// Exchanges of link codes that fail count together with `failed_exchanges`.
    pub fn new(
        pool: Pool,
        key: Arc<ServerKey>,
        clock: Clock,
        tokens: Tokens,
        failed_exchanges: FailedExchanges,
    ) -> Self {
        Self { pool, key, clock, tokens, failed_exchanges }
    }

    /// Lets the device that shows a code become one of the user's, once. Errors: 422 for a code that no device shows, 409
    /// where somebody else has approved it, 429 when too many codes could still be used; those of [`Once::claim`].
    pub async fn approve(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        approval: &Approval,
        once: Once<ApprovedPairing>,
    ) -> Result<ApprovedPairing, Unexecuted> {
        let (code, detail) = NO_SUCH_CODE;
        let user_code = UserCode::parse(&self.key, &approval.code)
            .ok_or_else(|| Problem::invalid(vec![Violation::new("/code", code, detail)]))?;
        let now = self.clock.now();
        let tx = begin_change(&self.pool, context, actor, user_id).await?;
        let mut tx = once.claim(tx, context).await?;
        lock_maker(&mut tx, user_id).await?;
        let hash = user_code.hash();
        let expires_at = now + LIFETIME;
        let approved = if store::approve_pairing(&mut tx, &hash, user_id, now, expires_at, MAX_CODES.into()).await? {
            let details = json!({ "expires_at": expires_at });
            record(&mut tx, context, actor, "pairing.approve", user_id, &details).await?;
            ApprovedPairing { expires_at }
        } else if let Some(expires_at) = store::find_approval(&mut tx, &hash, user_id).await? {
            ApprovedPairing { expires_at }
        } else {
            tx.rollback().await?;
            let detail = "Somebody else has approved this device, or you have too many codes that nobody has used.";
            return Err(Problem::new(Code::Conflict, detail).into());
        };
        once.commit(tx, context, &approved).await?;
        Ok(approved)
    }

    /// The same each time, for commands. Returns until when the device must have asked again.
    pub async fn approve_code(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        code: &str,
    ) -> Result<DateTime<Utc>, Problem> {
        let approval = Approval { code: code.to_owned() };
        Ok(self.approve(context, actor, user_id, &approval, Once::unkeyed()).await?.expires_at)
    }

    async fn poll(&self, context: &RequestContext, text: &str) -> Result<Polled, Problem> {
        let Some(code) = DeviceCode::parse(&self.key, text) else { return Ok(Polled::Unknown) };
        let hashes = Hashes { code: code.user_code(&self.key).hash(), request: code.hash() };
        let token = code.token(&self.key);
        match self.enrol(context, &hashes, &token, &code.newcomer()).await? {
            Enrolling::Enrolled { user_id, device_id, .. } => Ok(Polled::Paired(Paired { user_id, device_id, token })),
            Enrolling::Unknown if self.clock.now().timestamp() < code.until_s() => Ok(Polled::Pending),
            _ => Ok(Polled::Expired),
        }
    }

    async fn exchange_code(
        &self,
        context: &RequestContext,
        (code, request_id): (&str, &str),
        newcomer: &Newcomer,
    ) -> Result<Enrolled, Problem> {
        let attempt = self.failed_exchanges.begin(context.caller)?;
        let unusable = || {
            let (code, detail) = UNUSABLE_CODE;
            Problem::invalid(vec![Violation::new("/link_code", code, detail)])
        };
        let code = LinkCode::parse(code).ok_or_else(unusable)?;
        let request = LinkRequest::parse(request_id).ok_or_else(|| {
            Problem::invalid(vec![Violation::new("/request_id", "not_a_uuid", "Expected a UUID, made at random.")])
        })?;
        let (hashes, token) = (Hashes { code: code.hash(), request: request.hash() }, request.token(&self.key, &code));
        match self.enrol(context, &hashes, &token, newcomer).await? {
            Enrolling::Enrolled { user_id, device_id, .. } => {
                attempt.succeeded();
                Ok(Enrolled { user_id, device_id, token, created_at: self.clock.now() })
            }
            _ => Err(unusable()),
        }
    }

    /// Meets a code, however many others take the same name meanwhile.
    async fn enrol(
        &self,
        context: &RequestContext,
        hashes: &Hashes,
        token: &Token,
        newcomer: &Newcomer,
    ) -> Result<Enrolling, Problem> {
        for _attempt in 0..ATTEMPTS {
            let ids = (Uuid::now_v7(), Uuid::now_v7());
            let mut tx = self.pool.begin(context, Access::NOBODY, Mode::ReadWrite).await?;
            let outcome = store::enrol_device(&mut tx, hashes, token, ids, newcomer, self.clock.now()).await?;
            match outcome {
                Enrolling::Enrolled { user_id, device_id, replayed: false } => {
                    let details = json!({ "user_id": user_id, "token_id": ids.1 });
                    record(&mut tx, context, Actor::Server, "device.link", device_id, &details).await?;
                    tx.commit().await?;
                    return Ok(outcome);
                }
                Enrolling::Raced => tx.rollback().await?,
                _ => {
                    tx.rollback().await?;
                    return Ok(outcome);
                }
            }
        }
        Err(raced())
    }

    /// The device of a user, found by its machine or made.
    async fn device_in(
        &self,
        tx: &mut Tx,
        user_id: Uuid,
        newcomer: &Newcomer,
    ) -> Result<Option<(Uuid, bool)>, Problem> {
        if let Some(machine) = &newcomer.machine
            && let Some(device_id) = store::find_machine(tx, user_id, machine).await?
        {
            return Ok(Some((device_id, false)));
        }
        let device_id = Uuid::now_v7();
        match store::insert_numbered_device(tx, user_id, device_id, newcomer, MAX_DEVICES).await? {
            Some(true) => Ok(Some((device_id, true))),
            Some(false) => {
                let detail = format!("A user has at most {MAX_DEVICES} active devices; revoke some first.");
                Err(Problem::new(Code::Conflict, detail))
            }
            None => Ok(None),
        }
    }

    async fn issue_token(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        newcomer: &Newcomer,
    ) -> Result<Enrolled, Problem> {
        for _attempt in 0..ATTEMPTS {
            let mut tx = begin_change(&self.pool, context, actor, user_id).await?;
            let Some((device_id, is_new)) = self.device_in(&mut tx, user_id, newcomer).await? else {
                tx.rollback().await?;
                continue;
            };
            let issued = self.tokens.issue_in(&mut tx, None, TokenKind::Device, user_id, Some(device_id)).await?;
            let details = json!({ "token_id": issued.token_id, "device_id": device_id, "kind": "device" });
            let (action, subject) = if is_new { ("device.add", device_id) } else { ("token.issue", issued.token_id) };
            record(&mut tx, context, actor, action, subject, &details).await?;
            tx.commit().await?;
            return Ok(Enrolled { user_id, device_id, token: issued.token, created_at: self.clock.now() });
        }
        Err(raced())
    }

    async fn find_account_device(&self, context: &RequestContext, user_id: Uuid) -> Result<Uuid, Problem> {
        let machine = Some(Sha256::digest(b"halfhour accounts elsewhere").into());
        let newcomer = Newcomer { name: "accounts elsewhere".to_owned(), platform: "cloud".to_owned(), machine };
        for _attempt in 0..ATTEMPTS {
            let mut tx = self.pool.begin(context, Access::Users(&[user_id]), Mode::ReadWrite).await?;
            let found = self.device_in(&mut tx, user_id, &newcomer).await?;
            match found {
                Some((device_id, is_new)) => {
                    if is_new {
                        let details = json!({ "user_id": user_id });
                        record(&mut tx, context, Actor::Server, "device.link", device_id, &details).await?;
                    }
                    tx.commit().await?;
                    return Ok(device_id);
                }
                None => tx.rollback().await?,
            }
        }
        Err(raced())
    }
}

fn raced() -> Problem {
    Problem::new(Code::DatabaseConflict, "Others take the same name at this moment.")
}

impl Registrar for Pairings {
    fn begin_pairing(&self, newcomer: &Newcomer) -> Result<BegunPairing, Problem> {
        let until_s = (self.clock.now() + LIFETIME).timestamp();
        let code = DeviceCode::make(&self.key, newcomer, until_s);
        let code = code.map_err(|error| Problem::internal(error.to_string()))?;
        let user_code = code.user_code(&self.key).reveal();
        Ok(BegunPairing { device_code: code.reveal().to_owned(), user_code, expires_in_s: LIFETIME_S })
    }

    fn poll_pairing(
        &self,
        context: RequestContext,
        device_code: String,
    ) -> BoxFuture<'static, Result<Polled, Problem>> {
        let pairings = self.clone();
        Box::pin(async move { pairings.poll(&context, &device_code).await })
    }

    fn exchange(
        &self,
        context: RequestContext,
        code: String,
        request_id: String,
        newcomer: Newcomer,
    ) -> BoxFuture<'static, Result<Enrolled, Problem>> {
        let pairings = self.clone();
        Box::pin(async move { pairings.exchange_code(&context, (&code, &request_id), &newcomer).await })
    }

    fn issue(
        &self,
        context: RequestContext,
        actor: Actor,
        user_id: Uuid,
        newcomer: Newcomer,
    ) -> BoxFuture<'static, Result<Enrolled, Problem>> {
        let pairings = self.clone();
        Box::pin(async move { pairings.issue_token(&context, actor, user_id, &newcomer).await })
    }

    fn account_device(&self, context: RequestContext, user_id: Uuid) -> BoxFuture<'static, Result<Uuid, Problem>> {
        let pairings = self.clone();
        Box::pin(async move { pairings.find_account_device(&context, user_id).await })
    }
}
