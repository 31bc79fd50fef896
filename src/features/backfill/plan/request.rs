//! What an operator asks for: a JSON body, or query parameters beside a stream of lines.

use std::sync::Arc;

use chrono::{DateTime, Days as DayCount, NaiveDate, Utc};
use uuid::Uuid;

use super::super::job::{Action, Days};
use super::super::pairing::{MergeOrder, Resolve};
use super::book::{book_of_body, book_of_query, refuse_book, whole};
use super::imported::{self, ImportRules, Imported};
use crate::kernel::bucket::HalfHour;
use crate::kernel::http::field_reader::{Broken, FieldReader, Value};
use crate::kernel::http::values::{BEFORE_2020, date, reason, uuid};
use crate::kernel::problem::{Code, Problem, Violation};
use crate::kernel::usage::sources::KnownSources;

/// A body has this many buckets at most; more are streamed.
pub const MAX_BUCKETS: usize = 5_000;
/// A job names this many users at most.
pub const MAX_USERS: usize = 1_000;
/// The longest window of a replay or a verification, in days.
const MAX_DAYS: i64 = 3_660;

/// What a body may say.
pub const FIELDS: [&str; 10] =
    ["action", "reason", "from", "to", "user_ids", "buckets", "from_device_id", "into_device_id", "resolve", "book"];

/// What a job is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What it does.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// The window.
    pub days: Days,
    /// The users, sorted; `None` for all.
    pub user_ids: Option<Vec<Uuid>>,
    /// For merges: the devices.
    pub merge: Option<MergeOrder>,
    /// For reprices: the price book.
    pub book: Option<i32>,
}

/// When an order is acceptable.
#[derive(Clone, Copy, Debug)]
pub struct PlanLimits {
    /// The present.
    pub now: DateTime<Utc>,
    /// The longest window of an import, in days.
    pub max_days: u32,
}

impl Order {
    /// The rules for the buckets of this job.
    pub fn rules(&self, now: DateTime<Utc>, sources: Arc<KnownSources>) -> ImportRules {
        ImportRules { days: self.days, user_ids: self.user_ids.clone(), now, sources }
    }

    /// Reads a body: the order, and the buckets of an import with their places in it. Errors: 400 for what is not a
    /// JSON object, 413 for more than `MAX_BUCKETS`, 422 with every violation.
    pub fn parse_body(
        body: &[u8],
        limits: PlanLimits,
        sources: &Arc<KnownSources>,
    ) -> Result<(Self, Vec<Imported>), Problem> {
        let mut fields = FieldReader::of_body(body, &FIELDS)?;
        let order = order(&mut fields, limits, book_of_body);
        let rules = order.as_ref().map(|order: &Self| order.rules(limits.now, sources.clone()));
        let buckets = buckets(&mut fields, rules)?;
        fields.finish(order.map(|order| (order, buckets)))
    }

    /// Reads the parameters beside a stream, which is always an import. Errors: 422 with every violation.
    pub fn parse_query(parameters: &[(String, String)], limits: PlanLimits) -> Result<Self, Problem> {
        Self::parse_named(parameters, limits, true)
    }

    /// Reads the same parameters for any action. Errors: 422 with every violation.
    pub fn parse_parameters(parameters: &[(String, String)], limits: PlanLimits) -> Result<Self, Problem> {
        Self::parse_named(parameters, limits, false)
    }

    fn parse_named(parameters: &[(String, String)], limits: PlanLimits, streams: bool) -> Result<Self, Problem> {
        let known =
            ["action", "reason", "from", "to", "user_ids", "from_device_id", "into_device_id", "resolve", "book"];
        let mut fields = FieldReader::of_query(parameters, &known, &["user_ids"]);
        let order = order(&mut fields, limits, book_of_query);
        if streams && order.as_ref().is_some_and(|order| order.action != Action::Import) {
            fields.refuse("action", ("not_an_import", "Only an import has lines.".into()));
        }
        fields.finish(order)
    }
}

fn order(fields: &mut FieldReader, limits: PlanLimits, book: fn(&Value) -> Result<i32, Broken>) -> Option<Order> {
    let action = fields.text("action", |text| {
        Action::parse(text).ok_or(("unknown_action", "Expected one of import, replay, verify, merge, reprice.".into()))
    });
    let reason = fields.text("reason", reason);
    let (first, last) = ends(fields, action, limits);
    let days = first.zip(last).and_then(|(first, last)| {
        let days = Days { first, last };
        let broken = broken_by(days, action, limits);
        broken.map_or(Some(days), |(name, broken)| {
            fields.refuse(name, broken);
            None
        })
    });
    let user_ids = fields.optional("user_ids", user_ids);
    let is_merge = action == Some(Action::Merge);
    let merge = if is_merge { merge(fields) } else { refuse_merge(fields) };
    if is_merge && user_ids.as_ref().is_some_and(|users| users.len() > 1) {
        fields.refuse("user_ids", ("wrong_length", "A merge is of one user.".into()));
    }
    let is_reprice = action == Some(Action::Reprice);
    let book = if is_reprice { whole(fields).required("book", book) } else { refuse_book(fields) };
    Some(Order { action: action?, reason: reason?, days: days?, user_ids, merge, book })
        .filter(|_| !is_merge || merge.is_some())
        .filter(|_| !is_reprice || book.is_some())
}

/// The ends of the window. A merge is of all days unless it names some, and a reprice always.
fn ends(
    fields: &mut FieldReader,
    action: Option<Action>,
    limits: PlanLimits,
) -> (Option<NaiveDate>, Option<NaiveDate>) {
    let first = HalfHour::FIRST.date_naive();
    let last = limits.now.date_naive().checked_add_days(DayCount::new(1));
    match action {
        Some(Action::Merge) => {}
        Some(Action::Reprice) => return (Some(first), last),
        _ => return (fields.text("from", date), fields.text("to", date)),
    }
    let end = |fields: &mut FieldReader, name, otherwise: Option<NaiveDate>| {
        if fields.get(name).is_some() { fields.text(name, date) } else { otherwise }
    };
    (end(fields, "from", Some(first)), end(fields, "to", last))
}

fn merge(fields: &mut FieldReader) -> Option<MergeOrder> {
    let from_device_id = fields.text("from_device_id", uuid);
    let into_device_id = fields.text("into_device_id", uuid);
    let resolve = fields.optional_text("resolve", |text| {
        Resolve::parse(text).ok_or(("unknown_resolve", "Expected one of sum, larger, from, into.".into()))
    });
    let order = MergeOrder { from_device_id: from_device_id?, into_device_id: into_device_id?, resolve };
    if order.from_device_id == order.into_device_id {
        fields.refuse("into_device_id", ("same_device", "A device is not merged into itself.".into()));
    }
    Some(order)
}

fn refuse_merge(fields: &mut FieldReader) -> Option<MergeOrder> {
    for name in ["from_device_id", "into_device_id", "resolve"] {
        if fields.get(name).is_some() {
            fields.refuse(name, ("not_a_merge", "Only a merge has this.".into()));
        }
    }
    None
}

/// The rule that a window breaks, and by which of its ends.
fn broken_by(days: Days, action: Option<Action>, limits: PlanLimits) -> Option<(&'static str, Broken)> {
    let longest = match action {
        Some(Action::Import) => limits.max_days.into(),
        // The one is bounded by its buckets, and the other is of all days.
        Some(Action::Merge | Action::Reprice) => i64::MAX,
        _ => MAX_DAYS,
    };
    let tomorrow = limits.now.date_naive().checked_add_days(DayCount::new(1));
    if days.first > days.last {
        Some(("to", ("range_is_reversed", "`to` is before `from`.".into())))
    } else if days.count() > longest {
        let detail = format!("A window has at most {longest} days; make several jobs.");
        Some(("to", ("range_too_long", detail.into())))
    } else if days.first < HalfHour::FIRST.date_naive() {
        Some(("from", BEFORE_2020))
    } else if tomorrow.is_some_and(|tomorrow| days.last > tomorrow) {
        Some(("to", ("in_future", "This day has not begun.".into())))
    } else {
        None
    }
}

fn user_ids(value: &Value) -> Result<Vec<Uuid>, Broken> {
    let users: Result<Vec<Uuid>, Broken> = value.list()?.iter().map(|user| uuid(user.text()?)).collect();
    let mut users = users.map_err(|_| ("not_a_uuid", "Expected UUIDs.".into()))?;
    users.sort_unstable();
    users.dedup();
    if (1..=MAX_USERS).contains(&users.len()) {
        Ok(users)
    } else {
        Err(("wrong_length", format!("Name 1 to {MAX_USERS} users, or leave it out for all.").into()))
    }
}

/// The buckets of an import. Errors: 413 for more than `MAX_BUCKETS`.
fn buckets(fields: &mut FieldReader, rules: Option<ImportRules>) -> Result<Vec<Imported>, Problem> {
    let is_import = fields.get("action").is_some_and(|action| action.text() == Ok("import"));
    let list = if is_import {
        fields.required("buckets", |value| match value.list()? {
            [] => Err(("wrong_length", "An import has at least one bucket.".into())),
            list => Ok(list.to_vec()),
        })
    } else {
        fields.optional("buckets", |_| Err(("not_an_import", "Only an import has buckets.".into())))
    };
    let list = list.unwrap_or_default();
    if list.len() > MAX_BUCKETS {
        let detail = format!("A body has at most {MAX_BUCKETS} buckets; stream more as application/x-ndjson.");
        return Err(Problem::new(Code::BatchTooLarge, detail));
    }
    // Without a sound window there is nothing to compare the buckets with.
    let Some(rules) = rules else { return Ok(Vec::new()) };
    let mut buckets = Vec::new();
    for (index, value) in list.into_iter().enumerate() {
        match bucket(format!("/buckets/{index}"), value, &rules) {
            Ok(bucket) => buckets.push(bucket),
            Err(violations) => fields.add(violations),
        }
    }
    Ok(buckets)
}

fn bucket(pointer: String, value: Value, rules: &ImportRules) -> Result<Imported, Vec<Violation>> {
    let Value::Object(members) = value else {
        return Err(vec![Violation::new(pointer, "wrong_type", "Expected an object.")]);
    };
    let mut fields = FieldReader::of_object(pointer, members, &imported::FIELDS);
    let bucket = imported::read(&mut fields, rules);
    fields.check(bucket)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tools() -> Arc<KnownSources> {
        Arc::new(KnownSources::allowing(&["codex"]))
    }

    const USER: &str = "01980000-0000-7000-8000-000000000001";

    fn limits() -> PlanLimits {
        PlanLimits { now: "2026-11-20T12:00:00Z".parse().unwrap(), max_days: 90 }
    }

    fn violations(body: &serde_json::Value) -> Vec<(String, &'static str)> {
        let problem = Order::parse_body(body.to_string().as_bytes(), limits(), &tools()).unwrap_err();
        problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
    }

    fn replay(changes: &serde_json::Value) -> serde_json::Value {
        let mut body = json!({"action": "replay", "reason": "ticket 7", "from": "2026-11-01", "to": "2026-11-20"});
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    }

    #[test]
    fn everything_wrong_with_an_order_is_said_at_once() {
        assert!(Order::parse_body(replay(&json!({})).to_string().as_bytes(), limits(), &tools()).is_ok());
        for (changes, pointer, code) in [
            (json!({"action": "delete"}), "/action", "unknown_action"),
            (json!({"reason": " "}), "/reason", "wrong_length"),
            (json!({"reason": "a\nb"}), "/reason", "control_character"),
            (json!({"from": "2026-11-1"}), "/from", "not_a_date"),
            (json!({"from": "2026-11-21", "to": "2026-11-20"}), "/to", "range_is_reversed"),
            (json!({"from": "2019-12-31", "to": "2020-01-01"}), "/from", "before_2020"),
            (json!({"to": "2026-11-22"}), "/to", "in_future"),
            (json!({"user_ids": []}), "/user_ids", "wrong_length"),
            (json!({"user_ids": ["me"]}), "/user_ids", "not_a_uuid"),
            (json!({"user_ids": USER}), "/user_ids", "wrong_type"),
            (json!({"user_ids": [USER, 7]}), "/user_ids", "not_a_uuid"),
            (json!({"user_ids": []}), "/user_ids", "wrong_length"),
            (json!({"buckets": []}), "/buckets", "not_an_import"),
            (json!({"a/b": 1}), "/a~1b", "unknown_field"),
        ] {
            assert_eq!(violations(&replay(&changes)), [(pointer.to_owned(), code)], "{changes}");
        }
        let pointers: Vec<String> = violations(&json!({})).into_iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(pointers, ["/action", "/reason", "/from", "/to"]);
    }

    #[test]
    fn a_reprice_has_a_book_and_neither_days_nor_users_and_nothing_else_has_one() {
        let reprice = |changes: &serde_json::Value| {
            let mut body = json!({"action": "reprice", "reason": "prices fell"});
            for (name, value) in changes.as_object().unwrap() {
                body[name] = value.clone();
            }
            body
        };
        let sound = reprice(&json!({"book": 2})).to_string();
        let (order, _) = Order::parse_body(sound.as_bytes(), limits(), &tools()).unwrap();
        assert_eq!((order.book, order.days.last.to_string()), (Some(2), "2026-11-21".to_owned()));
        for (changes, pointer, code) in [
            (json!({}), "/book", "missing"),
            (json!({"book": "2"}), "/book", "wrong_type"),
            (json!({"book": 0}), "/book", "out_of_range"),
            (json!({"book": 1.5}), "/book", "out_of_range"),
            (json!({"book": 2, "from": "2026-11-01"}), "/from", "not_of_a_reprice"),
            (json!({"book": 2, "user_ids": [USER]}), "/user_ids", "not_of_a_reprice"),
            (json!({"book": 2, "resolve": "sum"}), "/resolve", "not_a_merge"),
        ] {
            assert_eq!(violations(&reprice(&changes)), [(pointer.to_owned(), code)], "{changes}");
        }
        assert_eq!(violations(&replay(&json!({"book": 2}))), [("/book".to_owned(), "not_a_reprice")]);
    }

    #[test]
    fn an_import_has_a_short_window_and_buckets_with_their_places() {
        let import = |changes: &serde_json::Value| {
            let mut body = replay(&json!({"action": "import"}));
            for (name, value) in changes.as_object().unwrap() {
                body[name] = value.clone();
            }
            body
        };
        assert_eq!(violations(&import(&json!({}))), [("/buckets".to_owned(), "missing")]);
        let long = import(&json!({"from": "2026-08-22", "buckets": [{}]}));
        assert_eq!(violations(&long), [("/to".to_owned(), "range_too_long")]);
        let found = violations(&import(&json!({"buckets": [{"user_id": USER, "device_id": USER,
            "hour_start": "2026-11-20T12:00:00Z", "source": "codex", "model": "m"}, 7]})));
        let expected = [("/buckets/0/hour_start", "not_closed"), ("/buckets/1", "wrong_type")];
        assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code)));
        assert_eq!(violations(&import(&json!({"buckets": []}))), [("/buckets".to_owned(), "wrong_length")]);
        let most = |count: usize| {
            Order::parse_body(import(&json!({"buckets": vec![7; count]})).to_string().as_bytes(), limits(), &tools())
                .unwrap_err()
                .code()
        };
        assert_eq!((most(MAX_BUCKETS), most(MAX_BUCKETS + 1)), (Code::Invalid, Code::BatchTooLarge));
    }

    #[test]
    fn a_field_that_comes_twice_is_refused_in_the_order_and_in_each_bucket() {
        let body = format!(
            r#"{{"action":"import","reason":"r","from":"2026-11-01","to":"2026-11-02","reason":"s","buckets":[{{
                "user_id":"{USER}","device_id":"{USER}","hour_start":"2026-11-01T12:00:00Z","source":"codex",
                "model":"a","model":"b","observed_at":null}}]}}"#
        );
        let problem = Order::parse_body(body.as_bytes(), limits(), &tools()).unwrap_err();
        let found: Vec<_> =
            problem.violations().iter().map(|violation| (violation.pointer.as_str(), violation.code)).collect();
        let expected = [
            ("/reason", "duplicate_field"),
            ("/buckets/0/model", "duplicate_field"),
            ("/buckets/0/observed_at", "unknown_field"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_streams_parameters_are_read_by_the_same_rules() {
        let query = |parameters: &[(&str, &str)]| {
            let parameters: Vec<_> =
                parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Order::parse_query(&parameters, limits())
        };
        let sound = [("action", "import"), ("reason", "r"), ("from", "2026-11-01"), ("to", "2026-11-02")];
        let order =
            query(&[&sound[..], &[("user_ids", USER), ("user_ids", &format!("{USER},{USER}"))]].concat()).unwrap();
        assert_eq!(order.user_ids, Some(vec![USER.parse().unwrap()]));
        let problem = query(&[&sound[1..], &[("action", "verify"), ("limit", "1")]].concat()).unwrap_err();
        let found: Vec<_> = problem.violations().iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!(found, ["?limit", "?action"]);
    }
}
