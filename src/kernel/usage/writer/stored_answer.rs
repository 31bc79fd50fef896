//! An answer as `usage.idempotency` keeps it for a day: a verdict byte for each place, and the
//! rejections as JSON.

use super::verdict::Verdict;
use super::written::{Rejection, in_their_places};
use crate::kernel::idempotency::Record;
use crate::kernel::problem::Problem;

/// The two columns that hold an answer.
pub(super) fn stored(verdicts: &[Verdict], rejections: &[Rejection]) -> Result<(Vec<u8>, Option<String>), Problem> {
    let bytes = verdicts.iter().map(|verdict| verdict.byte()).collect();
    let json = (!rejections.is_empty()).then(|| serde_json::to_string(rejections)).transpose();
    Ok((bytes, json.map_err(Problem::internal)?))
}

/// What a record says. Errors: 500 for one that a newer release wrote.
pub(super) fn answer(record: &Record) -> Result<(Vec<Verdict>, Vec<Rejection>), Problem> {
    let verdicts: Option<Vec<_>> = record.verdicts.iter().copied().map(Verdict::recorded).collect();
    let verdicts =
        verdicts.ok_or_else(|| Problem::internal("a record holds a verdict that this release does not know"))?;
    let rejections: Vec<Rejection> = match &record.rejections {
        Some(json) => serde_json::from_str(json).map_err(Problem::internal)?,
        None => Vec::new(),
    };
    Ok((with_rejected(verdicts, &rejections), rejections))
}

/// Reads a record of a release in which `rejected` had no byte: it holds bytes for the other places
/// only. A record lives 24 hours, so this function can go once nobody upgrades from such a release
/// within a day: in the next release but one.
fn with_rejected(verdicts: Vec<Verdict>, rejections: &[Rejection]) -> Vec<Verdict> {
    if rejections.is_empty() || verdicts.contains(&Verdict::Rejected) {
        return verdicts;
    }
    in_their_places(&verdicts, rejections)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn record(verdicts: &[u8], rejections: Option<&str>) -> Record {
        let rejections = rejections.map(str::to_owned);
        Record { fingerprint: Vec::new(), request_id: Uuid::nil(), verdicts: verdicts.to_vec(), rejections }
    }

    fn rejection(index: usize, code: &str) -> Rejection {
        let pointer = format!("/buckets/{index}/\u{e9}\u{0}\"");
        Rejection { index, pointer, code: code.to_owned(), detail: "Expected a string, found null.".to_owned() }
    }

    #[test]
    fn what_was_stored_is_answered() {
        let some = [rejection(1, "a"), rejection(1, "b"), rejection(4, "a")];
        let all_verdicts = [4, 8, 7, 0, 8, 1].map(|byte| Verdict::recorded(byte).unwrap());
        for (verdicts, rejections) in [(&all_verdicts[..], &some[..]), (&all_verdicts[2..4], &[]), (&[], &[])] {
            let (bytes, json) = stored(verdicts, rejections).unwrap();
            assert_eq!((bytes.len(), json.is_some()), (verdicts.len(), !rejections.is_empty()));
            let answered = answer(&record(&bytes, json.as_deref())).unwrap();
            assert_eq!(answered, (verdicts.to_vec(), rejections.to_vec()));
        }
    }

    #[test]
    fn a_record_without_a_byte_for_rejected_is_answered_with_its_rejections_in_their_places() {
        let json = concat!(
            r#"[{"index":0,"pointer":"/buckets/0","code":"wrong_type","detail":"Expected an object, found null."},"#,
            r#"{"index":2,"pointer":"/buckets/2/model","code":"missing","detail":"This field is required."},"#,
            r#"{"index":2,"pointer":"/buckets/2/source","code":"missing","detail":"This field is required."}]"#
        );
        let (verdicts, rejections) = answer(&record(&[0, 3], Some(json))).unwrap();
        let spelled: Vec<_> = verdicts.iter().map(|verdict| verdict.as_str()).collect();
        assert_eq!(spelled, ["rejected", "inserted", "rejected", "stale"]);
        assert_eq!(serde_json::to_string(&rejections).unwrap(), json, "to the byte");
        let (verdicts, _) = answer(&record(&[], Some(r#"[{"index":0,"pointer":"","code":"","detail":""}]"#))).unwrap();
        assert_eq!(verdicts, [Verdict::Rejected]);
    }

    #[test]
    fn a_byte_or_a_text_that_this_release_does_not_write_is_no_answer() {
        let unknown = u8::try_from(Verdict::ALL.len()).unwrap();
        for record in [record(&[0, unknown], None), record(&[0], Some("[{}]")), record(&[0], Some(""))] {
            assert_eq!(answer(&record).unwrap_err().code().status(), 500);
        }
    }
}
