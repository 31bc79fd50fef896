//! What callers send: bodies and queries become accounts' own words, and everything that is wrong is named.

use std::collections::HashMap;

use chrono::{Datelike as _, NaiveDate};
use utoipa::ToSchema;
use uuid::Uuid;

use super::fields::{Broken, Fields};
use super::link_code::{LinkCode, LinkRequest};
use crate::kernel::bucket::{SOURCES, Source};
use crate::kernel::problem::{Problem, Violation};

/// What a page of a list holds where the caller does not say.
const DEFAULT_LIMIT: usize = 100;
/// What a page may hold.
const MAX_LIMIT: usize = 1000;

/// Another time zone for oneself.
#[derive(Debug, ToSchema)]
#[schema(as = ProfileChange)]
pub struct Change {
    /// An IANA name, in PostgreSQL's spelling. The rollup follows within seconds.
    #[schema(min_length = 1, max_length = 64, example = "Europe/Berlin")]
    pub time_zone: String,
}

/// A user to create.
#[derive(Debug, ToSchema)]
pub struct NewUser {
    /// Unique among active users; no control characters.
    #[schema(min_length = 1, max_length = 100, example = "ann")]
    pub name: String,
    /// The IANA zone whose days the user's rollup holds.
    #[schema(required = false, min_length = 1, max_length = 64, default = "UTC", example = "Europe/Berlin")]
    pub time_zone: String,
}

/// A device to register.
#[derive(Debug, ToSchema)]
pub struct NewDevice {
    /// Unique among one's active devices; no control characters.
    #[schema(min_length = 1, max_length = 100, example = "laptop")]
    pub name: String,
    /// What it runs, for people to read.
    #[schema(required = false, min_length = 1, max_length = 40, default = "unknown", example = "linux")]
    pub platform: String,
}

/// A link code to exchange.
#[derive(Debug, ToSchema)]
pub struct Exchange {
    /// As its owner typed it: case, spaces and hyphens do not count.
    #[schema(value_type = String, example = "7K3M-9QXD-2VTA")]
    pub code: LinkCode,
    /// A UUID that the device makes at random and keeps to itself: repeated with it the exchange gives the same token.
    #[schema(value_type = Uuid)]
    pub request_id: LinkRequest,
    /// Unique among the owner's active devices; no control characters.
    #[schema(min_length = 1, max_length = 100, example = "laptop")]
    pub device_name: String,
    /// What it runs, for people to read.
    #[schema(required = false, min_length = 1, max_length = 40, default = "unknown", example = "linux")]
    pub platform: String,
}

impl Change {
    /// Errors: 400 and 422.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = Fields::read(body, &["time_zone"])?;
        let time_zone = fields.text("time_zone", zone);
        fields.finish(time_zone.map(|time_zone| Self { time_zone }))
    }
}

impl NewUser {
    /// Errors: 400 and 422.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = Fields::read(body, &["name", "time_zone"])?;
        let name = fields.text("name", name);
        let time_zone = fields.optional_text("time_zone", zone).unwrap_or_else(|| "UTC".to_owned());
        fields.finish(name.map(|name| Self { name, time_zone }))
    }
}

impl NewDevice {
    /// Errors: 400 and 422.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = Fields::read(body, &["name", "platform"])?;
        let name = fields.text("name", name);
        let platform = fields.optional_text("platform", platform).unwrap_or_else(|| "unknown".to_owned());
        fields.finish(name.map(|name| Self { name, platform }))
    }
}

impl Exchange {
    /// Errors: 400 and 422; a code that cannot be one is answered like one that is not known.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = Fields::read(body, &["code", "request_id", "device_name", "platform"])?;
        let code = fields.text("code", |text| LinkCode::parse(text).ok_or(UNUSABLE_CODE));
        let request_id = fields.text("request_id", |text| {
            LinkRequest::parse(text).ok_or(("not_a_uuid", "Expected a UUID, made at random."))
        });
        let device_name = fields.text("device_name", name);
        let platform = fields.optional_text("platform", platform).unwrap_or_else(|| "unknown".to_owned());
        let read = (|| Some(Self { code: code?, request_id: request_id?, device_name: device_name?, platform }))();
        fields.finish(read)
    }
}

/// What is wrong with every code that cannot be exchanged, whatever the reason.
pub const UNUSABLE_CODE: Broken =
    ("unusable_code", "This code cannot be used: it is mistyped, used, expired, or was never made.");

fn name(text: &str) -> Result<String, Broken> {
    match text.chars().count() {
        1..=100 if text.chars().any(char::is_control) => {
            Err(("control_character", "A name has no control characters."))
        }
        1..=100 => Ok(text.to_owned()),
        _ => Err(("wrong_length", "A name has 1 to 100 characters.")),
    }
}

fn platform(text: &str) -> Result<String, Broken> {
    match text.chars().count() {
        1..=40 if text.chars().any(char::is_control) => {
            Err(("control_character", "A platform has no control characters."))
        }
        1..=40 => Ok(text.to_owned()),
        _ => Err(("wrong_length", "A platform has 1 to 40 characters.")),
    }
}

/// What can be a zone's name at all; PostgreSQL knows which ones there are.
fn zone(text: &str) -> Result<String, Broken> {
    let plausible = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    plausible.then(|| text.to_owned()).ok_or(UNKNOWN_ZONE)
}

/// What is wrong with a time zone that PostgreSQL does not know.
pub const UNKNOWN_ZONE: Broken =
    ("unknown_time_zone", "This is not a time zone; use an IANA name such as Europe/Berlin.");

/// Which part of a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// At most this many entries.
    pub limit: usize,
    /// Where to go on.
    pub cursor: Option<String>,
}

impl Page {
    /// Errors: 422 with every violation.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let mut query = Query::read(parameters, &["limit", "cursor"]);
        let limit = query.take("limit", |text| {
            let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
            limit.ok_or_else(|| ("out_of_range", format!("Expected an integer from 1 to {MAX_LIMIT}.")))
        });
        let cursor = query.take("cursor", |text| Ok(text.to_owned()));
        query.finish(Self { limit: limit.unwrap_or(DEFAULT_LIMIT), cursor })
    }
}

/// For routes that take no parameters. Errors: 422 with every violation.
pub fn refuse_parameters(parameters: &[(String, String)]) -> Result<(), Problem> {
    Query::read(parameters, &[]).finish(())
}

/// What of one's own usage is to be deleted. Everything that is given must match.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Erasure {
    /// Only of this device.
    pub device: Option<Uuid>,
    /// Only of this tool.
    pub source: Option<Source>,
    /// From this local day on.
    pub from: Option<NaiveDate>,
    /// Up to this local day, inclusive.
    pub to: Option<NaiveDate>,
    /// Only say what would be deleted.
    pub dry_run: bool,
}

impl Erasure {
    /// Errors: 422 with every violation. Deleting everything has to be asked for in so many words.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let mut query = Query::read(parameters, &["device", "source", "from", "to", "everything", "dry_run"]);
        let erasure = Self {
            device: query.take("device", |text| {
                Uuid::try_parse(text).map_err(|_| ("not_a_uuid", "Expected a device's id, a UUID.".to_owned()))
            }),
            source: query.take("source", |text| {
                Source::parse(text).ok_or_else(|| ("unknown_source", format!("Known are {}.", SOURCES.join(", "))))
            }),
            from: query.take("from", date),
            to: query.take("to", date),
            dry_run: query.take("dry_run", truth).unwrap_or(false),
        };
        let everything = query.take("everything", truth).unwrap_or(false);
        let named = ["device", "source", "from", "to"].iter().any(|name| query.values.contains_key(name));
        if named && everything {
            query.refuse("everything", "contradiction", "Everything, or a part: not both.");
        } else if !named && !everything {
            query.refuse("everything", "missing", "Name a device, a source, from or to; or say everything=true.");
        }
        if let (Some(from), Some(to)) = (erasure.from, erasure.to)
            && from > to
        {
            query.refuse("from", "range_is_reversed", &format!("from ({from}) must not be after to ({to})."));
        }
        query.finish(erasure)
    }
}

fn truth(text: &str) -> Result<bool, (&'static str, String)> {
    text.parse().map_err(|_| ("not_a_boolean", "Expected `true` or `false`.".to_owned()))
}

fn date(text: &str) -> Result<NaiveDate, (&'static str, String)> {
    let date = text.parse::<NaiveDate>().ok();
    // The parser is generous with spaces and missing zeros; what is not written back the same is not a date.
    date.filter(|date| (1970..=9998).contains(&date.year()) && date.to_string() == text)
        .ok_or_else(|| ("not_a_date", "Expected a date, YYYY-MM-DD, from 1970 on.".to_owned()))
}

/// A query's parameters, each at most once, and what is already known to be wrong with them.
struct Query<'a> {
    values: HashMap<&'a str, &'a str>,
    violations: Vec<Violation>,
}

impl<'a> Query<'a> {
    fn read(parameters: &'a [(String, String)], known: &[&str]) -> Self {
        let mut query = Self { values: HashMap::new(), violations: Vec::new() };
        for (name, value) in parameters {
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                query.refuse(name, "unknown_parameter", &format!("There is no such parameter; known are {known}."));
            } else if query.values.insert(name, value).is_some() {
                query.refuse(name, "repeated_parameter", "Give it once.");
            }
        }
        query
    }

    fn take<T>(&mut self, name: &str, rule: impl FnOnce(&str) -> Result<T, (&'static str, String)>) -> Option<T> {
        let read = rule(self.values.get(name)?);
        read.map_err(|(code, detail)| self.refuse(name, code, &detail)).ok()
    }

    fn refuse(&mut self, name: &str, code: &'static str, detail: &str) {
        self.violations.push(Violation::new(format!("?{name}"), code, detail));
    }

    fn finish<T>(self, read: T) -> Result<T, Problem> {
        if self.violations.is_empty() { Ok(read) } else { Err(Problem::invalid(self.violations)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<T: std::fmt::Debug>(parsed: Result<T, Problem>) -> Vec<(String, &'static str)> {
        let problem = parsed.unwrap_err();
        problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
    }

    fn parameters(query: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    fn erasure(query: &str) -> Result<Erasure, Problem> {
        Erasure::parse(&parameters(query))
    }

    #[test]
    fn names_and_platforms_have_their_lengths_in_characters_and_no_control_characters() {
        let device = |name: &str| NewDevice::parse(serde_json::json!({"name": name}).to_string().as_bytes());
        assert_eq!(device(&"é".repeat(100)).unwrap().platform, "unknown");
        assert_eq!(found(device(&"é".repeat(101))), [("/name".to_owned(), "wrong_length")]);
        assert_eq!(found(device("")), [("/name".to_owned(), "wrong_length")]);
        for bad in ["\0", "a\nb", "\u{7f}", "\u{85}"] {
            assert_eq!(found(device(bad)), [("/name".to_owned(), "control_character")], "{bad:?}");
        }
        let both = NewDevice::parse(br#"{"name":1,"platform":"","colour":"red"}"#);
        let expected = [("/colour", "unknown_field"), ("/name", "wrong_type"), ("/platform", "wrong_length")];
        assert_eq!(found(both), expected.map(|(pointer, code)| (pointer.to_owned(), code)));
    }

    #[test]
    fn an_exchange_names_everything_that_is_missing_and_no_secret() {
        let all = [("/code", "missing"), ("/request_id", "missing"), ("/device_name", "missing")];
        assert_eq!(found(Exchange::parse(b"{}")), all.map(|(pointer, code)| (pointer.to_owned(), code)));
        let read = Exchange::parse(
            br#"{"code":"7k3m 9qxd 2vta","request_id":"01a1fbd2-04cd-7475-82af-448fd229c7ad","device_name":"x"}"#,
        );
        let printed = format!("{:?}", read.unwrap());
        assert!(!printed.contains("7K3M") && !printed.contains("01a1fbd2"), "{printed}");
    }

    #[test]
    fn a_page_has_1_to_1000_entries() {
        let page = |query: &str| Page::parse(&parameters(query));
        assert_eq!(page("").unwrap(), Page { limit: 100, cursor: None });
        assert_eq!(page("limit=1000&cursor=x").unwrap(), Page { limit: 1000, cursor: Some("x".to_owned()) });
        for bad in ["limit=0", "limit=1001", "limit=-1", "limit=", "limit=1e2", "limit=99999999999999999999"] {
            assert_eq!(found(page(bad)), [("?limit".to_owned(), "out_of_range")], "{bad}");
        }
        let expected = [("?limit", "repeated_parameter"), ("?sort", "unknown_parameter")];
        assert_eq!(found(page("limit=1&limit=1&sort=name")), expected.map(|(at, code)| (at.to_owned(), code)));
    }

    #[test]
    fn an_erasure_says_what_or_everything_and_not_both() {
        assert!(erasure("everything=true").is_ok() && erasure("source=codex&dry_run=true").unwrap().dry_run);
        for nothing in ["", "everything=false", "dry_run=true"] {
            assert_eq!(found(erasure(nothing)), [("?everything".to_owned(), "missing")], "{nothing}");
        }
        assert_eq!(found(erasure("everything=true&from=2026-11-01")), [("?everything".to_owned(), "contradiction")]);
        let expected = [
            ("?colour", "unknown_parameter"),
            ("?device", "not_a_uuid"),
            ("?source", "unknown_source"),
            ("?from", "not_a_date"),
            ("?dry_run", "not_a_boolean"),
        ];
        let query = "device=7&source=emacs&from=2026-2-1&dry_run=yes&colour=red";
        assert_eq!(found(erasure(query)), expected.map(|(at, code)| (at.to_owned(), code)));
        assert_eq!(found(erasure("from=2026-11-02&to=2026-11-01")), [("?from".to_owned(), "range_is_reversed")]);
    }
}
