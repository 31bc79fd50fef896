//! The three tools that tell of usage in logs: by which event each does, and what its counts mean. halfhour's classes are
//! disjoint, and theirs are not.

use super::attribute::{AttributeValue, Attributes, Name};
use crate::kernel::bucket::{MAX_COUNT, TokenCounts};
use crate::kernel::http::field_reader::Broken;
use crate::kernel::http::values::REASONING_EXCEEDS_OUTPUT;

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// Claude Code.
    ClaudeCode,
    /// Codex.
    Codex,
    /// Gemini CLI.
    GeminiCli,
}

/// What is wrong with a count, and with which.
pub(super) type BrokenCount = (Name, Broken);

impl Tool {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::ClaudeCode, Self::Codex, Self::GeminiCli];

    /// As buckets call it.
    pub(super) const fn source(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::GeminiCli => "gemini-cli",
        }
    }

    /// What its events' names begin with, and the event that tells of usage.
    const fn event(self) -> (&'static str, &'static str) {
        match self {
            Self::ClaudeCode => ("claude_code.", "api_request"),
            Self::Codex => ("codex.", "sse_event"),
            Self::GeminiCli => ("gemini_cli.", "api_response"),
        }
    }

    /// Whether an event of this name tells of its usage.
    pub(super) fn is_event(self, name: &str, is_claude_codes: bool) -> bool {
        let (prefix, event) = self.event();
        name.strip_prefix(prefix) == Some(event) || self == Self::ClaudeCode && is_claude_codes && name == event
    }

    /// Whether some tool's events are called so.
    pub(super) fn is_of_some(name: &str) -> bool {
        Self::ALL.iter().any(|tool| name.starts_with(tool.event().0))
    }

    /// Whether an event of usage has counts. One without is of another kind: a failed request, or the first of two
    /// records of one response.
    pub(super) fn has_counts(self, attributes: &Attributes) -> bool {
        match self {
            Self::ClaudeCode => attributes.get(Name::InputTokens).is_some(),
            Self::GeminiCli => attributes.get(Name::InputTokenCount).is_some(),
            Self::Codex => {
                attributes.text(Name::EventKind) == Some("response.completed")
                    && attributes.get(Name::InputTokenCount).is_some()
            }
        }
    }

    /// What one request has used, in halfhour's classes. Errors: every count that is none, and counts that contradict each
    /// other.
    pub(super) fn counts(self, attributes: &Attributes) -> Result<TokenCounts, Vec<BrokenCount>> {
        let mut reader = Reader { attributes, broken: Vec::new() };
        let counts = match self {
            Self::ClaudeCode => claude_code(&mut reader),
            Self::Codex => codex(&mut reader),
            Self::GeminiCli => gemini_cli(&mut reader),
        };
        reader.finish(counts)
    }
}

/// Cached input is apart. How long a cache lives is not told, so that writes count as those of five minutes.
fn claude_code(reader: &mut Reader<'_>) -> TokenCounts {
    TokenCounts {
        input_tokens: reader.count(Name::InputTokens),
        cache_read_tokens: reader.count(Name::CacheReadTokens),
        cache_write_5m_tokens: reader.count(Name::CacheCreationTokens),
        output_tokens: reader.count(Name::OutputTokens),
        ..TokenCounts::default()
    }
}

/// Cache reads and writes are inside of the input, and reasoning is inside of the output. `tool_token_count` is in truth
/// the total.
fn codex(reader: &mut Reader<'_>) -> TokenCounts {
    let input = reader.count(Name::InputTokenCount);
    let (reads, writes) = (reader.count(Name::CachedTokenCount), reader.count(Name::CacheWriteTokenCount));
    let (output, reasoning) = (reader.count(Name::OutputTokenCount), reader.count(Name::ReasoningTokenCount));
    let total = reader.count(Name::ToolTokenCount);
    if reads + writes > input {
        let name = if reads > input { Name::CachedTokenCount } else { Name::CacheWriteTokenCount };
        reader.refuse(name, CACHED_EXCEEDS_INPUT);
    }
    if reasoning > output {
        reader.refuse(Name::ReasoningTokenCount, REASONING_EXCEEDS_OUTPUT);
    }
    TokenCounts {
        input_tokens: input - reads - writes,
        cache_read_tokens: reads,
        cache_write_5m_tokens: writes,
        output_tokens: output,
        reasoning_tokens: reasoning,
        unclassified_tokens: (total - input - output).max(0),
        ..TokenCounts::default()
    }
}

/// Cache reads are inside of the input. Thoughts are outside of the output, and what tools put in is outside of both.
fn gemini_cli(reader: &mut Reader<'_>) -> TokenCounts {
    let input = reader.count(Name::InputTokenCount);
    let reads = reader.count(Name::CachedContentTokenCount);
    let (output, thoughts) = (reader.count(Name::OutputTokenCount), reader.count(Name::ThoughtsTokenCount));
    let (by_tools, total) = (reader.count(Name::ToolTokenCount), reader.count(Name::TotalTokenCount));
    if reads > input {
        reader.refuse(Name::CachedContentTokenCount, CACHED_EXCEEDS_INPUT);
    }
    TokenCounts {
        input_tokens: input - reads + by_tools,
        cache_read_tokens: reads,
        output_tokens: output + thoughts,
        reasoning_tokens: thoughts,
        unclassified_tokens: (total - input - by_tools - output - thoughts).max(0),
        ..TokenCounts::default()
    }
}

const CACHED_EXCEEDS_INPUT: Broken = (
    "cached_exceeds_input",
    std::borrow::Cow::Borrowed("What comes from the cache, or goes there, is a part of the input and cannot be more."),
);

/// Reads counts and collects what is wrong with them.
struct Reader<'a> {
    attributes: &'a Attributes,
    broken: Vec<BrokenCount>,
}

impl Reader<'_> {
    /// A count, 0 where it is absent or broken.
    fn count(&mut self, name: Name) -> i64 {
        let value = match self.attributes.get(name) {
            None => return 0,
            Some(AttributeValue::Text(text)) => AttributeValue::of_digits(text),
            Some(value) => value.clone(),
        };
        match value {
            AttributeValue::Integer(count) if (0..=MAX_COUNT).contains(&count) => return count,
            AttributeValue::Integer(_) | AttributeValue::Huge => {
                let detail = format!("Expected an integer from 0 to {MAX_COUNT}.").into();
                self.refuse(name, ("out_of_range", detail));
            }
            _ => {
                let detail = "Expected an integer, as a number or as a text of digits.".into();
                self.refuse(name, ("not_an_integer", detail));
            }
        }
        0
    }

    fn refuse(&mut self, name: Name, broken: Broken) {
        self.broken.push((name, broken));
    }

    /// Counts that are sums of several may leave the range although none of these does.
    fn finish(mut self, counts: TokenCounts) -> Result<TokenCounts, Vec<BrokenCount>> {
        let counts = TokenCounts { request_count: 1, ..counts };
        if self.broken.is_empty() && counts.into_values().iter().any(|count| *count > MAX_COUNT) {
            let detail = format!("Together they are more than {MAX_COUNT}.").into();
            self.refuse(Name::InputTokenCount, ("out_of_range", detail));
        }
        if self.broken.is_empty() { Ok(counts) } else { Err(self.broken) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attributes(values: &[(Name, i64)]) -> Attributes {
        let mut attributes = Attributes::default();
        for (name, value) in values {
            attributes.set(*name, AttributeValue::Integer(*value));
        }
        attributes
    }

    fn codes(tool: Tool, values: &[(Name, i64)]) -> Vec<(Name, &'static str)> {
        let broken = tool.counts(&attributes(values)).err().unwrap_or_default();
        broken.into_iter().map(|(name, (code, _))| (name, code)).collect()
    }

    #[test]
    fn counts_that_contradict_each_other_are_refused() {
        use Name::{
            CacheWriteTokenCount, CachedContentTokenCount, CachedTokenCount, InputTokenCount, OutputTokenCount,
            ReasoningTokenCount,
        };
        let codex = |values: &[(Name, i64)]| codes(Tool::Codex, values);
        assert_eq!(codex(&[(InputTokenCount, 5), (CachedTokenCount, 6)]), [(CachedTokenCount, "cached_exceeds_input")]);
        assert_eq!(
            codex(&[(InputTokenCount, 5), (CachedTokenCount, 3), (CacheWriteTokenCount, 3)]),
            [(CacheWriteTokenCount, "cached_exceeds_input")]
        );
        assert_eq!(
            codex(&[(InputTokenCount, 5), (OutputTokenCount, 1), (ReasoningTokenCount, 2)]),
            [(ReasoningTokenCount, "reasoning_exceeds_output")]
        );
        assert_eq!(codex(&[(InputTokenCount, 5), (CachedTokenCount, 5)]), []);
        assert_eq!(
            codes(Tool::GeminiCli, &[(InputTokenCount, 5), (CachedContentTokenCount, 6)]),
            [(CachedContentTokenCount, "cached_exceeds_input")]
        );
    }

    #[test]
    fn counts_end_at_a_trillion_and_so_do_their_sums() {
        use Name::{InputTokenCount, InputTokens, OutputTokenCount, ThoughtsTokenCount, ToolTokenCount};
        assert_eq!(codes(Tool::ClaudeCode, &[(InputTokens, MAX_COUNT)]), []);
        assert_eq!(codes(Tool::ClaudeCode, &[(InputTokens, MAX_COUNT + 1)]), [(InputTokens, "out_of_range")]);
        assert_eq!(codes(Tool::ClaudeCode, &[(InputTokens, -1)]), [(InputTokens, "out_of_range")]);
        let sum = [(InputTokenCount, MAX_COUNT), (ToolTokenCount, 1)];
        assert_eq!(codes(Tool::GeminiCli, &sum), [(InputTokenCount, "out_of_range")]);
        let sum = [(InputTokenCount, 1), (OutputTokenCount, MAX_COUNT), (ThoughtsTokenCount, MAX_COUNT)];
        assert_eq!(codes(Tool::GeminiCli, &sum), [(InputTokenCount, "out_of_range")]);
    }

    #[test]
    fn a_total_without_parts_is_unclassified() {
        let counts = Tool::Codex.counts(&attributes(&[(Name::InputTokenCount, 0), (Name::ToolTokenCount, 272_000)]));
        let counts = counts.unwrap();
        assert_eq!((counts.unclassified_tokens, counts.total(), counts.request_count), (272_000, 272_000, 1));
    }

    proptest! {
        #[test]
        fn no_token_is_lost_or_doubled(parts in prop::array::uniform5(0..1_000_000_i64), cached in 0..=100_i64, rest in 0..9_i64) {
            let [input, output, thoughts, by_tools, _] = parts;
            let reads = input * cached / 100;
            let total = input + output + thoughts + by_tools + rest;
            let gemini = Tool::GeminiCli.counts(&attributes(&[
                (Name::InputTokenCount, input), (Name::CachedContentTokenCount, reads), (Name::OutputTokenCount, output),
                (Name::ThoughtsTokenCount, thoughts), (Name::ToolTokenCount, by_tools), (Name::TotalTokenCount, total),
            ])).unwrap();
            prop_assert_eq!((gemini.total(), gemini.cache_read_tokens, gemini.reasoning_tokens), (total, reads, thoughts));
            let codex = Tool::Codex.counts(&attributes(&[
                (Name::InputTokenCount, input), (Name::CachedTokenCount, reads), (Name::OutputTokenCount, output),
                (Name::ToolTokenCount, input + output + rest),
            ])).unwrap();
            prop_assert_eq!((codex.total(), codex.input_tokens), (input + output + rest, input - reads));
        }
    }
}
