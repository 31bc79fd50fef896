//! The front door of the real process: how many files it may open decides how many connections there are.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::http::{Http, recent, wait_until};
use crate::support::{Home, Running};

/// So many files the process may open from now on.
fn limit_files(running: &Running, files: u64) {
    let pid = Pid::from_raw(running.pid().try_into().unwrap());
    let maximum = getrlimit(Resource::Nofile).maximum;
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(files), maximum }).unwrap();
}

fn open_files(running: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", running.pid())).unwrap().count()
}

#[tokio::test]
async fn with_few_files_idle_connections_make_room_and_nothing_is_exhausted() {
    let home = Home::new();
    let mut command = std::process::Command::new("sh");
    let binary = home.command();
    command.args(["-c", "ulimit -n 256; exec \"$0\""]).arg(binary.get_program()).env_clear();
    for (name, value) in binary.get_envs() {
        command.env(name, value.unwrap());
    }
    command.current_dir(home.path());
    let server = home.spawn_as(command).listening().await;
    let address = server.url.strip_prefix("http://").unwrap();
    let token = home.device_token();
    let mut idle = Vec::new();
    for number in 0..400 {
        idle.push(TcpStream::connect(address).unwrap());
        if number % 40 == 0 {
            server.post(&token, &recent("m", number)).await;
            assert!(open_files(&server.running) < 256);
        }
    }
    server.post(&token, &recent("m", 500)).await;
    let before = open_files(&server.running);
    drop(idle);
    wait_until("the files to be closed", || open_files(&server.running) < before.min(100)).await;
    assert!(!server.running.stdout().contains("no connection can be accepted"), "{}", server.running.stdout());
    server.stop().await;
}

#[tokio::test]
async fn a_process_that_may_open_no_more_files_accepts_again_when_it_may() {
    let home = Home::new();
    let server = home.serve().await;
    let token = home.device_token();
    server.post(&token, &recent("m", 1)).await;
    // None at all: a file that is closed in the meantime makes no room.
    limit_files(&server.running, 0);
    let address = server.url.strip_prefix("http://").unwrap();
    let mut waiting = TcpStream::connect(address).unwrap();
    waiting.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let said = "no connection can be accepted";
    wait_until(said, || server.running.stdout().contains(said)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    limit_files(&server.running, 1 << 12);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // By another client: what was open and idle has made room.
    Http::new(&server.url).post(&token, &recent("m", 2)).await;
    assert_eq!(server.running.stdout().matches(said).count(), 1, "it is said once");
    server.stop().await;
}

/// What the process holds in memory, in kilobytes.
fn resident(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn bodies_that_are_never_finished_take_a_bounded_part_of_memory_and_small_posts_go_on() {
    let home = Home::new();
    let server = home.serve().await;
    let token = home.device_token();
    server.post(&token, &recent("m", 1)).await;
    let address = server.url.strip_prefix("http://").unwrap();
    let before = resident(&server.running);
    let mut held = Vec::new();
    for _ in 0..400 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        let request = format!(
            "POST /v1/buckets HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: 1048576\r\n\r\n"
        );
        // Who is refused may find the connection closed.
        let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.write_all(&vec![b' '; 1_000_000]));
        held.push(stream);
    }
    server.post(&token, &recent("m", 2)).await;
    let most = resident(&server.running).saturating_sub(before);
    // Four hundred megabytes were sent.
    assert!(most < 224 * 1024, "{most} kB for bodies that are never finished");
    drop(held);
    for number in 3..10 {
        server.post(&token, &recent("m", number)).await;
    }
    server.stop().await;
}
