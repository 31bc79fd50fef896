//! Traces: spans that are sampled go to a collector over OTLP/HTTP. Nobody ever waits for it.
//!
//! A span that has ended waits in a bounded queue. A thread of its own sends what waits, a batch at a time and each within a
//! limit. What finds the queue full, and what the collector does not take, is counted and gone.

mod exporter;
mod queue;
mod sampling;

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanLimits};
use uuid::Uuid;

use crate::config::TraceExport;
use crate::kernel::call::Tracer;

use exporter::Exporter;
use queue::Queue;
use sampling::Sampling;

/// Spans that one span may be linked to; a batch may have more posts than this.
const MOST_LINKS: u32 = 64;
/// How long the end of the process may wait for what has not been sent.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// Sends spans, or does nothing.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Starts sending on the current runtime, where that is configured. Errors: no HTTP client can be made.
    pub fn start(settings: Option<&TraceExport>) -> anyhow::Result<Self> {
        let Some(settings) = settings else { return Ok(Self(None)) };
        let exporter = Exporter::new(settings).context("OTEL_EXPORTER_OTLP_ENDPOINT")?;
        let resource = Resource::builder_empty().with_attributes([
            KeyValue::new("service.name", settings.service_name.clone()),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", Uuid::now_v7().to_string()),
        ]);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Queue::new(exporter))
            .with_sampler(Sampling::by_ratio(settings.ratio))
            // All of them, because the SDK would take the others from the environment.
            .with_span_limits(SpanLimits { max_links_per_span: MOST_LINKS, ..SpanLimits::default() })
            .with_resource(resource.build());
        Ok(Self(Some(provider.build())))
    }

    /// What makes the spans.
    pub fn tracer(&self) -> Tracer {
        self.0.as_ref().map_or_else(Tracer::off, Tracer::new)
    }

    /// Sends what waits, within a limit: at the end of the process.
    pub async fn close(self) {
        let Some(provider) = self.0 else { return };
        let closed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_LIMIT));
        if !matches!(closed.await, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be sent in time");
        }
    }
}
