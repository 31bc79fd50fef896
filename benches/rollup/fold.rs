//! (a) How many user-days the relay folds in a second, against the same statement run by hand, and (r) two relays against
//! one.

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

/// Pairs of one and two relays.
const PAIRS: u32 = 5;
/// Days of each user that are to be folded in each of them: 102,400 user-days.
const BACKLOG_DAYS: i32 = 200;

/// (r) A backlog, folded by one relay and by two.
pub async fn relays(
    on: &mut Installation,
    rollups: &mut Rollups,
    plan: &Plan,
    table: &mut Table,
) -> anyhow::Result<()> {
    let days = BACKLOG_DAYS.min(plan.days);
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        for (relays, rates) in [("1", &mut one), ("2", &mut two)] {
            on.restart_server_with(&[("HALFHOUR_RELAYS", relays)]).await?;
            let user_days = rollups.unfold(days).await?;
            rollups.let_the_relay_go().await?;
            let time = on.admin.wait_for_the_relay().await?;
            rates.push(f64::from(i32::try_from(user_days)?) / time.as_secs_f64());
        }
    }
    on.restart_server().await?;
    table.pairs(
        format!("(r) user-days folded by two relays, {days} days of each user; against one"),
        &two,
        &one,
        ">= 1.6",
    );
    Ok(())
}
