//! Tools: which may report usage is data, known to every process within two seconds, and nothing
//! of it is changed without an entry in the audit.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use halfhour::features::operations::follow_sources;
use halfhour::kernel::database::{Access, Mode};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};
use tokio_util::sync::CancellationToken;

use super::tools::TOOLS;
use crate::support::{NOW, Reply, TestApp, TestDevice, TestUser, context};

/// Two servers on one database, and an operator with a device.
struct Desk {
    app: TestApp,
    other: TestApp,
    me: TestUser,
    device: TestDevice,
}

impl Desk {
    async fn new() -> Self {
        let app = TestApp::start().await;
        let other = app.second_server().await;
        let me = app.user("me", "UTC").await;
        let device = app.device(&me, "laptop").await;
        Self { app, other, me, device }
    }

    async fn add(&self, body: &Value) -> Reply {
        add(&self.app, &self.me.operator, body).await
    }

    async fn retire(&self, name: &str) -> Reply {
        retire(&self.app, &self.me.operator, name).await
    }

    /// Posts a bucket of a tool to a server, with nothing but the tool that could be wrong.
    async fn post(&self, server: &TestApp, source: &str) -> Reply {
        server.post_buckets(&self.device.token, &json!({ "buckets": [bucket(source)] })).await
    }

    /// The code and the detail that a tool is refused with.
    async fn refusal(&self, server: &TestApp, source: &str) -> (String, String) {
        let reply = self.post(server, source).await;
        let errors = reply.expect_problem(422, "invalid")["errors"].as_array().unwrap().clone();
        assert_eq!((errors.len(), &errors[0]["pointer"]), (1, &json!("/buckets/0/source")), "{errors:?}");
        let text = |name: &str| errors[0][name].as_str().unwrap().to_owned();
        (text("code"), text("detail"))
    }

    async fn entries(&self, action: &str) -> Vec<String> {
        let sql = "select concat_ws(' ', subject, actor_kind, actor_user_id, details) from ops.audit where action = ";
        self.app.ask(&format!("{sql}'{action}' order by acted_at")).await
    }
}

async fn add(app: &TestApp, token: &str, body: &Value) -> Reply {
    app.request(Method::POST, "/v1/sources").bearer(token).json(body).send().await
}

async fn retire(app: &TestApp, token: &str, name: &str) -> Reply {
    app.request(Method::POST, &format!("/v1/sources/{name}/retire")).bearer(token).send().await
}

fn bucket(source: &str) -> Value {
    json!({"hour_start": "2026-11-20T10:30:00Z", "source": source, "model": "m", "input_tokens": 7,
        "observed_at": "2026-11-20T10:45:00Z"})
}

#[tokio::test]
async fn every_tool_of_the_release_is_listed_for_everyone_and_posted_by_its_name_only() {
    let desk = Desk::new().await;
    for token in [&desk.device.token, &desk.me.viewer, &desk.me.operator] {
        let listed = desk.app.get(token, "/v1/sources").await.expect_ok().clone();
        let listed = listed["sources"].as_array().unwrap().clone();
        let expected: Vec<_> = TOOLS.iter().map(|(name, aliases)| json!([name, aliases, null, "server"])).collect();
        let found: Vec<_> = listed
            .iter()
            .map(|tool| json!([tool["name"], tool["aliases"], tool["retired_at"], tool["allowed_by"]]))
            .collect();
        assert_eq!(found, expected);
        assert!(listed.iter().all(|tool| !tool["title"].as_str().unwrap().is_empty()), "{listed:?}");
    }
    let all: Vec<_> = TOOLS.iter().map(|(name, _)| bucket(name)).collect();
    let reply = desk.app.post_buckets(&desk.device.token, &json!({ "buckets": all })).await;
    assert_eq!(reply.expect_ok()["inserted"], TOOLS.len());
    for (name, aliases) in TOOLS {
        for alias in *aliases {
            let (code, detail) = desk.refusal(&desk.app, alias).await;
            assert_eq!(code, "unknown_source");
            assert!(detail.contains(&format!("`{alias}` is another name of `{name}`")), "{detail}");
            desk.add(&json!({ "name": alias })).await.expect_problem(409, "conflict");
            desk.retire(alias).await.expect_problem(404, "not_found");
        }
    }
    assert_eq!(desk.entries("source.add").await, [""; 0]);
}

#[tokio::test]
async fn a_tool_is_allowed_and_retired_here_at_once_and_elsewhere_within_two_seconds() {
    let desk = Desk::new().await;
    let stop = CancellationToken::new();
    let following = tokio::spawn(follow_sources(desk.other.sources().clone(), stop.clone()));
    assert_eq!(desk.refusal(&desk.other, "windsurf").await.0, "unknown_source");
    let added = desk.add(&json!({"name": "windsurf", "title": "Windsurf"})).await;
    assert_eq!(added.status, 201, "{}", added.json);
    let (here, since) = (desk.post(&desk.app, "windsurf").await, Instant::now());
    assert_eq!(here.expect_ok()["inserted"], 1);
    while desk.post(&desk.other, "windsurf").await.status != 200 {
        assert!(since.elapsed() < Duration::from_secs(2), "the other server has not heard of it");
    }
    desk.retire("windsurf").await.expect_ok();
    assert_eq!(desk.refusal(&desk.app, "windsurf").await.0, "retired_source");
    let since = Instant::now();
    while desk.post(&desk.other, "windsurf").await.status != 422 {
        assert!(since.elapsed() < Duration::from_secs(2), "the other server has not heard of it");
    }
    assert_eq!(desk.refusal(&desk.other, "windsurf").await.0, "retired_source");
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn a_refusal_names_the_tool_and_says_how_to_have_it_allowed() {
    let desk = Desk::new().await;
    let (code, detail) = desk.refusal(&desk.app, "windsurf").await;
    assert_eq!(code, "unknown_source");
    for words in ["`windsurf`", "GET /v1/sources", "POST /v1/sources", "halfhour source add windsurf"] {
        assert!(detail.contains(words), "{words:?} is missing: {detail}");
    }
    for bad in ["", "Codex", "codex ", "-x", "a/b", "é", "a\nb", &"x".repeat(65)] {
        let (code, detail) = desk.refusal(&desk.app, bad).await;
        assert_eq!(code, "unknown_source", "{bad:?}");
        assert!(detail.contains("1 to 64"), "{detail}");
    }
    let mixed = json!({"buckets": [bucket("windsurf"), bucket("codex"), bucket("claude")]});
    let lenient = desk.app.request(Method::POST, "/v1/buckets").bearer(&desk.device.token);
    let lenient = lenient.header("prefer", "handling=lenient").json(&mixed).send().await;
    assert_eq!(lenient.expect_ok()["verdicts"], json!(["rejected", "inserted", "rejected"]));
}

#[tokio::test]
async fn what_cannot_be_read_stays_as_it_was_and_nobody_is_refused_for_what_was_never_read() {
    let desk = Desk::new().await;
    desk.add(&json!({"name": "windsurf"})).await;
    desk.other.sources().refresh().await.unwrap();
    desk.app.tell("alter table usage.source rename to elsewhere").await;
    for server in [&desk.app, &desk.other] {
        assert!(server.sources().refresh().await.is_err());
        desk.post(server, "windsurf").await.expect_ok();
        assert_eq!(desk.refusal(server, "zzz").await.0, "unknown_source");
    }
    let blind = desk.app.second_server().await;
    for source in ["windsurf", "zzz"] {
        let reply = desk.post(&blind, source).await;
        assert!(reply.status >= 500, "{}", reply.json);
    }
    desk.app.tell("alter table usage.elsewhere rename to source").await;
    // Nothing reads for this server, so that its first post does.
    desk.post(&blind, "windsurf").await.expect_ok();
    let fresh = desk.app.second_server().await;
    let posts = join_all((0..8).map(|_| desk.post(&fresh, "windsurf"))).await;
    for reply in &posts {
        reply.expect_ok();
    }
}

#[tokio::test]
async fn what_cannot_be_audited_is_neither_allowed_nor_retired() {
    let desk = Desk::new().await;
    desk.app.tell("alter table ops.audit rename to elsewhere").await;
    desk.add(&json!({"name": "windsurf"})).await.expect_problem(500, "internal");
    desk.retire("codex").await.expect_problem(500, "internal");
    assert_eq!(
        desk.app.ask("select name from usage.source where name = 'windsurf' or retired_at is not null").await,
        [""; 0]
    );
    assert_eq!(desk.refusal(&desk.app, "windsurf").await.0, "unknown_source");
    desk.post(&desk.app, "codex").await.expect_ok();
}

#[tokio::test]
async fn a_tool_that_is_allowed_again_keeps_its_title_and_says_since_when() {
    let desk = Desk::new().await;
    let added = desk.add(&json!({"name": "windsurf", "title": "Windsurf"})).await;
    let expected = json!({"name": "windsurf", "title": "Windsurf", "aliases": [], "allowed_by": "operator",
        "allowed_at": NOW, "retired_at": null});
    assert_eq!((added.status, &added.json), (201, &expected));
    desk.app.clock.set("2026-11-20T12:00:05Z".parse().unwrap());
    let again = desk.add(&json!({"name": "windsurf"})).await;
    assert_eq!((again.status, &again.json), (200, &expected), "nothing has changed");
    for _ in 0..2 {
        let retired = desk.retire("windsurf").await.expect_ok().clone();
        assert_eq!(retired["retired_at"], "2026-11-20T12:00:05Z", "{retired}");
        desk.app.clock.set("2026-11-20T12:00:10Z".parse().unwrap());
    }
    let back = desk.add(&json!({"name": "windsurf", "title": "Windsurf Editor"})).await;
    assert_eq!((back.status, &back.json["title"]), (200, &json!("Windsurf Editor")));
    assert_eq!((&back.json["allowed_at"], &back.json["retired_at"]), (&json!("2026-11-20T12:00:10Z"), &json!(null)));
    desk.post(&desk.app, "windsurf").await.expect_ok();
    let id = desk.me.user_id;
    assert_eq!(
        desk.entries("source.add").await,
        [r#""Windsurf", "created": true"#, r#"null, "created": false"#, r#""Windsurf Editor", "created": false"#]
            .map(|said| format!(r#"windsurf operator {id} {{"title": {said}}}"#))
    );
    assert_eq!(desk.entries("source.retire").await, [(); 2].map(|()| format!("windsurf operator {id} {{}}")));
    desk.retire("nothing").await.expect_problem(404, "not_found");
    desk.retire("Not%20a%20name").await.expect_problem(404, "not_found");
    let forced = desk.app.request(Method::POST, "/v1/sources/windsurf/retire?force=1").bearer(&desk.me.operator);
    forced.send().await.expect_problem(422, "invalid");
    for body in
        [json!({}), json!({"name": "Wind surf"}), json!({"name": "a", "title": ""}), json!({"name": "a", "x": 1})]
    {
        desk.add(&body).await.expect_problem(422, "invalid");
    }
}

#[tokio::test]
async fn operators_who_allow_and_retire_at_once_leave_one_row_and_an_entry_each() {
    let desk = Desk::new().await;
    let server = |turn: usize| if turn.is_multiple_of(2) { &desk.app } else { &desk.other };
    let windsurf = json!({"name": "windsurf"});
    let adding = join_all((0..8).map(|turn| add(server(turn), &desk.me.operator, &windsurf))).await;
    let mut statuses: Vec<_> = adding.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
    assert_eq!(desk.app.ask("select count(*)::text from usage.source where name = 'windsurf'").await, ["1"]);
    assert_eq!(desk.entries("source.add").await.len(), 8);

    let change = async |turn: usize| {
        let (server, operator) = (server(turn / 3), &desk.me.operator);
        if turn.is_multiple_of(3) {
            add(server, operator, &windsurf).await
        } else {
            retire(server, operator, "windsurf").await
        }
    };
    let racing = join_all((0..12).map(change));
    racing.await.iter().for_each(|reply| _ = reply.expect_ok());
    assert_eq!((desk.entries("source.add").await.len(), desk.entries("source.retire").await.len()), (12, 8));
    let retired = desk.app.ask("select (retired_at is not null)::text from usage.source where name = 'windsurf'").await;
    for server in [&desk.app, &desk.other] {
        server.sources().refresh().await.unwrap();
        let expected = if retired == ["true"] { 422 } else { 200 };
        assert_eq!(desk.post(server, "windsurf").await.status, expected, "{retired:?}");
    }
}

#[tokio::test]
async fn history_of_a_retired_tool_is_read_folded_imported_rolled_back_and_erased() {
    let desk = Desk::new().await;
    let Desk { app, me, device, .. } = &desk;
    desk.post(app, "goose").await.expect_ok();
    desk.retire("goose").await.expect_ok();
    app.drain().await;
    let total = async |query: &str| {
        let reply = app.get(&me.viewer, &format!("/v1/rollups?from=2026-11-20&to=2026-11-20&{query}")).await;
        reply.expect_ok()["totals"]["input_tokens"].as_u64()
    };
    assert_eq!((total("source=goose").await, total("source=no-tool").await), (Some(7), Some(0)));
    app.want_zone(me, "Europe/Berlin").await;
    app.drain().await;
    app.replay(me, "2026-11-20T00:00:00Z", "2026-11-20T23:30:00Z").await;
    app.drain().await;
    assert_eq!(total("source=goose").await, Some(7));

    let mut row = crate::backfill::bucket(me, device, "2026-11-20T10:30:00Z", "m", 9);
    row["source"] = "goose".into();
    let job = app.planned(&me.operator, &crate::backfill::import(std::slice::from_ref(&row))).await;
    let job = app.executed(&me.operator, &job).await;
    assert_eq!((&job["state"], total("source=goose").await), (&json!("succeeded"), Some(9)));
    let job = app.rolled_back(&me.operator, &job).await;
    assert_eq!((&job["state"], total("source=goose").await), (&json!("rolled_back"), Some(7)));

    row["source"] = "no-tool".into();
    let reply = app.post_backfill(&me.operator, "k", &crate::backfill::import(std::slice::from_ref(&row))).await;
    let error = &reply.expect_problem(422, "invalid")["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("/buckets/0/source"), &json!("unknown_source")));
    let query = "from=2026-11-01&to=2026-11-20";
    let streamed = app.stream(&me.operator, "s", query, &row.to_string()).await;
    assert_eq!((streamed.status, &streamed.json["poisoned"]), (201, &json!(1)), "{}", streamed.json);
    let poisoned = app.job_list(&me.operator, &streamed.json, "exceptions").await;
    assert_eq!((&poisoned[0]["code"], &poisoned[0]["bucket"]["source"]), (&json!("unknown_source"), &json!("no-tool")));

    for (source, buckets) in [("no-tool", 0), ("goose", 1)] {
        let erased = app.request(Method::DELETE, &format!("/v1/me/usage?source={source}")).bearer(&me.viewer).send();
        assert_eq!(erased.await.expect_ok()["buckets"], buckets, "{source}");
    }
    app.drain().await;
    assert_eq!(total("").await, Some(0));
}

#[tokio::test]
async fn every_column_of_a_tool_refuses_what_has_not_its_form() {
    let app = TestApp::start().await;
    let columns = app
        .ask(
            "select c.oid::regclass || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
             join pg_namespace n on n.oid = c.relnamespace
             where a.attname in ('source', 'cursor_source') and c.relkind = 'r' and n.nspname in ('usage', 'rollup', 'backfill')
                or c.oid in ('usage.source'::regclass, 'usage.source_alias'::regclass) and a.attname in ('name', 'alias')
             order by 1",
        )
        .await;
    assert!(columns.len() >= 11, "{columns:?}");
    for column in columns {
        let (table, name) = column.rsplit_once('.').unwrap();
        let rules = app
            .ask(&format!(
                "select substr(pg_get_constraintdef(oid), 6) from pg_constraint
                 where contype = 'c' and convalidated and conrelid = '{table}'::regclass
                   and conkey = array[(select attnum from pg_attribute where attrelid = conrelid and attname = '{name}')]"
            ))
            .await;
        if rules.is_empty() {
            // The alias leads to a name, whose form is checked where it stands.
            assert_eq!(column, "usage.source_alias.name");
            continue;
        }
        let takes = async |text: &str| {
            let rule = format!(
                "select ({})::text from (select $x${text}$x$::text collate \"C\" as {name}) v",
                rules.join(" and ")
            );
            app.ask(&rule).await == ["true"]
        };
        for good in ["a", "9router", "pi-open.ai_2", &"s".repeat(64)] {
            assert!(takes(good).await, "{column} refuses {good:?}");
        }
        for bad in
            ["", "-a", ".a", "_a", "Codex", "codex ", " codex", "a\nb", "a\n", "é", "a/b", "a\u{212a}", &"s".repeat(65)]
        {
            assert!(!takes(bad).await, "{column} takes {bad:?}");
        }
    }
}

#[tokio::test]
async fn a_bucket_of_any_well_formed_tool_can_stand_and_of_no_other() {
    let desk = Desk::new().await;
    desk.post(&desk.app, "codex").await.expect_ok();
    let set = async |name: &str| {
        let sql = format!("update usage.bucket set source = '{name}'");
        let result = desk.app.admin.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
        result.map_err(|error| error.as_database_error().and_then(|error| error.constraint().map(str::to_owned)))
    };
    assert!(set("no-tool-of-today").await.is_ok(), "whatever is history may stand");
    for bad in ["", "Codex", "a b"] {
        assert_eq!(set(bad).await.unwrap_err().as_deref(), Some("bucket_source_is_well_formed"), "{bad:?}");
    }
}

#[tokio::test]
async fn every_role_reads_the_tools_and_only_the_worker_changes_them() {
    let app = TestApp::start().await;
    for (statement, api, worker) in [
        ("select * from usage.source", true, true),
        ("select * from usage.source_alias", true, true),
        ("insert into usage.source (name, title, allowed_by) values ('x', 'x', 'server')", false, true),
        ("update usage.source set retired_at = now()", false, true),
        ("delete from usage.source", false, false),
        ("delete from usage.source_alias", false, false),
        ("insert into usage.source_alias (alias, name) values ('x', 'codex')", false, false),
    ] {
        for (access, may) in [(Access::NOBODY, api), (Access::Worker, worker)] {
            let mut tx = app.pools.worker.begin(&context(), access, Mode::ReadWrite).await.unwrap();
            let done = tx.execute(sqlx::raw_sql(statement)).await.map(|result| result.rows_affected() > 0);
            assert_eq!(done.is_ok_and(|rows| rows), may, "{statement}");
            tx.rollback().await.unwrap();
        }
    }
}
