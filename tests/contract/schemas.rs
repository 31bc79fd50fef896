//! When one schema breaks those who relied on another one.

use serde_json::{Map, Value, json};

use super::breaking::members;

/// Which way values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// From callers: what was taken must be taken.
    Sent,
    /// To callers: what is told must have been told before.
    Told,
}

/// A field, and what breaks of it.
pub type Broken = (String, String);

/// A bound that breaks senders where it rises, and one that does where it falls.
const LOWER: [&str; 3] = ["minimum", "minLength", "minItems"];
const UPPER: [&str; 3] = ["maximum", "maxLength", "maxItems"];
/// No schema of the contract goes deeper.
const DEEPEST: usize = 24;

/// What breaks from one schema to the next; `name` is the field that they describe.
pub fn compare(side: Side, documents: [&Value; 2], schemas: [&Value; 2], name: &str) -> Vec<Broken> {
    deeper(side, documents, schemas, name, 0)
}

fn deeper(side: Side, documents: [&Value; 2], schemas: [&Value; 2], name: &str, depth: usize) -> Vec<Broken> {
    if depth > DEEPEST || schemas[0] == schemas[1] && documents[0]["components"] == documents[1]["components"] {
        return Vec::new();
    }
    let [old, new] = [whole(documents[0], schemas[0]), whole(documents[1], schemas[1])];
    let broken = |what: String| (name.to_owned(), what);
    let mut found: Vec<_> = of_values(side, &old, &new).into_iter().map(broken).collect();
    for choice in ["oneOf", "anyOf"] {
        let list = |schema: &Value| schema[choice].as_array().cloned().unwrap_or_default();
        let (was, is) = (list(&old), list(&new));
        if was.len() == is.len() {
            let pairs = was.iter().zip(&is);
            found.extend(pairs.flat_map(|(was, is)| deeper(side, documents, [was, is], name, depth + 1)));
        } else {
            found.push(broken(": there are other choices".to_owned()));
        }
    }
    if !old["items"].is_null() && !new["items"].is_null() {
        found.extend(deeper(side, documents, [&old["items"], &new["items"]], name, depth + 1));
    }
    let field = |member: &str| if name.is_empty() { member.to_owned() } else { format!("{name}.{member}") };
    for (member, was) in members(&old["properties"]) {
        let is = &new["properties"][member];
        if is.is_null() {
            found.push((field(member), " is gone".to_owned()));
        } else {
            found.extend(deeper(side, documents, [was, is], &field(member), depth + 1));
        }
    }
    let required = |schema: &Value| schema["required"].as_array().cloned().unwrap_or_default();
    let (was, is) = (required(&old), required(&new));
    let (more, less, word) = match side {
        Side::Sent => (is, was, " is required"),
        Side::Told => (was, is, " may be absent"),
    };
    let stricter = more.iter().filter(|one| !less.contains(one)).filter_map(Value::as_str);
    // What is gone is said to be gone.
    let there = stricter.filter(|member| side == Side::Sent || !new["properties"][*member].is_null());
    found.extend(there.map(|member| (field(member), word.to_owned())));
    if side == Side::Sent && new["additionalProperties"] == false && old["additionalProperties"] != false {
        found.push(broken(": other members are refused".to_owned()));
    }
    found
}

/// What breaks of the values that are no objects.
fn of_values(side: Side, old: &Value, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let types = |schema: &Value| match &schema["type"] {
        Value::Array(names) => names.clone(),
        Value::Null => Vec::new(),
        name => vec![name.clone()],
    };
    let words = |schema: &Value| schema["enum"].as_array().cloned();
    // What is told is judged the other way round.
    let [was, is] = if side == Side::Sent { [old, new] } else { [new, old] };
    let (was_types, is_types) = (types(was), types(is));
    let is_integer = |one: &Value| *one == "integer" && is_types.contains(&json!("number"));
    if !is_types.is_empty()
        && (was_types.is_empty() || !was_types.iter().all(|one| is_types.contains(one) || is_integer(one)))
    {
        found.push(": type is another one".to_owned());
    }
    match (words(was), words(is)) {
        (_, None) => {}
        (None, Some(_)) => found.push(": only some words are left".to_owned()),
        (Some(was), Some(is)) => {
            let word = if side == Side::Sent { "is not taken any more" } else { "is new" };
            found.extend(was.iter().filter(|one| !is.contains(one)).map(|one| format!(": {one} {word}")));
        }
    }
    if side == Side::Told {
        if !old["format"].is_null() && old["format"] != new["format"] {
            found.push(": format is another one".to_owned());
        }
        return found;
    }
    let number = |schema: &Value, bound: &str| schema[bound].as_f64();
    let tighter = |bound: &str, is_tighter: fn(f64, f64) -> bool| match (number(old, bound), number(new, bound)) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(was), Some(is)) => is_tighter(was, is),
    };
    let bounds = LOWER.into_iter().filter(|bound| tighter(bound, |was, is| is > was));
    let bounds = bounds.chain(UPPER.into_iter().filter(|bound| tighter(bound, |was, is| is < was)));
    let forms = ["pattern", "format"].into_iter().filter(|form| !new[*form].is_null() && old[*form] != new[*form]);
    found.extend(bounds.chain(forms).map(|name| format!(": {name} is {} and was {}", new[name], old[name])));
    if new["uniqueItems"] == true && old["uniqueItems"] != true {
        found.push(": no value may come twice".to_owned());
    }
    found
}

/// A schema behind its references, with the members of all parts that it is put together from.
fn whole(document: &Value, schema: &Value) -> Value {
    let mut schema = schema;
    while let Some(reference) = schema["$ref"].as_str() {
        schema = document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
    }
    let Some(parts) = schema["allOf"].as_array() else { return schema.clone() };
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for part in parts {
        let part = whole(document, part);
        properties.extend(members(&part["properties"]).map(|(name, one)| (name.clone(), one.clone())));
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    json!({"type": "object", "properties": properties, "required": required})
}
