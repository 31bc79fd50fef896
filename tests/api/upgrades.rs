//! Migrations on databases that hold something already.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

use crate::support::TestApp;

/// The migrations from one number to another, both included, in order.
fn migrations(first: u32, last: u32) -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let number = |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy()[..4].parse::<u32>().unwrap();
    let wanted = paths.iter().filter(|path| (first..=last).contains(&number(path)));
    wanted.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Runs them as the migrator does: each in a transaction, unless it says that it cannot be.
async fn migrate(connection: &mut PgConnection, first: u32, last: u32) {
    for sql in migrations(first, last) {
        let whole = if sql.starts_with("-- no-transaction") { sql } else { format!("begin;\n{sql}\ncommit;") };
        connection.execute(sqlx::raw_sql(AssertSqlSafe(whole))).await.unwrap();
    }
}

async fn strings(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    rows.into_iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn tools_become_data_on_a_filled_database_and_every_row_stands() {
    let app = TestApp::start().await;
    let name = format!("{}_upgraded", app.superuser.get_database().unwrap());
    app.tell(&format!("create database {name}")).await;
    let mut old = PgConnection::connect_with(&app.superuser.clone().database(&name)).await.unwrap();
    migrate(&mut old, 1, 22).await;
    let bucket = |source: &str| {
        format!(
            "insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
                 cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
                 request_count, observed_at, changed_at, stamped)
             select gen_random_uuid(), '2026-11-20T10:30:00Z', gen_random_uuid(), {source}, 'm', 1, 0, 0, 0, 0, 0, 0, 0,
                 now(), now(), true"
        )
    };
    let known = "select unnest(array['claude-code', 'codex', 'every-code', 'gemini-cli', 'opencode', 'cursor', 'cline',
        'roo-code', 'kilo-code', 'copilot', 'qwen-code', 'aider', 'goose', 'amp', 'droid', 'kiro', 'api', 'other'])";
    let fill = format!(
        "{} from ({known} as source) s, generate_series(1, 200);
         insert into usage.erasure (user_id, erasure_id, erased_at, source)
         select gen_random_uuid(), gen_random_uuid(), now(), source from (values ('codex'), (null)) v (source)",
        bucket("s.source")
    );
    old.execute(sqlx::raw_sql(AssertSqlSafe(fill))).await.unwrap();
    let windsurf = bucket("'windsurf'");
    let refused = old.execute(sqlx::raw_sql(AssertSqlSafe(windsurf.clone()))).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().constraint(), Some("bucket_source_is_known"));

    migrate(&mut old, 23, 24).await;
    assert_eq!(strings(&mut old, "select count(*)::text from usage.bucket").await, ["3600"]);
    let unknown = "select distinct b.source from usage.bucket b left join usage.source s on s.name = b.source
        where s.name is null or s.retired_at is not null";
    assert_eq!(strings(&mut old, unknown).await, [""; 0], "every tool of before may report as before");
    let unproven =
        "select conname::text from pg_constraint where conname like '%source_is_well_formed' and not convalidated";
    assert_eq!(strings(&mut old, unproven).await, [""; 0]);
    let proven = "select conname::text from pg_constraint where conname like '%source_is_well_formed'";
    assert_eq!(strings(&mut old, proven).await.len(), 8);
    old.execute(sqlx::raw_sql(AssertSqlSafe(windsurf))).await.unwrap();
    old.close().await.unwrap();
    app.tell(&format!("drop database {name}")).await;
}

#[tokio::test]
async fn link_codes_are_exchanged_after_the_function_is_in_sql_as_they_were_before() {
    let app = TestApp::start().await;
    let name = format!("{}_exchanging", app.superuser.get_database().unwrap());
    app.tell(&format!("create database {name}")).await;
    let mut old = PgConnection::connect_with(&app.superuser.clone().database(&name)).await.unwrap();
    migrate(&mut old, 1, 24).await;
    let (user, gone) = ("01a1fbd2-0000-7000-8000-000000000001", "01a1fbd2-0000-7000-8000-000000000002");
    let fill = format!(
        "insert into account.user (user_id, name, revoked_at) values ('{user}', 'ann', null), ('{gone}', 'bob', now());
         insert into account.device (user_id, device_id, name)
         values ('{user}', '{user}', 'taken'), ('{gone}', '{gone}', 'taken');
         insert into account.link_code (code_hash, user_id, created_at, expires_at, used_at, request_hash, device_id)
         select sha256(code::bytea), user_id::uuid, '2026-11-20T12:00Z', '2026-11-20T12:10Z',
             case when used then '2026-11-20T12:01Z'::timestamptz end, case when used then sha256('same') end,
             case when used then user_id::uuid end
         from (values ('open', '{user}', false), ('used', '{user}', true), ('revoked', '{gone}', false),
             ('revoked and used', '{gone}', true)) v (code, user_id, used)"
    );
    old.execute(sqlx::raw_sql(AssertSqlSafe(fill))).await.unwrap();

    let mut before = Vec::new();
    for round in ["in PL/pgSQL", "in SQL"] {
        let mut answers = Vec::new();
        for code in ["open", "used", "revoked", "revoked and used", "never made"] {
            for (request, at) in
                [("same", "12:05"), ("other", "12:05"), ("same", "12:10"), ("other", "12:09:59.999999")]
            {
                for device in ["new", "taken"] {
                    answers.push(exchange(&mut old, code, request, at, device).await);
                }
            }
        }
        assert_eq!(answers.len(), 40);
        assert!(answers.iter().any(|answer| answer.starts_with("exchanged")), "{round}: {answers:?}");
        if before.is_empty() {
            migrate(&mut old, 25, 25).await;
            before = answers;
        } else {
            assert_eq!(answers, before);
        }
    }
    old.close().await.unwrap();
    app.tell(&format!("drop database {name}")).await;
}

/// What an exchange answers and leaves, which is then undone.
async fn exchange(connection: &mut PgConnection, code: &str, request: &str, at: &str, device: &str) -> String {
    let call = format!(
        "begin; select outcome || ' ' || coalesce(user_id::text, '-') || ' ' || coalesce(device_id::text, '-')
         from account.exchange(sha256('{code}'), sha256('{request}'), sha256('token'),
             '01a1fbd2-0000-7000-8000-00000000000a', '01a1fbd2-0000-7000-8000-00000000000b', '{device}', 'linux',
             '2026-11-20T{at}Z')"
    );
    let answer = match connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(call))).await {
        Ok(row) => row.get::<String, _>(0),
        Err(error) => error.as_database_error().unwrap().constraint().unwrap().to_owned(),
    };
    let left = if answer.contains(' ') {
        "select concat_ws(' ',
             (select jsonb_agg(to_jsonb(d) - 'created_at' order by user_id, device_id) from account.device d),
             (select jsonb_agg(to_jsonb(t) - 'created_at') from account.token t),
             (select jsonb_agg(c order by code_hash) from account.link_code c))"
    } else {
        "rollback; select 'nothing'"
    };
    let left = strings(connection, left).await.concat();
    connection.execute("rollback").await.unwrap();
    format!("{answer}: {left}")
}
