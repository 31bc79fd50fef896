//! A collector of traces that is as good or as bad as a test wants it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;

use crate::http::wait_until;

/// How a collector answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It takes everything.
    Takes,
    /// It takes everything but one span of each message.
    TakesInPart,
    /// It takes connections and messages, and never answers.
    IsSilent,
    /// It answers after a while.
    IsSlow,
    /// It answers 503.
    Refuses,
    /// It answers 503 to the first two messages, and takes the others.
    RefusesAtFirst,
    /// It answers 200 and a page that does not end.
    Babbles,
    /// It answers with a redirection to itself.
    SendsAround,
}

/// What came.
#[derive(Debug, Default)]
struct Received {
    messages: Vec<Bytes>,
    headers: Vec<HeaderMap>,
}

/// A collector that listens.
#[derive(Clone, Debug)]
pub struct Collector {
    pub address: SocketAddr,
    received: Arc<Mutex<Received>>,
    manner: Manner,
}

impl Collector {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self { address: listener.local_addr().unwrap(), received: Arc::default(), manner };
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        collector
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Messages so far.
    pub fn messages(&self) -> usize {
        self.received.lock().unwrap().messages.len()
    }

    /// The headers of the first message.
    pub fn headers(&self) -> HeaderMap {
        self.received.lock().unwrap().headers[0].clone()
    }

    /// Whether these bytes stand anywhere in what came.
    pub fn has_heard(&self, text: &str) -> bool {
        let received = self.received.lock().unwrap();
        received.messages.iter().any(|message| message.windows(text.len()).any(|part| part == text.as_bytes()))
    }

    /// The resource that every span was sent for.
    pub fn resource(&self) -> BTreeMap<String, String> {
        let received = self.received.lock().unwrap();
        let message = ExportTraceServiceRequest::decode(received.messages[0].clone()).unwrap();
        attributes(&message.resource_spans[0].resource.clone().unwrap().attributes)
    }

    /// The spans that came.
    pub fn spans(&self) -> Spans {
        let received = self.received.lock().unwrap();
        let messages = received.messages.iter().map(|bytes| ExportTraceServiceRequest::decode(bytes.clone()).unwrap());
        let scopes = messages.flat_map(|message| message.resource_spans).flat_map(|resource| resource.scope_spans);
        Spans(scopes.flat_map(|scope| scope.spans).collect())
    }

    /// The spans, as soon as one of this name is among them.
    pub async fn spans_with(&self, name: &str) -> Spans {
        wait_until(name, || self.spans().0.iter().any(|span| span.name == name)).await;
        self.spans()
    }
}

/// Spans that came, in the order in which they ended.
#[derive(Debug)]
pub struct Spans(pub Vec<Span>);

impl Spans {
    /// The only one of this name.
    #[track_caller]
    pub fn one(&self, name: &str) -> &Span {
        let named: Vec<_> = self.0.iter().filter(|span| span.name == name).collect();
        assert_eq!(named.len(), 1, "{name} in {:?}", self.names());
        named[0]
    }

    /// The names of a span's children.
    pub fn children(&self, parent: &Span) -> BTreeSet<&str> {
        let is_child = |span: &&Span| span.parent_span_id == parent.span_id && span.trace_id == parent.trace_id;
        self.0.iter().filter(is_child).map(|span| span.name.as_str()).collect()
    }

    pub fn names(&self) -> BTreeSet<&str> {
        self.0.iter().map(|span| span.name.as_str()).collect()
    }

    /// Those of one trace.
    pub fn of_trace(&self, trace_id: &str) -> Self {
        Self(self.0.iter().filter(|span| hex(&span.trace_id) == trace_id).cloned().collect())
    }
}

/// Whether one links to the other.
pub fn links(from: &Span, to: &Span) -> bool {
    from.links.iter().any(|link| link.trace_id == to.trace_id && link.span_id == to.span_id)
}

pub fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    list.iter().map(|attribute| (attribute.key.clone(), text(&attribute.value))).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, message: Bytes) -> axum::response::Response {
    use axum::response::IntoResponse as _;

    {
        let mut received = collector.received.lock().unwrap();
        received.messages.push(message);
        received.headers.push(headers);
    }
    let mut answer = ExportTraceServiceResponse::default();
    match collector.manner {
        Manner::Takes => {}
        Manner::TakesInPart => {
            let error_message = "one too many".to_owned();
            answer.partial_success = Some(ExportTracePartialSuccess { rejected_spans: 1, error_message });
        }
        Manner::IsSilent => std::future::pending().await,
        Manner::IsSlow => tokio::time::sleep(Duration::from_millis(700)).await,
        Manner::RefusesAtFirst if collector.messages() > 2 => {}
        Manner::Refuses | Manner::RefusesAtFirst => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Manner::Babbles => {
            let page =
                futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0x20; 8_192])));
            return axum::body::Body::from_stream(page).into_response();
        }
        Manner::SendsAround => {
            let location = collector.url() + "/v1/traces";
            return (StatusCode::TEMPORARY_REDIRECT, [("location", location)]).into_response();
        }
    }
    ([("content-type", "application/x-protobuf")], answer.encode_to_vec()).into_response()
}
