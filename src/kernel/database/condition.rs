//! What a database is like, for whoever examines it. Nothing is changed, and a database that was never migrated, or by a
//! newer release, is no error.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use sqlx::migrate::Migrate as _;
use sqlx::postgres::PgConnectOptions;

use super::connection::say_goodbye;
use super::schema::{MIGRATIONS_TABLE, SchemaError, connect, migrator, unsafe_roles};

/// What a database is like.
#[derive(Clone, Debug)]
pub struct DatabaseCondition {
    /// How its server is set.
    pub server: ServerSettings,
    /// Working roles that bypass row-level security.
    pub unsafe_roles: Vec<String>,
    /// What has become of the migrations.
    pub migrations: MigrationsState,
}

/// How a server is set, in its own words.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Such as 17.2.
    pub version: String,
    /// Such as 170002.
    pub version_number: i32,
    /// `on` or `off`.
    pub fsync: String,
    /// `on` or `off`.
    pub full_page_writes: String,
    /// `on`, `off`, `local` and others.
    pub synchronous_commit: String,
    /// How many connections it admits.
    pub max_connections: i32,
}

/// What has become of the migrations that this release has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationsState {
    /// How many there are.
    pub known: usize,
    /// Those that were not applied.
    pub missing: Vec<i64>,
    /// Applied by a release that has more.
    pub unknown: Vec<i64>,
    /// Applied with another content.
    pub changed: Vec<i64>,
    /// Begun outside of a transaction, and not ended.
    pub unfinished: Option<i64>,
}

impl MigrationsState {
    /// Whether the schema is exactly that of this release.
    pub fn is_complete(&self) -> bool {
        *self == Self { known: self.known, ..Self::default() }
    }
}

/// Looks at a database. Errors: it cannot be reached, or refuses to be looked at.
pub async fn examine(options: &PgConnectOptions) -> Result<DatabaseCondition, SchemaError> {
    let options = options.clone().application_name("halfhour doctor");
    let mut connection = connect(&options).await?;
    let server = server_settings(&mut connection).await?;
    let unsafe_roles = unsafe_roles(&mut connection).await?;
    let migrations = migrations_state(&mut connection).await?;
    say_goodbye(connection).await;
    Ok(DatabaseCondition { server, unsafe_roles, migrations })
}

async fn server_settings(connection: &mut PgConnection) -> Result<ServerSettings, SchemaError> {
    let query = sqlx::query_file_as!(ServerSettings, "src/kernel/database/server_settings.sql");
    Ok(query.fetch_one(connection).await?)
}

async fn has_migrations_table(connection: &mut PgConnection) -> Result<bool, SchemaError> {
    Ok(sqlx::query_file_scalar!("src/kernel/database/has_migrations_table.sql").fetch_one(connection).await?)
}

async fn migrations_state(connection: &mut PgConnection) -> Result<MigrationsState, SchemaError> {
    let (mut applied, mut unfinished) = (BTreeMap::new(), None);
    if has_migrations_table(connection).await? {
        let listed = connection.list_applied_migrations(MIGRATIONS_TABLE).await?;
        applied.extend(listed.into_iter().map(|migration| (migration.version, migration.checksum)));
        unfinished = connection.dirty_version(MIGRATIONS_TABLE).await?;
    }
    let migrator = migrator();
    let mut state = MigrationsState { unfinished, ..MigrationsState::default() };
    for migration in migrator.iter() {
        state.known += 1;
        match applied.remove(&migration.version) {
            None => state.missing.push(migration.version),
            Some(checksum) if checksum != migration.checksum => state.changed.push(migration.version),
            Some(_) => {}
        }
    }
    state.unknown.extend(applied.into_keys());
    Ok(state)
}
