//! Two servers on one PostgreSQL, with clients, and whoever breaks things.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::PgConnection;
use tempfile::TempDir;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::clients::{User, World};
use crate::end::{self, standing};
use crate::figures::Route;
use crate::history::{End, History};
use crate::postgres::Postgres;
use crate::proxy::Rule;
use crate::random::Random;
use crate::script::{Fault, Step};
use crate::server::{Server, command};
use crate::snapshots::{UserNumbers, now};

/// How soon it acknowledges posts again: a batch that waits in vain has its five seconds.
const ACKNOWLEDGES_WITHIN: Duration = Duration::from_secs(8);
/// When all is well again, everything ends long before.
const PATIENCE: Duration = Duration::from_mins(1);
const USERS: usize = 3;
const DEVICES: usize = 2;

// Servers end before their database, and that before its files.
pub struct Installation {
    pub servers: Vec<Server>,
    pub postgres: Postgres,
    pub world: Arc<World>,
    pub directory: TempDir,
    /// How soon a server is ready after PostgreSQL is.
    ready_within: Duration,
    clients: JoinSet<()>,
}

impl Installation {
    /// Starts everything, clients included.
    pub async fn start(random: &mut Random, ready_within: Duration) -> Self {
        let directory = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        let postgres = Postgres::create(directory.path()).await;
        let mut servers = Vec::new();
        for name in 0..2 {
            servers.push(Server::start(name, directory.path(), &postgres).await);
        }
        let users = (0..USERS).map(|user| make_user(directory.path(), &postgres, user)).collect();
        let proxies = servers.iter().map(|server| server.clients.port()).collect();
        let ports: Vec<u16> = servers.iter().map(|server| server.port).collect();
        let world = Arc::new(World::new(users, proxies, &ports));
        let clients = world.begin(random);
        Self { servers, postgres, world, directory, ready_within, clients }
    }

    /// A command beside the servers: its exit code and what it printed.
    pub fn command(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        run(self.directory.path(), &self.postgres, arguments)
    }

    /// Breaks one thing after another, and mends it.
    pub async fn suffer(&mut self, script: &[Step]) {
        for step in script {
            self.suffer_one(*step).await;
            tokio::time::sleep(step.rests).await;
        }
    }

    async fn suffer_one(&mut self, Step { fault, lasts, .. }: Step) {
        match fault {
            Fault::Database { server, rule, for_good } => {
                self.servers[server].database.set(rule, for_good);
                tokio::time::sleep(lasts).await;
                self.servers[server].database.set(Rule::Pass, false);
                self.ready(&fault, server, Instant::now()).await;
            }
            Fault::Clients { server, rule } => {
                self.world.troubles.begin(server, now());
                self.servers[server].clients.set(rule, false);
                tokio::time::sleep(lasts).await;
                self.servers[server].clients.set(Rule::Pass, false);
                self.world.troubles.end(server, now());
            }
            Fault::KillServer { server } => {
                self.world.troubles.begin(server, now());
                self.servers[server].kill();
                tokio::time::sleep(lasts).await;
                let took = self.servers[server].start_again().await;
                self.world.ports[server].store(self.servers[server].port, Ordering::Relaxed);
                self.world.figures.lock().unwrap().listening_after.push(took);
                self.world.troubles.end(server, now());
                self.ready(&fault, server, Instant::now()).await;
            }
            Fault::FreezeServer { server } => {
                self.world.troubles.begin(server, now());
                self.servers[server].freeze(true);
                tokio::time::sleep(lasts).await;
                self.servers[server].freeze(false);
                self.world.troubles.end(server, now());
            }
            Fault::StopPostgres | Fault::KillPostgres => {
                if fault == Fault::StopPostgres {
                    self.postgres.stop_at_once().await;
                } else {
                    self.postgres.kill().await;
                }
                tokio::time::sleep(lasts).await;
                self.postgres.start().await;
                self.all_ready(&fault).await;
            }
            Fault::KillBackend => {
                self.postgres.kill_a_backend().await;
                self.all_ready(&fault).await;
            }
            Fault::FreezePostgres => {
                self.postgres.freeze(true);
                tokio::time::sleep(lasts).await;
                self.postgres.freeze(false);
                self.all_ready(&fault).await;
            }
            Fault::Erase { user, server } => self.world.erase(user, server).await,
        }
    }

    async fn all_ready(&self, fault: &Fault) {
        let since = Instant::now();
        for server in 0..self.servers.len() {
            self.ready(fault, server, since).await;
        }
    }

    /// Waits until a server is ready, and notes how long that took.
    async fn ready(&self, fault: &Fault, server: usize, since: Instant) {
        while self.world.ask(server, Route::Ready, "/health/ready").await != Some(200) {
            assert!(since.elapsed() < PATIENCE, "server {server} does not become ready again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.world.figures.lock().unwrap().became_ready(server, fault, since.elapsed(), self.ready_within);
        let mut random = Random::new(0);
        while !self.world.post_once(1, server, &mut random).await {
            assert!(since.elapsed() < PATIENCE, "server {server} acknowledges nothing any more");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.world.figures.lock().unwrap().acknowledged(server, fault, since.elapsed(), ACKNOWLEDGES_WITHIN);
    }

    /// Lets the clients finish, waits until everything is folded, and returns all of the history.
    pub async fn finish(&mut self) -> History {
        self.world.end();
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        for server in &mut self.servers {
            assert!(server.is_running(), "server {} ended by itself", server.name);
        }
        self.settle().await;
        let mut superuser = self.postgres.superuser().await.unwrap();
        self.history(&mut superuser).await
    }

    /// Reads through both servers until nothing is pending, and notes what they said.
    pub async fn settle(&self) {
        let began = Instant::now();
        for user in 0..self.world.users.len() {
            for server in 0..self.servers.len() {
                for lists in [false, true] {
                    loop {
                        let read = self.world.read(user, server, lists).await;
                        let settled = read.as_ref().is_some_and(|read| !read.pending);
                        self.world.history.lock().unwrap().reads.extend(read);
                        if settled {
                            break;
                        }
                        assert!(began.elapsed() < PATIENCE, "user {user} stays pending at server {server}");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        }
    }

    /// The history with what stands, as a connection sees it.
    pub async fn history(&self, connection: &mut PgConnection) -> History {
        let end = self.end(connection).await;
        let mut history = self.world.history.lock().unwrap().clone();
        history.keys = self.world.keys.lock().unwrap().clone();
        history.end = end;
        history
    }

    async fn end(&self, connection: &mut PgConnection) -> End {
        let users = self.world.users.iter().enumerate().map(|(number, user)| (user.id, number));
        let users: UserNumbers = users.collect();
        standing(connection, &users, &self.world.keys).await
    }

    /// How many lines of the servers blame whom, by attribution and error.
    pub fn blame(&self) -> HashMap<String, u64> {
        let mut blame = HashMap::new();
        for line in self.servers.iter().flat_map(Server::lines) {
            if let Some(who) = end::blame(&line) {
                *blame.entry(who).or_default() += 1;
            }
        }
        blame
    }
}

fn run(directory: &std::path::Path, postgres: &Postgres, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = command(directory, &postgres.url()).args(arguments).arg("--json").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let json = serde_json::from_str(&said);
    (
        output.status.code(),
        json.unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr))),
    )
}

fn make_user(directory: &std::path::Path, postgres: &Postgres, number: usize) -> User {
    let name = format!("user-{number}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let id = |value: &Value| -> Uuid { value.as_str().unwrap().parse().unwrap() };
    let (_, made) = run(directory, postgres, &["user", "add", &name]);
    let device = |device| {
        let device_name = format!("device-{device}");
        let (_, made) = run(directory, postgres, &["device", "add", "--user", &name, "--name", &device_name]);
        (id(&made["device_id"]), text(&made["token"]))
    };
    User { id: id(&made["user_id"]), viewer: text(&made["viewer_token"]), devices: (0..DEVICES).map(device).collect() }
}

/// For whoever looks at the files of a run that failed.
pub fn keep(directory: &TempDir, history: &History) -> std::path::PathBuf {
    let kept = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
    let _ = fs::remove_dir_all(&kept);
    fs::create_dir_all(&kept).unwrap();
    for entry in fs::read_dir(directory.path()).unwrap().flatten() {
        if entry.path().is_file() {
            let _ = fs::copy(entry.path(), kept.join(entry.file_name()));
        }
    }
    fs::write(kept.join("history"), format!("{history:#?}")).unwrap();
    kept
}
