//! SQL writes its columns out, so that they can be searched for; every such list is the whole one, in one order.
//!
//! The order is Rust's: of the counters `TokenCounts::NAMES`, of a bucket's key `BucketKey::COLUMNS`. What the rollup
//! adds has its place too: the total stands before the requests, the number of buckets behind them.

use std::collections::BTreeSet;

use halfhour::kernel::bucket::{BucketKey, TokenCounts};

use super::sql::{Placed, tokens};
use super::sql_lists::{Element, List, lists};
use super::tree::{SourceTree, Violation};

/// The sum of the disjoint classes, and how many buckets were summed.
const TOTAL: &str = "total_tokens";
const BUCKETS: &str = "bucket_count";

/// What is counted, and not a class of its own: reasoning is inside the output, and requests are no tokens.
const OUTSIDE_TOTAL: [&str; 2] = ["reasoning_tokens", "request_count"];

/// A column of these names is a column of the list under another name: what a plan has seen, how far a job has come.
const PREFIXES: [&str; 2] = ["cursor_", "seen_"];

/// The rollup's key has the local day where a bucket's has the half hour.
const HOUR: &str = "hour_start";
const DAY: &str = "day";

/// Lists with three columns of the key or more that are not the whole key.
const SHORTER_KEYS: [Shorter; 11] = [
    Shorter { file: "bucket_page.sql", columns: "hour_start, device_id, source, model", why: OF_ONE_USER },
    Shorter { file: "compare_user_days.sql", columns: "day, device_id, source, model", why: OF_ONE_USER },
    Shorter { file: "enter_records.sql", columns: "user_id, hour_start, device_id, source", why: OF_LEDGER },
    Shorter {
        file: "fold_user_days.sql",
        columns: "user_id, device_id, source, model",
        why: "folds one day at a time",
    },
    Shorter { file: "fold_user_days.sql", columns: "user_id, source, model", why: "looks up what a pair costs" },
    Shorter { file: "bucket_results.sql", columns: "source, model, device_id", why: AS_ASKED },
    Shorter { file: "daily_results.sql", columns: "source, model, device_id", why: AS_ASKED },
    Shorter { file: "erase_frozen_days.sql", columns: "user_id, device_id, source", why: A_SCOPE },
    Shorter { file: "list_usage.sql", columns: "hour_start, device_id, source, model", why: OF_ONE_USER },
    Shorter { file: "publish_erased.sql", columns: "user_id, device_id, source", why: A_SCOPE },
    Shorter { file: "record_erasures.sql", columns: "user_id, device_id, source", why: A_SCOPE },
];

const OF_ONE_USER: &str = "reads one user's";
const AS_ASKED: &str = "groups by what the caller asked for, in the order that the contract names";
const OF_LEDGER: &str = "writes the ledger, in which a record is known by its hash and has no model";
const A_SCOPE: &str = "names an erasure's scope, which has bounds of hours and no model";

/// A list that may be shorter than the key.
struct Shorter {
    file: &'static str,
    columns: &'static str,
    why: &'static str,
}

impl Shorter {
    fn is(&self, path: &str, columns: &str) -> bool {
        path.rsplit('/').next() == Some(self.file) && columns == self.columns
    }
}

pub(super) fn check(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in judged(tree) {
        for list in lists(text) {
            let objections = [crossed(&list), wrong_counters(&list), wrong_key(path, &list)];
            violations.extend(objections.into_iter().flatten().map(|instead| Violation::new(path, list.line, instead)));
        }
        violations.extend(wrong_totals(&tokens(text)).map(|(line, instead)| Violation::new(path, line, instead)));
    }
    violations
}

/// Every exception is still needed.
pub(super) fn check_exceptions(tree: &SourceTree) -> Vec<Violation> {
    let written: Vec<(&str, String)> = judged(tree)
        .flat_map(|(path, text)| lists(text).into_iter().map(move |list| (path, key(&list).join(", "))))
        .collect();
    let unused = SHORTER_KEYS.iter().filter(|shorter| !written.iter().any(|(path, columns)| shorter.is(path, columns)));
    let instead = |it: &Shorter| format!("{} writes no `{}` ({}): take the line away", it.file, it.columns, it.why);
    unused.map(|it| Violation::new("tests/architecture/lists.rs", 1, instead(it))).collect()
}

/// The statements of the product and of what measures it.
pub(super) fn judged(tree: &SourceTree) -> impl Iterator<Item = (&str, &str)> {
    tree.sql_under("src/").chain(tree.sql_under("benches/"))
}

/// The counters that a list names, with the total and the number of buckets.
pub(super) fn counters(list: &List) -> Vec<String> {
    list.elements.iter().filter_map(|element| column(element, is_counter)).collect()
}

/// The columns of the key that a list names.
pub(super) fn key(list: &List) -> Vec<String> {
    list.elements.iter().filter_map(|element| column(element, is_key)).collect()
}

fn is_counter(name: &str) -> bool {
    TokenCounts::NAMES.contains(&name) || name == TOTAL || name == BUCKETS
}

fn is_key(name: &str) -> bool {
    BucketKey::COLUMNS.contains(&name) || name == DAY
}

/// The column that an element is: by its alias, else by the only column in it. What names several holds a list of its
/// own, and what computes with one is something else.
fn column(element: &Element, is_one: fn(&str) -> bool) -> Option<String> {
    if let Some(alias) = &element.alias {
        return Some(bare(alias)).filter(|alias| is_one(alias)).map(str::to_owned);
    }
    let mut columns = columns_in(element, is_one);
    columns.dedup();
    <[String; 1]>::try_from(columns).ok().filter(|_| !element.is_computed).map(|[column]| column)
}

fn columns_in(element: &Element, is_one: fn(&str) -> bool) -> Vec<String> {
    element.names.iter().map(|name| bare(name)).filter(|name| is_one(name)).map(str::to_owned).collect()
}

/// Without the prefix of a second list.
fn bare(name: &str) -> &str {
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// One column given out as another.
fn crossed(list: &List) -> Option<String> {
    list.elements.iter().find_map(|element| {
        let alias = bare(element.alias.as_deref()?);
        let is_one = [is_counter as fn(&str) -> bool, is_key].into_iter().find(|is_one| is_one(alias))?;
        let other = columns_in(element, is_one).into_iter().find(|name| name != alias)?;
        // The local day of a half hour.
        let is_day = alias == DAY && other == HOUR;
        (!is_day).then(|| format!("`{other}` is given out as `{alias}`"))
    })
}

/// Two counters or more are all of them, in order; a list may hold them twice, as a row before and a row after.
fn wrong_counters(list: &List) -> Option<String> {
    let found = counters(list);
    let whole = TokenCounts::NAMES.len();
    if found.iter().filter(|name| TokenCounts::NAMES.contains(&name.as_str())).count() < 2 {
        return None;
    }
    let mut rest = found.as_slice();
    while !rest.is_empty() {
        let (before, requests) = TokenCounts::NAMES.split_at(whole - 1);
        let mut expected = before.to_vec();
        expected.extend(rest.get(whole - 1).filter(|name| *name == TOTAL).map(|_| TOTAL));
        expected.extend(requests);
        expected.extend(rest.get(expected.len()).filter(|name| *name == BUCKETS).map(|_| BUCKETS));
        if !rest.iter().map(String::as_str).take(expected.len()).eq(expected.iter().copied()) {
            let found = found.join(", ");
            return Some(format!("the counters are {}, not {found}", expected.join(", ")));
        }
        rest = &rest[expected.len()..];
    }
    None
}

/// Three columns of the key or more are all of it, in order, unless the table says why not.
fn wrong_key(path: &str, list: &List) -> Option<String> {
    let found = key(list);
    let is_day = found.iter().any(|name| name == DAY);
    let expected = BucketKey::COLUMNS.map(|name| if is_day && name == HOUR { DAY } else { name });
    let written = found.join(", ");
    let allowed = SHORTER_KEYS.iter().any(|shorter| shorter.is(path, &written));
    let wrong = found.iter().collect::<BTreeSet<_>>().len() > 2 && found != expected && !allowed;
    wrong.then(|| {
        format!("the key is {}, not {written}: write it whole, or say in SHORTER_KEYS why not", expected.join(", "))
    })
}

/// Counters that are added up are the disjoint classes, in order.
fn wrong_totals(tokens: &[Placed]) -> impl Iterator<Item = (usize, String)> {
    let classes: Vec<&str> = TokenCounts::NAMES.into_iter().filter(|name| !OUTSIDE_TOTAL.contains(name)).collect();
    let sums = sums(tokens).into_iter().filter(|(_, sum)| sum.iter().any(|name| is_counter(name)));
    // What one row has of a counter, and what another one adds to it, are no total.
    let sums = sums.filter(|(_, sum)| !(sum.len() == 2 && sum[0] == sum[1]));
    sums.filter_map(move |(line, sum)| {
        let wrong = sum != classes;
        wrong.then(|| (line, format!("the total is {}, not {}", classes.join(" + "), sum.join(" + "))))
    })
}

/// Names joined by `+`, without their qualifiers: (line, names), for two names or more.
fn sums(tokens: &[Placed]) -> Vec<(usize, Vec<String>)> {
    let mut sums = Vec::new();
    let mut sum = Vec::new();
    let mut line = 1;
    for (at, token) in tokens.iter().enumerate() {
        let next = |sign| tokens.get(at + 1).is_some_and(|next| next.is_sign(sign));
        let Some(word) = token.keyword().filter(|_| !next('.')) else { continue };
        if sum.is_empty() {
            line = token.line;
        }
        sum.push(bare(&word).to_owned());
        if !next('+') {
            sums.push((line, std::mem::take(&mut sum)));
        }
    }
    sums.retain(|(_, sum)| sum.len() > 1);
    sums
}
