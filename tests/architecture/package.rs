//! What stands at the top of the repository, and what the product is built on.

use super::tree::{SourceTree, Violation, assert_caught, assert_kept_here, assert_passes};

/// What a visitor sees first is what there is to know.
const TOP_LEVEL: [&str; 11] = [
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "README.md",
    "benches",
    "docker-compose.yml",
    "docs",
    "migrations",
    "src",
    "tests",
    ".env.example",
];

/// Made by building and running; git ignores them.
const IGNORED: [&str; 2] = ["data", "target"];

/// What the product must be built on.
const REQUIRED: [&str; 10] =
    ["axum", "envy", "serde", "serde_json", "sqlx", "tokio", "tower_governor", "tracing", "tracing-subscriber", "uuid"];

fn check_top_level(tree: &SourceTree) -> Vec<Violation> {
    tree.top_level()
        .iter()
        .filter(|name| {
            let known = TOP_LEVEL.contains(&name.as_str()) || IGNORED.contains(&name.as_str());
            !known && !name.starts_with('.') && !name.starts_with("LICENSE-")
        })
        .map(|name| {
            Violation::new(name, 1, "the top level is for what is there now: put this under one of its folders")
        })
        .collect()
}

fn check_dependencies(tree: &SourceTree) -> Vec<Violation> {
    let manifest = tree.text("Cargo.toml").unwrap_or_default();
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            found.extend(section.strip_prefix("dependencies."));
        } else if let ("dependencies", Some((name, _))) = (section, line.split_once(['=', '.'])) {
            found.push(name.trim());
        }
    }
    REQUIRED
        .iter()
        .filter(|name| !found.contains(name))
        .map(|name| Violation::new("Cargo.toml", 1, format!("add `{name}` to [dependencies]: it is required")))
        .collect()
}

#[test]
fn only_what_belongs_there_stands_at_the_top() {
    assert_kept_here(check_top_level);
}

#[test]
fn a_stray_file_at_the_top_is_caught() {
    for path in ["notes.md", "scripts/run.sh", "sqlx.toml", "LICENSE"] {
        let first = path.split('/').next().unwrap_or_default();
        assert_caught(check_top_level, &[(path, "")], first, 1);
    }
}

#[test]
fn known_hidden_and_ignored_names_pass() {
    assert_passes(check_top_level, &[("LICENSE-MIT", ""), (".ci/run", ""), ("target/debug", ""), ("src/lib.rs", "")]);
}

#[test]
fn the_product_is_built_on_what_it_must_be() {
    assert_kept_here(check_dependencies);
}

#[test]
fn a_missing_dependency_is_caught() {
    let without_axum = manifest().replace("axum = ", "# axum = ");
    assert_caught(check_dependencies, &[("Cargo.toml", &without_axum)], "Cargo.toml", 1);
    let only_for_tests = manifest().replace("[dependencies]", "[dev-dependencies]");
    assert_caught(check_dependencies, &[("Cargo.toml", &only_for_tests)], "Cargo.toml", 1);
}

#[test]
fn every_way_to_write_a_dependency_passes() {
    let other = manifest().replace("envy = \"1\"\n", "envy.version = \"1\"\n").replace("uuid = \"1\"\n", "")
        + "[dependencies.uuid]\nversion = \"1\"\n";
    assert_passes(check_dependencies, &[("Cargo.toml", &other)]);
}

fn manifest() -> String {
    let lines: Vec<String> = REQUIRED.iter().map(|name| format!("{name} = \"1\"\n")).collect();
    format!("[package]\nname = \"x\"\n\n[dependencies]\n{}", lines.concat())
}
