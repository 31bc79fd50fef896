//! Spans: what a sampled call leaves behind for a collector of traces.
//!
//! A [`Tracer`] that is off makes no span, and neither does one that is on for a call that is not sampled. A [`CallSpan`] is
//! then empty, and everything done with it is nothing.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TraceState, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span as SdkSpan};

use super::trace::Trace;

/// Names of methods that a span may have; others are one.
const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
const OTHER_METHOD: &str = "_OTHER";
/// A longer `tracestate` is dropped.
const LONGEST_STATE: usize = 1_024;
/// Parts that are kept of a span that is not begun yet.
const MOST_PARTS: usize = 8;

/// Makes spans, or is off. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<SdkTracer>);

/// One span, or none. Clones share it. It ends when that is said, or with the last clone.
#[derive(Clone, Debug, Default)]
pub struct CallSpan(Option<Arc<Mutex<State>>>);

#[derive(Debug)]
enum State {
    /// Whether there is to be a span is not known yet. Its parts wait.
    Undecided { tracer: SdkTracer, since: SystemTime, parts: Vec<SpanPart> },
    /// It is being recorded. Its parts are its children.
    Recorded { tracer: SdkTracer, span: Box<SdkSpan>, as_parent: Context },
}

/// One thing that was done and is over.
#[derive(Debug)]
pub struct SpanPart {
    /// A fixed word.
    pub name: Cow<'static, str>,
    /// When it began.
    pub since: SystemTime,
    /// When it was over.
    pub until: SystemTime,
    /// What it is, in attributes.
    pub attributes: Vec<KeyValue>,
    /// What it failed with: a word of few.
    pub error: Option<Cow<'static, str>>,
}

impl Tracer {
    /// Makes no span.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Makes spans that `provider` samples and hands on.
    pub fn new(provider: &SdkTracerProvider) -> Self {
        Self(Some(provider.tracer("halfhour")))
    }

    /// Whether it may make any.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A request, in the caller's trace where it named one; `state` is its `tracestate`. The caller decides whether it is
    /// sampled, else the ratio does. `method` is unknown where the head could not be read. Returns the trace to pass on: its
    /// parent is the request's span.
    pub fn begin_request(
        &self,
        caller: Option<Trace>,
        state: Option<&str>,
        method: Option<&str>,
        route: Option<&str>,
    ) -> (Trace, CallSpan) {
        let (tracer, caller) = match (&self.0, caller) {
            (None, caller) => return (caller.unwrap_or_else(Trace::mint), CallSpan::default()),
            (Some(_), Some(caller)) if !caller.is_sampled() => return (caller, CallSpan::default()),
            (Some(tracer), caller) => (tracer, caller),
        };
        let parent = caller.map(|caller| Context::new().with_remote_span_context(caller.remote(read_state(state))));
        let builder = SpanBuilder::from_name("request").with_kind(SpanKind::Server);
        let mut span = tracer.build_with_context(builder, &parent.unwrap_or_default());
        let trace = Trace::of(span.span_context());
        if !span.is_recording() {
            return (trace, CallSpan::default());
        }
        let method = METHODS.into_iter().find(|known| method == Some(*known)).unwrap_or(OTHER_METHOD);
        span.update_name(match (route, method) {
            (Some(route), OTHER_METHOD) => format!("HTTP {route}"),
            (Some(route), method) => format!("{method} {route}"),
            (None, OTHER_METHOD) => "HTTP".to_owned(),
            (None, method) => method.to_owned(),
        });
        span.set_attribute(KeyValue::new("http.request.method", method));
        if let Some(route) = route {
            span.set_attribute(KeyValue::new("http.route", route.to_owned()));
        }
        (trace, CallSpan::recorded(tracer.clone(), span))
    }

    /// A step of a worker that nobody asked for, sampled by the ratio.
    pub fn begin_step(&self, name: &'static str) -> (Trace, CallSpan) {
        let Some(tracer) = &self.0 else { return (Trace::mint(), CallSpan::default()) };
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Internal);
        let span = tracer.build_with_context(builder, &Context::new());
        (Trace::of(span.span_context()), CallSpan::recorded(tracer.clone(), span))
    }

    /// Work on behalf of others, in a trace of its own with links to theirs. It is sampled where one of them is.
    pub fn begin_work<'a>(&self, name: &'static str, causes: impl Iterator<Item = &'a CallSpan>) -> CallSpan {
        if !self.is_on() {
            return CallSpan::default();
        }
        let causes: Vec<SpanContext> = causes.filter_map(CallSpan::context).collect();
        if causes.is_empty() {
            return CallSpan::default();
        }
        let span = self.undecided();
        span.begin_linked(name, causes);
        span
    }

    /// Work of which it shows later whether it is on anybody's behalf.
    pub fn undecided(&self) -> CallSpan {
        let state =
            self.0.clone().map(|tracer| State::Undecided { tracer, since: SystemTime::now(), parts: Vec::new() });
        CallSpan(state.map(|state| Arc::new(Mutex::new(state))))
    }
}

impl CallSpan {
    fn recorded(tracer: SdkTracer, span: SdkSpan) -> Self {
        if !span.is_recording() {
            return Self::default();
        }
        let as_parent = Context::new().with_remote_span_context(span.span_context().clone());
        Self(Some(Arc::new(Mutex::new(State::Recorded { tracer, span: Box::new(span), as_parent }))))
    }

    fn state(&self) -> Option<MutexGuard<'_, State>> {
        self.0.as_ref().map(|state| state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins what was undecided, as of when that was made, if one of its causes is sampled; with links to these.
    pub fn begin(&self, name: &'static str, causes: impl Iterator<Item = Trace>) {
        if self.takes_parts() {
            self.begin_linked(name, sampled(causes));
        }
    }

    fn begin_linked(&self, name: &'static str, causes: Vec<SpanContext>) {
        let Some(mut state) = self.state() else { return };
        let State::Undecided { tracer, since, parts } = &mut *state else { return };
        if causes.is_empty() {
            return;
        }
        let builder = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Internal)
            .with_start_time(*since)
            .with_links(causes.into_iter().map(Link::with_context).collect());
        let (tracer, parts) = (tracer.clone(), std::mem::take(parts));
        let span = tracer.build_with_context(builder, &Context::new());
        let as_parent = Context::new().with_remote_span_context(span.span_context().clone());
        for part in parts {
            child(&tracer, &as_parent, part);
        }
        *state = State::Recorded { tracer, span: Box::new(span), as_parent };
    }

    /// Whether it is of any use to measure a part.
    pub const fn takes_parts(&self) -> bool {
        self.0.is_some()
    }

    /// Something that was done in it and is over.
    pub fn add(&self, part: SpanPart) {
        let Some(mut state) = self.state() else { return };
        match &mut *state {
            State::Undecided { parts, .. } if parts.len() < MOST_PARTS => parts.push(part),
            State::Undecided { .. } => {}
            State::Recorded { tracer, as_parent, .. } => child(tracer, as_parent, part),
        }
    }

    /// What others link to; `None` where it is not recorded.
    pub fn context(&self) -> Option<SpanContext> {
        match &*self.state()? {
            State::Recorded { span, .. } => Some(span.span_context().clone()),
            State::Undecided { .. } => None,
        }
    }

    /// More causes of what has begun.
    pub fn link_to_causes(&self, causes: impl Iterator<Item = Trace>) {
        self.change(|span| sampled(causes).into_iter().for_each(|cause| span.add_link(cause, Vec::new())));
    }

    /// Says which span worked on its behalf.
    pub fn link_to(&self, other: &Self) {
        if let Some(context) = other.context() {
            self.change(|span| span.add_link(context, Vec::new()));
        }
    }

    /// What more there is to say of it.
    pub fn note(&self, key: &'static str, value: impl Into<Value>) {
        self.change(|span| span.set_attribute(KeyValue::new(key, value)));
    }

    /// It failed with an error of this name, which is one of few.
    pub fn fail(&self, error: &'static str) {
        self.change(|span| {
            span.set_attribute(KeyValue::new("error.type", error));
            span.set_status(Status::error(""));
        });
    }

    /// It is over.
    pub fn end(&self) {
        self.change(opentelemetry::trace::Span::end);
    }

    fn change(&self, change: impl FnOnce(&mut SdkSpan)) {
        if let Some(mut state) = self.state()
            && let State::Recorded { span, .. } = &mut *state
        {
            change(span);
        }
    }
}

/// Those of the traces that are sampled, each once.
fn sampled(traces: impl Iterator<Item = Trace>) -> Vec<SpanContext> {
    let mut seen = HashSet::new();
    let new = traces.filter(|trace| trace.is_sampled() && seen.insert(*trace));
    new.map(|trace| trace.remote(TraceState::NONE)).collect()
}

fn child(tracer: &SdkTracer, parent: &Context, part: SpanPart) {
    let SpanPart { name, since, until, attributes, error } = part;
    let builder =
        SpanBuilder::from_name(name).with_kind(SpanKind::Client).with_start_time(since).with_attributes(attributes);
    let mut span = tracer.build_with_context(builder, parent);
    if let Some(error) = error {
        span.set_attribute(KeyValue::new("error.type", error));
        span.set_status(Status::error(""));
    }
    span.end_with_timestamp(until);
}

/// One that is malformed is none, which the standard wants.
fn read_state(header: Option<&str>) -> TraceState {
    let header = header.filter(|header| header.len() <= LONGEST_STATE);
    header.and_then(|header| header.parse().ok()).unwrap_or(TraceState::NONE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{Sampler, SpanData, SpanProcessor};

    use super::*;

    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// Keeps what has ended.
    #[derive(Clone, Debug, Default)]
    struct Ended(Arc<Mutex<Vec<SpanData>>>);

    impl SpanProcessor for Ended {
        fn on_start(&self, _: &mut SdkSpan, _: &Context) {}

        fn on_end(&self, span: SpanData) {
            self.0.lock().unwrap().push(span);
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    fn tracer(root: Sampler) -> (Tracer, Ended) {
        let ended = Ended::default();
        let sampler = Sampler::ParentBased(Box::new(root));
        let provider = SdkTracerProvider::builder().with_span_processor(ended.clone()).with_sampler(sampler).build();
        (Tracer::new(&provider), ended)
    }

    fn part(name: &'static str) -> SpanPart {
        let now = SystemTime::now();
        SpanPart { name: name.into(), since: now, until: now, attributes: Vec::new(), error: Some("57014".into()) }
    }

    #[test]
    fn a_sampled_caller_is_continued_with_its_state_and_an_unsampled_one_passed_on_as_it_came() {
        let (tracer, ended) = tracer(Sampler::AlwaysOff);
        let caller = Trace::parse(CALLER).unwrap();
        let (trace, span) = tracer.begin_request(Some(caller), Some("a=1,b=2"), Some("POST"), Some("/v1/buckets"));
        assert_eq!(trace.trace_id(), caller.trace_id());
        assert!(trace.is_sampled() && trace != caller);
        span.add(part("upsert_buckets"));
        span.end();
        span.add(part("late"));
        let names: Vec<_> = ended.0.lock().unwrap().iter().map(|span| span.name.to_string()).collect();
        assert_eq!(names, ["upsert_buckets", "POST /v1/buckets", "late"]);
        for span in ended.0.lock().unwrap().iter() {
            assert_eq!(span.span_context.trace_state().header(), "a=1,b=2");
        }

        let unsampled = Trace::parse(&CALLER.replace("-01", "-00")).unwrap();
        let (trace, span) = tracer.begin_request(Some(unsampled), None, Some("POST"), None);
        assert_eq!((trace, span.takes_parts()), (unsampled, false));
        let (trace, span) = tracer.begin_request(None, None, Some("POST"), None);
        assert!(!trace.is_sampled() && !span.takes_parts() && Trace::parse(&trace.traceparent()) == Some(trace));
    }

    #[test]
    fn a_state_that_is_malformed_or_too_long_is_none_and_an_invented_method_is_no_name() {
        let (tracer, ended) = tracer(Sampler::AlwaysOn);
        let long = format!("a={}", "x".repeat(LONGEST_STATE));
        for state in ["no pair", "A B=c", long.as_str(), ""] {
            let (_, span) = tracer.begin_request(Trace::parse(CALLER), Some(state), Some("SECRET"), None);
            span.end();
            let span = ended.0.lock().unwrap().pop().unwrap();
            assert_eq!(
                (span.span_context.trace_state().header(), span.name.as_ref()),
                (String::new(), "HTTP"),
                "{state}"
            );
            assert!(!format!("{span:?}").contains("SECRET"), "{span:?}");
        }
    }

    #[test]
    fn what_is_undecided_keeps_its_parts_and_leaves_nothing_unless_a_cause_is_sampled() {
        let (tracer, ended) = tracer(Sampler::AlwaysOn);
        let caller = Trace::parse(CALLER).unwrap();
        let unsampled = Trace::parse(&CALLER.replace("-01", "-00")).unwrap();
        let idle = tracer.undecided();
        (0..2 * MOST_PARTS).for_each(|_| idle.add(part("claim_events")));
        idle.begin("relay_round", [unsampled].into_iter());
        assert!(idle.context().is_none());
        drop(idle);
        assert!(ended.0.lock().unwrap().is_empty());

        let round = tracer.undecided();
        round.add(part("claim_events"));
        round.begin("relay_round", [unsampled, caller, caller].into_iter());
        round.end();
        let ended = ended.0.lock().unwrap();
        let [claim, round] = &ended[..] else { panic!("{ended:?}") };
        assert_eq!((claim.parent_span_id, &claim.status), (round.span_context.span_id(), &Status::error("")));
        let links: Vec<_> = round.links.iter().map(|link| link.span_context.trace_id()).collect();
        assert_eq!(links, [caller.trace_id()]);
        assert_ne!(round.span_context.trace_id(), caller.trace_id());
    }

    #[test]
    fn off_makes_nothing_and_passes_on_what_came() {
        let (tracer, caller) = (Tracer::off(), Trace::parse(CALLER).unwrap());
        let (trace, span) = tracer.begin_request(Some(caller), Some("a=1"), Some("POST"), None);
        assert_eq!((trace, span.takes_parts(), tracer.undecided().takes_parts()), (caller, false, false));
        assert!(!tracer.begin_work("writer_batch", [&span].into_iter()).takes_parts());
        assert!(!tracer.begin_step("backfill_step").1.takes_parts());
    }
}
