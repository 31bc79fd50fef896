//! Names of models: whatever a tool calls one comes back as it was sent, wherever models are shown, and what is no name is
//! refused by its place everywhere.

use std::collections::{BTreeMap, BTreeSet};

use halfhour::kernel::bucket::Model;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};

use crate::backfill::{bucket, import};
use crate::support::{Reply, TestApp, TestDevice, TestUser, wait_for_line};

const CATALOGUE: &str = include_str!("../data/model-names.txt");
const HOUR: &str = "2026-11-20T10:30:00Z";
const DAYS: &str = "from=2026-11-20&to=2026-11-20";

/// What tools report, and what ends a cell, a line, a query or a text elsewhere.
const HARD: [&str; 26] = [
    "Claude Sonnet 4",
    "GPT-5.3 Codex (medium reasoning)",
    "custom:gpt-5-[Proxy]-0",
    "C:\\models\\qwen.gguf",
    "通义千问",
    "claude-opus-4-7[1m]",
    "custom:GLM-4.7-[Plan]-0",
    "<synthetic>",
    "Gemini 3 Pro (High)",
    "composer-2.5[fast=true]",
    "~vendor/model-latest",
    "modèle à l’essai",
    "e\u{301}",
    "é",
    "a,b",
    "a",
    "b",
    ",",
    "\"quoted\",\"twice\"",
    "=cmd|' /C calc'!A0",
    "'",
    "+-@",
    "100%25&model=b#c?d;e",
    "\\u0041\\n\\",
    "\u{e000}\u{a0}🦙",
    "../../<script>alert(1)</script>",
];

fn hard() -> BTreeSet<String> {
    let path = format!("/home/someone/models/{}.gguf", "deep/".repeat(30)).chars().take(176).collect();
    let longest = ["m".repeat(256), "é".repeat(256), "🦙".repeat(128), "\\".repeat(256), "\"".repeat(256), path];
    HARD.into_iter().map(str::to_owned).chain(longest).collect()
}

/// So many names of any characters that a name may have.
fn generated(count: usize) -> BTreeSet<String> {
    let special = select(",\"'\\=+-@%&#;<>[]{}()|/?! \u{a0}\u{301}\u{e000}\u{3000}".chars().collect::<Vec<_>>());
    let character = prop_oneof![4 => any::<char>(), 2 => special, 2 => prop::char::range(' ', '~')];
    let name =
        prop::collection::vec(character, 1..24).prop_map(|characters| characters.into_iter().collect::<String>());
    let mut runner = TestRunner::deterministic();
    let names = std::iter::repeat_with(|| name.new_tree(&mut runner).unwrap().current());
    names.filter(|name| Model::parse(name).is_ok()).take(count).collect()
}

struct Names {
    app: TestApp,
    me: TestUser,
    device: TestDevice,
}

impl Names {
    async fn start() -> Self {
        let app = TestApp::start().await;
        let me = app.user("me", "UTC").await;
        let device = app.device(&me, "laptop").await;
        Self { app, me, device }
    }

    async fn post(&self, names: &BTreeSet<String>) {
        for names in names.iter().collect::<Vec<_>>().chunks(500) {
            let buckets: Vec<_> = names.iter().map(|name| posted(name)).collect();
            let reply = self.app.post_buckets(&self.device.token, &json!({"buckets": buckets})).await;
            assert_eq!(reply.expect_ok()["inserted"], names.len());
        }
    }

    async fn get(&self, path: &str, accept: &str) -> Reply {
        let reply = self.app.request(Method::GET, path).bearer(&self.me.viewer).header("accept", accept).send().await;
        reply.expect_ok();
        reply
    }

    /// Every page from the one at `path` on, as `Link` leads.
    async fn linked(&self, path: &str, accept: &str) -> Vec<Reply> {
        let (mut pages, mut next) = (Vec::new(), path.to_owned());
        while !next.is_empty() {
            let page = self.get(&next, accept).await;
            let link = page.header("link");
            assert_eq!(link.is_empty(), page.headers.get("link").is_none(), "a link is plain text");
            link.split(['<', '>']).nth(1).unwrap_or_default().clone_into(&mut next);
            pages.push(page);
        }
        pages
    }
}

fn posted(name: &str) -> Value {
    json!({"hour_start": HOUR, "source": "codex", "model": name, "input_tokens": 7})
}

fn of_json(pages: &[Reply], rows: impl Fn(&Value) -> Vec<Value>) -> Vec<String> {
    pages.iter().flat_map(|page| rows(&page.json)).map(|row| row["model"].as_str().unwrap().to_owned()).collect()
}

fn data(page: &Value) -> Vec<Value> {
    page["data"].as_array().unwrap().clone()
}

fn results(page: &Value) -> Vec<Value> {
    data(page).iter().flat_map(|interval| interval["results"].as_array().unwrap().clone()).collect()
}

fn of_lines(reply: &Reply) -> Vec<String> {
    let lines = reply.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice::<Value>(line).unwrap()["model"].as_str().unwrap().to_owned()).collect()
}

fn of_tables(pages: &[Reply]) -> Vec<String> {
    let mut names = Vec::new();
    for page in pages {
        let mut table = csv::Reader::from_reader(page.body.as_slice());
        let column = table.headers().unwrap().iter().position(|name| name == "model").unwrap();
        names.extend(table.records().map(|row| row.unwrap()[column].to_owned()));
    }
    names
}

fn query(name: &str, values: &[&str]) -> String {
    let pairs = values.iter().map(|value| (name, value));
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[tokio::test]
async fn every_name_of_the_catalogues_comes_back_equal_as_json_as_lines_and_as_a_table() {
    let names = Names::start().await;
    let all: BTreeSet<_> = CATALOGUE.lines().map(str::to_owned).chain(hard()).collect();
    assert!(all.len() > 9_776);
    names.post(&all).await;
    let expected: Vec<_> = all.into_iter().collect();
    let path = format!("/v1/buckets?{DAYS}");
    let pages = names.linked(&format!("{path}&limit=1000"), "application/json").await;
    assert_eq!(of_json(&pages, data), expected, "in the order of their bytes");
    assert_eq!(of_lines(&names.get(&path, "application/x-ndjson").await), expected);
    assert_eq!(of_tables(&[names.get(&path, "text/csv").await]), expected);
    names.app.drain().await;
    let path = format!("/v1/rollups?{DAYS}&group_by=model");
    assert_eq!(of_json(&names.linked(&path, "application/json").await, results), expected);
    assert_eq!(of_tables(&names.linked(&path, "text/csv").await), expected);
}

#[tokio::test]
async fn any_name_is_read_paged_filtered_summed_and_validated_as_it_is() {
    let names = Names::start().await;
    let all: BTreeSet<_> = hard().into_iter().chain(generated(120)).collect();
    names.post(&all).await;
    names.app.drain().await;
    let expected: Vec<_> = all.iter().cloned().collect();
    let buckets = format!("/v1/buckets?{DAYS}&limit=7");
    assert_eq!(of_json(&names.linked(&buckets, "application/json").await, data), expected);
    assert_eq!(of_tables(&names.linked(&buckets, "text/csv").await), expected);
    let lines: Vec<_> = names.linked(&buckets, "application/x-ndjson").await.iter().flat_map(of_lines).collect();
    assert_eq!(lines, expected);
    let rollups = format!("/v1/rollups?{DAYS}&group_by=model&limit=7");
    for width in ["day", "half_hour", "month"] {
        let pages = names.linked(&format!("{rollups}&width={width}"), "application/json").await;
        assert_eq!(of_json(&pages, results), expected, "{width}");
    }
    let summary = names.get(&format!("/v1/rollups/summary?{DAYS}"), "application/json").await;
    assert_eq!(of_json(&[summary], |page| page["by_model"].as_array().unwrap().clone()), expected);

    // Some of them, by name: the names are in each link.
    for some in expected.chunks(9) {
        let filter = query("model", &some.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(of_json(&names.linked(&format!("{buckets}&{filter}"), "application/json").await, data), some);
        assert_eq!(of_tables(&names.linked(&format!("{rollups}&{filter}"), "text/csv").await), some);
    }
    let mut tags = BTreeMap::new();
    for name in &expected {
        let path = format!("/v1/rollups?{DAYS}&group_by=model&{}", query("model", &[name]));
        let reply = names.get(&path, "application/json").await;
        assert_eq!(of_json(std::slice::from_ref(&reply), results), [name.as_str()]);
        assert_eq!(reply.json["totals"]["bucket_count"], 1, "{name:?}");
        let tag = reply.header("etag").to_owned();
        let again = names.app.request(Method::GET, &path).bearer(&names.me.viewer).header("if-none-match", &tag);
        assert_eq!(again.send().await.status, 304);
        assert_eq!(tags.insert(tag, name), None, "each name has a validator of its own");
        let log = wait_for_line(reply.header("x-request-id")).await.to_string();
        assert!(name.chars().count() < 4 || !log.contains(name), "models are not logged: {log}");
    }
}

#[tokio::test]
async fn a_spreadsheet_takes_no_name_for_a_formula_and_each_can_be_read_back() {
    let names = Names::start().await;
    let all: BTreeSet<_> = hard().into_iter().chain(generated(60)).collect();
    names.post(&all).await;
    names.app.drain().await;
    let expected: Vec<_> = all.into_iter().collect();
    for path in [format!("/v1/buckets?{DAYS}"), format!("/v1/rollups?{DAYS}&group_by=model&limit=50")] {
        let cells = of_tables(&names.linked(&format!("{path}&csv=spreadsheet"), "text/csv").await);
        assert!(cells.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])), "{cells:?}");
        let read: Vec<_> = cells.iter().map(|cell| cell.strip_prefix('\'').unwrap_or(cell)).collect();
        assert_eq!(read, expected);
        assert_eq!(of_tables(&names.linked(&format!("{path}&csv=plain"), "text/csv").await), expected);
        for (query, accept, code) in [
            ("csv=spreadsheet", "application/json", "csv_not_accepted"),
            ("csv=excel", "text/csv", "unknown_csv"),
            ("csv=plain&csv=plain", "text/csv", "repeated_parameter"),
        ] {
            let request = names.app.request(Method::GET, &format!("{path}&{query}")).bearer(&names.me.viewer);
            let reply = request.header("accept", accept).send().await;
            let error = &reply.expect_problem(422, "invalid")["errors"][0];
            assert_eq!((&error["pointer"], &error["code"]), (&json!("?csv"), &json!(code)));
        }
    }
}

#[tokio::test]
async fn any_name_is_imported_listed_and_taken_back_as_it_is() {
    let names = Names::start().await;
    let Names { app, me, device } = &names;
    let all: BTreeSet<_> = hard().into_iter().chain(generated(60)).collect();
    let expected: Vec<_> = all.iter().map(String::as_str).collect();
    let model = |row: &Value| row["model"].as_str().unwrap().to_owned();

    let rows: Vec<_> = all.iter().map(|name| bucket(me, device, HOUR, name, 7)).collect();
    let job = app.planned(&me.operator, &import(&rows)).await;
    assert_eq!(app.job_list(&me.operator, &job, "rows").await.iter().map(model).collect::<Vec<_>>(), expected);
    let job = app.executed(&me.operator, &job).await;
    assert_eq!(job["state"], "succeeded");
    let path = format!("/v1/buckets?{DAYS}");
    assert_eq!(of_tables(&[names.get(&path, "text/csv").await]), expected);

    // Each line comes twice in one stream: the second one is an exception with its key.
    let device = app.device(me, "tower").await;
    let twice = |name: &String| format!("{0}\n{0}\n", bucket(me, &device, HOUR, name, 7));
    let lines: String = all.iter().map(twice).collect();
    let job = app.stream(&me.operator, "stream", "from=2026-11-01&to=2026-11-20", &lines).await.json;
    assert_eq!((&job["progress"]["total"], &job["poisoned"]), (&json!(all.len()), &json!(all.len())));
    let exceptions = app.job_list(&me.operator, &job, "exceptions").await;
    let listed: Vec<_> = exceptions.iter().map(|exception| model(&exception["bucket"])).collect();
    assert_eq!(listed, expected);
    assert!(exceptions.iter().all(|exception| exception["field"].is_null() && exception["detail"].is_null()));
    let job = app.executed(&me.operator, &job).await;
    assert_eq!(job["progress"]["done"], all.len());
    let filter = format!("{path}&device={}", device.device_id);
    assert_eq!(of_lines(&names.get(&filter, "application/x-ndjson").await), expected);
    app.rolled_back(&me.operator, &job).await;
    assert_eq!(of_lines(&names.get(&filter, "application/x-ndjson").await), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_name_is_refused_by_code_point_and_place_wherever_a_model_is_read() {
    let names = Names::start().await;
    let Names { app, me, device } = &names;
    for (name, told) in [
        ("gpt\u{200b}-5", Some("U+200B, the name's character 4 counted from 1,")),
        ("通\u{202e}问", Some("U+202E, the name's character 2 counted from 1,")),
        ("\u{feff}gpt", Some("U+FEFF, the name's character 1 counted from 1,")),
        ("gpt\u{a0}", Some("U+00A0, the name's character 4 counted from 1,")),
        ("a\u{0}b", Some("U+0000, the name's character 2 counted from 1,")),
        ("a\nb", Some("U+000A, the name's character 2 counted from 1,")),
        ("a\u{10ffff}b", Some("U+10FFFF, the name's character 2 counted from 1,")),
        (&"m".repeat(257), None),
        ("", None),
    ] {
        let told = told.unwrap_or("Expected 1 to 256 characters, in at most 512 bytes.");
        let check = |what: &str, pointer: &str, error: &Value| {
            assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!("malformed_model")), "{what}");
            let detail = error["detail"].as_str().unwrap();
            assert!(detail.starts_with(told) && detail.is_ascii(), "{what}: {detail}");
        };
        let sent = json!({"buckets": [posted("sound"), posted(name)]});
        let strict = app.post_buckets(&device.token, &sent).await;
        check("strict", "/buckets/1/model", &strict.expect_problem(422, "invalid")["errors"][0]);
        let lenient =
            app.request(Method::POST, "/v1/buckets").bearer(&device.token).header("prefer", "handling=lenient");
        let lenient = lenient.json(&sent).send().await;
        check("lenient", "/buckets/1/model", &lenient.expect_ok()["rejections"][0]);

        let row = bucket(me, device, HOUR, name, 7);
        let plan = app
            .post_backfill(&me.operator, &uuid::Uuid::now_v7().to_string(), &import(std::slice::from_ref(&row)))
            .await;
        check("import", "/buckets/0/model", &plan.expect_problem(422, "invalid")["errors"][0]);
        let lines = format!("{}\n{row}\n", bucket(me, device, HOUR, "sound", 7));
        let key = uuid::Uuid::now_v7().to_string();
        let job = app.stream(&me.operator, &key, "from=2026-11-01&to=2026-11-20", &lines).await.json;
        let exceptions = app.job_list(&me.operator, &job, "exceptions").await;
        let [exception] = exceptions.as_slice() else { panic!("{exceptions:?}") };
        assert_eq!((&exception["line"], &exception["field"]), (&json!(2), &json!("model")));
        check("line", "?", &json!({"pointer": "?", "code": exception["code"], "detail": exception["detail"]}));

        for path in ["/v1/buckets", "/v1/rollups", "/v1/rollups/summary", "/v1/rollups/heatmap"] {
            let reply = app.get(&me.viewer, &format!("{path}?{}", query("model", &["sound", name]))).await;
            check(path, "?model", &reply.expect_problem(422, "invalid")["errors"][0]);
        }
    }
    let reply = app.get(&me.viewer, "/v1/rollups?model=%FF").await;
    reply.expect_problem(400, "malformed");
    assert_eq!(app.ask("select string_agg(distinct model, ' ') from usage.bucket").await, ["sound"]);
}

#[tokio::test]
async fn half_of_a_surrogate_pair_rejects_its_bucket_and_is_told_by_code_point_and_place() {
    let names = Names::start().await;
    let Names { app, me, device } = &names;
    let told = "U+D83D, the name's character 4 counted from 1, is half of a surrogate pair";
    // A writer of JSON escapes a half that it was given; ours cannot be given one.
    let torn = |value: &Value| value.to_string().replace("HALF", "\\ud83d");
    let sent = torn(&json!({"buckets": [posted("sound"), posted("gptHALF-5"), posted("sound 2")]}));
    let post = |prefer: &'static str| {
        let request = app.request(Method::POST, "/v1/buckets").bearer(&device.token).header("prefer", prefer);
        request.header("content-type", "application/json").body(sent.clone()).send()
    };
    let strict = post("handling=strict").await;
    let errors = strict.expect_problem(422, "invalid")["errors"].clone();
    assert_eq!((&errors[0]["pointer"], &errors[0]["code"]), (&json!("/buckets/1/model"), &json!("malformed_model")));
    let lenient = post("handling=lenient").await;
    let receipt = lenient.expect_ok();
    assert_eq!(receipt["verdicts"], json!(["inserted", "rejected", "inserted"]));
    assert!(receipt["rejections"][0]["detail"].as_str().unwrap().starts_with(told), "{receipt}");

    let lines =
        format!("{}\n{}\n", bucket(me, device, HOUR, "sound", 7), torn(&bucket(me, device, HOUR, "gptHALF", 7)));
    let job = app.stream(&me.operator, "k", "from=2026-11-01&to=2026-11-20", &lines).await.json;
    let exceptions = app.job_list(&me.operator, &job, "exceptions").await;
    let [exception] = exceptions.as_slice() else { panic!("{exceptions:?}") };
    assert_eq!((&exception["field"], &exception["code"]), (&json!("model"), &json!("malformed_model")));
    assert!(exception["detail"].as_str().unwrap().starts_with(told), "{exception}");

    let register =
        app.request(Method::POST, "/v1/devices").bearer(&me.viewer).header("content-type", "application/json");
    let refused = register.body(torn(&json!({"name": "my HALF"}))).send().await;
    let error = &refused.expect_problem(422, "invalid")["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("/name"), &json!("control_character")));
}

#[tokio::test]
async fn names_that_only_look_alike_stay_apart_and_one_name_stays_one_under_a_race() {
    let names = Names::start().await;
    let twins = ["é", "e\u{301}", "Ａ", "A", "a", "ﬁ", "fi", "a b", "a\u{a0}b"];
    let post = |name: &'static str| {
        let (app, token) = (&names.app, &names.device.token);
        async move { app.post_buckets(token, &json!({"buckets": [posted(name)]})).await.expect_ok()["inserted"].clone() }
    };
    let posts = twins.into_iter().chain(twins).map(post);
    let inserted = futures_util::future::join_all(posts).await;
    assert_eq!(inserted.iter().filter_map(Value::as_u64).sum::<u64>(), 9);
    let mut expected = twins.map(str::to_owned);
    expected.sort_unstable();
    assert_eq!(of_lines(&names.get(&format!("/v1/buckets?{DAYS}"), "application/x-ndjson").await), expected);
}

#[tokio::test]
async fn the_database_itself_takes_every_name_and_refuses_what_it_can_tell_cheaply() {
    let names = Names::start().await;
    names.post(&BTreeSet::from(["sound".to_owned()])).await;
    let rename = async |name: &str| {
        let sql = format!("update usage.bucket set model = '{}'", name.replace('\'', "''"));
        let update = names.app.admin.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
        update.err().and_then(|error| error.into_database_error()?.constraint().map(str::to_owned))
    };
    for name in hard().into_iter().chain(generated(60)) {
        assert_eq!(rename(&name).await, None, "{name:?}");
    }
    let blanks = " \u{a0}\u{1680}\u{2000}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}".chars();
    let at_ends = blanks.flat_map(|blank| [format!("{blank}gpt"), format!("gpt{blank}"), blank.to_string()]);
    let inside = ('\u{1}'..='\u{1f}').chain('\u{7f}'..='\u{9f}').map(|control| format!("a{control}b"));
    let long = ["m".repeat(257), "é".repeat(257), "問".repeat(171), String::new()];
    for name in at_ends.chain(inside).chain(long) {
        assert_eq!(rename(&name).await.as_deref(), Some("bucket_model_is_well_formed"), "{name:?}");
    }
    assert_eq!(names.app.ask("select count(*)::text from usage.bucket").await, ["1"]);
}
