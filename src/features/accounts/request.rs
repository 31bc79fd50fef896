//! What callers send: bodies and queries become accounts' own words, and everything that is wrong is named.

use std::borrow::Cow;

use chrono::NaiveDate;
use utoipa::ToSchema;
use uuid::Uuid;

use super::link_code::{LinkCode, LinkRequest};
use crate::kernel::bucket::Source;
use crate::kernel::http::field_reader::{Broken, FieldReader};
use crate::kernel::http::values::{date, line, source, time_zone, uuid};
use crate::kernel::problem::Problem;

/// Another time zone for oneself.
#[derive(Debug, ToSchema)]
#[schema(as = ProfileChange)]
pub struct ProfileChange {
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

impl ProfileChange {
    /// Errors: 400 and 422.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_body(body, &["time_zone"])?;
        let time_zone = fields.text("time_zone", time_zone);
        fields.finish(time_zone.map(|time_zone| Self { time_zone }))
    }
}

impl NewUser {
    /// Errors: 400 and 422.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_body(body, &["name", "time_zone"])?;
        let name = fields.text("name", name);
        let time_zone = fields.optional_text("time_zone", time_zone).unwrap_or_else(|| "UTC".to_owned());
        fields.finish(name.map(|name| Self { name, time_zone }))
    }
}

impl NewDevice {
    /// Errors: 400 and 422.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_body(body, &["name", "platform"])?;
        let name = fields.text("name", name);
        let platform = fields.optional_text("platform", platform).unwrap_or_else(|| "unknown".to_owned());
        fields.finish(name.map(|name| Self { name, platform }))
    }
}

impl Exchange {
    /// Errors: 400 and 422; a code that cannot be one is answered like one that is not known.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_body(body, &["code", "request_id", "device_name", "platform"])?;
        let code = fields.text("code", |text| LinkCode::parse(text).ok_or(UNUSABLE_CODE));
        let request_id = fields.text("request_id", |text| {
            LinkRequest::parse(text).ok_or(("not_a_uuid", "Expected a UUID, made at random.".into()))
        });
        let device_name = fields.text("device_name", name);
        let platform = fields.optional_text("platform", platform).unwrap_or_else(|| "unknown".to_owned());
        let read = (|| Some(Self { code: code?, request_id: request_id?, device_name: device_name?, platform }))();
        fields.finish(read)
    }
}

/// What is wrong with every code that cannot be exchanged, whatever the reason.
pub const UNUSABLE_CODE: Broken =
    ("unusable_code", Cow::Borrowed("This code cannot be used: it is mistyped, used, expired, or was never made."));

fn name(text: &str) -> Result<String, Broken> {
    line(text, "A name", 100)
}

fn platform(text: &str) -> Result<String, Broken> {
    line(text, "A platform", 40)
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
        let known = ["device", "source", "from", "to", "everything", "dry_run"];
        let mut fields = FieldReader::of_query(parameters, &known, &[]);
        let erasure = Self {
            device: fields.optional_text("device", uuid),
            source: fields.optional_text("source", source),
            from: fields.optional_text("from", date),
            to: fields.optional_text("to", date),
            dry_run: fields.optional_text("dry_run", truth).unwrap_or(false),
        };
        let everything = fields.optional_text("everything", truth).unwrap_or(false);
        let named = ["device", "source", "from", "to"].iter().any(|name| fields.get(name).is_some());
        if named && everything {
            fields.refuse("everything", ("contradiction", "Everything, or a part: not both.".into()));
        } else if !named && !everything {
            let detail = "Name a device, a source, from or to; or say everything=true.";
            fields.refuse("everything", ("missing", detail.into()));
        }
        if let (Some(from), Some(to)) = (erasure.from, erasure.to)
            && from > to
        {
            let detail = format!("from ({from}) must not be after to ({to}).");
            fields.refuse("from", ("range_is_reversed", detail.into()));
        }
        fields.finish(Some(erasure))
    }
}

fn truth(text: &str) -> Result<bool, Broken> {
    text.parse().map_err(|_| ("not_a_boolean", "Expected `true` or `false`.".into()))
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
