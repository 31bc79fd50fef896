//! W3C trace context: in which trace a request or a worker step happens.

use opentelemetry::trace::{SpanContext, TraceState};
use opentelemetry::{SpanId, TraceFlags, TraceId};
use uuid::Uuid;

/// Who called, in which trace. Baggage is never taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trace {
    trace_id: TraceId,
    parent_id: SpanId,
    flags: TraceFlags,
}

impl Trace {
    /// A new trace, not sampled.
    pub fn mint() -> Self {
        let (_, random) = Uuid::now_v7().as_u64_pair();
        Self {
            trace_id: TraceId::from_bytes(Uuid::now_v7().into_bytes()),
            parent_id: SpanId::from_bytes(random.to_be_bytes()),
            flags: TraceFlags::NOT_SAMPLED,
        }
    }

    /// Reads a `traceparent` header; `None` where it is not one. Flags are passed on as they came.
    pub fn parse(header: &str) -> Option<Self> {
        let parts: Vec<&str> = header.split('-').collect();
        let [version, trace_id, parent_id, flags, ..] = parts.as_slice() else {
            return None;
        };
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let well_formed = is_hex(version, 2)
            && *version != "ff"
            && (*version != "00" || parts.len() == 4)
            && is_hex(trace_id, 32)
            && is_hex(parent_id, 16)
            && is_hex(flags, 2);
        if !well_formed {
            return None;
        }
        let trace_id = TraceId::from_hex(trace_id).ok().filter(|id| *id != TraceId::INVALID)?;
        let parent_id = SpanId::from_hex(parent_id).ok().filter(|id| *id != SpanId::INVALID)?;
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
        Some(Self { trace_id, parent_id, flags })
    }

    /// The trace with this span as its parent.
    pub fn of(span: &SpanContext) -> Self {
        Self { trace_id: span.trace_id(), parent_id: span.span_id(), flags: span.trace_flags() }
    }

    /// The parent as a span of somebody else, with its `tracestate`.
    pub fn remote(&self, state: TraceState) -> SpanContext {
        SpanContext::new(self.trace_id, self.parent_id, self.flags, true, state)
    }

    /// Whether whoever began the trace records it.
    pub fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }

    /// The trace's id. It prints as 32 hexadecimal digits.
    pub const fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The header to pass on.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_taken_over_only_when_it_is_one() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(Trace::parse(header).unwrap().traceparent(), header);
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        ] {
            assert_eq!(Trace::parse(bad), None, "{bad}");
        }
        let minted = Trace::mint();
        assert_eq!(Trace::parse(&minted.traceparent()), Some(minted));
    }
}
