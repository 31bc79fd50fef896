//! `DELETE /v1/me`: a person goes, with everything that is theirs, and nothing comes back.

mod jobs;
mod laws;
mod races;
mod refusals;

use std::collections::BTreeMap;

use halfhour::features::dashboard_rollup::{Window, verify};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::rollups::Usage;
use crate::support::{Reply, TestApp, TestDevice, TestUser};

/// A name that stands nowhere else.
pub const NAME: &str = "Ännchen von Tharau";
/// Every table with a column of users.
const OF_USERS: &str = "select c.table_schema || '.' || c.table_name
    from information_schema.columns c
    join information_schema.tables t using (table_schema, table_name)
    where c.column_name = 'user_id' and t.table_type = 'BASE TABLE'
      and c.table_schema not in ('pg_catalog', 'information_schema')
    order by 1";
/// Every column in which a name could stand.
const OF_TEXT: &str = "select format('%s.%s %s', c.table_schema, c.table_name, c.column_name)
    from information_schema.columns c
    join information_schema.tables t using (table_schema, table_name)
    where c.data_type in ('text', 'json', 'jsonb', 'character varying') and t.table_type = 'BASE TABLE'
      and c.table_schema not in ('pg_catalog', 'information_schema')
    order by 1";

impl TestApp {
    /// DELETE /v1/me with a query, which has to be encoded.
    pub async fn erase_me(&self, user: &TestUser, query: &str) -> Reply {
        self.request(Method::DELETE, &format!("/v1/me?{query}")).bearer(&user.viewer).send().await
    }

    /// The same with the name as its confirmation.
    pub async fn erase_person(&self, user: &TestUser) -> Reply {
        self.erase_me(user, &confirmed(&user.name)).await
    }

    /// How many rows each table has of a user, where it has any.
    pub async fn rows_of(&self, user_id: Uuid) -> BTreeMap<String, i64> {
        let tables = self.ask(OF_USERS).await;
        assert!(tables.len() >= 14, "the catalogue was hardly looked at: {tables:?}");
        let mut rows = BTreeMap::new();
        for table in tables {
            let sql = format!("select count(*)::text from {table} where user_id = '{user_id}'");
            let count = self.ask(&sql).await[0].parse().unwrap();
            if count > 0 {
                rows.insert(table, count);
            }
        }
        rows
    }

    /// The columns in which a text stands.
    pub async fn columns_saying(&self, text: &str) -> Vec<String> {
        let columns = self.ask(OF_TEXT).await;
        assert!(columns.len() >= 30, "the catalogue was hardly looked at: {columns:?}");
        let mut saying = Vec::new();
        for column in columns {
            let (table, name) = column.split_once(' ').unwrap();
            let sql = format!("select 'there' from {table} where strpos({name}::text, '{text}') > 0 limit 1");
            if !self.ask(&sql).await.is_empty() {
                saying.push(column);
            }
        }
        saying
    }

    /// Asserts that nothing is left of a person but that somebody of this id was erased.
    pub async fn assert_gone(&self, user: &TestUser, names: &[&str]) {
        self.drain().await;
        let stays = BTreeMap::from([("account.erased_user".to_owned(), 1), ("usage.erasure".to_owned(), 1)]);
        assert_eq!(self.rows_of(user.user_id).await, stays);
        let scope =
            "select format('%s %s %s %s %s', erased_at at time zone 'UTC', device_id, source, first_hour, last_hour)
                     from usage.erasure where user_id = '$user'";
        let everything = "9999-12-31 23:59:59   -infinity infinity";
        assert_eq!(self.ask(&scope.replace("$user", &user.user_id.to_string())).await, [everything]);
        // A job at work needs its cursor until it ends.
        let cursors = "select job_id::text from backfill.job
            where cursor_user_id = '$user' and state not in ('running', 'rolling_back')";
        assert_eq!(self.ask(&cursors.replace("$user", &user.user_id.to_string())).await, Vec::<String>::new());
        for name in names {
            assert_eq!(self.columns_saying(name).await, Vec::<String>::new(), "{name}");
        }
        let report = verify(&self.pools.worker, &Window::default()).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
    }

    /// What every table says, and of `except` nothing.
    pub async fn everything(&self, except: Option<Uuid>) -> BTreeMap<String, String> {
        let tables = "select table_schema || '.' || table_name from information_schema.tables
            where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema', 'public') order by 1";
        let mut everything = BTreeMap::new();
        let except = except.map_or(String::new(), |user_id| user_id.to_string());
        for table in self.ask(tables).await {
            let sql = format!(
                "select coalesce(md5(string_agg(t::text, e'\\n' order by t::text)), 'none')
                 from {table} t where '{except}' = '' or strpos(t::text, '{except}') = 0"
            );
            everything.insert(table, self.ask(&sql).await.remove(0));
        }
        everything
    }

    /// Somebody of that name with a device and some usage that is folded.
    async fn somebody(&self, name: &str, tokens: u64) -> (TestUser, TestDevice) {
        let user = self.user(name, "UTC").await;
        let device = self.device(&user, &format!("{name}'s laptop").replace('\'', "")).await;
        self.post_usage(&device, &[Usage::input("2026-11-19T10:00:00Z", tokens)]).await;
        self.drain().await;
        (user, device)
    }
}

/// The query that confirms.
pub fn confirmed(name: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair("confirm", name).finish()
}

/// A post of one bucket.
pub fn one_bucket(model: &str, observed_at: &str) -> Value {
    json!({"buckets": [{"hour_start": "2026-11-19T10:00:00Z", "source": "codex", "model": model, "input_tokens": 7,
        "observed_at": observed_at}]})
}
