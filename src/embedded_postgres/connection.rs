//! Connections of the supervisor's own. The first one proves that the server and the password are
//! right, and makes the database. Others ask or tell the running server something.

use super::bounded::GoOn;
use super::error::EmbeddedPostgresError;
use super::layout::{Layout, Password};
use super::runtime;
use super::settings::{DATABASE, SUPERUSER};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Row};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// How long the first connection to a server that says it is ready may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a running server may take to say something about itself.
const QUESTION_LIMIT: Duration = Duration::from_secs(5);

/// How long a checkpoint may take.
const CHECKPOINT_LIMIT: Duration = Duration::from_mins(2);

/// SQLSTATEs of the first connection: the database is missing; the server is starting or ending; another
/// process has just made the database.
const UNDEFINED_DATABASE: &str = "3D000";
const COMING_OR_GOING: [&str; 2] = ["57P01", "57P03"];
const MADE_MEANWHILE: [&str; 2] = ["42P04", "23505"];

/// How to reach the server behind a socket.
pub(super) fn connect_options(socket_dir: &Path, port: u16, password: &Password) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket_dir)
        .port(port)
        .username(SUPERUSER)
        .password(password.reveal())
        .database(DATABASE)
        .ssl_mode(PgSslMode::Disable)
}

/// Connects once, which proves that the server and the password are right, and creates the database if
/// it is missing.
pub(super) fn ensure_database(options: &PgConnectOptions, layout: &Layout) -> Result<(), EmbeddedPostgresError> {
    let attempt = || async {
        timeout(CONNECT_TIMEOUT, connect_or_create(options))
            .await
            .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
    };
    runtime::block_on(attempt)
        .map_err(EmbeddedPostgresError::Thread)?
        .map_err(|source| EmbeddedPostgresError::Connect { source, log: layout.log() })
}

async fn connect_or_create(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    match options.connect().await {
        Ok(connection) => return connection.close().await,
        Err(error) if has_code(&error, &[UNDEFINED_DATABASE]) => {}
        Err(error) => return Err(error),
    }
    let mut connection = PgConnection::connect_with(&options.clone().database("postgres")).await?;
    match connection.execute("create database halfhour").await {
        Err(error) if !has_code(&error, &MADE_MEANWHILE) => Err(error),
        _ => connection.close().await,
    }
}

fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| codes.contains(&code.as_ref()))
}

/// Whether the server went away between its report and the connection, as in a restart.
pub(super) fn is_passing(error: &EmbeddedPostgresError) -> bool {
    let EmbeddedPostgresError::Connect { source, .. } = error else {
        return false;
    };
    matches!(source, sqlx::Error::Io(_)) || has_code(source, &COMING_OR_GOING)
}

/// Where the running server looks for its libraries. `None` where it does not say.
pub(super) fn library_directory(options: &PgConnectOptions, go_on: GoOn<'_>) -> Option<PathBuf> {
    let question = || async {
        let mut connection = options.connect().await?;
        let row = connection.fetch_one("select setting from pg_config where name = 'PKGLIBDIR'").await?;
        connection.close().await?;
        row.try_get::<String, _>(0)
    };
    runtime::block_on_within(QUESTION_LIMIT, go_on, question).ok()?.ok().map(PathBuf::from)
}

/// Whether somebody else's statement runs or transaction is open just now. An unanswered question counts as yes.
pub(super) fn is_busy(options: &PgConnectOptions, go_on: GoOn<'_>) -> bool {
    let question = || async {
        let mut connection = options.connect().await?;
        let sql = "select exists (select from pg_stat_activity where backend_type = 'client backend' \
                   and state <> 'idle' and pid <> pg_backend_pid())";
        let row = connection.fetch_one(sql).await?;
        connection.close().await?;
        row.try_get::<bool, _>(0)
    };
    !matches!(runtime::block_on_within(QUESTION_LIMIT, go_on, question), Ok(Ok(false)))
}

/// Has everything written to its place, so that the server can end, and start again, without much to write. False where
/// that did not come to its end.
pub(super) fn checkpoint(options: &PgConnectOptions, go_on: GoOn<'_>) -> bool {
    let order = || async {
        let mut connection = options.connect().await?;
        connection.execute("checkpoint").await?;
        connection.close().await
    };
    matches!(runtime::block_on_within(CHECKPOINT_LIMIT, go_on, order), Ok(Ok(())))
}
