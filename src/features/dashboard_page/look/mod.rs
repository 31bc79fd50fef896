//! How the pages look: templates that are checked when they are compiled, one style sheet and one small script. Both are in
//! the binary, under a path that holds a hash of what they say, so that browsers keep them for good.

mod age;
mod frame;
mod number;

pub use age::age;
pub use frame::{Asset, Frame, PAGE_POLICY};
pub use number::{change, exact, exact_usd, instant, share, short, short_usd};
