//! The reference tracker of `docs/trackers`, run against a real server. It needs `python3`, which the gate installs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::http::recent;
use crate::support::{Home, Said, Server};

/// A machine with the tracker.
struct Machine<'a> {
    home: &'a Home,
    log: PathBuf,
}

impl<'a> Machine<'a> {
    fn new(home: &'a Home) -> Self {
        Self { home, log: home.path().join("usage.ndjson") }
    }

    fn state(&self) -> PathBuf {
        self.home.path().join("tracker.json")
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/trackers/reference_tracker.py");
        let output = Command::new("python3")
            .arg("-B")
            .arg(script)
            .args(arguments)
            .env("TRACKER_STATE", self.state())
            .env("TRACKER_PATIENCE_S", "3")
            .env("TRACKER_DEVICE_NAME", "snake")
            .output()
            .expect("python3, which this test needs");
        Said {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn report(&self, code: i32) -> Said {
        let said = self.run(&["report", self.log.to_str().unwrap()]);
        assert_eq!(said.code, Some(code), "{said:?}");
        said
    }

    /// One request of a model, so many minutes into the half hour of [`recent`].
    fn use_model(&self, source: &str, model: &str, minute: u32, input_tokens: u64) {
        let hour_start = recent("m", 1)["buckets"][0]["hour_start"].as_str().unwrap().to_owned();
        let at = chrono::DateTime::parse_from_rfc3339(&hour_start).unwrap() + chrono::TimeDelta::minutes(minute.into());
        let line = json!({"at": at.to_rfc3339(), "source": source, "model": model, "input_tokens": input_tokens});
        let before = fs::read_to_string(&self.log).unwrap_or_default();
        fs::write(&self.log, format!("{before}{line}\n")).unwrap();
    }
}

async fn code(server: &Server, home: &Home) -> String {
    let made = server.post_to(Some(&home.viewer_token()), "/v1/link-codes", &Value::Null).await;
    made.json["code"].as_str().unwrap_or_else(|| panic!("{}", made.json)).to_owned()
}

async fn totals(server: &Server, home: &Home) -> Value {
    server.folded(&home.viewer_token(), "/v1/rollups").await["totals"].clone()
}

#[tokio::test]
async fn the_reference_tracker_pairs_adds_up_stamps_and_sends_only_what_changed() {
    let home = Home::new();
    let (machine, server) = (Machine::new(&home), home.serve().await);
    let code = code(&server, &home).await;
    let paired = machine.run(&["pair", &server.url, &code]);
    assert!(paired.code == Some(0) && paired.stdout.starts_with("paired as snake, "), "{paired:?}");
    machine.use_model("codex", "gpt-5.2", 0, 100);
    machine.use_model("codex", "gpt-5.2", 29, 20);
    machine.use_model("claude-code", "claude-opus-4-5", 3, 7);
    assert_eq!(machine.report(0).stdout, "2 buckets sent, 0 things wrong\n");
    let sums = totals(&server, &home).await;
    assert_eq!([&sums["input_tokens"], &sums["request_count"], &sums["bucket_count"]], [127, 3, 2]);
    assert_eq!(machine.report(0).stdout, "0 buckets sent, 0 things wrong\n");
    machine.use_model("codex", "gpt-5.2", 12, 1);
    assert_eq!(machine.report(0).stdout, "1 buckets sent, 0 things wrong\n");
    assert_eq!(totals(&server, &home).await["input_tokens"], 128, "a total, and not a delta");
    // Who forgets everything sends everything, and nothing is counted twice.
    let state: Value = serde_json::from_str(&fs::read_to_string(machine.state()).unwrap()).unwrap();
    let forgetful = json!({"url": state["url"], "token": state["token"], "sent": {}});
    fs::write(machine.state(), forgetful.to_string()).unwrap();
    assert_eq!(machine.report(0).stdout, "2 buckets sent, 0 things wrong\n");
    assert_eq!(totals(&server, &home).await["input_tokens"], 128);
    let devices = home.json(&["device", "list", "--user", "me"]);
    let snake = devices.as_array().unwrap().iter().find(|device| device["name"] == "snake").unwrap();
    assert_eq!(snake["counts"], false, "{snake}");
    server.stop().await;
}

#[tokio::test]
async fn the_reference_tracker_outlives_a_server_a_lost_answer_and_a_bad_bucket() {
    let home = Home::new();
    let (machine, server) = (Machine::new(&home), home.serve().await);
    let code = code(&server, &home).await;
    let begun = json!({"pairing": {"code": code, "request_id": uuid::Uuid::now_v7()}}).to_string();
    let paired = ["first", "again, because the answer was lost"].map(|when| {
        fs::write(machine.state(), &begun).unwrap();
        assert_eq!(machine.run(&["pair", &server.url, &code]).code, Some(0), "{when}");
        fs::read_to_string(machine.state()).unwrap()
    });
    assert_eq!(paired[0], paired[1], "one device with one token");
    let refused = machine.run(&["pair", &server.url, &code]);
    assert!(
        refused.code == Some(1) && refused.stderr.contains("/code: "),
        "another request of a used code: {refused:?}"
    );
    fs::write(machine.state(), &paired[0]).unwrap();

    machine.use_model("codex", "gpt-5.2", 0, 100);
    machine.use_model("windsurf", "m", 0, 5);
    let said = machine.report(1);
    assert!(said.stderr.contains("/buckets/1/source") && said.stderr.contains("halfhour source add"), "{said:?}");
    assert_eq!(totals(&server, &home).await["input_tokens"], 100, "one bad bucket blocks no other");
    home.json(&["source", "add", "windsurf"]);
    while machine.run(&["report", machine.log.to_str().unwrap()]).code != Some(0) {}
    assert_eq!(totals(&server, &home).await["input_tokens"], 105);

    server.stop().await;
    machine.use_model("codex", "gpt-5.2", 1, 1_000);
    let said = machine.report(1);
    assert!(said.stderr.contains("is not available") && said.stderr.contains("Nothing is lost"), "{said:?}");
    let server = home.serve().await;
    let state = fs::read_to_string(machine.state()).unwrap();
    let mut state: Value = serde_json::from_str(&state).unwrap();
    state["url"] = server.url.clone().into();
    fs::write(machine.state(), state.to_string()).unwrap();
    assert_eq!(machine.report(0).stdout, "1 buckets sent, 0 things wrong\n");
    assert_eq!(totals(&server, &home).await["input_tokens"], 1_105);
    home.json(&["device", "revoke", "--user", "me", "--name", "snake"]);
    machine.use_model("codex", "gpt-5.2", 2, 1);
    // A token is remembered for ten seconds; a new server has no memory.
    server.stop().await;
    let server = home.serve().await;
    state["url"] = server.url.clone().into();
    fs::write(machine.state(), state.to_string()).unwrap();
    let said = machine.report(1);
    assert!(said.stderr.starts_with("refused: "), "{said:?}");
    for arguments in [&[][..], &["pair", "x"], &["report"], &["sing"]] {
        assert_eq!(machine.run(arguments).code, Some(2));
    }
    server.stop().await;
}
