//! `demo` beside a running server: the year is there and adds up, it is made once, and it goes without a trace.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::recent;
use crate::support::{Home, Server};

/// Two calls on the same day, even where these are called at midnight.
fn twice(home: &Home) -> [Value; 2] {
    let calls = || [home.json(&["demo"]), home.json(&["demo"])];
    let made = calls();
    if made[0]["to"] == made[1]["to"] { made } else { calls() }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

/// What there is of users, devices and tokens, without when they were used.
fn accounts(home: &Home) -> Vec<String> {
    let ids = |arguments: &[&str], name: &str| {
        let listed = home.json(arguments);
        listed.as_array().unwrap().iter().map(|one| text(one, name).to_owned()).collect::<Vec<_>>()
    };
    let mut all = ids(&["user", "list"], "user_id");
    all.extend(ids(&["device", "list", "--user", "me"], "device_id"));
    all.extend(ids(&["token", "list"], "token_id"));
    all
}

/// What a user has read of it: sums, and when they changed.
async fn usage(server: &Server, token: &str) -> [Value; 2] {
    let rollups = server.folded(token, "/v1/rollups?group_by=source&group_by=model&group_by=device").await;
    [tokens(&rollups), rollups["version"].clone()]
}

/// What totals count, without what it would have cost: that depends on the price book.
fn tokens(reply: &Value) -> Value {
    let mut totals = reply["totals"].clone();
    totals.as_object_mut().unwrap().remove("cost");
    totals
}

#[tokio::test]
async fn a_demo_is_a_whole_year_that_the_server_adds_up_alike_and_a_repetition_changes_nothing() {
    let home = Home::new();
    let server = home.serve().await;
    server.post(&home.device_token(), &recent("m", 7)).await;
    let before = usage(&server, &home.viewer_token()).await;
    let [made, again] = twice(&home);
    assert_eq!((&made["agrees"], &made["url"]), (&json!(true), &json!(server.url)), "{made}");
    assert!(made["changed"].as_u64().unwrap() > 5_000, "{made}");
    let counted =
        |value: &Value| value.as_object().map_or_else(|| value.as_array().unwrap().len(), serde_json::Map::len);
    assert_eq!((counted(&made["devices"]), counted(&made["by_source"])), (3, 5));
    let viewer = text(&made, "viewer_token");
    let summary = server.get(viewer, text(&made, "summary")).await.json;
    assert_eq!((tokens(&summary), &summary["pending"]), (made["totals"].clone(), &json!(false)));
    assert!(summary["active_days"].as_i64().unwrap() > 300, "{summary}");
    // Nobody filters, and the sums are the same: there is nothing else.
    let range = format!("/v1/rollups/summary?from={}&to={}", text(&made, "from"), text(&made, "to"));
    assert_eq!(tokens(&server.get(viewer, &range).await.json), made["totals"]);
    let heatmap = server.get(viewer, "/v1/rollups/heatmap").await;
    assert_eq!(heatmap.status, 200, "{}", heatmap.json);

    assert_eq!((&again["changed"], &again["agrees"]), (&json!(0), &json!(true)), "{again}");
    for name in ["user_id", "viewer_token", "devices", "totals", "by_source"] {
        assert_eq!(again[name], made[name], "{name}");
    }
    let (version, accounts_then) = (usage(&server, viewer).await, accounts(&home));
    let third = home.json(&["demo"]);
    if third["to"] == again["to"] {
        assert_eq!((usage(&server, viewer).await, accounts(&home)), (version, accounts_then));
    }
    assert_eq!(usage(&server, &home.viewer_token()).await, before, "others have what they had");
    server.stop().await;
    home.assert_nothing_left();
}

#[tokio::test]
async fn clearing_removes_the_demo_and_nothing_else_and_without_one_nothing() {
    let home = Home::new();
    let nothing = home.json(&["demo", "--clear"]);
    assert_eq!(nothing["removed"], false);
    assert!(!home.data_dir().exists(), "nothing is made to find that out");
    let server = home.serve().await;
    server.post(&home.device_token(), &recent("m", 7)).await;
    home.json(&["user", "add", "demon"]);
    let before = (accounts(&home), usage(&server, &home.viewer_token()).await);
    assert_eq!(home.json(&["demo", "--clear"])["removed"], false);
    let made = home.json(&["demo"]);
    let cleared = home.json(&["demo", "--clear"]);
    let expected = json!({"removed": true, "finished": true, "devices": 3, "tokens": 4,
                          "buckets": made["totals"]["bucket_count"]});
    assert_eq!(cleared, expected);
    assert_eq!((accounts(&home), usage(&server, &home.viewer_token()).await), before);
    let verified = home.json(&["verify"]);
    assert_eq!((&verified["orphaned"], &verified["drifted"]), (&json!(0), &json!(0)), "{verified}");
    let words = home.run(&["demo", "--clear"]);
    assert_eq!(words.stdout, "There is no demo, and nothing was removed.\n", "{words:?}");
    // Another one is made as if there had been none, also after its user was revoked.
    assert_eq!(home.json(&["demo"])["agrees"], true);
    home.json(&["user", "revoke", "demo"]);
    assert_eq!(home.json(&["demo", "--clear"])["devices"], 3);
    assert_eq!((accounts(&home), usage(&server, &home.viewer_token()).await), before);
    server.stop().await;
}

#[tokio::test]
async fn a_demo_that_is_killed_again_and_again_is_completed_by_the_next_one() {
    let home = Home::new();
    let server = home.serve().await;
    for kill in 0..6_u64 {
        let mut command = home.command();
        let mut command = command.arg("demo").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(60 + 130 * kill)).await;
        command.kill().unwrap();
        command.wait().unwrap();
    }
    let made = home.json(&["demo"]);
    assert_eq!(made["agrees"], true, "{made}");
    let users = home.json(&["user", "list"]);
    let names: Vec<_> = users.as_array().unwrap().iter().map(|user| text(user, "name")).collect();
    assert_eq!(names, ["me", "demo"]);
    assert_eq!(home.json(&["device", "list", "--user", "demo"]).as_array().unwrap().len(), 3);
    server.stop().await;
}

#[tokio::test]
async fn two_at_once_make_one() {
    let home = Home::new();
    let server = home.serve().await;
    let running = [0, 1].map(|_| {
        let mut command = home.command();
        command.args(["demo", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let made = running.map(|command| {
        let output = command.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    });
    for name in ["user_id", "viewer_token", "devices", "agrees"] {
        assert_eq!(made[0][name], made[1][name], "{name}");
    }
    assert_eq!(home.json(&["user", "list"]).as_array().unwrap().len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn limits_are_waited_out() {
    let home = Home::new().with("HALFHOUR_LIMIT_DEVICE_PER_MINUTE", "8");
    let server = home.serve().await;
    let said = home.run(&["demo"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stderr.contains("waits, because ") && said.stderr.contains("answered 429"), "{said:?}");
    server.stop().await;
}

#[tokio::test]
async fn people_are_told_how_far_it_is_what_it_adds_up_to_and_how_to_read_it() {
    let home = Home::new();
    let server = home.serve().await;
    let said = home.run(&["demo"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let lines: Vec<_> = said.stderr.lines().collect();
    assert!((5..=10).contains(&lines.len()), "{lines:?}");
    let last = lines.last().unwrap().strip_prefix("halfhour: ").and_then(|line| line.strip_suffix(" buckets")).unwrap();
    let (done, total) = last.split_once(" of ").unwrap();
    assert_eq!(done, total);
    assert!(said.stdout.contains(&format!("HALFHOUR_URL={}\n", server.url)), "{}", said.stdout);
    let viewer = said.stdout.lines().find_map(|line| line.trim().strip_prefix("HALFHOUR_VIEWER_TOKEN=")).unwrap();
    let path = said.stdout.split("$HALFHOUR_URL").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let summary = server.get(viewer, path).await;
    let sum = summary.json["totals"]["total_tokens"].as_u64().unwrap().to_string();
    let all = said.stdout.lines().find(|line| line.starts_with("all ")).unwrap();
    assert_eq!(all.rsplit(' ').next().unwrap().replace(',', ""), sum, "{}", said.stdout);
    server.stop().await;
}

#[tokio::test]
async fn without_a_server_of_this_database_nothing_is_made() {
    let [home, other] = [Home::new(), Home::new()];
    let refused = |home: &Home, arguments: &[&str], word: &str| {
        let said = home.run(arguments);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{arguments:?}: {said:?}");
        assert!(said.stderr.contains(word) && said.stderr.lines().count() == 1, "{arguments:?}: {said:?}");
    };
    refused(&home, &["demo"], "cargo run --release");
    refused(&home, &["demo", "--url", "http://127.0.0.1:9"], "no server answers at http://127.0.0.1:9,");
    assert_eq!(home.run(&["demo", "--url", "nowhere"]).code, Some(2));
    let others = other.serve().await;
    refused(&home, &["demo", "--url", &others.url], "is not the server of the data directory");
    assert!(!home.data_dir().exists());
    // A server was there, and is gone: where it was is known.
    let server = home.serve().await;
    let url = server.url.clone();
    server.stop().await;
    refused(&home, &["demo"], &format!("no server answers at {url},"));
    refused(&home, &["demo", "--url", &others.url], "is not the server of the data directory");
    // There is one here too, and somebody names the other one.
    let server = home.serve().await;
    refused(&home, &["demo", "--url", &others.url], "is not the server of the data directory");
    for home in [&home, &other] {
        assert_eq!(home.json(&["user", "list"]).as_array().unwrap().len(), 1);
        assert_eq!(home.json(&["demo", "--clear"])["removed"], false);
    }
    others.stop().await;
    server.stop().await;
    home.assert_nothing_left();
}

#[tokio::test]
async fn nobody_who_has_the_demos_name_or_joined_it_is_touched() {
    let home = Home::new();
    let server = home.serve().await;
    home.json(&["user", "add", "demo"]);
    home.json(&["device", "add", "--user", "demo", "--name", "workstation"]);
    let before = accounts(&home);
    for arguments in [&["demo"][..], &["demo", "--clear"]] {
        let said = home.run(arguments);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{said:?}");
        assert!(said.stderr.contains("whom no demo has made"), "{said:?}");
        assert_eq!(accounts(&home), before);
    }
    // Once the name is free there is room for a demo, and that person stays.
    home.json(&["user", "revoke", "demo"]);
    let made = home.json(&["demo"]);
    let mine = home.json(&["device", "add", "--user", "demo", "--name", "mine"]);
    server.post(text(&mine, "token"), &recent("m", 7)).await;
    let again = home.json(&["demo"]);
    assert_eq!((&again["agrees"], &again["user_id"]), (&json!(true), &made["user_id"]));
    let said = home.run(&["demo", "--clear"]);
    assert!(said.code == Some(1) && said.stderr.contains("(mine), so that nothing was removed"), "{said:?}");
    assert_eq!(home.json(&["user", "erase", "--user-id", text(&made, "user_id"), "--confirm", "demo"])["devices"], 4);
    assert_eq!(accounts(&home).len(), before.len());
    server.stop().await;
}

#[tokio::test]
async fn a_demo_is_cleared_while_trackers_post_and_nothing_of_theirs_is_lost() {
    let home = Home::new();
    let server = home.serve().await;
    home.json(&["demo"]);
    let issued = home.json(&["token", "issue", "--user", "demo", "--kind", "device", "--device", "laptop"]);
    let (own, demos) = (home.device_token(), text(&issued, "token").to_owned());
    let is_over = AtomicBool::new(false);
    let posting = async {
        let (mut posted, mut refused) = (0, 0);
        while !is_over.load(Ordering::Relaxed) {
            posted += 1;
            server.post(&own, &recent(&format!("m{posted}"), 1)).await;
            let reply = server.try_post(&demos, &recent("m", posted)).await.unwrap();
            // A token is remembered for ten seconds, and its usage refused from the first moment on.
            let is_erased = reply.json["verdicts"] == json!(["erased"]);
            // At the moment of the erasure itself it has to come again.
            let is_being_erased = reply.json["code"] == "database_conflict";
            assert!([200, 401].contains(&reply.status) || is_being_erased, "{}", reply.json);
            refused += u32::from(reply.status == 401 || is_erased);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (posted, refused)
    };
    let clearing = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut command = home.command();
        command.args(["demo", "--clear", "--json"]).stdout(Stdio::piped());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        is_over.store(true, Ordering::Relaxed);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let ((posted, refused), cleared) = tokio::join!(posting, clearing);
    assert_eq!((&cleared["removed"], &cleared["finished"]), (&json!(true), &json!(true)), "{cleared}");
    assert!(refused > 0, "nobody posted for the demo after it was cleared");
    assert_eq!(usage(&server, &home.viewer_token()).await[0]["input_tokens"], posted);
    let verified = home.json(&["verify"]);
    assert_eq!((&verified["users"], &verified["orphaned"]), (&json!(1), &json!(0)), "{verified}");
    server.stop().await;
}
