//! Makes a database fit to serve from: migrated, and with working roles that row-level security binds.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use super::connection::say_goodbye;
use super::limits::in_time;
use crate::kernel::clock::jittered;

/// At a start the database may take this long for each connection, and for each look at it.
const START_LIMIT: Duration = Duration::from_secs(30);
/// All migrations together may take this long: a large table is written anew in minutes.
const MIGRATION_LIMIT: Duration = Duration::from_hours(1);

/// So often a migration is tried that met its locks the other way round than a server that is at work.
const MIGRATION_TRIES: u32 = 5;
const MIGRATION_PAUSE: Duration = Duration::from_millis(500);

/// Why a database is not fit to serve from.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It cannot be reached, or refused something that start-up needs.
    #[error("the database could not be prepared")]
    Database(#[from] sqlx::Error),
    /// A migration failed, or the schema is not one that this release knows.
    #[error("the schema could not be migrated")]
    Migrate(#[from] MigrateError),
    /// A working role could see every user's rows.
    #[error("the roles {0} bypass row-level security; take SUPERUSER and BYPASSRLS away from them")]
    RolesBypassSecurity(String),
}

/// Where the migrator writes down what it has applied.
pub(super) const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

/// The migrations of this release.
pub(super) fn migrator() -> Migrator {
    sqlx::migrate!("./migrations")
}

/// Applies the migrations that are missing and returns how many there were. Safe to run from several processes at once.
///
/// The connection has a lock timeout of its own: a migration that runs outside a transaction cannot set one.
pub async fn migrate(options: &PgConnectOptions) -> Result<usize, SchemaError> {
    let options = options
        .clone()
        .application_name("halfhour migrate")
        .options([("lock_timeout", "5s"), ("client_min_messages", "warning")]);
    let mut connection = connect(&options).await?;
    let applied = in_time(MIGRATION_LIMIT, async { Ok(apply(&mut connection).await) }).await??;
    say_goodbye(connection).await;
    Ok(applied)
}

async fn apply(connection: &mut PgConnection) -> Result<usize, SchemaError> {
    use sqlx::migrate::Migrate as _;
    // The migrator's own lock, which counts: its book is made before it takes the lock itself, and two who make the
    // book at once collide. It ends with the connection.
    connection.lock().await?;
    let before = applied_migrations(connection).await?;
    let mut tries = 1;
    while let Err(error) = migrator().run(&mut *connection).await {
        if tries == MIGRATION_TRIES || !is_deadlock(&error) {
            return Err(error.into());
        }
        tries += 1;
        tokio::time::sleep(jittered(MIGRATION_PAUSE)).await;
    }
    let after = applied_migrations(connection).await?;
    Ok(after.saturating_sub(before))
}

/// Each migration is a transaction, of which a deadlock leaves nothing.
fn is_deadlock(error: &MigrateError) -> bool {
    let MigrateError::ExecuteMigration(error, _) = error else { return false };
    error.as_database_error().and_then(DatabaseError::code).as_deref() == Some("40P01")
}

pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, SchemaError> {
    Ok(in_time(START_LIMIT, PgConnection::connect_with(options)).await?)
}

async fn applied_migrations(connection: &mut PgConnection) -> Result<usize, SchemaError> {
    use sqlx::migrate::Migrate as _;
    connection.ensure_migrations_table(MIGRATIONS_TABLE).await?;
    Ok(connection.list_applied_migrations(MIGRATIONS_TABLE).await?.len())
}

/// Refuses a database whose working roles bypass row-level security. Warns of settings that can lose acknowledged
/// buckets, and of a login that is the working roles without becoming them.
pub async fn check(options: &PgConnectOptions) -> Result<(), SchemaError> {
    let mut connection = connect(options).await?;
    let looked = async {
        let unsafe_roles = unsafe_roles(&mut connection).await?;
        let non_durable_settings = non_durable_settings(&mut connection).await?;
        Ok((unsafe_roles, non_durable_settings, inherited_roles(&mut connection).await?))
    };
    let (unsafe_roles, non_durable_settings, inherited_roles) = in_time(START_LIMIT, looked).await?;
    say_goodbye(connection).await;
    if !unsafe_roles.is_empty() {
        return Err(SchemaError::RolesBypassSecurity(unsafe_roles.join(", ")));
    }
    for setting in non_durable_settings {
        tracing::warn!(setting, "this PostgreSQL setting is off: a crash can lose acknowledged buckets");
    }
    if !inherited_roles.is_empty() {
        let roles = inherited_roles.join(", ");
        tracing::warn!(
            roles,
            "the login of DATABASE_URL inherits these roles and sees every user's rows without `set role`; \
             docs/operations.md says how to grant them without inheritance"
        );
    }
    Ok(())
}

pub(super) async fn unsafe_roles(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_file_scalar!("src/kernel/database/unsafe_roles.sql").fetch_all(connection).await
}

async fn non_durable_settings(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_file_scalar!("src/kernel/database/non_durable_settings.sql").fetch_all(connection).await
}

/// The working roles whose rights the login has although it is no superuser.
async fn inherited_roles(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_file_scalar!("src/kernel/database/inherited_roles.sql").fetch_all(connection).await
}
