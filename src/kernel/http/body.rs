//! Request bodies and queries in the form that the slices want. Whatever has another form is
//! refused as a problem.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use futures_util::StreamExt as _;

use super::body_room::{BodyRoom, HeldRoom, Unread, read_whole};
use super::content_coding::overgrown;
use super::field_reader::{FieldReader, LISTED_WHOLE};
use super::unread_body::Home;
use crate::kernel::problem::{Code, Problem};

/// No body may be larger than this, decompressed, in bytes.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// The media type of most bodies.
pub const JSON: &str = "application/json";
/// The media type of what browsers send from a form.
pub const FORM: &str = "application/x-www-form-urlencoded";
/// The media type of a stream of lines, each a JSON value.
pub const NDJSON: &str = "application/x-ndjson";

/// What some writers of UTF-8 put before a text. It says nothing.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A stream on which nothing comes for so long has broken off.
const CHUNK_PAUSE: Duration = Duration::from_secs(30);

/// The bytes of a JSON body, without a byte order mark. Media type and size are checked, the content is not.
///
/// Errors: 415 for another media type, 413 over [`BODY_LIMIT`], 400 when the body breaks off, does not decompress, or is
/// UTF-16 or UTF-32; 503 where other requests' bodies fill the room.
#[derive(Debug)]
pub struct JsonBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        json(&parts, body).await.map(Self)
    }
}

/// A body of JSON, for who needs the head of the request, too. Errors: those of [`JsonBytes`].
pub async fn json(parts: &Parts, body: Body) -> Result<Bytes, Problem> {
    if media_type(&parts.headers) != JSON {
        return Err(Problem::new(Code::UnsupportedMediaType, "Send `Content-Type: application/json`."));
    }
    utf8(whole(parts, body).await?)
}

/// All of a body, which takes its room in the process. Errors: 413 over [`BODY_LIMIT`], 400 when the body breaks off or does
/// not decompress, 503 where other requests' bodies fill the room.
pub async fn whole(parts: &Parts, body: Body) -> Result<Bytes, Problem> {
    whole_within(parts, body, BODY_LIMIT).await
}

/// The same of a body that may have so many bytes, for a protocol whose clients do not know [`BODY_LIMIT`].
pub async fn whole_within(parts: &Parts, body: Body, limit: usize) -> Result<Bytes, Problem> {
    // A body that says itself that it is too large is not asked for.
    if usize::try_from(body.size_hint().lower()).map_or(true, |least| least > limit) {
        return Err(too_large(limit));
    }
    match read_whole(body, limit, &room_of(&parts.extensions)).await {
        Ok(bytes) => Ok(bytes),
        Err(Unread::TooLarge) => Err(too_large(limit)),
        Err(Unread::Full(problem)) => Err(problem),
        Err(Unread::Broken(error)) => Err(refuse_body(error)),
    }
}

/// The room of this process. A request that came without its layers has one of its own.
fn room_of(extensions: &Extensions) -> BodyRoom {
    extensions.get::<Home>().map(|home| home.room().clone()).unwrap_or_default()
}

/// The media type of a body, in lower case and without parameters; empty where none is named.
pub fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A body that comes in chunks, of which the first has no byte order mark.
#[derive(Debug)]
pub struct TextChunks {
    chunks: BodyDataStream,
    begun: bool,
    /// Given back when everything was read.
    _room: HeldRoom,
}

impl TextChunks {
    /// Of this request's body. Errors: 503 where there is no room for a stream.
    pub fn new(request: Request) -> Result<Self, Problem> {
        let room = room_of(request.extensions()).begin_stream()?;
        Ok(Self { chunks: request.into_body().into_data_stream(), begun: false, _room: room })
    }

    /// The next chunk; `None` behind the last.
    ///
    /// Errors: 400 when the body breaks off, does not decompress, or is UTF-16 or UTF-32; 408 when it pauses for too long.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let chunk = self.next_raw().await?;
        if std::mem::replace(&mut self.begun, true) {
            return Ok(chunk);
        }
        let Some(mut start) = chunk else { return Ok(None) };
        // The first four bytes tell one encoding from the others.
        while start.len() < 4 {
            let Some(more) = self.next_raw().await? else { break };
            start = [start, more].concat().into();
        }
        utf8(start).map(Some)
    }

    async fn next_raw(&mut self) -> Result<Option<Bytes>, Problem> {
        match tokio::time::timeout(CHUNK_PAUSE, self.chunks.next()).await {
            Ok(chunk) => chunk.transpose().map_err(|error| refuse_body(error.into())),
            Err(elapsed) => Err(Problem::new(Code::RequestTimeout, "The stream paused for too long.").because(elapsed)),
        }
    }
}

/// A text without a byte order mark. Errors: 400 where it begins as UTF-16 or UTF-32 does.
fn utf8(text: Bytes) -> Result<Bytes, Problem> {
    // The first two characters of JSON are ASCII or make no JSON, and no text has a zero there.
    let other = match text.as_ref() {
        [0, 0, 0xfe, 0xff, ..] | [0xff, 0xfe, 0, 0, ..] | [0, 0, 0, _, ..] | [_, 0, 0, 0, ..] => "UTF-32",
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [0, _, ..] | [_, 0, ..] => "UTF-16",
        marked if marked.starts_with(BYTE_ORDER_MARK) => return Ok(text.slice(BYTE_ORDER_MARK.len()..)),
        _ => return Ok(text),
    };
    Err(Problem::new(Code::Malformed, format!("The body is {other}; send it as UTF-8.")))
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Code::BatchTooLarge, format!("The body is larger than {limit} bytes, decompressed."))
}

fn refuse_body(error: Box<dyn Error + Send + Sync>) -> Problem {
    let first: &(dyn Error + 'static) = error.as_ref();
    if let Some(problem) = overgrown(first) {
        return problem.because(error);
    }
    let detail = "The body broke off, or is not what its Content-Encoding says, or is zstd that looks back over more than \
                  8 MiB, as `--long` and levels from 20 do.";
    Problem::new(Code::Malformed, detail).because(error)
}

/// A form has no more bytes than this.
const FORM_LIMIT: usize = 64 * 1024;

/// The fields of a form, decoded, in order. Errors: 415 for another media type, 413 over 64 KiB, 400 for what is not UTF-8
/// once it is decoded; those of [`whole`].
#[derive(Debug)]
pub struct FormFields(pub Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for FormFields {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if media_type(&parts.headers) != FORM {
            return Err(Problem::new(Code::UnsupportedMediaType, format!("Send `Content-Type: {FORM}`.")));
        }
        let bytes = whole_within(&parts, body, FORM_LIMIT).await?;
        let is_text = percent_encoding::percent_decode(&bytes).decode_utf8().is_ok();
        if !is_text {
            return Err(Problem::new(Code::Malformed, "The form is not UTF-8 once its `%` are decoded."));
        }
        Ok(Self(url::form_urlencoded::parse(&bytes).into_owned().collect()))
    }
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
    use axum::body::Body;
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

    fn utf8_of(text: &[u8]) -> Result<Vec<u8>, String> {
        let read = utf8(Bytes::copy_from_slice(text));
        read.map(Vec::from).map_err(|problem| problem.body(uuid::Uuid::nil(), "").detail)
    }

    #[test]
    fn a_mark_is_taken_from_the_start_once_and_every_other_byte_stays() {
        for (text, expected) in [
            ("\u{feff}{}", "{}"),
            ("\u{feff}", ""),
            ("\u{feff}\u{feff}{}", "\u{feff}{}"),
            ("{}\u{feff}", "{}\u{feff}"),
            ("", ""),
            ("7", "7"),
        ] {
            assert_eq!(utf8_of(text.as_bytes()).as_deref(), Ok(expected.as_bytes()), "{text:?}");
        }
        assert_eq!(utf8_of(b"\xef\xbb").as_deref(), Ok(&b"\xef\xbb"[..]));
    }

    #[test]
    fn utf_16_and_utf_32_are_named_with_a_mark_and_without() {
        let wide = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<_>>();
        let wider = |text: &str, bytes: fn(u32) -> [u8; 4]| {
            text.chars().flat_map(|character| bytes(character.into())).collect::<Vec<_>>()
        };
        for text in ["{}", "{\"é\":1}", " {}", "\u{feff}{\"a\":1}", "\n\n{}", "\"통\""] {
            for bytes in [wide(text, u16::to_le_bytes), wide(text, u16::to_be_bytes)] {
                assert_eq!(utf8_of(&bytes), Err("The body is UTF-16; send it as UTF-8.".to_owned()), "{text:?}");
            }
            for bytes in [wider(text, u32::to_le_bytes), wider(text, u32::to_be_bytes)] {
                assert_eq!(utf8_of(&bytes), Err("The body is UTF-32; send it as UTF-8.".to_owned()), "{text:?}");
            }
        }
    }

    #[tokio::test]
    async fn the_start_of_a_stream_is_judged_however_it_is_cut() {
        let read = async |text: &[u8], size: usize| {
            let chunks: Vec<_> = text.chunks(size).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
            let mut chunks =
                TextChunks::new(Request::new(Body::from_stream(futures_util::stream::iter(chunks)))).unwrap();
            let mut all = Vec::new();
            while let Some(chunk) = chunks.next().await.map_err(|problem| problem.code())? {
                all.extend_from_slice(&chunk);
            }
            Ok::<_, Code>(all)
        };
        for size in 1..12 {
            assert_eq!(read(b"\xef\xbb\xbf{}\n{}\n", size).await.as_deref(), Ok(&b"{}\n{}\n"[..]), "{size}");
            assert_eq!(read(b"\xff\xfe{\0}\0", size).await, Err(Code::Malformed), "{size}");
            assert_eq!(read(b"{\0}\0", size).await, Err(Code::Malformed), "{size}");
            assert_eq!(read(b"7", size).await.as_deref(), Ok(&b"7"[..]), "{size}");
            assert_eq!(read(b"", size).await.as_deref(), Ok(&b""[..]), "{size}");
        }
    }
}
