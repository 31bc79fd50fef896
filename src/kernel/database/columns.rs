//! Buckets on their way into statements and out of them. A statement takes the columns of many
//! buckets, one array for each, and `unnest` turns them into rows. Which counters there are, the
//! table in `kernel::bucket` says.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::kernel::bucket::BucketKeyRef;

/// The keys of many buckets, one array for each column.
#[derive(Clone, Debug, Default)]
pub struct BucketKeyColumns<'a> {
    /// The owners.
    pub user_ids: Vec<Uuid>,
    /// The starts of the half hours.
    pub hour_starts: Vec<DateTime<Utc>>,
    /// The devices.
    pub device_ids: Vec<Uuid>,
    /// The tools.
    pub sources: Vec<&'a str>,
    /// The models.
    pub models: Vec<&'a str>,
}

impl BucketKeyColumns<'_> {
    /// Whether there is no key.
    pub const fn is_empty(&self) -> bool {
        self.user_ids.is_empty()
    }
}

impl<'a> FromIterator<BucketKeyRef<'a>> for BucketKeyColumns<'a> {
    fn from_iter<I: IntoIterator<Item = BucketKeyRef<'a>>>(keys: I) -> Self {
        let mut columns = Self::default();
        for BucketKeyRef { user_id, hour_start, device_id, source, model } in keys {
            columns.user_ids.push(user_id);
            columns.hour_starts.push(hour_start);
            columns.device_ids.push(device_id);
            columns.sources.push(source);
            columns.models.push(model);
        }
        columns
    }
}

/// `sqlx::query_file!` for a statement that takes columns of buckets. Among its arguments
/// `key_columns = keys,` stands for the arrays of a [`BucketKeyColumns`], and
/// `count_columns = counts,` for those of a `PerCounter<Vec<i64>>`, both in the order of the
/// columns. Every argument ends with a comma.
macro_rules! query_file_columns {
    (@bind [$path:literal $($bound:tt)*]) => {
        ::sqlx::query_file!($path $($bound)*)
    };
    (@bind [$($bound:tt)*] key_columns = $keys:ident, $($rest:tt)*) => {
        $crate::kernel::database::columns::query_file_columns!(@bind [
            $($bound)*,
            &$keys.user_ids,
            &$keys.hour_starts,
            &$keys.device_ids,
            &$keys.sources as &[&str],
            &$keys.models as &[&str]
        ] $($rest)*)
    };
    (@bind [$($bound:tt)*] count_columns = $counts:ident, $($rest:tt)*) => {
        $crate::kernel::bucket::with_counters!($crate::kernel::database::columns::query_file_columns {
            @bind_counts [$($bound)*] $counts [$($rest)*]
        })
    };
    (@bind [$($bound:tt)*] $argument:expr, $($rest:tt)*) => {
        $crate::kernel::database::columns::query_file_columns!(@bind [$($bound)*, $argument] $($rest)*)
    };
    (@bind_counts [$($bound:tt)*] $counts:ident [$($rest:tt)*] $($name:ident: $kind:ident $meaning:literal,)*) => {
        $crate::kernel::database::columns::query_file_columns!(@bind [$($bound)* $(, &$counts.$name)*] $($rest)*)
    };
    ($path:literal, $($arguments:tt)*) => {
        $crate::kernel::database::columns::query_file_columns!(@bind [$path] $($arguments)*)
    };
}
pub(crate) use query_file_columns;

/// The counters of a record that a statement returned: `counters_of_row!(row)`. The record has a
/// field for each counter.
macro_rules! counters_of_row {
    (@fields $row:ident $($name:ident: $kind:ident $meaning:literal,)*) => {
        $crate::kernel::bucket::PerCounter { $($name: $row.$name),* }
    };
    ($row:ident) => {
        $crate::kernel::bucket::with_counters!($crate::kernel::database::columns::counters_of_row { @fields $row })
    };
}
pub(crate) use counters_of_row;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::bucket::TokenCounts;

    #[test]
    fn a_row_and_the_columns_of_keys_keep_every_field_in_its_place() {
        let record = TokenCounts::from_values(std::array::from_fn(|place| i64::try_from(place).unwrap()));
        assert_eq!(counters_of_row!(record), record);
        let [user_id, device_id] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let key = BucketKeyRef { user_id, hour_start: DateTime::UNIX_EPOCH, device_id, source: "api", model: "m" };
        let columns: BucketKeyColumns<'_> = [key, key].into_iter().collect();
        assert_eq!((columns.user_ids, columns.hour_starts), (vec![user_id; 2], vec![DateTime::UNIX_EPOCH; 2]));
        assert_eq!(
            (columns.device_ids, columns.sources, columns.models),
            (vec![device_id; 2], vec!["api"; 2], vec!["m"; 2])
        );
    }
}
