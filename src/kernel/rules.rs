//! What single texts must be like, wherever they are sent: reasons, days, numbers, zones, ids, tools, models.

use std::borrow::Cow;

use chrono::{Datelike as _, NaiveDate};
use uuid::Uuid;

use super::bucket::{Model, SOURCES, Source};
use super::fields::Broken;

/// `subject` (the beginning of a sentence, as "A name") has 1 to `most` characters, and is one line of text.
pub fn line(text: &str, subject: &str, most: usize) -> Result<String, Broken> {
    if !(1..=most).contains(&text.chars().count()) {
        Err(("wrong_length", format!("{subject} has 1 to {most} characters.").into()))
    } else if text.chars().any(char::is_control) {
        Err(("control_character", format!("{subject} has no control characters.").into()))
    } else {
        Ok(text.to_owned())
    }
}

/// Why something is done, for the audit: 1 to 500 characters, without the space around them.
pub fn reason(text: &str) -> Result<String, Broken> {
    line(text.trim(), "A reason", 500)
}

/// A day of four digits, two and two, from 1970 to 9998: the next day is one as well.
pub fn date(text: &str) -> Result<NaiveDate, Broken> {
    let date = text.parse::<NaiveDate>().ok();
    // The parser is generous with spaces and missing zeros; what is not written back the same is not a date.
    date.filter(|date| (1970..=9998).contains(&date.year()) && date.to_string() == text)
        .ok_or(("not_a_date", "Expected a date, YYYY-MM-DD, from 1970 on.".into()))
}

/// A number from 1 to `most`, in digits only.
pub fn number(text: &str, most: u16) -> Result<u16, Broken> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && (1..=most).contains(number));
    number.ok_or_else(|| ("out_of_range", format!("Expected an integer from 1 to {most}.").into()))
}

/// What is wrong with a time zone that PostgreSQL does not know.
pub const UNKNOWN_TIME_ZONE: Broken =
    ("unknown_time_zone", Cow::Borrowed("This names no place's time zone; use an IANA name such as Europe/Berlin."));

/// What can be a time zone's name at all; PostgreSQL knows which ones there are.
pub fn time_zone(text: &str) -> Result<String, Broken> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-/".contains(&byte);
    let may_be_one = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
    if may_be_one { Ok(text.to_owned()) } else { Err(UNKNOWN_TIME_ZONE) }
}

/// An id.
pub fn uuid(text: &str) -> Result<Uuid, Broken> {
    Uuid::try_parse(text).map_err(|_| ("not_a_uuid", "Expected a UUID.".into()))
}

/// A tool.
pub fn source(text: &str) -> Result<Source, Broken> {
    Source::parse(text).ok_or_else(|| ("unknown_source", format!("Known are {}.", SOURCES.join(", ")).into()))
}

/// A model's name.
pub fn model(text: &str) -> Result<Model, Broken> {
    let malformed = ("malformed_model", "Expected 1 to 128 characters of A-Z a-z 0-9 . _ : / @ + -".into());
    Model::parse(text).ok_or(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_1_to_500_characters_on_one_line() {
        let code = |text: &str| reason(text).map_err(|(code, _)| code);
        assert_eq!(code(" disk is full\n"), Ok("disk is full".to_owned()));
        assert_eq!(code(&"é".repeat(500)), Ok("é".repeat(500)));
        for bad in ["", " \t ", &"é".repeat(501)] {
            assert_eq!(code(bad), Err("wrong_length"), "{bad}");
        }
        for bad in ["\0", "a\nb", "a\u{7f}b", "a\u{85}b"] {
            assert_eq!(code(bad), Err("control_character"), "{bad:?}");
        }
    }

    #[test]
    fn dates_are_exactly_ten_characters_of_a_real_day() {
        for bad in ["", "2026-1-05", "2026-01-5 ", "+2026-1-01", "2026-02-30", "1969-12-31", "9999-01-01", "２０２６"]
        {
            assert_eq!(date(bad).unwrap_err().0, "not_a_date", "{bad}");
        }
        assert_eq!(date("9998-12-31").unwrap().to_string(), "9998-12-31");
    }

    #[test]
    fn numbers_are_digits_within_their_bounds() {
        for bad in ["", "0", "1001", "-1", "+1", "1.0", "1e2", "one", "99999"] {
            assert_eq!(number(bad, 1000).unwrap_err().0, "out_of_range", "{bad}");
        }
        assert_eq!((number("1", 1000), number("1000", 1000)), (Ok(1), Ok(1000)));
    }

    #[test]
    fn nothing_that_is_no_name_of_a_zone_reaches_the_database() {
        for bad in ["", "Europe/Ber\0lin", "Europe Berlin", "'; select", &"a".repeat(65)] {
            assert_eq!(time_zone(bad), Err(UNKNOWN_TIME_ZONE), "{bad}");
        }
        for good in ["Etc/GMT+3", &"a".repeat(64)] {
            assert_eq!(time_zone(good), Ok(good.to_owned()));
        }
    }
}
