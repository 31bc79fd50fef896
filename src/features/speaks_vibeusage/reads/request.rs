//! What the dashboard asks, as questions.

use chrono::Weekday;

use crate::kernel::dashboards::{
    MOST_MONTHS, MOST_WEEKS, PartDays, SumWidth, SumsPart, SumsQuestion, WEEKS_BY_DEFAULT, asked_between, asked_day,
    asked_last_day, asked_number, asked_week_start, read_question,
};
use crate::kernel::problem::Problem;

/// The sums of some days. Errors: 422 with every violation.
pub fn summary(parameters: Vec<(String, String)>) -> Result<SumsQuestion, Problem> {
    read_question(parameters, &["from", "to"], |fields| vec![SumsPart::whole(asked_between(fields), SumWidth::Month)])
}

/// The sums of each of some days. Errors: 422 with every violation.
pub fn daily(parameters: Vec<(String, String)>) -> Result<SumsQuestion, Problem> {
    read_question(parameters, &["from", "to"], |fields| {
        vec![SumsPart::whole(asked_between(fields), SumWidth::Day).filled()]
    })
}

/// The sums of the half hours of a day. Errors: 422 with every violation.
pub fn hourly(parameters: Vec<(String, String)>) -> Result<SumsQuestion, Problem> {
    read_question(parameters, &["day"], |fields| vec![SumsPart::whole(asked_day(fields), SumWidth::HalfHour).filled()])
}

/// The sums of some months. Errors: 422 with every violation.
pub fn monthly(parameters: Vec<(String, String)>) -> Result<SumsQuestion, Problem> {
    read_question(parameters, &["months", "to"], |fields| {
        let count = asked_number(fields, "months", MOST_MONTHS, MOST_MONTHS);
        let days = PartDays::Months { count, to: asked_last_day(fields) };
        vec![SumsPart::whole(days, SumWidth::Month).filled()]
    })
}

/// The days of some weeks, and on which day these begin. Errors: 422 with every violation.
pub fn heatmap(parameters: Vec<(String, String)>) -> Result<(SumsQuestion, Weekday), Problem> {
    let mut start = Weekday::Sun;
    let question = read_question(parameters, &["weeks", "to", "week_starts_on"], |fields| {
        start = asked_week_start(fields);
        let count = asked_number(fields, "weeks", WEEKS_BY_DEFAULT, MOST_WEEKS);
        let days = PartDays::Weeks { count, start, to: asked_last_day(fields) };
        vec![SumsPart::whole(days, SumWidth::Day).filled()]
    })?;
    Ok((question, start))
}

/// The sums of each tool and each of its models. Errors: 422 with every violation.
pub fn model_breakdown(parameters: Vec<(String, String)>) -> Result<SumsQuestion, Problem> {
    read_question(parameters, &["from", "to"], |fields| {
        vec![SumsPart::whole(asked_between(fields), SumWidth::Month).by_source_and_model()]
    })
}
