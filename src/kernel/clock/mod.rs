//! Time, passed in. A [`Clock`] follows the database's clock by the machine's steady one, so that a jump of anybody's
//! clock moves no arrival stamp into the future.

mod follower;
#[cfg(test)]
mod laws;
mod pauses;
mod reading;
mod time;

pub use follower::{Jump, JumpedClock, Measurement};
pub use pauses::{doubled, jittered};
pub use reading::Reading;
pub use time::Clock;
