//! What the forms of the settings say. Names and labels are taken without the blanks around them, which nobody sees.

use uuid::Uuid;

use crate::kernel::http::field_reader::{Broken, FieldReader};
use crate::kernel::http::values::{MAX_NAME, line, time_zone, uuid};
use crate::kernel::problem::Problem;

/// The fields of a form.
pub type FilledFields = [(String, String)];

fn name(text: &str) -> Result<String, Broken> {
    line(text.trim(), "A name", MAX_NAME)
}

/// The wanted zone. Errors: 422.
pub fn wanted_zone(form: &FilledFields) -> Result<String, Problem> {
    let mut fields = FieldReader::of_query(form, &["time_zone"], &[]);
    let zone = fields.text("time_zone", |text| time_zone(text.trim()));
    fields.finish(zone)
}

/// The name and the platform of a new device. Errors: 422 with everything that is wrong.
pub fn new_device(form: &FilledFields) -> Result<(String, String), Problem> {
    let mut fields = FieldReader::of_query(form, &["name", "platform"], &[]);
    let name = fields.text("name", name);
    let platform = fields.optional_text("platform", |text| {
        if text.trim().is_empty() { Ok("unknown".to_owned()) } else { line(text.trim(), "A platform", 40) }
    });
    fields.finish(name.map(|name| (name, platform.unwrap_or_else(|| "unknown".to_owned()))))
}

/// The name that a device is to have, and the one that it had when the form was made. Errors: 422.
pub fn other_name(form: &FilledFields) -> Result<(String, String), Problem> {
    let mut fields = FieldReader::of_query(form, &["name", "former_name"], &[]);
    let wanted = fields.text("name", name);
    let former = fields.text("former_name", |text| line(text, "A name", MAX_NAME));
    fields.finish(wanted.zip(former))
}

/// What a new token is called. Errors: 422.
pub fn new_label(form: &FilledFields) -> Result<String, Problem> {
    let mut fields = FieldReader::of_query(form, &["label"], &[]);
    let label = fields.text("label", |text| line(text.trim(), "What a token is for", MAX_NAME));
    fields.finish(label)
}

/// The merge whose page asks for a revocation, where one does. Errors: 422.
pub fn asking_merge(form: &FilledFields) -> Result<Option<Uuid>, Problem> {
    let mut fields = FieldReader::of_query(form, &["merge"], &[]);
    let merge = fields.optional_text("merge", uuid);
    fields.finish(Some(merge))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(query: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    #[test]
    fn a_device_has_a_name_and_a_platform_where_it_says_one() {
        assert_eq!(new_device(&form("name=+laptop+&platform=")).unwrap(), ("laptop".into(), "unknown".into()));
        assert!(new_device(&form("name=")).is_err() && new_device(&form("platform=x")).is_err());
        let both = new_device(&form(&format!("name=%00&platform={}", "x".repeat(41)))).unwrap_err();
        assert_eq!(both.violations().len(), 2);
        assert!(wanted_zone(&form("time_zone=Europe/Berlin")).is_ok());
        assert!(wanted_zone(&form("time_zone=Europe+Berlin")).is_err());
    }

    #[test]
    fn another_name_says_which_one_it_replaces() {
        assert_eq!(other_name(&form("name=+b+&former_name=a")).unwrap(), ("b".into(), "a".into()));
        for bad in ["name=b", "name=+&former_name=a", "name=b&former_name=a&colour=red", "name=b&name=c&former_name=a"]
        {
            assert!(other_name(&form(bad)).is_err(), "{bad}");
        }
        assert_eq!(new_label(&form("label=+grafana")).unwrap(), "grafana");
        assert!(new_label(&form(&format!("label={}", "x".repeat(101)))).is_err() && new_label(&form("")).is_err());
        assert!(asking_merge(&form("")).unwrap().is_none() && asking_merge(&form("merge=//evil")).is_err());
    }
}
