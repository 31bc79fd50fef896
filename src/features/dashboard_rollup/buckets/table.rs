//! Buckets as a caller sees them: as JSON objects, as lines, and as rows of a table.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::BucketRow;
use crate::features::dashboard_rollup::media::Media;
use crate::kernel::problem::Problem;

/// One bucket as it stands. Its fields are also the columns of the CSV, in this order.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = StoredBucket)]
pub struct BucketItem {
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
    /// Uncached input.
    input_tokens: i64,
    /// Input served from a prompt cache.
    cache_read_tokens: i64,
    /// Input written to a 5-minute cache.
    cache_write_5m_tokens: i64,
    /// Input written to a 1-hour cache.
    cache_write_1h_tokens: i64,
    /// All output, including reasoning.
    output_tokens: i64,
    /// The part of the output that was reasoning; not added again.
    reasoning_tokens: i64,
    /// Tokens reported only as a total.
    unclassified_tokens: i64,
    /// Input, cache reads and writes, output and unclassified.
    total_tokens: i64,
    /// Model requests.
    request_count: i64,
    /// When the snapshot was taken: by the tracker's word, else when it arrived.
    observed_at: DateTime<Utc>,
    /// When the counts last changed.
    changed_at: DateTime<Utc>,
    /// True where the tracker said when the snapshot was taken.
    stamped: bool,
    /// True where the correction of a backfill stands.
    corrected: bool,
}

impl From<BucketRow> for BucketItem {
    fn from(row: BucketRow) -> Self {
        let [input, cache_read, short_lived, long_lived, output, reasoning, unclassified, total, requests] = row.counts;
        Self {
            hour_start: row.key.hour_start,
            device_id: row.key.device_id,
            source: row.key.source,
            model: row.key.model,
            input_tokens: input,
            cache_read_tokens: cache_read,
            cache_write_5m_tokens: short_lived,
            cache_write_1h_tokens: long_lived,
            output_tokens: output,
            reasoning_tokens: reasoning,
            unclassified_tokens: unclassified,
            total_tokens: total,
            request_count: requests,
            observed_at: row.observed_at,
            changed_at: row.changed_at,
            stamped: row.stamped,
            corrected: row.corrected,
        }
    }
}

/// The columns of the CSV.
const NAMES: [&str; 17] = [
    "hour_start",
    "device_id",
    "source",
    "model",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "unclassified_tokens",
    "total_tokens",
    "request_count",
    "observed_at",
    "changed_at",
    "stamped",
    "corrected",
];

/// A part of a table, or of a file of lines. The first part of a table has the header line.
pub fn encode(media: Media, buckets: Vec<BucketRow>, is_first: bool) -> Result<Vec<u8>, Problem> {
    if media == Media::Csv {
        return encode_csv(buckets, is_first);
    }
    let mut lines = Vec::new();
    for bucket in buckets {
        serde_json::to_writer(&mut lines, &BucketItem::from(bucket)).map_err(Problem::internal)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn encode_csv(buckets: Vec<BucketRow>, is_first: bool) -> Result<Vec<u8>, Problem> {
    let mut table =
        csv::WriterBuilder::new().has_headers(false).terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Written by hand, because a table without rows has its header too.
    if is_first {
        table.write_record(NAMES).map_err(Problem::internal)?;
    }
    for bucket in buckets {
        table.serialize(BucketItem::from(bucket)).map_err(Problem::internal)?;
    }
    table.into_inner().map_err(|error| Problem::internal(error.to_string()))
}
