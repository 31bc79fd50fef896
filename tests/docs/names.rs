//! What documents call things: the files that they name, the words of the glossary, the versions that are promised.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{NONE, documents, files, joined, quoted, root, text};

const GLOSSARY: &str = "docs/glossary.md";

/// How the names of files end that documents speak of.
const EXTENSIONS: [&str; 5] = ["rs", "sql", "md", "toml", "yml"];

/// Folders whose files are named from the top of the repository.
const TOP: [&str; 7] = ["src/", "tests/", "benches/", "migrations/", "docs/", ".ci/", ".github/"];

/// Every file and folder of the repository, as a path from its top.
fn tree() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![root().to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
            if ["target", "data", ".git"].contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            }
            found.insert(name);
        }
    }
    found
}

/// The words in backticks that can only be names of files or folders.
fn named_files(markdown: &str) -> BTreeSet<&str> {
    let is_name = |word: &&str| {
        let plain = word.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-/".contains(letter));
        let ends = Path::new(word).extension().is_some_and(|end| EXTENSIONS.iter().any(|known| end == *known));
        plain && (ends || TOP.iter().any(|top| word.starts_with(top)))
    };
    let is_placeholder = |word: &&str| word.contains("NNNN") || word.contains("NAME");
    markdown.lines().flat_map(quoted).filter(|word| is_name(word) && !is_placeholder(word)).collect()
}

/// A document may leave the beginning of a path out: `relay/mod.rs`.
fn missing_files<'a>(markdown: &'a str, tree: &BTreeSet<String>) -> Vec<&'a str> {
    let is_there = |name: &&str| {
        let name = name.trim_end_matches('/');
        tree.iter().any(|path| path.strip_suffix(name).is_some_and(|front| front.is_empty() || front.ends_with('/')))
    };
    named_files(markdown).into_iter().filter(|name| !is_there(name)).collect()
}

/// The terms of a glossary, in the order in which it has them.
fn terms(glossary: &str) -> Vec<&str> {
    glossary.lines().filter_map(|line| Some(line.strip_prefix("- **")?.split_once("**: ")?.0)).collect()
}

/// Letters and digits alone, in lower case, so that `scan floor`, `scan_floor` and `ScanFloor` are one word.
fn squeezed(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Terms that nobody uses.
fn unused_terms<'a>(glossary: &'a str, used: &str) -> Vec<&'a str> {
    let used = squeezed(used);
    terms(glossary).into_iter().filter(|term| !used.contains(&squeezed(term))).collect()
}

/// The first term that is not behind the one before it.
fn out_of_order(glossary: &str) -> Option<&str> {
    let terms = terms(glossary);
    terms.windows(2).find(|pair| pair[0].to_lowercase() >= pair[1].to_lowercase()).map(|pair| pair[1])
}

/// What stands behind a word and a separator: `1.95` behind `rust-version = "`.
fn behind<'a>(text: &'a str, words: &str) -> &'a str {
    let rest = text.split_once(words).unwrap_or_else(|| panic!("there is no {words:?}")).1;
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
    rest[..end].trim_end_matches('.')
}

#[test]
fn every_file_that_a_document_names_exists() {
    let tree = tree();
    let mut named = 0;
    for (path, markdown) in documents() {
        named += named_files(&markdown).len();
        assert_eq!(missing_files(&markdown, &tree), NONE, "in {}", path.display());
    }
    assert!(named > 50, "only {named} names were found");
}

#[test]
fn a_file_that_does_not_exist_is_caught() {
    let tree = ["src/a/b.rs", "src/a", "src", "docs/c.md"].map(str::to_owned).into();
    let markdown = "`b.rs` `a/b.rs` `src/a/` `docs/c.md` `xb.rs` `b/b.rs` `src/b/` `cargo test` `usage.bucket`";
    assert_eq!(missing_files(markdown, &tree), ["b/b.rs", "src/b/", "xb.rs"]);
}

#[test]
fn every_word_of_the_glossary_is_used_and_stands_in_its_place() {
    let glossary = text(GLOSSARY);
    let documents = documents().into_iter().filter(|(path, _)| !path.ends_with(GLOSSARY)).collect::<Vec<_>>();
    let used = [joined(&files("src", "rs")), joined(&files("src", "sql")), joined(&documents)].join("\n");
    assert!(terms(&glossary).len() > 50);
    assert_eq!(unused_terms(&glossary, &used), NONE);
    assert_eq!(out_of_order(&glossary), None);
}

#[test]
fn a_word_that_nobody_uses_or_that_is_out_of_place_is_caught() {
    let glossary = "# Words\n- **fold**: x\n- **scan floor**: y\n- **widget**: z\nAlso **bold**.\n";
    assert_eq!(unused_terms(glossary, "struct ScanFloor; // to fold"), ["widget"]);
    assert_eq!(out_of_order(glossary), None);
    assert_eq!(out_of_order("- **b**: x\n- **A**: y\n"), Some("A"));
    assert_eq!(out_of_order("- **a**: x\n- **a**: y\n"), Some("a"));
}

#[test]
fn the_workflow_tests_every_postgresql_that_is_promised_with_the_oldest_rust() {
    let workflow = text(".github/workflows/gate.yml");
    let matrix = workflow.split_once("postgresql: [").and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
    let versions: Vec<u32> = matrix.split(", ").map(|version| version.parse().unwrap()).collect();
    let oldest = behind(&text("src/embedded_postgres/binaries.rs"), "OLDEST_MAJOR: u32 = ").parse().unwrap();
    assert!(versions.len() >= 5);
    assert_eq!(versions, (oldest..).take(versions.len()).collect::<Vec<u32>>());
    let rust = text("Cargo.toml");
    let rust = behind(&rust, "rust-version = \"");
    assert_eq!(behind(&workflow, "rustup default "), rust);
    assert_eq!(behind(&workflow, "rustup toolchain install "), rust);
    assert_eq!(behind(&text("README.md"), "need Rust "), rust);
    assert_eq!(behind(&text("Dockerfile"), "FROM rust:"), rust);
}
