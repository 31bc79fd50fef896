//! Time-series stores that take the same buckets through HTTP, each as a process of its own with its data on the real disk.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use halfhour::kernel::bucket::HalfHour;
use reqwest::StatusCode;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::support::load::{Load, Outcome, Window};
use super::support::posts::{Device, Format};
use super::support::processes::processor_time;

/// Within this time a store that was started answers.
const STARTED_WITHIN: Duration = Duration::from_secs(30);

/// Within this time a store has done what it put off while it was posted to.
const RESTS_WITHIN: Duration = Duration::from_mins(5);

/// How long a store is watched to see whether it rests. Then it takes less than a twentieth of a core.
const WATCHED: Duration = Duration::from_millis(500);

/// Within this time a store has answered a question, counting many millions of points among them.
const ANSWERED_WITHIN: Duration = Duration::from_mins(1);

/// Where programs are that a user's `PATH` may leave out.
const FOLDERS: [&str; 2] = ["/usr/bin", "/usr/sbin"];

/// The stores that can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Version 1, which syncs its log before each answer.
    InfluxDb,
    /// It answers before anything is on the disk.
    VictoriaMetrics,
}

/// A store that runs. Its process and its files go when this value goes.
#[derive(Debug)]
pub struct Store {
    kind: Kind,
    version: String,
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
    client: reqwest::Client,
    devices: Vec<Arc<Device>>,
    acknowledged: u64,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::InfluxDb, Self::VictoriaMetrics];

    pub fn name(self) -> &'static str {
        match self {
            Self::InfluxDb => "InfluxDB",
            Self::VictoriaMetrics => "VictoriaMetrics",
        }
    }

    /// When it answers a post.
    pub fn durability(self) -> &'static str {
        match self {
            Self::InfluxDb => "which syncs its log before each answer",
            Self::VictoriaMetrics => "no fair opponent: it does not sync before it answers",
        }
    }

    /// The program, and Debian's package of it.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::InfluxDb => ("influxd", "influxdb"),
            Self::VictoriaMetrics => ("victoria-metrics", "victoria-metrics"),
        }
    }

    /// The first program of its name, and its version. `None` where it is not installed, or is another one.
    fn find(self) -> Option<(PathBuf, String)> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from));
        let program = folders.map(|folder| folder.join(self.names().0)).find(|program| program.is_file())?;
        let version = match self {
            Self::InfluxDb => {
                let line = said(Command::new(&program).arg("version"));
                let version = line.strip_prefix("InfluxDB v")?.split(' ').next()?;
                version.starts_with("1.").then(|| version.to_owned())?
            }
            Self::VictoriaMetrics => {
                // Debian's build does not know its version, but its package does.
                let package = ["--show", "--showformat", "${Version}", self.names().1];
                let lines =
                    [said(Command::new(&program).arg("-version")), said(Command::new("dpkg-query").args(package))];
                let version = lines.into_iter().find(|line| !line.is_empty());
                version.unwrap_or_else(|| "of an unknown version".to_owned())
            }
        };
        Some((program, version))
    }

    /// How it is started: without telemetry, and with no limit that it could refuse posts for.
    fn command(self, program: &Path, address: SocketAddr, folder: &Path) -> anyhow::Result<Command> {
        let mut command = Command::new(program);
        match self {
            Self::InfluxDb => {
                let configuration = folder.join("influxdb.conf");
                let folder = folder.to_str().context("the build folder's name is not UTF-8")?;
                let text = include_str!("influxdb.conf").replace("{folder}", folder);
                std::fs::write(&configuration, text.replace("{address}", &address.to_string()))?;
                command.args(["run", "-config"]).arg(configuration);
            }
            Self::VictoriaMetrics => {
                command
                    .arg(format!("-httpListenAddr={address}"))
                    .arg(format!("-storageDataPath={}", folder.join("data").display()))
                    .arg("-retentionPeriod=100y");
            }
        }
        Ok(command)
    }

    /// Where the number of points is asked for that one counter has, which every bucket has, and where it stands in the
    /// answer.
    fn count(self) -> (&'static str, [(&'static str, &'static str); 2], &'static str) {
        match self {
            Self::InfluxDb => (
                "/query",
                [("db", "bench"), ("q", "select count(input_tokens) from bucket")],
                "/results/0/series/0/values/0/1",
            ),
            Self::VictoriaMetrics => (
                "/api/v1/query",
                [("nocache", "1"), ("query", "sum(count_over_time(bucket_input_tokens[50y]))")],
                "/data/result/0/value/1",
            ),
        }
    }

    /// How long after its acknowledgement a point may be found.
    fn visible_within(self) -> Duration {
        match self {
            Self::InfluxDb => Duration::ZERO,
            Self::VictoriaMetrics => Duration::from_secs(30),
        }
    }
}

impl Store {
    /// Starts an empty store, with as many devices as clients will post. `None` where its program is not installed.
    pub async fn start(kind: Kind, clients: usize) -> anyhow::Result<Option<Self>> {
        let Some((program, version)) = kind.find() else { return Ok(None) };
        let name = format!("bench-{}-{}", kind.names().1, std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // A bench that was killed, whose process had the same number, may have left one.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        // The client speaks plain HTTP only, but is built with TLS because another crate asks for it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWERED_WITHIN).build()?;
        let device = |_| Arc::new(Device::new(Uuid::now_v7(), Uuid::now_v7(), Default::default(), HalfHour::FIRST));
        let devices = (0..clients).map(device).collect();
        let address = free_address()?;
        let log = File::create(folder.join("log"))?;
        let child = kind
            .command(&program, address, &folder)?
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let mut store = Self { kind, version, child, address, folder, client, devices, acknowledged: 0 };
        store.wait_for_the_start().await?;
        if kind == Kind::InfluxDb {
            store.make_database().await?;
        }
        Ok(Some(store))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its name, its version and when it answers.
    pub fn title(&self) -> String {
        format!("{} {}, {}", self.kind.name(), self.version, self.kind.durability())
    }

    /// New buckets, as fast as they are answered, by a client for each device.
    pub async fn post(&mut self, buckets: u32, window: Window) -> anyhow::Result<Outcome> {
        let load = Load::new(self.address, &self.devices, self.devices.len(), buckets);
        let outcome = Load { format: Format::Lines, ..load }.run(window).await;
        let outcome = outcome.with_context(|| format!("a post to {}", self.kind.name()))?;
        self.acknowledged += u64::from(outcome.inserted);
        Ok(outcome)
    }

    /// Waits until nothing is left that it put off, which others would have to share the machine with.
    pub async fn rest(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let before = processor_time(self.pid());
            tokio::time::sleep(WATCHED).await;
            let spent = processor_time(self.pid()).unwrap_or_default().saturating_sub(before.unwrap_or_default());
            if spent < WATCHED / 20 {
                return Ok(());
            }
            ensure!(begun.elapsed() < RESTS_WITHIN, "{} does not come to rest", self.kind.name());
        }
    }

    /// Every bucket that was acknowledged is there, and nothing else.
    pub async fn check(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let (name, expected) = (self.kind.name(), self.acknowledged);
        loop {
            let found = self.count().await?;
            if found == expected {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < self.kind.visible_within(),
                "{name} acknowledged {expected} buckets, and {found} are there"
            );
            tokio::time::sleep(WATCHED).await;
        }
    }

    /// How many buckets it has.
    async fn count(&self) -> anyhow::Result<u64> {
        let (path, parameters, place) = self.kind.count();
        let url = Url::parse_with_params(&format!("http://{}{path}", self.address), parameters)?;
        let answer: Value = self.client.get(url).send().await?.error_for_status()?.json().await?;
        let Some(count) = answer.pointer(place) else { return Ok(0) };
        let count = count.as_str().map_or_else(|| count.to_string(), str::to_owned);
        count.parse().with_context(|| format!("no count: {answer}"))
    }

    async fn wait_for_the_start(&mut self) -> anyhow::Result<()> {
        let (name, begun) = (self.kind.name(), Instant::now());
        let url = format!("http://{}/ping", self.address);
        loop {
            if let Ok(answer) = self.client.get(&url).timeout(Duration::from_secs(1)).send().await
                && answer.status() == StatusCode::NO_CONTENT
            {
                return Ok(());
            }
            let ended = self.child.try_wait()?;
            ensure!(ended.is_none(), "{name} ended before it answered: {}", self.log());
            ensure!(begun.elapsed() < STARTED_WITHIN, "{name} does not answer: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// All in one shard, as is advised for past usage: one for each week would have to be made every few seconds.
    async fn make_database(&self) -> anyhow::Result<()> {
        let statement = [("q", "create database bench with duration inf replication 1 shard duration 5200w")];
        let url = Url::parse_with_params(&format!("http://{}/query", self.address), statement)?;
        let answer: Value = self.client.post(url).send().await?.error_for_status()?.json().await?;
        ensure!(answer.pointer("/results/0/error").is_none(), "no database was made: {answer}");
        Ok(())
    }

    /// What it has written, for complaints.
    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // It may have ended already, and what remains is in the build folder and is harmless.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What a command writes, or nothing.
fn said(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// An address of this machine that nobody listens on.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
