//! The pages that a problem's `type` leads to. What an example asks is asked here, and answered as it says.

use std::collections::HashMap;

use halfhour::kernel::problem::Code;
use reqwest::Method;
use serde_json::Value;

use crate::support::{Reply, TestApp};

/// Examples that a server answers so only at a special moment, over HTTP/1.0, by a page, or to what is too long to be
/// shown.
const NOT_ASKED: [&str; 16] = [
    "batch_too_large",
    "cross_site",
    "database_conflict",
    "database_unavailable",
    "deadline_exceeded",
    "headers_too_large",
    "idempotency_in_progress",
    "internal",
    "overloaded",
    "plan_stale",
    "rate_limited",
    "request_timeout",
    "switched_off",
    "upgrade_required",
    "uri_too_long",
    "wrong_number",
];

/// The contents of the fenced blocks of a language.
fn blocks<'a>(page: &'a str, language: &str) -> impl Iterator<Item = &'a str> {
    let opening = format!("\n```{language}\n");
    let blocks: Vec<_> = page.split(opening.as_str()).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
    blocks.into_iter()
}

/// Asks what an example asks: a line with method and path, header lines, an empty line, and the body. Names that begin with
/// `$` stand for values.
async fn ask(app: &TestApp, example: &str, values: &HashMap<&str, String>) -> Reply {
    let example = values.iter().fold(example.to_owned(), |example, (name, value)| example.replace(name, value));
    let (head, body) = example.split_once("\n\n").unwrap_or((&example, ""));
    let mut lines = head.lines();
    let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
    let mut request = app.request(method.parse().unwrap(), path);
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(body).send().await
}

/// A reply without what is another one each time.
fn lasting(reply: &Value) -> Value {
    let mut reply = reply.clone();
    for name in ["instance", "request_id", "type"] {
        assert!(reply.as_object_mut().unwrap().remove(name).is_some(), "{name} is missing");
    }
    reply
}

#[tokio::test]
async fn the_example_of_every_page_is_answered_as_the_page_says() {
    let (mut asked, mut differ) = (0, Vec::new());
    let app = TestApp::start().await;
    for code in Code::ALL.iter().filter(|code| !NOT_ASKED.contains(&code.as_str())) {
        let ann = app.user(code.as_str(), "UTC").await;
        let device = app.device(&ann, "workstation").await;
        let mut values = HashMap::from([
            ("$HALFHOUR_DEVICE_TOKEN", device.token),
            ("$HALFHOUR_VIEWER_TOKEN", ann.viewer),
            ("$HALFHOUR_OPERATOR_TOKEN", ann.operator),
        ]);
        let mut reply = None;
        for example in blocks(code.page(), "http") {
            let answer = ask(&app, example, &values).await;
            values.extend(answer.json["id"].as_str().map(|job_id| ("$JOB_ID", job_id.to_owned())));
            reply = Some(answer);
        }
        let shown: Value = serde_json::from_str(blocks(code.page(), "json").next().unwrap()).unwrap();
        let reply = reply.unwrap();
        reply.expect_problem(code.status().as_u16(), code.as_str());
        let [answered, shown] = [lasting(&reply.json), lasting(&shown)];
        if answered != shown {
            differ.push(format!("{}: {answered} and not {shown}", code.as_str()));
        }
        asked += 1;
    }
    assert_eq!(asked, Code::ALL.len() - NOT_ASKED.len());
    assert_eq!(differ, Vec::<String>::new());
}

#[tokio::test]
async fn the_type_of_a_problem_leads_to_its_page_for_people_whatever_they_accept() {
    let app = TestApp::start().await;
    let refused = app.request(Method::GET, "/v1/me").send().await;
    let url = refused.expect_problem(401, "unauthorized")["type"].as_str().unwrap();
    let path = url.strip_prefix(&app.url).unwrap();
    for accept in ["text/html", "application/json", "*/*"] {
        let page = app.request(Method::GET, path).header("accept", accept).send().await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{accept}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("script-src"), "{policy}");
        let text = String::from_utf8(page.body.clone()).unwrap();
        for heading in ["What happened", "Whose fault it is", "What to do", "Example"] {
            assert!(text.contains(&format!("<h2>{heading}</h2>")), "{text}");
        }
    }
}

#[tokio::test]
async fn what_is_no_code_has_no_page_and_is_told_which_there_are() {
    let app = TestApp::start().await;
    for path in
        ["/problems/nonsense", "/problems/INVALID", "/problems/invalid.md", "/problems/..%2Fapi", "/problems/<b>"]
    {
        let reply = app.request(Method::GET, path).header("accept", "text/html").send().await;
        let detail = reply.expect_problem(404, "not_found")["detail"].as_str().unwrap();
        assert!(!detail.contains("<b>"), "{detail}");
        assert_eq!(detail.contains("internal, wrong_number,"), !path.contains("%2F"), "{detail}");
    }
}
