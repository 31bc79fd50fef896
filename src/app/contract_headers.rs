//! Header fields that many routes have in common. The contract describes them, and browsers are told
//! of exactly those that it describes.

use std::collections::BTreeSet;

use axum::http::HeaderName;
use axum::http::header::{ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE};
use utoipa::PartialSchema as _;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{
    KnownFormat, Object, ObjectBuilder, OpenApi as Document, PathItem, RefOr, Required, SchemaFormat, Type,
};

/// What any request may say, and what it means.
const REQUEST: [(&str, &str); 3] = [
    ("X-Request-Id", "A UUID that names this request in logs and problems; otherwise the server makes one."),
    ("traceparent", "W3C Trace Context: the trace that this request belongs to."),
    ("tracestate", "W3C Trace Context: what others have to say of that trace. It is kept with the trace."),
];
/// What a request with a body may say.
const REQUEST_BODY: (&str, &str) = ("Content-Encoding", "How the body is compressed: `gzip` or `zstd`.");
/// What a success of a route that takes this header says.
const KEY: &str = "Idempotency-Key";
const REPLAYED: (&str, &str) = ("Idempotency-Replayed", "`true` where the answer is of an earlier execution.");
/// What every answer says.
const ANSWER: (&str, &str) = ("X-Request-Id", "The request's id.");
/// What answers behind a limit say.
const LIMITED: [(&str, &str); 2] = [
    ("RateLimit-Policy", "What each limit grants: `q` requests in `w` seconds."),
    ("RateLimit", "What is left of each limit: `r` now, all of it after `t` seconds."),
];
/// What an answer to somebody unknown says.
const UNKNOWN_CALLER: (&str, &str) = ("WWW-Authenticate", "How to say who is calling: `Bearer`.");

/// Describes what no route describes for itself, because some layer around all of them does it. `is_limited` where one of
/// them counts requests.
pub(crate) fn describe(operation: &mut Operation, is_limited: bool) {
    describe_request(operation);
    describe_answers(operation, is_limited);
}

/// Every header that a request may have, in lower case.
pub(crate) fn request_headers(document: &Document) -> Vec<HeaderName> {
    let mut found = BTreeSet::from([ACCEPT, AUTHORIZATION, CONTENT_TYPE].map(|name| name.as_str().to_owned()));
    for operation in operations(document) {
        let parameters = operation.parameters.iter().flatten().filter_map(described);
        let headers = parameters.filter(|parameter| parameter.parameter_in == ParameterIn::Header);
        found.extend(headers.map(|parameter| parameter.name.to_ascii_lowercase()));
    }
    names(&found)
}

/// Every header that an answer may have, in lower case.
pub(crate) fn answer_headers(document: &Document) -> Vec<HeaderName> {
    // Of answers to methods that a path does not have, and that therefore nothing describes.
    let mut found = BTreeSet::from([ALLOW.as_str().to_owned()]);
    for operation in operations(document) {
        let answers = operation.responses.responses.values().filter_map(described);
        found.extend(answers.flat_map(|answer| answer.headers.keys()).map(|name| name.to_ascii_lowercase()));
    }
    let shared = document.components.iter().flat_map(|components| components.responses.values()).filter_map(described);
    found.extend(shared.flat_map(|answer| answer.headers.keys()).map(|name| name.to_ascii_lowercase()));
    names(&found)
}

fn describe_request(operation: &mut Operation) {
    let body = operation.request_body.is_some().then_some(REQUEST_BODY);
    let parameters = operation.parameters.get_or_insert_default();
    parameters.extend(REQUEST.into_iter().chain(body).map(|field| RefOr::T(parameter(field))));
}

fn describe_answers(operation: &mut Operation, is_limited: bool) {
    let takes_key = operation.parameters.iter().flatten().filter_map(described).any(|parameter| parameter.name == KEY);
    for (status, answer) in &mut operation.responses.responses {
        let RefOr::T(answer) = answer else { continue };
        let replayed = Some(REPLAYED).filter(|_| takes_key && status.starts_with('2'));
        let limited = LIMITED.into_iter().filter(|_| is_limited);
        let unknown_caller = Some(UNKNOWN_CALLER).filter(|_| status == "401");
        for (name, meaning) in limited.chain(unknown_caller).chain(replayed).chain([ANSWER]) {
            answer.headers.entry(name.to_owned()).or_insert_with(|| RefOr::T(header(meaning)));
        }
        for (name, described) in &mut answer.headers {
            if let (RefOr::T(header), Some(schema)) = (described, form(name)) {
                header.schema = Some(RefOr::T(schema.into()));
            }
        }
    }
}

/// What the value of a header of an answer looks like; `None` where it is any text.
fn form(name: &str) -> Option<Object> {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let known = SchemaFormat::KnownFormat;
    Some(match name {
        "X-Request-Id" => text.format(Some(known(KnownFormat::Uuid))).build(),
        "RateLimit-Policy" => {
            text.pattern(Some(format!("^{LIMIT};q=[0-9]+;w=[0-9]+(, *{LIMIT};q=[0-9]+;w=[0-9]+)*$"))).build()
        }
        "RateLimit" => {
            text.pattern(Some(format!("^{LIMIT};r=[0-9]+;t=[0-9]+(, *{LIMIT};r=[0-9]+;t=[0-9]+)*$"))).build()
        }
        "ETag" => text.pattern(Some("^(W/)?\"[!#-~]*\"$")).build(),
        "Halfhour-As-Of" => text.format(Some(known(KnownFormat::DateTime))).build(),
        "Idempotency-Replayed" => text.enum_values(Some(["true"])).build(),
        "WWW-Authenticate" => text.pattern(Some("^Bearer")).build(),
        _ => return None,
    })
}

/// The name of a limit within a list of them.
const LIMIT: &str = "\"[a-z_]+\"";

fn parameter((name, meaning): (&str, &str)) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(Required::False);
    parameter.description(Some(meaning)).schema(Some(String::schema())).build()
}

fn header(meaning: &str) -> Header {
    HeaderBuilder::new().description(Some(meaning)).schema(Some(String::schema())).build()
}

fn operations(document: &Document) -> impl Iterator<Item = &Operation> {
    document.paths.paths.values().flat_map(|item| {
        let PathItem { get, put, post, delete, patch, .. } = item;
        [get, put, post, delete, patch].into_iter().flatten()
    })
}

/// What is described here and not elsewhere in the document.
pub(crate) fn described<T>(described: &RefOr<T>) -> Option<&T> {
    match described {
        RefOr::T(described) => Some(described),
        RefOr::Ref(_) => None,
    }
}

fn names(found: &BTreeSet<String>) -> Vec<HeaderName> {
    found.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect()
}
