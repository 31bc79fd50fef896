//! What is said once: the formulas about local days are functions of the kernel, and the key of an advisory lock is a
//! constant in Rust. The functions of `usage`, which every slice may call, only compute, and the planner can inline them.

use super::sql::{Placed, Token, tokens};
use super::tree::{SourceTree, Violation, assert_caught, assert_kept_here, assert_passes};

const MIDNIGHT: &str = "the midnight of a local day may be skipped or come twice: call usage.local_day_start, or \
    usage.window_start and usage.window_end for the bounds of an index";
const KEY: &str = "a lock's key that stands in several places drifts apart: bind one constant as a parameter";
const FUNCTION: &str = "every slice may call a function of usage: make it `language sql`, stable or immutable, and neither \
    strict, nor `security definer`, nor with settings, so that it only computes and is inlined";

fn check_statements(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in tree.sql_under("src/") {
        let tokens = tokens(text);
        for at in 0..tokens.len() {
            let wrong = [(is_midnight(&tokens[at..]), MIDNIGHT), (is_literal_key(&tokens[at..]), KEY)];
            let found = wrong.into_iter().filter(|(found, _)| *found);
            violations.extend(found.map(|(_, instead)| Violation::new(path, tokens[at].line, instead)));
        }
    }
    violations
}

/// `day::timestamp at time zone`, but for UTC, whose days all begin at midnight; or half of the window.
fn is_midnight(tokens: &[Placed]) -> bool {
    if words(tokens, 1) == ["interval"] {
        return tokens.get(1).is_some_and(|placed| placed.token == Token::Text("3 hours".to_owned()));
    }
    let zone = match words(tokens, 1).as_slice() {
        [cast] if cast == "timestamp" => tokens[1..].iter().position(|placed| !placed.is_sign(')')).map(|at| 1 + at),
        _ => None,
    };
    let Some(zone) = zone.filter(|at| words(&tokens[*at..], 3) == ["at", "time", "zone"]) else { return false };
    tokens.get(zone + 3).is_none_or(|name| name.token != Token::Text("UTC".to_owned()))
}

/// `pg_advisory_xact_lock(123` and its kin.
fn is_literal_key(tokens: &[Placed]) -> bool {
    let called = words(tokens, 1).iter().any(|name| name.starts_with("pg_") && name.contains("advisory"));
    let first = tokens.get(2).map(|placed| &placed.token);
    called && matches!(first, Some(Token::Sign(sign)) if sign.is_ascii_digit() || *sign == '-')
}

/// The bare words that so many tokens begin with.
fn words(tokens: &[Placed], count: usize) -> Vec<String> {
    tokens.iter().take(count).map_while(Placed::keyword).collect()
}

fn check_functions(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in tree.under("migrations/") {
        let tokens = tokens(text);
        for at in 0..tokens.len() {
            let opening = words(&tokens[at..], 3);
            let defines = opening == ["create", "function", "usage"] || opening == ["replace", "function", "usage"];
            if defines && !only_computes(&tokens[at..]) {
                violations.push(Violation::new(path, tokens[at].line, FUNCTION));
            }
        }
    }
    violations
}

/// What stands between the arguments of a function and its body.
fn only_computes(tokens: &[Placed]) -> bool {
    let closed = tokens.iter().position(|placed| placed.is_sign(')')).unwrap_or(tokens.len());
    let options: Vec<String> = tokens[closed..].iter().filter_map(Placed::keyword).collect();
    let body =
        options.iter().position(|word| ["return", "as", "begin"].contains(&word.as_str())).unwrap_or(options.len());
    let says = |word: &str| options[..body].iter().any(|option| option == word);
    let sql = options[..body].windows(2).any(|pair| pair == ["language", "sql"]);
    sql && (says("stable") || says("immutable")) && !says("strict") && !says("security") && !says("set")
}

const FOLD: &str = "src/features/dashboard_rollup/fold_days.sql";
const DAYS: &str = "migrations/0017_days.sql";

#[track_caller]
fn caught(sql: &str, line: usize) {
    assert_caught(check_statements, &[(FOLD, sql)], FOLD, line);
}

#[track_caller]
fn caught_function(sql: &str) {
    assert_caught(check_functions, &[(DAYS, sql)], DAYS, 1);
}

#[test]
fn every_formula_and_every_lock_here_is_said_once() {
    assert_kept_here(check_statements);
    assert_kept_here(check_functions);
    let made = SourceTree::of_this_repository();
    let functions = made.under("migrations/").map(|(_, text)| text.matches("create function usage.").count());
    assert!(functions.sum::<usize>() >= 3, "the migrations were hardly looked at");
}

#[test]
fn a_midnight_of_a_local_day_worked_out_in_a_statement_is_caught() {
    caught("select 1 where b.hour_start >= ($2::date::timestamp at time zone $7::text) - $3", 1);
    caught("select\n(($3::date + 1)::timestamp) AT TIME ZONE s.time_zone", 2);
    caught("select day::timestamp at time zone", 1);
    caught("select early\n+ interval '3 hours'", 2);
}

#[test]
fn a_lock_whose_key_stands_in_the_statement_is_caught() {
    caught("select pg_advisory_xact_lock(1701999987, uuid_hash($1))", 1);
    caught("select 1\nwhere not pg_try_advisory_xact_lock_shared(-7)", 2);
}

#[test]
fn a_function_of_usage_that_could_write_or_is_not_inlined_is_caught() {
    for options in [
        "language plpgsql stable",
        "language sql",
        "language sql volatile",
        "language sql stable strict",
        "language sql stable security definer",
        "language sql stable set search_path = ''",
    ] {
        caught_function(&format!("create function usage.f(day date) returns date {options} return day;"));
        caught_function(&format!("create or replace function usage.f() returns date {options} as $$ select 1 $$;"));
    }
}

#[test]
fn functions_of_days_instants_and_locks_by_parameter_pass() {
    let fold = "select usage.window_start($1::date, $2::text), (b.hour_start at time zone z.time_zone)::date,
        $1::timestamp::date, $3::date::timestamp at time zone 'UTC' - interval '15 hours', 'interval 3 hours',
        pg_advisory_xact_lock($4::integer, uuid_hash($5)), pg_try_advisory_xact_lock(('x' || $6)::bit(64)::bigint)
        from usage.bucket b -- day::timestamp at time zone $7";
    assert_passes(check_statements, &[(FOLD, fold)]);
    let days = "create function usage.f(strict date, security text) returns date language sql stable parallel safe return strict;
        create function ops.g() returns trigger language plpgsql security definer as $$ begin end $$;
        comment on function usage.f(date) is 'security'; revoke all on function usage.f(date) from public;";
    assert_passes(check_functions, &[(DAYS, days)]);
}
