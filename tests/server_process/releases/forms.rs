//! The form of what is written: a value without what differs from one to the next. Whatever another release reads has a form
//! that stands in a sample, so that a new one cannot come without a sample that the next release has to read.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

use super::sample::Sample;
use super::story;
use crate::external_database::{database_url, home, start_postgres};

/// Columns of words that people choose, that other columns explain, or that are passed on as they are. No release reads a
/// form out of them.
const NOT_READ: [&str; 43] = [
    "account.device.name",
    "account.device.platform",
    "account.device.speaks",
    "account.time_zone.name",
    "account.token.label",
    "account.user.name",
    "account.user.time_zone",
    "backfill.exception.detail",
    "backfill.exception.field",
    "backfill.exception.model",
    "backfill.exception.source",
    "backfill.job.cursor_model",
    "backfill.job.cursor_source",
    "backfill.job.reason",
    "backfill.plan_row.model",
    "backfill.plan_row.source",
    "ops.audit.details",
    "ops.audit.reason",
    "ops.audit.subject",
    "ops.switch.reason",
    "price.book.reason",
    "price.name.name",
    "price.name.sku",
    "price.name.source",
    "price.rate.evidence",
    "price.rate.sku",
    "price.span.sku",
    "rollup.daily.model",
    "rollup.daily.source",
    "rollup.user_state.time_zone",
    "usage.bucket.model",
    "usage.bucket.source",
    "usage.erasure.source",
    "usage.idempotency.answer",
    "usage.ledger.source",
    "usage.outbox.last_error",
    "usage.outbox.source",
    "usage.pre_image.model",
    "usage.pre_image.source",
    "usage.source.name",
    "usage.source.title",
    "usage.source_alias.alias",
    "usage.source_alias.name",
];

/// What the story does not write: it takes a fault or a price book to come about, or nothing
/// writes it yet. Of a price book another release reads what a check of the table or a key holds, and hashes of 32 bytes.
const NOT_MET: [&str; 10] = [
    "backfill.job.failure",
    "backfill.job.prices",
    "price.book.content_hash",
    "price.book.imported_by",
    "price.book.state",
    "price.name.rule",
    "price.rate.provider",
    "price.rate.rate_hash",
    "price.rate.tier",
    "usage.idempotency.location",
];

type Forms = BTreeMap<String, BTreeSet<String>>;

/// The form of a text: words stay, and what is drawn, counted or timed becomes a word for its kind. JSON has a form for each
/// of its fields.
fn of_text(text: &str) -> BTreeSet<String> {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => of_json(&value),
        _ => BTreeSet::from([kind_of(text)]),
    }
}

fn kind_of(text: &str) -> String {
    let text = text.trim_matches('"');
    let all = |kind: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(kind);
    if uuid::Uuid::parse_str(text).is_ok() {
        "<uuid>".to_owned()
    } else if chrono::DateTime::parse_from_rfc3339(text).is_ok() {
        "<time>".to_owned()
    } else if text.parse::<chrono::NaiveDate>().is_ok() {
        "<day>".to_owned()
    } else if all(u8::is_ascii_digit) {
        "<number>".to_owned()
    } else if text.starts_with("00-") && text.len() == 55 {
        "<traceparent>".to_owned()
    } else if text.len() >= 32 && all(u8::is_ascii_hexdigit) {
        format!("<{} hex digits>", text.len())
    } else if text.starts_with('/') {
        text.split('/').map(kind_of).collect::<Vec<_>>().join("/")
    } else {
        text.to_owned()
    }
}

/// The forms of JSON: each of its fields, and the kind of what it holds.
fn of_json(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, path: &str, forms: &mut BTreeSet<String>) {
        let kind = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "<bool>".to_owned(),
            Value::Number(_) => "<number>".to_owned(),
            // The words of a reply are the contract's, which has tests of its own.
            Value::String(text) => {
                let kind = Some(kind_of(text)).filter(|kind| kind.starts_with('<') && kind != "<number>");
                kind.unwrap_or("<text>".to_owned())
            }
            Value::Array(entries) => {
                for entry in entries {
                    walk(entry, &format!("{path}[]"), forms);
                }
                "<list>".to_owned()
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    walk(value, &format!("{path}.{name}"), forms);
                }
                "<object>".to_owned()
            }
        };
        forms.insert(format!("{path} {kind}"));
    }
    let mut forms = BTreeSet::new();
    walk(value, "", &mut forms);
    forms
}

/// All columns whose form another release may depend on, each with the forms that it holds.
async fn of_database(connection: &mut PgConnection) -> Forms {
    let columns = "select table_schema || '.' || table_name || '.' || column_name, data_type
        from information_schema.columns
        where table_schema in ('account', 'backfill', 'ops', 'price', 'rollup', 'usage')
          and data_type in ('text', 'bytea', 'jsonb', 'json', 'ARRAY', 'character varying', 'USER-DEFINED')
        order by 1";
    let mut forms = Forms::new();
    for row in connection.fetch_all(columns).await.unwrap() {
        let (column, kind): (String, String) = (row.get(0), row.get(1));
        if NOT_READ.contains(&column.as_str()) {
            continue;
        }
        let (table, name) = column.rsplit_once('.').unwrap();
        let table = table.replace(".user", ".\"user\"");
        let value = match kind.as_str() {
            // A verdict each byte; all others are drawn.
            "bytea" if column == "usage.idempotency.verdicts" => format!(
                "select distinct get_byte({name}, n)::text || ' is a verdict' from {table}, generate_series(0, length({name}) - 1) n"
            ),
            "bytea" => {
                format!("select distinct length({name})::text || ' bytes' from {table} where {name} is not null")
            }
            "ARRAY" => format!("select distinct v::text from {table}, unnest({name}) v"),
            _ => format!("select distinct {name}::text from {table} where {name} is not null"),
        };
        let values = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(value))).await.unwrap();
        forms.insert(column, values.iter().flat_map(|row| of_text(row.get(0))).collect());
    }
    forms
}

/// The list that a cursor belongs to, and the form of the place that it holds. Behind that is a signature of 16 bytes.
pub fn of_cursor(path: &str, cursor: &str) -> (String, BTreeSet<String>) {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap();
    let (place, _signature) = bytes.split_at(bytes.len() - 16);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let width = query.split('&').find(|part| part.starts_with("width=")).unwrap_or_default();
    (format!("cursor of {} {width}", kind_of(path)), of_json(&serde_json::from_slice(place).unwrap()))
}

fn add(forms: &mut Forms, more: Forms) {
    for (name, more) in more {
        forms.entry(name).or_default().extend(more);
    }
}

#[tokio::test]
async fn whatever_this_release_writes_for_another_to_read_has_the_form_of_a_sample() {
    let (directory, postgres) = start_postgres();
    let superuser = postgres.connect_options();
    let home = home(&database_url(directory.path(), &postgres)).with_any_age();
    let cursors = story::tell(&home).await;
    let mut connection = PgConnection::connect_with(&superuser).await.unwrap();
    let mut written = of_database(&mut connection).await;
    for (path, cursor) in &cursors {
        let (list, form) = of_cursor(path, cursor);
        written.entry(list).or_default().extend(form);
    }

    let mut sampled = Forms::new();
    for sample in Sample::all() {
        let name = format!("release_{}", sample.number);
        let create = format!("create database {name}");
        connection.execute(sqlx::raw_sql(AssertSqlSafe(create))).await.unwrap();
        let mut database = PgConnection::connect_with(&superuser.clone().database(&name)).await.unwrap();
        sample.restore(&mut database).await;
        add(&mut sampled, of_database(&mut database).await);
        database.close().await.unwrap();
        for cursor in sample.list("cursors") {
            let (list, form) = of_cursor(cursor["path"].as_str().unwrap(), cursor["cursor"].as_str().unwrap());
            sampled.entry(list).or_default().extend(form);
        }
    }

    let mut missing = Vec::new();
    for (name, forms) in &written {
        if forms.is_empty() && !NOT_MET.contains(&name.as_str()) {
            missing.push(format!("{name}: the story writes none"));
        }
        let known = sampled.get(name);
        let unknown = forms.iter().filter(|form| known.is_none_or(|known| !known.contains(*form)));
        missing.extend(unknown.map(|form| format!("{name}: {form}")));
    }
    assert!(
        missing.is_empty(),
        "Of these forms there is no sample; tests/data/releases/README.md says how to keep one:\n{}",
        missing.join("\n")
    );
    connection.close().await.unwrap();
    postgres.stop().unwrap();
}

#[test]
fn a_form_tells_another_field_type_and_word_apart_and_not_another_value() {
    let form = of_text;
    assert_eq!(form(r#"{"a": 1, "b": ["x", "2026-11-01"]}"#), form(r#"{"a": 2, "b": ["2020-01-01", "y"]}"#));
    for other in [r#"{"a": 1}"#, r#"{"a": "1", "b": ["x", "2026-11-01"]}"#, r#"{"a": 1, "c": ["x", "2026-11-01"]}"#] {
        assert_ne!(form(r#"{"a": 1, "b": ["x", "2026-11-01"]}"#), form(other));
    }
    assert_ne!(form("bucket_changed"), form("bucket_change"));
    assert_eq!(kind_of("/v1/devices/01a22267-fe1b-76a7-a6a8-e354ccb25d12"), "/v1/devices/<uuid>");
}
