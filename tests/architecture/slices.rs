//! What a slice is made of: one question per file, and only the store talks to the database.

use super::tree::{SourceTree, Violation, assert_caught, assert_kept_here, assert_passes, has_extension, slice_of};

/// The files a slice may have whose names mean the same in each, and what they may name besides the standard library.
const FILES: [(&str, MayName); 6] = [
    // What the slice promises, and its routes.
    ("mod.rs", MayName { axum: true, sqlx: false }),
    // Extracts, parses, stores, responds.
    ("handler.rs", MayName { axum: true, sqlx: false }),
    // Wire types become domain types, whatever carried them.
    ("request.rs", MayName { axum: false, sqlx: false }),
    // The only file that talks to the database.
    ("store.rs", MayName { axum: false, sqlx: true }),
    // Loops over the store, started by the composition root.
    ("relay.rs", MayName { axum: false, sqlx: false }),
    ("worker.rs", MayName { axum: false, sqlx: false }),
];

/// Any other file is named for a noun of the domain, and is pure.
const NOUN: MayName = MayName { axum: false, sqlx: false };

/// Names that say nothing about what is inside, so that everything ends up there.
const SAYS_NOTHING: [&str; 12] =
    ["common", "core", "helper", "helpers", "manager", "misc", "model", "models", "service", "types", "util", "utils"];

/// The part of a slice that holds what browsers read, and of what kinds that is: templates with what tells the compiler where
/// they are, style, scripts and drawings.
const LOOK: &str = "look";
const LOOKS: [&str; 5] = ["html", "css", "js", "svg", "toml"];

#[derive(Clone, Copy)]
struct MayName {
    axum: bool,
    sqlx: bool,
}

/// The slice's folder holds the files it may. A part that is a thing of its own, with its own statements, may have a
/// folder, whose `mod.rs` says what it is; nothing lies deeper.
fn check_files(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, _) in tree.under("src/features/") {
        let Some(slice) = slice_of(path) else {
            if path != "src/features/mod.rs" {
                violations.push(Violation::new(path, 1, "give it to the slice that needs it, or to the kernel"));
            }
            continue;
        };
        let name = &path["src/features/".len() + slice.len() + 1..];
        let (part, name) = name.rsplit_once('/').unwrap_or(("", name));
        let stem = name.split('.').next().unwrap_or_default();
        let instead = if part.contains('/') {
            "a slice has parts, but parts have none: split it into two slices, or name the file for its noun"
        } else if !part.is_empty() && !tree.contains(&format!("src/features/{slice}/{part}/mod.rs")) {
            "a part of a slice is a module that says what it is: give it a `mod.rs`, or leave the slice flat"
        } else if SAYS_NOTHING.contains(&stem) || SAYS_NOTHING.contains(&part) {
            "this name says nothing: name the file for what it knows"
        } else if part == LOOK && LOOKS.iter().any(|extension| has_extension(name, extension)) {
            continue;
        } else if !has_extension(name, "rs") && !has_extension(name, "sql") {
            "a slice holds Rust and SQL only, and what browsers read lies in its part `look`"
        } else {
            continue;
        };
        violations.push(Violation::new(path, 1, instead));
    }
    violations
}

/// Only the store names the driver; parsing and rules know neither the driver nor the web framework.
fn check_names(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust_under("src/features/") {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let may = FILES.iter().find(|(known, _)| *known == name).map_or(NOUN, |(_, may)| *may);
        let mut forbid = |library: &str, instead: &str| {
            violations.extend(file.lines_naming(library).map(|line| Violation::new(&file.path, line, instead)));
        };
        if !may.sqlx {
            forbid("sqlx", "only `store.rs` talks to the database: move this there");
        }
        if !may.axum && name != "store.rs" {
            forbid("axum", "this file does not know what carries a request: move this to `handler.rs`");
        }
    }
    violations
}

/// No statement stands in a slice's Rust: not in a handler, and not in the store either.
fn check_no_sql_in_rust(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust_under("src/features/") {
        for (text, line) in file.strings() {
            if is_statement(text) {
                let instead = "a statement belongs into a .sql file of its own, read by `query_file!` in `store.rs`";
                violations.push(Violation::new(&file.path, line, instead));
            }
        }
    }
    violations
}

fn is_statement(text: &str) -> bool {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["select", rest @ ..] => rest.contains(&"from"),
        ["insert" | "merge", "into", _, ..]
        | ["delete", "from", _, ..]
        | ["update", _, "set", ..]
        | ["update", "only", _, "set", ..] => true,
        ["with", _, "as", ..] => words.iter().any(|word| word.starts_with("(select")),
        _ => false,
    }
}

const STORE: &str = "src/features/backfill/store.rs";
const HANDLER: &str = "src/features/backfill/handler.rs";
const REQUEST: &str = "src/features/backfill/request.rs";

#[test]
fn every_slice_here_holds_the_files_it_may() {
    assert_kept_here(check_files);
}

#[test]
fn a_file_whose_name_says_nothing_is_caught() {
    for name in ["utils.rs", "service.rs", "types.rs", "helpers.rs", "common.rs", "misc.rs"] {
        let path = format!("src/features/backfill/{name}");
        assert_caught(check_files, &[(&path, "")], &path, 1);
    }
}

#[test]
fn a_folder_without_a_purpose_or_a_file_beside_the_slices_is_caught() {
    for path in ["src/features/backfill/plan/create.rs", "src/features/shared.rs", "src/features/backfill/notes.md"] {
        assert_caught(check_files, &[(path, "")], path, 1);
    }
}

#[test]
fn what_browsers_read_has_a_part_of_its_own_and_lies_nowhere_else() {
    let part = ("src/features/page/look/mod.rs", "");
    for kind in LOOKS {
        let path = format!("src/features/page/look/page.{kind}");
        assert_passes(check_files, &[part, (&path, "")]);
        for path in [format!("src/features/page/page.{kind}"), format!("src/features/page/usage/page.{kind}")] {
            assert_caught(check_files, &[("src/features/page/usage/mod.rs", ""), (&path, "")], &path, 1);
        }
    }
    let other = "src/features/page/look/page.png";
    assert_caught(check_files, &[part, (other, "")], other, 1);
}

#[test]
fn a_part_that_says_nothing_or_has_parts_is_caught() {
    let part = ("src/features/backfill/plan/mod.rs", "");
    let deeper = "src/features/backfill/plan/diff/mod.rs";
    assert_caught(check_files, &[part, (deeper, "")], deeper, 1);
    let nothing = "src/features/backfill/utils/mod.rs";
    assert_caught(check_files, &[(nothing, "")], nothing, 1);
}

#[test]
fn the_usual_files_and_a_noun_pass() {
    let names = ["mod", "handler", "request", "store", "relay", "worker", "plan"];
    let paths = names.map(|name| format!("src/features/backfill/{name}.rs"));
    let mut files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
    files.extend([("src/features/mod.rs", ""), ("src/features/backfill/take_lease.sql", "")]);
    files.extend(
        ["mod.rs", "store.rs", "write.sql"].map(|name| (&*format!("src/features/backfill/diff/{name}").leak(), "")),
    );
    assert_passes(check_files, &files);
}

/// A part has its own routes where its noun has some; what it answers is typed apart from how it is sent.
#[test]
fn a_part_with_its_own_routes_passes() {
    let names = ["mod", "handler", "request", "reply", "store", "answer"];
    let paths = names.map(|name| format!("src/features/accounts/devices/{name}.rs"));
    let mut files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
    files.extend([("src/features/accounts/mod.rs", ""), ("src/features/accounts/devices/list_devices.sql", "")]);
    assert_passes(check_files, &files);
}

#[test]
fn only_stores_here_name_the_driver() {
    assert_kept_here(check_names);
}

#[test]
fn the_driver_outside_of_the_store_is_caught() {
    for name in ["mod", "handler", "request", "relay", "worker", "plan"] {
        let path = format!("src/features/backfill/{name}.rs");
        assert_caught(check_names, &[(&path, "//! Why.\nuse sqlx::PgPool;")], &path, 2);
    }
    assert_caught(check_names, &[(HANDLER, "fn f() { crate::kernel::database::sqlx::raw_sql(x) }")], HANDLER, 1);
    assert_caught(check_names, &[(HANDLER, "macro_rules! m { () => { ::sqlx::query!(x) } }")], HANDLER, 1);
}

#[test]
fn a_request_or_a_rule_that_knows_the_framework_is_caught() {
    let plan = "src/features/backfill/plan.rs";
    assert_caught(check_names, &[(REQUEST, "use {\n axum::Json,\n};")], REQUEST, 2);
    assert_caught(check_names, &[(REQUEST, "#[derive(axum::FromRequest)]\nstruct X;")], REQUEST, 1);
    assert_caught(check_names, &[(plan, "fn f() -> axum::http::StatusCode { todo!() }")], plan, 1);
}

#[test]
fn an_answer_or_a_reply_that_knows_what_carries_it_is_caught() {
    for name in ["answer", "reply"] {
        let path = format!("src/features/dashboard_rollup/summary/{name}.rs");
        assert_caught(check_names, &[(&path, "//! Why.\nuse axum::response::IntoResponse;")], &path, 2);
        assert_caught(check_names, &[(&path, "//! Why.\n#[derive(sqlx::FromRow)]\nstruct Row;")], &path, 2);
        let derives =
            "use serde::Serialize;\n#[derive(Debug, Serialize, utoipa::ToSchema, utoipa::IntoResponses)]\nstruct X;";
        assert_passes(check_names, &[(&path, derives)]);
    }
}

#[test]
fn libraries_where_they_belong_or_only_in_words_pass() {
    let talk = "//! Knows neither axum nor sqlx.\n// sqlx\nfn f() -> &'static str { \"axum\" }\nfn axum_like() {}";
    let store = "use sqlx::PgConnection;";
    let handler = "use axum::Json;";
    assert_passes(check_names, &[(REQUEST, talk), (STORE, store), (HANDLER, handler)]);
}

#[test]
fn no_rust_file_of_a_slice_here_holds_sql() {
    assert_kept_here(check_no_sql_in_rust);
}

#[test]
fn sql_in_a_handler_is_caught() {
    for sql in [
        "SELECT 1\n from x",
        "insert into x values (1)",
        "delete from x",
        "update x set y = 1",
        "with x as (select 1) table x",
    ] {
        let text = format!("//! Why.\nfn f() {{ run(r#\"{sql}\"#) }}");
        assert_caught(check_no_sql_in_rust, &[(HANDLER, &text)], HANDLER, 2);
    }
}

#[test]
fn sentences_that_begin_like_sql_pass() {
    let text = "/// select x from y\nconst A: [&str; 4] = [\"select a device\", \"update failed\", \"with care\", \"deleted from\"];";
    assert_passes(check_no_sql_in_rust, &[(HANDLER, text)]);
}
