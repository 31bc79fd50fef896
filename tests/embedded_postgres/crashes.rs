//! What is left when processes are killed, and how the next start puts it right.

use crate::support::{
    answer, data_dir, execute, find_server_pid, is_running, send, server_pid, start, try_answer, wait_until,
};
use halfhour::embedded_postgres::{Durability, EmbeddedPostgres};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Tells the re-executed test binary which directory to hold.
const HELD_DIRECTORY: &str = "HALFHOUR_TEST_HELD_DIRECTORY";

/// Not a test: the body of the process that the tests below kill.
#[test]
#[ignore = "runs as the child process of other tests"]
fn a_process_that_holds_a_cluster() {
    let Some(data_dir) = std::env::var_os(HELD_DIRECTORY) else {
        return;
    };
    let cluster = EmbeddedPostgres::start(Path::new(&data_dir), Durability::Durable).unwrap();
    execute(&cluster.connect_options(), "create table if not exists note (text text)");
    execute(&cluster.connect_options(), "insert into note values ('committed')");
    fs::write(Path::new(&data_dir).join("held"), "").unwrap();
    loop {
        std::thread::park();
    }
}

/// Starts a process that runs the cluster and has committed a row.
fn hold_in_another_process(data_dir: &Path) -> Child {
    let held = data_dir.join("held");
    let _ = fs::remove_file(&held);
    let mut holder = Command::new(std::env::current_exe().expect("this test's program"))
        .args(["--exact", "--ignored", "crashes::a_process_that_holds_a_cluster"])
        .env(HELD_DIRECTORY, data_dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("another process");
    wait_until("the other process to hold the cluster", || {
        let ended = holder.try_wait().expect("the other process's state");
        assert!(ended.is_none(), "the other process ended: {ended:?}");
        held.exists()
    });
    holder
}

/// Whether this machine has what makes a server end with its process, or walk through closed directories.
fn setpriv_works(options: &[&str]) -> bool {
    let outcome = Command::new("setpriv").args(options).arg("true").output();
    outcome.is_ok_and(|output| output.status.success())
}

#[test]
fn a_killed_server_comes_back_with_everything_committed() {
    let data_dir = data_dir();
    let cluster = EmbeddedPostgres::start(data_dir.path(), Durability::Durable).unwrap();
    let options = cluster.connect_options();
    execute(&options, "create table note as select 'committed' as text");
    for _ in 0..2 {
        let killed = server_pid(data_dir.path());
        send(killed, Signal::KILL);
        wait_until("another server", || find_server_pid(data_dir.path()).is_some_and(|pid| pid != killed));
        wait_until("the row", || try_answer(&options, "select text from note").is_ok());
        assert_eq!(answer(&options, "select text from note"), "committed");
    }
    let last = server_pid(data_dir.path());
    cluster.stop().unwrap();
    assert!(!is_running(last));
}

#[test]
fn a_busy_session_of_a_killed_server_does_not_keep_the_next_one_down() {
    let data_dir = data_dir();
    let cluster = start(&data_dir);
    let options = cluster.connect_options();
    // Counting without end never waits, so it never notices that its server is gone.
    let busy_options = options.clone();
    let busy = std::thread::spawn(move || {
        try_answer(&busy_options, "select count(*)::text from generate_series(1, 1e12::int8) as busy")
    });
    let working =
        "select coalesce(min(pid), 0)::text from pg_stat_activity where query like '%as busy' and state = 'active'";
    wait_until("the session to work", || answer(&options, working) != "0");
    let session: i32 = answer(&options, working).parse().unwrap();

    let killed = Instant::now();
    send(server_pid(data_dir.path()), Signal::KILL);
    wait_until("the server to be back", || try_answer(&options, "select 'back'").is_ok());
    assert!(killed.elapsed() < Duration::from_secs(15));
    assert!(busy.join().unwrap().is_err());
    assert!(!is_running(session));
}

#[test]
fn stopping_ends_a_server_that_is_just_being_restarted() {
    let data_dir = data_dir();
    let cluster = start(&data_dir);
    let socket_dir = cluster.connect_options().get_socket().unwrap().clone();
    let killed = server_pid(data_dir.path());
    send(killed, Signal::KILL);
    cluster.stop().unwrap();
    assert!(find_server_pid(data_dir.path()).is_none_or(|pid| !is_running(pid)));
    assert!(!socket_dir.exists());
    let cluster = start(&data_dir);
    assert_eq!(answer(&cluster.connect_options(), "select 'fine'"), "fine");
}

#[test]
fn a_killed_process_leaves_no_server_and_loses_nothing() {
    let data_dir = data_dir();
    let mut holder = hold_in_another_process(data_dir.path());
    let refused = EmbeddedPostgres::start(data_dir.path(), Durability::Durable).unwrap_err();
    assert!(refused.to_string().contains(&format!("process {}", holder.id())), "{refused}");
    let orphan = server_pid(data_dir.path());
    holder.kill().unwrap();
    holder.wait().unwrap();

    // At once, while the server may still be on its way out.
    let cluster = EmbeddedPostgres::start(data_dir.path(), Durability::Durable).unwrap();
    assert_eq!(answer(&cluster.connect_options(), "select text from note"), "committed");
    if setpriv_works(&["--pdeathsig", "QUIT"]) {
        assert!(!is_running(orphan), "the killed process's server is still there");
    }
    let socket_dir = cluster.connect_options().get_socket().unwrap().clone();
    cluster.stop().unwrap();
    assert!(!socket_dir.exists());
}

#[test]
fn a_process_and_server_killed_together_leave_nothing_in_the_way() {
    let data_dir = data_dir();
    let mut holder = hold_in_another_process(data_dir.path());
    // The server first, so that it cannot clean up after its process.
    send(server_pid(data_dir.path()), Signal::KILL);
    holder.kill().unwrap();
    holder.wait().unwrap();
    let cluster = EmbeddedPostgres::start(data_dir.path(), Durability::Durable).unwrap();
    assert_eq!(answer(&cluster.connect_options(), "select text from note"), "committed");
    let socket_dir = cluster.connect_options().get_socket().unwrap().clone();
    cluster.stop().unwrap();
    assert!(!socket_dir.exists());
}

#[test]
fn a_process_id_in_use_again_does_not_pass_for_the_server() {
    let data_dir = data_dir();
    start(&data_dir).stop().unwrap();
    // As after the restart of a container, where the same few process ids come round again.
    let pg_data = data_dir.path().join("postgres");
    let content = format!("{}\n{}\n1763680000\n5432\n/tmp\n\n", std::process::id(), pg_data.display());
    fs::write(pg_data.join("postmaster.pid"), content).unwrap();
    let cluster = start(&data_dir);
    assert_eq!(answer(&cluster.connect_options(), "select 'fine'"), "fine");
}

#[test]
fn a_half_made_cluster_is_made_again() {
    let data_dir = data_dir();
    // What a crash in the middle of initdb leaves.
    let half = data_dir.path().join("postgres.partial/cluster");
    fs::create_dir_all(half.join("base")).unwrap();
    fs::write(half.join("PG_VERSION"), "15\n").unwrap();
    // An empty directory in the cluster's place, as for a volume, is no obstacle either.
    fs::create_dir(data_dir.path().join("postgres")).unwrap();
    let cluster = start(&data_dir);
    assert_eq!(answer(&cluster.connect_options(), "select 'whole'"), "whole");
    assert!(!data_dir.path().join("postgres.partial").exists());
}

/// Runs the stopped cluster's server again from its own command line, with nothing that ends it when
/// its process is gone, as on a system without such a signal.
#[cfg(target_os = "linux")]
fn leave_a_survivor(data_dir: &Path, socket_dir: &Path) -> Child {
    let pg_data = data_dir.join("postgres");
    let owner = fs::metadata(&pg_data).expect("the cluster");
    fs::create_dir(socket_dir).expect("a socket directory");
    chown(socket_dir, Some(owner.uid()), Some(owner.gid())).expect("another owner");
    let command_line = fs::read_to_string(pg_data.join("postmaster.opts")).expect("its options");
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={}", owner.uid()));
        command.arg(format!("--regid={}", owner.gid()));
        command.arg("--clear-groups");
        let walking = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
        if setpriv_works(&walking) {
            command.args(walking);
        }
        command.args(["--", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    let survivor = command
        .args(["-c", &format!("exec {command_line}")])
        .current_dir("/")
        .stderr(Stdio::null())
        .spawn()
        .expect("a server");
    wait_until("the survivor to be ready", || {
        fs::read_to_string(pg_data.join("postmaster.pid")).is_ok_and(|content| content.contains("ready"))
    });
    survivor
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_survived_its_process_is_taken_over() {
    let data_dir = data_dir();
    let cluster = EmbeddedPostgres::start(data_dir.path(), Durability::Durable).unwrap();
    let socket_dir = cluster.connect_options().get_socket().unwrap().clone();
    cluster.stop().unwrap();
    let mut survivor = leave_a_survivor(data_dir.path(), &socket_dir);

    let cluster = EmbeddedPostgres::start(data_dir.path(), Durability::Durable).unwrap();
    let options = cluster.connect_options();
    assert_eq!(server_pid(data_dir.path()).unsigned_abs(), survivor.id());
    execute(&options, "create table note as select 'kept' as text");
    // It is watched like a child: killed, it is replaced.
    survivor.kill().unwrap();
    wait_until("another server", || try_answer(&options, "select text from note").is_ok());
    assert_ne!(server_pid(data_dir.path()).unsigned_abs(), survivor.id());
    survivor.wait().unwrap();
    cluster.stop().unwrap();
    assert!(!socket_dir.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_survivor_that_waits_for_no_disk_is_not_taken_for_a_durable_one() {
    let data_dir = data_dir();
    let cluster = start(&data_dir);
    let socket_dir = cluster.connect_options().get_socket().unwrap().clone();
    cluster.stop().unwrap();
    let mut survivor = leave_a_survivor(data_dir.path(), &socket_dir);

    let cluster = EmbeddedPostgres::start(data_dir.path(), Durability::Durable).unwrap();
    assert_eq!(answer(&cluster.connect_options(), "show fsync"), "on");
    survivor.wait().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_survivor_that_has_not_preloaded_what_sessions_need_is_not_taken_over() {
    let data_dir = data_dir();
    let cluster = EmbeddedPostgres::start(data_dir.path(), Durability::Durable).unwrap();
    let socket_dir = cluster.connect_options().get_socket().unwrap().clone();
    cluster.stop().unwrap();
    // As an older release started it.
    let options = data_dir.path().join("postgres/postmaster.opts");
    let written = fs::read_to_string(&options).unwrap();
    let older = written.replace(" \"-c\" \"shared_preload_libraries=plpgsql\"", "");
    assert_ne!(older, written);
    fs::write(&options, older).unwrap();
    let mut survivor = leave_a_survivor(data_dir.path(), &socket_dir);

    let cluster = EmbeddedPostgres::start(data_dir.path(), Durability::Durable).unwrap();
    assert_eq!(answer(&cluster.connect_options(), "show shared_preload_libraries"), "plpgsql");
    survivor.wait().unwrap();
}
