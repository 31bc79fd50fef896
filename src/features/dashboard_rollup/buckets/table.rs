//! Buckets as a caller sees them: as JSON objects, as lines, and as rows of a table.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::store::BucketRow;
use crate::features::dashboard_rollup::cells::Cells;
use crate::features::dashboard_rollup::media::Media;
use crate::features::dashboard_rollup::sums::counter_fields;
use crate::kernel::bucket::TokenCounts;
use crate::kernel::http::counters::{ShownCounts, joined};
use crate::kernel::problem::Problem;

/// One bucket as it stands. Its fields are also the columns of the CSV, in this order.
#[derive(Clone, Debug, Serialize)]
pub struct BucketItem {
    #[serde(flatten)]
    key: ItemKey,
    #[serde(flatten)]
    counts: ShownCounts,
    #[serde(flatten)]
    version: ItemVersion,
}

/// One bucket as it stands. Its fields are also the columns of the CSV, in this order.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ItemKey {
    /// The start of the half hour.
    hour_start: DateTime<Utc>,
    /// The device that measured it.
    device_id: Uuid,
    /// The tool.
    #[schema(example = "claude-code")]
    source: String,
    /// The model.
    #[schema(example = "claude-opus-4-5")]
    model: String,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
struct ItemVersion {
    /// When the snapshot was taken: by the tracker's word, else when it arrived.
    observed_at: DateTime<Utc>,
    /// When the counts last changed.
    changed_at: DateTime<Utc>,
    /// True where the tracker said when the snapshot was taken.
    stamped: bool,
    /// True where the correction of a backfill stands.
    corrected: bool,
}

/// The columns of the CSV before those of the counters.
const KEY_NAMES: [&str; 4] = ["hour_start", "device_id", "source", "model"];
/// The columns of the CSV behind those of the counters.
const VERSION_NAMES: [&str; 4] = ["observed_at", "changed_at", "stamped", "corrected"];

impl From<BucketRow> for BucketItem {
    fn from(row: BucketRow) -> Self {
        let BucketRow { key, counts, observed_at, changed_at, stamped, corrected } = row;
        Self {
            key: ItemKey { hour_start: key.hour_start, device_id: key.device_id, source: key.source, model: key.model },
            counts: ShownCounts(counts),
            version: ItemVersion { observed_at, changed_at, stamped, corrected },
        }
    }
}

impl ToSchema for BucketItem {
    fn name() -> Cow<'static, str> {
        "StoredBucket".into()
    }
}

impl PartialSchema for BucketItem {
    fn schema() -> RefOr<Schema> {
        joined([ItemKey::schema(), counter_fields::<i64>(), ItemVersion::schema()])
    }
}

/// How buckets are written down.
#[derive(Clone, Copy, Debug)]
pub struct Notation {
    /// As what.
    pub media: Media,
    /// How names stand in a table.
    pub cells: Cells,
}

/// A part of a table, or of a file of lines. The first part of a table has the header line.
pub fn encode(notation: Notation, buckets: Vec<BucketRow>, is_first: bool) -> Result<Vec<u8>, Problem> {
    if notation.media == Media::Csv {
        return encode_csv(notation.cells, buckets, is_first);
    }
    let mut lines = Vec::new();
    for bucket in buckets {
        serde_json::to_writer(&mut lines, &BucketItem::from(bucket)).map_err(Problem::internal)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn encode_csv(cells: Cells, buckets: Vec<BucketRow>, is_first: bool) -> Result<Vec<u8>, Problem> {
    let mut table =
        csv::WriterBuilder::new().has_headers(false).terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Written by hand, because a table without rows has its header too.
    if is_first {
        let names = KEY_NAMES.into_iter().chain(TokenCounts::NAMES_WITH_TOTAL).chain(VERSION_NAMES);
        table.write_record(names).map_err(Problem::internal)?;
    }
    for bucket in buckets {
        let BucketItem { mut key, counts: ShownCounts(counts), version } = bucket.into();
        if let Cow::Owned(marked) = cells.cell(&key.model) {
            key.model = marked;
        }
        table.serialize((key, counts, version)).map_err(Problem::internal)?;
    }
    table.into_inner().map_err(|error| Problem::internal(error.to_string()))
}
