//! One log record, as far as it is read: which tool's usage it tells of, when that was, and by what it is known again.

use chrono::{DateTime, Utc};

use super::attribute::{AttributeValue, Attributes, Name};
use super::tool::Tool;
use crate::kernel::http::values::instant;
use crate::kernel::idempotency::digest;
use crate::kernel::usage::record::RecordHash;

/// A body of a record may be the event's name. A longer one is somebody's text, and is not looked at.
pub(super) const LONGEST_NAME: usize = 64;

/// The record.
#[derive(Debug, Default)]
pub(super) struct LogEvent {
    /// What it says, and what its resource says.
    pub(super) attributes: Attributes,
    /// The logger's name.
    pub(super) scope: String,
    /// When it happened, in nanoseconds; 0 where nobody says so.
    pub(super) time_unix_nano: u64,
    /// When the exporter saw it.
    pub(super) observed_time_unix_nano: u64,
    /// The record's own event name.
    pub(super) event_name: Option<String>,
    /// Its body, where that is short enough to be a name.
    pub(super) short_body: Option<String>,
}

/// What a record is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It tells of usage.
    Usage(Tool),
    /// It tells of usage of a tool whose counts nobody here understands.
    UnknownTool,
    /// It tells of something else.
    Another,
}

impl LogEvent {
    /// What it is.
    pub(super) fn kind(&self) -> Kind {
        let names = [self.attributes.text(Name::Event), self.event_name.as_deref(), self.short_body.as_deref()];
        let names = || names.into_iter().flatten();
        let is_of = |tool: &Tool| names().any(|name| tool.is_event(name, self.is_claude_codes()));
        if let Some(tool) = Tool::ALL.into_iter().find(is_of) {
            return if tool.has_counts(&self.attributes) { Kind::Usage(tool) } else { Kind::Another };
        }
        let has_counts =
            [Name::InputTokens, Name::InputTokenCount].iter().any(|name| self.attributes.get(*name).is_some());
        let is_known = self.is_claude_codes() || names().any(Tool::is_of_some);
        if has_counts && !is_known { Kind::UnknownTool } else { Kind::Another }
    }

    /// Claude Code calls its events by their last word and says in its logger's name whose they are.
    fn is_claude_codes(&self) -> bool {
        self.scope.starts_with("com.anthropic.claude_code")
            || self.attributes.text(Name::Service) == Some("claude-code")
    }

    /// When it happened: by the tool, else by the record, else by the exporter. `None` where nobody says so.
    pub(super) fn happened_at(&self) -> Option<DateTime<Utc>> {
        let by_tool = self.attributes.text(Name::EventTimestamp).and_then(|text| instant(text).ok());
        let nanos = |nanos: u64| (nanos > 0).then(|| i64::try_from(nanos).ok().map(DateTime::from_timestamp_nanos))?;
        by_tool.or_else(|| nanos(self.time_unix_nano)).or_else(|| nanos(self.observed_time_unix_nano))
    }

    /// What tells it from every other record of the same tool: session, time, sequence, request and counts. It is the same
    /// whatever encoding or batch carries the record, and whatever else it says.
    pub(super) fn hash(&self, tool: Tool) -> RecordHash {
        let nanos = if self.time_unix_nano > 0 { self.time_unix_nano } else { self.observed_time_unix_nano };
        let mut parts = vec![tool.source().as_bytes().to_vec(), nanos.to_be_bytes().to_vec()];
        parts.extend(Name::ALL.iter().map(|name| self.attributes.get(*name).map_or_else(Vec::new, written)));
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let mut first_half = [0; 16];
        first_half.copy_from_slice(&digest(&parts)[..16]);
        RecordHash::new(first_half)
    }
}

/// A count is the same as digits and as a number. What is absent is nothing, which no value is.
fn written(value: &AttributeValue) -> Vec<u8> {
    let text = match value {
        AttributeValue::Text(text) => text.as_str().to_owned(),
        AttributeValue::Integer(integer) => integer.to_string(),
        AttributeValue::Huge => "huge".to_owned(),
        AttributeValue::Other => "other".to_owned(),
    };
    [&b"="[..], text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(attributes: &[(Name, &str)]) -> LogEvent {
        let mut event = LogEvent { time_unix_nano: 1, ..LogEvent::default() };
        for (name, text) in attributes {
            event.attributes.set(*name, AttributeValue::Text((*text).to_owned()));
        }
        event
    }

    #[test]
    fn a_tool_is_known_by_its_event_wherever_the_name_stands() {
        let counted = |name| event(&[(Name::Event, name), (Name::InputTokenCount, "1"), (Name::InputTokens, "1")]);
        assert_eq!(counted("claude_code.api_request").kind(), Kind::Usage(Tool::ClaudeCode));
        assert_eq!(counted("gemini_cli.api_response").kind(), Kind::Usage(Tool::GeminiCli));
        assert_eq!(counted("gemini_cli.api_request").kind(), Kind::Another);
        assert_eq!(counted("codex.sse_event").kind(), Kind::Another, "its kind is another");
        assert_eq!(counted("api_request").kind(), Kind::UnknownTool);
        assert_eq!(counted("opencode.api_request").kind(), Kind::UnknownTool);
        let claude = LogEvent { scope: "com.anthropic.claude_code.events".to_owned(), ..counted("api_request") };
        assert_eq!(claude.kind(), Kind::Usage(Tool::ClaudeCode));
        let other = LogEvent { scope: "com.anthropic.claude_code.events".to_owned(), ..counted("tool_result") };
        assert_eq!(other.kind(), Kind::Another);
        let mut codex = counted("codex.sse_event");
        codex.attributes.set(Name::EventKind, AttributeValue::Text("response.completed".to_owned()));
        assert_eq!(codex.kind(), Kind::Usage(Tool::Codex));
        let bare = event(&[(Name::InputTokens, "1")]);
        let named = LogEvent { short_body: Some("claude_code.api_request".to_owned()), ..bare };
        assert_eq!(named.kind(), Kind::Usage(Tool::ClaudeCode));
        assert_eq!(event(&[(Name::Event, "gemini_cli.api_response")]).kind(), Kind::Another, "it has no counts");
    }

    #[test]
    fn a_hash_is_of_what_is_read_and_not_of_how_it_is_written() {
        let base = || event(&[(Name::SessionId, "s"), (Name::InputTokens, "5")]);
        let hash = |event: &LogEvent| event.hash(Tool::ClaudeCode);
        let mut number = base();
        number.attributes.set(Name::InputTokens, AttributeValue::Integer(5));
        assert_eq!(hash(&base()), hash(&number));
        let elsewhere = LogEvent { scope: "x".to_owned(), short_body: Some("y".to_owned()), ..base() };
        assert_eq!(hash(&base()), hash(&elsewhere));
        let mut others = vec![LogEvent { time_unix_nano: 2, ..base() }, event(&[(Name::SessionId, "s")])];
        for (name, text) in
            [(Name::SessionId, "t"), (Name::InputTokens, "6"), (Name::RequestId, "r"), (Name::Model, "")]
        {
            let mut other = base();
            other.attributes.set(name, AttributeValue::Text(text.to_owned()));
            others.push(other);
        }
        for other in &others {
            assert_ne!(hash(&base()), hash(other), "{other:?}");
        }
        assert_ne!(hash(&base()), base().hash(Tool::Codex));
    }

    #[test]
    fn the_time_is_the_tools_then_the_records_then_the_exporters() {
        let time = |event: &LogEvent| event.happened_at().map(|at| at.timestamp_millis());
        let mut all = event(&[(Name::EventTimestamp, "1970-01-01T00:00:03Z")]);
        (all.time_unix_nano, all.observed_time_unix_nano) = (2_000_000_000, 1_000_000_000);
        assert_eq!(time(&all), Some(3000));
        all.attributes.set(Name::EventTimestamp, AttributeValue::Text("yesterday".to_owned()));
        assert_eq!(time(&all), Some(2000));
        all.time_unix_nano = 0;
        assert_eq!(time(&all), Some(1000));
        all.observed_time_unix_nano = 0;
        assert_eq!(time(&all), None);
        all.time_unix_nano = u64::MAX;
        assert_eq!(time(&all), None, "a time that no calendar has");
    }
}
