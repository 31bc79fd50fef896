//! No input makes the server fail, and what it refuses leaves no trace.

use std::io::Write as _;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use super::{Tracker, bucket, snapshot};
use crate::support::Reply;

const CASES: u32 = 500;

const FIELDS: [&str; 13] = [
    "hour_start",
    "source",
    "model",
    "observed_at",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "unclassified_tokens",
    "request_count",
    "user_id",
];

/// Values at the edges of what the contract, Rust and PostgreSQL take.
fn value() -> impl Strategy<Value = Value> {
    let texts = [
        "2026-11-20T10:00:00Z",
        "2026-11-20t10:30:00z",
        "2026-11-20T12:30:00+02:00",
        "2026-11-20T12:04:59.999999999Z",
        "2020-01-01T00:00:00Z",
        "2019-12-31T23:30:00Z",
        "2016-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:30:00Z",
        "+262142-12-31T23:30:00Z",
        "-262143-01-01T00:00:00Z",
        "-infinity",
        "codex",
        "a\u{0}b",
        "'; drop table usage.bucket; --",
        "\u{202e}\u{1f600}",
    ];
    prop_oneof![
        4 => select(texts.to_vec()).prop_map(Value::from),
        2 => "[A-Za-z0-9._:/@+-]{0,130}".prop_map(Value::from),
        2 => "\\PC{0,12}".prop_map(Value::from),
        2 => (0..3_i64).prop_map(Value::from),
        2 => select(&[-1, i64::MIN, i64::MAX, 1_000_000_000_000, 1_000_000_000_001][..]).prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => select(vec![json!(null), json!(true), json!([]), json!({}), json!([[[[]]]]), json!({"a": {"b": "c"}})]),
    ]
}

/// A sound bucket with none, one or many of its fields made hostile.
fn hostile_bucket() -> impl Strategy<Value = Value> {
    let change = (select(&FIELDS[..]), value()).prop_map(|(field, value)| (field.to_owned(), value));
    let stray = ("\\PC{0,6}", value());
    let changes = prop_oneof![6 => change, 1 => stray];
    prop_oneof![
        9 => vec(changes, 0..4).prop_map(|changes| bucket(&Value::Object(changes.into_iter().collect()))),
        1 => value(),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let text = |value: Value| value.to_string().into_bytes();
    prop_oneof![
        6 => vec(hostile_bucket(), 0..6).prop_map(move |buckets| text(json!({"buckets": buckets}))),
        1 => (select(&["buckets", "", "bucket", "user_id"][..]), value()).prop_map(move |(name, value)| {
            text(json!({"buckets": [bucket(&json!({}))], name: value}))
        }),
        1 => vec(any::<u8>(), 0..400),
        1 => (vec(hostile_bucket(), 0..3), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(buckets, at, byte)| {
            let mut body = json!({"buckets": buckets}).to_string().into_bytes();
            let at = at.index(body.len());
            body[at] = byte;
            body
        }),
    ]
}

fn header(known: &'static [&'static str]) -> impl Strategy<Value = HeaderValue> {
    let any_bytes = vec(prop_oneof![0x20..=0x7e_u8, 0x80..=0xff_u8, Just(b'\t')], 0..300);
    prop_oneof![
        8 => select(known).prop_map(HeaderValue::from_static),
        1 => any_bytes.prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap()),
    ]
}

#[derive(Clone, Debug)]
struct Hostile {
    body: Vec<u8>,
    /// What the body really is, whatever the header says.
    compressed: Option<&'static str>,
    headers: Vec<(&'static str, HeaderValue)>,
    query: String,
}

fn request() -> impl Strategy<Value = Hostile> {
    let headers = (
        header(&[
            "application/json",
            "application/json",
            "application/json",
            "application/json; charset=x",
            "text/json",
        ]),
        option::of(header(&["handling=lenient", "handling=strict", "handling=\"lenient\", x=\"", ","])),
        option::weighted(0.3, header(&["gzip", "zstd", "identity", "br", "gzip, zstd", ""])),
        option::of(header(&["a", "\"a\"", "b", "\"", "\"\""])),
        option::weighted(0.1, header(&["chunked", "00-0-0-0", "x"])),
    );
    let headers = headers.prop_map(|(media_type, prefer, encoding, key, trace)| {
        let others =
            [("prefer", prefer), ("content-encoding", encoding), ("idempotency-key", key), ("traceparent", trace)];
        let others = others.into_iter().filter_map(|(name, value)| Some((name, value?)));
        [("content-type", media_type)].into_iter().chain(others).collect::<Vec<_>>()
    });
    let query = prop_oneof![4 => Just(String::new()), 1 => "\\?[a-z%&=]{0,12}"];
    (body(), option::weighted(0.3, select(&["gzip", "zstd"][..])), headers, query)
        .prop_map(|(body, compressed, headers, query)| Hostile { body, compressed, headers, query })
}

fn compress(body: &[u8], how: Option<&str>) -> Vec<u8> {
    match how {
        None => body.to_vec(),
        Some("zstd") => zstd::encode_all(body, 1).unwrap(),
        Some(_) => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
    }
}

impl Tracker {
    async fn attack(&self, hostile: &Hostile) -> Reply {
        let request = self.app.request(Method::POST, &format!("/v1/buckets{}", hostile.query));
        let request = request.bearer(&self.device.token).body(compress(&hostile.body, hostile.compressed));
        let headers = hostile.headers.iter().cloned();
        headers.fold(request, |request, (name, value)| request.raw_header(name, value)).send().await
    }

    /// How many buckets, events and records there are.
    async fn traces(&self) -> Vec<usize> {
        let sql = "select count(*)::text from usage.bucket union all select count(*)::text from usage.outbox
                   union all select count(*)::text from usage.idempotency";
        self.app.ask(sql).await.iter().map(|count| count.parse().unwrap()).collect()
    }

    async fn check(&self, hostile: &Hostile) -> Result<u16, TestCaseError> {
        let before = self.traces().await;
        let reply = self.attack(hostile).await;
        let after = self.traces().await;
        let text = String::from_utf8_lossy(&reply.body);
        prop_assert!(reply.status == 200 || (400..500).contains(&reply.status), "{} {text}", reply.status);
        if reply.status != 200 {
            prop_assert!(reply.json["code"].is_string() && reply.json["fault"] == "client", "{text}");
            prop_assert_eq!(after, before, "it was refused and left something: {}", text);
        } else if reply.header("idempotency-replayed") == "true" {
            prop_assert_eq!(after, before, "it was a replay and left something: {}", text);
        } else {
            let inserted = usize::try_from(reply.json["inserted"].as_u64().unwrap()).unwrap();
            prop_assert_eq!(after[0], before[0] + inserted, "{}", text);
            let lenient = reply.header("preference-applied") == "handling=lenient";
            prop_assert!(lenient || reply.json["rejected"] == 0, "{text}");
        }
        Ok(reply.status)
    }
}

#[test]
fn no_request_makes_the_server_fail_and_a_refused_one_leaves_no_trace() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tracker = runtime.block_on(Tracker::start());
    let config =
        ProptestConfig { cases: CASES, failure_persistence: None, max_shrink_iters: 300, ..Default::default() };
    let statuses = std::cell::RefCell::new(std::collections::BTreeMap::<u16, u32>::new());
    let result = TestRunner::new(config).run(&request(), |hostile| {
        let status = runtime.block_on(tracker.check(&hostile))?;
        *statuses.borrow_mut().entry(status).or_default() += 1;
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let statuses = statuses.into_inner();
    for status in [200, 400, 415, 422] {
        assert!(statuses.get(&status).is_some_and(|count| *count > 10), "too one-sided to mean anything: {statuses:?}");
    }
}

/// JSON's numbers of any size and form, many of them beyond doubles.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => select(&["1E400", "-1e999", "1e309", "2e308", "-2.5E+400", "1e-400", "0e999", "1.7976931348623159e308"][..])
            .prop_map(str::to_owned),
        1 => "-?[1-9][0-9]{308,400}",
        2 => "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,5})?",
    ]
}

#[test]
fn any_number_rejects_its_bucket_and_no_other_whichever_field_it_stands_in() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tracker = runtime.block_on(Tracker::start());
    let config = ProptestConfig { cases: 200, failure_persistence: None, max_shrink_iters: 200, ..Default::default() };
    let nested = select(&["#", "[#]", "{\"a\":{\"b\":[1,#]}}", " # "][..]);
    let place = select(FIELDS.iter().copied().chain(["colour"]).collect::<Vec<_>>());
    let result = TestRunner::new(config).run(&(number(), nested, place), |(number, nested, field)| {
        let value = nested.replace('#', &number);
        let small = number.parse::<i64>().is_ok_and(|count| (0..=1_000_000_000_000).contains(&count));
        prop_assume!(!small && number != "-0");
        // The last of two fields with one name would be wrong as well.
        let mut fields = bucket(&json!({}));
        fields.as_object_mut().unwrap().remove(field);
        let broken = fields.to_string().replacen('{', &format!("{{\"{field}\":{value},"), 1);
        let body = format!("{{\"buckets\":[{},{broken},{}]}}", snapshot(1, 40), snapshot(2, 41));
        let send = |prefer: &'static str| {
            let request = tracker.app.request(Method::POST, "/v1/buckets").bearer(&tracker.device.token);
            let request = request.header("content-type", "application/json").header("prefer", prefer);
            runtime.block_on(request.body(body.clone()).send())
        };
        let lenient = send("handling=lenient");
        prop_assert_eq!(lenient.status, 200, "{}: {}", body, lenient.json);
        let verdicts = lenient.json["verdicts"].as_array().unwrap();
        prop_assert!(verdicts[1] == "rejected" && lenient.json["rejected"] == 1, "{body}: {}", lenient.json);
        let pointer = format!("/buckets/1/{field}");
        let rejections = lenient.json["rejections"].as_array().unwrap();
        prop_assert!(rejections.iter().all(|rejection| rejection["pointer"] == *pointer), "{body}: {}", lenient.json);
        let strict = send("handling=strict");
        prop_assert_eq!(strict.status, 422, "{}: {}", body, strict.json);
        prop_assert!(strict.json["errors"][0]["pointer"] == *pointer, "{}", strict.json);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(runtime.block_on(tracker.row())["input_tokens"], 2);
}
