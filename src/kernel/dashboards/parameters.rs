//! The parameters that these dashboards have in common, as their values are read.

use std::borrow::Cow;

use chrono::{NaiveDate, Weekday};

use super::days::PartDays;
use super::question::{NamedZone, SumsFilters, SumsPart, SumsQuestion};
use super::zones::{FARTHEST, fixed_zone};
use crate::kernel::http::field_reader::{Broken, FieldReader, MAX_FILTER_VALUES};
use crate::kernel::http::values::{date, model, number, source, time_zone, uuid};
use crate::kernel::problem::Problem;

/// What every question may say.
const ASKED_ALIKE: [&str; 4] = [ZONE, OFFSET, "source", "model"];
/// What may have several values, where it may be said.
const LISTED: [&str; 3] = ["source", "model", "device_id"];

/// A heatmap has so many weeks, a year, unless it is said otherwise.
pub const WEEKS_BY_DEFAULT: u16 = 52;
/// And at most so many.
pub const MOST_WEEKS: u16 = 104;
/// So many months are shown, unless it is said otherwise, and at most.
pub const MOST_MONTHS: u16 = 24;

const ZONE: &str = "tz";
const OFFSET: &str = "tz_offset_minutes";

/// Reads a query that may have the parameters `own` besides those that all have. `parts` reads those. Errors: 422 with
/// every violation.
pub fn read_question(
    parameters: Vec<(String, String)>,
    own: &[&str],
    parts: impl FnOnce(&mut FieldReader) -> Vec<SumsPart>,
) -> Result<SumsQuestion, Problem> {
    let known = [ASKED_ALIKE.as_slice(), own].concat();
    let lists: Vec<&str> = LISTED.into_iter().filter(|name| known.contains(name)).collect();
    // A list is counted with the values that say nothing.
    let says = |(name, value): &(String, String)| lists.contains(&name.as_str()) || !is_blank(value);
    let parameters: Vec<_> = parameters.into_iter().filter(says).collect();
    let mut fields = FieldReader::of_query(&parameters, &known, &lists);
    let parts = parts(&mut fields);
    let question = SumsQuestion {
        zone: zone(&mut fields),
        filters: filters(&mut fields),
        parts,
        rankings: Vec::new(),
        hours_of_week: None,
        receipt: None,
    };
    fields.finish(Some(question))
}

/// The days `from` and `to`.
pub fn asked_between(fields: &mut FieldReader) -> PartDays {
    PartDays::Between { from: fields.optional_text("from", date), to: asked_last_day(fields) }
}

/// The day `day`.
pub fn asked_day(fields: &mut FieldReader) -> PartDays {
    PartDays::One(fields.optional_text("day", date))
}

/// The day `to`.
pub fn asked_last_day(fields: &mut FieldReader) -> Option<NaiveDate> {
    fields.optional_text("to", date)
}

/// The number of this name, from 1 to `most`, which stands for one that is not named too.
pub fn asked_number(fields: &mut FieldReader, name: &str, by_default: u16, most: u16) -> u16 {
    fields.optional_text(name, |text| number(text, most)).unwrap_or(by_default)
}

/// On which day weeks begin.
pub fn asked_week_start(fields: &mut FieldReader) -> Weekday {
    let read = fields.optional_text("week_starts_on", |text| match text {
        "sun" => Ok(Weekday::Sun),
        "mon" => Ok(Weekday::Mon),
        _ => Err::<_, Broken>(("unknown_week_start", "Expected sun or mon.".into())),
    });
    read.unwrap_or(Weekday::Sun)
}

/// The place that is named, or else the zone that is always so far from UTC.
fn zone(fields: &mut FieldReader) -> Option<NamedZone> {
    let place = fields.optional_text(ZONE, time_zone);
    let minutes = fields.optional_text(OFFSET, offset);
    if fields.get(ZONE).is_some() {
        return place.map(|name| NamedZone { name, parameter: ZONE });
    }
    let minutes = minutes?;
    let name = fixed_zone(minutes);
    if name.is_none() {
        fields.refuse(OFFSET, no_fixed_zone(minutes));
    }
    name.map(|name| NamedZone { name, parameter: OFFSET })
}

fn no_fixed_zone(minutes: i16) -> Broken {
    let detail =
        format!("No zone is {minutes} minutes from UTC all year, so that days have no exact bounds: send `{ZONE}`.");
    ("no_fixed_zone", detail.into())
}

/// Minutes ahead of UTC.
fn offset(text: &str) -> Result<i16, Broken> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let minutes = text.parse().ok().filter(|minutes| is_number && (-FARTHEST..=FARTHEST).contains(minutes));
    minutes.ok_or(("out_of_range", Cow::Borrowed("Expected minutes ahead of UTC, from -840 to 840.")))
}

fn filters(fields: &mut FieldReader) -> SumsFilters {
    SumsFilters {
        sources: said(fields, "source", |text| source(&text.trim().to_ascii_lowercase())),
        models: said(fields, "model", |text| model(text.trim())),
        devices: said(fields, "device_id", uuid),
    }
}

/// The values of a list that say something.
fn said<T>(fields: &mut FieldReader, name: &str, rule: impl Fn(&str) -> Result<T, Broken>) -> Vec<T> {
    let read =
        fields.list(name, MAX_FILTER_VALUES, |text| if is_blank(text) { Ok(None) } else { rule(text).map(Some) });
    read.into_iter().flatten().collect()
}

/// These dashboards send parameters that say nothing, and mean that they are absent.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<SumsQuestion, Vec<(String, &'static str)>> {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let violations = |problem: Problem| problem.violations().to_vec();
        let read = read_question(pairs, &[], |_| Vec::new()).map_err(violations);
        read.map_err(|all| all.into_iter().map(|violation| (violation.pointer, violation.code)).collect())
    }

    fn zone_of(query: &str) -> Option<(String, &'static str)> {
        read(query).unwrap().zone.map(|zone| (zone.name, zone.parameter))
    }

    #[test]
    fn a_place_wins_over_minutes_whether_or_not_they_are_a_zone() {
        let named = |name: &str, parameter| Some((name.to_owned(), parameter));
        assert_eq!(zone_of("tz=Europe/Berlin&tz_offset_minutes=60"), named("Europe/Berlin", "tz"));
        assert_eq!(zone_of("tz=Asia/Tehran&tz_offset_minutes=210"), named("Asia/Tehran", "tz"));
        assert_eq!(zone_of("tz_offset_minutes=330"), named("Asia/Kolkata", "tz_offset_minutes"));
        assert_eq!(zone_of("tz_offset_minutes=-300&tz="), named("Etc/GMT+5", "tz_offset_minutes"));
        assert_eq!(zone_of("tz_offset_minutes=0"), named("UTC", "tz_offset_minutes"));
        assert_eq!(zone_of("source=&model=%20"), None);
    }

    #[test]
    fn minutes_that_are_no_zone_or_no_minutes_are_refused_with_their_name() {
        let refused = |query: &str| read(query).unwrap_err();
        let offset = |code| vec![("?tz_offset_minutes".to_owned(), code)];
        for minutes in ["210", "-210", "7", "-840"] {
            assert_eq!(refused(&format!("tz_offset_minutes={minutes}")), offset("no_fixed_zone"), "{minutes}");
        }
        for minutes in ["841", "-841", "+60", "60.5", "NaN", "-", "1e2", "99999999999"] {
            for query in [format!("tz_offset_minutes={minutes}"), format!("tz=UTC&tz_offset_minutes={minutes}")] {
                assert_eq!(refused(&query.replace('+', "%2B")), offset("out_of_range"), "{query}");
            }
        }
        assert_eq!(refused("tz=Europe%20Berlin"), [("?tz".to_owned(), "unknown_time_zone")]);
        assert_eq!(refused("tz=UTC&tz=UTC"), [("?tz".to_owned(), "repeated_parameter")]);
        for unknown in ["zone", "device_id", "debug"] {
            assert_eq!(refused(&format!("{unknown}=1")), [(format!("?{unknown}"), "unknown_parameter")]);
        }
    }

    #[test]
    fn a_tool_is_read_in_any_case_and_a_model_to_the_letter() {
        let filters = read("source=%20Codex%20&model=GPT-5%2Cx").unwrap().filters;
        assert_eq!((filters.sources[0].as_str(), filters.models[0].as_str()), ("codex", "GPT-5,x"));
        assert_eq!(read("source=two%20words").unwrap_err(), [("?source".to_owned(), "malformed_source")]);
    }

    #[test]
    fn a_list_is_counted_with_the_values_that_say_nothing() {
        for (name, value) in [("model", "%20"), ("model", ""), ("source", "%09"), ("source", "codex"), ("source", ",")]
        {
            let values = value.matches(',').count() + 1;
            let query = |count: usize| vec![format!("{name}={value}"); count / values].join("&");
            assert!(read(&query(100)).is_ok(), "{name}={value}");
            assert_eq!(read(&query(102)).unwrap_err(), [(format!("?{name}"), "too_many_values")], "{name}={value}");
        }
        assert_eq!(read("model=&model=m&model=%20").unwrap().filters.models.len(), 1);
    }
}
