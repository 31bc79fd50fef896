//! The lists of tools, models and devices: the most first, with share and change, and what is not listed.

use std::cmp::Reverse;

use super::naming::{DeviceNames, called, page_of};
use super::price::Price;
use super::request::{ListOrder, MANY, UsageView};
use crate::features::dashboard_page::look::{change, exact, share, short};
use crate::kernel::dashboards::{Dimension, RankedSums};
use crate::kernel::money::Cost;

/// A line of a list.
#[derive(Clone, Debug)]
pub struct RankLine {
    /// Its name.
    pub name: String,
    /// Where its page is.
    pub href: String,
    /// Its tokens.
    pub tokens: u128,
    /// In three digits.
    pub short: String,
    /// In all digits.
    pub exact: String,
    /// Its part of all.
    pub share: String,
    /// Beside the range before.
    pub change: String,
    /// Of the range before, in all digits.
    pub before: String,
    /// How long its bar is, of 1000.
    pub length: u32,
    /// What it costs, where there is a book.
    pub price: Option<Price>,
}

/// A list.
#[derive(Clone, Debug)]
pub struct RankList {
    /// What is listed, as a heading and as an anchor.
    pub title: &'static str,
    /// The word for one of them.
    pub one: &'static str,
    /// The lines.
    pub lines: Vec<RankLine>,
    /// What is said of those that are not listed.
    pub rest: Option<String>,
    /// Where more of them are listed.
    pub more: Option<String>,
    /// Where the list is in another order: by name, tokens and change, and by price where there is a book.
    pub orders: Vec<(&'static str, String, bool)>,
}

/// A list of what a ranking found. `whole` is what all of it costs, where there is a book.
pub fn ranked(view: &UsageView, by: Dimension, sums: RankedSums, names: &DeviceNames, whole: Option<Cost>) -> RankList {
    let (title, one) = match by {
        Dimension::Tool => ("Tools", "tool"),
        Dimension::Model => ("Models", "model"),
        Dimension::Device => ("Devices", "device"),
    };
    let longest = sums.groups.iter().map(|group| group.tokens.0).max().unwrap_or_default();
    let (count, all) = (sums.count, sums.tokens.0);
    let mut groups = sums.groups;
    let listed: u128 = groups.iter().map(|group| group.tokens.0).sum();
    let listed_count = u64::try_from(groups.len()).unwrap_or_default();
    match view.sort {
        ListOrder::Price if whole.is_some() => groups.sort_by_key(|group| Reverse((group.cost.low, group.cost.high))),
        ListOrder::Tokens | ListOrder::Price => {}
        ListOrder::Name => groups.sort_by_cached_key(|group| called(by, &group.name, names).to_lowercase()),
        ListOrder::Change => groups.sort_by_key(|group| Reverse(grown(group.tokens))),
    }
    let listed_cost: Cost = groups.iter().map(|group| group.cost).sum();
    let lines = groups.into_iter().map(|group| {
        let price = whole.map(|_| Price::of(&group.cost));
        let (now, before) = group.tokens;
        RankLine {
            href: page_of(view, by, &group.name),
            name: called(by, &group.name, names),
            tokens: now,
            short: short(now),
            exact: exact(now),
            share: share(now, all),
            change: change(now, before),
            before: exact(before),
            length: length(now, longest),
            price,
        }
    });
    let others = count.saturating_sub(listed_count);
    let rest = (others > 0).then(|| {
        let tokens = exact(all.saturating_sub(listed));
        let cost = whole.map(|whole| format!(" (API list price {})", Price::of(&whole.without(&listed_cost)).whole()));
        format!(
            "{} of {} are listed; the others have {tokens} tokens{}.",
            exact(listed_count.into()),
            exact(count.into()),
            cost.unwrap_or_default()
        )
    });
    let more = (others > 0 && view.most < MANY).then(|| view.link(view.path(), &[("most", Some(&MANY.to_string()))]));
    let order = |name, word, order| (word, view.link(view.path(), &[("sort", Some(name))]), view.sort == order);
    let mut orders = vec![
        order("name", "Name", ListOrder::Name),
        order("tokens", "Tokens", ListOrder::Tokens),
        order("change", "Change", ListOrder::Change),
    ];
    if whole.is_some() {
        orders.insert(2, order("price", "API list price", ListOrder::Price));
    }
    RankList { title, one, lines: lines.collect(), rest, more, orders }
}

/// By how much something has grown, for an order: what shrank most comes last.
fn grown((now, before): (u128, u128)) -> (bool, u128) {
    if now >= before { (true, now - before) } else { (false, u128::MAX - (before - now)) }
}

fn length(tokens: u128, longest: u128) -> u32 {
    let length = tokens.saturating_mul(1000).checked_div(longest).unwrap_or_default();
    u32::try_from(length.min(1000)).unwrap_or_default().max(u32::from(tokens > 0))
}

#[cfg(test)]
mod tests {
    use super::super::request::{Scene, read_view};
    use super::*;
    use crate::kernel::dashboards::RankedGroup;

    fn list(query: &str, groups: &[(&str, u128, u128)], count: u64, all: u128) -> RankList {
        let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let view = read_view(Scene::Everything, pairs).unwrap().0;
        let groups = groups.iter().map(|(name, now, before)| RankedGroup {
            name: (*name).to_owned(),
            tokens: (*now, *before),
            cost: Cost::priced(*now, *before, *before),
        });
        let sums = RankedSums { count, tokens: (all, 0), groups: groups.collect() };
        let whole = view.asked("group").map(|_| Cost::priced(all, 1000, 1000));
        ranked(&view, Dimension::Model, sums, &DeviceNames::new(), whole)
    }

    fn names(list: &RankList) -> Vec<&str> {
        list.lines.iter().map(|line| line.name.as_str()).collect()
    }

    #[test]
    fn a_list_that_is_cut_says_how_much_is_missing() {
        let cut = list("", &[("b", 60, 10), ("a", 30, 90)], 10_000, 100);
        let plain = cut.rest.clone().unwrap().replace('\u{202f}', " ");
        assert_eq!(plain, "2 of 10 000 are listed; the others have 10 tokens.");
        assert_eq!(cut.more.as_deref(), Some("/?most=500"));
        let whole = list("", &[("b", 60, 10)], 1, 60);
        assert_eq!((whole.rest, whole.more), (None, None));
        assert_eq!(list("most=500", &[("b", 1, 0)], 600, 2).more, None);
    }

    #[test]
    fn lists_are_sorted_by_tokens_name_or_change() {
        let groups = [("c", 60, 55), ("B", 30, 90), ("a", 20, 0)];
        assert_eq!(names(&list("", &groups, 3, 110)), ["c", "B", "a"]);
        assert_eq!(names(&list("sort=name", &groups, 3, 110)), ["a", "B", "c"]);
        assert_eq!(names(&list("sort=change", &groups, 3, 110)), ["a", "c", "B"]);
    }

    #[test]
    fn prices_are_there_with_a_book_only_and_the_rest_of_a_list_has_its_own() {
        let groups = [("c", 60, 55), ("b", 30, 90), ("a", 20, 0)];
        let without = list("sort=price", &groups, 4, 120);
        assert_eq!(names(&without), ["c", "b", "a"]);
        assert!(without.lines.iter().all(|line| line.price.is_none()) && without.orders.len() == 3);
        assert!(!without.rest.unwrap().contains("list price"));
        let with = list("sort=price&group=model", &groups, 4, 120);
        assert_eq!(names(&with), ["b", "c", "a"]);
        assert_eq!((with.orders.len(), with.orders[2].0), (4, "API list price"));
        assert_eq!(with.lines[2].price.clone().unwrap().short, "$0", "stated free");
        let rest = with.rest.unwrap();
        assert!(rest.contains("10 tokens (API list price 0.000000000855 USD)"), "{rest}");
    }

    #[test]
    fn a_name_is_a_parameter_of_its_page_whatever_it_holds() {
        let odd = list("last=7", &[("<script>&a=b,c/é", 1, 0)], 1, 1);
        assert_eq!(odd.lines[0].href, "/model?last=7&model=%3Cscript%3E%26a%3Db%2Cc%2F%C3%A9");
        assert_eq!(odd.lines[0].length, 1000);
        assert_eq!((length(0, 0), length(1, u128::MAX), length(5, 10)), (0, 1, 500));
    }
}
