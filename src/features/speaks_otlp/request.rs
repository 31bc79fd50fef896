//! Reads an export, in whichever encoding it comes.

use super::encoding::Encoding;
use super::export::{Export, Sink};
use super::{json, protobuf};
use crate::kernel::problem::Problem;
use crate::kernel::usage::intake::{Tally, estimated_places};

/// Reads an export. Errors: 400 for a body that is none; 413 for one with too many records of usage.
pub(super) fn read(encoding: Encoding, body: &[u8], tally: Tally) -> Result<Export, Problem> {
    let mut sink = Sink::new(tally);
    match encoding {
        Encoding::Json => json::read(body, &mut sink)?,
        Encoding::Protobuf => protobuf::read(body, &mut sink)?,
    }
    Ok(sink.export)
}

/// How many records of usage a body seems to hold, without parsing it. Each has one count of this name.
pub(super) fn estimated_records(body: &[u8]) -> usize {
    estimated_places(body, b"input_token")
}
