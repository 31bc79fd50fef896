//! How often one caller may call, counted in this process.
//!
//! Every caller has a bucket of tokens that fills evenly up to the whole quota. A request is let
//! through while the bucket holds something.
//!
//! A limit does not list its callers. It has [`SLOTS`] buckets, and a hash with a secret seed says
//! which one is a caller's. Memory therefore stays within a few megabytes however many callers
//! come, and nobody can choose whose bucket to empty. Two callers share a bucket with a probability
//! of one in 262,144.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use governor::NotUntil;
use governor::clock::{Clock as _, DefaultClock, QuantaInstant};
use governor::middleware::StateInformationMiddleware;
use tower_governor::GovernorError;
use tower_governor::governor::{GovernorConfig, GovernorConfigBuilder};
use tower_governor::key_extractor::KeyExtractor;
use utoipa_axum::router::OpenApiRouter;

use super::address::Addresses;
use super::principal::Principal;
use crate::kernel::problem::{Code, Problem};

/// What was granted and what is left, as the IETF's draft on `RateLimit` header fields has it.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The rule itself.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How many buckets a limit has at most, each 20 bytes or so.
pub const SLOTS: u64 = 1 << 18;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// One limit. Clones share its buckets.
#[derive(Clone, Debug)]
pub struct Limit {
    policy: Policy,
    config: Arc<GovernorConfig<Slots, StateInformationMiddleware>>,
    slots: Slots,
}

/// The rule of a limit.
#[derive(Clone, Copy, Debug)]
struct Policy {
    name: &'static str,
    quota: NonZeroU32,
    window: Duration,
    refusal: &'static str,
}

/// Finds the bucket of whoever makes a request.
#[derive(Clone, Debug)]
struct Slots {
    callers: Callers,
    seed: RandomState,
}

/// Who counts as one caller.
#[derive(Clone, Debug)]
enum Callers {
    Tokens,
    Addresses(Addresses),
    /// Whoever is named to [`Limit::take`].
    Named,
}

/// Something was granted.
#[derive(Clone, Copy, Debug)]
pub struct Granted {
    policy: Policy,
    remaining: u32,
}

/// Nothing was granted.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    policy: Policy,
    /// Whole seconds after which the same may be granted.
    retry_after_s: u64,
}

impl Limit {
    /// Requests a minute for each token. It stands behind authentication, so that a forged token cannot use up what is
    /// another's. `None` for a quota of 0: no limit.
    pub fn by_token(name: &'static str, per_minute: u32) -> Option<Self> {
        Self::new(name, per_minute, MINUTE, "This token has used up its requests for now", Callers::Tokens)
    }

    /// Requests a minute for each address. `None` for a quota of 0.
    pub fn by_address(name: &'static str, per_minute: u32, addresses: &Addresses) -> Option<Self> {
        let refusal = "This address has used up its requests without a valid token for now";
        Self::new(name, per_minute, MINUTE, refusal, Callers::Addresses(addresses.clone()))
    }

    /// Things an hour for whoever is named. `None` for a quota of 0.
    pub fn per_hour(name: &'static str, quota: u32, refusal: &'static str) -> Option<Self> {
        Self::new(name, quota, HOUR, refusal, Callers::Named)
    }

    fn new(name: &'static str, quota: u32, window: Duration, refusal: &'static str, callers: Callers) -> Option<Self> {
        let policy = Policy { name, quota: NonZeroU32::new(quota)?, window, refusal };
        let slots = Slots { callers, seed: RandomState::new() };
        let config = GovernorConfigBuilder::default()
            .period(window / quota)
            .burst_size(quota)
            .key_extractor(slots.clone())
            .use_headers()
            .finish()?;
        Some(Self { policy, config: config.into(), slots })
    }

    /// Puts routes behind the limit.
    pub fn guard<S: Clone + Send + Sync + 'static>(&self, routes: OpenApiRouter<S>) -> OpenApiRouter<S> {
        let guard = async |State(limit): State<Self>, request: Request, next: Next| {
            limit.within(request, |request| next.run(request)).await
        };
        routes.route_layer(from_fn_with_state(self.clone(), guard))
    }

    /// The answer of `next` with what is left, or 429.
    pub async fn within<F>(&self, request: Request, next: impl FnOnce(Request) -> F) -> Response
    where
        F: Future<Output = Response>,
    {
        let slot = match self.slots.extract(&request) {
            Ok(slot) => slot,
            Err(error) => return Problem::internal(error).into_response(),
        };
        match self.take_from(slot, NonZeroU32::MIN) {
            Ok(granted) => Granted::told(Some(granted), next(request).await),
            Err(refused) => refused.into_response(),
        }
    }

    /// Takes from the bucket of `caller`, all or nothing.
    pub fn take(&self, caller: impl Hash, count: NonZeroU32) -> Result<Granted, Refused> {
        self.take_from(self.slots.of(caller), count)
    }

    fn take_from(&self, slot: u32, count: NonZeroU32) -> Result<Granted, Refused> {
        let policy = self.policy;
        match self.config.limiter().check_key_n(&slot, count) {
            Ok(Ok(state)) => Ok(Granted { policy, remaining: state.remaining_burst_capacity() }),
            Ok(Err(not_until)) => Err(Refused { policy, retry_after_s: seconds_until(&not_until) }),
            // More than the whole quota: what is refused is as large as ever after a whole window.
            Err(_insufficient) => Err(Refused { policy, retry_after_s: policy.window.as_secs() }),
        }
    }

    /// The quota.
    pub fn quota(&self) -> u32 {
        self.policy.quota.get()
    }

    /// How many buckets were ever used: never more than [`SLOTS`].
    pub fn buckets(&self) -> usize {
        self.config.limiter().len()
    }
}

impl Slots {
    fn of(&self, caller: impl Hash) -> u32 {
        u32::try_from(self.seed.hash_one(caller) % SLOTS).unwrap_or_default()
    }
}

impl KeyExtractor for Slots {
    type Key = u32;

    fn extract<T>(&self, request: &axum::http::Request<T>) -> Result<u32, GovernorError> {
        let caller = match &self.callers {
            Callers::Tokens => request.extensions().get::<Principal>().map(|principal| self.of(principal.token_id())),
            Callers::Addresses(addresses) => {
                addresses.caller(request.extensions(), request.headers()).map(|address| self.of(address))
            }
            Callers::Named => None,
        };
        caller.ok_or(GovernorError::UnableToExtractKey)
    }
}

impl Policy {
    /// Adds a member to each of the two lists.
    fn describe(self, headers: &mut HeaderMap, remaining: u32) {
        let Self { name, quota, window, .. } = self;
        let window_s = window.as_secs();
        let used = u64::from(quota.get().saturating_sub(remaining));
        let restored_s = (used * window_s).div_ceil(u64::from(quota.get()));
        for (header, member) in [
            (RATE_LIMIT_POLICY, format!("\"{name}\";q={quota};w={window_s}")),
            (RATE_LIMIT, format!("\"{name}\";r={remaining};t={restored_s}")),
        ] {
            if let Ok(member) = HeaderValue::from_str(&member) {
                headers.append(header, member);
            }
        }
    }
}

impl Granted {
    /// A reply that says what is left, where something was counted.
    pub fn told(granted: Option<Self>, reply: impl IntoResponse) -> Response {
        let mut response = reply.into_response();
        if let Some(granted) = granted {
            granted.describe(response.headers_mut());
        }
        response
    }

    /// Says what is left.
    pub fn describe(self, headers: &mut HeaderMap) {
        self.policy.describe(headers, self.remaining);
    }
}

impl Refused {
    /// 429 with `Retry-After` and with what is left. To make one counts as a refusal.
    pub fn problem(self) -> Problem {
        let Policy { name, quota, window, refusal } = self.policy;
        metrics::counter!("halfhour_limit_refusals_total", "limit" => name).increment(1);
        let window = if window == HOUR { "an hour" } else { "a minute" };
        let detail = format!("{refusal}; the limit is {quota} {window}.");
        let mut headers = HeaderMap::new();
        self.policy.describe(&mut headers, 0);
        Problem::new(Code::RateLimited, detail).retry_after(self.retry_after_s).with_headers(headers)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.problem().into_response()
    }
}

/// Rounded up.
fn seconds_until(not_until: &NotUntil<QuantaInstant>) -> u64 {
    not_until.wait_time_from(DefaultClock::default().now()).as_secs() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    #[test]
    fn a_bucket_gives_what_it_holds_and_refuses_the_rest_whole() {
        let limit = Limit::per_hour("test", 1000, "").unwrap();
        assert_eq!(limit.take("ann", some(600)).unwrap().remaining, 400);
        let refused = limit.take("ann", some(401)).unwrap_err();
        assert!((1..=5).contains(&refused.retry_after_s), "{refused:?}");
        assert_eq!(limit.take("ann", some(400)).unwrap().remaining, 0);
        assert_eq!(limit.take("bob", some(1000)).unwrap().remaining, 0, "another's bucket is full");
        assert_eq!(limit.take("eve", some(1001)).unwrap_err().retry_after_s, 3600, "more than there will ever be");
    }

    #[test]
    fn many_who_take_at_once_get_no_more_than_there_is() {
        let limit = Limit::per_hour("test", 100, "").unwrap();
        let granted = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..100).filter(|_| limit.take("ann", some(1)).is_ok()).count()))
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum::<usize>()
        });
        assert_eq!(granted, 100);
    }

    #[test]
    fn a_quota_of_nothing_is_no_limit() {
        assert!(Limit::by_token("test", 0).is_none());
    }

    #[test]
    fn a_million_callers_fill_no_more_than_the_slots() {
        let limit = Limit::per_hour("test", 10, "").unwrap();
        for caller in 0..1_000_000 {
            let _ = limit.take(caller, some(1));
        }
        let slots = usize::try_from(SLOTS).unwrap();
        assert!((slots / 2..=slots).contains(&limit.buckets()), "{}", limit.buckets());
    }

    #[test]
    fn what_is_left_is_said_as_structured_fields_that_add_up() {
        let limit = Limit::by_token("device", 120).unwrap();
        let mut headers = HeaderMap::new();
        limit.take("ann", some(1)).unwrap().describe(&mut headers);
        assert_eq!(headers[RATE_LIMIT_POLICY], "\"device\";q=120;w=60");
        assert_eq!(headers[RATE_LIMIT], "\"device\";r=119;t=1");
        limit.take("ann", some(119)).unwrap().describe(&mut headers);
        let lines: Vec<_> = headers.get_all(RATE_LIMIT).iter().collect();
        assert_eq!(lines, ["\"device\";r=119;t=1", "\"device\";r=0;t=60"]);
    }
}
