//! Where traces go: the variables that every program with OpenTelemetry has, as far as halfhour keeps to them.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

use super::values::VariableReader;
use super::variables::Raw;

/// What all of these variables begin with.
pub(super) const PREFIX: &str = "OTEL_";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const RATIO: &str = "OTEL_TRACES_SAMPLER_ARG";
const DISABLED: &str = "OTEL_SDK_DISABLED";

/// How traces are exported.
#[derive(Clone, Debug)]
pub struct TraceExport {
    /// Where to post them.
    pub endpoint: Url,
    /// Sent with each message. Their values may be secrets and are not shown.
    pub headers: HeaderMap,
    /// How long one message may take.
    pub timeout: Duration,
    /// The service's name.
    pub service_name: String,
    /// The part of the traces begun here that is recorded, from 0 to 1.
    pub ratio: f64,
}

impl VariableReader {
    /// `None` where no traces are wanted.
    pub(super) fn traces(&mut self, raw: &Raw) -> Option<TraceExport> {
        // Other programs of the machine may want other values; without a collector they are nobody's business here.
        let url = raw.otel_exporter_otlp_endpoint.as_deref()?;
        let timeout_ms =
            self.number("OTEL_EXPORTER_OTLP_TIMEOUT", raw.otel_exporter_otlp_timeout.clone(), 10_000, 1..=60_000);
        let headers = self.export_headers(raw.otel_exporter_otlp_headers.as_deref().unwrap_or_default());
        let wanted = "a number from 0 to 1, the part of all traces that is recorded";
        let mut ratio: f64 = self.parsed(RATIO, raw.otel_traces_sampler_arg.clone(), "1", wanted);
        if !(0.0..=1.0).contains(&ratio) {
            self.fault(RATIO, format!("must be {wanted}, not {ratio}"));
            ratio = 1.0;
        }
        let is_disabled = raw.otel_sdk_disabled.as_deref().map(str::to_ascii_lowercase);
        let is_disabled: bool = self.parsed(DISABLED, is_disabled, "false", "true or false");
        let endpoint = self.export_endpoint(url)?;
        let service_name = raw.otel_service_name.clone().unwrap_or_else(|| "halfhour".to_owned());
        let timeout = Duration::from_millis(timeout_ms.into());
        (!is_disabled).then_some(TraceExport { endpoint, headers, timeout, service_name, ratio })
    }

    /// The standard's path for traces is put behind what is given. The URL may hold a password and is not repeated.
    fn export_endpoint(&mut self, url: &str) -> Option<Url> {
        let parsed =
            Url::parse(url.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let plain = |url: &Url| {
            let has_user = !url.username().is_empty() || url.password().is_some();
            !has_user && url.query().is_none() && url.fragment().is_none()
        };
        let Some(mut url) = parsed.filter(plain) else {
            let what = format!(
                "must be the URL of a collector that takes OTLP over HTTP, such as http://localhost:4318, without user, \
                 query and fragment; what a collector wants to know of its callers goes into {HEADERS}"
            );
            self.fault(ENDPOINT, what);
            return None;
        };
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Some(url)
    }

    fn export_headers(&mut self, list: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let Some((name, value)) = header(entry) else {
                self.fault(HEADERS, "must list headers such as authorization=Bearer%20TOKEN, separated by commas");
                break;
            };
            headers.append(name, value);
        }
        headers
    }
}

fn header(entry: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = entry.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::read;

    #[test]
    fn nothing_is_exported_unless_a_collector_is_named_and_the_export_is_not_disabled() {
        assert!(read(&[("OTEL_SERVICE_NAME", "x"), ("OTEL_TRACES_SAMPLER_ARG", "remote")]).unwrap().traces.is_none());
        assert!(read(&[(ENDPOINT, "http://c:4318"), (DISABLED, "TRUE")]).unwrap().traces.is_none());
        let traces = read(&[(ENDPOINT, "http://c:4318")]).unwrap().traces.unwrap();
        assert_eq!(traces.endpoint.as_str(), "http://c:4318/v1/traces");
        assert_eq!((traces.service_name.as_str(), traces.timeout), ("halfhour", Duration::from_secs(10)));
        assert!((traces.ratio - 1.0).abs() < f64::EPSILON);
        let traces = read(&[(ENDPOINT, "https://c/otlp/"), (RATIO, " 0.01 ")]).unwrap().traces.unwrap();
        assert_eq!(traces.endpoint.as_str(), "https://c/otlp/v1/traces");
    }

    #[test]
    fn every_fault_names_its_variable_and_repeats_no_secret() {
        for (name, value) in [
            (ENDPOINT, "localhost:4318"),
            (ENDPOINT, "grpc://c:4317"),
            (ENDPOINT, "http://u:hunter2@c:4318"),
            (ENDPOINT, "http://c:4318?key=hunter2"),
            (HEADERS, "authorization hunter2"),
            (HEADERS, "a b=hunter2"),
            (HEADERS, "a=%0Ahunter2"),
            (RATIO, "1.5"),
            (RATIO, "-0.1"),
            (RATIO, "NaN"),
            (RATIO, "all"),
            (DISABLED, "perhaps"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ] {
            let faults = read(&[(ENDPOINT, "http://c:4318"), (name, value)]).unwrap_err().to_string();
            assert!(faults.contains("1 fault(s)") && faults.contains(&format!("{name} must")), "{value}: {faults}");
            assert!(!faults.contains("hunter2"), "{faults}");
        }
    }

    #[test]
    fn headers_are_decoded_and_never_shown() {
        let list = "authorization=Bearer%20hunter2, x-scope = a=b ,";
        let traces = read(&[(ENDPOINT, "http://c"), (HEADERS, list)]).unwrap().traces.unwrap();
        assert_eq!(
            (&traces.headers["authorization"], &traces.headers["x-scope"]),
            (&HeaderValue::from_static("Bearer hunter2"), &HeaderValue::from_static("a=b"),)
        );
        assert!(!format!("{traces:?}").contains("hunter2"));
    }

    #[test]
    fn variables_of_the_standard_that_are_not_kept_to_are_no_fault_and_are_named() {
        let config = read(&[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_SERVICE_NAME", "x"), ("OTHER", "y")]);
        assert!(config.is_err(), "what has another prefix does not come here");
        let config = read(&[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_SERVICE_NAME", "x")]).unwrap();
        assert_eq!(config.unread, ["OTEL_TRACES_EXPORTER"]);
    }
}
