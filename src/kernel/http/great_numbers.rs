//! Numbers that are JSON, and that no double holds, such as `1E400` or an integer of 310 digits.
//!
//! The reader of JSON gives the whole text up at such a number, although only the field is wrong. A second reading, which
//! only bodies need that could not be read, gets a number that is out of every range in its place.

use serde::de::IgnoredAny;

/// A number that is out of every field's range. No number that it stands for is shorter.
const STAND_IN: &str = "1e300";

/// Nothing shorter exceeds a double without an exponent.
const DIGITS: usize = 308;

/// The same JSON with a number out of every range for each one that no double holds. Every other byte keeps its place.
/// `None` where there is no such number.
pub fn with_stand_ins(json: &str) -> Option<String> {
    let bytes = json.as_bytes();
    let (mut changed, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_text(bytes, at + 1),
            b'-' | b'+' | b'0'..=b'9' => {
                let end = at + bytes[at..].iter().take_while(|byte| is_of_number(**byte)).count();
                if exceeds_doubles(&json[at..end]) {
                    changed.push_str(&json[copied..at]);
                    let sign = if *byte == b'-' { "-" } else { "" };
                    changed.push_str(sign);
                    changed.push_str(STAND_IN);
                    changed.extend(std::iter::repeat_n(' ', end - at - sign.len() - STAND_IN.len()));
                    copied = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    (copied > 0).then(|| changed + &json[copied..])
}

/// The place behind the closing quotation mark.
fn end_of_text(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

const fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

fn exceeds_doubles(number: &str) -> bool {
    let may = number.len() > DIGITS || (number.len() >= STAND_IN.len() && number.contains(['e', 'E']));
    may && serde_json::from_str::<IgnoredAny>(number).is_ok() && serde_json::from_str::<f64>(number).is_err()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn only_numbers_that_no_double_holds_are_replaced_and_nothing_moves() {
        let digits = "9".repeat(310);
        for (json, expected) in [
            ("1E400".to_owned(), Some("1e300".to_owned())),
            ("[-1e999 ,2e308]".to_owned(), Some("[-1e300 ,1e300]".to_owned())),
            (r#"{"1e400":1e+400,"a":"\"1e400"}"#.to_owned(), Some(r#"{"1e400":1e300 ,"a":"\"1e400"}"#.to_owned())),
            (digits.clone(), Some(format!("1e300{}", " ".repeat(305)))),
            (format!("-{digits}.5"), Some(format!("-1e300{}", " ".repeat(307)))),
            ("[1e308,1e-400,0e999,-0,7]".to_owned(), None),
            (digits[..308].to_owned(), None),
            (r#""1e400"#.to_owned(), None),
            ("\"\\".to_owned(), None),
        ] {
            assert_eq!(with_stand_ins(&json), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_number_of_json_is_left_for_the_reader_to_refuse() {
        let digits = "9".repeat(400);
        for json in ["01e400", "1.e400", "+1e400", "1e400-1", "1e4e400", "--1e400", "1e", &format!("0{digits}")] {
            assert_eq!(with_stand_ins(json), None, "{json}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_json_can_be_read_afterwards_and_other_values_stay(
            numbers in prop::collection::vec("-?(0|[1-9][0-9]{0,330})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,4})?", 1..6),
            text in "\\PC{0,8}",
        ) {
            let text = Value::from(text).to_string();
            let json = format!("{{{text}:[{}],\"a\":{text}}}", numbers.join(","));
            let held = with_stand_ins(&json).unwrap_or_else(|| json.clone());
            prop_assert_eq!(held.len(), json.len());
            let read: Value = serde_json::from_str(&held).unwrap();
            for (number, read) in numbers.iter().zip(read.as_object().unwrap().values().flat_map(|v| v.as_array().cloned().unwrap_or_default())) {
                let alone = serde_json::from_str::<Value>(number);
                prop_assert!(alone.is_err() || alone.is_ok_and(|alone| alone == read), "{number} became {read}");
            }
        }
    }
}
