//! Who exists and what they may use, over HTTP.

mod access;
mod devices;
mod erasing;
mod linking;
mod persons;
mod profile;
mod users;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp, TestUser};

/// The problem without what differs from one occurrence to the next.
fn anonymous(reply: &Reply) -> Value {
    let mut body = reply.json.clone();
    for member in ["request_id", "instance"] {
        assert!(body.as_object_mut().unwrap().remove(member).is_some(), "{member} is missing: {body}");
    }
    // Two servers have two addresses.
    let page = body["type"].as_str().unwrap().split("/problems/").nth(1).unwrap().to_owned();
    body["type"] = page.into();
    body
}

/// Pointer and code of every violation.
#[track_caller]
fn violations(reply: &Reply) -> Vec<(&str, &str)> {
    let errors = reply.json["errors"].as_array().unwrap_or_else(|| panic!("no errors: {reply:?}"));
    errors.iter().map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap())).collect()
}

/// Asserts that a secret was just made, which nobody keeps, and returns the reply's text of that
/// name.
#[track_caller]
fn made<'reply>(reply: &'reply Reply, name: &str) -> &'reply str {
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store", "{reply:?}");
    reply.json[name].as_str().unwrap_or_else(|| panic!("{name} is missing: {reply:?}"))
}

impl TestApp {
    async fn post(&self, token: &str, path: &str, body: &Value) -> Reply {
        self.request(Method::POST, path).bearer(token).json(body).send().await
    }

    /// POST without a body.
    async fn act(&self, token: &str, path: &str) -> Reply {
        self.request(Method::POST, path).bearer(token).send().await
    }

    async fn change_zone(&self, user: &TestUser, time_zone: &str) -> Reply {
        let body = json!({ "time_zone": time_zone });
        self.request(Method::PATCH, "/v1/me").bearer(&user.viewer).json(&body).send().await
    }

    pub async fn erase(&self, user: &TestUser, query: &str) -> Reply {
        self.request(Method::DELETE, &format!("/v1/me/usage?{query}")).bearer(&user.viewer).send().await
    }

    /// `action subject` of every act, oldest first.
    async fn acts(&self, actor_kind: &str) -> Vec<String> {
        let sql =
            "select action || ' ' || subject from ops.audit where actor_kind = '$kind' order by acted_at, audit_id";
        self.ask(&sql.replace("$kind", actor_kind)).await
    }
}
