//! What an operator asks for: a JSON body, or query parameters beside a stream of lines.

use chrono::{DateTime, Days as DayCount, NaiveDate, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::super::job::{Action, Days};
use super::imported::{Fields, Imported, Rules, read};
use crate::kernel::bucket::HalfHour;
use crate::kernel::problem::{Code, Problem, Violation};

/// A body has this many buckets at most; more are streamed.
pub const MAX_BUCKETS: usize = 5_000;
/// A job names this many users at most.
const MAX_USERS: usize = 1_000;
/// The longest window of a replay or a verification, in days.
const MAX_DAYS: i64 = 3_660;
const REASON_CHARACTERS: usize = 500;

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
}

/// When an order is acceptable.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The present.
    pub now: DateTime<Utc>,
    /// The longest window of an import, in days.
    pub max_days: u32,
}

impl Order {
    /// The rules for the buckets of this job.
    pub fn rules(&self, now: DateTime<Utc>) -> Rules {
        Rules { days: self.days, user_ids: self.user_ids.clone(), now }
    }

    /// Reads a body: the order, and the buckets of an import with their places in it. Errors: 400 for what is not a
    /// JSON object, 413 for more than `MAX_BUCKETS`, 422 with every violation.
    pub fn parse_body(body: &[u8], limits: Limits) -> Result<(Self, Vec<Imported>), Problem> {
        let fields: Fields = serde_json::from_slice(body)
            .map_err(|error| Problem::new(Code::Malformed, "The body is not a JSON object.").because(error))?;
        let mut reader = Reader { fields: &fields, prefix: "/", violations: Vec::new() };
        reader.check_names(&["action", "reason", "from", "to", "user_ids", "buckets"]);
        let order = reader.order(limits);
        let buckets = reader.buckets(order.as_ref(), limits.now)?;
        match order {
            Some(order) if reader.violations.is_empty() => Ok((order, buckets)),
            _ => Err(Problem::invalid(reader.violations)),
        }
    }

    /// Reads the parameters beside a stream, which is always an import. Errors: 422 with every violation.
    pub fn parse_query(parameters: &[(String, String)], limits: Limits) -> Result<Self, Problem> {
        Self::parse_named(parameters, limits, true)
    }

    /// Reads the same parameters for any action. Errors: 422 with every violation.
    pub fn parse_parameters(parameters: &[(String, String)], limits: Limits) -> Result<Self, Problem> {
        Self::parse_named(parameters, limits, false)
    }

    fn parse_named(parameters: &[(String, String)], limits: Limits, streams: bool) -> Result<Self, Problem> {
        let mut fields = Vec::new();
        let mut users = Vec::new();
        for (name, value) in parameters {
            if name == "user_ids" {
                users.extend(value.split(',').map(|user| Value::String(user.trim().to_owned())));
            } else {
                fields.push((name.clone(), Value::String(value.clone())));
            }
        }
        if !users.is_empty() {
            fields.push(("user_ids".to_owned(), Value::Array(users)));
        }
        let fields = Fields(fields);
        let mut reader = Reader { fields: &fields, prefix: "?", violations: Vec::new() };
        reader.check_names(&["action", "reason", "from", "to", "user_ids"]);
        let order = reader.order(limits);
        if streams && order.as_ref().is_some_and(|order| order.action != Action::Import) {
            reader.refuse("action", "not_an_import", "Only an import has lines.");
        }
        match order {
            Some(order) if reader.violations.is_empty() => Ok(order),
            _ => Err(Problem::invalid(reader.violations)),
        }
    }
}

struct Reader<'a> {
    fields: &'a Fields,
    prefix: &'static str,
    violations: Vec<Violation>,
}

impl Reader<'_> {
    fn refuse(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        let name = name.replace('~', "~0").replace('/', "~1");
        self.violations.push(Violation::new(format!("{}{name}", self.prefix), code, detail));
    }

    fn check_names(&mut self, known: &[&str]) {
        let (unknown, repeated) = match self.prefix {
            "/" => ("unknown_field", "duplicate_field"),
            _ => ("unknown_parameter", "repeated_parameter"),
        };
        for (at, (name, _)) in self.fields.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                self.refuse(name, unknown, format!("Known are {}.", known.join(", ")));
            } else if self.fields.0[..at].iter().any(|(before, _)| before == name) {
                self.refuse(name, repeated, "It comes twice.");
            }
        }
    }

    fn get(&self, wanted: &str) -> Option<&Value> {
        self.fields.0.iter().find(|(name, _)| name == wanted).map(|(_, value)| value)
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.get(name) {
            Some(Value::String(text)) => return Some(text.clone()),
            Some(_) => self.refuse(name, "wrong_type", "Expected a string."),
            None => self.refuse(name, "missing", "This is required."),
        }
        None
    }

    fn order(&mut self, limits: Limits) -> Option<Order> {
        let action = self.text("action").and_then(|text| {
            let action = Action::parse(&text);
            if action.is_none() {
                self.refuse("action", "unknown_action", "Expected one of import, replay, verify.");
            }
            action
        });
        let reason = self.reason();
        let (from, to) = (self.date("from"), self.date("to"));
        let days = from.zip(to).and_then(|(from, to)| self.days(from, to, action, limits));
        let user_ids = self.user_ids();
        Some(Order { action: action?, reason: reason?, days: days?, user_ids })
    }

    fn reason(&mut self) -> Option<String> {
        let reason = self.text("reason")?.trim().to_owned();
        if !(1..=REASON_CHARACTERS).contains(&reason.chars().count()) {
            self.refuse("reason", "wrong_length", "A reason has 1 to 500 characters.");
        } else if reason.chars().any(char::is_control) {
            self.refuse("reason", "control_character", "A reason has no control characters.");
        } else {
            return Some(reason);
        }
        None
    }

    fn date(&mut self, name: &str) -> Option<NaiveDate> {
        let text = self.text(name)?;
        let date = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
        if date.is_none() {
            self.refuse(name, "not_a_date", "Expected a UTC date like `2026-11-20`.");
        }
        date
    }

    fn days(&mut self, first: NaiveDate, last: NaiveDate, action: Option<Action>, limits: Limits) -> Option<Days> {
        let days = Days { first, last };
        let longest = if action == Some(Action::Import) { limits.max_days.into() } else { MAX_DAYS };
        let tomorrow = limits.now.date_naive().checked_add_days(DayCount::new(1));
        if first > last {
            self.refuse("to", "range_is_reversed", "`to` is before `from`.");
        } else if days.count() > longest {
            self.refuse("to", "range_too_long", format!("A window has at most {longest} days; make several jobs."));
        } else if first < HalfHour::FIRST.date_naive() {
            self.refuse("from", "before_2020", "Usage before 2020 is not kept.");
        } else if tomorrow.is_some_and(|tomorrow| last > tomorrow) {
            self.refuse("to", "in_future", "This day has not begun.");
        } else {
            return Some(days);
        }
        None
    }

    /// `None` for all; what is wrong is noted.
    fn user_ids(&mut self) -> Option<Vec<Uuid>> {
        let Value::Array(list) = self.get("user_ids")? else {
            self.refuse("user_ids", "wrong_type", "Expected an array of UUIDs.");
            return None;
        };
        let read = |user: &Value| user.as_str().and_then(|user| Uuid::try_parse(user).ok());
        let users: Option<Vec<Uuid>> = list.iter().map(read).collect();
        let Some(mut users) = users else {
            self.refuse("user_ids", "not_a_uuid", "Expected UUIDs.");
            return None;
        };
        users.sort_unstable();
        users.dedup();
        if !(1..=MAX_USERS).contains(&users.len()) {
            self.refuse("user_ids", "wrong_length", "Name 1 to 1000 users, or leave it out for all.");
            return None;
        }
        Some(users)
    }

    fn buckets(&mut self, order: Option<&Order>, now: DateTime<Utc>) -> Result<Vec<Imported>, Problem> {
        let is_import = self.get("action").and_then(Value::as_str) == Some("import");
        let list = match self.get("buckets") {
            Some(Value::Array(list)) => list.clone(),
            Some(_) => {
                self.refuse("buckets", "wrong_type", "Expected an array of buckets.");
                return Ok(Vec::new());
            }
            None if is_import => {
                self.refuse("buckets", "missing", "An import has buckets.");
                return Ok(Vec::new());
            }
            None => return Ok(Vec::new()),
        };
        if !is_import {
            self.refuse("buckets", "not_an_import", "Only an import has buckets.");
            return Ok(Vec::new());
        }
        if list.len() > MAX_BUCKETS {
            let detail = format!("A body has at most {MAX_BUCKETS} buckets; stream more as application/x-ndjson.");
            return Err(Problem::new(Code::BatchTooLarge, detail));
        }
        if list.is_empty() {
            self.refuse("buckets", "wrong_length", "An import has at least one bucket.");
        }
        // Without a sound window there is nothing to compare the buckets with.
        let Some(rules) = order.map(|order| order.rules(now)) else { return Ok(Vec::new()) };
        let mut buckets = Vec::new();
        for (index, value) in list.into_iter().enumerate() {
            let Value::Object(object) = value else {
                self.refuse_bucket(index, None, "wrong_type", "Expected an object.");
                continue;
            };
            match read(&Fields(object.into_iter().collect()), &rules) {
                Ok(bucket) => buckets.push(bucket),
                Err(broken) => {
                    for broken in broken {
                        self.refuse_bucket(index, broken.field.as_deref(), broken.code, &broken.detail);
                    }
                }
            }
        }
        Ok(buckets)
    }

    fn refuse_bucket(&mut self, index: usize, field: Option<&str>, code: &'static str, detail: &str) {
        let field = field.map(|field| format!("/{}", field.replace('~', "~0").replace('/', "~1"))).unwrap_or_default();
        self.violations.push(Violation::new(format!("/buckets/{index}{field}"), code, detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const USER: &str = "01980000-0000-7000-8000-000000000001";

    fn limits() -> Limits {
        Limits { now: "2026-11-20T12:00:00Z".parse().unwrap(), max_days: 90 }
    }

    fn violations(body: &Value) -> Vec<(String, &'static str)> {
        let problem = Order::parse_body(body.to_string().as_bytes(), limits()).unwrap_err();
        problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
    }

    fn replay(changes: &Value) -> Value {
        let mut body = json!({"action": "replay", "reason": "ticket 7", "from": "2026-11-01", "to": "2026-11-20"});
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    }

    #[test]
    fn everything_wrong_with_an_order_is_said_at_once() {
        assert!(Order::parse_body(replay(&json!({})).to_string().as_bytes(), limits()).is_ok());
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
            (json!({"buckets": []}), "/buckets", "not_an_import"),
            (json!({"a/b": 1}), "/a~1b", "unknown_field"),
        ] {
            assert_eq!(violations(&replay(&changes)), [(pointer.to_owned(), code)], "{changes}");
        }
        let pointers: Vec<String> = violations(&json!({})).into_iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(pointers, ["/action", "/reason", "/from", "/to"]);
    }

    #[test]
    fn an_import_has_a_short_window_and_buckets_with_their_places() {
        let import = |changes: &Value| {
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
    }

    #[test]
    fn a_streams_parameters_are_read_by_the_same_rules() {
        let query = |parameters: &[(&str, &str)]| {
            let parameters: Vec<_> =
                parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Order::parse_query(&parameters, limits())
        };
        let sound = [("action", "import"), ("reason", "r"), ("from", "2026-11-01"), ("to", "2026-11-02")];
        let order = query(&[&sound[..], &[("user_ids", USER), ("user_ids", USER)]].concat()).unwrap();
        assert_eq!(order.user_ids, Some(vec![USER.parse().unwrap()]));
        let problem = query(&[&sound[1..], &[("action", "verify"), ("limit", "1")]].concat()).unwrap_err();
        let found: Vec<_> = problem.violations().iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!(found, ["?limit", "?action"]);
    }
}
