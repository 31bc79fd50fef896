//! Numbers and instants in words. Groups of three digits are set apart by a narrow space, which is no language's.

use chrono::{DateTime, Utc};

use crate::kernel::money::shown_amount;

/// Keeps the digits of a number on one line.
const NARROW_SPACE: char = '\u{202f}';

/// All digits: `12 345 678`.
pub fn exact(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(NARROW_SPACE);
        }
        text.push(digit);
    }
    text
}

/// Three digits at most: `12.3 M`. It is cut and not rounded, so that it never says more than there is.
pub fn short(number: u128) -> String {
    const UNITS: [(u128, &str); 4] = [(1_000, "k"), (1_000_000, "M"), (1_000_000_000, "G"), (1_000_000_000_000, "T")];
    let Some((unit, name)) = UNITS.iter().rev().find(|(unit, _)| number >= *unit) else {
        return number.to_string();
    };
    let (whole, tenths) = (number / unit, number % unit * 10 / unit);
    if whole >= 100 {
        format!("{}{NARROW_SPACE}{name}", exact(whole))
    } else {
        format!("{whole}.{tenths}{NARROW_SPACE}{name}")
    }
}

/// An amount of pico-dollars to the last digit, without its currency: `1 234.567891`.
pub fn exact_usd(picos: u128) -> String {
    let plain = shown_amount(picos);
    let (whole, decimals) = plain.split_once('.').unwrap_or((&plain, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), exact);
    if decimals.is_empty() { whole } else { format!("{whole}.{decimals}") }
}

/// The same in cents, and from a thousand on in dollars: `$12.34`. It is cut and not rounded, and what is less than a cent is
/// no zero.
pub fn short_usd(picos: u128) -> String {
    const CENT: u128 = 10_000_000_000;
    let (dollars, cents) = (picos / (100 * CENT), picos / CENT % 100);
    match (picos, dollars, cents) {
        (0, _, _) => "$0".to_owned(),
        (_, 0, 0) => format!("<{NARROW_SPACE}$0.01"),
        (_, 1000.., _) => format!("${}", exact(dollars)),
        _ => format!("${dollars}.{cents:02}"),
    }
}

/// A part of a whole in tenths of a per cent: `12.3 %`.
pub fn share(part: u128, whole: u128) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let permille = part.saturating_mul(1000) / whole;
    match (part, permille) {
        (0, _) => format!("0{NARROW_SPACE}%"),
        (_, 0) => format!("< 0.1{NARROW_SPACE}%"),
        _ => format!("{}.{}{NARROW_SPACE}%", permille / 10, permille % 10),
    }
}

/// How much more or less than before: `+12.3 %`, or a word where there was nothing, or is nothing.
pub fn change(now: u128, before: u128) -> String {
    if before == 0 || now == 0 {
        let word = match (now, before) {
            (0, 0) => "–",
            (_, 0) => "new",
            _ => "none now",
        };
        return word.to_owned();
    }
    let (sign, difference) = if now >= before { ('+', now - before) } else { ('−', before - now) };
    let permille = difference.saturating_mul(1000) / before;
    if permille >= 10_000 {
        let times = now / before;
        return format!("×{}", exact(times));
    }
    format!("{sign}{}.{}{NARROW_SPACE}%", permille / 10, permille % 10)
}

/// To the second, in UTC.
pub fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(text: &str) -> String {
        text.replace(NARROW_SPACE, " ")
    }

    #[test]
    fn numbers_are_grouped_shortened_and_compared() {
        assert_eq!(plain(&exact(0)), "0");
        assert_eq!(plain(&exact(999)), "999");
        assert_eq!(plain(&exact(1_234_567)), "1 234 567");
        for (number, text) in
            [(999, "999"), (1_000, "1.0 k"), (99_999, "99.9 k"), (1_999_999, "1.9 M"), (123_456_789, "123 M")]
        {
            assert_eq!(plain(&short(number)), text);
        }
        assert_eq!(plain(&short(12_345_000_000_000_000)), "12 345 T");
        assert_eq!(plain(&share(1, 3)), "33.3 %");
        assert_eq!(plain(&share(1, 1_000_000)), "< 0.1 %");
        assert_eq!((share(0, 0).as_str(), plain(&share(0, 7)).as_str()), ("–", "0 %"));
        for (now, before, text) in
            [(0, 0, "–"), (5, 0, "new"), (0, 5, "none now"), (3, 2, "+50.0 %"), (1, 2, "−50.0 %"), (2, 2, "+0.0 %")]
        {
            assert_eq!(plain(&change(now, before)), text);
        }
        assert_eq!(plain(&change(1100, 100)), "×11");
    }

    #[test]
    fn an_amount_is_cut_to_cents_and_never_to_nothing() {
        for (picos, short, exact) in [
            (0, "$0", "0"),
            (1, "< $0.01", "0.000000000001"),
            (9_999_999_999, "< $0.01", "0.009999999999"),
            (10_000_000_000, "$0.01", "0.01"),
            (412_350_000_000, "$0.41", "0.41235"),
            (12_999_999_999_999, "$12.99", "12.999999999999"),
            (999_999_000_000_000, "$999.99", "999.999"),
            (1_000_000_000_000_000, "$1 000", "1 000"),
            (1_234_567_890_123_456_789, "$1 234 567", "1 234 567.890123456789"),
        ] {
            assert_eq!((plain(&short_usd(picos)).as_str(), plain(&exact_usd(picos)).as_str()), (short, exact));
        }
    }

    proptest! {
        #[test]
        fn no_digit_of_an_amount_is_lost_or_made_up(picos: u128) {
            prop_assert_eq!(exact_usd(picos).replace(NARROW_SPACE, ""), shown_amount(picos));
            prop_assert_eq!(short_usd(picos) == "$0", picos == 0);
        }

        #[test]
        fn no_digit_is_lost_or_made_up(number: u128) {
            prop_assert_eq!(exact(number).replace(NARROW_SPACE, ""), number.to_string());
        }

        #[test]
        fn a_short_number_never_says_more_than_there_is(number in 0..10_u128.pow(18)) {
            let text = plain(&short(number)).replace(' ', "");
            let digits: String = text.chars().filter(|sign| sign.is_ascii_digit() || *sign == '.').collect();
            let unit = match text.chars().last() { Some('k') => 1e3, Some('M') => 1e6, Some('G') => 1e9, Some('T') => 1e12, _ => 1.0 };
            let said: f64 = digits.parse::<f64>().unwrap() * unit;
            let real: f64 = number.to_string().parse().unwrap();
            prop_assert!(said <= real * 1.000_001 && said >= real * 0.9, "{} for {}", text, number);
        }

        #[test]
        fn anything_can_be_compared_with_anything(one: u128, other: u128) {
            let _ = (share(one, other), change(one, other), short(one));
        }
    }
}
