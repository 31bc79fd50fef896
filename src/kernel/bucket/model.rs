//! Names of models: which texts are one.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// A model's name, as the tool reports it: text of one line without invisible characters. It is kept as it came, and two
/// names are the same where their bytes are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Model(String);

/// Why a text is no model's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoModel {
    /// It has no character, more than [`Model::MAX_CHARACTERS`], or more than [`Model::MAX_BYTES`].
    WrongLength,
    /// This character, the first such one, is not allowed there.
    Misplaced {
        /// How many characters stand before it.
        before: usize,
        /// The character.
        character: char,
        /// What it is, with its article.
        kind: &'static str,
    },
}

impl Model {
    /// A name has so many characters at most.
    pub const MAX_CHARACTERS: usize = 256;
    /// A name has so many bytes at most, in UTF-8: the keys of indexes have room for them.
    pub const MAX_BYTES: usize = 512;

    /// Errors: what is wrong first.
    pub fn parse(text: &str) -> Result<Self, NoModel> {
        // A character has a byte at least, and nothing longer is looked at.
        let is_short = (1..=Self::MAX_BYTES).contains(&text.len());
        if !is_short || text.len() > Self::MAX_CHARACTERS && text.chars().count() > Self::MAX_CHARACTERS {
            return Err(NoModel::WrongLength);
        }
        // Most names are visible ASCII, whose bytes need no table.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            check(text)?;
        }
        Ok(Self(text.to_owned()))
    }

    /// As stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str) -> Result<(), NoModel> {
    let first_blanks = text.chars().take_while(|character| character.is_whitespace()).count();
    let blanks_from = text.trim_end().chars().count();
    let mut characters = text.chars().enumerate();
    let misplaced = characters.find_map(|(before, character)| {
        let at_an_end = before < first_blanks || before >= blanks_from;
        let kind = if at_an_end { Some("a blank at an end of the name") } else { invisible(character) };
        kind.map(|kind| NoModel::Misplaced { before, character, kind })
    });
    misplaced.map_or(Ok(()), Err)
}

/// What a character is that no name has; `None` for all others.
fn invisible(character: char) -> Option<&'static str> {
    match character.general_category() {
        GeneralCategory::Control => Some("a control character"),
        GeneralCategory::Format => Some("an invisible format character"),
        GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator => Some("an end of a line"),
        GeneralCategory::Unassigned => Some("not assigned by Unicode"),
        // A `char` is never a surrogate. What is for private use is visible where it is used.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn misplaced(text: &str) -> Option<(usize, char)> {
        match Model::parse(text) {
            Err(NoModel::Misplaced { before, character, .. }) => Some((before, character)),
            _ => None,
        }
    }

    #[test]
    fn what_tools_report_is_a_name() {
        for name in [
            "claude-opus-4-7[1m]",
            "custom:GLM-4.7-[Plan]-0",
            "<synthetic>",
            "Gemini 3 Pro (High)",
            "composer-2.5[fast=true]",
            "~vendor/model-latest",
            "C:\\models\\qwen.gguf",
            "通义千问",
            "modèle à l’essai",
            "e\u{301}",
            "🦙",
            "\u{e000}",
            "a\u{a0}b\u{3000}c",
            "=cmd|' /C calc'!A0",
            "a,b;\"c\"",
        ] {
            assert_eq!(Model::parse(name).unwrap().as_str(), name);
        }
        assert_ne!(Model::parse("e\u{301}"), Model::parse("é"), "nothing is normalised");
    }

    #[test]
    fn a_name_has_1_to_256_characters_in_at_most_512_bytes() {
        for good in ["m", &"m".repeat(256), &"é".repeat(256), &"問".repeat(170), &"🦙".repeat(128)] {
            assert!(Model::parse(good).is_ok(), "{good}");
        }
        for bad in ["", &"m".repeat(257), &"é".repeat(257), &"問".repeat(171), &"🦙".repeat(129), &" ".repeat(9_999)]
        {
            assert_eq!(Model::parse(bad), Err(NoModel::WrongLength), "{bad}");
        }
    }

    #[test]
    fn the_first_character_that_no_name_has_is_named_with_its_place() {
        for (text, before, character) in [
            ("a\u{0}b", 1, '\u{0}'),
            ("gpt\n", 3, '\n'),
            ("gpt\u{85}5", 3, '\u{85}'),
            ("é\u{200b}b\u{200b}", 1, '\u{200b}'),
            ("\u{feff}gpt", 0, '\u{feff}'),
            ("gpt\u{ad}-5", 3, '\u{ad}'),
            ("a\u{202e}b", 1, '\u{202e}'),
            ("a\u{2028}b", 1, '\u{2028}'),
            ("a\u{2029}b", 1, '\u{2029}'),
            ("a\u{378}", 1, '\u{378}'),
            ("a\u{fffe}", 1, '\u{fffe}'),
            ("a\u{10ffff}", 1, '\u{10ffff}'),
            ("\u{e0001}", 0, '\u{e0001}'),
            (" gpt", 0, ' '),
            ("gpt \u{3000}", 3, ' '),
            ("gpt\u{a0}", 3, '\u{a0}'),
            (" ", 0, ' '),
        ] {
            assert_eq!(misplaced(text), Some((before, character)), "{text:?}");
        }
    }

    /// The rule as the documents state it, without a short way.
    fn is_a_name(text: &str) -> bool {
        use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator, Surrogate, Unassigned};
        let refused = [Control, Format, Surrogate, Unassigned, LineSeparator, ParagraphSeparator];
        let characters: Vec<char> = text.chars().collect();
        (1..=256).contains(&characters.len())
            && text.len() <= 512
            && text.trim() == text
            && !characters.iter().any(|character| refused.contains(&character.general_category()))
    }

    #[test]
    fn every_character_alone_is_judged_by_its_category() {
        for character in '\0'..=char::MAX {
            let text = character.to_string();
            assert_eq!(Model::parse(&text).is_ok(), is_a_name(&text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_by_the_rule_and_kept_byte_by_byte(
            text in prop_oneof![any::<String>(), "[ -~]{0,300}", "[\u{a0}-\u{2ff}]{200,300}", "\\PC{0,40}"],
        ) {
            let parsed = Model::parse(&text);
            prop_assert_eq!(parsed.is_ok(), is_a_name(&text));
            match parsed {
                Ok(model) => prop_assert_eq!(model.as_str(), text),
                Err(NoModel::WrongLength) => prop_assert!(text.is_empty() || text.chars().count() > 256 || text.len() > 512),
                Err(NoModel::Misplaced { before, character, .. }) => {
                    prop_assert_eq!(text.chars().nth(before), Some(character));
                    let sound: String = text.chars().take(before).collect();
                    prop_assert!(sound.is_empty() || is_a_name(sound.trim_end()));
                }
            }
        }
    }
}
