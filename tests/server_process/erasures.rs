//! Persons who are erased, by command and by a server, and killed in the middle of it.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::backfills::Scene;
use crate::http::PATIENCE;

/// What is left of anybody, but for what says that somebody was erased.
const LEFT: &str = "select concat_ws(' ', (select count(*) from account.user), (select count(*) from account.device),
    (select count(*) from account.token), (select count(*) from usage.bucket), (select count(*) from usage.outbox),
    (select count(*) from rollup.daily), (select count(*) from rollup.user_state), (select count(*) from backfill.plan_row))";
const NOTHING: &str = "0 0 0 0 0 0 0 0";
const FINISHED: &str = "select coalesce(bool_and(finished_at is not null), false)::text from account.erased_user";

/// A user whose usage takes many batches.
fn much_usage(buckets: usize) -> Scene {
    let scene = Scene::new(buckets);
    let job = scene.plan();
    assert_eq!(scene.home.json(&["backfill", "execute", &job])["state"], "succeeded");
    scene
}

impl Scene {
    async fn wait_until_finished(&self) {
        let finished = async {
            while self.ask(FINISHED).await != "true" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, finished).await.expect("the erasure to be finished");
    }
}

#[tokio::test]
async fn an_erasure_that_is_killed_again_and_again_is_whole_or_nothing_and_a_server_ends_it() {
    let scene = much_usage(40_000);
    let user_id = scene.ask("select user_id::text from account.user").await;
    let before = scene.ask(LEFT).await;
    let mut erased = false;
    for kill in 0..8_u64 {
        let arguments = if erased {
            vec!["user", "erase", "--user-id", &user_id]
        } else {
            vec!["user", "erase", "ann", "--confirm", "ann"]
        };
        let mut command = scene.home.command();
        let mut command = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(60 + 45 * kill)).await;
        command.kill().unwrap();
        command.wait().unwrap();
        // What the killed one had begun may be committed a moment later.
        let idle = "select (count(*) = 0)::text from pg_stat_activity where application_name = 'halfhour command'";
        while scene.ask(idle).await != "true" {}
        let was = erased;
        erased = scene.ask("select (count(*) > 0)::text from account.erased_user").await == "true";
        assert!(erased || !was, "nobody comes back");
        if erased {
            let account = scene.ask(LEFT).await.split(' ').take(3).collect::<Vec<_>>().join(" ");
            assert_eq!(account, "0 0 0", "the person goes as a whole");
        } else {
            assert_eq!(scene.ask(LEFT).await, before, "nothing is erased by halves");
        }
    }
    if !erased {
        scene.home.json(&["user", "erase", "ann", "--confirm", "ann"]);
    }
    let server = scene.home.serve().await;
    scene.wait_until_finished().await;
    assert_eq!(scene.ask(LEFT).await, NOTHING);
    let acts = "select string_agg(action, ' ' order by acted_at) from ops.audit where action like 'user.erase%'";
    assert_eq!(scene.ask(acts).await, "user.erase user.erase_finished");
    server.stop().await;
    let verified = scene.home.json(&["verify"]);
    assert_eq!((&verified["users"], &verified["orphaned"]), (&0.into(), &0.into()), "{verified}");
    scene.end().await;
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_of_a_request_leaves_the_rest_to_the_next_one() {
    let scene = much_usage(300);
    let viewer = scene.home.json(&["token", "issue", "--user", "ann", "--kind", "viewer"]);
    let server = scene.home.serve().await;
    // The first batch waits for whoever holds a bucket.
    let mut holder = scene.admin.begin().await.unwrap();
    holder.execute(sqlx::raw_sql("select from usage.bucket for update")).await.unwrap();
    let url = format!("{}/v1/me?confirm=ann", server.url);
    let asking = reqwest::Client::new().delete(url).bearer_auth(viewer["token"].as_str().unwrap()).send();
    let killing = async {
        let waits = "select (count(*) > 0)::text from pg_stat_activity
                     where application_name = 'halfhour worker' and wait_event_type = 'Lock'";
        while scene.ask(waits).await != "true" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill().await;
    };
    let (answer, ()) = tokio::join!(asking, killing);
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(scene.ask(LEFT).await.split(' ').take(4).collect::<Vec<_>>(), ["0", "0", "0", "300"]);
    holder.rollback().await.unwrap();
    let server = scene.home.serve().await;
    scene.wait_until_finished().await;
    assert_eq!(scene.ask(LEFT).await, NOTHING);
    server.stop().await;
    scene.end().await;
}

#[tokio::test]
async fn the_command_shows_before_it_erases_wants_the_name_and_says_what_went() {
    let scene = much_usage(12_000);
    let before = scene.ask(LEFT).await;
    let user_id = scene.ask("select user_id::text from account.user").await;
    let shown = scene.home.json(&["user", "erase", "ann"]);
    assert_eq!((&shown["dry_run"], &shown["buckets"]), (&true.into(), &12_000.into()), "{shown}");
    let words = scene.home.run(&["user", "erase", "ann"]);
    assert!(words.stdout.starts_with("Nothing was erased."), "{words:?}");
    for (arguments, code) in [
        (vec!["user", "erase"], 2),
        (vec!["user", "erase", "ann", "--user-id", &user_id], 2),
        (vec!["user", "erase", "ann", "--confirm"], 2),
        (vec!["user", "erase", "ann", "--confirm", "Ann"], 1),
        (vec!["user", "erase", "eve", "--confirm", "eve"], 1),
        (vec!["user", "erase", "--user-id", "01980000-0000-7000-8000-000000000001", "--confirm", "ann"], 1),
    ] {
        let said = scene.home.run(&arguments);
        assert_eq!((said.code, said.stdout.as_str()), (Some(code), ""), "{arguments:?}: {said:?}");
    }
    assert_eq!(scene.ask(LEFT).await, before);
    let count = |value: &Value| value.as_i64().unwrap();
    // A user who was revoked is erased like any other.
    scene.home.json(&["user", "revoke", "ann"]);
    let erased = scene.home.json(&["user", "erase", "ann", "--confirm", "ann"]);
    assert_eq!((&erased["finished"], &erased["user_id"]), (&true.into(), &user_id.as_str().into()), "{erased}");
    assert_eq!((count(&erased["devices"]), count(&erased["buckets"])), (1, 12_000), "{erased}");
    assert_eq!(scene.ask(LEFT).await, NOTHING);
    let again = scene.home.json(&["user", "erase", "--user-id", &user_id]);
    assert_eq!((&again["finished"], &again["erased_at"]), (&true.into(), &erased["erased_at"]));
    assert_ne!(scene.home.json(&["user", "add", "ann"])["user_id"], erased["user_id"]);

    let sql = AssertSqlSafe("select from account.user where name = 'ann'".to_owned());
    assert_eq!(scene.admin.fetch_all(sqlx::raw_sql(sql)).await.unwrap().len(), 1);
    scene.end().await;
}
