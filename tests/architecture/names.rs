//! A public type's name means one thing in all of `src`, so that whoever reads it in a signature knows which is meant.

use std::collections::BTreeMap;

use super::rust::RustFile;
use super::tree::{SourceTree, Violation, assert_caught, assert_kept_here, assert_passes};

/// What declares a type. An associated type of an impl has no visibility, and so is none.
const DECLARES: [&str; 5] = ["enum", "struct", "trait", "type", "union"];

/// What may stand between the visibility and the keyword.
const QUALIFIES: [&str; 2] = ["auto", "unsafe"];

fn check(tree: &SourceTree) -> Vec<Violation> {
    let mut declared: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
    for file in tree.rust_under("src/") {
        for (name, line) in public_types(file) {
            declared.entry(name).or_default().push((&file.path, line));
        }
    }
    let mut violations = Vec::new();
    for (name, places) in declared.iter().filter(|(_, places)| places.len() > 1) {
        for (path, line) in places {
            let others = places.iter().filter(|place| *place != &(*path, *line));
            let others: Vec<String> = others.map(|(path, line)| format!("{path}:{line}")).collect();
            let instead = format!("`{name}` is also {}: give each the word of its own field", others.join(", "));
            violations.push(Violation::new(path, *line, instead));
        }
    }
    violations
}

/// The types that a file declares for others, each with the line of its name.
fn public_types(file: &RustFile) -> impl Iterator<Item = (&str, usize)> {
    file.flat.iter().enumerate().filter(|(_, token)| token.text == "pub").filter_map(|(at, _)| {
        let mut behind = file.flat[at + 1..].iter().skip_while(|token| QUALIFIES.contains(&token.text.as_str()));
        let keyword = behind.next()?;
        let name = behind.next()?;
        let is_name = name.text.starts_with(|sign: char| sign.is_alphabetic() || sign == '_');
        (DECLARES.contains(&keyword.text.as_str()) && is_name).then_some((name.text.as_str(), name.line))
    })
}

const STORE: &str = "src/features/backfill/store.rs";
const CLOCK: &str = "src/kernel/clock.rs";

#[test]
fn no_public_type_here_has_the_name_of_another() {
    assert_kept_here(check);
}

/// A rule over no types keeps itself.
#[test]
fn the_types_here_are_found() {
    let tree = SourceTree::of_this_repository();
    let count = tree.rust_under("src/").flat_map(public_types).count();
    assert!(count >= 200, "only {count} public types were found");
}

#[test]
fn a_second_type_of_a_name_is_caught_at_both_places() {
    for text in [
        "//! Why.\npub struct Answer { a: u8 }",
        "#[derive(Debug)]\npub(crate) enum Answer {}",
        "mod inner {\n    pub(in crate::features) type Answer<T> = Vec<T>; }",
        "use x::Y;\npub(super) unsafe trait Answer {}",
        "fn f() {}\npub union Answer { a: u8 }",
        "macro_rules! m { () => {\n pub struct Answer; } }",
        "/// Why.\npub struct r#Answer;",
    ] {
        let planted = [(STORE, text), (CLOCK, "//! Why.\n\npub(crate) struct Answer(u8);")];
        assert_caught(check, &planted, STORE, 2);
        assert_caught(check, &planted, CLOCK, 3);
    }
    assert_caught(check, &[(STORE, "pub struct A;\nmod inner { pub enum A {} }")], STORE, 2);
}

#[test]
fn private_types_exports_and_look_alikes_pass() {
    let store = "//! pub struct Answer;\nstruct Answer; pub use super::job::Answer; pub fn Answer() {} pub mod Answer {}\n\
        impl Iterator for X { type Item = u8; } impl Iterator for Y { type Item = u8; }\n\
        macro_rules! m { ($name:ident) => { pub struct $name; pub enum $name {} } }\n\
        pub struct Fields { pub r#type: Answer, pub union: Answer, pub value: Answer }\n\
        const X: &str = \"pub struct Answer;\";";
    let other = ("tests/api/main.rs", "pub struct Answer;");
    assert_passes(check, &[(STORE, store), (CLOCK, "pub struct Answer; pub struct Answers;"), other]);
}
