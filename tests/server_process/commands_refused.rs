//! What cannot be done is said in a sentence, on standard error alone, and changes nothing.

use crate::support::Home;

/// Asserts that a command is refused in words that name what is wrong.
#[track_caller]
fn assert_refused(home: &Home, arguments: &[&str], words: &[&str]) {
    for json in [&[][..], &["--json"]] {
        let said = home.run(&[arguments, json].concat());
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{arguments:?}: {said:?}");
        assert!(said.stderr.starts_with("halfhour: ") && said.stderr.lines().count() == 1, "{said:?}");
        for word in words {
            assert!(said.stderr.contains(word), "{word:?} is missing: {said:?}");
        }
    }
}

#[tokio::test]
async fn commands_that_cannot_be_done_say_why() {
    let home = Home::new();
    let server = home.serve().await;
    home.json(&["user", "add", "ann"]);
    home.json(&["device", "add", "--user", "ann", "--name", "laptop"]);
    let before = home.json(&["token", "list"]);

    assert_refused(&home, &["user", "add", "bob", "--time-zone", "Mars/Olympus_Mons"], &["time zone"]);
    assert_refused(&home, &["user", "add", "bob", "--time-zone", ""], &["time zone"]);
    assert_refused(&home, &["user", "add", "ann"], &["name"]);
    assert_refused(&home, &["user", "add", ""], &["name"]);
    assert_refused(&home, &["user", "add", &"x".repeat(101)], &["name"]);
    assert_refused(&home, &["device", "add", "--user", "nobody", "--name", "laptop"], &["nobody"]);
    assert_refused(&home, &["device", "add", "--user", "ann", "--name", "laptop"], &["name"]);
    assert_refused(&home, &["token", "issue", "--user", "nobody", "--kind", "viewer"], &["nobody"]);
    assert_refused(
        &home,
        &["token", "issue", "--user", "ann", "--kind", "device", "--device", "desktop"],
        &["ann", "desktop"],
    );
    let wrong_kind = ["token", "issue", "--user", "ann", "--kind", "viewer", "--device", "laptop"];
    assert_refused(&home, &wrong_kind, &["--device"]);
    assert_refused(&home, &["token", "list", "--user", "nobody"], &["nobody"]);
    let window = ["backfill", "plan", "--action", "replay", "--reason", "drift", "--from", "soon", "--to", "later"];
    assert_refused(&home, &window, &["from: ", "to: "]);
    let unknown = "01a1fbd5-3823-71de-8abb-850d882be7c7";
    assert_refused(&home, &["token", "revoke", unknown], &[unknown]);

    assert_eq!(home.json(&["token", "list"]), before);
    server.stop().await;
}

#[test]
fn a_refused_command_on_its_own_ends_the_database_too() {
    let home = Home::new();
    assert_refused(&home, &["device", "add", "--user", "nobody", "--name", "laptop"], &["nobody"]);
    home.assert_nothing_left();
}
