//! The comparison, user by user.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::report::{NotCompared, Report, UserFindings, Window};
use super::store;
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool, is_data_fault};
use crate::kernel::problem::{Code, Problem};

/// Users of one page.
const PAGE: i64 = 500;
/// A page of users, and one user where nothing is said, may take this long.
const LIMIT: Duration = Duration::from_mins(1);

/// Compares. Holds a page of user ids and one user's differing days in memory, never more. Errors: the database's, but
/// for those of one user, which the report lists.
pub async fn verify(pool: &Pool, window: &Window) -> Result<Report, Problem> {
    let mut report = Report::default();
    let mut after = Uuid::nil();
    loop {
        let page = next_users(pool, window, after).await?;
        for user_id in &page {
            match examine(pool, *user_id, window).await {
                Ok(found) => report.add(found),
                Err(problem) => match reason(&problem) {
                    Some(code) => report.add_not_compared(NotCompared { user_id: *user_id, code }),
                    None => return Err(problem),
                },
            }
        }
        match page.last() {
            Some(last) => after = *last,
            None => return Ok(report),
        }
    }
}

/// Compares at most `count` users, taken at random, each for no longer than `limit`. Errors: as those of [`verify`].
pub async fn verify_sample(pool: &Pool, count: usize, limit: Duration) -> Result<Report, Problem> {
    let mut taken = BTreeSet::new();
    let mut tx = pool.begin(&RequestContext::internal(limit), Access::Worker, Mode::Snapshot).await?;
    if let Some(first) = store::users_with_usage(&mut tx, Uuid::nil(), 1).await?.pop() {
        taken.insert(first);
        // Ids begin with the time at which they were made: all of them lie between the first one and now.
        let span = Uuid::now_v7().as_u128().saturating_sub(first.as_u128()).max(1);
        while taken.len() < count {
            let place = Uuid::from_u128(first.as_u128().saturating_add(random() % span));
            match store::users_with_usage(&mut tx, place, 1).await?.pop() {
                Some(user_id) if taken.insert(user_id) => {}
                // Behind the last one, or where somebody was taken already.
                _ => break,
            }
        }
    }
    tx.rollback().await?;
    let window = Window { user_ids: Some(taken.into_iter().collect()), limit: Some(limit), ..Window::default() };
    verify(pool, &window).await
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    // Without randomness the sample is the same each time, which is still a sample.
    let _ = getrandom::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// Why a user could not be compared; `None` where that was nothing of the user's.
fn reason(problem: &Problem) -> Option<String> {
    if problem.code() == Code::DeadlineExceeded {
        return Some("took_too_long".to_owned());
    }
    let error = problem.database_error().filter(|error| is_data_fault(error))?;
    Some(format!("refused_{}", error.as_database_error()?.code()?))
}

async fn next_users(pool: &Pool, window: &Window, after: Uuid) -> Result<Vec<Uuid>, Problem> {
    if let Some(named) = &window.user_ids {
        let mut named: Vec<Uuid> = named.iter().copied().filter(|user_id| *user_id > after).collect();
        named.sort_unstable();
        named.dedup();
        return Ok(named);
    }
    let mut tx = pool.begin(&RequestContext::internal(LIMIT), Access::Worker, Mode::Snapshot).await?;
    let page = store::users_with_usage(&mut tx, after, PAGE).await?;
    tx.rollback().await?;
    Ok(page)
}

async fn examine(pool: &Pool, user_id: Uuid, window: &Window) -> Result<UserFindings, Problem> {
    let context = RequestContext::internal(window.limit.unwrap_or(LIMIT));
    let mut tx = pool.begin(&context, Access::Worker, Mode::Snapshot).await?;
    let days = store::compare_user_days(&mut tx, user_id, window).await?;
    let orphans = store::find_orphans(&mut tx, user_id).await?;
    let (of_unknown_sources, unknown_sources) = store::find_unknown_sources(&mut tx, user_id).await?;
    tx.rollback().await?;
    let (user_days, pending) = days.first().map_or((0, 0), |day| (day.compared, day.pending));
    let drift = days.into_iter().filter_map(|day| day.drift).collect();
    Ok(UserFindings { user_days, pending, drift, orphans, of_unknown_sources, unknown_sources })
}
