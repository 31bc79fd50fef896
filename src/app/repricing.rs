//! How jobs reprice: the slice that owns the rollups says what a book changes, the one that keeps prices puts it in force,
//! and the composition root hands both over.

use super::shipped_prices::books_with;
use crate::features::backfill::{PriceDiff, PriceDoors, PriceEffect, PriceLine};
use crate::features::dashboard_rollup::{BookChange, Repriced, compare_books};
use crate::kernel::clock::Clock;
use crate::kernel::database::Pool;
use crate::kernel::money::{Cost, shown_amount};

/// A plan lists so many lines.
const LISTED: usize = 1_000;

/// What jobs reprice with.
pub fn prices_with(workers: &Pool, clock: &Clock) -> PriceDoors {
    let books = books_with(workers, clock);
    PriceDoors::new(
        |tx, former, book| Box::pin(async move { compare_books(tx, former, book).await.map(diff) }),
        move |tx, former, book| {
            let books = books.clone();
            Box::pin(async move { books.replace(tx, former, book).await })
        },
    )
}

fn diff(BookChange { totals, parts }: BookChange) -> PriceDiff {
    let lines_left_out = parts.len().saturating_sub(LISTED);
    let lines = parts.into_iter().take(LISTED).map(|((sku, month), repriced)| PriceLine {
        sku,
        month: month.format("%Y-%m").to_string(),
        effect: effect(&repriced),
    });
    PriceDiff { totals: effect(&totals), lines: lines.collect(), lines_left_out }
}

fn effect(repriced: &Repriced) -> PriceEffect {
    let amounts = |cost: &Cost| cost.amounts().map(|(low, high)| (shown_amount(low), shown_amount(high))).unzip();
    let (usd_before, usd_high_before) = amounts(&repriced.before);
    let (usd_after, usd_high_after) = amounts(&repriced.after);
    PriceEffect {
        tokens: (repriced.after.priced_tokens + repriced.after.unpriced_tokens).to_string(),
        usd_before,
        usd_high_before,
        usd_after,
        usd_high_after,
        newly_priced_tokens: repriced.newly_priced_tokens.to_string(),
        newly_unpriced_tokens: repriced.newly_unpriced_tokens.to_string(),
        users: repriced.users,
        user_days: repriced.user_days,
    }
}
