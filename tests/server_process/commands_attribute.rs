//! `halfhour attribute`: the logs of real servers, and logs that nobody should have written.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::external_database::{database_url, home, start_postgres};
use crate::http::{PATIENCE, recent};
use crate::support::{Home, Said, Server};

/// Stops a server and keeps its log in a file of its home.
async fn log_of(home: &Home, mut server: Server, name: &str) -> String {
    server.running.signal(Signal::TERM);
    assert_eq!(server.running.ended_within(PATIENCE).await.code(), Some(0), "{}", server.running.stderr());
    let log = server.running.stdout();
    fs::write(home.path().join(name), &log).unwrap();
    log
}

/// What the command finds, and how it ends.
#[track_caller]
fn attributed(home: &Home, arguments: &[&str]) -> (Option<i32>, Value) {
    let said = home.run(&[&["attribute", "--json"], arguments].concat());
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let count = |what: &Value| what.as_u64().unwrap();
    let kinds = [&report["known"], &report["foreign"]["count"], &report["broken"]["count"]].map(count);
    assert_eq!(count(&report["lines"]), kinds.iter().sum::<u64>(), "{report}");
    (said.code, report)
}

/// `attribution error_code` of every row.
fn verdicts(report: &Value) -> Vec<String> {
    let rows = report["verdicts"].as_array().unwrap().iter();
    rows.map(|row| format!("{} {}", row["attribution"].as_str().unwrap(), row["error_code"])).collect()
}

/// An M1 line as a server would write it.
fn line(second: u32, function: &str, fields: &Value) -> String {
    let mut line = json!({
        "timestamp": format!("2026-11-21T01:00:{second:02}.000001Z"), "level": "INFO", "request_id": format!("id-{second}"),
        "function": function, "stage": "request", "status": 200, "latency_ms": 2.0, "error_code": null, "fault": null,
        "upstream_status": 200, "upstream_latency_ms": 1.0, "upstream_evidence": null, "attribution": "NONE",
    });
    for (name, value) in fields.as_object().unwrap() {
        line[name] = value.clone();
    }
    line.to_string()
}

fn failed(second: u32) -> String {
    line(
        second,
        "get_rollups",
        &json!({"status": 503, "error_code": "database_unavailable", "fault": "dependency",
        "upstream_status": 503, "attribution": "UPSTREAM"}),
    )
}

fn refused(second: u32) -> String {
    line(
        second,
        "ingest_buckets",
        &json!({"status": 422, "error_code": "invalid", "fault": "client",
        "attribution": "APPLICATION"}),
    )
}

#[tokio::test]
async fn a_healthy_run_blames_nobody_but_clients_and_a_dead_database_is_blamed_and_nobody_else() {
    let (directory, postgres) = start_postgres();
    let home = home(&database_url(directory.path(), &postgres));
    let server = home.serve().await;
    let user = home.json(&["user", "add", "ann"]);
    let device = home.json(&["device", "add", "--user", "ann", "--name", "laptop"]);
    let (device, viewer) = (device["token"].as_str().unwrap(), user["viewer_token"].as_str().unwrap());
    for number in 0..20 {
        server.post(device, &recent("m", number)).await;
    }
    server.folded(viewer, "/v1/rollups").await;
    assert_eq!(server.get(viewer, "/v1/rollups?group_by=mood").await.status, 422);
    assert_eq!(server.get("hhv_forged", "/v1/rollups").await.status, 401);
    let log = log_of(&home, server, "healthy.log").await;
    let (code, report) = attributed(&home, &["healthy.log"]);
    assert_eq!(code, Some(0), "{report}\n{log}");
    assert_eq!(report["failed"], json!({"client": 2, "application": 0, "upstream": 0, "unknown": 0}));
    assert_eq!((&report["broken"]["count"], &report["contradictory"]["count"]), (&json!(0), &json!(0)), "{report}");
    let posts = report["verdicts"].as_array().unwrap().iter().find(|row| row["function"] == "ingest_buckets");
    assert_eq!((&posts.unwrap()["count"], &posts.unwrap()["attribution"]), (&json!(20), &json!("NONE")));

    let server = home.serve().await;
    server.post(device, &recent("m", 99)).await;
    postgres.stop().unwrap();
    for number in 0..5 {
        assert_eq!(server.try_post(device, &recent("n", number)).await.unwrap().status, 503);
        assert_eq!(server.get(viewer, "/v1/rollups").await.status, 503);
    }
    let log = log_of(&home, server, "dead.log").await;
    let (code, report) = attributed(&home, &["dead.log"]);
    assert_eq!(code, Some(3), "{report}\n{log}");
    let failed = &report["failed"];
    // Once a breaker is open, PostgreSQL is not asked, and nobody is blamed for that.
    let unasked = |row: &&Value| row["evidence"][0]["upstream_evidence"] == "breaker_open";
    let unasked =
        report["verdicts"].as_array().unwrap().iter().filter(unasked).map(|row| row["count"].as_u64().unwrap());
    assert_eq!(failed["unknown"], unasked.clone().sum::<u64>(), "{report}\n{log}");
    assert!(failed["upstream"].as_u64().unwrap() + unasked.sum::<u64>() >= 10, "{report}\n{log}");
    assert_eq!((&failed["application"], &failed["client"]), (&json!(0), &json!(0)), "{report}\n{log}");
    let worst = &report["verdicts"][0];
    assert_eq!((&worst["attribution"], &worst["evidence"][0]["upstream_status"]), (&json!("UPSTREAM"), &json!(503)));
    let request_id = worst["request_ids"][0].as_str().unwrap();
    assert!(log.contains(request_id), "{request_id}");

    // Both together, in words.
    let said = home.run(&["attribute", "healthy.log", "dead.log"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.stderr.contains("it was not, or not certainly, their callers' fault"), "{said:?}");
    for word in ["2 file(s)", "UPSTREAM", "database_unavailable", "503, PostgreSQL 503, ", request_id, "CLIENT"] {
        assert!(said.stdout.contains(word), "{word}: {}", said.stdout);
    }
}

#[test]
fn files_may_be_compressed_or_come_by_standard_input_and_need_no_configuration() {
    // Nothing of this machine matters.
    let home = Home::new().with("HALFHOUR_BIND", "nonsense").with("HALFHOUR_NO_SUCH_THING", "x");
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    writeln!(packed, "{}", refused(1)).unwrap();
    let mut packed = packed.finish().unwrap();
    let mut second = GzEncoder::new(Vec::new(), Compression::default());
    write!(second, "{}", refused(2)).unwrap();
    packed.extend(second.finish().unwrap());
    fs::write(home.path().join("old.log.gz"), &packed).unwrap();
    fs::write(home.path().join("new.log"), refused(3) + "\r\n").unwrap();
    let (code, report) = attributed(&home, &["old.log.gz", "new.log"]);
    assert_eq!((code, &report["failed"]["client"]), (Some(0), &json!(3)), "{report}");

    for arguments in [&["attribute"][..], &["attribute", "-"]] {
        let mut command = home.command();
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(failed(1).as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(String::from_utf8(output.stdout).unwrap().contains("UPSTREAM"));
    }
    assert_eq!(attributed(&home, &[]), attributed(&home, &["-"]), "an empty log is a healthy one");
    assert_eq!(attributed(&home, &[]).0, Some(0));
    assert!(!home.data_dir().exists());
}

#[test]
fn what_cannot_be_read_is_said_and_what_was_read_is_shown() {
    let home = Home::new();
    fs::write(home.path().join("good.log"), refused(1)).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    for second in 0..50 {
        writeln!(packed, "{}", refused(second)).unwrap();
    }
    let packed = packed.finish().unwrap();
    fs::write(home.path().join("cut.gz"), &packed[..packed.len() / 2]).unwrap();
    for (file, calls) in [("gone.log", 1), (".", 1), ("cut.gz", 20)] {
        let (code, report) = attributed(&home, &["good.log", file]);
        assert_eq!(code, Some(1), "{report}");
        assert_eq!((report["unread"].as_array().unwrap().len(), &report["unread"][0]["file"]), (1, &json!(file)));
        assert!(report["known"].as_u64().unwrap() >= calls, "{report}");
        let said = home.run(&["attribute", "good.log", file]);
        assert!(said.stderr.contains(&format!("not everything could be read: {file}: ")), "{said:?}");
    }
    // Lines that something has written its own words before.
    fs::write(home.path().join("prefixed.log"), format!("server-1  | {}\n", refused(1))).unwrap();
    let said = home.run(&["attribute", "prefixed.log"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("none of 1 line(s) is an M1 line"), "{said:?}");
    for arguments in [&["attribute", "--since", "yesterday"][..], &["attribute", "--until", "1h"]] {
        let Said { code, stdout, .. } = home.run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
    }
}

#[test]
fn lines_that_are_hostile_are_counted_and_shown_and_harm_nobody() {
    let home = Home::new();
    let cut = &failed(3)[..80];
    let lines = [
        failed(1).into_bytes(),
        b"{\"level\":\"INFO\",\"message\":\"serving\"}".to_vec(),
        cut.as_bytes().to_vec(),
        vec![0; 300],
        vec![b'{'; 10 << 20],
        [refused(4), refused(5)].concat().into_bytes(),
        [&b"{\"function\":\"\xff\xfe"[..], b"\"}"].concat(),
        line(6, "clear\u{1b}[2J", &json!({"status": 503, "upstream_status": null, "attribution": "UPSTREAM"}))
            .into_bytes(),
        refused(2).into_bytes(),
    ];
    fs::write(home.path().join("hostile.log"), lines.join(&b'\n')).unwrap();
    let (code, report) = attributed(&home, &["hostile.log"]);
    assert_eq!(code, Some(3));
    let kinds = ["known", "foreign", "broken"].map(|kind| report[kind]["count"].as_u64().or(report[kind].as_u64()));
    assert_eq!(kinds, [Some(3), Some(2), Some(4)], "{report}");
    assert_eq!(report["foreign"]["first"]["line"], 2);
    assert_eq!(report["broken"]["first"], json!({"file": "hostile.log", "line": 3, "why": "it is cut off"}));
    assert_eq!(
        (&report["contradictory"]["first"]["line"], &report["steps_back"]["first"]["line"]),
        (&json!(8), &json!(9))
    );
    assert_eq!(
        verdicts(&report),
        ["UPSTREAM \"database_unavailable\"", "UNKNOWN null", "CLIENT \"invalid\""],
        "who is blamed without evidence is not blamed"
    );
    let words = home.run(&["attribute", "hostile.log"]).stdout;
    assert!(words.contains("clear\\u{1b}[2J") && !words.contains('\u{1b}'), "{words}");
    assert!(words.contains("4 broken (first hostile.log, line 3: it is cut off)"), "{words}");

    let (code, report) = attributed(&home, &["hostile.log", "--since", "2026-11-21T01:00:02Z"]);
    assert_eq!((code, &report["before_since"]), (Some(3), &json!(1)));
    assert_eq!(verdicts(&report), ["UNKNOWN null", "CLIENT \"invalid\""]);
    assert_eq!(attributed(&home, &["hostile.log", "--since", "1s"]).0, Some(0), "nothing was written since");
}
