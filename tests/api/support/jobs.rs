//! Jobs and price books, as commands and workers use them.

use super::{TestApp, context};

impl TestApp {
    /// The price books, as commands use them.
    pub fn books(&self) -> halfhour::features::pricing::Books {
        halfhour::app::books_with(&self.pools.worker, &self.clock)
    }

    /// Puts the prices that this release brings in force, as a server with a PostgreSQL of its own does.
    pub async fn begin_prices(&self) {
        let book = halfhour::app::shipped_book().unwrap();
        self.books().begin_with(&context(), &book).await.unwrap();
    }

    /// Carries jobs on as far as they go without the relay.
    pub async fn work(&self) {
        self.switches().set(halfhour::kernel::operations::switches::Switch::Backfill, true);
        self.app.backfill_worker().run_until_idle().await.unwrap();
    }

    /// Carries jobs to their end.
    pub async fn work_and_fold(&self) {
        self.work().await;
        self.drain().await;
        self.work().await;
    }

    /// The application's own worker of jobs.
    pub fn backfill_worker(&self) -> &halfhour::features::backfill::Worker {
        self.app.backfill_worker()
    }

    /// The jobs, as commands use them.
    pub fn backfills(&self) -> halfhour::features::backfill::Backfills {
        let (pool, wake) = (self.pools.worker.clone(), halfhour::kernel::usage::relay_notifier::Signal::default());
        let prices = halfhour::app::prices_with(&pool, &self.clock);
        halfhour::features::backfill::Backfills::new(pool, self.clock.clone(), wake, 90, prices)
    }
}
