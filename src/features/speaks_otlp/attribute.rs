//! The attributes that are read, and no others: a prompt, an address or a path in a payload is passed over without a
//! look.

/// Makes the names, in the order in which they go into the hash of a record.
macro_rules! names {
    ($($variant:ident $name:literal;)*) => {
        /// An attribute that is read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Name {
            $(#[doc = concat!("`", $name, "`.")] $variant,)*
        }

        impl Name {
            /// All of them.
            pub(super) const ALL: &[Self] = &[$(Self::$variant),*];

            /// As it is sent.
            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

names! {
    Service "service.name";
    Event "event.name";
    EventKind "event.kind";
    EventTimestamp "event.timestamp";
    EventSequence "event.sequence";
    SessionId "session.id";
    ConversationId "conversation.id";
    PromptId "prompt.id";
    GeminiPromptId "prompt_id";
    RequestId "request_id";
    ClientRequestId "client_request_id";
    Model "model";
    InputTokens "input_tokens";
    OutputTokens "output_tokens";
    CacheReadTokens "cache_read_tokens";
    CacheCreationTokens "cache_creation_tokens";
    InputTokenCount "input_token_count";
    OutputTokenCount "output_token_count";
    CachedTokenCount "cached_token_count";
    CacheWriteTokenCount "cache_write_token_count";
    ReasoningTokenCount "reasoning_token_count";
    CachedContentTokenCount "cached_content_token_count";
    ThoughtsTokenCount "thoughts_token_count";
    ToolTokenCount "tool_token_count";
    TotalTokenCount "total_token_count";
}

impl Name {
    /// What a resource says of all its records.
    const OF_RESOURCES: [Self; 2] = [Self::Service, Self::SessionId];

    /// `None` for an attribute that is not read.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str().as_bytes() == name)
    }
}

/// What an attribute says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AttributeValue {
    /// A text.
    Text(String),
    /// An integer of 64 bits.
    Integer(i64),
    /// A larger integer.
    Huge,
    /// Anything else, which no attribute here is: a truth, a list, a number with a fraction.
    Other,
}

impl AttributeValue {
    /// A number with a point. JavaScript knows no other ones, so that a whole one is an integer.
    pub(super) fn of_double(number: f64) -> Self {
        // Exact in a double, and more than any count may be.
        const MOST: f64 = 9_007_199_254_740_992.0;
        match number {
            whole if whole.fract() == 0.0 && whole.abs() < MOST => {
                format!("{whole:.0}").parse().map_or(Self::Other, Self::Integer)
            }
            whole if whole.fract() == 0.0 => Self::Huge,
            _ => Self::Other,
        }
    }

    /// An integer that is written in digits.
    pub(super) fn of_digits(text: &str) -> Self {
        let digits = text.strip_prefix('-').unwrap_or(text);
        match text.parse() {
            Ok(integer) if !digits.is_empty() => Self::Integer(integer),
            _ if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => Self::Huge,
            _ => Self::Other,
        }
    }
}

/// What is known of one record, or of all records of a resource.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes(Vec<(Name, AttributeValue)>);

impl Attributes {
    /// The value, where there is one.
    pub(super) fn get(&self, name: Name) -> Option<&AttributeValue> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The text, where there is one.
    pub(super) fn text(&self, name: Name) -> Option<&str> {
        match self.get(name)? {
            AttributeValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The last value of a name stays.
    pub(super) fn set(&mut self, name: Name, value: AttributeValue) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// What records have of their resource, where they say nothing else.
    pub(super) fn of_resource(&self) -> Self {
        Self(self.0.iter().filter(|(name, _)| Name::OF_RESOURCES.contains(name)).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_integers_however_they_are_written() {
        for (value, expected) in [
            (AttributeValue::of_digits("1000"), AttributeValue::Integer(1000)),
            (AttributeValue::of_digits("-7"), AttributeValue::Integer(-7)),
            (AttributeValue::of_digits("9223372036854775808"), AttributeValue::Huge),
            (AttributeValue::of_digits("-99999999999999999999"), AttributeValue::Huge),
            (AttributeValue::of_digits(""), AttributeValue::Other),
            (AttributeValue::of_digits("-"), AttributeValue::Other),
            (AttributeValue::of_digits("1.5"), AttributeValue::Other),
            (AttributeValue::of_digits("1e3"), AttributeValue::Other),
            (AttributeValue::of_double(600.0), AttributeValue::Integer(600)),
            (AttributeValue::of_double(-0.0), AttributeValue::Integer(0)),
            (AttributeValue::of_double(1e300), AttributeValue::Huge),
            (AttributeValue::of_double(0.5), AttributeValue::Other),
            (AttributeValue::of_double(f64::NAN), AttributeValue::Other),
            (AttributeValue::of_double(f64::INFINITY), AttributeValue::Other),
        ] {
            assert_eq!(value, expected);
        }
    }

    #[test]
    fn only_names_of_the_list_are_read_and_of_resources_only_two() {
        assert_eq!(Name::of(b"model"), Some(Name::Model));
        for other in [&b"prompt"[..], b"user.email", b"Model", b"model ", b"", b"\xff"] {
            assert_eq!(Name::of(other), None);
        }
        let mut attributes = Attributes::default();
        attributes.set(Name::Model, AttributeValue::Text("m".to_owned()));
        attributes.set(Name::Service, AttributeValue::Text("a".to_owned()));
        attributes.set(Name::Service, AttributeValue::Text("b".to_owned()));
        assert_eq!(attributes.text(Name::Service), Some("b"));
        let inherited = attributes.of_resource();
        assert_eq!((inherited.text(Name::Model), inherited.text(Name::Service)), (None, Some("b")));
    }
}
