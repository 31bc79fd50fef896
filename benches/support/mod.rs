//! What the benches share: a durable PostgreSQL, the real server as a process of its own, devices, a cheap client, and
//! the table at the end.

pub mod admin;
pub mod arguments;
pub mod client;
pub mod installation;
pub mod load;
pub mod posts;
pub mod processes;
pub mod table;
