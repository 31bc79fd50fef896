//! Who exists and what they may use: users, devices and tokens.
//!
//! Promises: a name is unique among what is active; rows are revoked and never deleted; a user and its first token, a
//! device and its token, come into being together or not at all; a token is shown once and only its SHA-256 is kept.
//! The slice has no routes yet: operators use it through the commands.

mod directory;
mod store;

pub use directory::{Directory, IssuedToken, NewDevice, NewUser, TokenListing};
