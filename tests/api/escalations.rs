//! What a request's role cannot become, whatever its statements say: an operator, another user, somebody who was revoked,
//! a command. All of it is tried as the role itself.

use halfhour::kernel::access::{Actor, TokenKind};
use halfhour::kernel::database::{Access, Mode, Tx};
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _};
use uuid::Uuid;

use crate::support::{TestApp, TestUser, context};

/// What a statement may come to.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Rows(u64),
    Refused(String),
}

fn denied() -> Outcome {
    Outcome::Refused("42501".to_owned())
}

/// Runs statements in one transaction that is undone, and returns what the last one came to.
async fn tried(app: &TestApp, access: Access<'_>, sql: &str) -> Outcome {
    let mut tx = app.pools.ingest.begin(&context(), access, Mode::ReadWrite).await.unwrap();
    let outcome = outcome(&mut tx, sql).await;
    tx.rollback().await.unwrap();
    outcome
}

async fn outcome(tx: &mut Tx, sql: &str) -> Outcome {
    match tx.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await {
        Ok(done) => Outcome::Rows(done.rows_affected()),
        Err(error) => Outcome::Refused(error.as_database_error().unwrap().code().unwrap().into_owned()),
    }
}

/// Two users, of whom the first has a device, a code that nobody has used, and a token that was revoked.
async fn two_users(app: &TestApp) -> [TestUser; 2] {
    let users = [app.user("ann", "UTC").await, app.user("bob", "UTC").await];
    for user in &users {
        app.device(user, "laptop").await;
        let reply = app.request(Method::POST, "/v1/link-codes").bearer(&user.viewer).send().await;
        assert_eq!(reply.status, 201, "{}", reply.json);
    }
    app.tell(
        "update account.token set expires_at = now() + interval '1 minute' where kind = 'device';
         update account.device set revoked_at = now();
         update account.token set revoked_at = now() where kind = 'viewer'",
    )
    .await;
    users
}

/// What `halfhour_api` is refused although it names the user.
const REFUSED: [&str; 29] = [
    // An operator is made of nobody.
    "update account.token set kind = 'operator' where kind = 'viewer'",
    "update account.token set kind = 'operator', device_id = null where kind = 'device'",
    "insert into account.token (token_hash, token_id, kind, user_id)
     values (sha256('x'), gen_random_uuid(), 'operator', '$user')",
    // A token stays what it is, whose it is, and as long as it is.
    "update account.token set user_id = '$other'",
    "update account.token set token_hash = sha256('x') where kind = 'operator'",
    "update account.token set device_id = null",
    "update account.token set last_used_at = now()",
    "update account.token set revoked_at = null where kind = 'viewer'",
    "update account.token set revoked_at = now() + interval '1 day' where kind = 'viewer'",
    "update account.token set expires_at = null where kind = 'device'",
    "update account.token set expires_at = expires_at + interval '1 second' where kind = 'device'",
    "update account.device set revoked_at = null",
    "update account.device set user_id = '$other'",
    "update account.device set platform = 'x'",
    "update account.device set device_id = gen_random_uuid()",
    "update account.token set label = 'x'",
    "update account.user set user_id = '$other'",
    "update account.user set name = 'x'",
    "insert into account.device (user_id, device_id, name) values ('$other', gen_random_uuid(), 'x')",
    // A code is not used, and lives no longer.
    "update account.link_code set expires_at = expires_at + interval '1 hour'",
    "update account.link_code set used_at = null",
    "insert into account.link_code (code_hash, user_id, expires_at) values (sha256('x'), '$other', now() + interval '1 minute')",
    // Nobody is said to have gone, of whom something is left.
    "insert into account.erased_user (user_id, finished_at) values ('$user', now())",
    // What others rely on.
    "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, parked_at)
     values ('$user', 'bucket_changed', '2026-11-20', now(), now(), 'live', gen_random_uuid(), now())",
    "insert into usage.horizon (user_id, first_hour) values ('$user', now())",
    "insert into ops.switch (name, is_on, reason) values ('ingest', false, 'x')",
    "update usage.source set retired_at = now()",
    "select count(*) from backfill.job",
    "select count(*) from ops.audit",
];

#[tokio::test]
async fn a_requests_role_makes_no_more_of_its_user_than_it_is() {
    let app = TestApp::start().await;
    let [ann, bob] = two_users(&app).await;
    for sql in REFUSED {
        let sql = sql.replace("$user", &ann.user_id.to_string()).replace("$other", &bob.user_id.to_string());
        assert_eq!(tried(&app, Access::Users(&[ann.user_id]), &sql).await, denied(), "{sql}");
    }
    // Somebody else's rows do not even match.
    for sql in [
        "update account.token set revoked_at = now() where user_id = '$other'",
        "update account.device set name = 'x' where user_id = '$other'",
        "update account.device set revoked_at = now() where user_id = '$other'",
        "delete from account.link_code where user_id = '$other'",
        "delete from usage.erasure where user_id = '$other'",
    ] {
        let sql = sql.replace("$other", &bob.user_id.to_string());
        assert_eq!(tried(&app, Access::Users(&[ann.user_id]), &sql).await, Outcome::Rows(0), "{sql}");
    }
    // And this is what it is for.
    for (sql, rows) in [
        ("update account.token set revoked_at = now() where kind = 'operator'", 1),
        ("update account.token set expires_at = least(expires_at, now()) where kind = 'device'", 1),
        ("update account.device set revoked_at = coalesce(revoked_at, now())", 1),
        ("update account.user set time_zone = 'Europe/Berlin'", 1),
        (
            "insert into account.token (token_hash, token_id, kind, user_id) values (sha256('x'), gen_random_uuid(), 'viewer', '$user')",
            1,
        ),
    ] {
        let sql = sql.replace("$user", &ann.user_id.to_string());
        assert_eq!(tried(&app, Access::Users(&[ann.user_id]), &sql).await, Outcome::Rows(rows), "{sql}");
    }
}

#[tokio::test]
async fn the_audit_takes_no_entry_that_names_somebody_who_is_not_there() {
    let app = TestApp::start().await;
    let [ann, bob] = two_users(&app).await;
    let token = async |user: &TestUser, kind: &str| {
        let found = app.accounts().tokens.list(&context(), Some(user.user_id)).await.unwrap();
        found.into_iter().find(|token| token.kind == kind).unwrap().token_id
    };
    let [viewer, operator] = [token(&ann, "viewer").await, token(&ann, "operator").await];
    let other = token(&bob, "operator").await;
    let entry = |kind: &str, user: Option<Uuid>, token: Option<Uuid>, action: &str| {
        let quoted = |id: Option<Uuid>| id.map_or("null".to_owned(), |id| format!("'{id}'"));
        format!(
            "insert into ops.audit (audit_id, actor_kind, actor_user_id, actor_token_id, action, subject, request_id)
             values (gen_random_uuid(), '{kind}', {}, {}, '{action}', 'x', gen_random_uuid())",
            quoted(user),
            quoted(token)
        )
    };
    let (me, her) = (Some(ann.user_id), Some(bob.user_id));
    for (kind, user, token, action) in [
        ("command", None, None, "user.add"),
        ("command", me, Some(viewer), "user.add"),
        ("command", me, None, "user.add"),
        ("server", None, None, "retention.expire"),
        ("server", me, None, "device.link"),
        ("server", None, Some(viewer), "device.link"),
        ("operator", me, Some(viewer), "switch.set"),
        ("operator", me, Some(other), "switch.set"),
        ("operator", me, None, "switch.set"),
        ("operator", her, Some(other), "switch.set"),
        ("viewer", her, None, "usage.erase"),
        ("viewer", None, None, "usage.erase"),
    ] {
        let sql = entry(kind, user, token, action);
        assert_eq!(tried(&app, Access::Users(&[ann.user_id]), &sql).await, denied(), "{sql}");
        assert_eq!(tried(&app, Access::NOBODY, &sql).await, denied(), "{sql}");
    }
    for (kind, user, token, action) in [
        ("viewer", me, Some(viewer), "usage.erase"),
        ("operator", me, Some(operator), "user.add"),
        ("server", None, None, "device.link"),
    ] {
        let sql = entry(kind, user, token, action);
        assert_eq!(tried(&app, Access::Users(&[ann.user_id]), &sql).await, Outcome::Rows(1), "{sql}");
    }
    let backdated = entry("viewer", me, Some(viewer), "usage.erase")
        .replace("(audit_id,", "(acted_at, audit_id,")
        .replace("values (", "values ('2020-01-01', ");
    assert_eq!(tried(&app, Access::Users(&[ann.user_id]), &backdated).await, denied(), "{backdated}");
}

#[tokio::test]
async fn what_commands_do_is_still_done_and_written_down() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let accounts = app.accounts();
    let issued = accounts.users.issue_token(&context(), Actor::Command, "ann", TokenKind::Operator).await.unwrap();
    let rotated = accounts.tokens.rotate(&context(), Actor::Command, issued.token_id).await.unwrap();
    assert!(accounts.tokens.revoke(&context(), Actor::Command, rotated.token_id).await.unwrap());
    // The transaction is its user's again afterwards.
    app.device(&ann, "laptop").await;
    let body = json!({"name": "bob", "time_zone": "UTC"});
    let reply = app.request(Method::POST, "/v1/users").bearer(&ann.operator).json(&body).send().await;
    assert_eq!(reply.status, 201, "{}", reply.json);
    let written = app.ask("select actor_kind || ' ' || action from ops.audit order by acted_at").await;
    let expected = [
        "command user.add",
        "command token.issue",
        "command token.issue",
        "command token.rotate",
        "command token.revoke",
        "command device.add",
        "operator user.add",
    ];
    assert_eq!(written, expected);
}

#[tokio::test]
async fn a_worker_issues_operators_tokens_and_no_others() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    for (kind, outcome) in [("operator", Outcome::Rows(1)), ("viewer", denied())] {
        let sql = format!(
            "insert into account.token (token_hash, token_id, kind, user_id)
             values (sha256('x'), gen_random_uuid(), '{kind}', '{}')",
            ann.user_id
        );
        assert_eq!(tried(&app, Access::Worker, &sql).await, outcome, "{sql}");
    }
    let sql = "update account.token set kind = 'operator'";
    assert_eq!(tried(&app, Access::Worker, sql).await, denied());
}

/// The columns that `halfhour_api` may write, where they are not all of a table: a new column is not among them until
/// somebody says so.
#[tokio::test]
async fn the_columns_of_accounts_that_a_request_writes_are_these() {
    let app = TestApp::start().await;
    let written = app
        .ask(
            "select a.attrelid::regclass || '.' || a.attname || ' ' || p.what
             from pg_attribute a
             join pg_class c on c.oid = a.attrelid and c.relkind = 'r'
             join pg_namespace n on n.oid = c.relnamespace and n.nspname in ('account', 'ops', 'rollup', 'backfill')
             cross join (values ('update')) p (what)
             where a.attnum > 0 and not a.attisdropped
               and has_column_privilege('halfhour_api', a.attrelid, a.attnum, p.what)
             order by a.attrelid::regclass::text collate \"C\", a.attname",
        )
        .await;
    let expected = [
        "account.\"user\".revoked_at update",
        "account.\"user\".time_zone update",
        "account.device.name update",
        "account.device.revoked_at update",
        "account.token.expires_at update",
        "account.token.revoked_at update",
    ];
    assert_eq!(written, expected);
}
