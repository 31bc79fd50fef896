//! How the queries of this slice say sums.

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};

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
