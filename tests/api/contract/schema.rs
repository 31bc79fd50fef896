//! What is wrong with a value by a schema of the contract: as much of JSON Schema as the contract uses.

use serde_json::{Map, Value};
use uuid::Uuid;

/// The schema that is meant, behind its references.
pub fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => resolved(document, document.pointer(reference.trim_start_matches('#')).unwrap()),
        None => schema,
    }
}

/// Everything that is wrong, each with its place. A member that no schema describes is wrong.
pub fn faults(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let schema = resolved(document, schema);
    for choice in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let mut found: Vec<_> = choices.iter().map(|one| faults(document, one, value, at)).collect();
            found.sort_by_key(Vec::len);
            return found.into_iter().next().unwrap_or_default();
        }
    }
    let mut found = Vec::new();
    if !has_type(&schema["type"], value) {
        return vec![format!("{at}: {value} is not {}", schema["type"])];
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        found.push(format!("{at}: {value} is none of {}", schema["enum"]));
    }
    match value {
        Value::Object(members) => found.extend(of_object(document, schema, members, at)),
        Value::Array(items) => {
            let is_wrong = |bound: &str, wrong: fn(usize, usize) -> bool| {
                schema[bound].as_u64().is_some_and(|bound| wrong(items.len(), usize::try_from(bound).unwrap()))
            };
            if is_wrong("minItems", |length, least| length < least)
                || is_wrong("maxItems", |length, most| length > most)
            {
                found.push(format!("{at}: {} items", items.len()));
            }
            let each = items.iter().enumerate();
            found.extend(
                each.flat_map(|(place, item)| faults(document, &schema["items"], item, &format!("{at}/{place}"))),
            );
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            let is_low = schema["minimum"].as_f64().is_some_and(|least| number < least);
            if is_low || schema["maximum"].as_f64().is_some_and(|most| number > most) {
                found.push(format!("{at}: {number} is out of range"));
            }
        }
        Value::String(text) => found.extend(of_text(schema, text, at)),
        _ => {}
    }
    found
}

fn of_object(document: &Value, schema: &Value, members: &Map<String, Value>, at: &str) -> Vec<String> {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    gather(document, schema, &mut properties, &mut required);
    let mut found: Vec<_> = required
        .iter()
        .filter(|name| !members.contains_key(*name))
        .map(|name| format!("{at}/{name} is missing"))
        .collect();
    // An object of which nothing is said may hold anything.
    if properties.is_empty() && !schema["additionalProperties"].is_object() {
        return found;
    }
    for (name, value) in members {
        match properties.get(name).or_else(|| schema.get("additionalProperties").filter(|more| more.is_object())) {
            Some(property) => found.extend(faults(document, property, value, &format!("{at}/{name}"))),
            None => found.push(format!("{at}/{name} is not described")),
        }
    }
    found
}

/// The members of an object with all parts that it is put together from.
fn gather(document: &Value, schema: &Value, properties: &mut Map<String, Value>, required: &mut Vec<String>) {
    let schema = resolved(document, schema);
    properties
        .extend(schema["properties"].as_object().into_iter().flatten().map(|(name, one)| (name.clone(), one.clone())));
    required
        .extend(schema["required"].as_array().into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())));
    for part in schema["allOf"].as_array().into_iter().flatten() {
        gather(document, part, properties, required);
    }
}

fn of_text(schema: &Value, text: &str, at: &str) -> Option<String> {
    let length = u64::try_from(text.chars().count()).unwrap();
    let wrong = match schema["format"].as_str() {
        Some("uuid") => Uuid::try_parse(text).is_err(),
        Some("date-time") => chrono::DateTime::parse_from_rfc3339(text).is_err(),
        Some("date") => text.parse::<chrono::NaiveDate>().is_err(),
        _ => false,
    };
    let is_short = schema["minLength"].as_u64().is_some_and(|least| length < least);
    let is_long = schema["maxLength"].as_u64().is_some_and(|most| length > most);
    let is_other =
        schema["pattern"].as_str().is_some_and(|pattern| !regex::Regex::new(pattern).unwrap().is_match(text));
    (wrong || is_short || is_long || is_other).then(|| format!("{at}: {text:?} has another form"))
}

fn has_type(types: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    };
    match types {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}

#[test]
fn a_value_that_breaks_its_schema_is_told_where() {
    let document = serde_json::json!({"components": {"schemas": {"Part": {
        "type": "object", "required": ["a"], "properties": {"a": {"type": "integer", "minimum": 1}}}}}});
    let schema = serde_json::json!({"type": "object", "required": ["list"], "properties": {
        "list": {"type": "array", "maxItems": 1, "items": {"$ref": "#/components/schemas/Part"}},
        "word": {"type": ["string", "null"], "enum": ["x", null]}, "id": {"type": "string", "format": "uuid"},
        "code": {"type": "string", "pattern": "^[A-Z]+$"}}});
    for (value, expected) in [
        (serde_json::json!({"list": [{"a": 1}], "word": null}), ""),
        (serde_json::json!({}), "/list is missing"),
        (serde_json::json!({"list": [{"a": 0}]}), "/list/0/a: 0 is out of range"),
        (serde_json::json!({"list": [{"a": 1, "b": 1}]}), "/list/0/b is not described"),
        (serde_json::json!({"list": [{"a": 1}, {"a": 1}]}), "/list: 2 items"),
        (serde_json::json!({"list": [], "word": "y"}), "/word: \"y\" is none of [\"x\",null]"),
        (serde_json::json!({"list": 7}), "/list: 7 is not \"array\""),
        (serde_json::json!({"list": [], "id": "x"}), "/id: \"x\" has another form"),
        (serde_json::json!({"list": [], "code": "x"}), "/code: \"x\" has another form"),
    ] {
        assert_eq!(faults(&document, &schema, &value, "").join("; "), expected, "{value}");
    }
}
