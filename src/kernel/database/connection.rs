//! How a transaction's connection leaves it. Nothing here waits for PostgreSQL without a limit, and no caller waits at all.

use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, PgConnection, Postgres};
use tokio::runtime::Handle;

use super::health::PoolHealth;

/// The driver asks a connection whether it is well before the pool has it back. So long it may take.
const RETURN_LIMIT: Duration = Duration::from_secs(1);
/// Saying goodbye may take this long.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);

/// Back into the pool. A connection that says nothing is closed instead, and its place in the pool is free.
pub(super) fn give_back(mut connection: PoolConnection<Postgres>, health: &Arc<PoolHealth>) {
    let Ok(runtime) = Handle::try_current() else { return abandon(connection) };
    // The driver's own way, which is taken when the connection is dropped, has no limit: a connection that fell silent
    // just behind a commit would keep its place for good.
    let returned = connection.return_to_pool();
    let health = health.clone();
    runtime.spawn(async move {
        if tokio::time::timeout(RETURN_LIMIT, returned).await.is_err() {
            health.fell_silent();
        }
    });
}

/// Closed at once and without a word: for a connection on which nothing comes back. PostgreSQL sees its end, and rolls
/// back.
pub(super) fn abandon(connection: PoolConnection<Postgres>) {
    drop(connection.detach());
}

/// Closed with a goodbye. Its place in the pool is free at once.
pub(super) fn close(connection: PoolConnection<Postgres>) {
    let connection = connection.detach();
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(say_goodbye(connection));
    }
}

/// Closed with a goodbye. Without one PostgreSQL finds out as well.
pub(super) async fn say_goodbye(connection: PgConnection) {
    let _ = tokio::time::timeout(GOODBYE_LIMIT, connection.close()).await;
}
