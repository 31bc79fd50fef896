//! `docs/openapi.json` is the document that the server publishes.

use std::path::Path;

use serde_json::Value;

use super::published;
use crate::support::TestApp;

/// Where two documents differ: each place at which only one has something, or both have another thing.
fn differences(committed: &Value, published: &Value, at: &str) -> Vec<String> {
    match (committed, published) {
        (Value::Object(old), Value::Object(new)) => {
            let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
            let member = |name: &String| differences(&committed[name], &published[name], &format!("{at}/{name}"));
            names.flat_map(member).collect()
        }
        _ if committed == published => Vec::new(),
        _ => vec![format!("{at}: {committed} is committed, {published} is published")],
    }
}

#[tokio::test]
async fn the_committed_document_is_the_published_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let published = published(&TestApp::start().await).await;
    if std::env::var_os("HALFHOUR_WRITE_CONTRACT").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&published).unwrap() + "\n").unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let found = differences(&serde_json::from_str(&committed).unwrap(), &published, "");
    assert_eq!(found, Vec::<String>::new(), "run `.ci/run contract`, and commit docs/openapi.json");
}

#[test]
fn a_document_that_says_something_else_is_caught_where_it_does() {
    let [one, other] =
        [serde_json::json!({"a": {"b": 1, "c": [1]}, "d": 1}), serde_json::json!({"a": {"b": 2, "c": [1, 2]}, "e": 1})];
    let found = differences(&one, &other, "");
    let places: Vec<_> = found.iter().map(|found| found.split(':').next().unwrap()).collect();
    assert_eq!(places, ["/a/b", "/a/c", "/d", "/e"]);
    assert_eq!(differences(&one, &one, ""), Vec::<String>::new());
}
