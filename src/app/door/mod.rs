//! The front door: accepts connections, as many as there is room for, and serves each until it ends.
//!
//! Each connection has a place before it is accepted (`room`). Its bytes pass through a wire
//! (`wire`), which cuts them into messages (`framing`), judges each head (`head`), and limits how
//! long anything may take (`limits`). [Why so](../../../docs/decisions/0033-the-front-door.md).

mod framing;
mod head;
mod limits;
mod listener;
mod progress;
mod room;
mod wire;

pub use limits::DoorLimits;
pub use listener::serve;
