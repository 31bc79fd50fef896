//! The bounded queue before the exporter. The SDK's processor drops what it has no room for where nobody can count it, so
//! that the room is kept account of here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};

use super::exporter::{Exporter, count};

/// Spans that may wait.
const QUEUE_SPANS: usize = 2_048;
/// Spans of one message.
const BATCH_SPANS: usize = 512;
/// For how long spans are gathered.
const GATHER: Duration = Duration::from_secs(1);

/// Hands spans that have ended to a thread that sends them. It never waits.
#[derive(Debug)]
pub(super) struct Queue {
    processor: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
}

/// Makes room in the queue for what it takes.
#[derive(Debug)]
struct Outlet {
    exporter: Exporter,
    waiting: Arc<AtomicUsize>,
}

impl Queue {
    pub(super) fn new(exporter: Exporter) -> Self {
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_SPANS)
            .with_max_export_batch_size(BATCH_SPANS)
            .with_scheduled_delay(GATHER)
            .build();
        let waiting = Arc::<AtomicUsize>::default();
        let outlet = Outlet { exporter, waiting: waiting.clone() };
        Self { processor: BatchSpanProcessor::new(outlet, config), waiting }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let one_more = |waiting| (waiting < QUEUE_SPANS).then_some(waiting + 1);
        match self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => self.processor.on_end(span),
            Err(_) => count("dropped", 1),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, limit: Duration) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(limit)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.processor.set_resource(resource);
    }
}

impl SpanExporter for Outlet {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        self.waiting.fetch_sub(spans.len(), Ordering::Relaxed);
        self.exporter.send(spans).await
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
