//! What tokens would have cost at list prices, as a page says it: short for the eye, and whole beside it. Tokens without a
//! price are counted and never taken for free.

use askama::Template;

use crate::features::dashboard_page::look::{change, exact, exact_usd, short_usd};
use crate::kernel::money::{Cost, shown_amount};

/// What something costs. It is written as the cell of a list.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "price.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct Price {
    /// The lowest and the highest amount, as the API writes them. `None` where no token has a price.
    pub amount: Option<(String, String)>,
    /// The lowest amount, in cents. With a sign before it where some tokens have no price.
    pub short: String,
    /// The highest, where it is another one.
    pub short_high: Option<String>,
    /// Both in all digits.
    pub exact: String,
    /// How many tokens have no price, where there are any.
    pub unpriced: Option<String>,
}

impl Price {
    /// Of what tokens cost.
    pub fn of(cost: &Cost) -> Self {
        let unpriced = (cost.unpriced_tokens > 0).then(|| exact(cost.unpriced_tokens));
        let Some((low, high)) = cost.amounts() else {
            let short = "no price".to_owned();
            return Self { amount: None, short, short_high: None, exact: "no price".to_owned(), unpriced };
        };
        let at_least = if unpriced.is_some() { "≥\u{202f}" } else { "" };
        let is_range = low < high;
        let exact = if is_range {
            format!("{} to {} USD", exact_usd(low), exact_usd(high))
        } else {
            format!("{} USD", exact_usd(low))
        };
        Self {
            amount: Some((shown_amount(low), shown_amount(high))),
            short: format!("{at_least}{}", short_usd(low)),
            short_high: is_range.then(|| short_usd(high)),
            exact: format!("{at_least}{exact}"),
            unpriced,
        }
    }

    /// In all digits, and how many tokens have no price: for a cell of a table.
    pub fn whole(&self) -> String {
        match &self.unpriced {
            Some(unpriced) => format!("{}, {unpriced} tokens without a price", self.exact),
            None => self.exact.clone(),
        }
    }
}

/// How much more or less it costs than before; `None` where an amount leaves something open, which is not compared.
pub fn price_change(now: &Cost, before: &Cost) -> Option<String> {
    let is_whole = |cost: &Cost| cost.unpriced_tokens == 0 && cost.low == cost.high;
    (is_whole(now) && is_whole(before)).then(|| change(now.low, before.low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(low: u128, high: u128, priced_tokens: u128, unpriced_tokens: u128) -> Price {
        Price::of(&Cost { low, high, priced_tokens, unpriced_tokens })
    }

    fn plain(text: &str) -> String {
        text.replace('\u{202f}', " ")
    }

    #[test]
    fn tokens_without_a_price_are_never_free() {
        let none = price(0, 0, 0, 1600);
        assert_eq!((none.amount.as_ref(), none.exact.as_str()), (None, "no price"));
        let text = plain(&none.to_string());
        assert!(text.contains("no price") && text.contains("1 600 tokens without a price"), "{text}");
        assert!(!text.contains('$') && !text.contains("USD"), "{text}");
        let some = price(1_500_000_000_000, 1_500_000_000_000, 7, 1600);
        assert_eq!(plain(&some.whole()), "≥ 1.5 USD, 1 600 tokens without a price");
        assert_eq!(plain(&some.short), "≥ $1.50");
    }

    #[test]
    fn nothing_and_what_is_stated_free_cost_zero() {
        for free in [price(0, 0, 0, 0), price(0, 0, 5, 0)] {
            assert_eq!((free.short.as_str(), free.whole().as_str(), &free.unpriced), ("$0", "0 USD", &None));
        }
    }

    #[test]
    fn a_range_has_both_its_ends() {
        let range = price(6_450_010_000, 32_250_050_000, 100, 0);
        let text = plain(&range.to_string());
        for part in ["value=\"0.00645001\"", "value=\"0.03225005\"", "< $0.01", "$0.03", "0.00645001 to 0.03225005 USD"]
        {
            assert!(text.replace("&#60;", "<").replace("&lt;", "<").contains(part), "{part}: {text}");
        }
        assert_eq!(price(5, 5, 1, 0).short_high, None);
    }

    #[test]
    fn only_whole_amounts_are_compared() {
        let cost = |low, high, unpriced_tokens| Cost { low, high, priced_tokens: 1, unpriced_tokens };
        assert_eq!(plain(&price_change(&cost(3, 3, 0), &cost(2, 2, 0)).unwrap()), "+50.0 %");
        for open in [cost(3, 4, 0), cost(3, 3, 1)] {
            assert_eq!(price_change(&open, &cost(2, 2, 0)), None);
            assert_eq!(price_change(&cost(2, 2, 0), &open), None);
        }
    }
}
