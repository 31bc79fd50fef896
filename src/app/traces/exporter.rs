//! One message of OTLP/HTTP at a time, as protobuf, within a limit. What the collector does not take is gone.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::SpanData;
use prost::Message as _;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::runtime::Handle;

use crate::config::TraceExport;

/// No more of an answer is read.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Sends spans to the collector.
#[derive(Debug)]
pub(super) struct Exporter {
    client: Client,
    endpoint: Url,
    resource: ResourceAttributesWithSchema,
    /// Where requests run: who asks for them is a thread without a runtime.
    runtime: Handle,
    fails: AtomicBool,
}

/// What became of spans: `sent`, `refused` or `dropped`.
pub(super) fn count(outcome: &'static str, spans: usize) {
    metrics::counter!("halfhour_trace_spans_total", "outcome" => outcome)
        .increment(u64::try_from(spans).unwrap_or(u64::MAX));
}

impl Exporter {
    /// Errors: the machine's certificates cannot be read.
    pub(super) fn new(settings: &TraceExport) -> reqwest::Result<Self> {
        // The client asks for the process's one; whoever comes first sets it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder();
        if settings.endpoint.scheme() == "http" {
            // A machine without certificates may have a collector next door.
            client = client.tls_certs_only([]);
        }
        let client = client
            .default_headers(settings.headers.clone())
            // From connecting to the end of the answer.
            .timeout(settings.timeout)
            .redirect(Policy::none())
            // Only the configuration reads the environment.
            .no_proxy()
            .build()?;
        Ok(Self {
            client,
            endpoint: settings.endpoint.clone(),
            resource: ResourceAttributesWithSchema::default(),
            runtime: Handle::current(),
            fails: AtomicBool::new(false),
        })
    }

    pub(super) fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }

    /// Sends a batch once. Errors: the collector did not take it.
    pub(super) async fn send(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        let number = spans.len();
        let message =
            ExportTraceServiceRequest { resource_spans: group_spans_by_resource_and_scope(spans, &self.resource) };
        let request = self
            .client
            .post(self.endpoint.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(message.encode_to_vec());
        let sent = self.runtime.spawn(refused_spans(request)).await;
        match sent.unwrap_or_else(|_stopped| Err("the process ended".to_owned())) {
            Ok(refused) => {
                let refused = refused.min(number);
                count("refused", refused);
                count("sent", number - refused);
                if self.fails.swap(false, Ordering::Relaxed) {
                    tracing::info!("the collector of traces takes spans again");
                }
                Ok(())
            }
            Err(error) => {
                count("refused", number);
                // Once, and not for each batch.
                if !self.fails.swap(true, Ordering::Relaxed) {
                    tracing::warn!(error, "the collector of traces takes no spans; until it does they are lost");
                }
                Err(OTelSdkError::InternalFailure(error))
            }
        }
    }
}

/// How many spans of a message the collector did not take. Errors: it took none; why, without the address.
async fn refused_spans(request: reqwest::RequestBuilder) -> Result<usize, String> {
    let chain = |error: reqwest::Error| {
        let error = error.without_url();
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    };
    let mut response = request.send().await.map_err(chain)?;
    if !response.status().is_success() {
        return Err(format!("it answered {}", response.status().as_u16()));
    }
    let mut answer = Vec::new();
    while let Some(part) = response.chunk().await.map_err(chain)? {
        if answer.len() + part.len() > LONGEST_ANSWER {
            return Ok(0);
        }
        answer.extend_from_slice(&part);
    }
    // Whatever else it says after a success, it took the spans.
    let answer = ExportTraceServiceResponse::decode(&answer[..]).unwrap_or_default();
    Ok(answer.partial_success.map_or(0, |partial| usize::try_from(partial.rejected_spans).unwrap_or(0)))
}
