//! What processes of an earlier release run goes on beside this one, until the last of them has been replaced: each of
//! their statements is one that PostgreSQL still plans, in each role that could run it before.

use std::collections::BTreeSet;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::sample::Sample;
use crate::external_database::{database_url, home, start_postgres};

const ROLES: [&str; 2] = ["halfhour_api", "halfhour_worker"];

/// What a role may not run any more, and why no process does.
const GIVEN_UP: [(&str, &str, &str); 1] =
    [("halfhour_api", "features/accounts/tokens/note_token_uses.sql", "every release runs it as the worker")];

/// The statements that can be run, each with the role that can: as they are written, and with that role's rights. A
/// `lock table` is not prepared, and not planned.
async fn runnable(connection: &mut PgConnection, sample: &Sample) -> BTreeSet<(String, String)> {
    let mut runnable = BTreeSet::new();
    for (file, sql) in sample.statements().unwrap() {
        for role in ROLES {
            let highest = (1..40).rev().find(|number| sql.contains(&format!("${number}"))).unwrap_or(0);
            let nulls = vec!["null"; highest].join(", ");
            let arguments = if highest == 0 { String::new() } else { format!("({nulls})") };
            let explained = if sql.starts_with("lock table") {
                format!("begin; set local role {role}; {sql}; rollback")
            } else {
                format!(
                    "begin; set local role {role}; set local app.user_ids = ''; prepare statement as {sql};
                     explain execute statement{arguments}; rollback; deallocate statement"
                )
            };
            if connection.execute(sqlx::raw_sql(AssertSqlSafe(explained))).await.is_ok() {
                runnable.insert((role.to_owned(), file.clone()));
            } else {
                // What was prepared stays so, also where it was rolled back.
                connection.execute(sqlx::raw_sql("rollback; deallocate all")).await.unwrap();
            }
        }
    }
    runnable
}

async fn make_database(superuser: &PgConnectOptions, name: &str) -> PgConnection {
    let mut connection = PgConnection::connect_with(superuser).await.unwrap();
    let create = format!("create database {name}");
    connection.execute(sqlx::raw_sql(AssertSqlSafe(create))).await.unwrap();
    connection.close().await.unwrap();
    PgConnection::connect_with(&superuser.clone().database(name)).await.unwrap()
}

#[tokio::test]
async fn every_statement_of_the_previous_release_runs_on_this_ones_schema_in_the_roles_of_before() {
    let (directory, postgres) = start_postgres();
    let superuser = postgres.connect_options();
    for sample in Sample::all().into_iter().filter(|sample| sample.statements().is_some()) {
        let mut old = make_database(&superuser, &format!("release_{}", sample.number)).await;
        sample.make_schema(&mut old).await;
        // What the release has left, because a migration may spare a table that is not empty.
        let name = format!("upgraded_{}", sample.number);
        let mut new = make_database(&superuser, &name).await;
        sample.restore(&mut new).await;
        let url = database_url(directory.path(), &postgres).replace("/halfhour?", &format!("/{name}?"));
        home(&url).json(&["migrate"]);
        let (before, now) = (runnable(&mut old, &sample).await, runnable(&mut new, &sample).await);
        let files: BTreeSet<_> = before.iter().map(|(_, file)| file.clone()).collect();
        let all: BTreeSet<_> = sample.statements().unwrap().into_iter().map(|(file, _)| file).collect();
        assert_eq!(files, all, "each ran on its own schema");
        let given_up = GIVEN_UP.map(|(role, file, _why)| (role.to_owned(), file.to_owned()));
        let lost: Vec<_> = before.difference(&now).filter(|one| !given_up.contains(one)).collect();
        assert!(lost.is_empty(), "processes of release {} still run {lost:?}", sample.number);
        // A first price book is put in force once every process is of this release, and ends the folds of an older one.
        new.execute("select price.key_rollups()").await.unwrap();
        let with_prices = runnable(&mut new, &sample).await;
        let ended: BTreeSet<_> = now.difference(&with_prices).map(|(_, file)| file.as_str()).collect();
        assert_eq!(ended, BTreeSet::from(["features/dashboard_rollup/relay/fold_user_days.sql"]));
        new.close().await.unwrap();
        // The look sees what is taken away.
        old.execute("alter table ops.switch rename is_on to is_thrown").await.unwrap();
        old.execute("revoke select on usage.bucket from halfhour_api").await.unwrap();
        let changed = runnable(&mut old, &sample).await;
        assert!(before.difference(&changed).count() > 5, "{:?}", before.difference(&changed));
        old.close().await.unwrap();
    }
    postgres.stop().unwrap();
}
