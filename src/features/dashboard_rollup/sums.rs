//! Sums of buckets: as the database gives them, and as replies show them.

use serde::Serialize;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};
use utoipa::ToSchema;

/// A sum of counters as queries give it: as text, for a sum of bigints can be larger than a bigint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum(pub u128);

impl Type<Postgres> for Sum {
    fn type_info() -> PgTypeInfo {
        <&str as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Sum {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<&str as Decode<Postgres>>::decode(value)?.parse()?))
    }
}

/// The counters of a row, each a [`Sum`].
macro_rules! counters {
    ($row:expr) => {
        $crate::features::dashboard_rollup::sums::Counters {
            input_tokens: $row.input_tokens.0,
            cache_read_tokens: $row.cache_read_tokens.0,
            cache_write_5m_tokens: $row.cache_write_5m_tokens.0,
            cache_write_1h_tokens: $row.cache_write_1h_tokens.0,
            output_tokens: $row.output_tokens.0,
            reasoning_tokens: $row.reasoning_tokens.0,
            unclassified_tokens: $row.unclassified_tokens.0,
            total_tokens: $row.total_tokens.0,
            request_count: $row.request_count.0,
            bucket_count: $row.bucket_count.0,
        }
    };
}
pub(super) use counters;

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
