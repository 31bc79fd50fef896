//! The binary as a tool, next to a running server and on its own.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::{INTERVAL, recent};
use crate::support::{Home, Server};

/// A server remembers a token for ten seconds; one more is for the machine.
const REMEMBERED: Duration = Duration::from_secs(11);

/// The text of a member.
#[track_caller]
fn text<'value>(value: &'value Value, name: &str) -> &'value str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is missing: {value}"))
}

/// Asserts that an object has these members and no others.
#[track_caller]
fn assert_members(value: &Value, names: &[&str]) {
    let members: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut names = names.to_vec();
    names.sort_unstable();
    assert_eq!(members, names);
}

/// Makes a user, a device and a token of each kind. Returns the device's, the viewer's and all tokens ever shown.
fn make_accounts(home: &Home) -> (String, String, Vec<String>) {
    let user = home.json(&["user", "add", "ann", "--time-zone", "Asia/Kathmandu"]);
    assert_members(&user, &["user_id", "viewer_token"]);
    assert_eq!(text(&user, "user_id").parse::<Uuid>().unwrap().get_version_num(), 7);
    assert!(text(&user, "viewer_token").starts_with("hhv_"), "{user}");

    let device = home.json(&["device", "add", "--user", "ann", "--name", "laptop", "--platform", "linux"]);
    assert_members(&device, &["device_id", "token"]);
    assert_eq!(text(&device, "device_id").parse::<Uuid>().unwrap().get_version_num(), 7);
    assert!(text(&device, "token").starts_with("hhd_"), "{device}");

    let mut shown = vec![text(&user, "viewer_token").to_owned(), text(&device, "token").to_owned()];
    for (kind, prefix) in [("viewer", "hhv_"), ("operator", "hho_")] {
        let issued = home.json(&["token", "issue", "--user", "ann", "--kind", kind]);
        assert_members(&issued, &["token", "token_id"]);
        assert!(text(&issued, "token").starts_with(prefix), "{issued}");
        shown.push(text(&issued, "token").to_owned());
    }
    let second = home.json(&["token", "issue", "--user", "ann", "--kind", "device", "--device", "laptop"]);
    assert!(text(&second, "token").starts_with("hhd_"), "{second}");
    shown.push(text(&second, "token").to_owned());
    (shown[1].clone(), shown[0].clone(), shown)
}

/// Asserts that the listing shows every token's id and kind, and none of the tokens. Returns it.
#[track_caller]
fn list(home: &Home, shown: &[String]) -> Vec<Value> {
    let listing = home.json(&["token", "list", "--user", "ann"]);
    let tokens = listing.as_array().unwrap();
    let mut kinds: Vec<_> = tokens.iter().map(|token| text(token, "kind")).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["device", "device", "operator", "viewer", "viewer"]);
    for token in tokens {
        assert_eq!(token["user"], "ann");
        assert_eq!(token["device"], if token["kind"] == "device" { json!("laptop") } else { Value::Null });
    }
    let words = home.run(&["token", "list"]);
    assert_eq!(words.code, Some(0), "{words:?}");
    for secret in shown {
        assert!(!listing.to_string().contains(secret) && !words.stdout.contains(secret), "a token is listed");
    }
    tokens.clone()
}

/// How long a revoked token is still taken by a running server.
async fn refused_after(server: &Server, viewer: &str) -> Duration {
    let revoked = Instant::now();
    loop {
        let reply = server.get(viewer, "/v1/rollups").await;
        if reply.status == 401 {
            assert_eq!(reply.json["code"], "unauthorized", "{}", reply.json);
            return revoked.elapsed();
        }
        assert_eq!(reply.status, 200, "{}", reply.json);
        assert!(revoked.elapsed() < REMEMBERED, "a revoked token still works");
        tokio::time::sleep(INTERVAL).await;
    }
}

#[tokio::test]
async fn commands_join_a_running_server_which_obeys_them() {
    let home = Home::new();
    let server = home.serve().await;
    let postgres = home.postmaster();
    assert_eq!(home.json(&["migrate"]), json!({"applied": 0}));
    let (device, viewer, shown) = make_accounts(&home);
    server.post(&device, &recent("m", 42)).await;
    let rollups = server.folded(&viewer, "/v1/rollups").await;
    assert_eq!((&rollups["totals"]["input_tokens"], &rollups["time_zone"]), (&json!(42), &json!("Asia/Kathmandu")));

    let tokens = list(&home, &shown);
    // Oldest first: the one that came with the user.
    let oldest = tokens.iter().find(|token| token["kind"] == "viewer").unwrap();
    let id = text(oldest, "token_id");
    let revoked = home.json(&["token", "revoke", id]);
    assert_eq!(revoked, json!({"token_id": id, "revoked": true, "was_active": true}));
    eprintln!("refused {:?} after it was revoked", refused_after(&server, &viewer).await);
    // The user's others still work, and once more is no error.
    assert_eq!(server.get(&shown[2], "/v1/rollups").await.status, 200);
    assert_eq!(home.json(&["token", "revoke", id])["was_active"], false);
    let listed = home.json(&["token", "list", "--user", "ann"]);
    let states = listed.as_array().unwrap().iter().filter(|token| token["revoked_at"].is_string());
    assert_eq!(states.map(|token| text(token, "token_id")).collect::<Vec<_>>(), [id]);

    assert_eq!(home.postmaster(), postgres, "a command replaced the server's PostgreSQL");
    server.stop().await;
    home.assert_nothing_left();
}

#[tokio::test]
async fn commands_on_their_own_start_the_database_for_their_duration() {
    let home = Home::new();
    assert!(home.json(&["migrate"])["applied"].as_u64().unwrap() > 0);
    home.assert_nothing_left();
    assert_eq!(home.json(&["migrate"]), json!({"applied": 0}));
    home.assert_nothing_left();
    let (device, viewer, shown) = make_accounts(&home);
    list(&home, &shown);
    home.assert_nothing_left();

    // What was made without a server works on one.
    let server = home.serve().await;
    server.post(&device, &recent("m", 42)).await;
    assert_eq!(server.folded(&viewer, "/v1/rollups").await["totals"]["input_tokens"], 42);
    server.stop().await;
}

#[tokio::test]
async fn commands_at_the_same_time_share_one_database() {
    let home = Home::new();
    // Whoever starts the database must not end it under the others.
    let mut viewers = Vec::new();
    for round in 0..3 {
        let spawn = |number: u32| {
            let mut command = home.command();
            command.args(["user", "add", &format!("user-{round}-{number}"), "--json"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        // All are started before the first is waited for.
        let running: Vec<_> = (0..4).map(spawn).collect();
        for child in running {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let user: Value = serde_json::from_slice(&output.stdout).unwrap();
            viewers.push(text(&user, "viewer_token").to_owned());
        }
        home.assert_nothing_left();
    }
    assert_eq!(home.json(&["token", "list"]).as_array().unwrap().len(), 12);
    // All of them were made under the one key that lasts.
    let server = home.serve().await;
    for viewer in viewers {
        assert_eq!(server.get(&viewer, "/v1/rollups").await.status, 200);
    }
    server.stop().await;
}
