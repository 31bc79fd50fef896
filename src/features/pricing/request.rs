//! What is asked about prices, and what operators send as a book.

use chrono::{DateTime, NaiveDate, Utc};
use utoipa::ToSchema;

use super::books::NewBook;
use super::contract::{dated, price_file};
use crate::kernel::bucket::{Model, Source};
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::{schemas, values};
use crate::kernel::problem::Problem;

const QUESTION: [&str; 4] = ["source", "model", "at", "book"];
const BOOK: [&str; 3] = ["dated", "reason", "csv"];

/// Which price is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceQuestion {
    /// The tool that reports it.
    pub source: Source,
    /// The model, as it reports it.
    pub model: Model,
    /// At which instant; now, where it is not said.
    pub at: Option<DateTime<Utc>>,
    /// In which book; the one in force, where it is not said.
    pub book: Option<i32>,
}

impl PriceQuestion {
    /// Reads the query's parameters. Errors: 422 with every violation.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_query(parameters, &QUESTION, &[]);
        let source = fields.text("source", values::source);
        let model = fields.text("model", values::model);
        let at = fields.optional_text("at", values::instant);
        let book = fields.optional_text("book", |text| values::number(text, u16::MAX)).map(i32::from);
        fields.finish(source.zip(model).map(|(source, model)| Self { source, model, at, book }))
    }

    /// The same from a command. Errors: 422 with every violation.
    pub fn of(source: &str, model: &str, at: Option<DateTime<Utc>>, book: Option<u16>) -> Result<Self, Problem> {
        let named = [("source", Some(source.to_owned())), ("model", Some(model.to_owned()))];
        let rest = [("at", at.map(|at| at.to_rfc3339())), ("book", book.map(|book| book.to_string()))];
        let given = named.into_iter().chain(rest).filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Self::parse(&given.collect::<Vec<_>>())
    }
}

/// A price book to be imported.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPriceBook)]
pub struct BookOrder {
    /// The day as of which its prices are known.
    #[schema(schema_with = dated)]
    dated: NaiveDate,
    /// Why it is imported.
    #[schema(schema_with = schemas::reason)]
    reason: String,
    /// The price file.
    #[schema(schema_with = price_file)]
    csv: String,
}

impl BookOrder {
    /// Reads a body. Errors: 400 for what is not a JSON object, 422 with every violation.
    pub fn parse(body: &[u8]) -> Result<NewBook, Problem> {
        let mut fields = FieldReader::of_body(body, &BOOK)?;
        let dated = fields.text("dated", values::date);
        let reason = fields.text("reason", values::reason);
        let csv = fields.text("csv", |text| Ok(text.to_owned()));
        let order = dated.zip(reason).zip(csv).map(|((dated, reason), csv)| Self { dated, reason, csv });
        let Self { dated, reason, csv } = fields.finish(order)?;
        NewBook::read(dated, reason, &[&csv])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(query: &str) -> Vec<(String, &'static str)> {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let problem = PriceQuestion::parse(&pairs).unwrap_err();
        problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
    }

    #[test]
    fn everything_that_is_wrong_with_a_question_is_said() {
        assert_eq!(codes(""), [("?source".to_owned(), "missing"), ("?model".to_owned(), "missing")]);
        let found = codes("source=Codex&model=m&at=yesterday&book=0&currency=EUR");
        let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["?currency", "?source", "?at", "?book"]);
    }

    #[test]
    fn a_body_is_refused_by_field_and_then_by_line() {
        let codes = |body: &str| {
            let problem = BookOrder::parse(body.as_bytes()).unwrap_err();
            problem.violations().iter().map(|found| (found.pointer.clone(), found.code)).collect::<Vec<_>>()
        };
        assert_eq!(
            codes(r#"{"dated":"2026-13-01","csv":7}"#),
            [("/dated".to_owned(), "not_a_date"), ("/reason".to_owned(), "missing"), ("/csv".to_owned(), "wrong_type")]
        );
        let lines = "provider,model_pattern,input_per_mtok_usd,source\\nopenai,gpt-5,1e3,page\\n";
        let body = format!(r#"{{"dated":"2026-11-28","reason":"new","csv":"{lines}"}}"#);
        assert_eq!(codes(&body), [("/csv/2/input_per_mtok_usd".to_owned(), "not_a_price")]);
    }
}
