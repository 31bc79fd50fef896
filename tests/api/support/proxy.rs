//! What can go wrong between a server and its database: silence one way or both ways, on all connections or on some, for
//! a while or for good; a cut in the middle of a reply; a commit whose answer never comes.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::TestApp;

/// A simple query: its tag, its length, and its text with a zero.
const COMMIT: &[u8] = b"Q\0\0\0\x0bcommit\0";
/// The tag of a commit, and that the connection is ready again.
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I";

/// A socket that leads to the database's.
pub struct Proxy {
    directory: TempDir,
    faults: Arc<Faults>,
    silence: watch::Sender<Silence>,
}

/// What is to go wrong the next time.
#[derive(Default)]
struct Faults {
    commits_to_swallow: AtomicUsize,
    commits_to_mute: AtomicUsize,
    commits_to_mute_behind: AtomicUsize,
    cut_after: Mutex<Option<usize>>,
    connections: AtomicUsize,
}

/// On which connections nothing comes through now.
#[derive(Clone, Copy, Default)]
struct Silence {
    questions: bool,
    answers: bool,
    /// Only on those that a pool of this name has opened.
    pool: Option<&'static str>,
    /// For good on those that there were up to this one.
    dead_up_to: usize,
    dead_pool: Option<&'static str>,
}

impl Silence {
    /// Whether questions and answers come through on a connection.
    fn of(&self, number: usize, opening: &[u8]) -> (bool, bool) {
        let is_of = |pool: Option<&str>| {
            pool.is_none_or(|pool| {
                let name = format!("application_name\0halfhour {pool}\0");
                opening.windows(name.len()).any(|part| part == name.as_bytes())
            })
        };
        if number <= self.dead_up_to && is_of(self.dead_pool) {
            return (true, true);
        }
        let concerned = is_of(self.pool);
        (concerned && self.questions, concerned && self.answers)
    }
}

impl Proxy {
    /// Stands before the database of a server.
    pub fn before_database_of(app: &TestApp) -> Self {
        let database = app.superuser.get_socket().unwrap().join(format!(".s.PGSQL.{}", app.superuser.get_port()));
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(database.file_name().unwrap())).unwrap();
        let proxy = Self { directory, faults: Arc::default(), silence: watch::Sender::default() };
        let (faults, silence) = (proxy.faults.clone(), proxy.silence.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let database = UnixStream::connect(&database).await.unwrap();
                let number = faults.connections.fetch_add(1, Ordering::Relaxed) + 1;
                let way = Way { faults: faults.clone(), number, opening: Vec::new(), deaf: false };
                tokio::spawn(way.forward(client, database, silence.clone()));
            }
        });
        proxy
    }

    /// Where its socket is.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Closes both sides instead of the answer to each of the next so many commits.
    pub fn swallow_commits(&self, count: usize) {
        self.faults.commits_to_swallow.store(count, Ordering::Relaxed);
    }

    /// Commits that are still to be swallowed.
    pub fn commits_to_swallow(&self) -> usize {
        self.faults.commits_to_swallow.load(Ordering::Relaxed)
    }

    /// On the connections of the next so many commits nothing comes back any more: not even the answer to the commit.
    pub fn mute_commits(&self, count: usize) {
        self.faults.commits_to_mute.store(count, Ordering::Relaxed);
    }

    /// The same, but the answer to the commit still comes back.
    pub fn mute_behind_commits(&self, count: usize) {
        self.faults.commits_to_mute_behind.store(count, Ordering::Relaxed);
    }

    /// Commits behind which connections are still to be muted.
    pub fn commits_to_mute_behind(&self) -> usize {
        self.faults.commits_to_mute_behind.load(Ordering::Relaxed)
    }

    /// Closes both sides after so many bytes of answers, once.
    pub fn cut_after(&self, bytes: usize) {
        *self.faults.cut_after.lock().unwrap() = Some(bytes);
    }

    /// Keeps all answers of the database back, or passes them on again.
    pub fn mute(&self, muted: bool) {
        self.silence.send_modify(|silence| silence.answers = muted);
    }

    /// Passes nothing on, either way, or passes it on again. That a side closes is not passed on, too.
    pub fn silence(&self, silent: bool) {
        self.silence.send_modify(|silence| (silence.questions, silence.answers) = (silent, silent));
    }

    /// Keeps back what the server says, but not what the database says.
    pub fn deafen(&self, deaf: bool) {
        self.silence.send_modify(|silence| silence.questions = deaf);
    }

    /// Silence is from now on about this pool's connections only.
    pub fn only_for(&self, pool: &'static str) {
        self.silence.send_modify(|silence| silence.pool = Some(pool));
    }

    /// Nothing comes through any more on the connections that this pool has now. New ones are well, as after a failover.
    pub fn lose_connections_of(&self, pool: &'static str) {
        let dead_up_to = self.faults.connections.load(Ordering::Relaxed);
        self.silence.send_modify(|silence| (silence.dead_up_to, silence.dead_pool) = (dead_up_to, Some(pool)));
    }
}

/// One connection on its way.
struct Way {
    faults: Arc<Faults>,
    number: usize,
    /// The first that the server said: who it is.
    opening: Vec<u8>,
    /// Nothing comes back any more.
    deaf: bool,
}

impl Way {
    async fn forward(
        mut self,
        mut client: UnixStream,
        mut database: UnixStream,
        mut silence: watch::Receiver<Silence>,
    ) {
        let (mut question, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            let (no_questions, no_answers) = silence.borrow_and_update().of(self.number, &self.opening);
            tokio::select! {
                changed = silence.changed() => if changed.is_err() { return },
                read = client.read(&mut question), if !no_questions => {
                    let Ok(length @ 1..) = read else { return };
                    if database.write_all(&question[..length]).await.is_err() {
                        return;
                    }
                    if self.opening.is_empty() {
                        self.opening.extend_from_slice(&question[..length]);
                    }
                    if question[..length] == *COMMIT && self.ends_at_commit(&mut client, &mut database).await {
                        return;
                    }
                }
                read = database.read(&mut answer), if !no_answers => {
                    let Ok(length @ 1..) = read else { return };
                    let passed = self.passed(length);
                    if !self.deaf && client.write_all(&answer[..passed]).await.is_err() || passed < length {
                        return;
                    }
                }
            }
        }
    }

    /// A commit was passed on. True where the connection is closed.
    async fn ends_at_commit(&mut self, client: &mut UnixStream, database: &mut UnixStream) -> bool {
        if taken(&self.faults.commits_to_swallow) {
            committed(database).await;
            return true;
        }
        if taken(&self.faults.commits_to_mute) {
            self.deaf = true;
        } else if taken(&self.faults.commits_to_mute_behind) {
            committed(database).await;
            client.write_all(COMMITTED).await.unwrap();
            self.deaf = true;
        }
        false
    }

    /// How much of an answer is passed on.
    fn passed(&self, length: usize) -> usize {
        let mut cut_after = self.faults.cut_after.lock().unwrap();
        match *cut_after {
            Some(left) if left < length => cut_after.take().unwrap_or(length),
            Some(left) => {
                *cut_after = Some(left - length);
                length
            }
            None => length,
        }
    }
}

async fn committed(database: &mut UnixStream) {
    let mut answer = vec![0; 65_536];
    let length = database.read(&mut answer).await.unwrap();
    assert_eq!(&answer[..length], COMMITTED);
}

fn taken(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}
