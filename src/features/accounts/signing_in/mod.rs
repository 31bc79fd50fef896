//! Signing in on a browser: a code of a link, or a viewer token that is shown, begins a session.
//!
//! A session is a token that nobody was given, and ends with its row. Until somebody uses a code nothing is stored of it: it
//! says itself whose it is and how long it is good for, and the server has signed it. The session that it begins is a
//! function of the server's key and the code, so that a code that is used twice meets its own session, and is refused.

mod acts;
mod sign_in_code;
mod store;

pub use acts::SignIns;
