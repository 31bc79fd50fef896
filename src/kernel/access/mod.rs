//! Who is calling, and how often they may.
//!
//! A request with a bearer token goes through [`Authenticator::admit`]: the authenticator checks the token's own
//! signature, then asks its cache, then the database. What comes out is a [`Principal`], from which handlers take a
//! [`Device`], a [`Viewer`] or an [`Operator`], or, where it does not matter which, a [`Caller`]. A browser that is signed
//! in shows a cookie instead, and goes through [`require_session`]. A [`Limit`] counts by token, and by address for [`AnonymousCallers`].

mod address;
mod anonymous;
mod authenticator;
mod cache;
mod limit;
mod principal;
mod session;
mod session_gate;
mod token;
mod uses;

pub use address::Addresses;
pub use anonymous::AnonymousCallers;
pub use authenticator::{Authenticator, require_principal};
pub use cache::{REVOCATION_BOUND, TokenCache};
pub use limit::{Granted, Limit, RATE_LIMIT, RATE_LIMIT_POLICY, Refused, SLOTS};
pub use principal::{Actor, Caller, Corrector, Device, DeviceKind, Operator, Principal, Reader, Viewer, erased_user};
pub use session::{FoundSession, OPERATOR_SESSION_LIFETIME_S, OperatorSessions, SESSION_LIFETIME_S, Session, Sessions};
pub use session_gate::{SessionGate, require_session};
pub use token::{ServerKey, Token, TokenHash, TokenKind};
pub use uses::TokenUses;
