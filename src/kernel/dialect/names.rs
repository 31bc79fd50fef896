//! What a tool and a model of another product are called here. Names come through unchanged where they can. Two names
//! never become one, because absolute counts of the one would replace those of the other.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::kernel::bucket::{Model, Source};

/// A model that was not known, or not named.
pub const UNKNOWN: &str = "unknown";

/// Characters of a name that stay before its mark.
const KEPT: usize = 160;
/// And bytes.
const KEPT_BYTES: usize = 440;

/// A tool's name as it is looked up: products differ in capitals and blanks.
pub fn tool(name: &str) -> String {
    name.trim().to_lowercase()
}

/// A model's name, if there is one that says anything.
pub fn named(model: Option<&str>) -> &str {
    model.filter(|name| !name.trim().is_empty()).unwrap_or(UNKNOWN)
}

/// The model of a tool that may report under its own name.
pub fn model(name: &str) -> Model {
    Model::parse(name).unwrap_or_else(|_| marked(name, &[name]))
}

/// The model of a tool that may not: `grok:grok-code-fast-1`, as of the source `other`. No tool's name has a colon.
pub fn model_of_other(tool: &str, name: &str) -> Model {
    let both = format!("{tool}:{name}");
    match Model::parse(&both) {
        Ok(model) if Source::parse(tool).is_some() => model,
        _ => marked(&both, &[tool, name]),
    }
}

/// What can be shown of a name, and a mark of 96 bits that only this name has.
fn marked(shown: &str, name: &[&str]) -> Model {
    let mut digest = Sha256::new();
    for part in name {
        digest.update(part.len().to_le_bytes());
        digest.update(part.as_bytes());
    }
    let mut text = String::new();
    for character in shown.trim().chars().take(KEPT) {
        let alone = character.to_string();
        let can_stand = character == ' ' || Model::parse(&alone).is_ok();
        if text.len() + alone.len() > KEPT_BYTES {
            break;
        }
        text.push(if can_stand { character } else { '_' });
    }
    text.push('~');
    for byte in &digest.finalize()[..12] {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    match Model::parse(&text) {
        Ok(model) => model,
        Err(wrong) => unreachable!("only what can stand in a name was taken: {wrong:?}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_can_be_kept_are_kept_to_the_letter() {
        for name in ["claude-opus-4-5[1m]", "Gemini 3 Pro (High)", "GPT-5", "問", "a:b", "unknown", "~x"] {
            assert_eq!(model(name).as_str(), name);
        }
        assert_eq!(model_of_other("grok", "grok-code-fast-1").as_str(), "grok:grok-code-fast-1");
        for nothing in [None, Some(""), Some(" \t\n"), Some("\u{3000}")] {
            assert_eq!(named(nothing), "unknown");
        }
        assert_eq!((tool(" Claude\n"), named(Some(" a "))), ("claude".to_owned(), " a "));
    }

    #[test]
    fn names_that_cannot_be_kept_stay_readable_and_apart() {
        for (name, shown) in [("gpt 5\n", "gpt 5~"), ("a\u{200b}b", "a_b~"), (" gpt-5", "gpt-5~"), ("\n\n", "~")] {
            let model = model(name);
            assert!(model.as_str().starts_with(shown) && model.as_str().len() == shown.len() + 24, "{model:?}");
        }
        let long = ["m".repeat(300), "m".repeat(301), "問".repeat(300), "🦙".repeat(9_999)];
        let models: std::collections::BTreeSet<_> = long.iter().map(|name| model(name)).collect();
        assert_eq!(models.len(), long.len());
        assert_ne!(model_of_other("a:b", "c"), model_of_other("a", "b:c"));
        assert_ne!(model_of_other("Z", "c"), model_of_other("z", "c"));
    }

    proptest! {
        #[test]
        fn two_names_never_become_one(one in ".{0,20}|[ab\n ]{0,3}", other in ".{0,20}|[ab\n ]{0,3}") {
            prop_assert_eq!(model(&one) == model(&other), one == other);
        }

        #[test]
        fn two_tools_never_meet(
            one in ("[a:]{0,2}|.{0,9}", "[a:]{0,3}|.{0,9}"), other in ("[a:]{0,2}|.{0,9}", "[a:]{0,3}|.{0,9}"),
        ) {
            let meet = model_of_other(&one.0, &one.1) == model_of_other(&other.0, &other.1);
            prop_assert_eq!(meet, one == other);
        }
    }
}
