//! How a switch is to be thrown, as a form says it.

use chrono::{DateTime, Utc};

use crate::features::dashboard_page::operator_doors::WantedThrow;
use crate::kernel::http::field_reader::{Broken, FieldReader};
use crate::kernel::http::values::{instant, reason};
use crate::kernel::operations::switches::Switch;
use crate::kernel::problem::{Code, Problem};

/// What a form says of a switch that was never thrown.
pub const NEVER: &str = "never";

/// The switch of that name. Errors: 404.
pub fn switch_named(name: &str) -> Result<Switch, Problem> {
    Switch::parse(name).ok_or_else(|| Problem::new(Code::NotFound, "There is no such switch."))
}

/// Reads a form. Errors: 422 with every field that is wrong; one whose page was never seen is wrong, too.
pub fn wanted_throw(switch: Switch, form: &[(String, String)]) -> Result<WantedThrow, Problem> {
    let mut fields = FieldReader::of_query(form, &["is_on", "seen", "reason"], &[]);
    let is_on = fields.text("is_on", |text| match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(("not_a_boolean", "Expected `yes` or `no`.".into())),
    });
    let seen = fields.text("seen", seen);
    let reason = fields.text("reason", reason);
    let wanted = is_on.zip(seen).zip(reason);
    fields.finish(wanted.map(|((is_on, seen), reason)| WantedThrow { switch, seen, is_on, reason }))
}

fn seen(text: &str) -> Result<Option<DateTime<Utc>>, Broken> {
    if text == NEVER { Ok(None) } else { instant(text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(query: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    #[test]
    fn a_switch_is_thrown_one_way_for_a_reason_and_as_it_was_seen() {
        let read = wanted_throw(Switch::Relay, &form("is_on=no&seen=never&reason=+disk+")).unwrap();
        assert_eq!((read.is_on, read.seen, read.reason.as_str()), (false, None, "disk"));
        let read = wanted_throw(Switch::Relay, &form("is_on=yes&seen=2026-11-20T10:30:00.000001Z&reason=x")).unwrap();
        assert_eq!(read.seen.unwrap().timestamp_subsec_micros(), 1);
        for (query, wrong) in [
            ("", "?is_on ?seen ?reason"),
            ("is_on=true&seen=never&reason=x", "?is_on"),
            ("is_on=yes&seen=&reason=x", "?seen"),
            ("is_on=yes&seen=never&reason=+", "?reason"),
            ("is_on=yes&is_on=no&seen=never&reason=x", "?is_on"),
            ("is_on=yes&seen=never&reason=x&force=yes", "?force"),
        ] {
            let refused = wanted_throw(Switch::Relay, &form(query)).unwrap_err();
            let found: Vec<_> = refused.violations().iter().map(|violation| violation.pointer.as_str()).collect();
            assert_eq!(found.join(" "), wrong, "{query}");
        }
        assert_eq!(switch_named("Ingest").unwrap_err().code(), Code::NotFound);
    }
}
