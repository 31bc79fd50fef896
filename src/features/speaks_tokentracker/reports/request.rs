//! What TokenTracker sends.

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
pub const TOKENTRACKER: Dialect = Dialect {
    name: "tokentracker",
    meaning: Meaning::TokenTracker,
    unlisted: UnlistedTool::KeptAsOther,
    twice: Twice::Larger,
    unknown: UnknownModel::IsNamedLater,
    mark: br#""hour_start""#,
    read: rows,
};

/// Tools whose rows are those of an account, which every machine of its owner reports.
const OF_ACCOUNTS: [&str; 2] = ["cursor", "trae-cn"];

/// More rows are too many.
const MOST_ROWS: usize = 500;

/// A report.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub struct TokenTrackerReport {
    /// Snapshots of half hours; at most 500.
    #[schema(required = false)]
    hourly: Vec<TokenTrackerRow>,
    /// What the rows of an account hold, by session: not read.
    #[schema(required = false)]
    account_session_states: Vec<Value>,
}

/// What was used of a model, through a tool, in a half hour.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub struct TokenTrackerRow {
    /// The tool, by its name here or by another one that `GET /v1/sources` lists.
    #[schema(example = "codex")]
    source: String,
    /// The model, by the tool's name for it.
    #[schema(required = false, example = "gpt-5.2-codex")]
    model: String,
    /// The start of the half hour.
    #[schema(example = "2026-11-20T10:30:00.000Z")]
    hour_start: String,
    /// Uncached input; of `gemini` all input.
    #[schema(required = false)]
    input_tokens: i64,
    /// Input from a cache.
    #[schema(required = false)]
    cached_input_tokens: i64,
    /// Input written to a cache.
    #[schema(required = false)]
    cache_creation_input_tokens: i64,
    /// Output. Whether it holds the reasoning, the total tells.
    #[schema(required = false)]
    output_tokens: i64,
    /// Reasoning.
    #[schema(required = false)]
    reasoning_output_tokens: i64,
    /// All of it, as the tracker adds it up.
    #[schema(required = false)]
    total_tokens: i64,
    /// The same: not read.
    #[schema(required = false)]
    billable_total_tokens: i64,
    /// Prompts, which are no requests: not read.
    #[schema(required = false)]
    conversation_count: i64,
}

/// Who wants to be paired.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub struct TokenTrackerNewcomer {
    /// What it runs, and the machine's name.
    #[schema(required = false, example = "linux-x64 laptop")]
    client_info: String,
    /// What the machine calls itself: the same machine of the same owner is the same device.
    #[schema(required = false, example = "00000000-0000-4000-8000-000000000008")]
    machine_id: String,
}

/// Who asks whether it was paired.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub struct TokenTrackerPoll {
    /// As it was given.
    #[schema(example = "hhp_…")]
    device_code: String,
}

/// A device of a viewer.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub struct TokenTrackerDeviceRequest {
    /// A number is added where a device has that name.
    #[schema(required = false, example = "laptop")]
    device_name: String,
    /// What it runs.
    #[schema(required = false, example = "linux")]
    platform: String,
    /// What the machine calls itself.
    #[schema(required = false, example = "00000000-0000-4000-8000-000000000008")]
    machine_id: String,
}

/// What the tracker tells its maker of itself.
#[derive(Debug, ToSchema)]
pub struct TokenTrackerTelemetry {}

/// The rows of a report, in `hourly` or `buckets`. Errors: 400 for what is no JSON object, 413 for too many rows, 422 for
/// what is no report.
fn rows(body: &[u8]) -> Result<Rows, Problem> {
    let body = ForeignBody::parse(body)?;
    let fields = body.fields()?;
    let named = ["hourly", "buckets"].into_iter().find_map(|name| fields.get(name));
    let rows: &[Value] = match (named, fields.list("account_session_states")) {
        (Some(Value::Array(rows)), _) => rows,
        (None, Some(_)) => &[],
        _ => return Err(no_known_body("`hourly`, a list")),
    };
    if rows.len() > MOST_ROWS {
        return Err(Draft::too_large());
    }
    let is_ours = |row: &Value| ForeignFields::of(row).is_some_and(|fields| fields.get("hour_start").is_some());
    if !rows.is_empty() && !rows.iter().any(is_ours) {
        return Err(no_known_body("`hourly` whose members have an `hour_start`"));
    }
    Ok(rows.iter().map(row).collect())
}

fn row(value: &Value) -> Result<Row, Objection> {
    let fields = ForeignFields::of(value).ok_or("wrong_type")?;
    let claimed = Claimed {
        input: fields.count("input_tokens")?,
        cached: fields.count("cached_input_tokens")?,
        written_5m: fields.count("cache_creation_input_tokens")?,
        output: fields.count("output_tokens")?,
        reasoning: fields.count("reasoning_output_tokens")?,
        total: fields.count("total_tokens")?,
        ..Claimed::default()
    };
    let tool = fields.text("source")?.ok_or("missing")?;
    Ok(Row {
        tool: tool.to_owned(),
        model: fields.text("model")?.map(str::to_owned),
        hour_start: Some(fields.half_hour("hour_start")?),
        claimed,
        of_account: OF_ACCOUNTS.contains(&tool.trim().to_lowercase().as_str()),
        ..Row::default()
    })
}

/// Who wants to be paired: `linux-x64 laptop` is a laptop. Errors: 400 for what is no JSON object.
pub fn newcomer(body: &[u8]) -> Result<Newcomer, Problem> {
    let body = ForeignBody::parse(body)?;
    let fields = body.fields()?;
    let info = fields.label("client_info", 160, "unknown tokentracker");
    let (platform, name) = info.split_once(' ').unwrap_or(("unknown", &info));
    let cut = |text: &str, most: usize| text.trim().chars().take(most).collect::<String>();
    Ok(Newcomer { name: cut(name, 100), platform: cut(platform, 40), machine: machine(fields) })
}

/// The device of a viewer. Errors: 400 for what is no JSON object.
pub fn device(body: &[u8]) -> Result<Newcomer, Problem> {
    let body = ForeignBody::parse(body)?;
    let fields = body.fields()?;
    let (name, platform) = (fields.label("device_name", 100, "tokentracker"), fields.label("platform", 40, "unknown"));
    Ok(Newcomer { name, platform, machine: machine(fields) })
}

fn machine(fields: ForeignFields<'_>) -> Option<[u8; 32]> {
    Newcomer::machine_of(fields.get("machine_id").and_then(Value::as_str).unwrap_or_default())
}

/// The device code that somebody asks with. Errors: 400 for what is no JSON object, 422 where there is none.
pub fn device_code(body: &[u8]) -> Result<String, Problem> {
    let mut fields = FieldReader::of_body(body, &["device_code"])?;
    let code = fields.text("device_code", |text| Ok(text.to_owned()));
    fields.finish(code)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<Vec<Result<Row, Objection>>, &'static str> {
        rows(body.to_string().as_bytes()).map_err(|problem| problem.code().as_str())
    }

    #[test]
    fn a_report_has_rows_or_only_sessions_of_an_account() {
        let row = json!({"hour_start": "2026-11-20T10:30:00.000Z", "source": " Cursor "});
        for body in [json!({"hourly": [row]}), json!({"buckets": [row]})] {
            let rows = read(&body).unwrap();
            assert!(rows[0].as_ref().unwrap().of_account, "{rows:?}");
        }
        for empty in [json!({"hourly": []}), json!({"account_session_states": [{}]})] {
            assert_eq!(read(&empty), Ok(Vec::new()), "{empty}");
        }
        let unnamed = json!({"hourly": [{"hour_start": "2026-11-20T10:30:00.000Z"}, row]});
        assert_eq!(read(&unnamed).unwrap()[0], Err("missing"));
    }

    #[test]
    fn what_is_no_report_of_this_protocol_is_refused() {
        for (bad, code) in [
            (json!({}), "invalid"),
            (json!({"hourly": 7}), "invalid"),
            (json!({"buckets": [{"bucketStart": "2026-11-20T10:30:00.000Z"}]}), "invalid"),
            (json!([]), "malformed"),
            (json!({"hourly": vec![json!({"hour_start": "x"}); 501]}), "batch_too_large"),
        ] {
            assert_eq!(read(&bad), Err(code), "{bad}");
        }
    }

    #[test]
    fn a_machine_says_what_it_runs_what_it_is_called_and_who_it_is() {
        let read = |body: Value| newcomer(body.to_string().as_bytes()).unwrap();
        let laptop = read(json!({"client_info": "linux-x64 my laptop", "machine_id": " a "}));
        assert_eq!((laptop.name.as_str(), laptop.platform.as_str()), ("my laptop", "linux-x64"));
        assert_eq!(laptop.machine, read(json!({"machine_id": "a"})).machine);
        assert_ne!(laptop.machine, read(json!({"machine_id": "b"})).machine);
        let silent = read(json!({"machine_id": " "}));
        assert_eq!((silent.name.as_str(), silent.machine), ("tokentracker", None));
        assert_eq!(read(json!({"client_info": "laptop"})).platform, "unknown");
        assert_eq!(device_code(b"{}").unwrap_err().violations()[0].pointer, "/device_code");
    }
}
