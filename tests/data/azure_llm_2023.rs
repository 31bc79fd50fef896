//! Reads the real usage data beside this file, and compares a reply of `GET /v1/rollups` with what it must add up to.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use serde_json::{Map, Value, json};

const BUCKETS: &str = include_str!("azure-llm-2023.buckets.ndjson");
const EXPECTED: &str = include_str!("azure-llm-2023.expected.json");

/// The question whose answer [`assert_exact`] knows.
pub const QUESTION: &str = "/v1/rollups?from=2023-11-16&to=2023-11-17&group_by=model";

/// A bucket as its device posts it.
#[derive(Clone, Debug)]
pub struct Posted {
    pub device: String,
    pub bucket: Value,
}

/// All buckets, in the order of the file.
pub fn buckets() -> Vec<Posted> {
    let read = |line: &str| {
        let mut bucket: Map<String, Value> = serde_json::from_str(line).unwrap();
        let Some(Value::String(device)) = bucket.remove("device") else { panic!("no device: {line}") };
        Posted { device, bucket: Value::Object(bucket) }
    };
    BUCKETS.lines().map(read).collect()
}

/// The names of the devices.
pub fn devices() -> BTreeSet<String> {
    buckets().into_iter().map(|posted| posted.device).collect()
}

/// One body a device, with all of its buckets.
pub fn bodies() -> BTreeMap<String, Value> {
    let mut bodies = BTreeMap::<String, Vec<Value>>::new();
    for Posted { device, bucket } in buckets() {
        bodies.entry(device).or_default().push(bucket);
    }
    bodies.into_iter().map(|(device, buckets)| (device, json!({ "buckets": buckets }))).collect()
}

/// In another order, the same for the same seed.
pub fn shuffled<T>(items: Vec<T>, seed: u64) -> Vec<T> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut items: Vec<_> = items.into_iter().enumerate().collect();
    items.sort_by_cached_key(|(place, _)| hasher.hash_one((seed, place)));
    items.into_iter().map(|(_, item)| item).collect()
}

/// Asserts that a reply to [`QUESTION`] holds every request of the trace exactly once: in the totals, and for each
/// model over all days.
#[track_caller]
pub fn assert_exact(reply: &Value) {
    let expected: Value = serde_json::from_str(EXPECTED).unwrap();
    let models = expected["by_model"].as_object().unwrap();
    let mut wanted = BTreeMap::new();
    for (model, sums) in models {
        wanted.insert(model.clone(), counters(sums));
    }
    let mut totals = BTreeMap::new();
    for sums in wanted.values() {
        add(&mut totals, sums);
    }
    assert_eq!(totals["bucket_count"], expected["buckets"].as_u64().unwrap());
    assert_eq!(counters(&reply["totals"]), totals, "the totals of {reply}");

    let mut found = BTreeMap::<String, BTreeMap<String, u64>>::new();
    for interval in reply["data"].as_array().unwrap() {
        for result in interval["results"].as_array().unwrap() {
            let model = result["model"].as_str().unwrap().to_owned();
            add(found.entry(model).or_default(), &counters(result));
        }
    }
    assert_eq!(found, wanted, "the models of {reply}");
}

/// Every counter of a rollup; those that the file of expectations leaves out are zero there, and the total follows.
fn counters(sums: &Value) -> BTreeMap<String, u64> {
    let of = |name: &str| sums.get(name).map_or(0, |count| count.as_u64().unwrap());
    let total =
        sums.get("total_tokens").map_or(of("input_tokens") + of("output_tokens"), |count| count.as_u64().unwrap());
    let names = [
        "input_tokens",
        "cache_read_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "output_tokens",
        "reasoning_tokens",
        "unclassified_tokens",
        "request_count",
        "bucket_count",
    ];
    let mut counters: BTreeMap<_, _> = names.into_iter().map(|name| (name.to_owned(), of(name))).collect();
    counters.insert("total_tokens".to_owned(), total);
    counters
}

fn add(sums: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (name, count) in more {
        *sums.entry(name.clone()).or_default() += count;
    }
}
