//! What is to be deleted.

use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::problem::{Problem, Violation};

/// What the page is asked about, as the API takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletionScope {
    /// Only of this device.
    pub device: String,
    /// Only of this tool.
    pub source: String,
    /// From this local day on.
    pub from: String,
    /// Up to this local day, inclusive.
    pub to: String,
    /// All of it.
    pub is_everything: bool,
}

/// A deletion that its reader has looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// What.
    pub scope: DeletionScope,
    /// How many buckets it was when it was looked at.
    pub seen: i64,
    /// What was typed to confirm it.
    pub confirm: String,
}

const SCOPE: [&str; 5] = ["device", "source", "from", "to", "everything"];

impl DeletionScope {
    /// From the parameters of the page. What was left blank is as if it was not there. The values are read by the API's own
    /// rules later. Errors: 422 for a name that there is none.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_query(parameters, &SCOPE, &[]);
        let scope = Self::read(&mut fields);
        fields.finish(Some(scope))
    }

    fn read(fields: &mut FieldReader) -> Self {
        let mut text = |name| fields.optional_text(name, |text| Ok(text.trim().to_owned())).unwrap_or_default();
        let (device, source, from, to) = (text("device"), text("source"), text("from"), text("to"));
        Self { device, source, from, to, is_everything: text("everything") == "true" }
    }

    /// Whether anything is named.
    pub fn is_named(&self) -> bool {
        self.is_everything || [&self.device, &self.source, &self.from, &self.to].iter().any(|text| !text.is_empty())
    }

    /// Whether one's name has to be typed. A device's usage is counted, and that is enough.
    pub fn wants_name(&self) -> bool {
        self.device.is_empty()
    }

    /// As the API takes it.
    pub fn parameters(&self, dry_run: bool) -> Vec<(String, String)> {
        let everything = if self.is_everything { "true" } else { "" };
        let named = [
            ("device", self.device.as_str()),
            ("source", &self.source),
            ("from", &self.from),
            ("to", &self.to),
            ("everything", everything),
            ("dry_run", if dry_run { "true" } else { "false" }),
        ];
        let named = named.into_iter().filter(|(_, value)| !value.is_empty());
        named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

impl Deletion {
    /// From the form. Errors: 422.
    pub fn parse(form: &[(String, String)]) -> Result<Self, Problem> {
        let known: Vec<&str> = SCOPE.into_iter().chain(["seen", "confirm"]).collect();
        let mut fields = FieldReader::of_query(form, &known, &[]);
        let scope = DeletionScope::read(&mut fields);
        let confirm = fields.optional_text("confirm", |text| Ok(text.to_owned())).unwrap_or_default();
        let seen = fields.text("seen", |text| {
            let is_count = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let count = text.parse().ok().filter(|_| is_count);
            count.ok_or_else(|| ("not_a_count", "Look at how much it is first.".into()))
        });
        fields.finish(seen.map(|seen| Self { scope, seen, confirm }))
    }

    /// Errors: 422 where one's name has to be typed, and was not.
    pub fn confirmed_by(&self, name: &str) -> Result<(), Problem> {
        if self.scope.wants_name() { typed(&self.confirm, name) } else { Ok(()) }
    }
}

/// Errors: 422 for a text that is not the name, letter by letter.
pub fn typed(text: &str, name: &str) -> Result<(), Problem> {
    if text == name {
        return Ok(());
    }
    let detail = "Type your name as it stands above, letter by letter. Nothing was deleted.";
    Err(Problem::invalid(vec![Violation::new("?confirm", "not_the_name", detail)]))
}

/// What was typed to confirm that everything goes. Errors: 422.
pub fn typed_name(form: &[(String, String)]) -> Result<String, Problem> {
    let mut fields = FieldReader::of_query(form, &["confirm"], &[]);
    let confirm = fields.text("confirm", |text| Ok(text.to_owned()));
    fields.finish(confirm)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(query: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    #[test]
    fn what_is_left_blank_is_not_named_and_all_of_it_is_said_in_so_many_words() {
        for nothing in ["", "device=&source=+&from=&to=", "everything=", "everything=false"] {
            assert!(!DeletionScope::parse(&form(nothing)).unwrap().is_named(), "{nothing}");
        }
        let all = DeletionScope::parse(&form("everything=true")).unwrap();
        assert_eq!(all.parameters(true), form("everything=true&dry_run=true"));
        let part = DeletionScope::parse(&form("device=a&from=+2026-11-01+")).unwrap();
        assert_eq!(part.parameters(false), form("device=a&from=2026-11-01&dry_run=false"));
        assert!(!part.wants_name() && all.wants_name());
        assert!(
            DeletionScope::parse(&form("colour=red")).is_err() && DeletionScope::parse(&form("to=a&to=b")).is_err()
        );
    }

    #[test]
    fn what_names_no_device_is_deleted_only_under_ones_name() {
        let deletion = |query: &str| Deletion::parse(&form(query)).unwrap();
        assert!(deletion("device=a&seen=3").confirmed_by("ann").is_ok());
        assert!(deletion("from=2026-11-01&seen=3&confirm=ann").confirmed_by("ann").is_ok());
        for other in ["", "Ann", "ann ", "bob"] {
            assert!(
                deletion(&format!("everything=true&seen=3&confirm={other}")).confirmed_by("ann").is_err(),
                "{other}"
            );
        }
        for bad in
            ["device=a", "device=a&seen=", "device=a&seen=-1", "device=a&seen=%2B1", "device=a&seen=1&dry_run=false"]
        {
            assert!(Deletion::parse(&form(bad)).is_err(), "{bad}");
        }
    }
}
