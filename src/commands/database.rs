//! Finds the database as the server does, migrates and checks it, and finds the server's key.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;

use super::shutdown::Shutdown;
use crate::config::{Config, Database};
use crate::embedded_postgres::{Durability, EmbeddedPostgres, EmbeddedPostgresError, Programs};
use crate::kernel::access::ServerKey;
use crate::kernel::database::schema::{self, SchemaError};

/// How long the private PostgreSQL may take to end where nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(8);

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
        start: impl FnOnce(&Path) -> Result<EmbeddedPostgres, EmbeddedPostgresError> + Send + 'static,
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
        self.close_by(Instant::now() + PATIENCE).await
    }

    /// The same, so that it has ended at that time.
    pub async fn close_by(self, time: Instant) -> anyhow::Result<()> {
        if let Some(postgres) = self.embedded {
            tokio::task::spawn_blocking(move || postgres.stop_by(time)).await??;
        }
        Ok(())
    }
}

/// A database that is fit to work with.
#[derive(Debug)]
pub struct Opened {
    located: Located,
    key: ServerKey,
    key_is_new: bool,
    applied_migrations: usize,
}

impl Opened {
    /// For commands: joins a private PostgreSQL that runs, or starts it for the duration.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let located = Located::find(config).await?;
        let prepared = Self::finish(config, &located.options).await;
        Self::opened(located, prepared, Instant::now() + PATIENCE).await
    }

    /// For the server: runs the private PostgreSQL, and refuses when another process does. Errors: also when it is told
    /// to stop meanwhile; then nothing is left of it.
    pub async fn open_to_serve(config: &Config, shutdown: &Shutdown) -> anyhow::Result<Self> {
        let interrupt = shutdown.interrupt();
        let start = move |data_dir: &Path| EmbeddedPostgres::start_unless(&interrupt, data_dir, Durability::Durable);
        let located = Located::find_with(config, start).await?;
        let prepared = tokio::select! {
            prepared = Self::finish(config, &located.options) => prepared,
            () = shutdown.token().cancelled() => Err(EmbeddedPostgresError::Interrupted.into()),
        };
        Self::opened(located, prepared, shutdown.within(PATIENCE)).await
    }

    async fn opened(
        located: Located,
        prepared: anyhow::Result<(usize, ServerKey, bool)>,
        stopped_by: Instant,
    ) -> anyhow::Result<Self> {
        match prepared {
            Ok((applied_migrations, key, key_is_new)) => Ok(Self { located, key, key_is_new, applied_migrations }),
            Err(error) => {
                located.close_by(stopped_by).await?;
                Err(error)
            }
        }
    }

    async fn finish(config: &Config, options: &PgConnectOptions) -> anyhow::Result<(usize, ServerKey, bool)> {
        let prepare = async {
            let applied = schema::migrate(options).await?;
            schema::check(options).await?;
            Ok::<_, SchemaError>(applied)
        };
        let applied = prepare.await.map_err(|error| match (&config.database, &error) {
            (Database::External(options), SchemaError::Database(_)) => {
                anyhow::Error::new(error).context(in_words(options))
            }
            _ => error.into(),
        })?;
        let (key, is_new) = match &config.secret {
            Some(key) => (key.clone(), false),
            None => key_file(&config.data_dir)?,
        };
        Ok((applied, key, is_new))
    }

    /// Whether opening made the key.
    pub const fn key_is_new(&self) -> bool {
        self.key_is_new
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
        self.close_by(Instant::now() + PATIENCE).await
    }

    /// The same, so that it has ended at that time.
    pub async fn close_by(self, time: Instant) -> anyhow::Result<()> {
        self.located.close_by(time).await
    }
}

/// Which database it is that cannot be used, without its password, and what to look at.
fn in_words(options: &PgConnectOptions) -> String {
    let place = match options.get_socket() {
        Some(directory) => format!("the socket in {}", directory.display()),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let (database, user) = (options.get_database().unwrap_or("(the user's)"), options.get_username());
    format!(
        "the database could not be prepared, which DATABASE_URL names as {database} at {place}, for the user {user}; look \
         whether it runs there, whether this machine reaches it, and whether user, password and TLS are what it wants"
    )
}

/// Reads the key, and says whether it is new, or makes it on first use. It appears whole or not at all, and once: of several commands at the same
/// time one makes it, because a second key would void the tokens that the first has issued meanwhile.
fn key_file(data_dir: &Path) -> anyhow::Result<(ServerKey, bool)> {
    let path = &data_dir.join("secret.key");
    let exists = || path.try_exists().with_context(|| format!("{} cannot be looked at", path.display()));
    if !exists()? {
        let lock = File::open(data_dir).and_then(|directory| directory.lock().map(|()| directory));
        let _locked = lock.with_context(|| format!("{} cannot be locked", data_dir.display()))?;
        if exists()? {
            return Ok((read_key(path)?, false));
        }
        let mut random = [0_u8; ServerKey::MIN_BYTES];
        getrandom::fill(&mut random).context("the operating system gives no randomness")?;
        write_private(path, &random)?;
        return Ok((read_key(path)?, true));
    }
    Ok((read_key(path)?, false))
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
    write().with_context(|| {
        format!("{} cannot be written; look at the free space and the directory's owner", path.display())
    })
}
