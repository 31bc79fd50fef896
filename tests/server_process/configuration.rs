//! A configuration that cannot be meant is refused before anything is touched.

use std::net::TcpListener;

use crate::support::{Home, Said};

/// Asserts that nothing was said on standard output, and nothing made.
#[track_caller]
fn assert_untouched(home: &Home, said: &Said) {
    assert_eq!(said.stdout, "", "{said:?}");
    assert!(!home.data_dir().exists(), "a data directory was made: {said:?}");
}

#[test]
fn every_fault_of_a_configuration_is_named_at_once() {
    let home = Home::new()
        .with("HALFHOUR_BIND", "localhost")
        .with("HALFHOUR_POOL_WORKER", "0")
        .with("HALFHOUR_BNID", "127.0.0.1:1");
    for arguments in [&[][..], &["serve"], &["migrate", "--json"], &["user", "add", "ann"]] {
        let said = home.run(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
        for name in ["3 fault(s)", "HALFHOUR_BIND ", "HALFHOUR_POOL_WORKER ", "HALFHOUR_BNID "] {
            assert!(said.stderr.contains(name), "{name} is missing: {said:?}");
        }
        assert_untouched(&home, &said);
    }
}

#[test]
fn an_external_database_without_a_secret_is_refused_and_its_password_not_repeated() {
    let home = Home::new().with("DATABASE_URL", "postgres://halfhour:hunter2@localhost/halfhour");
    let said = home.run(&[]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.stderr.contains("HALFHOUR_SECRET is required"), "{said:?}");
    assert!(!said.stderr.contains("hunter2"), "{said:?}");
    assert_untouched(&home, &said);
}

#[test]
fn wrong_arguments_exit_with_two() {
    let home = Home::new();
    for arguments in [&["sever"][..], &["user", "add"], &["token", "revoke", "not-an-id"], &["device", "add", "x"]] {
        let said = home.run(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
        assert!(said.stderr.starts_with("error: "), "{said:?}");
        assert_untouched(&home, &said);
    }
}

#[test]
fn an_address_in_use_is_found_out_before_a_database_is_started() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = Home::new().with("HALFHOUR_BIND", &address);
    let said = home.run(&[]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("HALFHOUR_BIND") && said.stderr.contains(&address), "{said:?}");
    assert_untouched(&home, &said);
}
