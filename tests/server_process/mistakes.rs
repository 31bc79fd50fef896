//! The mistakes of a newcomer that a start meets. Each message is enough alone: it names the thing and the way out. Those
//! that a request meets are in `tests/api/mistakes.rs`.

use std::fs;
use std::net::TcpListener;

use crate::http::recent;
use crate::support::Home;

/// Asserts that a start is refused with these words, on one line of standard error.
#[track_caller]
fn assert_told(home: &Home, words: &[&str]) {
    let said = home.run(&[]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let last = said.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("halfhour: "), "{said:?}");
    for word in words {
        assert!(last.contains(word), "{word} is missing: {said:?}");
    }
}

#[test]
fn who_takes_a_port_that_is_taken_is_told_how_to_take_another() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let other = format!("HALFHOUR_BIND=127.0.0.1:{}", address.port().checked_add(1).unwrap_or(8080));
    let home = Home::new().with("HALFHOUR_BIND", &address.to_string());
    assert_told(&home, &["HALFHOUR_BIND", &address.to_string(), "is not free", "stop it", &other]);
}

#[test]
fn who_names_a_data_directory_that_cannot_be_written_to_is_told_to_name_another() {
    let home = Home::new();
    let file = home.path().join("file");
    fs::write(&file, "no directory").unwrap();
    let inside = file.join("data");
    let home = home.with("HALFHOUR_DATA_DIR", inside.to_str().unwrap());
    assert_told(
        &home,
        &[file.to_str().unwrap(), "this user owns", "point HALFHOUR_DATA_DIR at one that it may write to"],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "no directory");
}

#[tokio::test]
async fn who_has_a_cluster_of_another_version_or_a_broken_key_is_told_what_to_put_back() {
    let home = Home::new();
    home.serve().await.stop().await;
    let version = home.data_dir().join("postgres/PG_VERSION");
    let right = fs::read_to_string(&version).unwrap();
    fs::write(&version, "13\n").unwrap();
    assert_told(&home, &["created by PostgreSQL 13", "or newer is needed", "pg_upgrade", "move the directory away"]);
    fs::write(&version, right).unwrap();

    let key = home.data_dir().join("secret.key");
    let right = fs::read(&key).unwrap();
    for broken in [&b""[..], b"short"] {
        fs::write(&key, broken).unwrap();
        assert_told(&home, &["secret.key is too short to be a key", "from a backup", "remove it to void all tokens"]);
        assert_eq!(fs::read(&key).unwrap(), broken, "nothing is put in its place unasked");
    }
    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    assert_told(&home, &["secret.key cannot be read"]);
    fs::remove_dir(&key).unwrap();
    fs::write(&key, right).unwrap();
    let server = home.serve().await;
    server.post(&home.device_token(), &recent("m", 1)).await;
    server.stop().await;
    home.assert_nothing_left();
}

#[tokio::test]
async fn who_exports_the_credentials_before_a_start_is_served_all_the_same() {
    let home = Home::new();
    home.serve().await.stop().await;
    let content = fs::read_to_string(home.data_dir().join("credentials.env")).unwrap();
    let exported = content.lines().filter_map(|line| line.split_once('='));
    let home = exported.fold(home, |home, (name, value)| home.with(name, value));
    let server = home.serve().await;
    server.post(&home.device_token(), &recent("m", 1)).await;
    assert_eq!(home.json(&["user", "list"]).as_array().unwrap().len(), 1, "commands work with them, too");
    server.stop().await;
}
