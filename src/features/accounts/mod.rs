//! Who exists and what they may use.
//!
//! Each noun is a folder with its routes, its wire types, its acts and its SQL, and says there what
//! it promises. [`Accounts`] holds all of them, for commands and for the server.
//!
//! | noun | answers | routes |
//! |---|---|---|
//! | `users` | who owns buckets | `/v1/users` (operator) |
//! | `profile` | what a user sees and changes of itself | `/v1/me` (viewer) |
//! | `devices` | what posts buckets, and how it speaks | `/v1/devices…` (viewer) |
//! | `linking` | how a new device gets its token | `/v1/link-codes` (viewer), `/v1/link-codes/exchange` (anybody) |
//! | `pairing` | how a new device that shows a code gets its token | `/v1/pairings` (viewer), `/pair` (anybody) |
//! | `erasing` | deletion of one's own usage | `DELETE /v1/me/usage` (viewer) |
//! | `persons` | erasure of a person, with all usage | `DELETE /v1/me` (viewer) |
//! | `signing_in` | who is signed in on a browser | none: the page's, through the composition root |
//! | `tokens` | the secrets of users and devices | none: commands only |
//! | `demos` | a user whose usage is made up | none: commands only |
//!
//! Whose things they are comes from the token. Rows are revoked, and deleted only where their user
//! is erased. Every change is one transaction, and its entry in the audit is part of it.

mod audit;
mod demos;
mod devices;
mod erasing;
mod linking;
mod name;
mod pairing;
mod persons;
mod profile;
mod signing_in;
mod tokens;
mod users;

use std::sync::Arc;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;

pub use demos::{Demo, DemoDevice, Demos};
pub(crate) use devices::DeviceListing;
pub use devices::{DeviceChange, Devices, NewDevice, RegisteredDevice};
pub use erasing::{ErasureQuery, Erasures};
pub use linking::LinkCodes;
pub use pairing::Pairings;
pub use persons::{Part, Parts, Person, PersonErasure, PersonQuery, Persons};
pub use profile::Profiles;
pub use signing_in::SignIns;
pub use tokens::{
    IDLE_DAYS, IssuedToken, OLD_DAYS, OtherKeysTokens, OwnToken, ROTATION_OVERLAP_S, TokenAges, TokenListing, Tokens,
};
pub(crate) use users::UserListing;
pub use users::{CreatedUser, Users};

use crate::kernel::access::{Actor, ServerKey, TokenKind};
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::Pool;
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::problem::Problem;
use crate::kernel::usage::relay_notifier::Signal;

/// The accounts of one installation, by noun.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Who owns buckets.
    pub users: Users,
    /// What users see and change of themselves.
    pub profiles: Profiles,
    /// What posts buckets.
    pub devices: Devices,
    /// The codes by which new devices get their tokens.
    pub link_codes: LinkCodes,
    /// How devices that show a code become somebody's.
    pub pairings: Pairings,
    /// Who is signed in on a browser.
    pub sign_ins: SignIns,
    /// Deletions of usage.
    pub erasures: Erasures,
    /// The secrets of users and devices.
    pub tokens: Tokens,
}

impl Accounts {
    /// For commands. They work through `pool`, and tokens are made under `key`.
    pub fn new(pool: Pool, key: ServerKey) -> Self {
        Self::serving(pool, key, Clock::system(), Signal::default())
    }

    /// For the server, by its `clock` and with the `signal` that wakes the relay.
    pub fn serving(pool: Pool, key: ServerKey, clock: Clock, signal: Signal) -> Self {
        let key = Arc::new(key);
        let tokens = Tokens::new(pool.clone(), key.clone());
        let users = Users::new(pool.clone(), tokens.clone());
        let link_codes = LinkCodes::new(pool.clone(), key.clone(), clock.clone());
        Self {
            profiles: Profiles::new(pool.clone(), signal.clone(), users.clone()),
            devices: Devices::new(pool.clone(), tokens.clone(), users.clone()),
            sign_ins: SignIns::new(pool.clone(), key.clone(), clock.clone(), users.clone()),
            pairings: Pairings::new(pool.clone(), key, clock.clone(), tokens.clone(), link_codes.failed_exchanges()),
            link_codes,
            erasures: Erasures::new(pool, clock, signal),
            users,
            tokens,
        }
    }

    /// Users whose usage is made up. Only commands ask for them, and their work goes through `pool`.
    pub fn demos(&self, pool: Pool) -> Demos {
        Demos::new(pool, self.tokens.clone(), self.users.clone(), self.devices.clone())
    }

    /// Another token for a user, or for one of its devices where `device` names one. Errors: 404 no
    /// such active user or device.
    pub async fn issue_token(
        &self,
        context: &RequestContext,
        actor: Actor,
        user: &str,
        kind: TokenKind,
        device: Option<&str>,
    ) -> Result<IssuedToken, Problem> {
        match device {
            Some(device) => self.devices.issue_token(context, actor, user, device).await,
            None => self.users.issue_token(context, actor, user, kind).await,
        }
    }
}

/// A state that hands out the accounts hands out each noun of them.
macro_rules! handed_out {
    ($($noun:ty: $field:ident),*) => {
        $(impl<S> FromRef<S> for $noun
        where
            Accounts: FromRef<S>,
        {
            fn from_ref(state: &S) -> Self {
                Accounts::from_ref(state).$field
            }
        })*
    };
}

handed_out!(Users: users, Profiles: profiles, Devices: devices, LinkCodes: link_codes, Pairings: pairings, Erasures: erasures);

/// The routes of viewers.
pub(crate) fn viewer_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Accounts: FromRef<S>,
    Cursors: FromRef<S>,
    Persons: FromRef<S>,
{
    profile::router()
        .merge(persons::router())
        .merge(erasing::router())
        .merge(devices::router())
        .merge(linking::viewer_router())
        .merge(pairing::viewer_router())
}

/// The page that anybody may see who pairs a device.
pub(crate) fn page_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    PublicUrl: FromRef<S>,
{
    pairing::page_router()
}

/// The route that anybody may call who knows a code.
pub(crate) fn exchange_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Accounts: FromRef<S>,
{
    linking::exchange_router()
}

/// The routes of operators.
pub(crate) fn operator_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Accounts: FromRef<S>,
    Cursors: FromRef<S>,
{
    users::router()
}
