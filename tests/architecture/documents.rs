//! How files read: each says at its top what it is for, none is too long to hold in mind, SQL is in lower case.

use super::sql::{Token, tokens};
use super::tree::{SourceTree, Violation, assert_caught, assert_kept_here, assert_passes, has_extension};

/// What is longer than this hides a second idea, which wants a name and a place of its own.
const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;

fn check_openings(tree: &SourceTree) -> Vec<Violation> {
    tree.under("")
        .filter_map(|(path, text)| {
            let first = text.lines().next().unwrap_or_default();
            let (opening, instead) = if has_extension(path, "rs") {
                ("//!", "open with `//!` and say what the file answers for")
            } else if has_extension(path, "sql") {
                ("--", "open with a `--` comment and say why the statement is there")
            } else {
                return None;
            };
            let says = first.strip_prefix(opening).is_some_and(|rest| !rest.trim().is_empty());
            (!says).then(|| Violation::new(path, 1, instead))
        })
        .collect()
}

fn check_lengths(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust_under("") {
        let lines = tree.text(&file.path).unwrap_or_default().lines().count();
        if lines > FILE_LINES {
            let instead = format!("{lines} lines are over {FILE_LINES}: find the second idea, give it a file");
            violations.push(Violation::new(&file.path, FILE_LINES + 1, instead));
        }
        for function in &file.functions {
            let lines = function.last_line - function.first_line + 1;
            if lines > FUNCTION_LINES {
                let name = &function.name;
                let instead = format!("`{name}` has {lines} lines, over {FUNCTION_LINES}: give its second idea a name");
                violations.push(Violation::new(&file.path, function.first_line, instead));
            }
        }
    }
    violations
}

fn check_lower_case(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in tree.sql_under("") {
        upper_case_words(path, text, 0, &mut violations);
    }
    violations
}

/// A dollar-quoted body behind `as` or `do` is code too.
fn upper_case_words(path: &str, sql: &str, lines_before: usize, violations: &mut Vec<Violation>) {
    let mut before = String::new();
    for placed in tokens(sql) {
        let line = lines_before + placed.line;
        match &placed.token {
            Token::Word(word) if word.chars().any(char::is_uppercase) => {
                let lower = word.to_lowercase();
                violations.push(Violation::new(path, line, format!("write `{lower}`: SQL is in lower case here")));
            }
            Token::Text(body) if matches!(before.as_str(), "as" | "do") => {
                upper_case_words(path, body, line - 1, violations);
            }
            _ => {}
        }
        before = placed.keyword().unwrap_or_default();
    }
}

#[test]
fn every_file_here_says_what_it_is_for() {
    assert_kept_here(check_openings);
}

#[test]
fn a_file_that_does_not_say_what_it_is_for_is_caught() {
    for (path, text) in [
        ("src/kernel/database.rs", "use std::fmt;\n//! Late."),
        ("src/kernel/database.rs", "\n//! One line late."),
        ("tests/api/main.rs", "//!\nfn f() {}"),
        ("benches/ingest.rs", "// Not a document."),
        ("migrations/0001_begin.sql", "create schema usage;"),
        ("src/kernel/upsert.sql", "/* A block. */ select 1"),
        ("src/kernel/upsert.sql", ""),
    ] {
        assert_caught(check_openings, &[(path, text)], path, 1);
    }
}

#[test]
fn a_file_that_says_what_it_is_for_passes() {
    assert_passes(
        check_openings,
        &[("src/a.rs", "//! Why."), ("src/a.sql", "-- Why.\nselect 1"), ("tests/data.md", "")],
    );
}

#[test]
fn every_file_and_function_here_is_short() {
    assert_kept_here(check_lengths);
}

#[test]
fn a_file_that_is_too_long_is_caught() {
    let long = "//! Why.\n".repeat(FILE_LINES + 1);
    assert_caught(check_lengths, &[("tests/api/main.rs", &long)], "tests/api/main.rs", FILE_LINES + 1);
    assert_passes(check_lengths, &[("tests/api/main.rs", &long[..FILE_LINES * "//! Why.\n".len()])]);
}

#[test]
fn a_function_that_is_too_long_is_caught_wherever_it_stands() {
    let body = "    step();\n".repeat(FUNCTION_LINES - 2);
    let fits = format!("impl X {{\nasync fn long(&self) {{\n{body}}}\n}}");
    let long = format!("impl X {{\nasync fn long(&self) {{\n{body}    step();\n}}\n}}");
    assert_caught(check_lengths, &[("src/app.rs", &long)], "src/app.rs", 2);
    let in_macro = format!("proptest! {{\n{long}\n}}");
    assert_caught(check_lengths, &[("src/app.rs", &in_macro)], "src/app.rs", 3);
    assert_passes(check_lengths, &[("src/app.rs", &fits)]);
}

#[test]
fn every_statement_here_is_in_lower_case() {
    assert_kept_here(check_lower_case);
}

#[test]
fn an_upper_case_keyword_is_caught() {
    let path = "migrations/0001_begin.sql";
    assert_caught(check_lower_case, &[(path, "-- Why.\nCREATE schema usage;")], path, 2);
    assert_caught(check_lower_case, &[(path, "select 'A' /* B */\n\n  From usage.bucket")], path, 3);
    let body = "create function f() returns int as $body$\nbegin\n  RETURN 1;\nend $body$ language plpgsql";
    assert_caught(check_lower_case, &[(path, body)], path, 3);
}

#[test]
fn capitals_in_comments_strings_and_quoted_names_pass() {
    let sql = "-- SELECT\n/* FROM /* WHERE */ */ select E'A\\'B', 'UTC', \"count!: I64\", $1 as \"A\";\n\
        comment on table usage.bucket is $$A Bucket$$;";
    assert_passes(check_lower_case, &[("src/kernel/upsert.sql", sql)]);
}
