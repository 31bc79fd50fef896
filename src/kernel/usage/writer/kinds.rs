//! Whether a device counts or takes snapshots. Its first post decides, in the transaction that writes
//! it, and a primary key decides between two that come at the same moment. Once the authenticator
//! knows the kind, no post asks for it any more.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::kernel::access::DeviceKind;
use crate::kernel::database::Tx;
use crate::kernel::problem::{Code, Problem};

/// A device, by its owner and itself.
pub(super) type DeviceRef = (Uuid, Uuid);

/// 409: the device does the other thing. `asked` is what the request wants to do.
pub(in crate::kernel::usage) fn other_kind(asked: DeviceKind) -> Problem {
    let detail = match asked {
        DeviceKind::Snapshotting => {
            "This device counts: it has sent OpenTelemetry, whose records are added up here, and a snapshot would \
             replace their sum. Add another device for the tracker; nothing was written."
        }
        DeviceKind::Counting => {
            "This device takes snapshots: a tracker has posted buckets with its token, and the same usage would count \
             twice. Add another device for OpenTelemetry, and let each tool report in one way; nothing was counted."
        }
    };
    Problem::new(Code::Conflict, detail)
}

/// Decides for devices that have not posted yet. Returns what each is from now on. A user who was erased
/// has no kinds; whatever such a device sends is refused by the erasure.
pub(super) async fn decide(
    tx: &mut Tx,
    asked: &BTreeMap<DeviceRef, DeviceKind>,
) -> Result<BTreeMap<DeviceRef, DeviceKind>, Problem> {
    let mut decided = BTreeMap::new();
    // Who lost a race has waited for the winner, whose row a second look shows.
    for _turn in 0..2 {
        if decided.len() < asked.len() {
            decided.extend(decide_kinds(tx, asked).await?);
        }
    }
    Ok(decided)
}

async fn decide_kinds(
    tx: &mut Tx,
    asked: &BTreeMap<DeviceRef, DeviceKind>,
) -> Result<Vec<(DeviceRef, DeviceKind)>, Problem> {
    let (user_ids, device_ids): (Vec<Uuid>, Vec<Uuid>) = asked.keys().copied().unzip();
    let counts: Vec<bool> = asked.values().map(|kind| kind.counts()).collect();
    let rows = sqlx::query_file!("src/kernel/usage/writer/decide_kinds.sql", &user_ids, &device_ids, &counts)
        .fetch_all(tx)
        .await?;
    Ok(rows.into_iter().map(|row| ((row.user_id, row.device_id), DeviceKind::of(row.counts))).collect())
}
