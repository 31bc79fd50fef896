//! Plants for the lists of columns.

use halfhour::kernel::bucket::{BucketKey, TokenCounts};

use super::lists::{check, check_exceptions, counters, judged, key};
use super::sql_lists::lists;
use super::tree::{SourceTree, assert_caught, assert_kept_here, assert_passes};

const SQL: &str = "src/features/backfill/read.sql";
const COUNTERS: &str = "b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens, \
    b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count";
const KEY: &str = "k.user_id, k.hour_start, k.device_id, k.source, k.model";

/// Every place in which a statement has a list, around one.
fn statements(list: &str) -> Vec<String> {
    let assigned =
        list.split(", ").map(|column| format!("{} = {column}", column.split('.').next_back().unwrap_or_default()));
    let named = list.split(", ").map(|column| {
        let bare = column.split('.').next_back().unwrap_or_default();
        format!("coalesce(sum({column}), 0)::text as \"{bare}!: Sum\"")
    });
    let around = [
        "-- Why.\nselect {} from t",
        "-- Why.\nselect distinct observed_at, {}, stamped from t",
        "-- Why.\ninsert into t as b ({}, stamped) values ($1)",
        "-- Why.\nselect 1 from t order by {} limit $1",
        "-- Why.\nselect 1 from t group by {} having true",
        "-- Why.\ndelete from t returning {}",
        "-- Why.\nselect a from unnest($1::uuid[]) with ordinality as k ({}, position)",
        "-- Why.\nselect 1 from t where (observed_at, {}) > (select 1)",
        "-- Why.\ninsert into t (a) values ($1) on conflict ({}) do nothing",
        "-- Why.\nwith x as (select true, ({}) is not distinct from row(1, 2) as equal from t) table x",
    ];
    let mut statements: Vec<String> = around.iter().map(|around| around.replace("{}", list)).collect();
    statements.push(format!(
        "-- Why.\nupdate t set {}, changed_at = now() where true",
        assigned.collect::<Vec<_>>().join(", ")
    ));
    statements.push(format!("-- Why.\nselect {} from t", named.collect::<Vec<_>>().join(", ")));
    statements
}

#[track_caller]
fn caught(list: &str) {
    for statement in statements(list) {
        assert_caught(check, &[(SQL, &statement)], SQL, 2);
    }
}

#[track_caller]
fn passes(list: &str) {
    for statement in statements(list) {
        assert_passes(check, &[(SQL, &statement), ("benches/rollup/fill.sql", &statement)]);
    }
}

#[test]
fn every_list_here_is_the_whole_one() {
    assert_kept_here(check);
}

#[test]
fn every_exception_here_is_needed() {
    assert_kept_here(check_exceptions);
    assert!(!check_exceptions(&SourceTree::planted(&[(SQL, "-- Why.\nselect 1")])).is_empty());
}

/// A rule over no lists keeps itself.
#[test]
fn the_lists_here_are_found() {
    let tree = SourceTree::of_this_repository();
    let all: Vec<_> = judged(&tree).flat_map(|(_, text)| lists(text)).collect();
    let with_counters = all.iter().filter(|list| counters(list).len() >= TokenCounts::NAMES.len()).count();
    let with_key = all.iter().filter(|list| key(list).len() == BucketKey::COLUMNS.len()).count();
    assert!(with_counters >= 40 && with_key >= 40, "{with_counters} lists of counters, {with_key} of the key");
}

#[test]
fn a_counter_that_is_missing_doubled_or_out_of_place_is_caught() {
    passes(COUNTERS);
    for (at, _) in TokenCounts::NAMES.iter().enumerate() {
        let columns: Vec<&str> = COUNTERS.split(", ").collect();
        let mut missing = columns.clone();
        missing.remove(at);
        caught(&missing.join(", "));
        let mut doubled = columns.clone();
        doubled.insert(at, columns[at]);
        caught(&doubled.join(", "));
        let mut swapped = columns;
        swapped.swap(at, (at + 1) % TokenCounts::NAMES.len());
        caught(&swapped.join(", "));
    }
}

#[test]
fn what_the_rollup_adds_out_of_place_is_caught() {
    let with_total = COUNTERS.replace("b.request_count", "b.total_tokens, b.request_count");
    passes(&with_total);
    passes(&format!("{with_total}, b.bucket_count"));
    passes(&format!("{COUNTERS}, b.bucket_count"));
    caught(&format!("{COUNTERS}, b.total_tokens"));
    caught(&format!("b.total_tokens, {COUNTERS}"));
    caught(&COUNTERS.replace("b.request_count", "b.bucket_count, b.request_count"));
}

#[test]
fn a_key_that_is_not_whole_or_not_in_order_is_caught() {
    for list in [KEY.to_owned(), KEY.replace("hour_start", "day"), KEY.replace("k.", "k.cursor_")] {
        passes(&list);
        let columns: Vec<&str> = list.split(", ").collect();
        for at in 0..columns.len() {
            let mut missing = columns.clone();
            missing.remove(at);
            caught(&missing.join(", "));
            let mut swapped = columns.clone();
            swapped.swap(at, (at + 1) % columns.len());
            caught(&swapped.join(", "));
        }
    }
    caught("k.user_id, k.hour_start, k.device_id, k.device_id, k.source, k.model");
}

#[test]
fn a_column_given_out_as_another_is_caught() {
    for element in ["b.output_tokens as input_tokens", "sum(b.output_tokens) as \"input_tokens!: Sum\""] {
        let list = COUNTERS.replace("b.input_tokens", element);
        assert_caught(check, &[(SQL, &format!("-- Why.\nselect {list} from t"))], SQL, 2);
    }
    assert_caught(check, &[(SQL, "-- Why.\nselect 1 as a, k.model as source from t")], SQL, 2);
    let assigned = statements(COUNTERS).into_iter().find(|statement| statement.contains(" set ")).unwrap_or_default();
    let crossed = assigned.replace("= b.output_tokens", "= b.reasoning_tokens");
    assert_caught(check, &[(SQL, &crossed)], SQL, 2);
}

#[test]
fn a_total_of_other_counters_is_caught() {
    let total = "b.input_tokens + b.cache_read_tokens + b.cache_write_5m_tokens + b.cache_write_1h_tokens + \
        b.output_tokens + b.unclassified_tokens";
    let select = |total: &str| format!("-- Why.\nselect user_id, {total} as tokens_after from t");
    assert_passes(
        check,
        &[(SQL, &select(total)), ("src/kernel/usage/seen.sql", &select(&total.replace("b.", "b.seen_")))],
    );
    for wrong in [
        total.replace("b.cache_write_5m_tokens + ", ""),
        total.replace("b.unclassified_tokens", "b.reasoning_tokens"),
        format!("{total} + b.reasoning_tokens"),
    ] {
        assert_caught(check, &[(SQL, &select(&wrong))], SQL, 2);
    }
    // What is added to a counter is no total, and another counter is none of its kind.
    assert_passes(check, &[(SQL, &select("b.input_tokens + excluded.input_tokens"))]);
    assert_caught(check, &[(SQL, &select("b.input_tokens + excluded.output_tokens"))], SQL, 2);
}

#[test]
fn two_rows_in_one_list_single_columns_and_talk_pass() {
    passes(&format!("{KEY}, {COUNTERS}, b.observed_at, {}", COUNTERS.replace("b.", "b.seen_")));
    for statement in [
        "-- Sums input_tokens, output_tokens.\nselect a, b.input_tokens from t",
        "select 'input_tokens, output_tokens', total_tokens, request_count from t",
        "select user_id, hour_start + interval '30 minutes', hour_start - n, device_id from t",
        "select user_id, (hour_start at time zone 'UTC')::date as day, device_id, source, model from t",
        "select d.device_id, d.name from t where user_id = $1 and model = $2 and source = $3",
        "select a from t where b.user_id = k.user_id and b.device_id = k.device_id and b.source = k.source",
    ] {
        assert_passes(check, &[(SQL, statement)]);
    }
}
