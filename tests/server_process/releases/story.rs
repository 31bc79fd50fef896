//! All that this release writes for another one to read, told once: tools, people and operators at work. Most of it happens
//! while nothing is folded, so that it stays where it was written.

use reqwest::Method;
use serde_json::{Value, json};

use super::caller::{Caller, Request};
use crate::support::Home;

const WINDOW: [&str; 2] = ["2026-11-01", "2026-11-06"];

/// Who is in it.
struct Cast {
    caller: Caller,
    viewer: String,
    operator: String,
    user_id: String,
    /// The device that posts, and one that is merged into it.
    devices: [Value; 2],
}

/// Tells it, and returns each list that goes on, with the cursor of its second page.
pub async fn tell(home: &Home) -> Vec<(String, String)> {
    let server = home.serve().await;
    let user = home.json(&["user", "add", "ann", "--time-zone", "Europe/Berlin"]);
    home.json(&["user", "add", "bob"]);
    let leaves = home.json(&["user", "add", "cid"]);
    let operator = home.json(&["token", "issue", "--user", "bob", "--kind", "operator"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (viewer, operator) = (text(&user["viewer_token"]), text(&operator["token"]));
    let caller = Caller::of(&server);
    let mut devices = [Value::Null, Value::Null];
    for (device, name) in devices.iter_mut().zip(["laptop", "laptop again"]) {
        let body = json!({"name": name, "platform": "linux"});
        *device = caller.done(Request::post("/v1/devices", &viewer).json(&body)).await.json;
    }
    let user_id = text(&user["user_id"]);
    let cast = Cast { caller, viewer, operator, user_id, devices };
    cast.first_posts().await;
    server.folded(&cast.viewer, "/v1/rollups").await;
    let off = json!({"is_on": false, "reason": "so that it stays"});
    cast.caller.done(Request::new(Method::PUT, "/v1/switches/relay", &cast.operator).json(&off)).await;
    cast.accounts().await;
    cast.posts().await;
    let lines = cast.jobs().await;
    cast.caller
        .done(Request::new(Method::DELETE, "/v1/me?confirm=cid", leaves["viewer_token"].as_str().unwrap()))
        .await;
    let cursors = cast.lists(&lines).await;
    server.stop().await;
    cursors
}

impl Cast {
    fn token(&self, device: usize) -> &str {
        self.devices[device]["token"].as_str().unwrap()
    }

    fn id(&self, device: usize) -> &str {
        self.devices[device]["device_id"].as_str().unwrap()
    }

    /// Accounts, and every act whose answer is kept under its key.
    async fn accounts(&self) {
        let Self { caller, viewer, operator, .. } = self;
        let tablet = json!({"name": "tablet", "platform": "ios"});
        let tablet = caller.done(Request::post("/v1/devices", viewer).key("device").json(&tablet)).await.json;
        let rotate = format!("/v1/devices/{}/rotate", tablet["device_id"].as_str().unwrap());
        caller.done(Request::post(&rotate, viewer).key("rotation")).await;
        let code = caller.done(Request::post("/v1/link-codes", viewer).key("code")).await.json;
        let exchange = json!({"code": code["code"], "request_id": uuid::Uuid::now_v7(), "device_name": "phone", "platform": "ios"});
        caller.done(Request { token: None, ..Request::post("/v1/link-codes/exchange", "").json(&exchange) }).await;
        let gus = json!({"name": "gus", "time_zone": "UTC"});
        caller.done(Request::post("/v1/users", operator).key("user").json(&gus)).await;
        let tool = json!({"name": "windsurf", "title": "Windsurf"});
        caller.done(Request::post("/v1/sources", operator).key("tool").json(&tool)).await;
        // A tracker of another product says which machine it runs on.
        let machine = json!({"device_name": "cave", "platform": "linux", "machine_id": "a machine of the story"});
        caller.done(Request::post("/functions/tokentracker-device-token-issue", viewer).json(&machine)).await;
        let zone = json!({"time_zone": "America/New_York"});
        caller.done(Request::new(Method::PATCH, "/v1/me", viewer).json(&zone)).await;
    }

    async fn first_posts(&self) {
        let bucket = |hour: &str| json!({"hour_start": hour, "source": "codex", "model": "m", "input_tokens": 2});
        let hours = ["2026-10-25T10:00:00Z", "2026-11-04T10:00:00Z", "2026-11-12T10:00:00Z"].map(bucket);
        self.caller.done(Request::post("/v1/buckets", self.token(0)).json(&json!({ "buckets": hours }))).await;
    }

    async fn posts(&self) {
        let bucket = |hour: &str, observed: &str, tokens: u64| json!({"hour_start": hour, "source": "codex", "model": "m", "input_tokens": tokens, "observed_at": observed});
        let (one, two) = ("2026-11-01T10:00:00Z", "2026-11-02T10:00:00Z");
        let (early, late) = ("2026-11-02T10:10:00Z", "2026-11-02T10:20:00Z");
        for (key, buckets) in [
            ("inserted", vec![bucket(one, early, 1), bucket(two, early, 1)]),
            ("others", vec![bucket(one, early, 1), bucket(two, late, 3), bucket("2026-11-02T10:01:00Z", late, 1)]),
            ("stale", vec![bucket(two, early, 1), bucket("2026-11-07T01:00:00Z", "2026-11-07T01:10:00Z", 7)]),
        ] {
            let request = Request::post("/v1/buckets", self.token(0)).key(key).json(&json!({ "buckets": buckets }));
            self.caller.done(request.header("prefer", "handling=lenient")).await;
        }
        let again =
            json!({"buckets": [bucket(two, late, 4), bucket("2026-11-03T10:00:00Z", "2026-11-03T10:10:00Z", 5)]});
        self.caller.done(Request::post("/v1/buckets", self.token(1)).json(&again)).await;
        let erasure = "/v1/me/usage?from=2026-11-07&to=2026-11-07&source=codex";
        self.caller.done(Request::new(Method::DELETE, erasure, &self.viewer)).await;
        let revoke = format!("/v1/devices/{}/revoke", self.id(1));
        self.caller.done(Request::post(&revoke, &self.viewer)).await;
    }

    /// A job of each kind, handed to the workers. Returns the path of one that was read from lines, two of which were not acceptable.
    async fn jobs(&self) -> String {
        let [from, to] = WINDOW;
        let row = |hour: &str| {
            json!({"user_id": self.user_id, "device_id": self.id(0), "hour_start": hour, "source": "codex", "model": "n",
                "input_tokens": 3})
        };
        let rows = [row("2026-11-01T10:00:00Z"), row("2026-11-01T10:30:00Z")];
        for (order, is_of_viewer) in [
            (json!({"action": "verify", "from": from, "to": to, "reason": "r"}), false),
            (json!({"action": "replay", "from": from, "to": to, "reason": "r", "user_ids": [self.user_id]}), false),
            (json!({"action": "import", "from": from, "to": to, "reason": "r", "buckets": rows}), false),
            (
                json!({"action": "merge", "reason": "r", "from_device_id": self.id(1), "into_device_id": self.id(0),
                "resolve": "larger"}),
                true,
            ),
        ] {
            let token = if is_of_viewer { &self.viewer } else { &self.operator };
            let key = order["action"].as_str().unwrap();
            let planned = self.caller.done(Request::post("/v1/backfills", token).key(key).json(&order)).await;
            let path = format!("/v1/backfills/{}/execute", planned.json["id"].as_str().unwrap());
            let execute = Request::post(&path, token).key(key).header("if-match", &planned.etag.unwrap());
            let executed = self.caller.done(execute).await;
            let id = executed.json["id"].as_str().unwrap();
            match key {
                "verify" => drop(self.caller.job(&self.operator, id, &["succeeded"]).await),
                // Nothing is folded, so that it comes to its last step and no further. No job behind it is begun.
                "replay" => self.caller.stepped(&self.operator, id).await,
                _ => {}
            }
        }
        let lines = ["2026-11-06T03:30:00Z", "2026-11-06T04:00:00Z", "2026-11-06T03:31:00Z", "2026-11-06T03:32:00Z"];
        let lines: Vec<_> = lines.into_iter().map(|hour| row(hour).to_string()).collect();
        let path = format!("/v1/backfills?action=import&reason=lines&from={from}&to={to}");
        let streamed = Request { body: Some(lines.join("\n")), ..Request::post(&path, &self.operator).key("lines") };
        let streamed = self.caller.done(streamed.header("content-type", "application/x-ndjson")).await;
        format!("/v1/backfills/{}", streamed.json["id"].as_str().unwrap())
    }

    async fn lists(&self, lines: &str) -> Vec<(String, String)> {
        let (viewer, operator) = (&self.viewer, &self.operator);
        let range = "from=2026-10-25&to=2026-11-21";
        let mut lists = vec![
            ("/v1/users?".to_owned(), operator),
            ("/v1/devices?".to_owned(), viewer),
            ("/v1/backfills?".to_owned(), operator),
            (format!("{lines}/rows?"), operator),
            (format!("{lines}/exceptions?"), operator),
            (format!("/v1/buckets?{range}&"), viewer),
        ];
        for width in ["half_hour", "hour", "day", "week", "month"] {
            let group = if width == "month" { "source,device" } else { "model" };
            lists.push((format!("/v1/rollups?{range}&width={width}&group_by={group}&"), viewer));
        }
        let mut cursors = Vec::new();
        for (path, token) in lists {
            let path = format!("{path}limit=1");
            let page = self.caller.done(Request::get(&path, token)).await.json;
            cursors.push((path, page["next_cursor"].as_str().unwrap_or_else(|| panic!("{page}")).to_owned()));
        }
        cursors
    }
}
