//! Values on both sides of every bound that a schema of the contract has.

use serde_json::{Value, json};

use super::schema::resolved;

/// A value, and whether the schema takes it.
pub type Probe = (Value, bool);

/// A value whose bounds are known, but whose content only the server, a person or PostgreSQL knows, or another field
/// decides: only what is refused can be tried.
const ONLY_REFUSED: [&str; 7] = ["cursor", "code", "confirm", "time_zone", "tz", "tz_offset_minutes", "everything"];

/// Fields whose example is one of something that only a server makes, or depends on another field.
const EXAMPLES_ONLY_REFUSED: [&str; 4] = ["code", "confirm", "book", "hour_start"];

/// Values on both sides of the bounds of `schema`, which belongs to the field or parameter `name`.
pub fn probes(document: &Value, name: &str, schema: &Value) -> Vec<Probe> {
    let schema = resolved(document, schema);
    if let Some(choices) = schema["anyOf"].as_array() {
        // A parameter that may also be blank, and blank is nothing.
        return probes(document, name, &choices[0])
            .into_iter()
            .filter(|(value, _)| value.as_str() != Some(""))
            .collect();
    }
    let all = match schema["type"].as_str() {
        _ if schema["enum"].is_array() => words(&schema["enum"]),
        Some("integer") => integers(schema),
        Some("boolean") => vec![(json!(true), true), (json!(false), true), (json!("maybe"), false)],
        Some("array") => arrays(document, schema),
        Some("string") => texts(schema),
        _ => Vec::new(),
    };
    let bounds = all.into_iter().filter(|(_, is_taken)| !is_taken || !ONLY_REFUSED.contains(&name));
    bounds.chain(examples(document, name, schema).into_iter().map(|value| (value, true))).collect()
}

/// The examples of a schema, or a list of one of those of its items.
fn examples(document: &Value, name: &str, schema: &Value) -> Vec<Value> {
    let schema = resolved(document, schema);
    let several = schema["examples"].as_array().into_iter().flatten();
    let mut found: Vec<_> = several.chain(schema.get("example")).cloned().collect();
    if schema["items"].is_object() {
        found.extend(examples(document, name, &schema["items"]).into_iter().map(|one| json!([one])));
    }
    found.retain(|_| !EXAMPLES_ONLY_REFUSED.contains(&name));
    found
}

fn words(listed: &Value) -> Vec<Probe> {
    let taken = listed.as_array().unwrap().iter().map(|word| (word.clone(), true));
    taken.chain([(json!("no-such-word"), false)]).collect()
}

fn integers(schema: &Value) -> Vec<Probe> {
    let mut probes = Vec::new();
    if let Some(least) = schema["minimum"].as_i64() {
        probes.extend([(json!(least), true), (json!(least - 1), false)]);
    }
    if let Some(most) = schema["maximum"].as_i64() {
        probes.extend([(json!(most), true), (json!(most + 1), false)]);
    }
    probes.push((json!("seven"), false));
    probes
}

fn texts(schema: &Value) -> Vec<Probe> {
    let length = |bound: &str| schema[bound].as_u64().map(|bound| usize::try_from(bound).unwrap());
    match schema["format"].as_str() {
        Some("uuid") => return vec![(json!(id(1)), true), (json!("not-an-id"), false)],
        Some("date") => {
            let refused = ["1969-12-31", "9999-01-01", "2026-1-1", "2026-02-30", ""].map(|day| (json!(day), false));
            return refused.into_iter().chain([(json!("2026-11-01"), true)]).collect();
        }
        Some("date-time") => return vec![(json!("yesterday"), false)],
        _ => {}
    }
    let mut probes = Vec::new();
    if let Some(least @ 1..) = length("minLength") {
        probes.extend([(json!("a".repeat(least)), true), (json!("a".repeat(least - 1)), false)]);
    }
    if let Some(most) = length("maxLength") {
        probes.extend([(json!("a".repeat(most)), true), (json!("a".repeat(most + 1)), false)]);
    }
    if schema["pattern"].is_string() {
        // No pattern of the contract takes a control character.
        probes.push((json!("a\u{7}b"), false));
    }
    probes
}

fn arrays(document: &Value, schema: &Value) -> Vec<Probe> {
    let items = resolved(document, &schema["items"]);
    let item = items["anyOf"].as_array().map_or(items, |choices| &choices[0]);
    let length = |bound: &str| schema[bound].as_u64().map(|bound| usize::try_from(bound).unwrap());
    let many =
        |count: usize| (0..count).map(|place| distinct(item, place)).collect::<Option<Vec<_>>>().map(Value::Array);
    let mut probes = Vec::new();
    if let Some(most) = length("maxItems") {
        probes.extend(many(most).map(|list| (list, true)));
        probes.extend(many(most + 1).map(|list| (list, false)));
    }
    if schema["uniqueItems"] == true {
        probes.extend(distinct(item, 0).map(|one| (json!([one, one]), false)));
    }
    let wrong = self::probes(document, "", items).into_iter().filter(|(_, is_taken)| !is_taken);
    probes.extend(wrong.map(|(value, _)| (json!([value]), false)));
    probes
}

/// The value of this place in a list of different ones; `None` where there are not so many.
fn distinct(item: &Value, place: usize) -> Option<Value> {
    match (item["enum"].as_array(), item["format"].as_str(), item["type"].as_str()) {
        (Some(words), ..) => words.get(place).cloned(),
        (None, Some("uuid"), _) => Some(json!(id(place))),
        (None, _, Some("string")) => Some(json!(format!("a{place}"))),
        _ => None,
    }
}

fn id(number: usize) -> String {
    format!("01a1fbd2-0c6a-74cb-bc08-{number:012x}")
}

#[test]
fn there_is_a_value_on_either_side_of_each_bound() {
    let sides = |schema: Value| {
        let (taken, refused): (Vec<_>, Vec<_>) =
            probes(&json!({}), "x", &schema).into_iter().partition(|(_, taken)| *taken);
        [taken, refused]
            .map(|probes| probes.into_iter().map(|(value, _)| value.to_string()).collect::<Vec<_>>().join(" "))
    };
    for (schema, taken, refused) in [
        (json!({"type": "integer", "minimum": 1, "maximum": 9}), "1 9", "0 10 \"seven\""),
        (json!({"type": "string", "minLength": 1, "maxLength": 3}), "\"a\" \"aaa\"", "\"\" \"aaaa\""),
        (json!({"type": "string", "enum": ["y"]}), "\"y\"", "\"no-such-word\""),
        (json!({"type": "array", "maxItems": 1, "items": {"type": "string"}}), "[\"a0\"]", "[\"a0\",\"a1\"]"),
        (json!({"anyOf": [{"type": "integer", "maximum": 2}, {"enum": [""]}]}), "2", "3 \"seven\""),
        (json!({"type": "string", "examples": ["e"]}), "\"e\"", ""),
    ] {
        assert_eq!(sides(schema.clone()), [taken, refused], "{schema}");
    }
}
