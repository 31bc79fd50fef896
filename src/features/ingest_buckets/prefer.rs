//! What the `Prefer` header (RFC 7240) asks of this route: `handling=strict` or `handling=lenient`.

use crate::kernel::usage::intake::Handling;

/// Reads every `Prefer` header of a request, in order. The first `handling` counts; other preferences, and a handling
/// that is neither of the two, are ignored, as the RFC asks.
pub(super) fn handling<'a>(headers: impl IntoIterator<Item = &'a str>) -> Handling {
    let mut preferences = headers.into_iter().flat_map(|header| split_unquoted(header, ','));
    let value = preferences.find_map(|preference| {
        // Parameters follow a semicolon; `handling` has none that mean anything.
        let preference = split_unquoted(preference, ';').next()?;
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        name.trim().eq_ignore_ascii_case("handling").then(|| unquote(value.trim()))
    });
    match value {
        Some(value) if value.eq_ignore_ascii_case("lenient") => Handling::Lenient,
        _ => Handling::Strict,
    }
}

fn unquote(word: &str) -> &str {
    word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(word)
}

/// Splits at a separator, except inside quoted strings.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        let splits = !quoted && character == separator;
        if escaped {
            escaped = false;
        } else if character == '"' {
            quoted = !quoted;
        } else {
            escaped = quoted && character == '\\';
        }
        splits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lenient_is_found_however_it_is_written() {
        for headers in [
            &["handling=lenient"][..],
            &["Handling = LENIENT"],
            &["respond-async, wait=10,handling=lenient"],
            &["handling=\"lenient\""],
            &["handling=lenient; because=\"a, b; c\""],
            &["return=minimal", "wait=5", "handling=lenient"],
            &["note=\"x, handling=strict\", handling=lenient"],
            &[r#"note="say \"no\", handling=strict", handling=lenient"#],
        ] {
            assert_eq!(handling(headers.iter().copied()), Handling::Lenient, "{headers:?}");
        }
    }

    #[test]
    fn anything_else_is_strict() {
        for headers in [
            &[][..],
            &[""],
            &["handling=strict"],
            &["handling"],
            &["handling="],
            &["handling=lenientish"],
            &["lenient"],
            &["x-handling=lenient"],
            &["note=\"handling=lenient\""],
            &["wait=1;handling=lenient"],
            &["note=\"unclosed, handling=lenient"],
        ] {
            assert_eq!(handling(headers.iter().copied()), Handling::Strict, "{headers:?}");
        }
    }

    #[test]
    fn the_first_handling_counts() {
        assert_eq!(handling(["handling=lenient, handling=strict"]), Handling::Lenient);
        assert_eq!(handling(["handling=strict", "handling=lenient"]), Handling::Strict);
        assert_eq!(handling(["handling, handling=lenient"]), Handling::Strict);
        assert_eq!(handling(["handling=unheard-of, handling=lenient"]), Handling::Strict);
    }
}
