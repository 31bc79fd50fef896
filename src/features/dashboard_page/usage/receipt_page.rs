//! A receipt, written.

use askama::Template;
use chrono::{DateTime, NaiveDate, Utc};

use super::address::Choice;
use super::naming::in_words;
use super::receipt::{ReceiptGroup, ReceiptView, groups, total};
use crate::features::dashboard_page::doors::PagePerson;
use crate::features::dashboard_page::look::{Frame, exact, instant};
use crate::kernel::dashboards::{AnsweredSums, Freshness, PricedBook};
use crate::kernel::money::shown_amount;
use crate::kernel::problem::Problem;

/// The page.
#[derive(Template)]
#[template(path = "receipt.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct ReceiptPage {
    frame: Frame,
    from: NaiveDate,
    to: NaiveDate,
    zone: String,
    freshness: Freshness,
    as_of: String,
    /// Nothing of money is shown without one.
    book: Option<PricedBook>,
    ranges: Vec<Choice>,
    filters: Vec<(String, String, String)>,
    kept_for_days: Vec<(String, String)>,
    kept_for_zone: Vec<(String, String)>,
    wanted_zone: String,
    /// Where the usage of the same range is.
    usage: String,
    groups: Vec<ReceiptGroup>,
    tokens: u128,
    /// What everything costs in all digits, and as the API writes it.
    total: Option<(String, (String, String))>,
    unpriced: Option<String>,
    /// Which of how many are on this page, where not all are.
    part: Option<String>,
    before: Option<String>,
    after: Option<String>,
}

impl ReceiptPage {
    /// For a person, with `base` before every path. Errors: 500 where no receipt was answered.
    pub fn new(base: &str, view: &ReceiptView, answered: AnsweredSums, person: &PagePerson) -> Result<Self, Problem> {
        let receipt = answered.receipt.ok_or_else(|| Problem::internal("the receipt was not answered"))?;
        let (address, cost) = (&view.address, receipt.cost);
        let page = |number: u32| address.link("/receipt", &[("page", Some(number.to_string().as_str()))]);
        let shown_to = receipt.before + receipt.listed;
        let counted = |number: usize| exact(u128::try_from(number).unwrap_or_default());
        let is_part = receipt.before > 0 || shown_to < receipt.count;
        let part = is_part.then(|| {
            let count = counted(receipt.count);
            if receipt.listed == 0 {
                return format!("All {count} models and rates are on the pages before.");
            }
            let (first, last) = (counted(receipt.before + 1), counted(shown_to));
            format!("Models and rates {first} to {last} of {count}. The totals are of all.")
        });
        let number = u32::from(view.page);
        Ok(Self {
            frame: Frame::of(base, "Receipt", &person.name, "usage"),
            from: receipt.from,
            to: receipt.to,
            zone: answered.zone,
            freshness: answered.freshness,
            as_of: instant(answered.freshness.as_of),
            book: answered.prices,
            ranges: address.ranges("/receipt", view.range.last, &["page"]),
            filters: address.filters("/receipt", ""),
            kept_for_days: address.kept(&["last", "from", "to", "page"]),
            kept_for_zone: address.kept(&["tz", "tz_offset_minutes", "page"]),
            wanted_zone: address.asked("tz").unwrap_or_default().to_owned(),
            usage: address.link("/", &[("page", None)]),
            groups: groups(view, &receipt.lines),
            tokens: receipt.tokens,
            total: total(&cost).zip(cost.amounts().map(|(low, high)| (shown_amount(low), shown_amount(high)))),
            unpriced: (cost.unpriced_tokens > 0).then(|| exact(cost.unpriced_tokens)),
            part,
            before: (number > 1).then(|| page(number - 1)),
            after: (shown_to < receipt.count && receipt.listed > 0).then(|| page(number + 1)),
        })
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::unused_self,
    reason = "a template calls methods, and hands them references"
)]
impl ReceiptPage {
    /// All digits.
    fn grouped(&self, number: &u128) -> String {
        exact(*number)
    }

    /// A day in words.
    fn in_words(&self, day: &NaiveDate) -> String {
        in_words(*day)
    }

    /// An instant in words. Prices change on half hours.
    fn minute(&self, at: &DateTime<Utc>) -> String {
        at.format("%-d %b %Y %H:%M UTC").to_string()
    }
}
