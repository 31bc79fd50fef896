//! The tools that may report usage, and those that might once.
//!
//! They are rows of `usage.source`. [`Sources`] reads them into the memory of each process, which
//! knows of a change within two seconds, and changes them for operators. [`KnownSources`] is what
//! one reading found: posts are judged by it ([`KnownSources::allowed`]), and so are imports, which
//! take retired tools as well ([`KnownSources::known`]).

mod known;
mod register;
mod store;

pub use known::{AllowedSource, KnownSources, Standing, Unlisted};
pub use register::{AddedSource, Sources, known_in};
pub use store::ListedSource;
