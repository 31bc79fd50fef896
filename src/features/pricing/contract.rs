//! How the contract describes what is asked about prices.

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{Object, ObjectBuilder, Type};

use crate::kernel::http::body::BODY_LIMIT;
use crate::kernel::http::parameters::{query, required_query};
use crate::kernel::http::schemas;

/// The parameters of a question.
#[derive(Clone, Copy, Debug)]
pub struct PriceParameters;

impl IntoParams for PriceParameters {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let book = schemas::number(u16::MAX);
        vec![
            required_query("source", "The tool that reports the model.", schemas::source()),
            required_query("model", "The model, as the tool reports it.", schemas::model()),
            query("at", "At which instant; now by default.", schemas::instant()),
            query("book", "In which book; by default the one in force.", book),
        ]
    }
}

/// The day of a book's prices.
pub fn dated() -> Object {
    let mut day = schemas::day();
    day.examples = vec!["2026-11-20".into()];
    day
}

/// The price file of a book. It shares the body's limit with the rest of the order.
pub fn price_file() -> Object {
    let about = "The price file, as CSV under a line with the names of its columns.";
    let example =
        "provider,model_pattern,input_per_mtok_usd,source\nopenai,gpt-5,1.25,https://openai.com/api/pricing\n";
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(BODY_LIMIT));
    text.description(Some(about)).examples([example]).build()
}
