//! The checker proves itself: what no law allows is planted into what stands, or into what is
//! answered, and each is found. Nothing is planted into the product.

use axum::Json;
use axum::extract::Request;
use axum::routing::post;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use uuid::Uuid;

use crate::checker::{Law, check};
use crate::history::{History, Key, Outcome, Snapshot};
use crate::installation::Installation;
use crate::proxy::{Rule, Upstream};
use crate::random::Random;

/// A run that is over, whose history was found sound.
pub async fn every_planted_breach_is_found(installation: &Installation, history: &History, random: &mut Random) {
    let mut superuser = installation.postgres.superuser().await.unwrap();
    let (standing, older) = replaced(history);
    let key = place_of(&history.keys.all()[standing.key], installation);
    let counts = older.place.2;
    let planted = [
        (Law::NothingIsLost, format!("delete from usage.bucket where {key}")),
        (
            Law::SomebodySentIt,
            format!(
            "insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
                     cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens,
                     unclassified_tokens, request_count, observed_at, changed_at, stamped, rank)
                 select user_id, hour_start, device_id, source, 'nobody sent it', 1, 0, 0, 0, 0, 0, 0, 0, observed_at,
                     changed_at, stamped, rank
                 from usage.bucket where {key}"
        ),
        ),
        (Law::RollupIsTheFold, "update rollup.daily set input_tokens = input_tokens + 1".to_owned()),
        (
            Law::NothingIsLost,
            format!(
                "update usage.bucket set observed_at = to_timestamp({} / 1000000.0), rank = {}, input_tokens = {},
                 output_tokens = {} where {key}",
                older.taken,
                older.place.0.number(),
                counts.input_tokens,
                counts.output_tokens
            ),
        ),
    ];
    for (law, statement) in planted {
        superuser.execute("begin").await.unwrap();
        let changed = superuser.execute(AssertSqlSafe(statement.clone())).await.unwrap();
        assert!(changed.rows_affected() > 0, "{statement}");
        let history = installation.history(&mut superuser).await;
        superuser.execute("rollback").await.unwrap();
        assert_finds(&history, law, &statement);
    }
    a_lowered_version_is_found(installation, &mut superuser).await;
    verify_finds_what_was_not_folded(installation, &mut superuser).await;
    an_acknowledgement_of_nothing_is_found(installation, &mut superuser, random).await;
}

#[track_caller]
fn assert_finds(history: &History, law: Law, planted: &str) {
    let breaches = check(history);
    assert!(breaches.iter().any(|breach| breach.law == law), "{planted}: {law:?} was not found, but {breaches:#?}");
}

/// An acknowledged snapshot that stands, and one that it has replaced.
fn replaced(history: &History) -> (Snapshot, Snapshot) {
    let accepted: Vec<Snapshot> = history
        .calls
        .iter()
        .filter(|call| matches!(call.outcome, Outcome::Answered { .. }))
        .map(|call| &history.posts[call.post])
        .filter(|post| post.user != 0 && post.unacceptable.is_none())
        .flat_map(|post| post.snapshots.clone())
        .collect();
    let stands = |snapshot: &Snapshot| accepted.contains(snapshot);
    let older = |standing: &Snapshot| {
        accepted.iter().find(|other| other.key == standing.key && other.place < standing.place).copied()
    };
    let mut standing = history.end.buckets.iter().filter(|snapshot| stands(snapshot));
    standing.find_map(|standing| Some((*standing, older(standing)?))).expect("a bucket that was updated")
}

fn place_of(key: &Key, installation: &Installation) -> String {
    let Key { user, device, hour_start, source, model } = key;
    let user = installation.world.users[*user].id;
    format!(
        "user_id = '{user}' and hour_start = to_timestamp({hour_start}) and device_id = '{device}' \
         and source = '{source}' and model = '{model}'"
    )
}

async fn a_lowered_version_is_found(installation: &Installation, superuser: &mut PgConnection) {
    // A trigger refuses it, unless somebody has switched that off.
    superuser.execute("set session_replication_role = replica").await.unwrap();
    superuser.execute("update rollup.user_state set version = version - 1").await.unwrap();
    superuser.execute("set session_replication_role = origin").await.unwrap();
    installation.settle().await;
    assert_finds(&installation.history(superuser).await, Law::VersionNeverFalls, "a lowered version");
    superuser.execute("update rollup.user_state set version = version + 1").await.unwrap();
}

/// The product's own comparison agrees with the checker.
async fn verify_finds_what_was_not_folded(installation: &Installation, superuser: &mut PgConnection) {
    let (code, report) = installation.command(&["verify"]);
    assert_eq!((code, &report["drifted"], &report["pending"]), (Some(0), &json!(0), &json!(0)), "{report}");
    superuser.execute("update rollup.daily set input_tokens = input_tokens + 1").await.unwrap();
    let (code, report) = installation.command(&["verify"]);
    assert_eq!(code, Some(3), "{report}");
    assert_finds(&installation.history(superuser).await, Law::RollupIsTheFold, "a row that no fold has made");
    superuser.execute("update rollup.daily set input_tokens = input_tokens - 1").await.unwrap();
}

/// Something in the server's place says that all was inserted.
async fn an_acknowledgement_of_nothing_is_found(
    installation: &Installation,
    superuser: &mut PgConnection,
    random: &mut Random,
) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = axum::Router::new().route("/v1/buckets", post(lie));
    let liar = tokio::spawn(async move { axum::serve(listener, router).await });
    let proxy = &installation.servers[0].clients;
    proxy.lead_to(Upstream::Tcp(port));
    // What leads to the server still is to be forgotten.
    proxy.set(Rule::Refuse, true);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    proxy.set(Rule::Pass, false);
    while !installation.world.post_once(1, 0, random).await {}
    liar.abort();
    assert_finds(&installation.history(superuser).await, Law::NothingIsLost, "an acknowledgement of nothing");
}

async fn lie(request: Request) -> Json<Value> {
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let verdicts = vec!["inserted"; body["buckets"].as_array().unwrap().len()];
    Json(json!({ "request_id": Uuid::now_v7(), "verdicts": verdicts }))
}
