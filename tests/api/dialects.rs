//! What real trackers send: every bucket that a captured body of one must become is taken, and the
//! tools that the bodies name are known here by their name or by another one.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::operations::TOOLS;
use crate::support::TestApp;

const BODIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/dialects");

/// A body's name, its total, and what it must become.
struct Body {
    name: String,
    total: i64,
    buckets: Vec<Value>,
}

/// Mapped by hand, in `expected-buckets.txt`.
fn bodies() -> Vec<Body> {
    let text = std::fs::read_to_string(format!("{BODIES}/expected-buckets.txt")).unwrap();
    let mut bodies: Vec<Body> = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            let (name, total) = heading.split_once(" total ").unwrap();
            bodies.push(Body { name: name.to_owned(), total: total.parse().unwrap(), buckets: Vec::new() });
        } else {
            bodies.last_mut().unwrap().buckets.push(bucket(line));
        }
    }
    bodies
}

/// `codex gpt-5.2 2026-11-20T17:00:00Z input=200 output=30 total=230`; a day stands for its first half hour.
fn bucket(line: &str) -> Value {
    let words: Vec<_> = line.split(' ').collect();
    let [source, model, start, counts @ ..] = words.as_slice() else { panic!("{line}") };
    let hour_start = if start.contains('T') { (*start).to_owned() } else { format!("{start}T00:00:00Z") };
    let mut bucket = json!({"source": source, "model": model, "hour_start": hour_start});
    for (name, count) in counts.iter().map(|word| word.split_once('=').unwrap()) {
        if name != "total" {
            bucket[format!("{name}_tokens")] = count.parse::<i64>().unwrap().into();
        }
    }
    bucket
}

/// What a body says its tools are.
fn tools(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let named = fields.iter().filter(|(name, _)| ["source", "client"].contains(&name.as_str()));
            found.extend(named.filter_map(|(_, value)| value.as_str().map(str::to_owned)));
            fields.values().for_each(|value| tools(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| tools(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn what_captured_bodies_of_real_trackers_must_become_is_taken_whole() {
    let app = TestApp::start().await;
    app.clock.set("2026-11-29T00:00:00Z".parse().unwrap());
    let user = app.user("me", "UTC").await;
    let bodies = bodies();
    assert!(bodies.len() >= 9, "{} bodies were read", bodies.len());
    for Body { name, total, buckets } in bodies {
        let device = app.device(&user, &name).await;
        let reply = app.post_buckets(&device.token, &json!({ "buckets": buckets })).await;
        assert_eq!(reply.expect_ok()["inserted"], buckets.len(), "{name}: {}", reply.json);
        let sql = format!("select sum(total_tokens)::text from usage.bucket where device_id = '{}'", device.device_id);
        assert_eq!(app.ask(&sql).await, [total.to_string()], "{name}");
    }
}

#[test]
fn every_tool_that_a_captured_body_names_is_one_of_the_release_or_another_name_of_one() {
    for Body { name, buckets, .. } in bodies() {
        let body = std::fs::read_to_string(format!("{BODIES}/{name}")).unwrap();
        let body: Map<String, Value> = serde_json::from_str(&body).unwrap();
        let mut named = BTreeSet::new();
        tools(&body["request"]["body"], &mut named);
        let canonical: BTreeSet<&str> = named
            .iter()
            .map(|named| {
                let tool = TOOLS.iter().find(|(tool, aliases)| tool == named || aliases.contains(&named.as_str()));
                tool.unwrap_or_else(|| panic!("{name}: {named}")).0
            })
            .collect();
        let expected: BTreeSet<&str> = buckets.iter().map(|bucket| bucket["source"].as_str().unwrap()).collect();
        assert!(canonical.is_subset(&expected) && (named.is_empty() == name.starts_with("otlp")), "{name}: {named:?}");
    }
}
