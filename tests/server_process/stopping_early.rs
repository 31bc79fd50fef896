//! SIGTERM ends the server within ten seconds whatever it is doing, and whatever holds it: a start that is under way, a
//! log that nobody reads, a PostgreSQL that does not answer.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::http::{PATIENCE, recent, wait_until};
use crate::processes::send;
use crate::support::Home;

const LIMIT: Duration = Duration::from_secs(10);

/// Ends it, and says how it ended.
async fn end(mut child: Child, what: &str) -> ExitStatus {
    let asked = Instant::now();
    send(child.id(), Signal::TERM);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            eprintln!("ended {:?} after SIGTERM {what}: {status}", asked.elapsed());
            return status;
        }
        if asked.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("still running {LIMIT:?} after SIGTERM {what}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The directory of PostgreSQL's programs here, but for one that a script stands for.
fn programs_with(home: &Home, name: &str, script: &str) -> String {
    let bin = Command::new("sh")
        .args(["-c", "dirname \"$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb | tail -1)\""])
        .output()
        .unwrap();
    let real = String::from_utf8(bin.stdout).unwrap().trim().to_owned();
    let directory = home.path().join("programs");
    fs::create_dir(&directory).unwrap();
    for entry in fs::read_dir(&real).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != name {
            std::os::unix::fs::symlink(entry.path(), directory.join(entry.file_name())).unwrap();
        }
    }
    let path = directory.join(name);
    fs::write(&path, script.replace("$REAL", &format!("{real}/{name}"))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let others = std::env::var_os("PATH").unwrap_or_default();
    format!("{}:{}", directory.display(), others.to_string_lossy())
}

/// A program of PostgreSQL that tells its version, and else only that it was started, and hangs.
const HANGS: &str = "#!/bin/sh\ncase \"$*\" in *--version*|*-V*) exec $REAL \"$@\";; esac\nexec sleep 60\n";

#[tokio::test]
async fn a_start_that_hangs_in_initdb_or_in_postgres_ends_at_once() {
    for (program, name) in [("initdb", "postgres.partial"), ("postgres", "postgres.log")] {
        let home = Home::new();
        let path = programs_with(&home, program, HANGS);
        if program == "postgres" {
            // The cluster is made by the real programs before.
            home.serve().await.stop().await;
            fs::remove_file(home.data_dir().join("postgres.log")).unwrap();
        }
        let child = home.command().env("PATH", path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until(name, || home.has(name)).await;
        let status = end(child, &format!("while {program} hung")).await;
        assert_eq!(status.code(), Some(0), "{program}");
        home.assert_nothing_left();
        assert!(!home.has("postgres.partial"), "an unfinished cluster is left");
    }
}

#[tokio::test]
async fn a_start_that_waits_for_a_database_that_says_nothing_ends_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://ann:secret-word@{}/usage", silent.local_addr().unwrap());
    let home = Home::new().with("DATABASE_URL", &url).with("HALFHOUR_SECRET", &"k".repeat(40));
    let running = home.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _connected = silent.accept().unwrap();
    assert_eq!(end(running, "while the database was silent").await.code(), Some(0));
}

/// A pipe that nobody reads takes 64 KiB. The queue of the log takes 16 MiB more.
#[tokio::test]
async fn a_log_that_nobody_reads_holds_nobody_up() {
    let home = Home::new().with("HALFHOUR_LIMIT_ANONYMOUS_PER_MINUTE", "0");
    let mut command = home.command();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Held open and never read.
    let _stdout = child.stdout.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains(" and explains itself") {
        let mut byte = [0];
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
    let said = String::from_utf8(said).unwrap();
    let address = said.split("http://").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let ask = move || {
        let mut stream = TcpStream::connect(&address).unwrap();
        let mut reading = stream.try_clone().unwrap();
        let reader = std::thread::spawn(move || {
            let mut piece = vec![0; 64 * 1024];
            while reading.read(&mut piece).is_ok_and(|count| count > 0) {}
        });
        for _ in 0..400 {
            stream.write_all("GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100).as_bytes()).unwrap();
        }
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        reader.join().unwrap();
    };
    let askers: Vec<_> = (0..2).map(|_| std::thread::spawn(ask.clone())).collect();
    for asker in askers {
        asker.join().unwrap();
    }
    assert_eq!(end(child, "with a full log").await.code(), Some(0));
    home.assert_nothing_left();
}

#[tokio::test]
async fn a_postgresql_that_is_frozen_is_ended_all_the_same() {
    let home = Home::new();
    let server = home.serve().await;
    server.post(&home.device_token(), &recent("m", 1)).await;
    let postmaster = home.postmaster().pid;
    for pid in crate::processes::children_of(postmaster).into_iter().chain([postmaster]) {
        send(pid, Signal::STOP);
    }
    let mut running = server.running;
    let asked = Instant::now();
    running.signal(Signal::TERM);
    running.ended_within(LIMIT).await;
    eprintln!("ended {:?} after SIGTERM with a frozen PostgreSQL", asked.elapsed());
    wait_until("PostgreSQL to be gone", || crate::processes::working_in(&home.data_dir()).is_empty()).await;
    // Nothing that was acknowledged is lost.
    let server = home.serve().await;
    let folded = server.folded(&home.viewer_token(), "/v1/rollups").await;
    assert_eq!(folded["totals"]["input_tokens"], 1);
    tokio::time::timeout(PATIENCE, server.stop()).await.unwrap();
}
