//! Half hours, sources, the counters of a bucket, and its key.
//!
//! `with_counters!` is the table of counters. Other Rust files make what they need from the table,
//! or loop over [`PerCounter::NAMES`]. SQL spells the whole lists.

use std::ops::Add;

use arrayvec::ArrayString;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::model::Model;

/// Half an hour, in seconds.
pub const HALF_HOUR_S: i64 = 1800;

/// No count is larger than this.
pub const MAX_COUNT: i64 = 1_000_000_000_000;

/// A post has this many buckets at most.
pub const MAX_POSTED: u16 = 500;

/// The start of a half hour: UTC, on `:00` or `:30`, from 2020 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HalfHour(DateTime<Utc>);

impl HalfHour {
    /// The earliest one.
    pub const FIRST: DateTime<Utc> = match DateTime::from_timestamp_secs(1_577_836_800) {
        Some(first) => first,
        None => DateTime::<Utc>::UNIX_EPOCH,
    };

    /// `None` when `start` is not on a half hour or is before 2020.
    pub fn new(start: DateTime<Utc>) -> Option<Self> {
        let aligned = start.timestamp() % HALF_HOUR_S == 0 && start.timestamp_subsec_nanos() == 0;
        (aligned && start >= Self::FIRST).then_some(Self(start))
    }

    /// The half hour that contains `instant`, which must not be before 2020.
    pub fn containing(instant: DateTime<Utc>) -> Option<Self> {
        let into = instant.timestamp().rem_euclid(HALF_HOUR_S);
        let nanos = i64::from(instant.timestamp_subsec_nanos());
        Self::new(instant - TimeDelta::seconds(into) - TimeDelta::nanoseconds(nanos))
    }

    /// Its first instant.
    pub const fn start(self) -> DateTime<Utc> {
        self.0
    }
}

/// A tool's name: 1 to 64 of `a-z 0-9 . _ -`, the first a letter or a digit. Whether the tool may
/// report usage, `kernel::usage::sources` knows. It is stored in place, so that copies are cheap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(ArrayString<64>);

impl Source {
    /// The form as a regular expression. CHECKs of the tables say the same.
    pub const PATTERN: &str = "^[a-z0-9][a-z0-9._-]{0,63}$";

    /// The same in a sentence.
    pub const FORM: &str = "A tool's name has 1 to 64 of `a-z 0-9 . _ -` and begins with a letter or a digit.";

    /// `None` when it is not well formed.
    pub fn parse(text: &str) -> Option<Self> {
        let begins = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let allowed = |byte: u8| begins(&byte) || b"._-".contains(&byte);
        let well_formed = text.as_bytes().first().is_some_and(begins) && text.bytes().all(allowed);
        // A longer one does not fit.
        well_formed.then(|| ArrayString::from(text).ok().map(Self)).flatten()
    }

    /// As stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The table of counters. It calls `$receiver` with `$given`, and behind that a line for every
/// counter in the order of the columns: its name, its kind and its meaning. A new counter is a new
/// line here. The total of tokens is the sum of every `class`. A `part` is inside a class, and
/// `other` counters are no tokens.
macro_rules! with_counters {
    ($($receiver:ident)::+ { $($given:tt)* }) => {
        $($receiver)::+! {
            $($given)*
            input_tokens: class "Uncached input.",
            cache_read_tokens: class "Input served from a prompt cache.",
            cache_write_5m_tokens: class "Input written to a 5-minute cache.",
            cache_write_1h_tokens: class "Input written to a 1-hour cache.",
            output_tokens: class "All output, including reasoning.",
            reasoning_tokens: part "The part of the output that was reasoning.",
            unclassified_tokens: class "Tokens reported only as a total.",
            request_count: other "Model requests.",
        }
    };
}
pub(crate) use with_counters;

/// What the table says as a struct. [`TokenCounts`] and its like are this struct.
macro_rules! define_counters {
    (@adds class $count:expr) => { $count };
    (@adds $other:ident $count:expr) => { 0 };
    ($($name:ident: $kind:ident $meaning:literal,)*) => {
        /// How many counters there are.
        const COUNTERS: usize = [$(stringify!($name)),*].len();

        /// One value for each counter. The order of the fields is the order of the columns.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct PerCounter<T> {
            $(#[doc = $meaning] pub $name: T,)*
        }

        impl<T> PerCounter<T> {
            /// The names of the counters, in order.
            pub const NAMES: [&'static str; COUNTERS] = [$(stringify!($name)),*];

            /// What the counters mean, in the order of the names.
            pub const MEANINGS: [&'static str; COUNTERS] = [$($meaning),*];

            /// The inverse of [`PerCounter::into_values`].
            pub fn from_values([$($name),*]: [T; COUNTERS]) -> Self {
                Self { $($name),* }
            }

            /// The values, in the order of the names.
            pub fn into_values(self) -> [T; COUNTERS] {
                [$(self.$name),*]
            }

            /// The same of what `change` makes of each value.
            pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> PerCounter<U> {
                PerCounter { $($name: change(self.$name)),* }
            }
        }

        impl TokenCounts {
            /// All tokens: the sum of the disjoint classes.
            pub const fn total(&self) -> i64 {
                0 $(+ define_counters!(@adds $kind self.$name))*
            }
        }

        impl PerCounter<u128> {
            /// The same of sums.
            pub const fn total_sum(&self) -> u128 {
                0 $(+ define_counters!(@adds $kind self.$name))*
            }
        }

        impl PerCounter<usize> {
            /// The place of each counter in [`PerCounter::NAMES`].
            pub const PLACES: Self = {
                let mut next = 0;
                Self { $($name: { next += 1; next - 1 }),* }
            };
        }

        impl<T> FromIterator<PerCounter<T>> for PerCounter<Vec<T>> {
            fn from_iter<I: IntoIterator<Item = PerCounter<T>>>(rows: I) -> Self {
                let mut columns = Self::default();
                for row in rows {
                    $(columns.$name.push(row.$name);)*
                }
                columns
            }
        }

        impl<T: Add<Output = T>> Add for PerCounter<T> {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self { $($name: self.$name + other.$name),* }
            }
        }
    };
}
with_counters!(define_counters {});

/// Absolute counts of one bucket. Their order decides between two versions with the same stamp.
pub type TokenCounts = PerCounter<i64>;

/// The counts of many buckets, one array for each counter, as `unnest` takes them.
pub type CountColumns = PerCounter<Vec<i64>>;

impl<T: Copy> PerCounter<T> {
    /// The names in the order of [`PerCounter::with_total`].
    pub const NAMES_WITH_TOTAL: [&'static str; COUNTERS + 1] = insert_total(Self::NAMES, "total_tokens");

    /// The values and their total, as replies and tables show them. The total stands before the
    /// requests.
    pub fn with_total(self, total: T) -> [T; COUNTERS + 1] {
        insert_total(self.into_values(), total)
    }
}

const fn insert_total<T: Copy>(values: [T; COUNTERS], total: T) -> [T; COUNTERS + 1] {
    let mut shown = [total; COUNTERS + 1];
    let mut at = 0;
    while at < COUNTERS {
        shown[if at < PerCounter::PLACES.request_count { at } else { at + 1 }] = values[at];
        at += 1;
    }
    shown
}

/// What one bucket is known by. The order of the fields is the order of the primary key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketKey {
    /// The owner.
    pub user_id: Uuid,
    /// The half hour.
    pub hour_start: HalfHour,
    /// The device.
    pub device_id: Uuid,
    /// The tool.
    pub source: Source,
    /// The model.
    pub model: Model,
}

impl BucketKey {
    /// The columns of the primary key, in order.
    pub const COLUMNS: [&'static str; 5] = ["user_id", "hour_start", "device_id", "source", "model"];

    /// The same key, borrowed.
    pub fn borrowed(&self) -> BucketKeyRef<'_> {
        BucketKeyRef {
            user_id: self.user_id,
            hour_start: self.hour_start.start(),
            device_id: self.device_id,
            source: self.source.as_str(),
            model: self.model.as_str(),
        }
    }
}

/// A [`BucketKey`] as rows and look-ups have it. `source` and `model` compare by bytes, as
/// collation "C" does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketKeyRef<'a> {
    /// The owner.
    pub user_id: Uuid,
    /// The start of the half hour.
    pub hour_start: DateTime<Utc>,
    /// The device.
    pub device_id: Uuid,
    /// The tool.
    pub source: &'a str,
    /// The model.
    pub model: &'a str,
}

impl BucketKeyRef<'_> {
    /// `None` where this is the key of no bucket.
    pub fn parse(self) -> Option<BucketKey> {
        Some(BucketKey {
            user_id: self.user_id,
            hour_start: HalfHour::new(self.hour_start)?,
            device_id: self.device_id,
            source: Source::parse(self.source)?,
            model: Model::parse(self.model).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_half_hour_starts_on_the_half_hour_from_2020_on() {
        for good in ["2020-01-01T00:00:00Z", "2026-11-20T10:30:00Z", "2026-11-20T12:30:00+02:00"] {
            assert!(HalfHour::new(instant(good)).is_some(), "{good}");
        }
        for bad in
            ["2019-12-31T23:30:00Z", "2026-11-20T10:31:00Z", "2026-11-20T10:30:00.000001Z", "2026-11-20T10:45:00+00:30"]
        {
            assert_eq!(HalfHour::new(instant(bad)), None, "{bad}");
        }
        assert_eq!(HalfHour::FIRST, instant("2020-01-01T00:00:00Z"));
    }

    #[test]
    fn the_half_hour_of_an_instant_contains_it() {
        let half_hour = HalfHour::containing(instant("2026-11-20T10:59:59.999999Z")).unwrap();
        assert_eq!(half_hour.start(), instant("2026-11-20T10:30:00Z"));
        assert_eq!(HalfHour::containing(half_hour.start()), Some(half_hour));
    }

    #[test]
    fn versions_with_the_same_stamp_are_ordered_by_their_counts_in_column_order() {
        let more_input = TokenCounts { input_tokens: 2, ..TokenCounts::default() };
        let more_output = TokenCounts { input_tokens: 1, output_tokens: 900, ..TokenCounts::default() };
        assert!(more_input > more_output);
    }
    /// The names of the fields of a struct, as its derived `Debug` writes them.
    fn fields(value: impl std::fmt::Debug) -> Vec<String> {
        let debug = format!("{value:#?}");
        let names = debug.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": ")).map(|(name, _)| name);
        names.filter(|name| !name.starts_with(' ')).map(str::to_owned).collect()
    }

    #[test]
    fn the_names_are_those_of_the_fields_in_their_order() {
        assert_eq!(fields(TokenCounts::default()), TokenCounts::NAMES);
        assert_eq!(PerCounter::PLACES.into_values(), std::array::from_fn(|place| place));
        let (nobody, hour_start) = (Uuid::nil(), HalfHour::FIRST);
        let key = BucketKeyRef { user_id: nobody, hour_start, device_id: nobody, source: "api", model: "m" };
        assert_eq!(key.parse().unwrap().borrowed(), key);
        assert_eq!([fields(key), fields(key.parse().unwrap())], [BucketKey::COLUMNS; 2]);
    }

    #[test]
    fn the_total_is_of_all_classes_and_stands_before_the_requests() {
        let powers = TokenCounts::from_values(std::array::from_fn(|place| 10_i64.pow(u32::try_from(place).unwrap())));
        assert_eq!(powers.total(), 1_011_111);
        assert_eq!(powers.with_total(7)[6..], [1_000_000, 7, 10_000_000]);
        assert!(TokenCounts::NAMES_WITH_TOTAL.ends_with(&["total_tokens", "request_count"]));
    }

    proptest! {
        #[test]
        fn values_columns_and_sums_have_one_order(
            rows in prop::collection::vec(prop::array::uniform(0..=MAX_COUNT).prop_map(TokenCounts::from_values), 0..4),
        ) {
            let columns: CountColumns = rows.iter().copied().collect();
            for (place, column) in columns.into_values().into_iter().enumerate() {
                prop_assert_eq!(column, rows.iter().map(|row| row.into_values()[place]).collect::<Vec<_>>());
            }
            for row in &rows {
                prop_assert_eq!(TokenCounts::from_values(row.into_values()), *row);
                prop_assert_eq!((*row + *row).into_values(), row.into_values().map(|count| 2 * count));
            }
            prop_assert_eq!(rows.iter().max(), rows.iter().max_by_key(|row| row.into_values()));
        }
    }
}
