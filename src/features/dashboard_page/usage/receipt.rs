//! The receipt of a range: what it is asked, and its lines in words. Each line is a product that one can check.

use chrono::{DateTime, Utc};

use super::address::{Address, AskedRange, BY_DEFAULT};
use crate::features::dashboard_page::look::{exact, exact_usd};
use crate::kernel::dashboards::{PricedLine, ReceiptPart, SumsQuestion, asked_number, read_question};
use crate::kernel::money::{Cost, shown_amount, shown_price};
use crate::kernel::problem::Problem;

const OWN: [&str; 5] = ["device_id", "from", "last", "page", "to"];
/// The last page that can be asked for.
const LAST_PAGE: u16 = 1000;

/// Which receipt is to be seen.
#[derive(Clone, Debug)]
pub struct ReceiptView {
    /// The parameters that were sent.
    pub address: Address,
    /// The range.
    pub range: AskedRange,
    /// The page, from 1 on.
    pub page: u16,
}

/// Reads an address. Errors: 422 with everything that is wrong with it.
pub fn read_receipt(parameters: Vec<(String, String)>) -> Result<(ReceiptView, SumsQuestion), Problem> {
    let address = Address::of(&parameters);
    let mut read = None;
    let mut question = read_question(parameters, &OWN, |fields| {
        read = Some((AskedRange::read(fields, Some(BY_DEFAULT)), asked_number(fields, "page", 1, LAST_PAGE)));
        Vec::new()
    })?;
    let (range, page) = read.ok_or_else(|| Problem::internal("the address was not read"))?;
    question.receipt = Some(ReceiptPart { days: range.days(), page });
    Ok((ReceiptView { address, range, page }, question))
}

/// The lines of one tool, model and rate.
#[derive(Clone, Debug)]
pub struct ReceiptGroup {
    /// The tool.
    pub tool: String,
    /// The model, as the tool reports it.
    pub model: String,
    /// Where its page is.
    pub href: String,
    /// What the name was taken for, and by which rule.
    pub taken_for: Option<(String, String)>,
    /// For which requests the rate is, where it is not for all.
    pub tier: Option<&'static str>,
    /// From when on and until when the rate holds.
    pub holds: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// Whether it has a rate.
    pub has_rate: bool,
    /// Where the prices were found.
    pub evidence: Option<String>,
    /// The lines.
    pub lines: Vec<ReceiptRow>,
}

/// One class of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRow {
    /// Its name.
    pub class: &'static str,
    /// Its tokens.
    pub tokens: u128,
    /// In all digits.
    pub exact: String,
    /// What a million of them cost in dollars.
    pub rate: Option<String>,
    /// The product, in all digits.
    pub amount: Option<String>,
    /// The product as the API writes it, at least and at most.
    pub plain: Option<(String, String)>,
    /// Why there is none.
    pub reason: &'static str,
}

/// The lines of a page by tool, model and rate, in their order.
pub fn groups(view: &ReceiptView, lines: &[PricedLine]) -> Vec<ReceiptGroup> {
    let is_same = |one: &PricedLine, other: &PricedLine| {
        one.source == other.source && one.model == other.model && one.rate_id == other.rate_id
    };
    lines.chunk_by(is_same).filter_map(|lines| group(view, lines)).collect()
}

fn group(view: &ReceiptView, lines: &[PricedLine]) -> Option<ReceiptGroup> {
    let first = lines.first()?.clone();
    let page = |model: &str| view.address.link("/model", &[("model", Some(model)), ("page", None)]);
    Some(ReceiptGroup {
        href: page(&first.model),
        has_rate: first.rate_id.is_some(),
        taken_for: first.sku.zip(first.rule),
        tier: first.tier.as_deref().and_then(tier),
        holds: (first.valid_from, first.valid_to),
        evidence: first.evidence.filter(|evidence| !evidence.is_empty()),
        tool: first.source,
        model: first.model,
        lines: lines.iter().map(row).collect(),
    })
}

fn row(line: &PricedLine) -> ReceiptRow {
    let range = |low: String, high: String| if low == high { low } else { format!("{low} to {high}") };
    let shown = |price: u64| shown_price(i64::try_from(price).unwrap_or(i64::MAX));
    ReceiptRow {
        class: class(line.class),
        tokens: line.tokens,
        exact: exact(line.tokens),
        rate: line.price.ok().map(|(low, high)| range(shown(low), shown(high))),
        amount: line.amounts().map(|(low, high)| range(exact_usd(low), exact_usd(high))),
        plain: line.amounts().map(|(low, high)| (shown_amount(low), shown_amount(high))),
        reason: line.price.err().map_or("", reason),
    }
}

fn class(class: &'static str) -> &'static str {
    match class {
        "input" => "Input",
        "cache_read" => "Cache read",
        "cache_write_5m" => "Cache write, 5 minutes",
        "cache_write_1h" => "Cache write, 1 hour",
        "output" => "Output",
        "unclassified" => "Unclassified",
        other => other,
    }
}

/// A rate of requests of any length needs no word.
fn tier(tier: &str) -> Option<&'static str> {
    match tier {
        "long" => Some("long requests"),
        "range" => Some("requests that may have been long: one of two prices"),
        _ => None,
    }
}

fn reason(reason: &'static str) -> &'static str {
    match reason {
        "no_book" => "no price book",
        "unknown_model" => "the book does not know this model",
        "no_price_then" => "the book has no price for these hours",
        "no_class_price" => "the book has no price for this class",
        "unclassified" => "reported only as a total",
        other => other,
    }
}

/// What all lines add up to, in all digits; `None` where none has a price.
pub fn total(cost: &Cost) -> Option<String> {
    let (low, high) = cost.amounts()?;
    Some(if low == high { exact_usd(low) } else { format!("{} to {}", exact_usd(low), exact_usd(high)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::dashboards::PartDays;

    fn read(query: &str) -> Result<(ReceiptView, SumsQuestion), Vec<(String, &'static str)>> {
        let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        read_receipt(pairs).map_err(|problem| {
            problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
        })
    }

    fn line(model: &str, class: &'static str, tokens: u128, price: Result<(u64, u64), &'static str>) -> PricedLine {
        PricedLine {
            source: "codex".to_owned(),
            model: model.to_owned(),
            sku: Some("a/b".to_owned()),
            rule: Some("exact".to_owned()),
            rate_id: price.is_ok().then_some(7),
            tier: price.is_ok().then(|| "short".to_owned()),
            class,
            tokens,
            price,
            valid_from: None,
            valid_to: None,
            evidence: None,
        }
    }

    #[test]
    fn an_address_names_range_filters_and_page_and_nothing_else() {
        let (view, question) = read("last=7&model=a%2Cb&tz=Asia/Tokyo&page=3").unwrap();
        assert_eq!((view.page, question.receipt), (3, Some(ReceiptPart { days: PartDays::Last(7), page: 3 })));
        assert_eq!(view.address.link("/", &[("page", None)]), "/?last=7&model=a%2Cb&tz=Asia%2FTokyo");
        assert_eq!(read("").unwrap().1.receipt.unwrap().days, PartDays::Last(30));
        for (query, name, code) in [
            ("page=0", "?page", "out_of_range"),
            ("page=1001", "?page", "out_of_range"),
            ("width=day", "?width", "unknown_parameter"),
            ("last=7&to=2026-01-01", "?last", "range_twice"),
        ] {
            assert_eq!(read(query).unwrap_err(), [(name.to_owned(), code)]);
        }
    }

    #[test]
    fn a_line_is_a_product_and_one_without_a_price_says_why() {
        let (view, _) = read("last=7").unwrap();
        let lines = vec![
            line("<b>", "input", 1_234_567, Ok((2_500_000, 2_500_000))),
            line("<b>", "output", 10, Ok((1, 3))),
            line("c", "input", 5, Err("unknown_model")),
        ];
        let groups = groups(&view, &lines);
        assert_eq!(groups.len(), 2);
        let [input, output] = <[_; 2]>::try_from(groups[0].lines.clone()).unwrap();
        assert_eq!((input.rate.as_deref(), input.amount.as_deref()), (Some("2.5"), Some("3.0864175")));
        assert_eq!(
            (output.rate.as_deref(), output.amount.as_deref()),
            (Some("0.000001 to 0.000003"), Some("0.00000000001 to 0.00000000003"))
        );
        assert_eq!(output.plain, Some(("0.00000000001".to_owned(), "0.00000000003".to_owned())));
        let unpriced = &groups[1].lines[0];
        assert_eq!((&unpriced.amount, unpriced.reason), (&None, "the book does not know this model"));
        assert_eq!(groups[0].href, "/model?last=7&model=%3Cb%3E");
        assert_eq!(total(&Cost::unpriced(5)), None);
        assert_eq!(total(&Cost::priced(5, 1_000_000_000_000, 2_000_000_000_000)).unwrap(), "1 to 2");
    }
}
