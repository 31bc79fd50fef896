//! Finds the database as the server does, migrates and checks it, and finds the server's key.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;

use crate::config::{Config, Database};
use crate::embedded_postgres::{Durability, EmbeddedPostgres, Programs};
use crate::kernel::access::ServerKey;
use crate::kernel::database::schema;

/// A database that was found and is reachable, whatever its state.
#[derive(Debug)]
pub struct Located {
    embedded: Option<EmbeddedPostgres>,
    options: PgConnectOptions,
}

impl Located {
    /// For who changes nothing: joins a private PostgreSQL that runs, or starts it for the duration.
    pub async fn find(config: &Config) -> anyhow::Result<Self> {
        Self::find_with(config, EmbeddedPostgres::join_or_start).await
    }

    async fn find_with(
        config: &Config,
        start: fn(&Path) -> Result<EmbeddedPostgres, crate::embedded_postgres::EmbeddedPostgresError>,
    ) -> anyhow::Result<Self> {
        match &config.database {
            Database::External(options) => Ok(Self { embedded: None, options: options.as_ref().clone() }),
            Database::Embedded => {
                let data_dir = config.data_dir.clone();
                let postgres = tokio::task::spawn_blocking(move || start(&data_dir)).await??;
                let options = postgres.connect_options();
                Ok(Self { embedded: Some(postgres), options })
            }
        }
    }

    /// How to connect as the login, which may do more than the working roles.
    pub const fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Stops what finding started.
    pub async fn close(self) -> anyhow::Result<()> {
        if let Some(postgres) = self.embedded {
            tokio::task::spawn_blocking(move || postgres.stop()).await??;
        }
        Ok(())
    }
}

/// A database that is fit to work with.
#[derive(Debug)]
pub struct Opened {
    located: Located,
    key: ServerKey,
    applied_migrations: usize,
}

impl Opened {
    /// For commands: joins a private PostgreSQL that runs, or starts it for the duration.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        Self::prepare(config, EmbeddedPostgres::join_or_start).await
    }

    /// For the server: runs the private PostgreSQL, and refuses when another process does.
    pub async fn open_to_serve(config: &Config) -> anyhow::Result<Self> {
        Self::prepare(config, |data_dir| EmbeddedPostgres::start(data_dir, Durability::Durable)).await
    }

    async fn prepare(
        config: &Config,
        start: fn(&Path) -> Result<EmbeddedPostgres, crate::embedded_postgres::EmbeddedPostgresError>,
    ) -> anyhow::Result<Self> {
        let located = Located::find_with(config, start).await?;
        match Self::finish(config, &located.options).await {
            Ok((applied_migrations, key)) => Ok(Self { located, key, applied_migrations }),
            Err(error) => {
                located.close().await?;
                Err(error)
            }
        }
    }

    async fn finish(config: &Config, options: &PgConnectOptions) -> anyhow::Result<(usize, ServerKey)> {
        let applied = schema::migrate(options).await?;
        schema::check(options).await?;
        let key = match &config.secret {
            Some(key) => key.clone(),
            None => key_file(&config.data_dir)?,
        };
        Ok((applied, key))
    }

    /// How to connect as the login, which only start-up does.
    pub const fn options(&self) -> &PgConnectOptions {
        self.located.options()
    }

    /// The server's key.
    pub fn key(&self) -> ServerKey {
        self.key.clone()
    }

    /// How many migrations opening applied.
    pub const fn applied_migrations(&self) -> usize {
        self.applied_migrations
    }

    /// True for the private PostgreSQL.
    pub const fn is_embedded(&self) -> bool {
        self.located.embedded.is_some()
    }

    /// The programs of a private PostgreSQL that this process runs.
    pub fn programs(&self) -> Option<Programs> {
        self.located.embedded.as_ref().and_then(EmbeddedPostgres::programs)
    }

    /// Stops what opening started.
    pub async fn close(self) -> anyhow::Result<()> {
        self.located.close().await
    }
}

/// Reads the key, or makes it on first use. It appears whole or not at all, and once: of several commands at the same
/// time one makes it, because a second key would void the tokens that the first has issued meanwhile.
fn key_file(data_dir: &Path) -> anyhow::Result<ServerKey> {
    let path = &data_dir.join("secret.key");
    let exists = || path.try_exists().with_context(|| format!("{} cannot be looked at", path.display()));
    if !exists()? {
        let lock = File::open(data_dir).and_then(|directory| directory.lock().map(|()| directory));
        let _locked = lock.with_context(|| format!("{} cannot be locked", data_dir.display()))?;
        if exists()? {
            return read_key(path);
        }
        let mut random = [0_u8; ServerKey::MIN_BYTES];
        getrandom::fill(&mut random).context("the operating system gives no randomness")?;
        write_private(path, &random)?;
    }
    read_key(path)
}

fn read_key(path: &Path) -> anyhow::Result<ServerKey> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    ServerKey::new(&bytes).with_context(|| {
        format!(
            "{} is too short to be a key; restore it from a backup, or remove it to void all tokens",
            path.display()
        )
    })
}

/// Writes a file that only its owner may read, whole or not at all; two writers at once
/// need a lock of the caller's.
pub fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let write = || -> std::io::Result<()> {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)?;
        // The name is to survive a power cut, too.
        path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}
