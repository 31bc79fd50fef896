//! What the statements of workers cost: folds of every kind of event, verification and retention go by key, and touch no
//! more pages where there are more users. As `halfhour_worker`, planned for its values each time as by the pool of workers,
//! and without the settings by which that forbids scans besides.

use serde_json::Value;
use sqlx::postgres::PgArguments;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::support::plans::{
    CUSTOM, buffers, descents, explain, fill, filled_user, nodes, outline, scanned, sql, with,
};
use crate::support::{NOW, TestApp, instant};

/// One statement of a worker.
struct Work {
    path: &'static str,
    sql: &'static str,
    /// What makes it find something, in the same transaction.
    arranged: String,
    arguments: PgArguments,
}

impl Work {
    async fn plan(self, connection: &mut PgConnection, setting: &str) -> Value {
        let Self { sql, arranged, arguments, .. } = self;
        let opening = format!(
            "begin; {arranged}; set local role halfhour_worker; set local jit = off; set local {CUSTOM}; set local {setting}"
        );
        explain(connection, &opening, sql, arguments).await
    }
}

/// Every kind of event that there may be of a user, with its id.
async fn events(app: &TestApp, user: Uuid) -> Vec<(&'static str, i64)> {
    let mut events = Vec::new();
    for (topic, hours, lane) in [
        ("bucket_changed", "'2026-11-10T00:00Z', '2026-11-10T23:30Z'", "live"),
        ("replay", "'2026-11-10T00:00Z', '2026-11-16T23:30Z'", "bulk"),
        ("rebuild", "'-infinity', 'infinity'", "whole"),
        ("erased", "'-infinity', 'infinity'", "whole"),
    ] {
        let announce = format!(
            "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
             values ('{user}', '{topic}', '2026-11-10', {hours}, '{lane}', '{user}') returning id::text"
        );
        events.push((topic, app.ask(&announce).await[0].parse().unwrap()));
    }
    events
}

/// What the relay does to each event.
fn folds(user: Uuid, events: &[(&'static str, i64)]) -> Vec<Work> {
    let mut works = Vec::new();
    for (topic, id) in events {
        let named = || with(with(PgArguments::default(), vec![user]), vec![*id]);
        let mut work = |(path, sql), arranged, arguments| works.push(Work { path, sql, arranged, arguments });
        // What must be written is written, and what must go goes.
        let drift = format!(
            "update rollup.daily set input_tokens = 9 where user_id = '{user}' and day < '2026-11-12';
             delete from usage.bucket where user_id = '{user}' and hour_start >= '2026-11-15'"
        );
        work(sql!("features/dashboard_rollup/relay/fold_user_days.sql"), drift, named());
        let parked = format!(
            "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, parked_at)
             values ('{user}', 'bucket_changed', '2026-11-10', '2026-11-10T00:00Z', '2026-11-10T00:00Z', 'live', '{user}', now())"
        );
        let none_rests = with(with(named(), Vec::<i16>::new()), Vec::<i16>::new());
        work(sql!("kernel/usage/outbox/claim_parked_events.sql"), parked, none_rests);
        work(sql!("kernel/usage/outbox/consume_events.sql"), String::new(), named());
        match *topic {
            "rebuild" => {
                let wanted = format!("update account.user set time_zone = 'Asia/Tokyo' where user_id = '{user}'");
                work(sql!("features/dashboard_rollup/relay/record_wishes.sql"), wanted, named());
            }
            "erased" => {
                let frozen =
                    format!("update rollup.user_state set frozen_before = '2026-11-10' where user_id = '{user}'");
                work(sql!("features/dashboard_rollup/relay/erase_frozen_days.sql"), frozen, named());
            }
            _ => {}
        }
    }
    works
}

fn verification(user: Uuid) -> Vec<Work> {
    let mut works = Vec::new();
    let mut work = |(path, sql), arguments| works.push(Work { path, sql, arranged: String::new(), arguments });
    let day = |text: &str| text.parse::<chrono::NaiveDate>().ok();
    for (from, to) in [("2026-11-10", "2026-11-16"), ("", "")] {
        let window = with(with(with(PgArguments::default(), user), day(from)), day(to));
        work(sql!("features/dashboard_rollup/verify/compare_user_days.sql"), window);
    }
    work(sql!("features/dashboard_rollup/verify/find_orphans.sql"), with(PgArguments::default(), user));
    let page = with(with(PgArguments::default(), Uuid::nil()), 3_i64);
    work(sql!("features/dashboard_rollup/verify/users_with_usage.sql"), page);
    works
}

/// What retention does to a user of whom a month is to go.
fn retention(user: Uuid) -> Vec<Work> {
    let mut works = Vec::new();
    let arranged = format!(
        "delete from usage.outbox where user_id = '{user}';
         update usage.horizon set first_hour = '2026-11-16T23:00Z' where user_id = '{user}'"
    );
    let mut work = |(path, sql), arguments| works.push(Work { path, sql, arranged: arranged.clone(), arguments });
    let day = || "2026-11-17".parse::<chrono::NaiveDate>().unwrap();
    let of_user = || with(PgArguments::default(), user);
    let page = with(with(with(with(PgArguments::default(), instant(NOW)), 3_i32), Uuid::nil()), 3_i64);
    work(sql!("features/dashboard_rollup/retention/users_past_retention.sql"), page);
    let raised = with(with(PgArguments::default(), vec![user]), vec![instant("2026-11-17T23:00:00Z")]);
    work(sql!("kernel/usage/horizon/raise_horizons.sql"), raised);
    work(sql!("features/dashboard_rollup/retention/next_frozen_days.sql"), with(of_user(), 31_i32));
    let expired = || with(with(of_user(), "Europe/Berlin".to_owned()), day());
    work(sql!("kernel/usage/horizon/expire_buckets.sql"), expired());
    work(sql!("features/dashboard_rollup/retention/freeze_days.sql"), expired());
    works
}

/// What goes of a user who was erased, batch by batch.
fn forgetting(user: Uuid) -> Vec<Work> {
    let arranged = format!("insert into account.erased_user (user_id) values ('{user}')");
    let work = |(path, sql), arguments| Work { path, sql, arranged: arranged.clone(), arguments };
    let of_user = || with(PgArguments::default(), user);
    let batch = || with(of_user(), 5_000_i64);
    vec![
        work(sql!("kernel/usage/erasure/count_of_person.sql"), of_user()),
        work(sql!("kernel/usage/erasure/forget_buckets.sql"), batch()),
        work(sql!("kernel/usage/erasure/forget_events.sql"), batch()),
        work(sql!("features/dashboard_rollup/forgetting/count_rollup_rows.sql"), of_user()),
        work(sql!("features/dashboard_rollup/forgetting/forget_rollup_rows.sql"), batch()),
        work(sql!("features/dashboard_rollup/forgetting/forget_user_state.sql"), of_user()),
    ]
}

async fn works(app: &TestApp, user: Uuid) -> Vec<Work> {
    let events = events(app, user).await;
    let mut works = folds(user, &events);
    works.extend(verification(user));
    works.extend(retention(user));
    works.extend(forgetting(user));
    works
}

/// The pages that a plan looked at, and the rows that its scans found.
fn cost(plan: &Value) -> (u64, u64) {
    let scans = nodes(plan).into_iter().filter(|node| node["Node Type"].as_str().unwrap().contains("Scan"));
    let rows = |node: &Value| node["Actual Rows"].as_u64().unwrap() * node["Actual Loops"].as_u64().unwrap();
    (buffers(plan), scans.map(rows).sum())
}

#[tokio::test]
async fn no_worker_scans_a_table_and_what_it_costs_to_work_for_one_user_does_not_depend_on_their_number() {
    let app = TestApp::start().await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    fill(&app, 1, 10).await;
    let user = filled_user(&app, 5).await;
    let mut few = Vec::new();
    for work in works(&app, user).await {
        few.push(cost(&work.plan(&mut connection, "enable_seqscan = off").await));
    }
    fill(&app, 11, 1990).await;
    let user = filled_user(&app, 1234).await;
    for (work, (few_pages, few_rows)) in works(&app, user).await.into_iter().zip(few) {
        let path = work.path;
        let plan = work.plan(&mut connection, "enable_seqscan = on").await;
        let (pages, rows) = cost(&plan);
        let outline = outline(&plan);
        assert_eq!(scanned(&plan), Vec::<String>::new(), "{path}:\n{outline}");
        assert!(rows > 0, "{path} was to find something:\n{outline}");
        assert!(rows <= 2 * few_rows, "{path}: {few_rows} rows among 10 users, {rows} among 2000:\n{outline}");
        // Each tree may be two levels deeper, and each row in a page of its own; then there are the pages written.
        let most = few_pages + 2 * descents(&plan) + rows + 10;
        assert!(pages <= most, "{path}: {few_pages} pages among 10 users, {pages} among 2000:\n{outline}");
    }
    connection.close().await.unwrap();
}

/// What a fold of a day of so many users costs, all of whose rows are wrong.
async fn round_of(app: &TestApp, connection: &mut PgConnection, users: usize) -> (u64, u64) {
    let published = format!(
        "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
         select user_id, 'bucket_changed', '2026-11-10', '2026-11-10T00:00Z', '2026-11-10T23:30Z', 'live', user_id
         from account.user order by user_id limit {users} returning user_id || ' ' || id"
    );
    let events = app.ask(&published).await;
    let (user_ids, ids): (Vec<Uuid>, Vec<i64>) = events
        .iter()
        .map(|event| event.split_once(' ').unwrap())
        .map(|(user_id, id)| (user_id.parse::<Uuid>().unwrap(), id.parse::<i64>().unwrap()))
        .unzip();
    assert_eq!(user_ids.len(), users);
    let (path, sql) = sql!("features/dashboard_rollup/relay/fold_user_days.sql");
    let arranged = "update rollup.daily set input_tokens = 9".to_owned();
    let work = Work { path, sql, arranged, arguments: with(with(PgArguments::default(), user_ids), ids) };
    cost(&work.plan(connection, "enable_seqscan = off; set local enable_sort = off").await)
}

#[tokio::test]
async fn a_round_costs_in_proportion_to_its_users() {
    let app = TestApp::start().await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    fill(&app, 1, 150).await;
    let (few_pages, few_rows) = round_of(&app, &mut connection, 12).await;
    let (pages, rows) = round_of(&app, &mut connection, 120).await;
    assert!(rows <= 12 * few_rows, "{few_rows} rows for 12 users, {rows} for 120");
    assert!(pages <= 12 * few_pages, "{few_pages} pages for 12 users, {pages} for 120");
    connection.close().await.unwrap();
}
