//! Migrations are numbered, say why they are there, and never wait long for a lock.

use super::sql::{Placed, Token, tokens};
use super::tree::{SourceTree, Violation, assert_caught, assert_kept_here, assert_passes};

/// What tells the migrator to run a file outside of a transaction.
const NO_TRANSACTION: &str = "-- no-transaction";

fn check(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut last = None;
    for (path, text) in tree.under("migrations/") {
        let Some(number) = number_of(path) else {
            violations.push(Violation::new(path, 1, "name it `NNNN_what_it_does.sql`"));
            continue;
        };
        if last.is_some_and(|last| last >= number) {
            violations.push(Violation::new(path, 1, "another migration has this number: take the next one"));
        }
        last = Some(number);
        if let Some((line, instead)) = objection(text) {
            violations.push(Violation::new(path, line, instead));
        }
    }
    violations
}

/// The number of `migrations/NNNN_name.sql`.
fn number_of(path: &str) -> Option<u32> {
    let name = path.strip_prefix("migrations/")?.strip_suffix(".sql")?;
    let (number, what) = name.split_once('_')?;
    let plain = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_';
    let well_formed = number.len() == 4 && !what.is_empty() && what.chars().all(plain);
    well_formed.then(|| number.parse().ok()).flatten()
}

fn objection(text: &str) -> Option<(usize, &'static str)> {
    let outside = text.starts_with(NO_TRANSACTION);
    let header = text.lines().take_while(|line| line.starts_with("--")).skip(usize::from(outside));
    if header.map(|line| line.trim_start_matches('-').split_whitespace().count()).sum::<usize>() < 4 {
        return Some((1, "open with a comment that says why, and how to go back"));
    }
    let tokens = tokens(text);
    if outside {
        // Several statements sent at once are a transaction again, in which nothing can be built concurrently. So
        // there is no room for a `set`: the migrator's connection sets the timeout itself.
        let end = tokens.iter().position(|placed| placed.is_sign(';')).unwrap_or(tokens.len());
        return (end + 1 < tokens.len()).then(|| {
            (tokens[end + 1].line, "one statement in a file without a transaction: give this one its own file")
        });
    }
    (!sets_lock_timeout(&tokens))
        .then_some((1, "set `lock_timeout`, so that a waiting migration cannot stop the world"))
}

fn sets_lock_timeout(tokens: &[Placed]) -> bool {
    tokens.windows(3).any(|window| {
        let words = [0, 1, 2].map(|at| window[at].keyword().unwrap_or_default());
        let [first, second, third] = words.each_ref().map(String::as_str);
        let set = first == "set" && (second == "lock_timeout" || (second == "local" && third == "lock_timeout"));
        let function = first == "set_config" && window[2].token == Token::Text("lock_timeout".to_owned());
        set || function
    })
}

const FIRST: &str = "migrations/0001_begin.sql";
const GOOD: &str = "-- The schemas, and why.\nset local lock_timeout = '2s';\ncreate schema usage;";

#[test]
fn every_migration_here_keeps_the_rules() {
    assert_kept_here(check);
}

#[test]
fn a_migration_that_waits_for_locks_is_caught() {
    assert_caught(check, &[(FIRST, "-- The schemas, and why.\ncreate schema usage;")], FIRST, 1);
    let only_said = "-- The schemas: set lock_timeout = 1\nselect 'set lock_timeout = 1';";
    assert_caught(check, &[(FIRST, only_said)], FIRST, 1);
}

#[test]
fn a_migration_that_does_not_say_why_is_caught() {
    assert_caught(check, &[(FIRST, "--\nset lock_timeout = 1; create schema usage;")], FIRST, 1);
    let marked_only = "-- no-transaction\ncreate index concurrently a on usage.bucket (b);";
    assert_caught(check, &[(FIRST, marked_only)], FIRST, 1);
}

#[test]
fn a_migration_with_a_number_taken_or_a_name_amiss_is_caught() {
    let twice = "migrations/0001_end.sql";
    assert_caught(check, &[(FIRST, GOOD), (twice, GOOD)], twice, 1);
    for path in [
        "migrations/1_a.sql",
        "migrations/0002.sql",
        "migrations/0002_A.sql",
        "migrations/old/0002_a.sql",
        "migrations/0002_a.down.sql",
    ] {
        assert_caught(check, &[(FIRST, GOOD), (path, GOOD)], path, 1);
    }
}

#[test]
fn a_second_statement_without_a_transaction_is_caught() {
    let two = "-- no-transaction\n-- An index, and why it helps.\nset lock_timeout = 1;\ncreate index concurrently a on b.c (d);";
    assert_caught(check, &[(FIRST, two)], FIRST, 4);
}

#[test]
fn a_row_of_good_migrations_passes() {
    let index = "-- no-transaction\n-- An index, and why it helps.\ncreate index concurrently a on b.c (d); -- Done.\n";
    let set = "-- More of it, and why.\nselect pg_catalog.set_config('lock_timeout', '2s', true);";
    assert_passes(check, &[(FIRST, GOOD), ("migrations/0002_index.sql", index), ("migrations/0005_more.sql", set)]);
}
