//! The buckets of a body on their way into a plan: all of them, or every violation.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::super::store::PLANNING_LOCK;
use super::imported::Imported;
use super::store;
use crate::kernel::database::Tx;
use crate::kernel::problem::{Problem, Violation};

/// Lines of one transaction.
pub const BATCH_LINES: usize = 1_000;

/// Stages all buckets of a body, and says what is wrong with any.
pub async fn stage_body(tx: &mut Tx, job_id: Uuid, buckets: &[Imported]) -> Result<Vec<Violation>, Problem> {
    let mut violations = Vec::new();
    let mut places = BTreeMap::new();
    for (index, bucket) in buckets.iter().enumerate() {
        if places.insert(bucket.key.clone(), index).is_some() {
            violations.push(violation(index, "duplicate_bucket"));
        }
    }
    let rows: Vec<Imported> = places.values().map(|index| buckets[*index].clone()).collect();
    store::hold_off_forgetting(tx, PLANNING_LOCK).await?;
    for chunk in rows.chunks(BATCH_LINES) {
        for (position, code) in store::stage_rows(tx, job_id, chunk).await? {
            violations.push(violation(places[&chunk[position].key], &code));
        }
    }
    Ok(violations)
}

fn violation(index: usize, code: &str) -> Violation {
    let pointer = format!("/buckets/{index}");
    match code {
        "unknown_device" => {
            Violation::new(format!("{pointer}/device_id"), "unknown_device", "This user has no such device.")
        }
        "before_retention_horizon" => {
            let detail = "This half hour is past what is kept of this user.";
            Violation::new(format!("{pointer}/hour_start"), "before_retention_horizon", detail)
        }
        _ => Violation::new(pointer, "duplicate_bucket", "This bucket comes twice."),
    }
}
