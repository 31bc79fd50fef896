//! What is in the database: its clock, the switches, the events that wait, tokens, and whether rollups are right.

use std::time::Duration;

use super::finding::Finding;
use crate::features::accounts::{IDLE_DAYS, OLD_DAYS, Tokens};
use crate::features::dashboard_rollup::verify_sample;
use crate::features::operations::Switchboard;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::follow_database_clock;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::operations::switches::{Switch, Switches};
use crate::kernel::problem::Problem;
use crate::kernel::usage::outbox::{Backlog, measure_backlog};

/// A check may work on the database for so long, and is given up a little later.
const LIMIT: Duration = Duration::from_secs(8);
const PATIENCE: Duration = Duration::from_secs(10);
/// Users whose rollups are compared, and how long each may take.
const SAMPLE: usize = 5;
const SAMPLE_LIMIT: Duration = Duration::from_secs(4);
const SAMPLE_PATIENCE: Duration = Duration::from_secs(30);

/// An offset between the clocks that nobody notices, in milliseconds.
const SMALL_OFFSET_MS: i64 = 1_000;
/// Trackers' clocks may be so far ahead.
const LARGE_OFFSET_MS: i64 = 300_000;
/// A change is folded within a second, unless something is wrong.
const OLD_S: i64 = 10;
const TOO_OLD_S: i64 = 600;

/// All of them, where the schema is not this release's.
pub fn not_checked() -> impl Iterator<Item = Finding> {
    let checks = ["clock", "switches", "backlog", "parked", "tokens", "drift"];
    checks.into_iter().map(|check| Finding::not_checked(check, "The schema is not that of this release."))
}

/// How far apart the clocks of this machine and of the database are; sets `clock` by the database's.
pub async fn clock(pool: &Pool, clock: &Clock) -> Finding {
    match within(PATIENCE, follow_database_clock(pool, clock)).await {
        Ok(()) => clock_finding(clock.offset_us() / 1_000),
        Err(why) => failed("clock", &why),
    }
}

fn clock_finding(offset_ms: i64) -> Finding {
    const CHECK: &str = "clock";
    let found = format!("The database's clock is {offset_ms} ms ahead of this machine's.");
    let advice = "see that both machines follow a time server (chronyc tracking, timedatectl)";
    let means = "the server follows the database's clock, but one of the two is wrong, and what trackers stamp is compared \
                 with it";
    match offset_ms.saturating_abs() {
        small if small <= SMALL_OFFSET_MS => Finding::ok(CHECK, found),
        middling if middling <= LARGE_OFFSET_MS => Finding::warning(CHECK, found, means, advice),
        _ => Finding::failure(
            CHECK,
            found,
            "snapshots of trackers with a right clock may be refused, or win over newer ones",
            advice,
        ),
    }
}

/// Whether an operator has switched something off.
pub async fn switches(pool: &Pool, clock: &Clock) -> Finding {
    const CHECK: &str = "switches";
    let switchboard = Switchboard::new(pool.clone(), clock.clone(), Switches::at_start());
    let thrown = match within(PATIENCE, switchboard.read(&RequestContext::internal(LIMIT))).await {
        Ok(thrown) => thrown,
        Err(why) => return failed(CHECK, &why),
    };
    let off = Switch::ALL
        .into_iter()
        .filter_map(|switch| thrown.iter().find(|thrown| thrown.switch == switch && !thrown.is_on));
    let off: Vec<_> = off.map(|thrown| format!("{} ({})", thrown.switch.as_str(), thrown.reason)).collect();
    if off.is_empty() {
        return Finding::ok(CHECK, "All are on.");
    }
    let advice = "switch it on again when the reason is gone: PUT /v1/switches/{name}";
    Finding::warning(CHECK, format!("Switched off: {}.", off.join(", ")), "that kind of work rests everywhere", advice)
}

/// What waits to be folded, and what was set aside.
pub async fn backlog(pool: &Pool, clock: &Clock) -> [Finding; 2] {
    match within(PATIENCE, waiting(pool)).await {
        Ok(lanes) => {
            let oldest = lanes.iter().filter_map(|lane| lane.oldest_at).min();
            let age_s = oldest.map_or(0, |oldest| (clock.now() - oldest).num_seconds().max(0));
            let sum = |count: fn(&Backlog) -> i64| lanes.iter().map(count).sum();
            [backlog_finding(sum(|lane| lane.waiting), age_s), parked_finding(sum(|lane| lane.parked))]
        }
        Err(why) => [failed("backlog", &why), failed("parked", &why)],
    }
}

async fn waiting(pool: &Pool) -> Result<Vec<Backlog>, Problem> {
    let mut tx = pool.begin(&RequestContext::internal(LIMIT), Access::Worker, Mode::Snapshot).await?;
    let lanes = measure_backlog(&mut tx).await?;
    tx.rollback().await?;
    Ok(lanes)
}

fn backlog_finding(waiting: i64, age_s: i64) -> Finding {
    const CHECK: &str = "backlog";
    let found = format!("{waiting} event(s) wait to be folded, the oldest for {age_s} s.");
    let means = "rollups are as old as that; nothing is lost, and posts are still taken";
    let advice = "see that a server runs, that the switch relay is on, and what relay_round lines of the log say";
    match age_s {
        young if young <= OLD_S => Finding::ok(CHECK, found),
        old if old <= TOO_OLD_S => Finding::warning(CHECK, found, means, advice),
        _ => Finding::failure(CHECK, found, means, advice),
    }
}

fn parked_finding(parked: i64) -> Finding {
    const CHECK: &str = "parked";
    let found = format!("{parked} event(s) are set aside.");
    if parked == 0 {
        return Finding::ok(CHECK, found);
    }
    let means = "their folds failed ten times through their own data, so that some days of some users are not right";
    let advice =
        "GET /v1/status says whose, which day and why; put that right, then replay the days: they are consumed";
    Finding::failure(CHECK, found, means, advice)
}

/// Tokens that were forgotten, or should have been replaced.
pub async fn tokens(pool: &Pool, clock: &Clock) -> Finding {
    const CHECK: &str = "tokens";
    let context = RequestContext::internal(LIMIT);
    let ages = match within(PATIENCE, Tokens::ages(pool, &context, clock.now())).await {
        Ok(ages) => ages,
        Err(why) => return failed(CHECK, &why),
    };
    let mut found = vec![format!("{} token(s) work", ages.working)];
    let (mut means, mut advice) = (Vec::new(), Vec::new());
    if ages.expiring_in_use > 0 {
        found.push(format!("{} of them end within minutes and are still used", ages.expiring_in_use));
        means.push("a device or dashboard that did not get its new token is going to be refused");
        advice.push("give it the token that `halfhour token rotate` printed, or issue another one");
    }
    if ages.idle > 0 {
        found.push(format!("{} were not used for {IDLE_DAYS} days", ages.idle));
        means.push("a forgotten token is one that nobody misses when it is stolen");
        advice.push("`halfhour token list` says when each was used; revoke what is not needed");
    }
    if ages.old_operators > 0 {
        found.push(format!("{} operators' tokens are older than {OLD_DAYS} days", ages.old_operators));
        means.push("an operator's token may change history");
        advice.push("`halfhour token rotate TOKEN_ID`");
    }
    let found = found.join("; ") + ".";
    if advice.is_empty() {
        Finding::ok(CHECK, found)
    } else {
        Finding::warning(CHECK, found, &means.join("; "), &advice.join("; "))
    }
}

/// Whether the rollups of some users are what their buckets say.
pub async fn drift(pool: &Pool) -> Finding {
    const CHECK: &str = "drift";
    let report = match within(SAMPLE_PATIENCE, verify_sample(pool, SAMPLE, SAMPLE_LIMIT)).await {
        Ok(report) => report,
        Err(why) => return failed(CHECK, &why),
    };
    let found = format!(
        "{} day(s) of {} user(s) taken at random: {} with drift, {} orphan(s), {} bucket(s) of unknown tools, {} not \
         compared.",
        report.user_days, report.users, report.drifted, report.orphaned, report.of_unknown_sources, report.not_compared
    );
    if report.is_clean() {
        return Finding::ok(CHECK, found);
    }
    let means =
        "a rollup is not what its buckets say, or could not be compared, so that dashboards may show wrong sums";
    Finding::failure(
        CHECK,
        found,
        means,
        "`halfhour verify` compares everything and says which days; a replay heals drift",
    )
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Problem>>) -> Result<T, String> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(problem)) => Err(super::super::output::explain(&problem).to_string()),
        Err(_overdue) => Err(format!("no answer within {} s", limit.as_secs())),
    }
}

fn failed(check: &'static str, why: &str) -> Finding {
    let means = "the database is overloaded, silent, or refuses what the server needs as well";
    Finding::failure(check, format!("It could not be asked: {why}"), means, "see what PostgreSQL's log says")
}

#[cfg(test)]
mod tests {
    use super::super::finding::FindingState;
    use super::*;

    #[test]
    fn clocks_that_are_apart_are_found_whichever_is_ahead() {
        for (offset_ms, expected) in [
            (0, FindingState::Ok),
            (-SMALL_OFFSET_MS, FindingState::Ok),
            (SMALL_OFFSET_MS + 1, FindingState::Warning),
            (-LARGE_OFFSET_MS, FindingState::Warning),
            (LARGE_OFFSET_MS + 1, FindingState::Failure),
            (i64::MIN, FindingState::Failure),
        ] {
            assert_eq!(clock_finding(offset_ms).state, expected, "{offset_ms}");
        }
    }

    #[test]
    fn a_backlog_is_judged_by_its_age_and_not_by_its_size() {
        for (waiting, age_s, expected) in [
            (1_000_000, 0, FindingState::Ok),
            (1, OLD_S, FindingState::Ok),
            (1, OLD_S + 1, FindingState::Warning),
            (1, TOO_OLD_S + 1, FindingState::Failure),
        ] {
            assert_eq!(backlog_finding(waiting, age_s).state, expected, "{age_s}");
        }
        assert_eq!([0, 1].map(|parked| parked_finding(parked).state), [FindingState::Ok, FindingState::Failure]);
    }
}
