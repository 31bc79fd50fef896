//! How the queries of this slice say sums.

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};

use crate::kernel::database::NoSum;

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
        let text = <&str as Decode<Postgres>>::decode(value)?;
        Ok(Self(text.parse().map_err(|_no_number| NoSum(text.to_owned()))?))
    }
}

/// The sums of a row, each a [`Sum`].
macro_rules! sums_of_row {
    ($row:ident) => {
        $crate::features::dashboard_rollup::sums::Counters {
            of_counters: $crate::kernel::database::counters_of_row!($row).map(|Sum(sum)| sum),
            total_tokens: $row.total_tokens.0,
            bucket_count: $row.bucket_count.0,
        }
    };
}
pub(super) use sums_of_row;
