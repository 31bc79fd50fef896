//! What an earlier release has left: its database, what it was asked, and what it answered. `tests/data/releases/README.md`
//! says how a release gets such a sample.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _};

/// One release, by the number of its newest migration.
pub struct Sample {
    pub number: u32,
    folder: PathBuf,
    /// What it was asked and answered.
    pub said: Value,
}

/// What the tools of that time would have left a moment ago: what expires has not yet.
const TO_THE_PRESENT: &str = "
    update usage.idempotency set created_at = now();
    update account.link_code set created_at = now(), expires_at = now() + interval '10 minutes',
        used_at = case when used_at is not null then now() end;
    update account.token set expires_at = now() + interval '10 minutes' where expires_at is not null;
    update backfill.job set created_at = now(), executed_at = case when executed_at is not null then now() end,
        finished_at = case when finished_at is not null then now() end;";

/// As sqlx makes it.
const MIGRATIONS_TABLE: &str = "
    create table public._sqlx_migrations (
        version bigint primary key,
        description text not null,
        installed_on timestamptz not null default now(),
        success boolean not null,
        checksum bytea not null,
        execution_time bigint not null
    )";

impl Sample {
    /// All that are kept, the oldest first.
    pub fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/releases");
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
        folders.sort();
        assert!(folders.len() >= 2, "{folders:?}");
        folders.into_iter().map(Self::in_folder).collect()
    }

    pub fn of(number: u32) -> Self {
        Self::all().into_iter().find(|sample| sample.number == number).unwrap()
    }

    fn in_folder(folder: PathBuf) -> Self {
        let number = folder.file_name().unwrap().to_string_lossy().parse().unwrap();
        let said = serde_json::from_str(&fs::read_to_string(folder.join("samples.json")).unwrap()).unwrap();
        Self { number, folder, said }
    }

    /// A text of what was said, such as a token.
    #[track_caller]
    pub fn text(&self, pointer: &str) -> &str {
        self.said.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {}", self.number))
    }

    #[track_caller]
    pub fn list(&self, name: &str) -> &[Value] {
        self.said[name].as_array().unwrap()
    }

    /// Makes the schema of that release in an empty database.
    pub async fn make_schema(&self, superuser: &mut PgConnection) {
        for path in migrations().filter(|path| number_of(path) <= self.number) {
            let sql = fs::read_to_string(&path).unwrap();
            // As the migrator does: each in a transaction, unless it says that it cannot be.
            let whole = if sql.starts_with("-- no-transaction") { sql } else { format!("begin;\n{sql}\ncommit;") };
            superuser.execute(sqlx::raw_sql(AssertSqlSafe(whole))).await.unwrap();
        }
        superuser.execute(MIGRATIONS_TABLE).await.unwrap();
    }

    /// The same, with all that the release had in it. The new release finds out by their checksums whether the migrations
    /// are the ones that the old release has run.
    pub async fn restore(&self, superuser: &mut PgConnection) {
        self.make_schema(superuser).await;
        let tables = "select string_agg(format('%I.%I', schemaname, tablename), ', ') from pg_tables
            where schemaname in ('account', 'backfill', 'ops', 'rollup', 'usage')";
        let tables: String = superuser.fetch_one(tables).await.unwrap().get(0);
        let data = fs::read_to_string(self.folder.join("data.sql")).unwrap();
        // Rows come in the order in which they were written down: no trigger judges them, and no key yet.
        for sql in ["set session_replication_role = replica", &format!("truncate {tables}"), &data, TO_THE_PRESENT] {
            superuser.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
        }
        superuser.execute("set session_replication_role = origin").await.unwrap();
    }

    /// Each statement of that release with the file that it stood in, where they are kept.
    pub fn statements(&self) -> Option<Vec<(String, String)>> {
        let text = fs::read_to_string(self.folder.join("statements.sql")).ok()?;
        let statements = text.split("-- file: ").skip(1).map(|part| part.split_once('\n').unwrap());
        Some(statements.map(|(file, sql)| (file.to_owned(), sql.trim().to_owned())).collect())
    }

    /// The statement of a file.
    pub fn statement(&self, file: &str) -> Option<String> {
        self.statements()?.into_iter().find(|(name, _)| name == file).map(|(_, sql)| sql)
    }
}

fn migrations() -> impl Iterator<Item = PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter()
}

fn number_of(path: &Path) -> u32 {
    path.file_name().unwrap().to_string_lossy()[..4].parse().unwrap()
}
