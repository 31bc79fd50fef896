//! Tokens: a secret that is shown once, and of which only the SHA-256 is kept.
//!
//! A token that is rotated works until its successor is in place. There are no routes. Users and
//! devices get their tokens here, commands rotate, revoke and list them, and the server writes down
//! when each was last used.

mod acts;
mod reply;
mod store;

pub use acts::{IDLE_DAYS, IssuedToken, OLD_DAYS, ROTATION_OVERLAP_S, Tokens};
pub use reply::TokenListing;
pub(super) use reply::reveal;
pub use store::{OtherKeysTokens, OwnToken, TokenAges};
