//! Plants for the floors of the kernel.

use super::floors::{FLOORS, KERNEL, check, check_rooms, floor_of};
use super::tree::{SourceTree, assert_caught, assert_kept_here, assert_passes};

const MAP: &str = "//! | floor | room | answers |\n//! |---|---|---|\n//! | 6 | `usage` | a |\n//! | 6 | `http` | b |\n\
    //! | 5 | `operations` | c |\n//! | 5 | `idempotency` | j |\n//! | 4 | `access` | d |\n//! | 3 | `database` | e |\n//! | 2 | `call` | f |\n\
    //! | 1 | `bucket` | g |\n//! | 1 | `clock` | h |\n//! | 1 | `money` | k |\n//! | 1 | `problem` | i |\n//! | 7 | `dialect` | z |\n//! | 7 | `dashboards` | k |\npub mod access; pub mod bucket;";

/// A kernel with every room.
fn house() -> Vec<(&'static str, &'static str)> {
    vec![
        (KERNEL, MAP),
        ("src/kernel/bucket.rs", ""),
        ("src/kernel/dialect/mod.rs", ""),
        ("src/kernel/clock.rs", ""),
        ("src/kernel/money.rs", ""),
        ("src/kernel/problem/mod.rs", ""),
        ("src/kernel/call/mod.rs", ""),
        ("src/kernel/database/mod.rs", ""),
        ("src/kernel/access/mod.rs", ""),
        ("src/kernel/access/authenticate.sql", ""),
        ("src/kernel/operations/mod.rs", ""),
        ("src/kernel/idempotency/mod.rs", ""),
        ("src/kernel/http/mod.rs", ""),
        ("src/kernel/usage/mod.rs", ""),
        ("src/kernel/dashboards/mod.rs", ""),
    ]
}

#[track_caller]
fn caught(path: &str, text: &str, line: usize) {
    let mut house = house();
    house.push((path, text));
    assert_caught(check, &house, path, line);
}

#[track_caller]
fn passes(path: &str, text: &str) {
    let mut house = house();
    house.push((path, text));
    assert_passes(check, &house);
}

/// What the rule must refuse: (from, to) for every room and every other one on its floor or on the next floor up.
fn forbidden() -> Vec<(&'static str, &'static str)> {
    let beside = FLOORS.iter().flat_map(|rooms| pairs(rooms, rooms));
    let above = FLOORS.windows(2).flat_map(|floors| pairs(floors[0], floors[1]));
    beside.chain(above).collect()
}

fn pairs(from: &'static [&'static str], to: &'static [&'static str]) -> Vec<(&'static str, &'static str)> {
    let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
    pairs.filter(|(from, to)| from != to).collect()
}

#[test]
fn every_room_here_uses_only_the_floors_below() {
    assert_kept_here(check);
}

/// A rule over no arrows keeps itself.
#[test]
fn the_rooms_here_do_use_each_other() {
    let tree = SourceTree::of_this_repository();
    let uses = |room: &str, wanted: &str| {
        tree.rust_under(&format!("src/kernel/{room}/"))
            .any(|file| file.paths.iter().any(|path| path.starts_with(&["crate", "kernel", wanted])))
    };
    for (room, wanted) in [("access", "database"), ("database", "call"), ("usage", "bucket")] {
        assert!(uses(room, wanted), "no arrow was found from {room} to {wanted}");
    }
}

#[test]
fn an_arrow_to_the_same_or_the_next_floor_is_caught() {
    let pairs = forbidden();
    assert_eq!(pairs.len(), 12 + 2 + 2 + 4 + 1 + 1 + 2 + 4 + 4 + 2, "{pairs:?}");
    for (from, to) in pairs {
        let path = format!("src/kernel/{from}/planted.rs");
        caught(&path, &format!("//! Why.\nuse crate::kernel::{to}::X;"), 2);
        caught(&path, &format!("use std::fmt;\nuse super::super::{to};"), 2);
        caught(&path, &format!("use crate::kernel::{{\n    {from}::X,\n    {to}::{{self, Y}},\n}};"), 3);
        caught(&path, &format!("fn f() -> u8 {{\n    crate::kernel::{to}::count()\n}}"), 2);
        caught(&path, &format!("fn f(x: &super::super::{to}::X) {{}}"), 1);
    }
}

#[test]
fn an_arrow_over_several_floors_upwards_is_caught() {
    for (low, rooms) in FLOORS.iter().enumerate() {
        for (from, to) in FLOORS[low + 1..].iter().flat_map(|above| pairs(rooms, above)) {
            caught(&format!("src/kernel/{from}/mod.rs"), &format!("use super::{to}::X;"), 1);
        }
    }
}

#[test]
fn an_arrow_in_a_macro_a_test_or_a_file_that_is_a_room_is_caught() {
    let trace = "src/kernel/call/trace.rs";
    caught(trace, "fn f() {\n tokio::select! { _ = a => crate::kernel::usage::stop(), }\n}", 2);
    caught(trace, "macro_rules! m {\n () => { $crate::kernel::access::find() };\n}", 2);
    caught(trace, "#[cfg(test)]\nmod tests {\n    use super::super::super::database::Tx;\n}", 3);
    caught("src/kernel/clock.rs", "use super::bucket::HalfHour;", 1);
    caught("src/kernel/bucket.rs", "#[cfg(test)]\nmod tests {\n    use super::super::clock;\n}", 3);
    caught("src/kernel/http/body.rs", "use crate::kernel::usage as kept;", 1);
}

#[test]
fn a_file_of_another_room_that_is_included_is_caught() {
    let mod_rs = "src/kernel/database/mod.rs";
    caught(mod_rs, "fn authenticate() { query_file!(\"src/kernel/access/authenticate.sql\", x) }", 1);
    caught(mod_rs, "const X: &str = include_str!(\"../access/authenticate.sql\");", 1);
    caught(mod_rs, "#[path = \"../access/token.rs\"]\nmod token;", 1);
    caught("src/kernel/clock.rs", "include!(\"call/trace.rs\");", 1);
}

#[test]
fn an_arrow_that_hides_its_room_is_caught() {
    let trace = "src/kernel/call/trace.rs";
    for text in [
        "use crate::kernel;",
        "use super::super::*;",
        "use super::super as kernel;",
        "use crate::kernel::Tx;",
        "use crate::*;",
        "use crate::{self as house};",
        "macro_rules! m { ($room:ident) => { crate::kernel::$room::f() } }",
    ] {
        caught(trace, text, 1);
    }
    caught(KERNEL, "pub use database::Tx;", 1);
    caught(KERNEL, "pub use self::{bucket::*};", 1);
}

#[test]
fn arrows_downwards_arrows_within_a_room_and_look_alikes_pass() {
    for (room, below) in FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, rooms)| FLOORS[..floor].iter().flat_map(|below| pairs(rooms, below)).collect::<Vec<_>>())
    {
        passes(&format!("src/kernel/{room}/planted.rs"), &format!("use super::super::{below}::X;"));
    }
    passes("src/kernel/call/trace.rs", "use super::line; use super::super::call::X; use crate::kernel::call::*;");
    passes(
        "src/kernel/call/trace.rs",
        "//! [`crate::kernel::usage`]\npub(in crate::kernel) fn f() { \"crate::kernel::usage\"; }",
    );
    passes("src/kernel/call/trace.rs", "use usage::x; use crate::config::X; fn f(usage: u8) { http::get(usage) }");
    passes("src/kernel/access/token.rs", "fn authenticate() { query_file!(\"src/kernel/access/authenticate.sql\") }");
    passes("src/features/accounts/store.rs", "use crate::kernel::{self, bucket, usage::*};");
}

#[test]
fn every_kernel_file_here_lies_in_a_room() {
    assert_kept_here(check_rooms);
}

#[test]
fn a_file_or_a_folder_without_a_room_is_caught() {
    for path in ["src/kernel/shared.rs", "src/kernel/cache/mod.rs", "src/kernel/find.sql", "src/kernel/buckets.rs"] {
        let mut house = house();
        house.push((path, ""));
        assert_caught(check_rooms, &house, path, 1);
    }
}

#[test]
fn a_room_without_files_is_caught() {
    for room in FLOORS.concat() {
        let mut house = house();
        house.retain(|(path, _)| !path.starts_with(&format!("src/kernel/{room}")));
        assert_caught(check_rooms, &house, KERNEL, 1);
    }
}

#[test]
fn a_map_that_shows_other_floors_is_caught() {
    assert_eq!(floor_of("call"), Some(1));
    for (from, to, line) in [
        ("| 2 | `call`", "| 3 | `call`", 9),
        ("| 2 | `call`", "| 2 | `calls`", 9),
        ("//! | 2 | `call` | f |\n", "", 1),
        ("| 1 | `clock`", "| 1 | `bucket`", 10),
    ] {
        let map = MAP.replace(from, to);
        let mut house = house();
        house[0] = (KERNEL, &map);
        assert_caught(check_rooms, &house, KERNEL, line);
    }
    assert_passes(check_rooms, &house());
}
