//! Two releases side by side. What an earlier release has written is read by this one, and what this one writes has a form
//! that is kept as a sample, for the next one to read.

mod caller;
mod forms;
mod old_process;
mod sample;
mod statements;
mod story;

use std::time::Duration;

use halfhour::embedded_postgres::EmbeddedPostgres;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use caller::{Caller, Request};
use old_process::Acknowledged;
use sample::Sample;

use crate::external_database::{database_url, home, start_postgres};
use crate::http::recent;
use crate::support::{Home, Server};

/// A database that an earlier release has left, the new release on it, and what a process of the old one has taken
/// meanwhile.
struct Upgraded {
    sample: Sample,
    home: Home,
    server: Server,
    acknowledged: Acknowledged,
    /// What the new release has taken.
    posted: u64,
    postgres: EmbeddedPostgres,
    _directory: TempDir,
}

impl Upgraded {
    async fn from(number: u32) -> Self {
        let sample = Sample::of(number);
        let (directory, postgres) = start_postgres();
        let options = postgres.connect_options();
        let mut superuser = PgConnection::connect_with(&options).await.unwrap();
        sample.restore(&mut superuser).await;
        superuser.close().await.unwrap();
        let home = home(&database_url(directory.path(), &postgres)).with_any_age();
        let stop = CancellationToken::new();
        let old_process = async {
            if sample.statements().is_some() {
                old_process::run(options, &sample, stop.clone()).await
            } else {
                Acknowledged::default()
            }
        };
        let new_process = async {
            // The old process is at work before the new one comes, and for a while beside it.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let server = home.serve().await;
            let (caller, mut posted) = (Caller::of(&server), 0);
            for tokens in 1..=20 {
                let post = recent(&format!("new {tokens}").replace(' ', "-"), tokens);
                caller.done(Request::post("/v1/buckets", sample.text("/tokens/bob laptop")).json(&post)).await;
                posted += tokens;
            }
            stop.cancel();
            (server, posted)
        };
        let (acknowledged, (server, posted)) = tokio::join!(old_process, new_process);
        Self { sample, home, server, acknowledged, posted, postgres, _directory: directory }
    }

    fn token(&self, name: &str) -> &str {
        self.sample.text(&format!("/tokens/{name}"))
    }

    async fn end(self) {
        self.server.stop().await;
        let verified = self.home.json(&["verify"]);
        let counts = ["pending", "drifted", "orphaned", "not_compared"].map(|name| verified[name].clone());
        assert_eq!(counts, [0, 0, 0, 0].map(|count| json!(count)), "{verified}");
        self.postgres.stop().unwrap();
    }
}

#[tokio::test]
async fn the_previous_release_goes_on_beside_this_one_which_reads_all_that_it_wrote() {
    let upgraded = Upgraded::from(18).await;
    assert!(upgraded.acknowledged.posts > 10, "{:?}", upgraded.acknowledged);
    assert_eq!(upgraded.acknowledged.refused, [""; 0], "a migration broke what a running process does");
    everything_is_read(upgraded).await;
}

#[tokio::test]
async fn this_release_reads_its_own_sample_for_the_next_one_to_do_so_too() {
    everything_is_read(Upgraded::from(34).await).await;
}

#[tokio::test]
async fn a_machine_that_an_earlier_release_has_paired_is_the_same_device() {
    let upgraded = Upgraded::from(37).await;
    let (caller, viewer) = (Caller::of(&upgraded.server), upgraded.token("bob viewer"));
    let issued = &upgraded.sample.said["issued"];
    let again = Request::post("/functions/tokentracker-device-token-issue", viewer).json(&issued["body"]);
    let again = caller.done(again).await.json;
    assert_eq!(again["device_id"], issued["answer"]["device_id"], "{again}");
    assert_ne!(again["token"], issued["answer"]["token"], "another installation");
    let other = json!({"device_name": "desk", "platform": "linux", "machine_id": "another machine"});
    let other = Request::post("/functions/tokentracker-device-token-issue", viewer).json(&other);
    assert_ne!(caller.done(other).await.json["device_id"], issued["answer"]["device_id"]);
    upgraded.server.folded(viewer, "/v1/rollups").await;
    upgraded.end().await;
}

async fn everything_is_read(upgraded: Upgraded) {
    let caller = Caller::of(&upgraded.server);
    tokens_are_known(&upgraded, &caller).await;
    answers_are_given_again(&upgraded, &caller).await;
    cursors_go_on(&upgraded, &caller).await;
    lines_are_attributed(&upgraded);
    work_goes_on(&upgraded, &caller).await;
    upgraded.end().await;
}

/// Tokens, and codes that become tokens.
async fn tokens_are_known(upgraded: &Upgraded, caller: &Caller) {
    for (name, token) in upgraded.sample.said["tokens"].as_object().unwrap() {
        let (path, expected) = match name.as_str() {
            name if name.ends_with("revoked") => ("/v1/me", 401),
            name if name.ends_with("viewer") => ("/v1/me", 200),
            name if name.ends_with("operator") => ("/v1/users", 200),
            // A device may not ask that, but is known.
            _ => ("/v1/me", 403),
        };
        let answer = caller.ask(Request::get(path, token.as_str().unwrap())).await;
        assert_eq!(answer.status, expected, "{name}: {}", answer.json);
    }
    let codes = &upgraded.sample.said["link_codes"];
    let exchange = |body: &Value| Request { token: None, ..Request::post("/v1/link-codes/exchange", "").json(body) };
    let again = caller.done(exchange(&codes["exchanged"])).await;
    assert_eq!(again.json, codes["exchanged_as"], "who lost the answer gets the same token from the new release");
    let body =
        json!({"code": codes["open"], "request_id": uuid::Uuid::now_v7(), "device_name": "new", "platform": "ios"});
    let token = caller.done(exchange(&body)).await.json["token"].as_str().unwrap().to_owned();
    caller.done(Request::post("/v1/buckets", &token).json(&json!({"buckets": []}))).await;
}

/// Whatever was answered under a key is answered under it again, and not done twice.
async fn answers_are_given_again(upgraded: &Upgraded, caller: &Caller) {
    for sample in upgraded.sample.list("answers") {
        let (path, token) = (sample["path"].as_str().unwrap(), sample["token"].as_str().unwrap());
        let mut request = Request::post(path, token).key(sample["key"].as_str().unwrap());
        for (name, value) in sample["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        if let Some(body) = sample["body"].as_str() {
            request = request.body(body.to_owned());
        }
        let again = caller.ask(request).await;
        let first = &sample["answer"];
        if path == "/v1/backfills" {
            // The same key gives the same job, as it is by then.
            assert!(again.status < 300 && again.json["id"] == first["id"], "{sample}: {again:?}");
        } else {
            assert_eq!(u64::from(again.status), sample["status"], "{sample}: {again:?}");
            assert!(again.replayed, "{sample}: {again:?}");
            for (field, value) in first.as_object().unwrap() {
                assert_eq!(&again.json[field], value, "{field} of {sample}: {again:?}");
            }
        }
    }
}

/// A list goes on where the old release has left it.
async fn cursors_go_on(upgraded: &Upgraded, caller: &Caller) {
    for sample in upgraded.sample.list("cursors") {
        let (path, token) = (sample["path"].as_str().unwrap(), sample["token"].as_str().unwrap());
        let path = format!("{path}&cursor={}", sample["cursor"].as_str().unwrap());
        let next = caller.done(Request::get(&path, token)).await.json;
        assert_eq!(places(&next), places(&sample["next"]), "{}", sample["list"]);
    }
}

/// What a page is about, without what may have changed since.
fn places(page: &Value) -> Vec<Value> {
    let keys = ["id", "user_id", "device_id", "hour_start", "start", "label", "line"];
    let entries = page["data"].as_array().unwrap();
    assert!(!entries.is_empty(), "{page}");
    entries.iter().map(|entry| keys.iter().map(|key| entry[*key].clone()).collect()).collect()
}

/// Who reads the log of a day on which a server was upgraded reads lines of both releases.
fn lines_are_attributed(upgraded: &Upgraded) {
    let path = upgraded.home.path().join("old.log");
    let lines: Vec<_> = upgraded.sample.list("log_lines").iter().map(|line| line.as_str().unwrap()).collect();
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let report = upgraded.home.json(&["attribute", path.to_str().unwrap()]);
    assert_eq!(report["known"], lines.len(), "{report}");
}

/// The switches stay where they were. Thrown again, all that waited is done: events, jobs in the middle of their work, a
/// plan that nobody had executed, and one that is taken back.
async fn work_goes_on(upgraded: &Upgraded, caller: &Caller) {
    let (sample, operator) = (&upgraded.sample, upgraded.token("bob operator"));
    for name in ["relay", "backfill"] {
        let path = format!("/v1/switches/{name}");
        let switch = caller.done(Request::get(&path, operator)).await.json;
        assert_eq!((&switch["is_on"], &switch["reason"]), (&json!(false), &json!("an upgrade")), "{switch}");
        let on = json!({"is_on": true, "reason": "it is over"});
        caller.done(Request::new(Method::PUT, &path, operator).json(&on)).await;
    }
    let id = |name: &str| sample.text(&format!("/jobs/{name}/id")).to_owned();
    for name in ["running import", "running verification", "replay that waits"] {
        let job = caller.job(operator, &id(name), &["succeeded", "failed"]).await.json;
        assert_eq!(
            (&job["state"], &job["progress"]["done"]),
            (&json!("succeeded"), &job["progress"]["total"]),
            "{job}"
        );
    }
    let verified = caller.job(operator, &id("running verification"), &["succeeded"]).await.json;
    assert!(verified["drift"]["user_days"].as_u64().unwrap() > 4, "what was found before is added to: {verified}");
    let found = caller.job(operator, &id("verification"), &["succeeded"]).await.json;
    assert_eq!(found["drift"]["first"][0]["actual_tokens"], 29, "{found}");
    for (name, act, end) in [("planned import", "execute", "succeeded"), ("executed import", "rollback", "rolled_back")]
    {
        let job = caller.job(operator, &id(name), &["planned", "succeeded"]).await;
        let path = format!("/v1/backfills/{}/{act}", id(name));
        caller.done(Request::post(&path, operator).header("if-match", &job.etag.unwrap())).await;
        caller.job(operator, &id(name), &[end]).await;
    }
    let cancelled = caller.job(operator, &id("cancelled replay"), &["cancelled"]).await;
    assert!(cancelled.etag.is_some());

    // By bucket: what had stood, what the imports say, and what was posted during the upgrade.
    let before = |viewer: &str| sample.said["totals"][viewer]["input_tokens"].as_u64().unwrap();
    for (viewer, tokens) in [
        ("ann viewer", before("ann viewer") + 66 + 44 + 45 + upgraded.acknowledged.input_tokens),
        // 11 and 12 tokens stand again instead of 5 and 6, and 1,000 are gone. A plan for a day replaces 15 by 50.
        (
            "bob viewer",
            before("bob viewer") + 67 + (11 - 5) + (12 - 6) - 1000 + (50 - 15) + upgraded.posted + bobs_more(sample),
        ),
        ("eve viewer", before("eve viewer") + 68),
    ] {
        let rollups =
            upgraded.server.folded(upgraded.token(viewer), "/v1/rollups?from=2025-01-01&to=2027-01-31&width=month");
        let rollups = rollups.await;
        assert_eq!(rollups["totals"]["input_tokens"], tokens, "{viewer}: {rollups}");
    }
    let profile = caller.done(Request::get("/v1/me", upgraded.token("bob viewer"))).await.json;
    assert_eq!(profile["time_zone"], "America/New_York", "{profile}");
}

/// Of other months than those that were added up.
fn bobs_more(sample: &Sample) -> u64 {
    if sample.number < 33 { 0 } else { 50 + 1 }
}
