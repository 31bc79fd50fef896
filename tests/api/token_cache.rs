//! Tokens are remembered for ten seconds: one look-up for all who come together, and a revocation that everyone heeds
//! within that time. The servers that show the latter remember for less, so that nobody waits; that none remembers for
//! more than ten seconds is shown beside the cache itself.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use halfhour::kernel::access::{Actor, TokenKind};
use serde_json::json;

use crate::support::{TestApp, context, server_key};

/// How long the servers remember tokens that are to heed a revocation.
const MEMORY: Duration = Duration::from_millis(300);

/// How often tokens were looked up so far; the server must have closed its pool, for only then are all calls counted.
pub async fn look_ups(app: &TestApp) -> u32 {
    app.wait_for(
        "select 'all gone' from pg_stat_activity
         where datname = current_database() and application_name = 'halfhour read' having count(*) = 0",
    )
    .await;
    let sql =
        "select calls::text from pg_stat_user_functions where schemaname = 'account' and funcname = 'authenticate'";
    app.ask(sql).await.first().map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test]
async fn sixteen_first_uses_of_a_token_are_one_look_up_known_or_not_and_forged_ones_are_none() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let database = app.superuser.get_database().unwrap();
    app.tell(&format!("alter database {database} set track_functions = 'all'")).await;
    // Made under the server's key, but never issued: only the database can tell.
    let unknown = server_key().issue(TokenKind::Viewer).unwrap().reveal().to_owned();
    let mut forged = user.viewer.clone().into_bytes();
    forged[10] = if forged[10] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    let mut expected = 0;
    for (token, status, costs) in [(&user.viewer, 200, 1), (&unknown, 401, 1), (&forged, 401, 0)] {
        let server = app.second_server().await;
        // Together, and then once more.
        for count in [16, 1] {
            let replies = join_all((0..count).map(|_| server.get(token, "/v1/rollups"))).await;
            assert!(replies.iter().all(|reply| reply.status == status), "{replies:?}");
        }
        server.pools.read.close().await;
        expected += costs;
        assert_eq!(look_ups(&app).await, expected, "{status}");
    }
}

/// Posts without a pause and says, at the end, when the last accepted request had begun and when the first was refused.
async fn post_until_refused(server: &TestApp, token: &str) -> (Instant, Instant) {
    let mut last_accepted = Instant::now();
    loop {
        let began = Instant::now();
        let reply = server.post_buckets(token, &json!({"buckets": []})).await;
        if reply.status == 401 {
            reply.expect_problem(401, "unauthorized");
            return (last_accepted, Instant::now());
        }
        reply.expect_ok();
        last_accepted = began;
        // Not to wait for anything: so that this test leaves the others some of the machine.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_revoked_token_that_is_in_constant_use_is_refused_by_every_process_within_the_bound() {
    let app = TestApp::start_with(|settings| settings.token_memory = MEMORY).await;
    let second_server = app.second_server_with(|settings| settings.token_memory = MEMORY).await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let other = app.device(&user, "phone").await;
    for server in [&app, &second_server] {
        server.post_buckets(&device.token, &json!({"buckets": []})).await.expect_ok();
    }
    let load = async {
        tokio::join!(post_until_refused(&app, &device.token), post_until_refused(&second_server, &device.token))
    };
    let revoke = async {
        let tokens = app.accounts().tokens.list(&context(), Some(user.user_id)).await.unwrap();
        let listed = tokens.iter().find(|token| token.device.as_deref() == Some("laptop")).unwrap();
        assert!(app.accounts().tokens.revoke(&context(), Actor::Command, listed.token_id).await.unwrap());
        Instant::now()
    };
    let limit = MEMORY + Duration::from_secs(10);
    let ((here, there), revoked) =
        tokio::time::timeout(limit, Box::pin(async { tokio::join!(load, revoke) })).await.unwrap();
    for (last_accepted, refused) in [here, there] {
        assert!(last_accepted < revoked + MEMORY, "{:?} after it was revoked", last_accepted - revoked);
        assert!(refused >= revoked, "before it was revoked");
    }
    let body = json!({"buckets": [{"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "gpt"}]});
    app.post_buckets(&device.token, &body).await.expect_problem(401, "unauthorized");
    app.post_buckets(&other.token, &body).await.expect_ok();
    assert_eq!(app.ask("select device_id::text from usage.bucket").await, [other.device_id.to_string()]);
}
