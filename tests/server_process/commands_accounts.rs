//! The commands that change, list and revoke accounts, beside a running server.

use serde_json::{Value, json};

use crate::support::Home;

#[tokio::test]
async fn accounts_are_changed_listed_rotated_and_revoked_by_commands() {
    let home = Home::new();
    let server = home.serve().await;
    let viewer = home.json(&["user", "add", "ann"])["viewer_token"].as_str().unwrap().to_owned();
    let device = home.json(&["device", "add", "--user", "ann", "--name", "laptop"]);
    let zone = home.json(&["user", "zone", "ann", "Europe/Berlin"]);
    assert_eq!(zone["time_zone"], "Europe/Berlin");
    assert_eq!(server.folded(&viewer, "/v1/rollups").await["time_zone"], "Europe/Berlin");
    assert_eq!(home.run(&["user", "zone", "ann", "Mars/Olympus"]).code, Some(1));

    let tokens = home.json(&["token", "list", "--user", "ann"]);
    let old = tokens.as_array().unwrap().iter().find(|token| token["kind"] == "viewer").unwrap();
    let rotated = home.json(&["token", "rotate", old["token_id"].as_str().unwrap()]);
    for token in [&viewer, rotated["token"].as_str().unwrap()] {
        assert_eq!(server.get(token, "/v1/me").await.status, 200);
    }
    let ends = |id: &Value| {
        let tokens = home.json(&["token", "list", "--user", "ann"]);
        tokens.as_array().unwrap().iter().find(|token| token["token_id"] == *id).unwrap()["expires_at"].is_string()
    };
    assert_eq!((ends(&old["token_id"]), ends(&rotated["token_id"])), (true, false));

    let revoked = home.json(&["device", "revoke", "--user", "ann", "--name", "laptop"]);
    assert_eq!(revoked, json!({"device_id": device["device_id"], "revoked": true}));
    let devices = home.json(&["device", "list", "--user", "ann"]);
    assert!(devices[0]["revoked_at"].is_string() && devices[0]["name"] == "laptop", "{devices}");
    assert_eq!(home.json(&["user", "revoke", "ann"])["user_id"], zone["user_id"]);
    let users = home.json(&["user", "list"]);
    let states: Vec<_> =
        users.as_array().unwrap().iter().map(|user| (&user["name"], user["revoked_at"].is_string())).collect();
    assert_eq!(states, [(&json!("me"), false), (&json!("ann"), true)]);
    assert_eq!(home.run(&["user", "revoke", "ann"]).code, Some(1), "there is no active user of this name any more");
    server.stop().await;
}
