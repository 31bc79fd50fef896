//! Sums of buckets, as replies show them.

use std::iter::Sum;
use std::ops::Add;

use serde::Serialize;
use utoipa::ToSchema;

/// Sums of buckets. Integers without an upper bound: they may exceed 63 bits.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
#[schema(as = RollupCounters)]
pub struct Counters {
    /// Uncached input.
    pub input_tokens: u128,
    /// Input served from a prompt cache.
    pub cache_read_tokens: u128,
    /// Input written to a 5-minute cache.
    pub cache_write_5m_tokens: u128,
    /// Input written to a 1-hour cache.
    pub cache_write_1h_tokens: u128,
    /// All output, including reasoning.
    pub output_tokens: u128,
    /// The part of the output that was reasoning; not added again.
    pub reasoning_tokens: u128,
    /// Tokens reported only as a total.
    pub unclassified_tokens: u128,
    /// Input, cache reads and writes, output and unclassified.
    pub total_tokens: u128,
    /// Model requests.
    pub request_count: u128,
    /// How many buckets were summed.
    pub bucket_count: u128,
}

impl Counters {
    /// The counters' names, in the order of [`Counters::values`].
    pub const NAMES: [&str; 10] = [
        "input_tokens",
        "cache_read_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "output_tokens",
        "reasoning_tokens",
        "unclassified_tokens",
        "total_tokens",
        "request_count",
        "bucket_count",
    ];

    /// The counters, for a table.
    pub const fn values(&self) -> [u128; 10] {
        [
            self.input_tokens,
            self.cache_read_tokens,
            self.cache_write_5m_tokens,
            self.cache_write_1h_tokens,
            self.output_tokens,
            self.reasoning_tokens,
            self.unclassified_tokens,
            self.total_tokens,
            self.request_count,
            self.bucket_count,
        ]
    }
}

impl Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens + other.input_tokens,
            cache_read_tokens: self.cache_read_tokens + other.cache_read_tokens,
            cache_write_5m_tokens: self.cache_write_5m_tokens + other.cache_write_5m_tokens,
            cache_write_1h_tokens: self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            output_tokens: self.output_tokens + other.output_tokens,
            reasoning_tokens: self.reasoning_tokens + other.reasoning_tokens,
            unclassified_tokens: self.unclassified_tokens + other.unclassified_tokens,
            total_tokens: self.total_tokens + other.total_tokens,
            request_count: self.request_count + other.request_count,
            bucket_count: self.bucket_count + other.bucket_count,
        }
    }
}

impl Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(sums: I) -> Self {
        sums.fold(Self::default(), Add::add)
    }
}
