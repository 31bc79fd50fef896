//! Why a body cannot be read: what it is instead, and where it breaks. What it holds is never repeated.

use std::borrow::Cow;
use std::str::Utf8Error;

use serde::de::IgnoredAny;
use serde_json::error::Category;

use crate::kernel::problem::{Code, Problem};

/// 400 for a text that is not UTF-8.
pub fn not_utf8(error: Utf8Error) -> Problem {
    malformed(format!("The body is not UTF-8: {} bytes are, and then one is not.", error.valid_up_to()))
}

/// 400 for what is not JSON, or is more of it than is read.
pub fn not_json(text: &str, error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    if error.classify() == Category::Eof {
        malformed("The body ends before its JSON does.")
    } else if serde_json::from_str::<IgnoredAny>(text).is_ok() {
        // Only a reader that goes into every array gives up here.
        malformed(format!("The body has too many arrays or objects in each other at line {line}, column {column}."))
    } else {
        malformed(format!("The body is not well-formed JSON at line {line}, column {column}."))
    }
}

/// 400 for anything else.
pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(Code::Malformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &[u8]) -> String {
        let problem = match str::from_utf8(body) {
            Ok(text) => not_json(text, &serde_json::from_str::<serde_json::Value>(text).unwrap_err()),
            Err(error) => not_utf8(error),
        };
        assert_eq!(problem.code(), Code::Malformed);
        problem.body(uuid::Uuid::nil(), "").detail
    }

    #[test]
    fn what_cannot_be_read_is_told_where_it_breaks_and_not_repeated() {
        let deep = format!(r#"{{"name":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        for (body, words) in [
            (&b""[..], "ends before"),
            (b"{\"name\":", "ends before"),
            (b"{\n  hunter2}", "not well-formed JSON at line 2, column 3"),
            (b"{} {}", "not well-formed JSON at line 1, column 4"),
            (b"{\"a\":\"\xff\"}", "not UTF-8: 6 bytes"),
            (deep.as_bytes(), "in each other at line 1"),
        ] {
            let told = told(body);
            assert!(told.contains(words) && !told.contains("hunter2"), "{told}");
        }
    }
}
