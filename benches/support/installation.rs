//! What is measured: the real server as a process of its own, on a durable PostgreSQL on the real disk.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use halfhour::config::VARIABLES;
use halfhour::embedded_postgres::{Durability, EmbeddedPostgres};
use halfhour::features::accounts::Accounts;
use halfhour::kernel::access::{Actor, ServerKey, TokenKind};
use halfhour::kernel::bucket::HalfHour;
use halfhour::kernel::call::RequestContext;
use halfhour::kernel::clock::Clock;
use halfhour::kernel::database::Pool;
use halfhour::kernel::problem::Problem;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::admin::Admin;
use super::client::Client;
use super::posts::Device;

const SECRET: &str = "the benchmark's key, which is no secret";

/// Devices with an account, a user each; and as many that raw SQL writes for.
pub const DEVICES: u32 = 512;

/// New buckets of an installation with a past begin so many days ago.
const RECENT_DAYS: i64 = 60;

/// PostgreSQL and its files, which go when this value goes.
pub struct Cluster {
    postgres: Option<EmbeddedPostgres>,
    folder: PathBuf,
}

impl Cluster {
    /// Blocks, outside of any runtime.
    pub fn start() -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-postgres-{}", std::process::id()));
        let postgres = EmbeddedPostgres::start(&folder, Durability::Durable)?;
        Ok(Self { postgres: Some(postgres), folder })
    }

    /// What PostgreSQL writes.
    pub fn log(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    fn database(&self, name: &str) -> anyhow::Result<PgConnectOptions> {
        let postgres = self.postgres.as_ref().context("PostgreSQL was stopped")?;
        Ok(postgres.connect_options().database(name))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.postgres.take());
        // What remains is in the build folder and is harmless.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A database, the server on it, and devices.
pub struct Installation {
    pub server: Server,
    pub database: PgConnectOptions,
    pub admin: Admin,
    /// With an account.
    pub devices: Vec<Arc<Device>>,
    /// Only raw SQL writes for them.
    pub raw_devices: Vec<Arc<Device>>,
    log: PathBuf,
    program: PathBuf,
    /// Buckets that were acknowledged as inserted, or filled in.
    pub expected: i64,
}

impl Installation {
    /// A fresh database with the release's prices in force, and `half_hours` of past for every device, eight buckets each.
    pub async fn new(cluster: &Cluster, name: &str, half_hours: i64) -> anyhow::Result<Self> {
        Self::of(Path::new(env!("CARGO_BIN_EXE_halfhour")), cluster, name, half_hours).await
    }

    /// The same, served by this build of the program.
    pub async fn of(program: &Path, cluster: &Cluster, name: &str, half_hours: i64) -> anyhow::Result<Self> {
        Admin::connect(&cluster.database("postgres")?).await?.run(format!("create database {name}")).await?;
        let database = cluster.database(name)?;
        let log = cluster.folder.join(format!("{name}.log"));
        let server = Server::start(program, &database, &log, &[])?;
        put_prices_in_force(&database)?;
        let mut admin = Admin::connect(&database).await?;
        let epoch = if half_hours == 0 { HalfHour::FIRST } else { recent()? };
        let devices = make_devices(&database, epoch).await?;
        let raw = |_| Arc::new(Device::new(Uuid::now_v7(), Uuid::now_v7(), Default::default(), epoch));
        let raw_devices = (0..DEVICES).map(raw).collect();
        if half_hours > 0 {
            admin.fill_history(epoch, half_hours).await?;
        }
        let expected = half_hours * 8 * i64::from(DEVICES);
        let program = program.to_owned();
        Ok(Self { server, database, admin, devices, raw_devices, log, program, expected })
    }

    /// One more user, with so many devices.
    pub async fn user_of_devices(&self, name: &str, count: usize) -> anyhow::Result<Vec<Arc<Device>>> {
        let pool = Pool::new(self.database.clone(), "bench", 1);
        let accounts = Accounts::new(pool.clone(), server_key()?);
        let context = RequestContext::internal(Duration::from_secs(30));
        let user = accounts.users.add(&context, Actor::Command, name, "UTC").await.map_err(failed)?;
        let mut devices = Vec::new();
        for number in 0..count {
            let device =
                accounts.devices.add(&context, Actor::Command, name, &format!("{name} {number}"), "bench").await;
            let device = device.map_err(failed)?;
            let tokens = [&device.token, &user.viewer_token].map(|token| token.reveal().to_owned());
            devices.push(Arc::new(Device::new(user.user_id, device.device_id, tokens, self.devices[0].epoch)));
        }
        pool.close().await;
        Ok(devices)
    }

    /// The program as an operator's tool, on this database.
    pub fn command(&self) -> Command {
        let mut command = halfhour(&self.program, &self.database);
        command.stdin(Stdio::null());
        command
    }

    /// A token for operations, of the first device's user.
    pub async fn operator(&self) -> anyhow::Result<String> {
        let pool = Pool::new(self.database.clone(), "bench", 1);
        let accounts = Accounts::new(pool.clone(), server_key()?);
        let context = RequestContext::internal(Duration::from_secs(30));
        let issued = accounts
            .users
            .issue_token(&context, Actor::Command, "bench 0", TokenKind::Operator)
            .await
            .map_err(failed)?;
        pool.close().await;
        Ok(issued.token.reveal().to_owned())
    }

    /// Transactions of the server's writer so far, by its own metrics. `operator` is a token for operations.
    pub async fn batches(&self, operator: &str) -> anyhow::Result<u32> {
        let mut client = Client::connect(self.server.address).await?;
        let request = format!("GET /metrics HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {operator}\r\n\r\n");
        let status = client.exchange(request.as_bytes()).await?;
        ensure!(status == 200, "no metrics: {}", client.last_reply());
        let metrics = std::str::from_utf8(client.body())?;
        let count = metrics.lines().find_map(|line| line.strip_prefix("halfhour_writer_batch_rows_count "));
        Ok(count.map_or(Ok(0), str::parse)?)
    }

    /// Another server process on the same database; the old one's connections have ended when this returns.
    pub async fn restart_server(&mut self) -> anyhow::Result<()> {
        self.restart_server_with(&[]).await
    }

    /// The same, with variables of its own.
    pub async fn restart_server_with(&mut self, variables: &[(&str, &str)]) -> anyhow::Result<()> {
        self.server.stop()?;
        // What a connection counted is reported as it ends, which is a moment after its client.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.server = Server::start(&self.program, &self.database, &self.log, variables)?;
        Ok(())
    }

    /// Everything that was acknowledged is there, and nothing else.
    pub async fn check(&mut self) -> anyhow::Result<()> {
        let (found, expected) = (self.admin.buckets().await?, self.expected);
        ensure!(found == expected, "{expected} buckets were acknowledged as inserted, and {found} are there");
        Ok(())
    }
}

fn recent() -> anyhow::Result<DateTime<Utc>> {
    let at = HalfHour::containing(Clock::machine_now() - TimeDelta::days(RECENT_DAYS));
    at.map(HalfHour::start).context("this machine's clock is before 2020")
}

fn server_key() -> anyhow::Result<ServerKey> {
    ServerKey::new(SECRET.as_bytes()).context("the key is too short")
}

#[expect(clippy::needless_pass_by_value, reason = "a result hands it over")]
fn failed(problem: Problem) -> anyhow::Error {
    anyhow!("accounts could not be made: {:?}", problem.source_chain())
}

/// What a server with a PostgreSQL of its own does at its first start.
fn put_prices_in_force(database: &PgConnectOptions) -> anyhow::Result<()> {
    for arguments in [&["price", "import"][..], &["price", "use", "1", "--reason", "bench"]] {
        let output = halfhour(Path::new(env!("CARGO_BIN_EXE_halfhour")), database)
            .args(arguments)
            .output()
            .context("a command cannot be started")?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// The program, on this database and with nothing else of this process's environment.
fn halfhour(program: &Path, database: &PgConnectOptions) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("DATABASE_URL", database.to_url_lossy().as_str())
        .env("HALFHOUR_SECRET", SECRET)
        .env("HALFHOUR_INGEST_MAX_AGE_DAYS", "0");
    command
}

async fn make_devices(database: &PgConnectOptions, epoch: DateTime<Utc>) -> anyhow::Result<Vec<Arc<Device>>> {
    let pool = Pool::new(database.clone(), "bench", 8);
    let accounts = Accounts::new(pool.clone(), server_key()?);
    let mut tasks = JoinSet::new();
    for lane in 0..8 {
        let accounts = accounts.clone();
        tasks.spawn(async move {
            let mut devices = Vec::new();
            for number in (lane..DEVICES).step_by(8) {
                let (context, name) = (RequestContext::internal(Duration::from_secs(30)), format!("bench {number}"));
                let user = accounts.users.add(&context, Actor::Command, &name, "UTC").await?;
                let device = accounts.devices.add(&context, Actor::Command, &name, "bench", "bench").await?;
                let tokens = [&device.token, &user.viewer_token].map(|token| token.reveal().to_owned());
                devices.push(Arc::new(Device::new(user.user_id, device.device_id, tokens, epoch)));
            }
            Ok::<_, Problem>(devices)
        });
    }
    let mut devices = Vec::new();
    while let Some(made) = tasks.join_next().await {
        devices.extend(made?.map_err(failed)?);
    }
    pool.close().await;
    Ok(devices)
}

/// The server's process. It ends with this value.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    fn start(
        program: &Path,
        database: &PgConnectOptions,
        log: &Path,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let no_limits =
            VARIABLES.into_iter().filter(|name| name.starts_with("HALFHOUR_LIMIT_")).map(|name| (name, "0"));
        let mut child = halfhour(program, database)
            .env("HALFHOUR_BIND", "127.0.0.1:0")
            .env("HALFHOUR_LOG", "info")
            .envs(no_limits)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(File::options().create(true).append(true).open(log)?)
            .stderr(Stdio::piped())
            .spawn()
            .context("the server cannot be started")?;
        let stderr = child.stderr.take().context("the server has no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut said = String::new();
        let address = loop {
            let Some(line) = lines.next().transpose()? else {
                let _ = child.kill();
                return Err(anyhow!("the server did not start: {said}"));
            };
            let url = line.split_once("listens on http://").map(|(_, rest)| rest.split(' ').next().unwrap_or(rest));
            if let Some(address) = url.and_then(|address| address.parse().ok()) {
                break address;
            }
            said.push_str(&line);
        };
        // Nobody must be blocked by a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it in good order.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
