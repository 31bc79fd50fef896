//! The contract does not break unless the changelog says so: `docs/openapi.json` is compared with what the last release
//! published. Each kind of break is planted, because a rule that catches nothing proves nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where it stopped")]

#[path = "contract/breaking.rs"]
mod breaking;
#[path = "contract/schemas.rs"]
mod schemas;

use std::path::Path;

use breaking::{Break, breaks};
use serde_json::{Value, json};

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn document(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The items of the changelog under "Unreleased" that say that something breaks, each on one line.
fn admitted(changelog: &str) -> Vec<String> {
    let section = changelog.split("\n## ").find(|section| section.starts_with("Unreleased")).unwrap_or_default();
    let items = section.split("\n- ").skip(1).map(|item| item.split_whitespace().collect::<Vec<_>>().join(" "));
    items.filter(|item| item.contains("Breaking:")).collect()
}

/// The breaks that no item names: with the operation, and with what of it.
fn unnamed(breaks: Vec<Break>, changelog: &str) -> Vec<String> {
    let items = admitted(changelog);
    let is_named = |one: &Break| {
        items.iter().any(|item| [&one.operation, &one.subject].iter().all(|name| item.contains(&format!("`{name}`"))))
    };
    breaks.into_iter().filter(|one| !is_named(one)).map(|one| one.to_string()).collect()
}

#[test]
fn nothing_that_was_released_breaks_unless_the_changelog_says_so() {
    let found = breaks(&document("openapi.released.json"), &document("openapi.json"));
    let asked = "name each in docs/CHANGELOG.md under Unreleased, in an item with `Breaking:`, the operation and the \
        subject in backticks";
    assert_eq!(unnamed(found, &text("CHANGELOG.md")), Vec::<String>::new(), "{asked}");
}

/// A small contract in which everything can break.
fn contract() -> Value {
    let schema = json!({"type": "object", "additionalProperties": false, "required": ["name"], "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 9},
        "kind": {"type": "string", "enum": ["x", "y"]},
        "list": {"type": "array", "maxItems": 9, "items": {"type": "integer", "minimum": 0}}}});
    let told = json!({"type": "object", "required": ["id", "state"], "properties": {
        "id": {"type": "string", "format": "uuid"}, "state": {"type": "string", "enum": ["on", "off"]},
        "part": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Part"}]}}});
    json!({
        "components": {"schemas": {
            "Sent": schema, "Told": told,
            "Part": {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer"}}},
            "Problem": {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}}}}},
        "paths": {"/v1/things": {"post": {
            "operationId": "add_thing", "security": [{"viewer": []}, {"operator": []}],
            "parameters": [{"in": "query", "name": "limit", "required": false,
                "schema": {"type": "integer", "minimum": 1, "maximum": 9}}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Sent"}},
                "application/x-ndjson": {"schema": {"type": "string"}}}},
            "responses": {
                "201": {"headers": {"ETag": {}}, "content": {"application/json": {"schema":
                    {"$ref": "#/components/schemas/Told"}}, "text/csv": {"schema": {"type": "string"}}}},
                "422": {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}}}}}
    })
}

/// What breaks where the value at a place is another one; an empty text stands for none.
fn planted(place: &str, value: Value) -> String {
    let mut drifted = contract();
    let (parent, name) = place.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/");
    match drifted.pointer_mut(parent).unwrap_or_else(|| panic!("there is no {parent}")) {
        Value::Object(members) if value == "" => assert!(members.remove(&name).is_some(), "there is no {place}"),
        Value::Object(members) => assert!(members.insert(name, value).is_none_or(|old| !old.is_null())),
        Value::Array(items) if value == "" => drop(items.remove(name.parse().unwrap())),
        Value::Array(items) => items.push(value),
        _ => panic!("{parent} holds nothing"),
    }
    breaks(&contract(), &drifted).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

const POST: &str = "/paths/~1v1~1things/post";
const SENT: &str = "/components/schemas/Sent";
const TOLD: &str = "/components/schemas/Told";

#[test]
fn every_kind_of_break_of_what_is_sent_is_caught() {
    let parameters = format!("{POST}/parameters");
    for (place, value, expected) in [
        ("/paths/~1v1~1things".to_owned(), json!(""), "POST /v1/things: the operation is gone"),
        (format!("{POST}/operationId"), json!("make_thing"), "operationId `add_thing` is another one"),
        (format!("{parameters}/0"), json!(""), "parameter `limit` is gone"),
        (format!("{parameters}/0/required"), json!(true), "parameter `limit` is required"),
        (
            format!("{parameters}/-"),
            json!({"in": "query", "name": "must", "required": true, "schema": {}}),
            "parameter `must` is required",
        ),
        (format!("{parameters}/0/schema/maximum"), json!(8), "parameter `limit`: maximum is 8 and was 9"),
        (format!("{parameters}/0/schema/minimum"), json!(2), "parameter `limit`: minimum is 2 and was 1"),
        (format!("{parameters}/0/schema/type"), json!("string"), "parameter `limit`: type is another one"),
        (format!("{parameters}/0/schema/pattern"), json!("^1$"), "parameter `limit`: pattern is \"^1$\" and was null"),
        (format!("{POST}/requestBody/content/application~1x-ndjson"), json!(""), "body `application/x-ndjson` is gone"),
        (format!("{SENT}/properties/kind"), json!(""), "body `kind` is gone"),
        (format!("{SENT}/required/-"), json!("kind"), "body `kind` is required"),
        (format!("{SENT}/properties/kind/enum/1"), json!(""), "body `kind`: \"y\" is not taken any more"),
        (format!("{SENT}/properties/name/maxLength"), json!(8), "body `name`: maxLength is 8 and was 9"),
        (format!("{SENT}/properties/list/maxItems"), json!(8), "body `list`: maxItems is 8 and was 9"),
        (format!("{SENT}/properties/list/items/minimum"), json!(1), "body `list`: minimum is 1 and was 0"),
        (format!("{POST}/security/0"), json!(""), "`viewer` may not call it any more"),
    ] {
        let found = planted(&place, value);
        assert!(found.contains(expected), "{place}: {found:?}");
    }
}

#[test]
fn every_kind_of_break_of_what_is_told_is_caught() {
    let created = format!("{POST}/responses/201");
    for (place, value, expected) in [
        (created.clone(), json!(""), "answer `201` is gone"),
        (format!("{created}/content/text~1csv"), json!(""), "answer `text/csv` is gone"),
        (format!("{created}/headers/ETag"), json!(""), "header `ETag` is gone"),
        (format!("{TOLD}/properties/id"), json!(""), "answer `id` is gone"),
        (format!("{TOLD}/required/1"), json!(""), "answer `state` may be absent"),
        (format!("{TOLD}/properties/state/enum/-"), json!("half"), "answer `state`: \"half\" is new"),
        (format!("{TOLD}/properties/state/type"), json!(["string", "null"]), "answer `state`: type is another one"),
        (format!("{TOLD}/properties/id/format"), json!("date"), "answer `id`: format is another one"),
        (
            "/components/schemas/Part/properties/count/type".to_owned(),
            json!("string"),
            "answer `part.count`: type is another one",
        ),
        ("/components/schemas/Problem/properties/code".to_owned(), json!(""), "every problem: answer `code` is gone"),
    ] {
        let found = planted(&place, value);
        assert!(found.contains(expected), "{place}: {found:?}");
    }
}

#[test]
fn what_only_gives_more_or_takes_more_breaks_nothing() {
    for (place, value) in [
        ("/paths/~1v1~1others".to_owned(), json!({"get": {"responses": {}}})),
        (format!("{POST}/parameters/-"), json!({"in": "query", "name": "may", "required": false, "schema": {}})),
        (format!("{POST}/parameters/0/schema/maximum"), json!(10)),
        (format!("{POST}/responses/410"), json!({"content": {}})),
        (format!("{SENT}/properties/more"), json!({"type": "string"})),
        (format!("{SENT}/properties/kind/enum/-"), json!("z")),
        (format!("{TOLD}/properties/more"), json!({"type": "string"})),
        (format!("{POST}/security/-"), json!({"device": []})),
    ] {
        assert_eq!(planted(&place, value), "", "{place}");
    }
    assert!(breaks(&contract(), &contract()).is_empty());
}

#[test]
fn a_break_passes_where_the_changelog_names_it_and_only_there() {
    let mut drifted = contract();
    drifted["paths"]["/v1/things"]["post"]["parameters"][0]["schema"]["maximum"] = json!(8);
    let named = "# C\n\n## Unreleased\n\n### Features\n\n- Breaking: `POST /v1/things` takes a `limit` of 8\n  and no more.\n\n## 0.1.0\n";
    let left = |changelog: &str| unnamed(breaks(&contract(), &drifted), changelog).len();
    assert_eq!(left(named), 0);
    for other in [
        named.replace("Breaking:", "Also:"),
        named.replace("`limit`", "`size`"),
        named.replace("POST", "GET"),
        named.replace("## Unreleased", "## 0.2.0"),
        String::new(),
    ] {
        assert_eq!(left(&other), 1, "{other}");
    }
}
