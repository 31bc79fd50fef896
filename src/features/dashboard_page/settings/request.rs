//! What the forms of the settings say.

use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::values::{line, time_zone};
use crate::kernel::problem::Problem;

/// The wanted zone. Errors: 422.
pub fn wanted_zone(form: &[(String, String)]) -> Result<String, Problem> {
    let mut fields = FieldReader::of_query(form, &["time_zone"], &[]);
    let zone = fields.text("time_zone", |text| time_zone(text.trim()));
    fields.finish(zone)
}

/// The name and the platform of a new device. Errors: 422 with everything that is wrong.
pub fn new_device(form: &[(String, String)]) -> Result<(String, String), Problem> {
    let mut fields = FieldReader::of_query(form, &["name", "platform"], &[]);
    let name = fields.text("name", |text| line(text.trim(), "A name", 100));
    let platform = fields.optional_text("platform", |text| {
        if text.trim().is_empty() { Ok("unknown".to_owned()) } else { line(text.trim(), "A platform", 40) }
    });
    fields.finish(name.map(|name| (name, platform.unwrap_or_else(|| "unknown".to_owned()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_a_name_and_a_platform_where_it_says_one() {
        let form = |query: &str| url::form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>();
        assert_eq!(new_device(&form("name=+laptop+&platform=")).unwrap(), ("laptop".into(), "unknown".into()));
        assert!(new_device(&form("name=")).is_err() && new_device(&form("platform=x")).is_err());
        let both = new_device(&form(&format!("name=%00&platform={}", "x".repeat(41)))).unwrap_err();
        assert_eq!(both.violations().len(), 2);
        assert!(wanted_zone(&form("time_zone=Europe/Berlin")).is_ok());
        assert!(wanted_zone(&form("time_zone=Europe+Berlin")).is_err());
    }
}
