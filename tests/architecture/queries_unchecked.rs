//! Every statement is checked against the schema while compiling: no SQL is put together at run time.

use super::rust::{NamedPath, RustFile, Tail};
use super::tree::{SourceTree, Violation, assert_caught, assert_kept_here, assert_passes};

/// Functions and types of the driver that take SQL nobody checked.
const UNCHECKED: [&str; 11] = [
    "query",
    "query_as",
    "query_as_with",
    "query_scalar",
    "query_scalar_with",
    "query_with",
    "raw_sql",
    "AssertSqlSafe",
    "QueryBuilder",
    "SqlSafeStr",
    "SqlStr",
];

/// Macros that check inline SQL, which belongs into a file; and those that check nothing.
const INLINE: [&str; 9] = [
    "query",
    "query_as",
    "query_scalar",
    "query_unchecked",
    "query_as_unchecked",
    "query_scalar_unchecked",
    "query_file_unchecked",
    "query_file_as_unchecked",
    "query_file_scalar_unchecked",
];

/// Methods that take a statement as a string.
const RUNS: [&str; 7] = ["execute", "execute_many", "fetch", "fetch_all", "fetch_many", "fetch_one", "fetch_optional"];

/// The files that may name raw SQL. A role and a setting cannot be parameters, and `begin` cannot be prepared; statements
/// in a transaction are handed on as they come.
const MAY_BE_RAW: [&str; 2] = ["src/kernel/database/statements.rs", "src/kernel/database/tx.rs"];

/// Where the database is made that all checked statements need: `create database` can be neither prepared nor checked.
const MAKES_THE_DATABASE: &str = "src/embedded_postgres/connection.rs";
const RAW: [&str; 4] = ["raw_sql", "AssertSqlSafe", "SqlSafeStr", "SqlStr"];

const INSTEAD: &str = "unchecked SQL: put the statement into a .sql file and run it with `query_file!`";

fn check(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust_under("src/") {
        let may_be_raw = MAY_BE_RAW.contains(&file.path.as_str());
        let paths = file.paths.iter().filter(|path| is_unchecked(path, may_be_raw)).map(|path| path.line);
        let lines = paths.chain(raw_names(file).filter(|_| !may_be_raw)).chain(inline_macros(file));
        let strings = strings_run(file).filter(|_| file.path != MAKES_THE_DATABASE);
        violations.extend(lines.chain(strings).map(|line| Violation::new(&file.path, line, INSTEAD)));
    }
    violations
}

fn is_unchecked(path: &NamedPath, may_be_raw: bool) -> bool {
    let Some(driver) = path.segments.iter().position(|segment| segment == "sqlx" || segment == "sqlx_core") else {
        return false;
    };
    let behind = &path.segments[driver + 1..];
    // The driver under another name, or all its names at once, would hide the rest.
    let hidden = behind.is_empty() && path.tail != Tail::Plain;
    let named = behind.iter().any(|segment| {
        let raw = may_be_raw && RAW.contains(&segment.as_str());
        UNCHECKED.contains(&segment.as_str()) && !raw
    });
    // `sqlx::query!` is judged as a macro.
    hidden || named
}

/// These names are the driver's alone, whichever module hands them on.
fn raw_names(file: &RustFile) -> impl Iterator<Item = usize> {
    RAW.iter().flat_map(|name| file.lines_naming(name))
}

fn inline_macros(file: &RustFile) -> impl Iterator<Item = usize> {
    file.flat.windows(3).filter_map(|window| {
        let call = window[1].text == "!" && matches!(window[2].text.as_str(), "(" | "{" | "[");
        (call && INLINE.contains(&window[0].text.as_str())).then_some(window[0].line)
    })
}

/// `connection.execute("…")`
fn strings_run(file: &RustFile) -> impl Iterator<Item = usize> {
    file.flat.windows(4).filter_map(|window| {
        let method = window[0].text == "." && RUNS.contains(&window[1].text.as_str());
        (method && window[2].text == "(" && window[3].text.starts_with('"')).then_some(window[1].line)
    })
}

const STORE: &str = "src/features/backfill/store.rs";

#[track_caller]
fn caught(text: &str) {
    let text = format!("//! Why.\n{text}");
    assert_caught(check, &[(STORE, &text)], STORE, 2);
}

#[test]
fn every_statement_here_is_checked_while_compiling() {
    assert_kept_here(check);
}

#[test]
fn a_statement_made_at_run_time_is_caught() {
    caught("fn f() { sqlx::query(\"select 1\") }");
    caught("fn f() { ::sqlx::query_as::<_, Row>(&text) }");
    caught("fn f() { sqlx::raw_sql(text) }");
    caught("fn f() { sqlx::QueryBuilder::new(\"select\") }");
    caught("fn f() { c.execute(\"select 1\").await }");
    caught("fn f() { run(sqlx::AssertSqlSafe(format!(\"{x}\"))) }");
}

#[test]
fn an_unchecked_function_imported_under_any_name_is_caught() {
    caught("use sqlx::{PgPool, query as ask};");
    caught("use sqlx::{query::{query_as}};");
    caught("use sqlx as driver;");
    caught("use sqlx::*;");
    caught("use sqlx::{self as driver};");
    caught("use crate::kernel::database::raw_sql;");
}

#[test]
fn a_statement_inside_a_macro_call_is_caught() {
    caught("fn f() { sqlx::query!(\"select 1\") }");
    caught("fn f() { query_scalar! { \"select 1\" } }");
    caught("fn f() { tokio::join!(sqlx::query_as!(Row, \"select 1\"), b) }");
    caught("fn f() { sqlx::query_file_unchecked!(\"a.sql\") }");
}

#[test]
fn raw_sql_is_for_two_files_and_only_in_its_own_form() {
    let raw = "fn f() { sqlx::raw_sql(sqlx::AssertSqlSafe(text)) }";
    assert_passes(check, &[("src/kernel/database/tx.rs", raw), ("src/kernel/database/statements.rs", raw)]);
    let query = "fn f() { sqlx::query(text) }";
    assert_caught(check, &[("src/kernel/database/tx.rs", query)], "src/kernel/database/tx.rs", 1);
    assert_caught(check, &[("src/kernel/access/authenticator.rs", raw)], "src/kernel/access/authenticator.rs", 1);
}

#[test]
fn checked_statements_and_other_queries_pass() {
    let store = "//! Never `sqlx::query(…)`.\nuse sqlx::{PgConnection, postgres::PgRow};\nfn query(url: Url) -> bool {\n \
        let Query(query) = url.query(); query != axum::extract::Query(\"sqlx::query\"); self.query(query);\n \
        sqlx::query_file_scalar!(\"a.sql\").fetch_one(c); request.fetch_one(&url) }";
    assert_passes(check, &[(STORE, store)]);
}
