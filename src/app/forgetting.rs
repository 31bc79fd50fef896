//! What of a person who is erased other slices remove: each removes its own part, and the composition root hands it over.

use crate::features::accounts::{Part, Parts, Persons};
use crate::features::{backfill, dashboard_rollup};
use crate::kernel::database::Pool;

/// Persons, and how all of them is removed, through `pool`.
pub(crate) fn persons_with(pool: &Pool) -> Persons {
    let jobs = {
        let (counting, forgetting) = (pool.clone(), pool.clone());
        Part::new(
            move |context, user_id| {
                let pool = counting.clone();
                Box::pin(async move { backfill::count_rows_of(&pool, &context, user_id).await })
            },
            move |context, user_id| {
                let pool = forgetting.clone();
                Box::pin(async move { backfill::forget_rows_of(&pool, &context, user_id).await })
            },
        )
    };
    let rollups = {
        let (counting, forgetting) = (pool.clone(), pool.clone());
        Part::new(
            move |context, user_id| {
                let pool = counting.clone();
                Box::pin(async move { dashboard_rollup::count_rows_of(&pool, &context, user_id).await })
            },
            move |context, user_id| {
                let pool = forgetting.clone();
                Box::pin(async move { dashboard_rollup::forget_rows_of(&pool, &context, user_id).await })
            },
        )
    };
    Persons::new(pool.clone(), Parts { jobs, rollups })
}
