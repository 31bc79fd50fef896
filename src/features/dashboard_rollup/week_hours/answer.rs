//! The answer to what was used in each hour of the week.

use chrono::{DateTime, TimeDelta, Utc};

use super::store;
use crate::features::dashboard_rollup::buckets::first_instant;
use crate::features::dashboard_rollup::range::{Cap, CapUnit, DayRange, Scope};
use crate::features::dashboard_rollup::rollups::WholeRequest;
use crate::features::dashboard_rollup::snapshot::OpenSnapshot;
use crate::kernel::bucket::HALF_HOUR_S;
use crate::kernel::problem::Problem;

/// So many buckets are read at most: more than a year of three devices has.
const MOST_BUCKETS: i64 = 20_000;

const DAYS: Cap = Cap { most: 800, unit: CapUnit::Days, of: "hours of the week", instead: "" };

/// Tokens by day of the week, from Monday on, and by hour of the local clock.
#[derive(Clone, Copy, Debug)]
pub struct WeekHours {
    /// The tokens.
    pub tokens: [[u128; 24]; 7],
    /// Where it begins later than the range, and why.
    pub later: Option<LaterStart>,
}

/// Why not the whole range is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaterStart {
    /// There are more buckets than are read. The newest are, from this half hour on.
    TooMany(DateTime<Utc>),
    /// Retention has removed buckets before this instant.
    Removed(DateTime<Utc>),
}

impl OpenSnapshot<WholeRequest> {
    /// What was used in each hour of the week, of the newest buckets of a range. Errors: 422 for a range that is reversed or
    /// too long; the database's.
    pub async fn week_hours(&mut self, days: DayRange) -> Result<WeekHours, Problem> {
        if let Some(violation) = days.violation(&DAYS) {
            return Err(Problem::invalid(vec![violation]));
        }
        let Self { tx, user_id, state, request, .. } = self;
        let scope = Scope { user_id: *user_id, days, filters: &request.filters, time_zone: state.time_zone() };
        let first = first_instant(tx, days.from, state.time_zone()).await?;
        let since = state.removed_before(tx, *user_id, first).await?;
        let found = store::week_hours(tx, &scope, since, MOST_BUCKETS + 1).await?;
        let cut = found.behind.map(|behind| LaterStart::TooMany(behind + TimeDelta::seconds(HALF_HOUR_S)));
        let mut tokens = [[0; 24]; 7];
        for (weekday, hour, count) in found.hours {
            let place = usize::try_from(weekday).ok().zip(usize::try_from(hour).ok());
            let Some((day, at)) = place.filter(|(day, at)| *day < 7 && *at < 24) else {
                return Err(Problem::internal(format!("no week has hour {hour} of day {weekday}")));
            };
            tokens[day][at] += count;
        }
        Ok(WeekHours { tokens, later: cut.or(since.map(LaterStart::Removed)) })
    }
}
