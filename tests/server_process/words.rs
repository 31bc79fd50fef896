//! What the server says when it cannot start, or doubts what it was given: the thing, and the way out.

use std::fs;
use std::net::TcpListener;

use crate::external_database::{database_url, start_postgres};
use crate::http::{recent, wait_until};
use crate::support::{Home, Said};

#[track_caller]
fn assert_says(said: &Said, words: &[&str]) {
    assert_eq!(said.code, Some(1), "{said:?}");
    for word in words {
        assert!(said.stderr.contains(word), "{word} is missing: {}", said.stderr);
    }
}

#[tokio::test]
async fn what_was_broken_in_a_data_directory_is_named_with_the_way_out() {
    let home = Home::new();
    home.serve().await.stop().await;
    let password = home.data_dir().join("postgres.password");
    let right = fs::read_to_string(&password).unwrap();
    fs::write(&password, "wrong").unwrap();
    let said = home.run(&[]);
    assert_says(&said, &["postgres.password", "put the file back", "backup"]);
    assert!(!said.stderr.contains(right.trim()), "{said:?}");
    fs::write(&password, &right).unwrap();

    let version = home.data_dir().join("postgres/PG_VERSION");
    let right = fs::read_to_string(&version).unwrap();
    fs::write(&version, "\n").unwrap();
    assert_says(&home.run(&[]), &["PG_VERSION is empty", "major version", "backup"]);
    fs::write(&version, &right).unwrap();
    home.serve().await.stop().await;
    home.assert_nothing_left();
}

#[tokio::test]
async fn a_temporary_directory_that_cannot_be_used_is_named() {
    let home = Home::new().with("TMPDIR", "/nowhere/at/all");
    assert_says(&home.run(&[]), &["/nowhere/at/all", "TMPDIR", "socket"]);
}

#[test]
fn an_address_that_is_not_this_machines_is_told_from_one_that_is_taken() {
    let home = Home::new().with("HALFHOUR_BIND", "192.0.2.1:8080");
    assert_says(&home.run(&[]), &["HALFHOUR_BIND: 192.0.2.1:8080", "no address of this machine", "0.0.0.0"]);
    assert!(!home.data_dir().exists());
}

#[test]
fn a_database_that_refuses_is_named_by_its_host_and_never_with_the_password() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://ann:secret-word@{closed}/usage");
    let home = Home::new().with("DATABASE_URL", &url).with("HALFHOUR_SECRET", &"k".repeat(40));
    let said = home.run(&[]);
    assert_says(&said, &[&closed.to_string(), "DATABASE_URL", "usage", "ann"]);
    assert!(!format!("{said:?}").contains("secret-word"), "{said:?}");
}

#[tokio::test]
async fn a_key_that_is_not_the_one_that_made_the_tokens_is_said_and_the_right_one_is_not() {
    let home = Home::new();
    let server = home.serve().await;
    server.post(&home.device_token(), &recent("m", 1)).await;
    let log = server.running.stdout();
    assert!(!log.contains("secret.key") && !log.contains("a switch was thrown"), "{log}");
    server.stop().await;
    let key = home.data_dir().join("secret.key");
    let right = fs::read(&key).unwrap();

    fs::remove_file(&key).unwrap();
    let server = home.serve().await;
    let said = "secret.key is new, and tokens exist";
    wait_until(said, || server.running.stdout().contains(said)).await;
    server.stop().await;

    let server = home.serve().await;
    let said = "secret.key is not the key that made the tokens in credentials.env";
    wait_until(said, || server.running.stdout().contains(said)).await;
    server.stop().await;

    fs::write(&key, right).unwrap();
    let server = home.serve().await;
    server.post(&home.device_token(), &recent("m", 2)).await;
    let log = server.running.stdout();
    assert!(!log.contains("secret.key"), "{log}");
    server.stop().await;
}

#[tokio::test]
async fn a_secret_that_is_not_the_one_that_made_the_tokens_is_said_with_an_external_database_too() {
    let (directory, postgres) = start_postgres();
    let url = database_url(directory.path(), &postgres);
    let under = |secret: &str| Home::new().with("DATABASE_URL", &url).with("HALFHOUR_SECRET", &secret.repeat(40));
    let (right, wrong) = (under("r"), under("w"));
    let said = "HALFHOUR_SECRET is not the key that made the older tokens in this database";
    let since = "a server was started on this database with another key than HALFHOUR_SECRET";

    // Nobody knows yet what made the tokens, and all is well.
    let user = right.json(&["user", "add", "ann"]);
    let server = right.serve().await;
    assert!(!server.running.stdout().contains("HALFHOUR_SECRET"), "{}", server.running.stdout());
    server.stop().await;

    let refused = wrong.serve().await;
    wait_until(said, || refused.running.stdout().contains(said)).await;
    let log = refused.running.stdout();
    assert!(log.contains("until it is set again to what it was"), "{log}");
    assert_eq!(refused.get(user["viewer_token"].as_str().unwrap(), "/v1/me").await.status, 401);
    let lost = wrong.json(&["user", "add", "bob"]);
    refused.stop().await;
    // It is said at each start, until these tokens are no more.
    let again = wrong.serve().await;
    wait_until(said, || again.running.stdout().contains(said)).await;
    again.stop().await;

    let server = right.serve().await;
    wait_until(since, || server.running.stdout().contains(since)).await;
    let log = server.running.stdout();
    assert!(!log.contains(said), "{log}");
    assert_eq!(server.get(user["viewer_token"].as_str().unwrap(), "/v1/me").await.status, 200);
    assert_eq!(server.get(lost["viewer_token"].as_str().unwrap(), "/v1/me").await.status, 401);
    server.stop().await;
    let server = right.serve().await;
    assert!(!server.running.stdout().contains("HALFHOUR_SECRET"), "{}", server.running.stdout());
    server.stop().await;
    // Who makes tokens that no server takes is told so, and who makes others is not.
    let (told, other) = (under("x").run(&["user", "add", "cid"]), right.run(&["user", "add", "dan"]));
    assert!(told.stderr.contains("give it their HALFHOUR_SECRET") && told.code == Some(0), "{told:?}");
    assert_eq!((other.stderr.as_str(), other.code), ("", Some(0)));
    postgres.stop().unwrap();
}
