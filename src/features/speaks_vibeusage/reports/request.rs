//! What vibeusage's tracker sends.

use serde_json::Value;
use utoipa::ToSchema;

use crate::kernel::dialect::{
    Claimed, Dialect, ForeignBody, ForeignFields, Meaning, Newcomer, Objection, Row, Rows, Twice, UnknownModel,
    UnlistedTool, no_known_body,
};
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::problem::Problem;
use crate::kernel::usage::intake::Draft;

/// What is particular about this protocol.
pub const VIBEUSAGE: Dialect = Dialect {
    name: "vibeusage",
    meaning: Meaning::VibeUsage,
    unlisted: UnlistedTool::KeptAsOther,
    twice: Twice::Last,
    unknown: UnknownModel::IsNamedLater,
    mark: br#""hour_start""#,
    read: rows,
};

/// More rows are too many.
const MOST_ROWS: usize = 500;

/// The tool of a row that names none.
const FIRST_TOOL: &str = "codex";

/// A report.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub struct VibeUsageReport {
    /// Snapshots of half hours; at most 500.
    #[schema(required = false)]
    hourly: Vec<VibeUsageRow>,
    /// The same tokens by project: not read.
    #[schema(required = false)]
    project_hourly: Vec<Value>,
    /// Not read.
    #[schema(required = false)]
    device_subscriptions: Vec<Value>,
}

/// What was used of a model, through a tool, in a half hour. What the counts hold differs by tool.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub struct VibeUsageRow {
    /// The tool, by its name here or by another one that `GET /v1/sources` lists.
    #[schema(required = false, example = "codex")]
    source: String,
    /// The model, by the tool's name for it.
    #[schema(required = false, example = "gpt-5.2-codex")]
    model: String,
    /// The start of the half hour.
    #[schema(example = "2026-11-20T10:30:00.000Z")]
    hour_start: String,
    /// Input.
    #[schema(required = false)]
    input_tokens: i64,
    /// Input from a cache.
    #[schema(required = false)]
    cached_input_tokens: i64,
    /// Output.
    #[schema(required = false)]
    output_tokens: i64,
    /// Reasoning.
    #[schema(required = false)]
    reasoning_output_tokens: i64,
    /// All of it, as the tracker adds it up.
    #[schema(required = false)]
    total_tokens: i64,
}

/// A sign of life.
#[derive(Debug, ToSchema)]
pub struct VibeUsagePing {}

/// A new device of a viewer.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub struct VibeUsageNewcomer {
    /// A number is added where a device has that name.
    #[schema(required = false, example = "laptop")]
    device_name: String,
    /// What it runs.
    #[schema(required = false, example = "linux")]
    platform: String,
}

/// A link code to exchange.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub struct VibeUsageExchange {
    /// As its owner typed or pasted it.
    #[schema(example = "7K3M-9QXD-2VTA")]
    link_code: String,
    /// The same one gets the same token again.
    #[schema(example = "00000000-0000-4000-8000-000000000001")]
    request_id: String,
    /// A number is added where a device has that name.
    #[schema(required = false, example = "laptop")]
    device_name: String,
    /// What it runs.
    #[schema(required = false, example = "linux")]
    platform: String,
}

/// The rows of a report: a list, or one in `hourly` or `data`. Errors: 400 for what is not JSON, 413 for too many rows, 422
/// for what is no report.
fn rows(body: &[u8]) -> Result<Rows, Problem> {
    let ForeignBody(body) = ForeignBody::parse(body)?;
    let rows = found(&body).ok_or_else(|| no_known_body("`hourly`, a list"))?;
    if rows.len() > MOST_ROWS {
        return Err(Draft::too_large());
    }
    let is_ours = |row: &Value| ForeignFields::of(row).is_some_and(|fields| fields.get("hour_start").is_some());
    if !rows.is_empty() && !rows.iter().any(is_ours) {
        return Err(no_known_body("`hourly` whose members have an `hour_start`"));
    }
    Ok(rows.iter().map(row).collect())
}

fn found(body: &Value) -> Option<&[Value]> {
    if let Value::Array(rows) = body {
        return Some(rows);
    }
    let fields = ForeignFields::of(body)?;
    if let Some(data) = fields.get("data") {
        return found(data);
    }
    match fields.get("hourly") {
        Some(Value::Array(rows)) => Some(rows),
        Some(_) => None,
        // A newer tracker may have only these to say.
        None => {
            ["project_hourly", "device_subscriptions"].iter().any(|name| fields.list(name).is_some()).then_some(&[])
        }
    }
}

fn row(value: &Value) -> Result<Row, Objection> {
    let fields = ForeignFields::of(value).ok_or("wrong_type")?;
    let claimed = Claimed {
        input: fields.count("input_tokens")?,
        cached: fields.count("cached_input_tokens")?,
        output: fields.count("output_tokens")?,
        reasoning: fields.count("reasoning_output_tokens")?,
        total: fields.count("total_tokens")?,
        ..Claimed::default()
    };
    let tool = fields.text("source")?.filter(|tool| !tool.trim().is_empty()).unwrap_or(FIRST_TOOL);
    Ok(Row {
        tool: tool.to_owned(),
        model: fields.text("model")?.map(str::to_owned),
        hour_start: Some(fields.half_hour("hour_start")?),
        claimed,
        ..Row::default()
    })
}

/// The new device of a viewer. Errors: 400 for what is no JSON object.
pub fn newcomer(body: &[u8]) -> Result<Newcomer, Problem> {
    let body = ForeignBody::parse(body)?;
    Ok(newcomer_of(body.fields()?))
}

fn newcomer_of(fields: ForeignFields<'_>) -> Newcomer {
    let (name, platform) = (fields.label("device_name", 100, "vibeusage"), fields.label("platform", 40, "unknown"));
    Newcomer { name, platform, machine: None }
}

/// A link code, the id of its exchange, and the new device. Errors: 400 for what is no JSON object, 422 where the code or
/// the id is missing.
pub fn exchange(body: &[u8]) -> Result<(String, String, Newcomer), Problem> {
    let newcomer = newcomer(body)?;
    let mut fields = FieldReader::of_body(body, &["link_code", "request_id", "device_name", "platform"])?;
    let code = fields.text("link_code", |text| Ok(text.to_owned()));
    let request_id = fields.text("request_id", |text| Ok(text.to_owned()));
    fields.finish(code.zip(request_id)).map(|(code, request_id)| (code, request_id, newcomer))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<Vec<Result<Row, Objection>>, &'static str> {
        rows(body.to_string().as_bytes()).map_err(|problem| problem.code().as_str())
    }

    #[test]
    fn a_report_is_a_list_wherever_it_stands() {
        let row = json!({"hour_start": "2026-11-20T10:30:00.000Z", "input_tokens": "12", "source": " ", "model": null});
        let list = json!([row]);
        for body in [list.clone(), json!({"hourly": list}), json!({"data": list}), json!({"data": {"hourly": list}})] {
            let rows = read(&body).unwrap();
            let [Ok(Row { tool, model: None, claimed, .. })] = rows.as_slice() else { panic!("{rows:?}") };
            assert_eq!((tool.as_str(), claimed.input), ("codex", 12));
        }
        for empty in
            [json!([]), json!({"hourly": []}), json!({"project_hourly": [{}]}), json!({"device_subscriptions": []})]
        {
            assert_eq!(read(&empty), Ok(Vec::new()), "{empty}");
        }
    }

    #[test]
    fn what_is_no_report_of_this_protocol_is_refused() {
        for bad in [
            json!({}),
            json!({"hourly": {}}),
            json!({"buckets": []}),
            json!({"data": {"data": 7}}),
            json!({"hourly": [{"bucketStart": "2026-11-20T10:30:00.000Z"}]}),
            json!(7),
        ] {
            assert_eq!(read(&bad), Err("invalid"), "{bad}");
        }
        let many = vec![json!({"hour_start": "x"}); 501];
        assert_eq!(read(&json!({ "hourly": many })), Err("batch_too_large"));
    }

    #[test]
    fn an_exchange_names_what_is_missing() {
        let problem = exchange(b"{\"device_name\":\"a\"}").unwrap_err();
        let pointers: Vec<_> = problem.violations().iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!(pointers, ["/link_code", "/request_id"]);
    }
}
