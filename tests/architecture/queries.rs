//! One function per statement: each .sql file is run by the function of its name, in its own folder.

use super::rust::Inclusion;
use super::tree::{SourceTree, Violation, assert_caught, assert_kept_here, assert_passes, folder_of, has_extension};

/// The macros that check a file's statement against the schema while compiling. `query_file_columns` is the kernel's and
/// ends in `query_file`.
const CHECKED: [&str; 4] = ["query_file", "query_file_as", "query_file_scalar", "query_file_columns"];

fn check(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    let runs: Vec<(&str, &Inclusion)> = tree
        .rust_under("src/")
        .flat_map(|file| file.inclusions.iter().map(|inclusion| (file.path.as_str(), inclusion)))
        .filter(|(_, inclusion)| has_extension(&inclusion.target, "sql"))
        .collect();
    for (path, _) in tree.sql_under("src/") {
        match runs.iter().filter(|(_, run)| run.target == path).count() {
            0 => violations.push(Violation::new(path, 1, "no function runs this: write one, or delete the file")),
            1 => {}
            _ => violations.push(Violation::new(path, 1, "several places run this: let them share one function")),
        }
    }
    for (path, run) in runs {
        if let Some(instead) = objection(tree, path, run) {
            violations.push(Violation::new(path, run.line, instead));
        }
    }
    violations
}

fn objection(tree: &SourceTree, path: &str, run: &Inclusion) -> Option<String> {
    let Inclusion { macro_name, target, function, .. } = run;
    let file = target.rsplit('/').next().unwrap_or_default();
    let name = file.strip_suffix(".sql").unwrap_or(file);
    if !CHECKED.contains(&macro_name.as_str()) {
        return Some(format!("`{macro_name}` checks nothing: run {file} through one of {CHECKED:?}"));
    }
    if !tree.contains(target) {
        return Some(format!("{target} does not exist: write the path from the repository's root"));
    }
    if folder_of(target) != folder_of(path) {
        return Some(format!("{target} lies in another folder: a statement stands beside the file that runs it"));
    }
    if function.as_deref() != Some(name) {
        return Some(format!("{file} is run by the function of its name: call it `fn {name}`"));
    }
    None
}

const STORE: &str = "src/features/backfill/store.rs";
const LEASE: &str = "src/features/backfill/take_lease.sql";

#[track_caller]
fn caught(store: &str, path: &str, line: usize) {
    assert_caught(check, &[(STORE, store), (LEASE, "select 1")], path, line);
}

#[test]
fn every_statement_here_has_its_function() {
    assert_kept_here(check);
}

#[test]
fn a_statement_that_nobody_runs_is_caught() {
    caught("fn take_lease() {}", LEASE, 1);
    caught("// query_file!(\"src/features/backfill/take_lease.sql\")\nfn take_lease() {}", LEASE, 1);
}

#[test]
fn a_statement_that_two_places_run_is_caught() {
    let twice = "fn take_lease() {\n if x { sqlx::query_file!(\"src/features/backfill/take_lease.sql\"); }\n \
        else { query_file_as!(Row, \"src/features/backfill/take_lease.sql\", x); }\n}";
    caught(twice, LEASE, 1);
}

#[test]
fn a_statement_run_under_another_name_is_caught() {
    caught("fn lease() {\n sqlx::query_file!(\"src/features/backfill/take_lease.sql\");\n}", STORE, 2);
    caught("fn take_lease() { fn inner() {\n query_file!(\"src/features/backfill/take_lease.sql\"); } }", STORE, 2);
    caught(
        "fn lease() {\n query_file_columns!(\"src/features/backfill/take_lease.sql\", key_columns = keys,);\n}",
        STORE,
        2,
    );
    caught("macro_rules! take_lease {\n () => { query_file!(\"src/features/backfill/take_lease.sql\") } }", STORE, 2);
}

#[test]
fn a_statement_of_another_folder_is_caught() {
    let kernel = "src/kernel/usage/writer/mod.rs";
    let run = "fn take_lease() { sqlx::query_file!(\"src/features/backfill/take_lease.sql\"); }";
    assert_caught(check, &[(kernel, run), (LEASE, "select 1")], kernel, 1);
}

#[test]
fn a_statement_that_is_not_checked_or_not_there_is_caught() {
    caught("fn take_lease() { query_file_unchecked!(\"src/features/backfill/take_lease.sql\"); }", STORE, 1);
    caught("fn take_lease() { run(include_str!(\"take_lease.sql\")); }", STORE, 1);
    caught("fn give_lease() { query_file!(\"src/features/backfill/give_lease.sql\"); }", STORE, 1);
}

#[test]
fn one_function_for_each_statement_passes() {
    let store = "impl Jobs {\n pub(super) async fn take_lease<'a>(c: &'a mut C) -> Result<impl Fn() -> [u8; 2], E>\n where C: X {\n \
        Ok(sqlx::query_file_as!(Row, \"src/features/backfill/take_lease.sql\", \"not/a.sql\").fetch_one(c).await?)\n }\n}\n\
        fn other(f: fn(u8) -> u8) {}";
    assert_passes(check, &[(STORE, store), (LEASE, "select 1")]);
}
