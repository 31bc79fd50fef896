//! Plants for the rule that no files name each other in a circle.

use super::circles::{arrows, check};
use super::tree::{SourceTree, assert_kept_here, assert_passes};

const FACADE: &str = "src/features/backfill/mod.rs";
const HANDLER: &str = "src/features/backfill/handler.rs";
const STORE: &str = "src/features/backfill/store.rs";
const JOB: &str = "src/features/backfill/job.rs";

/// Asserts that one circle is found, of exactly these arrows: (from, line, to).
#[track_caller]
fn caught(planted: &[(&str, &str)], expected: &[(&str, usize, &str)]) {
    let found = check(&SourceTree::planted(planted));
    let [circle] = found.as_slice() else { panic!("not one circle but {found:#?}") };
    let printed: Vec<&str> =
        circle.instead.lines().skip(1).map(|line| line.trim().split(" (").next().unwrap_or_default()).collect();
    let expected: Vec<String> = expected.iter().map(|(from, line, to)| format!("{from}:{line} → {to}")).collect();
    assert_eq!(printed, expected);
    assert!(circle.to_string().starts_with(expected[0].split(" →").next().unwrap_or_default()), "{circle}");
}

#[test]
fn no_files_here_name_each_other_in_a_circle() {
    assert_kept_here(check);
}

/// A rule over no arrows keeps itself.
#[test]
fn the_files_here_do_name_each_other() {
    let tree = SourceTree::of_this_repository();
    let arrows = arrows(&tree);
    let count: usize = arrows.values().map(std::collections::BTreeMap::len).sum();
    assert!(arrows.len() >= 100 && count >= 300, "{} files and {count} arrows", arrows.len());
    assert!(arrows["src/app/mod.rs"].contains_key("src/features/accounts/mod.rs"), "{:#?}", arrows["src/app/mod.rs"]);
    assert!(arrows["src/main.rs"].contains_key("src/commands/mod.rs"), "{:#?}", arrows["src/main.rs"]);
}

#[test]
fn two_files_that_name_each_other_are_caught() {
    let circle = [(HANDLER, 1, STORE), (STORE, 2, HANDLER)];
    for handler in [
        "use super::store::find;",
        "use super::store;",
        "use super::store::*;",
        "use crate::features::backfill::{store::{self as s}, job};",
        "fn f() { super::store::find() }",
        "fn f(x: Vec::<crate::features::backfill::store::Row>) {}",
        "fn f() { tokio::select! { _ = a => super::store::find(), } }",
        "mod inner { use super::super::store::find; }",
    ] {
        caught(&[(HANDLER, handler), (STORE, "//! Why.\nuse super::handler::Reply;")], &circle);
    }
}

#[test]
fn three_files_that_name_each_other_are_caught_whole() {
    let planted = [
        (HANDLER, "use super::store::find;"),
        (STORE, "use super::job::Job;\nuse super::handler::Reply;"),
        (JOB, "use super::handler::Reply;"),
        ("src/features/backfill/request.rs", "use super::job::Job;"),
    ];
    caught(&planted, &[(HANDLER, 1, STORE), (JOB, 1, HANDLER), (STORE, 2, HANDLER), (STORE, 1, JOB)]);
    let one_way = [planted[0], (STORE, "use super::job::Job;"), planted[2]];
    caught(&one_way, &[(HANDLER, 1, STORE), (JOB, 1, HANDLER), (STORE, 1, JOB)]);
}

#[test]
fn two_circles_that_share_no_file_are_two() {
    let planted = [
        (HANDLER, "use super::store::find;"),
        (STORE, "use super::handler::Reply;"),
        ("src/kernel/clock.rs", "use super::bucket::X;"),
        ("src/kernel/bucket.rs", "use super::clock::X; use crate::features::backfill::store::find;"),
    ];
    assert_eq!(check(&SourceTree::planted(&planted)).len(), 2);
}

#[test]
fn a_child_that_names_what_its_facade_re_exports_is_caught() {
    let circle = [(HANDLER, 1, FACADE), (FACADE, 2, HANDLER)];
    for facade in ["mod handler;\npub use handler::routes;", "mod handler;\npub(crate) use self::handler::{f, g};"] {
        for handler in ["use super::Job;", "use super::*;", "fn f() { crate::features::backfill::run() }"] {
            caught(&[(FACADE, facade), (HANDLER, handler)], &circle);
        }
    }
    let through = [
        (FACADE, "mod handler; mod store;\npub use store::find;"),
        (STORE, "use super::handler::Reply;"),
        (HANDLER, "use super::find;"),
    ];
    caught(&through, &[(HANDLER, 1, FACADE), (FACADE, 2, STORE), (STORE, 1, HANDLER)]);
}

#[test]
fn a_facade_that_uses_its_child_in_passing_is_caught() {
    let facade = "mod handler;\nfn router() { handler::routes() }";
    caught(&[(FACADE, facade), (HANDLER, "use super::X;")], &[(HANDLER, 1, FACADE), (FACADE, 2, HANDLER)]);
}

#[test]
fn a_circle_through_an_imported_module_is_caught() {
    let parts = "src/features/backfill/parts/mod.rs";
    let row = "src/features/backfill/parts/row.rs";
    for import in
        ["use super::parts;\nfn f() { parts::row::find() }", "use super::parts as p;\nfn f() { p::row::find() }"]
    {
        let planted = [(HANDLER, import), (parts, "pub mod row;"), (row, "use super::super::handler::X;")];
        caught(&planted, &[(HANDLER, 2, row), (row, 1, HANDLER)]);
    }
}

/// A crate within the house is read like a module of it.
#[test]
fn a_circle_within_an_inner_crate_is_caught() {
    let (lib, cluster) = ("src/postgres/lib.rs", "src/postgres/cluster.rs");
    for text in
        ["use crate::Error;", "use super::Error;", "use halfhour::postgres::Error;", "use halfhour_postgres::*;"]
    {
        let planted = [(lib, "mod cluster;\npub use crate::cluster::Cluster;"), (cluster, text), ("src/lib.rs", "")];
        caught(&planted, &[(cluster, 1, lib), (lib, 2, cluster)]);
    }
    let house = ("src/lib.rs", "pub use halfhour_postgres as postgres;");
    let layout = ("src/postgres/layout.rs", "");
    assert_passes(
        check,
        &[house, (lib, "mod cluster;\npub use cluster::Cluster;"), (cluster, "use crate::layout::X;"), layout],
    );
}

#[test]
fn what_is_declared_tested_or_only_said_passes() {
    assert_passes(
        check,
        &[
            (FACADE, "//! [`handler::f`]\npub mod handler; mod store; pub(in crate::features::backfill) mod job;"),
            (HANDLER, "use super::{X, store::find}; use crate::features::backfill::Y;"),
            (
                STORE,
                "//! Not like `super::handler`.\n#[cfg(test)]\n#[expect(unused, reason = \"why\")]\n\
                 pub(crate) mod tests { mod deeper { use super::super::super::handler::f; } }\n\
                 fn f() { \"super::handler::f\"; handler::f(); super_handler::f() }",
            ),
            (JOB, "use self::inner::X; mod inner { use super::Y; }\n#[cfg(test)]\nmod tests { use super::*; }"),
        ],
    );
}

/// `#[cfg(test)]` says something of the item behind it only.
#[test]
fn what_stands_beside_the_tests_counts() {
    let beside = "#[cfg(test)]\nmod tests {}\nmod inner { use super::super::handler::f; }";
    caught(&[(HANDLER, "use super::store::find;"), (STORE, beside)], &[(HANDLER, 1, STORE), (STORE, 3, HANDLER)]);
    let other = "#[cfg(test)]\nfn f() {}\n#[cfg(unix)]\nmod inner { use super::super::handler::f; }";
    caught(&[(HANDLER, "use super::store::find;"), (STORE, other)], &[(HANDLER, 1, STORE), (STORE, 4, HANDLER)]);
}

#[test]
fn arrows_in_one_direction_pass() {
    assert_passes(
        check,
        &[
            ("src/lib.rs", "pub mod features; pub mod kernel;"),
            ("src/main.rs", "fn main() { halfhour::features::backfill::run() }"),
            (FACADE, "mod handler; mod job; mod store; pub use handler::f; pub use job::Job;"),
            (HANDLER, "use super::store::find; use super::job::Job; use crate::kernel::clock::Clock;"),
            (STORE, "use super::job::{self, Job}; fn f() { job::f() }"),
            (JOB, "use std::fmt; use clock::Clock; use super::super::super::kernel::clock;"),
            ("src/kernel/clock.rs", "use features::backfill::x;"),
        ],
    );
}
