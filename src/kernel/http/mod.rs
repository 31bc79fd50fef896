//! What requests are made of, and how they are answered: bodies, queries, pages, cursors, refusals, and the outermost
//! layer.

pub mod body;
pub mod body_room;
pub mod content_coding;
pub mod counters;
pub mod cursor;
pub mod field_reader;
pub mod http_1_0;
mod json_value;
pub mod keyed;
pub mod malformed;
pub mod manner;
pub mod page;
pub mod parameters;
pub mod public_url;
pub mod refusals;
pub mod request_line;
pub mod schemas;
pub mod stand_ins;
pub mod unread_body;
pub mod values;
