//! What vibe-usage sends.

use serde_json::Value;
use utoipa::ToSchema;

use crate::kernel::dialect::{
    Claimed, Dialect, ForeignBody, ForeignFields, Meaning, Newcomer, Objection, Row, Rows, Twice, UnknownModel,
    UnlistedTool, no_known_body,
};
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::values::number;
use crate::kernel::problem::Problem;
use crate::kernel::usage::intake::Draft;

/// What is particular about this protocol.
pub const VIBE_CAFE: Dialect = Dialect {
    name: "vibe-cafe",
    meaning: Meaning::VibeCafe,
    unlisted: UnlistedTool::Told,
    twice: Twice::Added,
    unknown: UnknownModel::Stays,
    mark: br#""bucketStart""#,
    read: rows,
};

/// The host name under which the tracker reports an account elsewhere.
const ACCOUNT_HOST: &str = "cursor-cloud";

/// Rows of this model count credits.
const CREDITS: &str = "kiro-credits";

/// A reading reaches back so many days at most.
const MOST_DAYS: u16 = 90;

/// More rows than a post can have are not looked at.
const MOST_ROWS: usize = 500;

/// A report.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub struct VibeCafeReport {
    /// Snapshots of half hours; at most 500.
    buckets: Vec<VibeCafeBucket>,
    /// Not read.
    #[schema(required = false)]
    sessions: Vec<Value>,
}

/// What was used of a model, through a tool, in a half hour.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub struct VibeCafeBucket {
    /// The tool, by its name here or by another one that `GET /v1/sources` lists.
    #[schema(example = "claude-code")]
    source: String,
    /// The model, by the tool's name for it.
    #[schema(example = "claude-opus-4-5")]
    model: String,
    /// Rows of other projects of the same half hour are added up.
    #[schema(required = false, example = "unknown")]
    project: String,
    /// A label; `cursor-cloud` for an account that every machine of its owner reports.
    #[schema(required = false, example = "laptop")]
    hostname: String,
    /// The start of the half hour.
    #[schema(example = "2026-11-20T10:30:00.000Z")]
    bucket_start: String,
    /// Uncached input.
    #[schema(required = false)]
    input_tokens: i64,
    /// Output without reasoning.
    #[schema(required = false)]
    output_tokens: i64,
    /// Input from a cache.
    #[schema(required = false)]
    cached_input_tokens: i64,
    /// Reasoning.
    #[schema(required = false)]
    reasoning_output_tokens: i64,
    /// Input written to a cache of 5 minutes.
    #[schema(required = false)]
    cache_creation5m_tokens: i64,
    /// Input written to a cache of an hour.
    #[schema(required = false)]
    cache_creation1h_tokens: i64,
    /// All of it, without what comes from a cache.
    #[schema(required = false)]
    total_tokens: i64,
}

/// Who wants to be paired.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub struct VibeCafeNewcomer {
    /// The program.
    #[schema(required = false, example = "vibe-usage CLI")]
    client_name: String,
    /// The machine, whose name becomes the device's.
    #[schema(required = false, example = "laptop")]
    hostname: String,
}

/// Who asks whether it was paired.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub struct VibeCafePoll {
    /// As it was given.
    #[schema(example = "hhp_…")]
    device_code: String,
}

/// The rows of a report. Errors: 400 for what is not JSON, 413 for too many rows, 422 for what is no report.
fn rows(body: &[u8]) -> Result<Rows, Problem> {
    let body = ForeignBody::parse(body)?;
    let fields = body.fields()?;
    let rows = match (fields.list("buckets"), fields.get("buckets"), fields.list("sessions")) {
        (Some(rows), ..) => rows,
        (None, None, Some(_)) => &[],
        _ => return Err(no_known_body("`buckets`, a list")),
    };
    if rows.len() > MOST_ROWS {
        return Err(Draft::too_large());
    }
    let is_ours = |row: &Value| ForeignFields::of(row).is_some_and(|fields| fields.get("bucketStart").is_some());
    if !rows.is_empty() && !rows.iter().any(is_ours) {
        return Err(no_known_body("`buckets` whose members have a `bucketStart`"));
    }
    Ok(rows.iter().map(row).collect())
}

fn row(value: &Value) -> Result<Row, Objection> {
    let fields = ForeignFields::of(value).ok_or("wrong_type")?;
    let claimed = Claimed {
        input: fields.count("inputTokens")?,
        cached: fields.count("cachedInputTokens")?,
        written_5m: fields.count("cacheCreation5mTokens")?,
        written_1h: fields.count("cacheCreation1hTokens")?,
        output: fields.count("outputTokens")?,
        reasoning: fields.count("reasoningOutputTokens")?,
        total: fields.count("totalTokens")?,
    };
    let model = fields.text("model")?;
    if model == Some(CREDITS) {
        return Err("not_tokens");
    }
    let (project, hostname) =
        (fields.text("project")?.unwrap_or_default(), fields.text("hostname")?.unwrap_or_default());
    Ok(Row {
        tool: fields.text("source")?.ok_or("missing")?.to_owned(),
        model: model.map(str::to_owned),
        hour_start: Some(fields.half_hour("bucketStart")?),
        claimed,
        part: format!("{project}\n{hostname}"),
        of_account: hostname == ACCOUNT_HOST,
    })
}

/// Who wants to be paired. Errors: 400 for what is no JSON object.
pub fn newcomer(body: &[u8]) -> Result<Newcomer, Problem> {
    let body = ForeignBody::parse(body)?;
    let name = body.fields()?.label("hostname", 100, "vibe-usage");
    Ok(Newcomer { name, platform: "unknown".to_owned(), machine: None })
}

/// The device code that somebody asks with; empty where there is none. Errors: 400 for what is no JSON object.
pub fn device_code(body: &[u8]) -> Result<String, Problem> {
    let body = ForeignBody::parse(body)?;
    Ok(body.fields()?.get("deviceCode").and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// How many days back a reading goes. Other parameters are the tracker's own business. Errors: 422.
pub fn days(parameters: &[(String, String)]) -> Result<u16, Problem> {
    let known: Vec<_> = parameters.iter().filter(|(name, _)| name == "days").cloned().collect();
    let mut fields = FieldReader::of_query(&known, &["days"], &[]);
    let days = match fields.get("days") {
        None => Some(30),
        Some(_) => fields.text("days", |text| number(text, MOST_DAYS)),
    };
    fields.finish(days)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<Vec<Result<Row, Objection>>, &'static str> {
        rows(body.to_string().as_bytes()).map_err(|problem| problem.code().as_str())
    }

    #[test]
    fn a_row_that_cannot_be_read_says_why_and_leaves_the_others() {
        let good = json!({"source": "codex", "model": "m", "bucketStart": "2026-11-20T10:30:00.000Z"});
        let with = |changes: Value| {
            let mut row = good.clone();
            row.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            row
        };
        let body = json!({"buckets": [
            good.clone(),
            with(json!({"inputTokens": -1})),
            with(json!({"bucketStart": "2026-11-20T10:31:00.000Z"})),
            with(json!({"model": "kiro-credits"})),
            with(json!({"source": null})),
            with(json!({"hostname": "cursor-cloud", "project": "a"})),
            7,
        ]});
        let read = read(&body).unwrap();
        let codes: Vec<_> = read.iter().map(|row| row.as_ref().err().copied().unwrap_or("fine")).collect();
        assert_eq!(codes, ["fine", "out_of_range", "not_a_half_hour", "not_tokens", "missing", "fine", "wrong_type"]);
        let of_account: Vec<_> = read.iter().flatten().map(|row| (row.of_account, row.part.as_str())).collect();
        assert_eq!(of_account, [(false, "\n"), (true, "a\ncursor-cloud")]);
    }

    #[test]
    fn what_is_no_report_of_this_protocol_is_refused_and_an_empty_one_is_not() {
        for bad in [
            json!({}),
            json!({"hourly": []}),
            json!({"buckets": 7}),
            json!({"buckets": [{"hour_start": "2026-11-20T10:30:00.000Z", "source": "codex"}]}),
        ] {
            assert_eq!(read(&bad), Err("invalid"), "{bad}");
        }
        assert_eq!(read(&json!([])), Err("malformed"));
        assert_eq!(read(&json!({"buckets": vec![json!({"bucketStart": "x"}); 501]})), Err("batch_too_large"));
        for fine in [json!({"buckets": []}), json!({"sessions": [{}]}), json!({"buckets": [], "client": {}})] {
            assert_eq!(read(&fine), Ok(Vec::new()), "{fine}");
        }
    }

    #[test]
    fn a_reading_goes_back_one_to_ninety_days_and_thirty_where_nobody_says() {
        let days = |query: &[(&str, &str)]| {
            let query: Vec<_> = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            days(&query).map_err(|problem| problem.violations()[0].pointer.clone())
        };
        assert_eq!((days(&[]), days(&[("days", "90"), ("bucketsOnly", "true")])), (Ok(30), Ok(90)));
        for bad in ["0", "91", "", "x", "-1"] {
            assert_eq!(days(&[("days", bad)]), Err("?days".to_owned()), "{bad}");
        }
    }
}
