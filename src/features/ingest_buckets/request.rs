//! What a tracker posts, turned into a draft for the intake, with everything that is wrong at once.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta};

use super::acceptance::snapshot;
use super::body::{self, Element, Unreadable};
use crate::kernel::bucket::MAX_POSTED;
use crate::kernel::clock::Clock;
use crate::kernel::http::malformed::{malformed, not_utf8};
use crate::kernel::problem::Problem;
use crate::kernel::usage::intake::{Draft, Handling};
use crate::kernel::usage::sources::KnownSources;

/// Reads a body into a draft: every element of `buckets` has its place, and what is wrong around them refuses the whole.
///
/// Errors: 400 where it is not JSON, 413 for more than [`MAX_POSTED`] buckets. Details never repeat the body, except for
/// the names of fields and of tools.
pub(super) fn parse(body: &[u8], mut draft: Draft) -> Result<Draft, Problem> {
    let json = str::from_utf8(body).map_err(not_utf8)?;
    let mut take = |element: Element<'_>| match snapshot(element, &draft) {
        Ok(snapshot) => draft.add(snapshot),
        Err(violations) => draft.reject(violations.into_list()),
    };
    let outside = body::read(json, &mut take).map_err(refuse)?;
    draft.refuse(outside.into_list());
    Ok(draft)
}

/// For fuzzing: reads any bytes and panics where a promise of this file does not hold.
pub(super) fn parse_any(body: &[u8]) {
    let clock = Clock::fixed(DateTime::UNIX_EPOCH + TimeDelta::days(20_777));
    let sources = Arc::new(KnownSources::allowing(&["codex", "claude-code"]));
    let read = |handling| parse(body, Draft::new(&clock, Some(400), sources.clone()).handled(handling));
    let (Ok(strict), Ok(lenient)) = (read(Handling::Strict), read(Handling::Lenient)) else { return };
    assert!(strict.places() <= MAX_POSTED.into(), "more than a request may hold");
    let mut rejected: Vec<usize> = strict.rejections().iter().map(|(place, _)| *place).collect();
    rejected.dedup();
    assert!(rejected.is_sorted() && rejected.last().is_none_or(|last| *last < strict.places()), "{rejected:?}");
    assert_eq!(strict.buckets().len() + rejected.len(), strict.places(), "each place is either taken or rejected");
    let outside = !strict.refusals().is_empty();
    let any = outside || !rejected.is_empty();
    let violations = strict.sound().map_err(|problem| problem.violations().len());
    assert_eq!(any, violations.is_err(), "strictly, one violation is enough");
    assert!(violations.err() != Some(0), "a refusal gives a reason");
    assert_eq!(outside, lenient.sound().is_err(), "leniently, only what is around the buckets counts");
}

fn refuse(unreadable: Unreadable) -> Problem {
    match unreadable {
        Unreadable::Malformed { line, column } => {
            malformed(format!("The body is not well-formed JSON at line {line}, column {column}."))
        }
        Unreadable::Incomplete => malformed("The body ends before its JSON does."),
        Unreadable::TooManyBuckets => Draft::too_large(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::body::Field;
    use super::*;
    use crate::kernel::bucket::{HalfHour, MAX_COUNT, Model, Source, TokenCounts};
    use crate::kernel::problem::Code;
    use crate::kernel::usage::snapshot::{Bucket, Rank, Stamp};

    const SOURCES: [&str; 3] = ["claude-code", "codex", "9router"];

    fn now() -> DateTime<Utc> {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    fn read(body: &[u8]) -> Result<Draft, Problem> {
        parse(body, Draft::new(&Clock::fixed(now()), Some(400), Arc::new(KnownSources::allowing(&SOURCES))))
    }

    fn sound() -> Value {
        json!({"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "m"})
    }

    /// The pointers and codes of a request that is refused in whole.
    fn refusals(body: &str) -> Vec<(String, &'static str)> {
        let problem = read(body.as_bytes()).unwrap().handled(Handling::Lenient).sound().unwrap_err();
        assert_eq!(problem.code(), Code::Invalid, "{body}");
        problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        let deep = "[".repeat(500_000);
        for body in [
            &b""[..],
            b" ",
            b"{",
            b"{\"buckets\":[]}x",
            b"{\"buckets\":[],}",
            b"{\"buckets\":[{\"input_tokens\":NaN}]}",
            b"{\"buckets\":[{\"input_tokens\":01e999}]}",
            b"{\"buckets\":[{\"input_tokens\":01}]}",
            b"{\"buckets\":[{\"model\":\"\\ud80\"}]}",
            b"{\"buckets\":[{\"model\":\"\\ud800\"},]}",
            b"\xef\xbb\xbf{\"buckets\":[]}",
            b"{\"x\":\"\xff\"}",
            deep.as_bytes(),
        ] {
            assert_eq!(read(body).unwrap_err().code(), Code::Malformed, "{:?}", body.get(..40));
        }
    }

    #[test]
    fn the_place_of_an_error_is_given_and_the_body_is_not_repeated() {
        let problem = read(b"{\"buckets\":[\n  hunter2]}").unwrap_err();
        let body = serde_json::to_string(&problem.body(uuid::Uuid::nil(), "")).unwrap();
        assert!(body.contains("line 2, column 3") && !body.contains("hunter2"), "{body}");
    }

    #[test]
    fn a_number_that_no_double_holds_is_wrong_where_it_stands() {
        let digits = "9".repeat(310);
        for number in ["1E400", "-1e999", "2e+308", &digits, &format!("-{digits}")] {
            for (bucket, pointer, code) in [
                (format!(r#"{{"input_tokens":{number}}}"#), "/buckets/1/input_tokens", "out_of_range"),
                (format!(r#"{{"model":{number}}}"#), "/buckets/1/model", "wrong_type"),
                (format!(r#"{{"colour":{number}}}"#), "/buckets/1/colour", "unknown_field"),
                (format!(r#"{{"source":[{{"a":[{number}]}}]}}"#), "/buckets/1/source", "wrong_type"),
                (number.to_owned(), "/buckets/1", "wrong_type"),
            ] {
                let body = format!("{{\"buckets\":[{0},{bucket},{0}]}}", sound());
                let draft = read(body.as_bytes()).unwrap();
                assert_eq!((draft.places(), draft.buckets().len()), (3, 2), "{body}");
                let rejected = draft.rejections().iter().map(|(place, found)| (*place, &*found.pointer, found.code));
                let rejected: Vec<_> = rejected.collect();
                assert!(rejected.contains(&(1, pointer, code)), "{body}: {rejected:?}");
                assert!(rejected.iter().all(|(place, ..)| *place == 1), "{body}: {rejected:?}");
            }
            assert_eq!(refusals(number), [(String::new(), "wrong_type")]);
            assert_eq!(refusals(&format!(r#"{{"buckets":{number}}}"#)), [("/buckets".to_owned(), "wrong_type")]);
            let beside = format!(r#"{{"x":{number},"buckets":[{number}]}}"#);
            let found = [("/x".to_owned(), "unknown_field"), ("/buckets/0".to_owned(), "wrong_type")];
            assert_eq!(refusals(&beside), found);
        }
    }

    #[test]
    fn half_of_a_surrogate_pair_is_wrong_where_it_stands() {
        for (bucket, pointer, code) in [
            (r#"{"model":"gpt\ud83d"}"#, "/buckets/1/model", "malformed_model"),
            (r#"{"source":"\ude00codex"}"#, "/buckets/1/source", "unknown_source"),
            (r#"{"hour_start":"\ud83d"}"#, "/buckets/1/hour_start", "not_an_instant"),
            (r#"{"input_tokens":"\ud83d"}"#, "/buckets/1/input_tokens", "wrong_type"),
            (r#"{"colour":"\ud83d"}"#, "/buckets/1/colour", "unknown_field"),
            (r#"{"\ud83d":1}"#, "/buckets/1/\u{e103d}", "unknown_field"),
            (r#""\ud83d""#, "/buckets/1", "wrong_type"),
        ] {
            let body = format!("{{\"buckets\":[{0},{bucket},{0}]}}", sound());
            let draft = read(body.as_bytes()).unwrap();
            assert_eq!((draft.places(), draft.buckets().len()), (3, 2), "{body}");
            let rejected = draft.rejections().iter().map(|(place, found)| (*place, &*found.pointer, found.code));
            assert!(rejected.collect::<Vec<_>>().contains(&(1, pointer, code)), "{body}: {:?}", draft.rejections());
        }
        assert_eq!(refusals(r#"{"buckets":[],"x":"\ud83d"}"#), [("/x".to_owned(), "unknown_field")]);
    }

    #[test]
    fn what_is_not_json_beside_such_a_number_is_malformed_all_the_same() {
        for body in [
            "{\"buckets\":[1e400,]}",
            "{\"buckets\":[1e400,{\"model\":\"\\ud80\"}]}",
            "{\"buckets\":[1e400]",
            "1e4001x",
        ] {
            assert_eq!(read(body.as_bytes()).unwrap_err().code(), Code::Malformed, "{body}");
        }
    }

    #[test]
    fn what_is_around_the_buckets_fails_the_whole_request() {
        for (body, pointer, code) in [
            ("[]", "", "wrong_type"),
            ("null", "", "wrong_type"),
            ("7", "", "wrong_type"),
            ("\"buckets\"", "", "wrong_type"),
            ("{}", "/buckets", "missing"),
            (r#"{"buckets":{}}"#, "/buckets", "wrong_type"),
            (r#"{"buckets":null}"#, "/buckets", "wrong_type"),
            (r#"{"buckets":[],"buckets":[]}"#, "/buckets", "duplicate_field"),
            (r#"{"buckets":[],"user_id":"x"}"#, "/user_id", "unknown_field"),
        ] {
            assert_eq!(refusals(body), [(pointer.to_owned(), code)], "{body}");
        }
    }

    #[test]
    fn a_field_that_comes_twice_is_refused_and_found_through_escapes() {
        let twice = r#"{"buckets":[{"hour_start":"2026-11-20T10:30:00Z","source":"codex","model":"m",
            "input_tokens":1,"input\u005ftokens":2}]}"#;
        let draft = read(twice.as_bytes()).unwrap();
        let (index, violation) = &draft.rejections()[0];
        assert_eq!((*index, violation.pointer.as_str()), (0, "/buckets/0/input_tokens"));
        assert_eq!((violation.code, draft.rejections().len()), ("duplicate_field", 1));
    }

    #[test]
    fn an_element_that_is_no_object_keeps_its_place() {
        let body = json!({"buckets": [sound(), 7, [sound()], null, sound()]}).to_string();
        let draft = read(body.as_bytes()).unwrap();
        let rejected: Vec<_> =
            draft.rejections().iter().map(|(index, violation)| (*index, violation.pointer.as_str())).collect();
        assert_eq!(rejected, [(1, "/buckets/1"), (2, "/buckets/2"), (3, "/buckets/3")]);
        assert_eq!((draft.places(), draft.buckets().len()), (5, 2));
        assert_eq!(draft.sound().unwrap_err().violations().len(), 3);
    }

    #[test]
    fn arrivals_are_stamped_one_by_one_in_order() {
        let body = json!({"buckets": [sound(), sound(), 7, sound()]}).to_string();
        let draft = read(body.as_bytes()).unwrap();
        let stamps: Vec<_> = draft.buckets().iter().map(|bucket| bucket.stamp.observed_at).collect();
        assert!(stamps.is_sorted() && stamps[0] != stamps[1], "{stamps:?}");
    }

    #[test]
    fn five_hundred_buckets_are_read_and_after_one_more_nothing_is() {
        let most = usize::from(MAX_POSTED);
        let body = |count| json!({"buckets": vec![sound(); count]}).to_string();
        assert_eq!(read(body(most).as_bytes()).unwrap().buckets().len(), most);
        assert_eq!(read(body(most + 1).as_bytes()).unwrap_err().code(), Code::BatchTooLarge);
        let cut = format!("{{\"buckets\":[{} not json", "7,".repeat(most));
        assert_eq!(read(cut.as_bytes()).unwrap_err().code(), Code::BatchTooLarge);
    }

    fn written(bucket: &Bucket) -> Value {
        let mut written = json!({
            "hour_start": bucket.hour_start.start(), "source": bucket.source.as_str(), "model": bucket.model.as_str(),
            "observed_at": bucket.stamp.observed_at,
        });
        if bucket.stamp.rank == Rank::LateAndRetracting {
            written["retracts"] = true.into();
        }
        for (name, count) in TokenCounts::NAMES.into_iter().zip(bucket.counts.into_values()) {
            written[name] = count.into();
        }
        written
    }

    prop_compose! {
        fn any_bucket()(
            half_hours_ago in 0..19_200_i64, source in 0..SOURCES.len(), model in "[A-Za-z0-9._:/@+-]{1,128}|[!-~\u{a1}-\u{ac}问🦙]([ -~\u{a0}-\u{ac}问🦙]{0,99}[!-~问🦙])?",
            counts in prop::array::uniform(0..=MAX_COUNT), us_ago in 0..1_000_000_000_000_i64, retracts: bool,
        ) -> Bucket {
            let mut counts = TokenCounts::from_values(counts);
            let [a, b] = [counts.output_tokens, counts.reasoning_tokens];
            [counts.output_tokens, counts.reasoning_tokens] = [a.max(b), a.min(b)];
            let hour_start = HalfHour::new(now() - chrono::TimeDelta::minutes(30 * half_hours_ago)).unwrap();
            let observed_at = now() - chrono::TimeDelta::microseconds(us_ago);
            Bucket {
                hour_start,
                source: Source::parse(SOURCES[source]).unwrap(),
                model: Model::parse(&model).unwrap(),
                counts,
                stamp: Stamp { observed_at, stamped: true, rank: Rank::of(hour_start, observed_at, retracts) },
            }
        }
    }

    /// JSON that often looks like a request.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
            "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[03]0:00Z".prop_map(Value::from),
            prop::sample::select(&SOURCES[..]).prop_map(Value::from),
        ];
        let name = prop_oneof![
            3 => prop::sample::select(Field::ALL.map(Field::name).to_vec()).prop_map(str::to_owned),
            2 => Just("buckets".to_owned()),
            1 => "\\PC{0,4}",
        ];
        leaf.prop_recursive(4, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(name.clone(), inner, 0..14)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&body);
        }

        #[test]
        fn any_json_gives_buckets_or_says_what_is_wrong(json in any_json()) {
            for json in [json.clone(), json!({"buckets": [json.clone()]}), json!({"buckets": json})] {
                let draft = read(json.to_string().as_bytes()).unwrap();
                let mut rejected: Vec<_> = draft.rejections().iter().map(|(index, _)| *index).collect();
                rejected.dedup();
                prop_assert!(rejected.is_sorted() && rejected.iter().all(|index| *index < draft.places()), "{}", &json);
                prop_assert_eq!(draft.buckets().len() + rejected.len(), draft.places(), "{}", &json);
                let sound = draft.refusals().is_empty() && rejected.is_empty();
                prop_assert_eq!(draft.sound().is_ok(), sound, "{}", &json);
            }
        }

        #[test]
        fn a_cut_or_changed_request_is_answered(bucket in any_bucket(), at in any::<prop::sample::Index>(), byte: u8) {
            let mut body = json!({"buckets": [written(&bucket)]}).to_string().into_bytes();
            let at = at.index(body.len());
            let cut = read(&body[..at]).unwrap_err();
            prop_assert_eq!(cut.code(), Code::Malformed);
            body[at] = byte;
            let _ = read(&body);
        }

        #[test]
        fn what_is_written_down_is_read_back(buckets in prop::collection::vec(any_bucket(), 0..8)) {
            let body = json!({"buckets": buckets.iter().map(written).collect::<Vec<_>>()}).to_string();
            let draft = read(body.as_bytes()).unwrap().handled(Handling::Strict).sound().unwrap();
            prop_assert_eq!(draft.buckets(), buckets);
        }
    }
}
