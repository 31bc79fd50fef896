//! What a new book says otherwise than the book before it, and whether that was declared. A price never changes by
//! accident: a line says `change`, for what is to come, or `correction`, for what was wrong.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::calendar::{END, HourStretch};
use super::listing::{Held, Listing};
use super::row::{Declared, PriceRow};
use super::store::Timelines;
use crate::kernel::problem::Violation;

/// Everything that differs without having been declared so. `now` parts what was from what is to come.
pub fn undeclared(before: &Timelines, listing: &Listing, rows: &[PriceRow], now: DateTime<Utc>) -> Vec<Violation> {
    let after = listing.timelines();
    let lines: HashMap<&str, u64> = listing.spans.iter().rev().map(|span| (span.sku.as_str(), span.line)).collect();
    let mut skus: Vec<_> = before.iter().collect();
    skus.sort_by_key(|(sku, _)| *sku);
    let mut violations = Vec::new();
    for (sku, before) in skus {
        let Some(after) = after.get(sku.as_str()) else {
            let detail = format!(
                "The book before prices {sku}, and usage of it stays. Keep its lines, with an effective_until if it is retired."
            );
            violations.push(Violation::new("/csv", "price_removed", detail));
            continue;
        };
        let different = differences(before, after);
        let Some((first, _)) = different.first() else { continue };
        let line = lines.get(sku.as_str()).copied().unwrap_or_default();
        let mut refuse = |code, detail: String| {
            violations.push(Violation::new(format!("/csv/{line}/declared"), code, detail));
        };
        match declared(rows, sku) {
            None => refuse(
                "undeclared_difference",
                format!(
                    "{sku} has other prices than in the book before from {first} on. Declare a change or a correction."
                ),
            ),
            Some(Declared::Change) if *first < now => refuse(
                "change_of_the_past",
                format!(
                    "{sku} would have other prices from {first} on, which is past. That is a correction, and its note says why."
                ),
            ),
            Some(_) => {}
        }
    }
    violations
}

/// What two books say otherwise of something that is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkuDifference {
    /// What is sold.
    pub sku: String,
    /// `added`, `removed`, `changed`, or `extended` where it only has prices for more hours.
    pub what: &'static str,
    /// From when on.
    pub from: DateTime<Utc>,
}

/// Everything that the second of two books says otherwise than the first, by sku.
pub fn between(first: &Timelines, second: &Timelines) -> Vec<SkuDifference> {
    let skus: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let of = |book: &Timelines, sku: &String| book.get(sku).cloned().unwrap_or_default();
    let differences = skus.into_iter().filter_map(|sku| {
        let (before, after) = (of(first, sku), of(second, sku));
        let start = |held: &[Held]| held.first().map(|(from, _, _)| *from);
        let (what, from) = match (start(&before), start(&after)) {
            (None, Some(from)) => ("added", from),
            (Some(from), None) => ("removed", from),
            _ => match (differences(&before, &after).first(), differences(&after, &before).first()) {
                (Some((from, _)), _) => ("changed", *from),
                (None, Some((from, _))) => ("extended", *from),
                (None, None) => return None,
            },
        };
        Some(SkuDifference { sku: sku.clone(), what, from })
    });
    differences.collect()
}

/// What the lines of a model declare; a correction outweighs a change.
fn declared(rows: &[PriceRow], sku: &str) -> Option<Declared> {
    let is_of = |row: &&PriceRow| {
        let rest = sku.strip_prefix(&row.provider).and_then(|rest| rest.strip_prefix('/'));
        let rest = rest.and_then(|rest| rest.strip_prefix(&row.model));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
    };
    let mut declared: Vec<_> = rows.iter().filter(is_of).filter_map(|row| row.declared).collect();
    declared.sort_by_key(|declared| *declared == Declared::Change);
    declared.first().copied()
}

/// The stretches in which the first has prices and the second has not the same ones, ascending. What the first has no price
/// for may get one without further ado.
fn differences(before: &[Held], after: &[Held]) -> Vec<HourStretch> {
    let mut different = Vec::new();
    for (from, to, rates) in before {
        let mut at = *from;
        for (other_from, other_to, other) in after.iter().filter(|(from, _, _)| from < to) {
            if *other_to <= at {
                continue;
            }
            if *other_from > at {
                different.push((at, *other_from));
            }
            let end = (*other_to).min(*to);
            if other != rates {
                different.push(((*other_from).max(at), end));
            }
            at = end;
        }
        if at < *to {
            different.push((at, (*to).min(END)));
        }
    }
    different
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u32) -> DateTime<Utc> {
        format!("2026-11-{day:02}T00:00:00Z").parse().unwrap()
    }

    fn held(from: u32, to: u32, rate: u8) -> Held {
        (at(from), at(to), [[rate; 32]; 3])
    }

    #[test]
    fn what_two_books_say_otherwise_is_found_to_the_hour_however_their_spans_are_cut() {
        let before = [held(1, 5, 1), held(5, 9, 2)];
        assert_eq!(differences(&before, &[held(1, 3, 1), held(3, 5, 1), held(5, 20, 2)]), []);
        assert_eq!(differences(&before, &[held(1, 4, 1), held(4, 9, 2)]), [(at(4), at(5))]);
        assert_eq!(differences(&before, &[held(2, 5, 1), held(5, 8, 2)]), [(at(1), at(2)), (at(8), at(9))]);
        assert_eq!(differences(&before, &[]), [(at(1), at(5)), (at(5), at(9))]);
        let book = |lines: &[(&str, &[Held])]| -> Timelines {
            lines.iter().map(|(sku, held)| ((*sku).to_owned(), held.to_vec())).collect()
        };
        let first = book(&[("a", &before), ("b", &before), ("c", &before), ("e", &before)]);
        let second =
            book(&[("a", &before), ("b", &[held(1, 9, 1)]), ("d", &before), ("e", &[held(1, 5, 1), held(5, 12, 2)])]);
        let found: Vec<_> =
            between(&first, &second).into_iter().map(|found| (found.sku, found.what, found.from)).collect();
        let wanted = [("b", "changed", 5), ("c", "removed", 1), ("d", "added", 1), ("e", "extended", 9)];
        assert_eq!(found, wanted.map(|(sku, what, day)| (sku.to_owned(), what, at(day))));
    }
}
