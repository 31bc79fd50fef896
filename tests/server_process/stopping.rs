//! SIGTERM and SIGINT end everything that was started, at any moment and whatever clients do.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::http::{PATIENCE, recent, wait_until};
use crate::support::Home;

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_signal_ends_the_server_and_leaves_nothing_behind() {
    let home = Home::new();
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = home.serve().await;
        server.post(&home.device_token(), &recent("m", 1)).await;
        let socket_dir = home.postmaster().socket_dir;
        assert!(socket_dir.exists());
        let asked = Instant::now();
        server.running.signal(signal);
        let status = server.running.ended_within(LIMIT).await;
        eprintln!("ended {:?} after {signal:?}", asked.elapsed());
        assert_eq!(status.code(), Some(0), "{}", server.running.stderr());
        assert!(!socket_dir.exists());
        home.assert_nothing_left();
        assert!(server.running.stdout().contains(r#""message":"stopped""#), "{}", server.running.stdout());
    }
}

#[tokio::test]
async fn clients_that_never_finish_do_not_hold_up_the_end() {
    let home = Home::new();
    let mut server = home.serve().await;
    let address = server.url.strip_prefix("http://").unwrap();
    let begin = |text: String| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let token = home.device_token();
    let mut open = [
        begin(String::new()),
        begin("POST /v1/buckets HTTP/1.1\r\nhost: x\r\nauthor".to_owned()),
        begin(format!(
            "POST /v1/buckets HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{\"buckets\":["
        )),
    ];
    // Answered after those were accepted, because the listener hands connections out in order.
    server.post(&token, &recent("m", 1)).await;
    let asked = Instant::now();
    server.running.signal(Signal::TERM);
    let status = server.running.ended_within(LIMIT).await;
    eprintln!("ended {:?} after SIGTERM", asked.elapsed());
    assert_eq!(status.code(), Some(0), "{}", server.running.stderr());
    home.assert_nothing_left();
    for stream in &mut open {
        // Closed, with an answer or without.
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

#[tokio::test]
async fn a_signal_at_any_moment_of_the_first_start_leaves_nothing_behind() {
    let home = Home::new();
    // Right after the spawn, and from the first file to the last.
    for name in ["", "server.lock", "postgres.partial", "postgres/postmaster.pid", "secret.key", "credentials.env"] {
        let mut running = home.spawn();
        if !name.is_empty() {
            wait_until(name, || home.has(name) || running.has_ended()).await;
            assert!(home.has(name), "{}", running.stderr());
        }
        let asked = Instant::now();
        running.signal(Signal::TERM);
        // A cluster that is being made is finished first, which may take a slow machine a while.
        let status = running.ended_within(PATIENCE).await;
        eprintln!("ended {:?} after SIGTERM at {name:?}: {status}", asked.elapsed());
        // Before the signal is caught there is nothing to end but the process.
        let is_early = name.is_empty() && status.signal() == Some(Signal::TERM.as_raw());
        assert!(is_early || status.code() == Some(0), "{name}: {status}: {}", running.stderr());
        home.assert_nothing_left();
        if name == "credentials.env" {
            break;
        }
        // The next one is a first start, too.
        let removed = std::fs::remove_dir_all(home.data_dir());
        assert!(removed.is_ok() || name.is_empty(), "{removed:?}");
    }
    let server = home.serve().await;
    server.post(&home.device_token(), &recent("m", 1)).await;
    server.stop().await;
    home.assert_nothing_left();
}

#[tokio::test]
async fn the_second_signal_is_no_worse_than_the_first() {
    let home = Home::new();
    let mut server = home.serve().await;
    server.running.signal(Signal::INT);
    server.running.signal(Signal::TERM);
    server.running.signal(Signal::INT);
    assert_eq!(server.running.ended_within(LIMIT).await.code(), Some(0));
    home.assert_nothing_left();
}
