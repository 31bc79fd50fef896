//! Request bodies and queries in the form that the slices want. Whatever has another form is
//! refused as a problem.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::field_reader::{FieldReader, LISTED_WHOLE};
use crate::kernel::problem::{Code, Problem};

/// No body may be larger than this, decompressed, in bytes.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// The media type of most bodies.
pub const JSON: &str = "application/json";
/// The media type of a stream of lines, each a JSON value.
pub const NDJSON: &str = "application/x-ndjson";

/// The bytes of a JSON body: media type and size are checked, the content is not.
///
/// Errors: 415 for another media type, 413 over [`BODY_LIMIT`], 400 when the body breaks off or does not decompress.
#[derive(Debug)]
pub struct JsonBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        if media_type(request.headers()) != JSON {
            return Err(Problem::new(Code::UnsupportedMediaType, "Send `Content-Type: application/json`."));
        }
        match Limited::new(request.into_body(), BODY_LIMIT).collect().await {
            Ok(body) => Ok(Self(body.to_bytes())),
            Err(error) => Err(refuse_body(error)),
        }
    }
}

/// The media type of a body, in lower case and without parameters; empty where none is named.
pub fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn refuse_body(error: Box<dyn std::error::Error + Send + Sync>) -> Problem {
    let first: &(dyn std::error::Error + 'static) = error.as_ref();
    if std::iter::successors(Some(first), |&error| error.source()).any(<dyn std::error::Error>::is::<LengthLimitError>)
    {
        return Problem::new(Code::BatchTooLarge, format!("The body is larger than {BODY_LIMIT} bytes, decompressed."));
    }
    Problem::new(Code::Malformed, "The body broke off, or is not what its Content-Encoding says.").because(error)
}

/// The query's parameters, decoded, in order; repeated names stay repeated. `model=a,b` is two parameters of one name,
/// and `model=a%2Cb` is one: names of models may hold commas.
#[derive(Debug)]
pub struct Parameters(pub Vec<(String, String)>);

impl Parameters {
    /// Errors: 400 for a query that is not UTF-8 once it is decoded.
    pub fn of(query: &str) -> Result<Self, Problem> {
        if percent_encoding::percent_decode_str(query).decode_utf8().is_err() {
            return Err(Problem::new(Code::Malformed, "The query is not UTF-8 once its `%` are decoded."));
        }
        let decoded = |text: &str| url::form_urlencoded::parse(text.as_bytes()).into_owned().next();
        let mut parameters = Vec::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if decoded(name).is_some_and(|(name, _)| name == LISTED_WHOLE) {
                parameters.extend(value.split(',').filter_map(|value| decoded(&format!("{name}={value}"))));
            } else {
                parameters.extend(decoded(pair));
            }
        }
        Ok(Self(parameters))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::of(parts.uri.query().unwrap_or_default())
    }
}

/// For routes that take no query parameters. Errors: 422 with every parameter that there is.
#[derive(Debug)]
pub struct NoParameters;

impl<S: Send + Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Parameters(parameters) = Parameters::from_request_parts(parts, state).await?;
        FieldReader::of_query(&parameters, &[], &[]).finish(Some(Self))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parameters(query: &str) -> Vec<(String, String)> {
        Parameters::of(query).unwrap().0
    }

    #[test]
    fn a_comma_separates_models_where_it_is_bare_and_belongs_to_a_name_where_it_is_encoded() {
        let models = |query: &str| parameters(query).into_iter().map(|(_, model)| model).collect::<Vec<_>>();
        assert_eq!(models("model=a,b%2Cc&mo%64el=d%2cd,+e"), ["a", "b,c", "d,d", " e"]);
        assert_eq!(models("model=,a&model&model="), ["", "a", "", ""]);
        assert_eq!(models("source=a,b%2Cc"), ["a,b,c"]);
    }

    #[test]
    fn what_is_no_utf8_is_refused_and_never_read_as_something_else() {
        for query in ["model=%FF", "a=%e9%80", "%c3=1&b=2", "a=%ed%a0%80"] {
            assert_eq!(Parameters::of(query).unwrap_err().code(), Code::Malformed, "{query}");
        }
        assert_eq!(
            parameters("a=%EF%BF%BD&b=%zz"),
            [("a", "\u{fffd}"), ("b", "%zz")].map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
    }

    proptest! {
        #[test]
        fn parameters_are_those_of_the_url_standard_however_many_commas_a_value_has(
            pairs in prop::collection::vec(("model|a|", ".{0,9}|[a,&=%+]{0,9}"), 0..5),
        ) {
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let given: Vec<_> = pairs.into_iter().filter(|(name, value)| !(name.is_empty() && value.is_empty())).collect();
            let read: Vec<_> = parameters(&query).into_iter().filter(|pair| *pair != Default::default()).collect();
            prop_assert_eq!(read, given);
        }
    }

    #[test]
    fn a_media_type_is_told_without_its_parameters_however_it_is_spelled() {
        let told = |text: &str| media_type(&HeaderMap::from_iter([(CONTENT_TYPE, text.parse().unwrap())]));
        assert_eq!(told("Application/X-NDJSON ; charset=UTF-8"), NDJSON);
        assert_eq!(told("application/x-ndjson-not"), "application/x-ndjson-not");
        assert_eq!((told(""), media_type(&HeaderMap::new())), (String::new(), String::new()));
    }
}
