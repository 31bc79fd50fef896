//! The private PostgreSQL with real processes: its ordinary life here, its crashes in `crashes`.

mod crashes;
mod support;

use halfhour::embedded_postgres::{Durability, EmbeddedPostgres, EmbeddedPostgresError};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Barrier;
use std::time::Duration;
use support::{answer, data_dir, execute, is_running, process_group, server_pid, start, try_answer, wait_until};

#[test]
fn a_fresh_directory_becomes_a_private_durable_cluster() {
    let parent = data_dir();
    let data_dir = parent.path().join("data");
    let cluster = EmbeddedPostgres::start(&data_dir, Durability::Durable).unwrap();
    let options = cluster.connect_options();

    assert_eq!(answer(&options, "select current_user || '@' || current_database()"), "halfhour@halfhour");
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        assert_eq!(answer(&options, &format!("show {setting}")), "on", "{setting}");
    }
    assert_eq!(answer(&options, "show listen_addresses"), "");
    assert_eq!(answer(&options, "show server_encoding"), "UTF8");
    let ways_in = "select string_agg(distinct auth_method, ',') from pg_hba_file_rules";
    assert_eq!(answer(&options, ways_in), "scram-sha-256");

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let socket_dir = options.get_socket().unwrap();
    // Root without the right to walk through closed directories has to open this one for walking.
    assert_eq!(mode(&data_dir) & !0o011, 0o700);
    for private in [&data_dir.join("postgres"), socket_dir] {
        assert_eq!(mode(private), 0o700, "{}", private.display());
    }
    assert_eq!(mode(&data_dir.join("postgres.password")), 0o600);
    assert_eq!(mode(&data_dir.join("postgres.log")), 0o600);
    cluster.stop().unwrap();
}

#[test]
fn a_wrong_password_opens_nothing() {
    let data_dir = data_dir();
    let cluster = start(&data_dir);
    let refused = try_answer(&cluster.connect_options().password("guess"), "select 'in'");
    let error = refused.unwrap_err();
    let code = error.as_database_error().and_then(|error| error.code().map(String::from));
    assert_eq!(code.as_deref(), Some("28P01"));
}

#[test]
fn a_disposable_cluster_waits_for_no_disk() {
    let data_dir = data_dir();
    let cluster = start(&data_dir);
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let found = answer(&cluster.connect_options(), &format!("show {setting}"));
        assert_eq!(found, "off", "{setting}");
    }
}

#[test]
fn an_existing_cluster_preloads_what_sessions_need_whatever_its_files_say() {
    let data_dir = data_dir();
    start(&data_dir).stop().unwrap();
    let settings = data_dir.path().join("postgres/postgresql.auto.conf");
    fs::write(settings, "shared_preload_libraries = ''\njit = on\n").unwrap();
    let cluster = start(&data_dir);
    for (setting, value) in [("shared_preload_libraries", "plpgsql"), ("jit", "off")] {
        assert_eq!(answer(&cluster.connect_options(), &format!("show {setting}")), value);
    }
}

#[test]
fn a_second_start_is_refused_and_names_the_first() {
    let data_dir = data_dir();
    let cluster = start(&data_dir);
    let error = EmbeddedPostgres::start(data_dir.path(), Durability::Disposable).unwrap_err();
    assert!(matches!(error, EmbeddedPostgresError::AlreadyRunning { pid: Some(pid), .. } if pid == std::process::id()));
    let message = error.to_string();
    let directory = fs::canonicalize(data_dir.path()).unwrap();
    for part in [&format!("process {}", std::process::id()), directory.to_str().unwrap(), "HALFHOUR_DATA_DIR"] {
        assert!(message.contains(part), "{part} is missing from: {message}");
    }
    assert_eq!(answer(&cluster.connect_options(), "select 'unharmed'"), "unharmed");
}

#[test]
fn a_command_joins_the_running_cluster_and_leaves_it_running() {
    let data_dir = data_dir();
    let cluster = start(&data_dir);
    execute(&cluster.connect_options(), "create table note as select 'seen' as text");
    let joined = EmbeddedPostgres::join_or_start(data_dir.path()).unwrap();
    assert_eq!(answer(&joined.connect_options(), "select text from note"), "seen");
    joined.stop().unwrap();
    assert_eq!(answer(&cluster.connect_options(), "select text from note"), "seen");
}

#[test]
fn a_command_starts_the_cluster_for_its_own_duration() {
    let data_dir = data_dir();
    let cluster = start(&data_dir);
    execute(&cluster.connect_options(), "create table note as select 'kept' as text");
    cluster.stop().unwrap();

    let command = EmbeddedPostgres::join_or_start(data_dir.path()).unwrap();
    let pid = server_pid(data_dir.path());
    assert_eq!(answer(&command.connect_options(), "select text from note"), "kept");
    drop(command);
    assert!(!is_running(pid));
}

#[test]
fn of_many_commands_at_once_one_starts_the_cluster_and_the_others_join_it() {
    let data_dir = data_dir();
    start(&data_dir).stop().unwrap();
    let all_answered = Barrier::new(4);
    let outcome = || {
        let command = EmbeddedPostgres::join_or_start(data_dir.path());
        let answer = command.map(|command| {
            let answer = try_answer(&command.connect_options(), "select 'served'");
            (command, answer)
        });
        // The one that started the server must not take it away from the others.
        all_answered.wait();
        answer.map(|(_, answer)| answer.unwrap()).unwrap()
    };
    std::thread::scope(|scope| {
        let commands = [0; 4].map(|_| scope.spawn(outcome));
        for command in commands {
            assert_eq!(command.join().unwrap(), "served");
        }
    });
    assert!(support::find_server_pid(data_dir.path()).is_none());
}

#[test]
fn stopping_and_dropping_leave_no_process_and_no_socket_directory() {
    let data_dir = data_dir();
    for stop in [true, false] {
        let cluster = start(&data_dir);
        let pid = server_pid(data_dir.path());
        let socket_dir = cluster.connect_options().get_socket().unwrap().clone();
        assert!(is_running(pid) && socket_dir.is_dir());
        if stop {
            cluster.stop().unwrap();
        } else {
            drop(cluster);
        }
        assert!(!is_running(pid), "the server is still there");
        assert!(!socket_dir.exists(), "{} is still there", socket_dir.display());
        let log = fs::read_to_string(data_dir.path().join("postgres.log")).unwrap();
        assert!(log.trim_end().ends_with("database system is shut down"), "{log}");
    }
}

#[test]
fn stopping_does_not_wait_for_sessions_in_the_middle_of_something() {
    let data_dir = data_dir();
    let cluster = start(&data_dir);
    let options = cluster.connect_options();
    let session = std::thread::spawn(move || try_answer(&options, "select pg_sleep(60)::text"));
    let sleeping = "select count(*)::text from pg_stat_activity where wait_event = 'PgSleep'";
    wait_until("the session to sleep", || answer(&cluster.connect_options(), sleeping) == "1");
    let began = std::time::Instant::now();
    cluster.stop().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(session.join().unwrap().is_err());
}

#[test]
fn a_deep_directory_with_spaces_and_odd_characters_works() {
    let parent = data_dir();
    let deep = "a rather, \"deep\" 'directory' that no socket's path could hold/".repeat(3);
    let data_dir = parent.path().join(deep);
    assert!(data_dir.as_os_str().len() > 150);
    let cluster = EmbeddedPostgres::start(&data_dir, Durability::Disposable).unwrap();
    let options = cluster.connect_options();
    assert!(options.get_socket().unwrap().as_os_str().len() <= 80);
    assert_eq!(answer(&options, "select 'here'"), "here");
}

#[test]
fn the_terminals_interrupt_does_not_reach_the_server() {
    let data_dir = data_dir();
    let _cluster = start(&data_dir);
    let pid = server_pid(data_dir.path());
    assert_eq!(process_group(pid), pid);
}

#[test]
fn a_dropped_database_is_made_again() {
    let data_dir = data_dir();
    let cluster = start(&data_dir);
    let elsewhere = cluster.connect_options().database("postgres");
    execute(&elsewhere, "drop database halfhour with (force)");
    cluster.stop().unwrap();
    let cluster = start(&data_dir);
    assert_eq!(answer(&cluster.connect_options(), "select 'back'"), "back");
}

#[test]
fn a_cluster_of_an_unsupported_version_is_refused() {
    let data_dir = data_dir();
    let pg_data = data_dir.path().join("postgres");
    fs::create_dir(&pg_data).unwrap();
    fs::write(pg_data.join("PG_VERSION"), "13\n").unwrap();
    let error = EmbeddedPostgres::start(data_dir.path(), Durability::Durable).unwrap_err();
    let message = error.to_string();
    for part in ["created by PostgreSQL 13", "PostgreSQL 14 or newer", "pg_upgrade"] {
        assert!(message.contains(part), "{part} is missing from: {message}");
    }
}

#[test]
fn a_directory_that_is_no_cluster_is_left_alone() {
    let data_dir = data_dir();
    let pg_data = data_dir.path().join("postgres");
    fs::create_dir(&pg_data).unwrap();
    fs::write(pg_data.join("thesis.txt"), "years of work").unwrap();
    let error = EmbeddedPostgres::start(data_dir.path(), Durability::Durable).unwrap_err();
    assert!(matches!(error, EmbeddedPostgresError::NotACluster { .. }), "{error}");
    assert!(pg_data.join("thesis.txt").exists());
}

#[test]
fn a_lost_password_is_named() {
    let data_dir = data_dir();
    start(&data_dir).stop().unwrap();
    fs::remove_file(data_dir.path().join("postgres.password")).unwrap();
    let error = EmbeddedPostgres::start(data_dir.path(), Durability::Disposable).unwrap_err();
    assert!(error.to_string().contains("postgres.password"), "{error}");
}

#[test]
fn a_server_that_does_not_start_is_quoted() {
    let data_dir = data_dir();
    start(&data_dir).stop().unwrap();
    let settings = data_dir.path().join("postgres/postgresql.auto.conf");
    fs::write(settings, "no_such_setting = on\n").unwrap();
    let error = EmbeddedPostgres::start(data_dir.path(), Durability::Disposable).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("no_such_setting") && message.contains("postgres.log"), "{message}");
    assert!(support::find_server_pid(data_dir.path()).is_none());
}

#[tokio::test]
async fn it_can_be_used_from_asynchronous_code() {
    let data_dir = data_dir();
    let path = data_dir.path().to_owned();
    let starting = tokio::task::spawn_blocking(move || EmbeddedPostgres::start(&path, Durability::Disposable));
    let cluster = starting.await.unwrap().unwrap();
    let pool = sqlx::PgPool::connect_with(cluster.connect_options()).await.unwrap();
    sqlx::Executor::execute(&pool, "select 1").await.unwrap();
    pool.close().await;
    tokio::task::spawn_blocking(|| cluster.stop()).await.unwrap().unwrap();
}
