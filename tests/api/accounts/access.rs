//! Nobody reaches another user's things, neither by their ids nor where a statement forgets to ask
//! whose they are.

use std::collections::BTreeSet;
use std::path::Path;

use halfhour::features::accounts::Accounts;
use halfhour::kernel::database::{Access, Mode};
use reqwest::Method;
use sqlx::{AssertSqlSafe, Executor as _};
use uuid::Uuid;

use super::anonymous;
use crate::support::{TestApp, TestUser, context, instant, server_key};

/// Every route with an id of a user's thing in its path, and what is sent to it. A new one is added here. (Jobs belong to
/// all operators.)
const ROUTES_WITH_IDS: [(&str, &str, &str); 3] = [
    ("patch", "/v1/devices/{device_id}", r#"{"name":"mine"}"#),
    ("post", "/v1/devices/{device_id}/revoke", ""),
    ("post", "/v1/devices/{device_id}/rotate", ""),
];

/// One of these routes, asked about a thing.
async fn asked_about(
    app: &TestApp,
    user: &TestUser,
    (method, path, body): (&str, &str, &str),
    id: &str,
) -> crate::support::Reply {
    let method: Method = method.to_uppercase().parse().unwrap();
    let request = app.request(method, &path.replace("{device_id}", id)).bearer(&user.viewer);
    let sends = if body.is_empty() { request } else { request.header("content-type", "application/json").body(body) };
    sends.send().await
}

/// How often each table of accounts was looked into so far, by anybody.
async fn scans(app: &TestApp) -> Vec<String> {
    app.ask(
        "select relname || ' ' || seq_scan + idx_scan || ' ' || n_tup_ins + n_tup_upd
         from pg_stat_user_tables where schemaname in ('account', 'usage', 'ops') order by 1",
    )
    .await
}

#[tokio::test]
async fn another_users_id_gets_the_answer_of_one_that_does_not_exist_on_every_route_that_takes_one() {
    let app = TestApp::start().await;
    let document = app.request(Method::GET, "/openapi.json").send().await.expect_ok().clone();
    let mut with_ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|_| path.contains("_id}") && !path.contains("{job_id}")) {
            with_ids.insert((method.as_str(), path.as_str()));
        }
    }
    assert_eq!(with_ids, ROUTES_WITH_IDS.iter().map(|(method, path, _)| (*method, *path)).collect());

    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let foreign = app.device(&bob, "laptop").await.device_id;
    for route in ROUTES_WITH_IDS {
        let mut answers = Vec::new();
        for id in [foreign.to_string(), Uuid::now_v7().to_string(), "no-id".to_owned()] {
            let reply = asked_about(&app, &ann, route, &id).await;
            reply.expect_problem(404, "not_found");
            answers.push(anonymous(&reply));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
    let untouched =
        "select (d.name = 'laptop' and d.revoked_at is null and t.revoked_at is null and t.expires_at is null)::text
                     from account.device d join account.token t using (user_id, device_id)";
    assert_eq!(app.ask(untouched).await, ["true"]);
}

/// What ten requests for a device cost the database, whose statistics are whole once their server
/// is gone.
async fn cost(app: &TestApp, user: &TestUser, route: (&str, &str, &str), id: Uuid) -> Vec<String> {
    let gone = "select 'all gone' from pg_stat_activity
                where datname = current_database() and application_name = 'halfhour read' having count(*) = 0";
    app.pools.read.close().await;
    app.wait_for(gone).await;
    app.tell("select pg_stat_reset()").await;
    let server = app.second_server().await;
    for _ in 0..10 {
        asked_about(&server, user, route, &id.to_string()).await.expect_problem(404, "not_found");
    }
    server.pools.read.close().await;
    app.wait_for(gone).await;
    scans(app).await
}

#[tokio::test]
async fn another_users_id_costs_the_database_as_much_as_one_that_does_not_exist() {
    let app = TestApp::start().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let foreign = app.device(&bob, "laptop").await.device_id;
    for route in ROUTES_WITH_IDS {
        let there = cost(&app, &ann, route, foreign).await;
        let nowhere = cost(&app, &ann, route, Uuid::now_v7()).await;
        assert_eq!(there, nowhere, "{route:?}");
        assert!(there.iter().any(|line| line.starts_with("device ") && !line.ends_with(" 0 0")), "{there:?}");
    }
}

/// Statements that run as the worker over all users, or as the definer of a function, which the
/// caller's setting does not bind; and one that reads no table.
const OVER_ALL_USERS: [&str; 17] = [
    "accounts/persons/find_person.sql",
    "accounts/persons/lock_operators.sql",
    "accounts/persons/others_operate.sql",
    "accounts/linking/exchange_link_code.sql",
    "accounts/pairing/enrol_device.sql",
    "accounts/devices/note_reports.sql",
    "accounts/tokens/find_token.sql",
    "accounts/users/find_user.sql",
    "accounts/tokens/list_tokens.sql",
    "accounts/users/list_users.sql",
    "accounts/tokens/note_token_uses.sql",
    "accounts/tokens/is_other_server_key.sql",
    "accounts/tokens/note_server_key.sql",
    "accounts/linking/purge_link_codes.sql",
    "accounts/tokens/token_ages.sql",
    "accounts/tokens/purge_tokens.sql",
    "accounts/tokens/tokens_exist.sql",
];

/// Each statement of accounts, and of erasure, with parameters that name `$bob` and his things.
const STATEMENTS: [(&str, &[&str]); 55] = [
    ("accounts/signing_in/find_active_user.sql", &["$bob"]),
    ("accounts/signing_in/insert_session.sql", &["$hash", "$new", "viewer", "$bob", "60"]),
    ("accounts/signing_in/end_sessions.sql", &["$bob", "$token"]),
    ("accounts/tokens/own_tokens.sql", &["$bob", "100"]),
    ("accounts/tokens/revoke_own_token.sql", &["$bob", "$token"]),
    ("accounts/devices/last_heard.sql", &["$bob"]),
    ("accounts/linking/standing_link_codes.sql", &["$bob", "{$hash}"]),
    ("accounts/persons/count_accounts.sql", &["$bob"]),
    ("accounts/persons/erase_link_codes.sql", &["$bob"]),
    ("accounts/persons/erase_tokens.sql", &["$bob"]),
    ("accounts/persons/erase_devices.sql", &["$bob"]),
    ("accounts/persons/erase_user.sql", &["$bob"]),
    ("accounts/persons/finish_erasure.sql", &["$bob"]),
    ("accounts/persons/lock_person.sql", &["$bob"]),
    ("accounts/persons/operates.sql", &["$bob"]),
    ("accounts/persons/persons_named.sql", &["bob", "10"]),
    ("accounts/persons/record_erased_user.sql", &["$bob"]),
    ("accounts/persons/unfinished_erasures.sql", &["10"]),
    ("../kernel/usage/erasure/count_of_person.sql", &["$bob"]),
    ("../kernel/usage/erasure/forget_answers.sql", &["$bob", "10"]),
    ("../kernel/usage/erasure/forget_buckets.sql", &["$bob", "10"]),
    ("../kernel/usage/erasure/forget_events.sql", &["$bob", "10"]),
    ("../kernel/usage/erasure/forget_marks.sql", &["$bob"]),
    ("../kernel/usage/erasure/forget_pre_images.sql", &["$bob", "10"]),
    ("accounts/erasing/erasure_hours.sql", &["$bob", "2026-11-01", "2026-11-30"]),
    ("accounts/tokens/expire_tokens.sql", &["$bob", "$device", "$token", "0"]),
    ("accounts/devices/find_device.sql", &["$bob", "laptop"]),
    ("accounts/profile/find_profile.sql", &["$bob"]),
    ("accounts/devices/insert_device.sql", &["$bob", "$new", "mole", "linux", "1000"]),
    ("accounts/linking/insert_link_code.sql", &["$hash", "$bob", "2026-11-20T12:00:00Z", "2026-11-20T12:10:00Z", "20"]),
    ("accounts/tokens/insert_token.sql", &["$hash", "$new", "device", "$bob", "$device"]),
    ("accounts/users/insert_user.sql", &["$new", "mole", "UTC"]),
    ("accounts/devices/list_devices.sql", &["$bob", "$zero", "100"]),
    ("accounts/pairing/approve_pairing.sql", &["$hash", "$bob", "2026-11-20T12:00:00Z", "2026-11-20T12:10:00Z", "20"]),
    ("accounts/pairing/find_approval.sql", &["$hash", "$bob"]),
    ("accounts/pairing/find_machine.sql", &["$bob", "$hash"]),
    ("accounts/pairing/insert_numbered_device.sql", &["$bob", "$new", "mole", "linux", "$hash", "1000"]),
    ("accounts/linking/lock_maker.sql", &["$bob"]),
    ("accounts/profile/lock_profile.sql", &["$bob"]),
    ("accounts/devices/lock_device.sql", &["$bob", "$device"]),
    ("accounts/devices/lock_device_name.sql", &["$bob", "$device"]),
    ("accounts/devices/rename_device.sql", &["$bob", "$device", "mole"]),
    ("accounts/tokens/insert_labelled_token.sql", &["$hash", "$new", "$bob", "mole", "100"]),
    ("accounts/devices/revoke_device.sql", &["$bob", "$device"]),
    ("accounts/tokens/revoke_token.sql", &["$token"]),
    ("accounts/users/revoke_user.sql", &["$bob"]),
    ("accounts/profile/set_time_zone.sql", &["$bob", "Europe/Berlin"]),
    ("accounts/tokens/find_token.sql", &["$token"]),
    ("accounts/users/find_user.sql", &["bob"]),
    ("accounts/tokens/list_tokens.sql", &["$bob", "$zero", "100"]),
    ("accounts/users/list_users.sql", &["$ann", "100"]),
    (
        "../kernel/usage/erasure/count_erasable.sql",
        &["$bob", "$device", "codex", "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"],
    ),
    (
        "../kernel/usage/erasure/erase_buckets.sql",
        &["$bob", "$device", "codex", "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"],
    ),
    (
        "../kernel/usage/erasure/erase_pre_images.sql",
        &["$bob", "$device", "codex", "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"],
    ),
    (
        "../kernel/usage/erasure/record_erasures.sql",
        &["$bob", "{$new}", "{$device}", "{2026-11-20}", "codex", "2020-01-01", "2030-01-01"],
    ),
];

/// Statements whose one row counts what was found, or gives hours that depend on no row.
const COUNTING: [&str; 3] = [
    "../kernel/usage/erasure/count_erasable.sql",
    "../kernel/usage/erasure/count_of_person.sql",
    "accounts/persons/count_accounts.sql",
];

/// The statement whose one row says whether something was found.
const ASKING: &str = "accounts/persons/operates.sql";

/// The statement whose one row is null where nothing was found.
const GREATEST: &str = "accounts/devices/last_heard.sql";

/// The statement with its parameters written in.
fn written_in(text: &str, parameters: &[String]) -> String {
    let mut sql: String = text.lines().filter(|line| !line.starts_with("--")).flat_map(|line| [line, "\n"]).collect();
    for (position, parameter) in parameters.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", position + 1), &format!("'{parameter}'"));
    }
    sql
}

#[test]
fn every_statement_of_accounts_is_tried_in_another_users_name_or_runs_over_all_users() {
    let features = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/features");
    let (mut folders, mut files) = (vec![features.join("accounts")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "sql") {
                files.push(entry.strip_prefix(&features).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let known = |file: &str| STATEMENTS.iter().any(|(path, _)| *path == file) || OVER_ALL_USERS.contains(&file);
    let untried: Vec<_> = files.iter().filter(|file| !known(file)).collect();
    assert_eq!(untried, Vec::<&String>::new());
    assert!(files.len() > 20, "only {} statements were found", files.len());
}

#[tokio::test]
async fn statements_that_name_another_user_find_nothing_and_write_nothing() {
    let app = TestApp::start().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let device = app.device(&bob, "laptop").await;
    let body =
        serde_json::json!({"buckets": [{"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "gpt"}]});
    app.post_buckets(&device.token, &body).await.expect_ok();
    let token = app.ask("select token_id::text from account.token where kind = 'device'").await.remove(0);
    let all = "select md5(string_agg(line, '' order by line)) from (
        select t::text from account.user t union all select t::text from account.device t
        union all select t::text from account.token t union all select t::text from account.link_code t
        union all select t::text from account.erased_user t union all select t::text from usage.outbox t
        union all select t::text from usage.bucket t union all select t::text from usage.pre_image t union all select t::text from usage.erasure t) as every (line)";
    let before = app.ask(all).await;
    for (path, parameters) in STATEMENTS {
        let text = std::fs::read_to_string(format!("{}/src/features/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let parameters: Vec<String> = parameters
            .iter()
            .map(|parameter| {
                let ids = [("$ann", ann.user_id), ("$bob", bob.user_id), ("$device", device.device_id)];
                let named =
                    ids.iter().fold((*parameter).to_owned(), |text, (name, id)| text.replace(name, &id.to_string()));
                let named = named.replace("$token", &token).replace("$new", &Uuid::now_v7().to_string());
                named.replace("$zero", &Uuid::nil().to_string()).replace("$hash", &format!("\\x{}", "ab".repeat(32)))
            })
            .collect();
        let mut tx = app.pools.read.begin(&context(), Access::Users(&[ann.user_id]), Mode::ReadWrite).await.unwrap();
        let sql = written_in(&text, &parameters);
        match tx.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql.clone()))).await {
            Ok(rows) if COUNTING.contains(&path) => {
                assert_eq!(sqlx::Row::get::<i64, _>(&rows[0], 0), 0, "{path}");
                tx.commit().await.unwrap();
            }
            Ok(rows) if path == ASKING => {
                assert!(!sqlx::Row::get::<bool, _>(&rows[0], 0), "{path}");
                tx.commit().await.unwrap();
            }
            Ok(rows) if path == GREATEST => {
                let found: Option<chrono::DateTime<chrono::Utc>> = sqlx::Row::get(&rows[0], 0);
                assert_eq!(found, None, "{path}");
                tx.commit().await.unwrap();
            }
            Ok(rows) => {
                assert_eq!(rows.len(), 0, "{path} found another user's row");
                tx.commit().await.unwrap();
            }
            Err(error) => {
                let sqlstate = error.as_database_error().and_then(|error| error.code().map(String::from));
                assert_eq!(sqlstate.as_deref(), Some("42501"), "{path}: {error}\n{sql}");
            }
        }
    }
    assert_eq!(app.ask(all).await, before);
}

#[tokio::test]
async fn tokens_are_removed_a_month_after_they_ended_and_none_that_is_valid_ever_is() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    app.device(&user, "laptop").await;
    app.device(&user, "phone").await;
    let ended = |column: &str, at: &str, device: &str| {
        format!(
            "update account.token t set {column} = '{at}' from account.device d
             where d.device_id = t.device_id and d.name = '{device}'"
        )
    };
    app.tell("update account.token set created_at = '2020-01-01' where kind = 'viewer'").await;
    app.tell(&ended("revoked_at", "2026-10-21T12:00:00Z", "laptop")).await;
    app.tell(&ended("expires_at", "2026-10-21T12:00:00.000001Z", "phone")).await;
    let left = "select kind || coalesce(' ' || d.name, '') from account.token t
                left join account.device d on d.device_id = t.device_id order by 1";
    let accounts = Accounts::new(app.pools.worker.clone(), server_key());
    for (now, expected) in [
        ("2026-11-20T11:59:59.999999Z", &["device laptop", "device phone", "operator", "viewer"][..]),
        ("2026-11-20T12:00:00Z", &["device phone", "operator", "viewer"]),
        ("2026-11-20T12:00:00.000001Z", &["operator", "viewer"]),
        ("2126-11-20T12:00:00Z", &["operator", "viewer"]),
    ] {
        accounts.tokens.purge(&context(), instant(now)).await.unwrap();
        assert_eq!(app.ask(left).await, expected, "{now}");
    }
    app.get(&user.viewer, "/v1/rollups").await.expect_ok();
    // Not even a worker that lost its `where` could remove a valid one.
    app.tell("begin; set local role halfhour_worker; delete from account.token; commit").await;
    assert_eq!(app.ask(left).await, ["operator", "viewer"]);
}
