//! Problems: the table of all, and their pages. Each code has one, each page is whole, and its example is a problem of
//! that code.

use std::collections::BTreeSet;

use halfhour::kernel::problem::Code;
use serde_json::{Value, json};

use super::{NONE, differences, files, rows, section, text};

/// Code, status, fault and retry of every problem, as the table of `docs/api.md` has them.
fn documented_problems(api: &str) -> BTreeSet<String> {
    rows(section(api, "## Errors")).into_iter().map(|cells| cells[..4].join(" ")).collect()
}

fn problems() -> BTreeSet<String> {
    let word = |value: serde_json::Value| value.as_str().map(str::to_owned).unwrap_or_default();
    let json = |code: &Code| (serde_json::json!(code.fault()), serde_json::json!(code.retry()));
    let row = |code: &Code| {
        let (fault, retry) = json(code);
        format!("`{}` {} {} {}", code.as_str(), code.status().as_u16(), word(fault), word(retry))
    };
    Code::ALL.iter().map(row).collect()
}

const HEADINGS: [&str; 4] = ["## What happened", "## Whose fault it is", "## What to do", "## Example"];

/// The contents of the fenced blocks of a language.
fn blocks<'a>(markdown: &'a str, language: &str) -> Vec<&'a str> {
    let opened = markdown.split(&format!("\n```{language}\n")).skip(1).collect::<Vec<_>>();
    opened.into_iter().filter_map(|rest| rest.split_once("\n```").map(|(block, _)| block)).collect()
}

/// What is wrong with the page of a code.
fn faults(code: Code, page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let headings: Vec<_> = page.lines().filter(|line| line.starts_with('#')).collect();
    let name = format!("# {}", code.as_str());
    let expected: Vec<_> = std::iter::once(name.as_str()).chain(HEADINGS).collect();
    if headings != expected {
        found.push(format!("the headings are {headings:?} and not {expected:?}"));
    }
    let sections = page.split("\n## ").skip(1).filter_map(|section| section.split_once('\n'));
    for (heading, text) in sections.filter(|(_, text)| text.trim().is_empty()) {
        found.push(format!("{heading} is empty: {text:?}"));
    }
    if page.contains("](") {
        found.push("links lead nowhere where the page is served: write the path as code".to_owned());
    }
    let requests = blocks(page, "http");
    let is_request = |block: &&str| {
        let line = block.lines().next().unwrap_or_default();
        line.split_once(' ')
            .is_some_and(|(method, path)| method.bytes().all(|b| b.is_ascii_uppercase()) && path.starts_with('/'))
    };
    if requests.is_empty() || !requests.iter().all(is_request) {
        found.push("an example begins with requests, each with a method and a path".to_owned());
    }
    let replies = blocks(page, "json");
    let [reply] = replies.as_slice() else {
        found.push(format!("there are {} replies and not one", replies.len()));
        return found;
    };
    match serde_json::from_str::<Value>(reply) {
        Err(error) => found.push(format!("the reply is not JSON: {error}")),
        Ok(reply) => found.extend(faults_of_reply(code, &reply)),
    }
    found
}

fn faults_of_reply(code: Code, reply: &Value) -> Vec<String> {
    let id = reply["request_id"].as_str().unwrap_or_default();
    let expected = [
        ("type", json!(format!("http://127.0.0.1:8080/problems/{}", code.as_str()))),
        ("title", json!(code.title())),
        ("status", json!(code.status().as_u16())),
        ("code", json!(code.as_str())),
        ("fault", json!(code.fault())),
        ("retry", json!(code.retry())),
        ("instance", json!(format!("urn:uuid:{id}"))),
    ];
    let differs = |(name, value): &(&str, Value)| reply[*name] != *value;
    let mut found: Vec<_> = expected
        .iter()
        .filter(|member| differs(member))
        .map(|(name, value)| format!("{name} is {} and not {value}", reply[*name]))
        .collect();
    if reply["detail"].as_str().is_none_or(str::is_empty) {
        found.push("detail is missing".to_owned());
    }
    if (code == Code::Invalid) && reply["errors"].as_array().is_none_or(Vec::is_empty) {
        found.push("errors are missing".to_owned());
    }
    found
}

#[test]
fn every_problem_code_is_documented_with_its_status_fault_and_retry_and_no_other_is() {
    assert_eq!(differences(&problems(), &documented_problems(&text("docs/api.md"))), NONE);
}

#[test]
fn a_problem_code_that_is_missing_invented_or_wrong_is_caught() {
    let api = text("docs/api.md");
    let wrong =
        api.replace("| `overloaded` | 503 |", "| `overloaded` | 500 |").replace("| `conflict` |", "| `clash` |");
    let found = differences(&problems(), &documented_problems(&wrong)).join("\n");
    for expected in
        ["`overloaded` 503 server after is not documented", "`overloaded` 500", "`conflict` 409", "`clash` 409"]
    {
        assert!(found.contains(expected), "{expected} is not in {found}");
    }
}

#[test]
fn every_page_of_a_problem_has_its_four_parts_and_an_example_of_that_problem() {
    for code in Code::ALL {
        assert_eq!(faults(*code, code.page()), NONE, "{}", code.as_str());
    }
}

#[test]
fn no_page_is_of_a_code_that_there_is_not() {
    let codes: BTreeSet<String> = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    let pages = files("docs/problems", "md");
    let pages: BTreeSet<_> =
        pages.iter().map(|(path, _)| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(pages, codes);
}

#[test]
fn a_page_that_lacks_something_or_shows_another_problem_is_caught() {
    let page = Code::Invalid.page();
    for (from, to, expected) in [
        ("# invalid", "# Invalid", "the headings are"),
        ("## What to do", "## What else", "the headings are"),
        ("It is the client's.", "", "Whose fault it is is empty"),
        ("repair", "[repair](x.md)", "links lead nowhere"),
        ("\nPOST /v1", "\npost /v1", "a method and a path"),
        ("\"status\": 422", "\"status\": 400", "status is 400 and not 422"),
        ("/problems/invalid", "/problems/malformed", "type is"),
        ("\"title\": \"The", "\"title\": \"A", "title is"),
        ("\"detail\": \"One field is not acceptable; see errors.\"", "\"detail\": \"\"", "detail is missing"),
        ("\"fault\": \"client\",", "\"fault\": \"client\"", "is not JSON"),
        ("```json", "```", "there are 0 replies"),
    ] {
        assert!(page.contains(from), "{from} is not in the page");
        let found = faults(Code::Invalid, &page.replace(from, to)).join("\n");
        assert!(found.contains(expected), "{from} as {to}: {expected} is not in {found:?}");
    }
    assert_eq!(faults(Code::Conflict, page).len(), 5, "{:?}", faults(Code::Conflict, page));
}
