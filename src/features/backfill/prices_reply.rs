//! What operators are told of a reprice.

use serde::Serialize;
use utoipa::ToSchema;

use super::repricing::{PriceEffect, PriceLine, Repricing};

/// Which price book is put in force, and what that changes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackfillPrices)]
pub struct RepricingReply {
    /// The book that is put in force.
    #[schema(example = 4)]
    book: i32,
    /// The book that was in force when it was planned, and is again after a rollback; null where there was none.
    #[schema(example = 3)]
    former_book: Option<i32>,
    /// All that changes; null while planning.
    totals: Option<PriceEffectReply>,
    /// The same by what is sold and by UTC month; at most 1000, in this order. Lists of jobs leave them out.
    lines: Vec<PriceLineReply>,
    /// How many more lines there are.
    lines_left_out: usize,
}

/// What changes of something that is sold, in a month.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackfillPriceLine)]
pub struct PriceLineReply {
    /// What is sold.
    #[schema(example = "openai/gpt-5.5")]
    sku: String,
    /// The UTC month.
    #[schema(example = "2026-11")]
    month: String,
    #[serde(flatten)]
    effect: PriceEffectReply,
}

/// What changes. Tokens and dollars are decimals in texts, exact to the last digit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackfillPriceEffect)]
pub struct PriceEffectReply {
    /// Tokens of the buckets whose rate becomes another one.
    #[schema(example = "91060")]
    tokens: String,
    /// What they cost in the former book, at least, in US dollars; null where none has a price.
    #[schema(example = "0.41235")]
    usd_before: Option<String>,
    /// The same at most.
    usd_high_before: Option<String>,
    /// What they will cost, at least.
    usd_after: Option<String>,
    /// The same at most.
    usd_high_after: Option<String>,
    /// Tokens that get a price and had none.
    newly_priced_tokens: String,
    /// Tokens that had a price and lose it.
    newly_unpriced_tokens: String,
    /// How many users that is about.
    users: i64,
    /// How many UTC days of users.
    user_days: i64,
}

impl From<Repricing> for RepricingReply {
    fn from(Repricing { book, former_book, diff }: Repricing) -> Self {
        let lines_left_out = diff.as_ref().map_or(0, |diff| diff.lines_left_out);
        let (totals, lines) = diff.map(|diff| (diff.totals, diff.lines)).unzip();
        let lines = lines.unwrap_or_default().into_iter().map(PriceLineReply::from).collect();
        Self { book, former_book, totals: totals.map(PriceEffectReply::from), lines, lines_left_out }
    }
}

impl From<PriceLine> for PriceLineReply {
    fn from(PriceLine { sku, month, effect }: PriceLine) -> Self {
        Self { sku, month, effect: effect.into() }
    }
}

impl From<PriceEffect> for PriceEffectReply {
    fn from(effect: PriceEffect) -> Self {
        Self {
            tokens: effect.tokens,
            usd_before: effect.usd_before,
            usd_high_before: effect.usd_high_before,
            usd_after: effect.usd_after,
            usd_high_after: effect.usd_high_after,
            newly_priced_tokens: effect.newly_priced_tokens,
            newly_unpriced_tokens: effect.newly_unpriced_tokens,
            users: effect.users,
            user_days: effect.user_days,
        }
    }
}
