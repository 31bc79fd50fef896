//! What exporters are answered, in the encoding in which they asked.

use std::fmt::Write as _;

use prost::Message as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::encoding::Encoding;
use super::export::Rejected;
use crate::kernel::problem::ProblemBody;

/// An answer says so much at most, in characters.
const LONGEST_MESSAGE: usize = 1_000;

/// What became of an export of logs.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema, prost::Message)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExportLogsServiceResponse {
    /// Records of usage that are not counted; absent where all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<PartialSuccess>,
}

/// Records of usage that are not counted, and why. Sending them again is of no use.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema, prost::Message)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartialSuccess {
    /// How many. Records of other kinds, and records that were counted before, are not among them.
    #[schema(example = 1)]
    #[prost(int64, tag = "1")]
    pub(super) rejected_log_records: i64,
    /// The first reasons, each with its place.
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}

/// An answer to what was thrown away unread: an object without members.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema, prost::Message)]
pub(super) struct Dropped {}

/// `google.rpc.Status`, as OTLP wants failures. Its code is left out, which OTLP allows: the HTTP status says it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
}

impl From<&Rejected> for ExportLogsServiceResponse {
    fn from(rejected: &Rejected) -> Self {
        if rejected.records == 0 {
            return Self { partial_success: None };
        }
        let rejected_log_records = i64::try_from(rejected.records).unwrap_or(i64::MAX);
        let mut error_message = format!("{rejected_log_records} records of usage were not counted.");
        for reason in &rejected.reasons {
            let next = format!(" {}: {}: {}", reason.pointer, reason.code, reason.detail);
            if error_message.len() + next.len() > LONGEST_MESSAGE {
                error_message.push_str(" And more.");
                break;
            }
            error_message.push_str(&next);
        }
        Self { partial_success: Some(PartialSuccess { rejected_log_records, error_message }) }
    }
}

/// A message in an encoding.
pub(super) fn encoded(message: &(impl prost::Message + Serialize), encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Json => serde_json::to_vec(message).unwrap_or_default(),
        Encoding::Protobuf => message.encode_to_vec(),
    }
}

/// A problem as a `Status`, in one line that can be read.
pub(super) fn status(problem: &ProblemBody) -> Vec<u8> {
    let mut message = format!("{}: {}", problem.code, problem.detail);
    for error in problem.errors.iter().take(5) {
        // Writing to a String cannot fail.
        let _ = write!(message, " {}: {}: {}", error.pointer, error.code, error.detail);
    }
    let _ = write!(message, " See {}; request {}.", problem.kind, problem.request_id);
    Status { message }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::problem::Violation;

    #[test]
    fn an_answer_is_empty_or_says_how_many_and_why_in_either_encoding() {
        let none = ExportLogsServiceResponse::from(&Rejected::default());
        assert_eq!(encoded(&none, Encoding::Json), b"{}");
        assert_eq!(encoded(&none, Encoding::Protobuf), b"");
        let mut rejected = Rejected::default();
        for index in 0..100 {
            rejected.add(vec![Violation::new(format!("/{index}"), "x", "y".repeat(60))]);
        }
        let some = ExportLogsServiceResponse::from(&rejected);
        let json: serde_json::Value = serde_json::from_slice(&encoded(&some, Encoding::Json)).unwrap();
        assert_eq!(json["partialSuccess"]["rejectedLogRecords"], 100);
        let message = json["partialSuccess"]["errorMessage"].as_str().unwrap();
        assert!(message.starts_with("100 records of usage were not counted. /0: x: yy"), "{message}");
        assert!(message.ends_with("And more.") && message.len() < LONGEST_MESSAGE + 20, "{message}");
        let decoded = ExportLogsServiceResponse::decode(&*encoded(&some, Encoding::Protobuf)).unwrap();
        assert_eq!(decoded, some);
    }
}
