//! Standard output is for machines, line by line, and no token is ever on it.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::http::{PATIENCE, recent};
use crate::processes::send;
use crate::support::Home;

/// Sends tokens where they belong and where they do not.
async fn spill_tokens(home: &Home, filter: &str) -> (String, String) {
    let mut server = home.serve().await;
    let (device, viewer, operator) =
        (home.device_token(), home.viewer_token(), home.credential("HALFHOUR_OPERATOR_TOKEN"));
    server.post(&device, &recent("m", 1)).await;
    server.folded(&viewer, "/v1/rollups").await;
    for path in [format!("/v1/{viewer}"), format!("/v1/rollups?token={viewer}"), format!("/v1/rollups?from={viewer}")] {
        server.get(&viewer, &path).await;
    }
    server.get(&device, "/v1/rollups").await;
    server.get(&format!("{operator}x"), "/v1/rollups").await;
    server.get(&format!("hhv_{}", &viewer[5..]), "/v1/rollups").await;
    let body = json!({"buckets": [{"hour_start": device, "source": viewer, "model": operator, "token": device}], &device[..]: 1});
    server.try_post(&device, &body).await.unwrap();
    // A database that goes away makes the longest lines.
    send(home.postmaster().pid, Signal::KILL);
    server.get(&viewer, "/v1/rollups").await;
    server.try_post(&device, &recent("n", 2)).await.unwrap();
    let issued = home.json(&["token", "issue", "--user", "me", "--kind", "viewer"]);
    server.get(issued["token"].as_str().unwrap(), "/v1/rollups").await;

    server.running.signal(Signal::TERM);
    assert_eq!(server.running.ended_within(PATIENCE).await.code(), Some(0), "{filter}");
    (server.running.stdout(), server.running.stderr())
}

#[tokio::test]
async fn standard_output_is_json_lines_and_shows_no_token_however_much_is_logged() {
    for filter in ["info", "trace"] {
        let home = Home::new().with("HALFHOUR_LOG", filter);
        let (stdout, stderr) = spill_tokens(&home, filter).await;
        assert!(stdout.ends_with('\n') && stdout.lines().count() > 10, "{stdout}");
        for line in stdout.lines() {
            let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(object["timestamp"].is_string() && object["level"].is_string(), "{line}");
        }
        let password = std::fs::read_to_string(home.data_dir().join("postgres.password")).unwrap();
        for (stream, text) in [("output", &stdout), ("error", &stderr)] {
            for secret in ["hhd_", "hhv_", "hho_", password.trim()] {
                let line = text.lines().find(|line| line.contains(secret));
                assert_eq!(line, None, "{secret} on standard {stream}, at {filter}");
            }
        }
    }
}
