//! What is JSON, and what the reader of JSON gives the whole text up for, although only one value is wrong: numbers that no
//! double holds, such as `1E400` or an integer of 310 digits, and half of a surrogate pair, such as `"\ud83d"`, which is what
//! programs send that cut their texts anywhere.
//!
//! A second reading, which only bodies need that could not be read, gets something in its place that every rule refuses: a
//! number that is out of every range, and a character that Unicode has not assigned ([`half_of_a_pair`]).

use serde::de::IgnoredAny;

/// A number that is out of every field's range. No number that it stands for is shorter.
const STAND_IN: &str = "1e300";

/// Nothing shorter exceeds a double without an exponent.
const DIGITS: usize = 308;

/// Characters that stand for the halves of pairs, in their order. No text has a use for any of them.
const HALVES: u32 = 0xE_1000;
const FIRST_HALF: u32 = 0xD800;
const FIRST_SECOND_HALF: u32 = 0xDC00;
const LAST_HALF: u32 = 0xDFFF;

/// The half of a surrogate pair that a character stands for, as a code point; `None` for all other characters.
pub fn half_of_a_pair(character: char) -> Option<u32> {
    let half = u32::from(character).checked_sub(HALVES)?.checked_add(FIRST_HALF)?;
    (FIRST_HALF..=LAST_HALF).contains(&half).then_some(half)
}

/// The same JSON with a number out of every range for each one that no double holds, and a character of its own for each
/// half of a pair. What comes behind such a value keeps its place. `None` where there is nothing of the kind.
pub fn with_stand_ins(json: &str) -> Option<String> {
    let bytes = json.as_bytes();
    let (mut changed, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = end_of_text(bytes, at + 1);
                if let Some(whole) = with_whole_characters(&json[at..end]) {
                    changed.push_str(&json[copied..at]);
                    changed.push_str(&whole);
                    changed.extend(std::iter::repeat_n(' ', end - at - whole.len()));
                    copied = end;
                }
                at = end;
            }
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

/// A text of JSON, with its quotation marks, without halves of pairs. `None` where it has none.
fn with_whole_characters(text: &str) -> Option<String> {
    let (mut whole, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(found) = text[at..].find('\\') {
        at += found;
        let Some(half) = surrogate(text, at) else {
            // Whatever is escaped is no beginning of another escape.
            at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8);
            continue;
        };
        let has_second = surrogate(text, at + 6).is_some_and(|second| second >= FIRST_SECOND_HALF);
        if half < FIRST_SECOND_HALF && has_second {
            at += 12;
            continue;
        }
        whole.push_str(&text[copied..at]);
        whole.extend(char::from_u32(HALVES + half - FIRST_HALF));
        at += 6;
        copied = at;
    }
    (copied > 0).then(|| whole + &text[copied..])
}

/// The surrogate that is escaped at that place.
fn surrogate(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let code = u32::from_str_radix(digits, 16).ok().filter(|_| is_number)?;
    (FIRST_HALF..=LAST_HALF).contains(&code).then_some(code)
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

    #[test]
    fn halves_of_pairs_have_characters_of_their_own_and_pairs_stay() {
        for (json, expected) in [
            (r#""\ud800""#, Some("\"\u{e1000}\"  ")),
            (r#"["a\uDfffb",1]"#, Some("[\"a\u{e17ff}b\"  ,1]")),
            (r#""\ud83d\ud83d\ude00""#, Some("\"\u{e103d}\\ud83d\\ude00\"  ")),
            (r#""\ude00\ud83d""#, Some("\"\u{e1600}\u{e103d}\"    ")),
            (r#""\ud83dx\ude00""#, Some("\"\u{e103d}x\u{e1600}\"    ")),
            (r#"{"\ud83d":1e400}"#, Some("{\"\u{e103d}\"  :1e300}")),
            (r#""\ud83d\ude00""#, None),
            (r#""\\ud83d""#, None),
            (r#""\ud7ff\ue000""#, None),
            (r#""\ud83""#, None),
            (r#""\ud8é""#, None),
            (r#""\u+83d""#, None),
            ("\"\\é\"", None),
            ("\\ud83d", None),
        ] {
            assert_eq!(with_stand_ins(json).as_deref(), expected, "{json}");
        }
        let halves: Vec<_> = ('\0'..=char::MAX).filter_map(half_of_a_pair).collect();
        assert_eq!(halves, (0xD800..=0xDFFF).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn any_text_of_utf_16_is_read_with_its_halves_in_their_places(
            units in prop::collection::vec(prop_oneof![0xd7fe_u16..0xe002, any::<u16>()], 0..9), behind in "[ ,x]{0,3}",
        ) {
            let escaped: Vec<String> = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let json = format!("\"{}\"", escaped.concat());
            let held = with_stand_ins(&json).unwrap_or_else(|| json.clone());
            let read: String = serde_json::from_str(&held).unwrap();
            let expected = char::decode_utf16(units.iter().copied()).map(|unit| match unit {
                Ok(character) => u32::from(character),
                Err(half) => HALVES + u32::from(half.unpaired_surrogate()) - FIRST_HALF,
            });
            prop_assert_eq!(read.chars().map(u32::from).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
            let longer = json + &behind;
            let held = with_stand_ins(&longer).unwrap_or_else(|| longer.clone());
            let [before, after] = [&longer, &held].map(|text| text.chars().rev().take(behind.len()).collect::<String>());
            prop_assert_eq!(before, after);
        }

        #[test]
        fn whatever_is_sent_nothing_breaks(text in r#"(["\\ué0-9a-f]|\\u[dD][89a-f]|é){0,24}"#) {
            let _ = with_stand_ins(&text);
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
