//! `source` beside a running server, which heeds it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::recent;
use crate::support::{Home, Server};

/// Posts a bucket of a tool. Returns the status and the answer.
async fn post(server: &Server, device: &str, source: &str) -> (u16, Value) {
    let mut body = recent("m", 1);
    body["buckets"][0]["source"] = source.into();
    let reply = server.try_post(device, &body).await.unwrap();
    (reply.status, reply.json)
}

/// Waits until a tool is answered with a status, at most as long as is promised.
async fn heeded(server: &Server, device: &str, source: &str, status: u16) {
    let since = Instant::now();
    while post(server, device, source).await.0 != status {
        assert!(since.elapsed() < Duration::from_secs(2), "{source} is not answered {status} yet");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn tools_are_allowed_listed_and_retired_by_commands() {
    let home = Home::new();
    let server = home.serve().await;
    home.json(&["user", "add", "ann"]);
    let device = home.json(&["device", "add", "--user", "ann", "--name", "laptop"]);
    let device = device["token"].as_str().unwrap();
    let (status, refused) = post(&server, device, "windsurf").await;
    let detail = refused["errors"][0]["detail"].as_str().unwrap();
    assert!(status == 422 && detail.contains("halfhour source add windsurf"), "{refused}");

    let added = home.json(&["source", "add", "windsurf", "--title", "Windsurf"]);
    let said = ["name", "title", "allowed_by", "retired_at"].map(|name| added[name].clone());
    assert_eq!(said, [json!("windsurf"), json!("Windsurf"), json!("command"), json!(null)]);
    heeded(&server, device, "windsurf", 200).await;
    assert_eq!(home.json(&["source", "add", "windsurf"]), added, "once more is no error and changes nothing");
    let listed = home.json(&["source", "list"]);
    assert!(listed.as_array().unwrap().contains(&added), "{listed}");
    let words = home.run(&["source", "list"]).stdout;
    assert!(words.lines().any(|line| line.starts_with("claude-code ") && line.ends_with("also claude")), "{words}");

    assert!(home.json(&["source", "retire", "windsurf"])["retired_at"].is_string());
    heeded(&server, device, "windsurf", 422).await;
    assert_eq!(post(&server, device, "windsurf").await.1["errors"][0]["code"], "retired_source");
    let words = home.run(&["source", "list"]).stdout;
    assert!(words.lines().any(|line| line.starts_with("windsurf ") && line.contains("retired 2")), "{words}");

    for (arguments, word) in [
        (&["source", "add", "Wind surf"][..], "1 to 64"),
        (&["source", "add", "x", "--title", ""], "title"),
        (&["source", "add", "claude"], "claude-code"),
        (&["source", "retire", "claude"], "claude-code"),
        (&["source", "retire", "nothing"], "no such tool"),
    ] {
        let said = home.run(arguments);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{arguments:?}: {said:?}");
        assert!(said.stderr.contains(word) && said.stderr.lines().count() == 1, "{said:?}");
    }
    server.stop().await;
}
