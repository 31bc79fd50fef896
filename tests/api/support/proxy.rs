//! What can go wrong between a server and its database.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::TestApp;

/// A socket that leads to the database's.
pub struct Proxy {
    directory: TempDir,
    commits_to_swallow: Arc<AtomicUsize>,
    muted: watch::Sender<bool>,
}

impl Proxy {
    /// Stands before the database of a server.
    pub fn before_database_of(app: &TestApp) -> Self {
        let database = app.superuser.get_socket().unwrap().join(format!(".s.PGSQL.{}", app.superuser.get_port()));
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(database.file_name().unwrap())).unwrap();
        let proxy = Self { directory, commits_to_swallow: Arc::default(), muted: watch::Sender::new(false) };
        let (to_swallow, muted) = (proxy.commits_to_swallow.clone(), proxy.muted.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let database = UnixStream::connect(&database).await.unwrap();
                tokio::spawn(forward(client, database, to_swallow.clone(), muted.clone()));
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
        self.commits_to_swallow.store(count, Ordering::Relaxed);
    }

    /// Commits that are still to be swallowed.
    pub fn commits_to_swallow(&self) -> usize {
        self.commits_to_swallow.load(Ordering::Relaxed)
    }

    /// Keeps all answers of the database back, or passes them on again.
    pub fn mute(&self, muted: bool) {
        self.muted.send_replace(muted);
    }
}

async fn forward(
    mut client: UnixStream,
    mut database: UnixStream,
    to_swallow: Arc<AtomicUsize>,
    mut muted: watch::Receiver<bool>,
) {
    let (mut question, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut question) => {
                let Ok(length @ 1..) = read else { return };
                database.write_all(&question[..length]).await.unwrap();
                let swallow = |left: usize| left.checked_sub(1);
                // A simple query: its tag, its length, and its text with a zero.
                if question[..length] == *b"Q\0\0\0\x0bcommit\0"
                    && to_swallow.fetch_update(Ordering::Relaxed, Ordering::Relaxed, swallow).is_ok()
                {
                    let length = database.read(&mut answer).await.unwrap();
                    assert_eq!(answer[..length], *b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I");
                    return;
                }
            }
            read = database.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                // Who could mute it may be gone: then it never is again.
                let _ = muted.wait_for(|muted| !muted).await;
                if client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
