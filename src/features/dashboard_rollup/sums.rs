//! Sums of buckets, as replies show them.

use std::borrow::Cow;
use std::iter::Sum;
use std::ops::Add;

use serde::{Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::kernel::bucket::{PerCounter, TokenCounts};
use crate::kernel::http::counters::{joined, shown_counters};
use crate::kernel::problem::Problem;

/// How many sums there are: of every counter, of all tokens, and the number of buckets.
const SUMS: usize = TokenCounts::NAMES_WITH_TOTAL.len() + 1;

/// Sums of buckets. Integers without an upper bound: they may exceed 63 bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// The sum of each counter.
    pub of_counters: PerCounter<u128>,
    /// The sum of all tokens.
    pub total_tokens: u128,
    /// How many buckets were summed.
    pub bucket_count: u128,
}

impl Counters {
    /// The names of the sums, in the order of [`Counters::values`].
    pub const NAMES: [&str; SUMS] = append(TokenCounts::NAMES_WITH_TOTAL, "bucket_count");

    /// Asserts that these are sums of a part of what `whole` sums, and that either adds up: what is not so never leaves the
    /// house. Errors: 500 `wrong_number`.
    pub fn within(&self, whole: &Self) -> Result<(), Problem> {
        let [part, all] = [self.values(), whole.values()];
        if !part.iter().zip(all).all(|(part, all)| *part <= all) {
            return Err(Problem::wrong_number("parts_are_within_totals", format!("{part:?} of {all:?}")));
        }
        for sums in [self, whole] {
            if sums.of_counters.total_sum() != sums.total_tokens {
                return Err(Problem::wrong_number("counters_add_up", format!("{:?}", sums.values())));
            }
        }
        Ok(())
    }

    /// The sums, for a table.
    pub fn values(&self) -> [u128; SUMS] {
        append(self.of_counters.with_total(self.total_tokens), self.bucket_count)
    }
}

const fn append<T: Copy>(values: [T; SUMS - 1], last: T) -> [T; SUMS] {
    let mut all = [last; SUMS];
    all.split_at_mut(SUMS - 1).0.copy_from_slice(&values);
    all
}

impl Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            of_counters: self.of_counters + other.of_counters,
            total_tokens: self.total_tokens + other.total_tokens,
            bucket_count: self.bucket_count + other.bucket_count,
        }
    }
}

impl Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(sums: I) -> Self {
        sums.fold(Self::default(), Add::add)
    }
}

impl Serialize for Counters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Self::NAMES.into_iter().zip(self.values()))
    }
}

impl ToSchema for Counters {
    fn name() -> Cow<'static, str> {
        "RollupCounters".into()
    }
}

impl PartialSchema for Counters {
    fn schema() -> RefOr<Schema> {
        /// Sums of buckets. Integers without an upper bound: they may exceed 63 bits.
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "it describes what `Counters` has besides the counters")]
        struct Beside {
            /// How many buckets were summed.
            bucket_count: u128,
        }
        joined([counter_fields::<u128>(), Beside::schema()])
    }
}

/// The counters and their total in the contract of this slice's replies.
pub fn counter_fields<T: PartialSchema>() -> RefOr<Schema> {
    let total = "Input, cache reads and writes, output and unclassified.";
    shown_counters::<T>(total, &[("reasoning_tokens", "The part of the output that was reasoning; not added again.")])
}
