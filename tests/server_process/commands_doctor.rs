//! `halfhour doctor`: what it says of an installation that is well, and of each thing that can be broken on purpose.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use halfhour::embedded_postgres::EmbeddedPostgres;
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::external_database::{database_url, home, start_postgres};
use crate::http::recent;
use crate::processes::send;
use crate::support::Home;

/// What every examination of a database looks at, in order.
const CHECKS: [&str; 15] = [
    "settings",
    "secret",
    "disk",
    "database",
    "durability",
    "connections",
    "roles",
    "migrations",
    "programs",
    "clock",
    "switches",
    "backlog",
    "parked",
    "tokens",
    "drift",
];

const TOKENS: &str =
    "update account.token set created_at = clock_timestamp() - interval '1 year 2 days', last_used_at = null";
const EVENT: &str = "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, created_at, lane, request_id) \
                     select user_id, 'bucket_changed', '2026-01-01', '2026-01-01T00:00Z', '2026-01-01T00:00Z', \
                     clock_timestamp() - interval '11 minutes', 'live', gen_random_uuid() from account.user limit 1";

/// What breaks something, what mends it, and which check has to say what, how gravely. What is not mended is what the
/// next one builds on.
const FAULTS: [(&str, &str, &str, &str, &str); 10] = [
    ("alter role halfhour_api bypassrls", "alter role halfhour_api nobypassrls", "roles", "failure", "halfhour_api"),
    (
        "update rollup.daily set input_tokens = 41",
        "update rollup.daily set input_tokens = 42",
        "drift",
        "failure",
        "1 with drift",
    ),
    (
        "insert into ops.switch (name, is_on, reason, changed_at) values ('relay', false, 'the disk is full', now())",
        "delete from ops.switch",
        "switches",
        "warning",
        "relay (the disk is full)",
    ),
    (EVENT, "", "backlog", "failure", "1 event(s) wait"),
    (
        "update usage.outbox set parked_at = now(), attempts = 10, last_error = '22023'",
        "delete from usage.outbox",
        "parked",
        "failure",
        "1 event(s) are set aside",
    ),
    (TOKENS, "", "tokens", "warning", "3 were not used for 90 days; 1 operators' tokens are older than 365 days"),
    (
        "update account.token set expires_at = clock_timestamp() + interval '5 minutes', \
         last_used_at = clock_timestamp() where kind = 'device'",
        "update account.token set expires_at = null, created_at = clock_timestamp()",
        "tokens",
        "warning",
        "1 of them end within minutes and are still used",
    ),
    (
        "update _sqlx_migrations set checksum = '\\x00' where version = 2",
        "",
        "migrations",
        "failure",
        "another content than here: 2",
    ),
    (
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
         values (99999, 'of the future', true, '\\x00', 0); delete from _sqlx_migrations where version = 2",
        "",
        "migrations",
        "failure",
        "does not know: 99999",
    ),
    ("update _sqlx_migrations set success = false where version = 3", "", "migrations", "failure", "Migration 3"),
];

/// How the command ends, and what it found.
#[track_caller]
fn examined(home: &Home) -> (Option<i32>, Value) {
    let said = home.run(&["doctor", "--json"]);
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    for finding in report["findings"].as_array().unwrap() {
        let is_grave = ["warning", "failure"].contains(&finding["state"].as_str().unwrap());
        assert_eq!((finding["means"].is_string(), finding["do"].is_string()), (is_grave, is_grave), "{finding}");
    }
    let failed = report["findings"].as_array().unwrap().iter().any(|finding| finding["state"] == "failure");
    assert_eq!(report["is_well"], !failed, "{report}");
    (said.code, report)
}

/// Asserts that every check has found all to be well.
#[track_caller]
fn assert_well(report: &Value) {
    let well = named(report, "ok");
    let mut checks = CHECKS.to_vec();
    checks.retain(|check| *check != "disk");
    assert_eq!(well, checks, "{report}");
}

/// The names of the findings of a state. How full the tests' disk is, is nobody's fault and left out.
fn named<'report>(report: &'report Value, state: &str) -> Vec<&'report str> {
    let findings = report["findings"].as_array().unwrap().iter();
    let of_state = findings.filter(|finding| finding["state"] == state);
    let names = of_state.map(|finding| finding["check"].as_str().unwrap());
    names.filter(|check| *check != "disk" || state == "not_checked").collect()
}

#[track_caller]
fn found<'report>(report: &'report Value, check: &str) -> &'report str {
    let finding = report["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == check);
    finding.unwrap_or_else(|| panic!("{check} is missing: {report}"))["found"].as_str().unwrap()
}

/// Does something to the database as its superuser.
async fn change(postgres: &EmbeddedPostgres, sql: &str) {
    let options = postgres.connect_options().database("halfhour");
    let mut superuser = PgConnection::connect_with(&options).await.unwrap();
    superuser.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    superuser.close().await.unwrap();
}

#[tokio::test]
async fn an_installation_that_is_well_is_well_with_its_server_and_without_and_nothing_is_changed() {
    let home = Home::new();
    // Where nothing was started, nothing is made either.
    let (code, report) = examined(&home);
    assert_eq!((code, named(&report, "warning")), (Some(0), vec!["database"]), "{report}");
    assert!(found(&report, "database").starts_with("There is no cluster in "), "{report}");
    assert!(!home.data_dir().exists());

    let server = home.serve().await;
    server.post(&home.device_token(), &recent("m", 42)).await;
    server.folded(&home.viewer_token(), "/v1/rollups").await;
    let postgres = home.postmaster();
    let (code, report) = examined(&home);
    let checks: Vec<_> = report["findings"].as_array().unwrap().iter().map(|finding| &finding["check"]).collect();
    assert_eq!(checks, CHECKS);
    assert_well(&report);
    assert_eq!(code.is_some_and(|code| code == 3), !report["is_well"].as_bool().unwrap());
    assert!(found(&report, "drift").starts_with("1 day(s) of 1 user(s)"), "{report}");
    assert_eq!(home.postmaster(), postgres);
    server.stop().await;
    home.assert_nothing_left();

    assert_well(&examined(&home).1);
    home.assert_nothing_left();
    let words = home.run(&["doctor"]).stdout;
    assert!(words.contains("ok           clock        The database's clock is ") && words.contains(" ok, "), "{words}");
}

#[tokio::test]
async fn what_is_broken_in_the_data_directory_is_found() {
    let home = Home::new();
    home.serve().await.stop().await;
    let key = home.data_dir().join("secret.key");
    let content = fs::read(&key).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let (code, report) = examined(&home);
    assert_eq!((code, named(&report, "warning")), (Some(0), vec!["secret"]), "{report}");
    fs::write(&key, "short").unwrap();
    assert_eq!(named(&examined(&home).1, "failure"), ["secret"]);
    fs::remove_file(&key).unwrap();
    let (code, report) = examined(&home);
    assert_eq!((code, named(&report, "failure")), (Some(3), vec!["secret"]), "{report}");
    assert!(!key.exists(), "who looks makes no key");
    fs::write(&key, content).unwrap();

    // A cluster that does not start.
    let version = home.data_dir().join("postgres/PG_VERSION");
    let content = fs::read(&version).unwrap();
    fs::write(&version, "99\n").unwrap();
    let home = home.with("PATH", "/nowhere");
    let said = home.run(&["doctor"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.stdout.contains("failure      database     It cannot be reached"), "{said:?}");
    fs::write(&version, content).unwrap();
}

#[test]
fn settings_that_are_wrong_are_a_finding_and_the_exit_code_is_theirs() {
    let home = Home::new().with("HALFHOUR_POOL_READ", "many").with("HALFHOUR_BNID", "127.0.0.1:1");
    let (code, report) = examined(&home);
    assert_eq!((code, named(&report, "failure")), (Some(2), vec!["settings"]), "{report}");
    for name in ["HALFHOUR_POOL_READ", "HALFHOUR_BNID"] {
        assert!(found(&report, "settings").contains(name), "{report}");
    }
    let home = Home::new().with("HALFHOUR_BIND", "0.0.0.0:0").with("HALFHOUR_LIMIT_ANONYMOUS_PER_MINUTE", "0");
    assert!(named(&examined(&home).1, "warning").contains(&"settings"));
}

#[tokio::test]
async fn everything_that_can_be_broken_in_a_database_is_found_with_what_to_do() {
    let (directory, postgres) = start_postgres();
    let home = home(&database_url(directory.path(), &postgres));
    // Never migrated: it is said, and the doctor does not migrate.
    for _ in 0..2 {
        let (code, report) = examined(&home);
        // The tests' PostgreSQL does not wait for the disk.
        assert_eq!((code, named(&report, "failure")), (Some(3), vec!["durability"]), "{report}");
        assert!(found(&report, "migrations").contains("are not applied yet"), "{report}");
        assert_eq!(named(&report, "not_checked").len(), 7, "{report}");
    }
    let server = home.serve().await;
    let user = home.json(&["user", "add", "ann"]);
    let device = home.json(&["device", "add", "--user", "ann", "--name", "laptop"]);
    server.post(device["token"].as_str().unwrap(), &recent("m", 42)).await;
    server.folded(user["viewer_token"].as_str().unwrap(), "/v1/rollups").await;
    server.stop().await;
    home.json(&["token", "issue", "--user", "ann", "--kind", "operator"]);
    let (_, report) = examined(&home);
    assert_eq!((named(&report, "failure"), named(&report, "warning")), (vec!["durability"], Vec::new()), "{report}");
    assert!(found(&report, "durability").starts_with("fsync and full_page_writes are off"), "{report}");

    for (breaks, mends, check, state, says) in FAULTS {
        change(&postgres, breaks).await;
        let (code, report) = examined(&home);
        assert_eq!(code, Some(3), "{report}");
        assert!(named(&report, state).contains(&check), "{breaks}: {report}");
        assert!(found(&report, check).contains(says), "{breaks}: {report}");
        change(&postgres, mends).await;
    }
    postgres.stop().unwrap();
    let (code, report) = examined(&home);
    assert_eq!((code, named(&report, "failure")), (Some(3), vec!["database"]), "{report}");
    assert!(found(&report, "database").starts_with("It cannot be reached"), "{report}");
}

#[tokio::test]
async fn a_database_that_says_nothing_ends_the_examination_in_time() {
    let (directory, postgres) = start_postgres();
    let home = home(&database_url(directory.path(), &postgres));
    home.json(&["migrate"]);
    let pid: u32 = fs::read_to_string(directory.path().join("postgres/postmaster.pid"))
        .unwrap()
        .lines()
        .next()
        .and_then(|pid| pid.parse().ok())
        .unwrap();
    send(pid, Signal::STOP);
    let began = Instant::now();
    let (code, report) = examined(&home);
    let took = began.elapsed();
    send(pid, Signal::CONT);
    assert_eq!((code, named(&report, "failure")), (Some(3), vec!["database"]), "{report}");
    assert_eq!(report["findings"].as_array().unwrap().len(), 4, "{report}");
    assert!(found(&report, "database").contains("did not answer in time"), "{report}");
    assert!(took < Duration::from_secs(25), "{took:?}");
    assert_eq!(json!(null), report["findings"][0]["do"]);
    postgres.stop().unwrap();
}
