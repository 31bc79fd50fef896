//! (a) How many user-days the relay folds in a second, against the same statement run by hand.

use super::Plan;
use super::rollups::Rollups;
use super::support::installation::Installation;
use super::support::table::{Table, median};

/// Events of each user: one for each of the last days.
const DAYS: i32 = 40;

pub async fn rate(on: &mut Installation, rollups: &mut Rollups, plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let (mut product, mut bare) = (Vec::new(), Vec::new());
    let per_second = |user_days: i64, time: std::time::Duration| -> anyhow::Result<f64> {
        Ok(f64::from(i32::try_from(user_days)?) / time.as_secs_f64())
    };
    let days = DAYS.min(plan.days);
    for _ in 0..plan.rounds {
        let user_days = rollups.unfold(days).await?;
        let time = rollups.fold_as_bare_sql().await?;
        rollups.let_the_relay_go().await?;
        bare.push(per_second(user_days, time)?);

        let user_days = rollups.unfold(days).await?;
        rollups.let_the_relay_go().await?;
        let time = on.admin.wait_for_the_relay().await?;
        product.push(per_second(user_days, time)?);
    }
    let measure = "(a) user-days folded, 32 buckets each; raw: the relay's statement in batches of 5,000";
    table.compare(measure, median(product), median(bare), ">= 0.8");
    Ok(())
}
