//! Counts as numbers, and rows of them.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::kernel::bucket::PerCounter;
use crate::kernel::dashboards::SumsInterval;

/// Which usage an answer is about: all of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerScope {
    /// `all`.
    scope: &'static str,
    /// None.
    excluded_sources: Vec<String>,
}

impl TokentrackerScope {
    /// All usage.
    pub const EVERYTHING: Self = Self { scope: "all", excluded_sources: Vec::new() };
}

/// Counts. Integers without an upper bound: they may exceed 63 bits.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerCounts {
    /// All tokens.
    total_tokens: u128,
    /// The same: no tokens are left out of the total.
    billable_total_tokens: u128,
    /// Uncached input.
    input_tokens: u128,
    /// Input served from a cache.
    cached_input_tokens: u128,
    /// Output, including reasoning.
    output_tokens: u128,
    /// The part of the output that was reasoning.
    reasoning_output_tokens: u128,
    /// Input written to caches.
    cache_creation_input_tokens: u128,
    /// Always 0: prompts are not counted here.
    conversation_count: u8,
}

impl From<PerCounter<u128>> for TokentrackerCounts {
    fn from(sums: PerCounter<u128>) -> Self {
        Self {
            total_tokens: sums.total_sum(),
            billable_total_tokens: sums.total_sum(),
            input_tokens: sums.input_tokens,
            cached_input_tokens: sums.cache_read_tokens,
            output_tokens: sums.output_tokens,
            reasoning_output_tokens: sums.reasoning_tokens,
            cache_creation_input_tokens: sums.cache_write_5m_tokens + sums.cache_write_1h_tokens,
            conversation_count: 0,
        }
    }
}

/// The tokens of each model of an interval, by name.
pub fn models_of(interval: &SumsInterval) -> BTreeMap<String, u128> {
    let mut models = BTreeMap::new();
    for group in &interval.groups {
        *models.entry(group.model.clone()).or_default() += group.sums.total_sum();
    }
    models
}
