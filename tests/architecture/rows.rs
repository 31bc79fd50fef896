//! A row is what the database says; a response is what the caller is told. One type for both leaks columns.

use super::rust::{Flat, RustFile};
use super::tree::{SourceTree, Violation, assert_caught, assert_kept_here, assert_passes, slice_of};

const INSTEAD: &str = "a row never serialises: give the caller a response type of its own";

/// Nothing in a store serialises, and no type that a statement fills does, wherever in the slice it stands.
fn check(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust_under("src/features/").filter(|file| file.path.ends_with("/store.rs")) {
        violations.extend(file.lines_naming("Serialize").map(|line| Violation::new(&file.path, line, INSTEAD)));
    }
    let filled: Vec<(Option<&str>, &str)> =
        tree.rust_under("src/").flat_map(|file| filled_types(file).map(|name| (slice_of(&file.path), name))).collect();
    for file in tree.rust_under("src/") {
        let rows = serialised_types(file).filter(|(name, _)| filled.contains(&(slice_of(&file.path), name)));
        violations.extend(rows.map(|(_, line)| Violation::new(&file.path, line, INSTEAD)));
    }
    violations
}

/// The types that `query_file_as!` fills, without the modules before their names.
fn filled_types(file: &RustFile) -> impl Iterator<Item = &str> {
    file.flat.windows(3).enumerate().filter(|(_, tokens)| texts(tokens) == ["query_file_as", "!", "("]).filter_map(
        |(position, _)| {
            let arguments = &file.flat[position + 3..];
            let end = arguments.iter().position(|token| [",", "<"].contains(&token.text.as_str()))?;
            Some(arguments[..end].last()?.text.as_str())
        },
    )
}

/// The types that serialise by an attribute or by hand, each with the line that says so.
fn serialised_types(file: &RustFile) -> impl Iterator<Item = (&str, usize)> {
    let derived = file.flat.windows(2).enumerate().filter_map(|(position, tokens)| {
        let [keyword, name] = tokens else { return None };
        let line = ["struct", "enum"].contains(&keyword.text.as_str()).then(|| derives(&file.flat[..position]))??;
        Some((name.text.as_str(), line))
    });
    let implemented = file.flat.windows(3).filter_map(|tokens| match texts(tokens)[..] {
        ["Serialize", "for", name] => Some((name, tokens[0].line)),
        _ => None,
    });
    derived.chain(implemented)
}

/// The line on which one of the attributes that end here names `Serialize`.
fn derives(before: &[Flat]) -> Option<usize> {
    let mut rest = before;
    while let [outer @ .., last] = rest {
        match last.text.as_str() {
            "pub" => rest = outer,
            "]" => {
                let start = opening(rest)?;
                if let Some(found) = rest[start..].iter().find(|token| token.text == "Serialize") {
                    return Some(found.line);
                }
                rest = &rest[..start];
            }
            _ => return None,
        }
    }
    None
}

/// Where the bracket opens that the last token closes.
fn opening(tokens: &[Flat]) -> Option<usize> {
    let mut depth = 0;
    tokens.iter().rposition(|token| {
        match token.text.as_str() {
            "]" => depth += 1,
            "[" => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

fn texts(tokens: &[Flat]) -> Vec<&str> {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

const STORE: &str = "src/features/backfill/store.rs";
const NOUN: &str = "src/features/backfill/job.rs";
const FILLS: &str = "fn read() { sqlx::query_file_as!(job::Row, \"read.sql\", id).fetch_all(tx) }";

#[test]
fn no_row_here_serialises() {
    assert_kept_here(check);
}

#[test]
fn a_row_that_serialises_in_its_store_is_caught() {
    for text in [
        "#[derive(Debug, Serialize)]\nstruct Row;",
        "#[cfg_attr(test, derive(serde::Serialize))] struct Row;",
        "impl serde::Serialize for Row {}",
    ] {
        assert_caught(check, &[(STORE, text)], STORE, 1);
    }
}

#[test]
fn a_row_that_serialises_elsewhere_in_its_slice_is_caught() {
    for text in [
        "use x::Y;\n#[derive(Debug, Serialize)]\n#[serde(rename = \"[row]\")]\npub struct Row { a: [u8; 2] }",
        "/// Why.\n#[cfg_attr(test, derive(serde::Serialize))] #[derive(Debug)] pub(super) struct Row;",
        "struct Row;\nimpl serde::Serialize for Row {}",
    ] {
        assert_caught(check, &[(STORE, FILLS), (NOUN, text)], NOUN, 2);
    }
    let kernel = (
        "src/kernel/usage/outbox/mod.rs",
        "#[derive(Serialize)] struct Row;\nfn f() { query_file_as!(Row, \"f.sql\") }",
    );
    assert_caught(check, &[kernel], kernel.0, 1);
}

#[test]
fn a_response_may_serialise_and_a_row_may_deserialise() {
    let store = format!("/// Never `Serialize`.\n#[derive(Deserialize)] struct Row;\n{FILLS}");
    let response = "#[derive(Serialize)]\nstruct Reply;\n#[derive(Debug)]\npub struct Row;\nstruct Rows([Row; 2]);";
    let other = ("src/features/accounts/reply.rs", "#[derive(Serialize)] struct Row;");
    assert_passes(check, &[(STORE, &store), (NOUN, response), other]);
}
