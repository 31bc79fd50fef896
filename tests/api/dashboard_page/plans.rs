//! What pages read, they find by an index, however many other people there are. Pages are found by following links.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use serde_json::json;

use super::Browser;
use crate::support::TestApp;
use crate::support::plans::{RanStatement, explain_everything, fill, nodes, outline, ran_since, scanned};

/// People with accounts and nothing else, so that tables of accounts are as full as those of usage.
const MORE_PEOPLE: &str = "
    insert into account.user (user_id, name, time_zone)
    select md5(n::text)::uuid, 'user ' || n, 'UTC' from generate_series(100001, 120000) n;
    insert into account.device (user_id, device_id, name, platform)
    select md5(n::text)::uuid, md5(n::text)::uuid, 'laptop', 'test' from generate_series(100001, 120000) n;
    insert into account.token (token_hash, token_id, kind, user_id)
    select sha256(n::text::bytea), md5(n::text)::uuid, 'viewer', md5(n::text)::uuid from generate_series(100001, 120000) n;
    insert into rollup.user_state (user_id, time_zone, version)
    select md5(n::text)::uuid, 'UTC', 7 from generate_series(100001, 120000) n;
    truncate usage.outbox;
    analyze";

/// Tables with rows of many people, that are worth an index.
const FULL: &str = "
    select c.relname::text
    from pg_catalog.pg_class c
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = 'user_id' and not a.attisdropped
    where c.relkind = 'r' and c.relpages > 20";

/// Nothing finds such rows but a look at each.
const PLANTED: &str = "select count(*)::text from usage.bucket where total_tokens = 3";

/// So many pages of one path are looked at.
const OF_A_PATH: usize = 3;

/// Where links of a page lead that stay here, without what has no statement.
fn links(page: &str) -> Vec<String> {
    let anchors = page.split("<a ").skip(1).filter_map(|rest| rest.split('>').next());
    let targets = anchors.filter_map(|anchor| anchor.split("href=\"").nth(1)?.split('"').next());
    let targets = targets.map(|target| target.replace("&#38;", "&").replace("&amp;", "&"));
    targets.filter(|target| target.starts_with('/') && !target.starts_with("/docs")).collect()
}

/// Follows links from a path on, and returns the paths that were seen.
async fn walk(browser: &mut Browser, start: &str) -> BTreeSet<String> {
    let mut waiting = VecDeque::from([start.to_owned()]);
    let mut known: HashSet<String> = waiting.iter().cloned().collect();
    let mut visits = BTreeMap::<String, usize>::new();
    while let Some(target) = waiting.pop_front() {
        let visited = visits.entry(target.split('?').next().unwrap().to_owned()).or_default();
        *visited += 1;
        if *visited > OF_A_PATH {
            continue;
        }
        let shown = browser.get(&target).await;
        assert_eq!(shown.status, 200, "{target}: {}", shown.text);
        waiting.extend(links(&shown.text).into_iter().filter(|link| known.insert(link.clone())));
    }
    visits.into_keys().collect()
}

/// What reads a full table from end to end, each with its plan.
fn objections(ran: &[RanStatement], full: &[String]) -> Vec<String> {
    let is_full = |table: &String| full.iter().any(|full| *full == table.trim_matches('"'));
    let bad = ran.iter().filter(|ran| scanned(&ran.plan).iter().any(is_full));
    bad.map(|ran| format!("{}\n{}", ran.text, outline(&ran.plan))).collect()
}

#[tokio::test]
async fn no_page_reads_what_is_full_of_other_peoples_rows_from_end_to_end() {
    let app = TestApp::start().await;
    app.begin_prices().await;
    fill(&app, 1, 400).await;
    app.tell(MORE_PEOPLE).await;
    explain_everything(&app).await;
    let server = app.second_server().await;
    let ann = server.user("ann", "Europe/Berlin").await;
    let device = server.device(&ann, "laptop").await;
    for (source, model) in [("codex", "gpt-5.5"), ("claude-code", "claude-opus-4-5")] {
        let bucket = json!({"hour_start": "2026-11-19T10:00:00Z", "source": source, "model": model, "input_tokens": 7});
        server.post_buckets(&device.token, &json!({"buckets": [bucket]})).await.expect_ok();
    }
    server.drain().await;
    let full = app.ask(FULL).await;
    for table in ["bucket", "daily", "device", "token", "user", "user_state"] {
        assert!(full.iter().any(|full| full == table), "{table} is not full: {full:?}");
    }
    let (_, start) = ran_since(0);
    let mut browser = Browser::signed_in(&server, &ann).await;
    let paths = walk(&mut browser, "/").await;
    for path in ["/", "/day", "/device", "/model", "/settings", "/tool"] {
        assert!(paths.contains(path), "no link leads to {path}: {paths:?}");
    }
    let pids = "select pid::text from pg_catalog.pg_stat_activity where datname = current_database()";
    let ours: HashSet<u32> = server.ask(pids).await.iter().map(|pid| pid.parse().unwrap()).collect();
    let (ran, end) = ran_since(start);
    let ran: Vec<_> = ran.into_iter().filter(|ran| ours.contains(&ran.pid)).collect();
    let read: BTreeSet<_> =
        ran.iter().flat_map(|ran| nodes(&ran.plan)).filter_map(|node| node["Relation Name"].as_str()).collect();
    assert!(read.is_superset(&BTreeSet::from(["bucket", "daily", "device", "token", "user"])), "{read:?}");
    let found = objections(&ran, &full);
    assert!(found.is_empty(), "{} are read from end to end:\n{}", found.len(), found.join("\n"));

    // Such a statement would be found.
    server.ask(PLANTED).await;
    let ran: Vec<_> = ran_since(end).0.into_iter().filter(|ran| ran.text == PLANTED).collect();
    assert_eq!(objections(&ran, &full).len(), 1);
}
