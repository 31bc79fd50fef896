//! Exports as exporters send them: the same one in JSON, and in the protobuf that it stands for.

use prost::Message as _;
use serde_json::{Value, json};

#[derive(Clone, PartialEq, prost::Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_logs: Vec<ScopeLogs>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScopeLogs {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    log_records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LogRecord {
    #[prost(fixed64, tag = "1")]
    time_unix_nano: u64,
    #[prost(int32, tag = "2")]
    severity_number: i32,
    #[prost(message, optional, tag = "5")]
    body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    attributes: Vec<KeyValue>,
    #[prost(fixed32, tag = "8")]
    flags: u32,
    #[prost(bytes = "vec", tag = "9")]
    trace_id: Vec<u8>,
    #[prost(fixed64, tag = "11")]
    observed_time_unix_nano: u64,
    #[prost(string, tag = "12")]
    event_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AnyValue {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Truth(bool),
    #[prost(int64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    List(List),
}

#[derive(Clone, PartialEq, prost::Message)]
struct List {
    #[prost(message, repeated, tag = "1")]
    values: Vec<AnyValue>,
}

/// `ExportLogsServiceResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Answer {
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub rejected_log_records: i64,
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number<T: std::str::FromStr + Default>(value: &Value) -> T {
    let digits = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    digits.parse().unwrap_or_default()
}

fn any(value: &Value) -> Option<AnyValue> {
    let (kind, value) = value.as_object()?.iter().next()?;
    let kind = match kind.as_str() {
        "stringValue" => Kind::Text(text(value)),
        "boolValue" => Kind::Truth(value.as_bool()?),
        "intValue" => Kind::Integer(number(value)),
        "doubleValue" => Kind::Double(value.as_f64()?),
        "arrayValue" => Kind::List(List { values: list(&value["values"]).iter().filter_map(any).collect() }),
        other => panic!("{other}"),
    };
    Some(AnyValue { kind: Some(kind) })
}

fn attributes(holder: &Value) -> Vec<KeyValue> {
    let attribute = |attribute: &Value| KeyValue { key: text(&attribute["key"]), value: any(&attribute["value"]) };
    list(&holder["attributes"]).iter().map(attribute).collect()
}

fn record(record: &Value) -> LogRecord {
    LogRecord {
        time_unix_nano: number(&record["timeUnixNano"]),
        severity_number: number(&record["severityNumber"]),
        body: any(&record["body"]),
        attributes: attributes(record),
        flags: 1,
        trace_id: vec![7; 16],
        observed_time_unix_nano: number(&record["observedTimeUnixNano"]),
        event_name: text(&record["eventName"]),
    }
}

/// What JSON stands for.
pub fn protobuf(export: &Value) -> Vec<u8> {
    let scope_logs = |scope_logs: &Value| ScopeLogs {
        scope: Some(Scope { name: text(&scope_logs["scope"]["name"]) }),
        log_records: list(&scope_logs["logRecords"]).iter().map(record).collect(),
    };
    let resource_logs = |resource_logs: &Value| ResourceLogs {
        resource: Some(Resource { attributes: attributes(&resource_logs["resource"]) }),
        scope_logs: list(&resource_logs["scopeLogs"]).iter().map(scope_logs).collect(),
        schema_url: text(&resource_logs["schemaUrl"]),
    };
    Export { resource_logs: list(&export["resourceLogs"]).iter().map(resource_logs).collect() }.encode_to_vec()
}

/// Attributes of texts and numbers, as JSON writes them.
pub fn with_attributes(values: &Value) -> Value {
    let attributes = values.as_object().unwrap().iter().map(|(key, value)| {
        let value = match value {
            Value::String(text) => json!({ "stringValue": text }),
            Value::Bool(truth) => json!({ "boolValue": truth }),
            number if number.is_f64() => json!({ "doubleValue": number }),
            number => json!({ "intValue": number.to_string() }),
        };
        json!({"key": key, "value": value})
    });
    attributes.collect()
}

/// An export of these records, all of one resource and scope.
pub fn export(records: &[Value]) -> Value {
    json!({"resourceLogs": [{
        "resource": {"attributes": with_attributes(&json!({"service.name": "any", "host.name": "laptop"}))},
        "scopeLogs": [{"scope": {"name": "com.anthropic.claude_code.events"}, "logRecords": records}],
    }]})
}

/// A record of an event at a time, with these attributes besides.
pub fn event(name: &str, at: &str, values: &Value) -> Value {
    let mut all = json!({"event.name": name, "event.timestamp": at});
    all.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
    json!({"timeUnixNano": "0", "observedTimeUnixNano": "1795840761802566867", "attributes": with_attributes(&all)})
}

/// A request of Claude Code: which one of a session, when, and its input and output.
pub fn request(number: usize, at: &str, input: u64, output: u64) -> Value {
    let values = json!({"session.id": "s", "event.sequence": number, "model": "claude-opus-4-5", "input_tokens": input,
        "output_tokens": output});
    event("claude_code.api_request", at, &values)
}
