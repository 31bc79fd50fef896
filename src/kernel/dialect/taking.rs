//! Hands sorted rows to the intake: those of the machine as its device's, those of accounts as of the one device that their
//! owner has for them.

use std::collections::{BTreeMap, BTreeSet};

use super::enrolment::Enrolment;
use super::protocol::{Dialect, Objection};
use super::rows::{Placed, Sorted, sort};
use crate::kernel::access::{Device, Granted};
use crate::kernel::problem::Problem;
use crate::kernel::usage::intake::{Begun, Draft, Intake, estimated_places};
use crate::kernel::usage::writer::Verdict;

/// What became of the rows of a report. What was taken is durable, or of no consequence.
#[derive(Debug, Default)]
pub struct Taken {
    /// Stored, or stored before.
    pub accepted: usize,
    /// Not stored, because another version of the bucket stands: a newer one, or one that its owner or an operator decided.
    pub outweighed: usize,
    /// Not taken, by reason.
    pub skipped: BTreeMap<Objection, usize>,
    /// The tools that may not report, as the tracker spells them.
    pub unlisted: BTreeSet<String>,
    /// What is left of the device's allowance.
    pub granted: Option<Granted>,
}

/// Posts a report that began to arrive at `begun`. Errors: those of [`Dialect::read`] and of [`Intake::post`]; sending the
/// whole again is safe.
pub async fn take(
    intake: &Intake,
    enrolment: &Enrolment,
    device: &Device,
    begun: Begun,
    (dialect, body): (&Dialect, &[u8]),
) -> Result<Taken, Problem> {
    // Looked at before it is parsed: what is too much, or comes while nothing is taken, costs nothing more.
    let draft = intake.admit(estimated_places(body, dialect.mark))?;
    let Sorted { own, of_account, skipped, unlisted } = sort((dialect.read)(body)?, dialect, &draft);
    let mut taken = Taken { skipped, unlisted, ..Taken::default() };
    taken.post(intake, device, (begun, dialect), own).await?;
    if !of_account.is_empty() {
        let found = enrolment.account_device(device.context().clone(), device.user_id()).await?;
        taken.post(intake, &device.on_behalf_of(found), (begun, dialect), of_account).await?;
    }
    if !taken.skipped.is_empty() {
        let (request_id, dialect) = (device.context().request_id, dialect.name);
        let skipped = serde_json::to_string(&taken.skipped).unwrap_or_default();
        tracing::info!(%request_id, dialect, skipped, "rows of a tracker's report were not taken");
    }
    Ok(taken)
}

impl Taken {
    /// How many rows were not taken.
    pub fn skipped(&self) -> usize {
        self.skipped.values().sum()
    }

    async fn post(
        &mut self,
        intake: &Intake,
        device: &Device,
        (begun, dialect): (Begun, &Dialect),
        placed: Vec<Placed>,
    ) -> Result<(), Problem> {
        let mut draft: Draft = intake.admit(placed.len())?.begun(begun).spoken(dialect.name);
        let mut rows = Vec::with_capacity(placed.len());
        for Placed { snapshot, rows: of_it } in placed {
            draft.add(snapshot);
            rows.push(of_it);
        }
        let receipt = intake.post(device, draft).await?;
        for (verdict, rows) in receipt.verdicts.iter().zip(rows) {
            self.count(*verdict, rows);
        }
        self.granted = receipt.granted.or(self.granted);
        Ok(())
    }

    fn count(&mut self, verdict: Verdict, rows: usize) {
        match verdict {
            Verdict::Inserted | Verdict::Updated | Verdict::Unchanged => self.accepted += rows,
            Verdict::Stale | Verdict::Superseded | Verdict::Corrected | Verdict::Kept => self.outweighed += rows,
            Verdict::Erased | Verdict::BeforeRetentionHorizon | Verdict::Rejected => {
                *self.skipped.entry(verdict.as_str()).or_default() += rows;
            }
        }
    }
}
