//! What the dashboard asks, as questions.

use chrono::Weekday;

use crate::kernel::dashboards::{
    MOST_MONTHS, MOST_WEEKS, PartDays, SumWidth, SumsPart, SumsQuestion, WEEKS_BY_DEFAULT, asked_between, asked_day,
    asked_last_day, asked_number, asked_week_start, read_question,
};
use crate::kernel::http::field_reader::Broken;
use crate::kernel::problem::Problem;

/// The longer one of the two spans that end today; the shorter one is part of it.
const ROLLING_DAYS: u16 = 30;

/// The sums of some days, and of the last thirty where these are asked for. Errors: 422 with every violation.
pub fn summary(parameters: Vec<(String, String)>) -> Result<SumsQuestion, Problem> {
    read_question(parameters, &["from", "to", "device_id", "rolling"], |fields| {
        let range = SumsPart::whole(asked_between(fields), SumWidth::Day);
        let rolling = fields.optional_text("rolling", |text| match text {
            "1" => Ok(true),
            "0" => Ok(false),
            _ => Err::<_, Broken>(("not_a_boolean", "Expected 1 or 0.".into())),
        });
        let last = SumsPart::whole(PartDays::Last(ROLLING_DAYS), SumWidth::Day);
        if rolling == Some(true) { vec![range, last] } else { vec![range] }
    })
}

/// The sums of each of some days. Errors: 422 with every violation.
pub fn daily(parameters: Vec<(String, String)>) -> Result<SumsQuestion, Problem> {
    read_question(parameters, &["from", "to", "device_id"], |fields| {
        vec![SumsPart::whole(asked_between(fields), SumWidth::Day).by_model()]
    })
}

/// The sums of the hours of a day. Errors: 422 with every violation.
pub fn hourly(parameters: Vec<(String, String)>) -> Result<SumsQuestion, Problem> {
    read_question(parameters, &["day", "device_id"], |fields| {
        vec![SumsPart::whole(asked_day(fields), SumWidth::Hour).by_model()]
    })
}

/// The sums of the months of some days, or of so many months up to a day. Errors: 422 with every violation.
pub fn monthly(parameters: Vec<(String, String)>) -> Result<SumsQuestion, Problem> {
    read_question(parameters, &["from", "to", "months", "device_id"], |fields| {
        let count = asked_number(fields, "months", MOST_MONTHS, MOST_MONTHS);
        let days = match (fields.get("from").is_some(), fields.get("months").is_some()) {
            (false, _) => PartDays::Months { count, to: asked_last_day(fields) },
            (true, both) => {
                if both {
                    fields.refuse("months", ("months_or_days", "Leave out `months`, or leave out `from`.".into()));
                }
                asked_between(fields)
            }
        };
        vec![SumsPart::whole(days, SumWidth::Month).by_model()]
    })
}

/// The days of some weeks, and on which day these begin. Errors: 422 with every violation.
pub fn heatmap(parameters: Vec<(String, String)>) -> Result<(SumsQuestion, Weekday), Problem> {
    let mut start = Weekday::Sun;
    let question = read_question(parameters, &["weeks", "to", "week_starts_on", "device_id"], |fields| {
        start = asked_week_start(fields);
        let count = asked_number(fields, "weeks", WEEKS_BY_DEFAULT, MOST_WEEKS);
        let days = PartDays::Weeks { count, start, to: asked_last_day(fields) };
        vec![SumsPart::whole(days, SumWidth::Day).by_model()]
    })?;
    Ok((question, start))
}

/// The sums of each tool and each of its models. Errors: 422 with every violation.
pub fn model_breakdown(parameters: Vec<(String, String)>) -> Result<SumsQuestion, Problem> {
    read_question(parameters, &["from", "to", "device_id"], |fields| {
        vec![SumsPart::whole(asked_between(fields), SumWidth::Month).by_source_and_model()]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    #[test]
    fn months_are_named_by_their_number_or_by_their_days() {
        let days = |query: &str| monthly(pairs(query)).unwrap().parts[0].days;
        let (from, to) = ("2026-01-15".parse().unwrap(), "2026-03-02".parse().unwrap());
        assert_eq!(days(""), PartDays::Months { count: 24, to: None });
        assert_eq!(days("months=3&to=2026-03-02"), PartDays::Months { count: 3, to: Some(to) });
        assert_eq!(days("from=2026-01-15&to=2026-03-02"), PartDays::Between { from: Some(from), to: Some(to) });
        let both = monthly(pairs("from=2026-01-15&months=3")).unwrap_err();
        assert_eq!((both.violations()[0].pointer.as_str(), both.violations()[0].code), ("?months", "months_or_days"));
    }

    #[test]
    fn the_last_thirty_days_come_where_they_are_asked_for() {
        let parts = |query: &str| summary(pairs(query)).unwrap().parts.len();
        assert_eq!((parts("rolling=1"), parts("rolling=0"), parts("")), (2, 1, 1));
        assert_eq!(summary(pairs("rolling=yes")).unwrap_err().violations()[0].code, "not_a_boolean");
    }
}
