//! Columns of many buckets, as statements take them: one array for each, which `unnest` turns into rows.

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

/// `sqlx::query_file!` for a statement that takes columns of buckets. Among its arguments `key_columns = keys,` stands for
/// the arrays of a [`BucketKeyColumns`], and `count_columns = counts,` for those of a `PerCounter<Vec<i64>>`, both in the
/// order of the columns. Every argument ends with a comma.
macro_rules! query_file_columns {
    (@bind [$path:literal $($bound:tt)*]) => {
        ::sqlx::query_file!($path $($bound)*)
    };
    (@bind [$($bound:tt)*] key_columns = $keys:ident, $($rest:tt)*) => {
        $crate::kernel::database::query_file_columns!(@bind [
            $($bound)*,
            &$keys.user_ids,
            &$keys.hour_starts,
            &$keys.device_ids,
            &$keys.sources as &[&str],
            &$keys.models as &[&str]
        ] $($rest)*)
    };
    (@bind [$($bound:tt)*] count_columns = $counts:ident, $($rest:tt)*) => {
        $crate::kernel::bucket::with_counters!($crate::kernel::database::query_file_columns {
            @bind_counts [$($bound)*] $counts [$($rest)*]
        })
    };
    (@bind [$($bound:tt)*] $argument:expr, $($rest:tt)*) => {
        $crate::kernel::database::query_file_columns!(@bind [$($bound)*, $argument] $($rest)*)
    };
    (@bind_counts [$($bound:tt)*] $counts:ident [$($rest:tt)*] $($name:ident: $meaning:literal,)*) => {
        $crate::kernel::database::query_file_columns!(@bind [$($bound)* $(, &$counts.$name)*] $($rest)*)
    };
    ($path:literal, $($arguments:tt)*) => {
        $crate::kernel::database::query_file_columns!(@bind [$path] $($arguments)*)
    };
}
pub(crate) use query_file_columns;
