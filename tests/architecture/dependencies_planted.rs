//! Plants for the rule of who may name whom.

use super::dependencies::check;
use super::tree::{SourceTree, assert_caught, assert_kept_here, assert_passes};

const CLOCK: &str = "src/kernel/clock.rs";
const HANDLER: &str = "src/features/backfill/handler.rs";
const SLICE: &str = "src/features/backfill/mod.rs";

/// Plants one file into a small house.
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

fn house() -> Vec<(&'static str, &'static str)> {
    vec![
        ("src/lib.rs", "mod features; mod kernel; pub mod app;"),
        ("src/app.rs", "use crate::features::{accounts, backfill};"),
        ("src/features/mod.rs", "pub(crate) mod accounts; pub(crate) mod backfill;"),
        ("src/features/accounts/mod.rs", ""),
        ("src/features/accounts/find_user.sql", ""),
        ("src/kernel/mod.rs", ""),
    ]
}

#[test]
fn everyone_here_names_only_whom_they_may() {
    assert_kept_here(check);
}

/// A rule over no files keeps itself.
#[test]
fn the_house_is_not_empty() {
    let tree = SourceTree::of_this_repository();
    let slices: std::collections::BTreeSet<&str> =
        tree.rust_under("src/features/").filter_map(|file| super::tree::slice_of(&file.path)).collect();
    assert!(slices.len() >= 2, "only these slices were found: {slices:?}");
    assert!(tree.rust_under("src/kernel/").count() >= 5, "the kernel was not found");
    assert!(tree.sql_under("src/").count() >= 5, "the statements were not found");
    assert!(tree.sql_under("migrations/").count() >= 1, "the migrations were not found");
    assert!(tree.rust_under("src/").any(|file| file.paths.len() >= 5), "no paths were found");
}

#[test]
fn a_kernel_file_that_imports_a_feature_is_caught() {
    caught(CLOCK, "//! Why.\nuse crate::features::accounts;", 2);
    caught(CLOCK, "use super::super::features::accounts::find;", 1);
    caught(CLOCK, "use crate::{\n    kernel::x,\n    features::accounts::{self, find},\n};", 3);
    caught(CLOCK, "use crate::{kernel::{a, b}, features};", 1);
    caught(CLOCK, "use crate::r#features::accounts;", 1);
    caught("src/kernel/mod.rs", "pub use super::features::*;", 1);
}

#[test]
fn a_kernel_file_that_names_the_app_is_caught() {
    caught(CLOCK, "fn f(state: &crate::app::State) {}", 1);
    caught(CLOCK, "fn f() { crate::commands::run(); }", 1);
    caught(CLOCK, "mod inner { mod tests { use super::super::super::super::app; } }", 1);
}

#[test]
fn a_slice_that_imports_its_sibling_is_caught() {
    caught(HANDLER, "use crate::features::accounts::find;", 1);
    caught(HANDLER, "use super::super::accounts;", 1);
    caught(SLICE, "use super::accounts;", 1);
    caught(SLICE, "use self::super::accounts as store;", 1);
    caught(HANDLER, "use {std::fmt, super::super::{accounts::find}};", 1);
    caught(HANDLER, "#[cfg(test)]\nmod tests {\n    use super::super::super::accounts;\n}", 3);
}

#[test]
fn a_slice_that_uses_what_the_features_re_export_is_caught() {
    caught(HANDLER, "use crate::features::*;", 1);
    caught(HANDLER, "use crate::features as all;", 1);
    caught(SLICE, "use super::*;", 1);
    caught(HANDLER, "use crate::features::find_user;", 1);
}

#[test]
fn a_path_outside_of_an_import_is_caught() {
    caught(HANDLER, "fn f() -> u8 {\n    crate::features::accounts::count()\n}", 2);
    caught(HANDLER, "fn f(x: Vec::<super::super::accounts::User>) {}", 1);
    caught(HANDLER, "impl From<crate::app::State> for X {}", 1);
    caught(HANDLER, "#[derive(A)]\n#[serde(with = \"x\", bound(crate::features::accounts::X))]\nstruct X;", 2);
}

#[test]
fn a_path_inside_a_macro_is_caught() {
    caught(HANDLER, "fn f() {\n tokio::select! { _ = a => crate::features::accounts::stop(), }\n}", 2);
    caught(CLOCK, "macro_rules! m {\n () => { $crate::features::accounts::find() };\n}", 2);
    caught(CLOCK, "macro_rules! m { ($x:ident) => { crate::$x::accounts() } }", 1);
}

#[test]
fn the_crate_under_another_name_is_caught() {
    caught(HANDLER, "use crate::*;", 1);
    caught(HANDLER, "use crate as house;", 1);
    caught(HANDLER, "use crate::{self as house};", 1);
    caught(CLOCK, "use super::super::*;", 1);
    caught("src/lib.rs", "extern crate self as house;", 1);
    caught(CLOCK, "use halfhour::features::accounts;", 1);
}

#[test]
fn a_file_of_another_slice_that_is_included_is_caught() {
    caught(HANDLER, "const X: &str = include_str!(\"../accounts/find_user.sql\");", 1);
    caught(HANDLER, "fn f() { query_file!(\"src/features/accounts/find_user.sql\", id) }", 1);
    caught(HANDLER, "fn f() { sqlx::query_file_as!(Row, \"./src/features/x/../accounts/find_user.sql\") }", 1);
    caught(SLICE, "#[path = \"../accounts/mod.rs\"]\nmod borrowed;", 1);
    caught(SLICE, "#[cfg_attr(unix, path = \"../accounts/mod.rs\")]\nmod borrowed;", 1);
    caught(CLOCK, "include!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/src/app.rs\"));", 1);
    caught(CLOCK, "const X: &[u8] = include_bytes!(\"../features/accounts/find_user.sql\");", 1);
}

#[test]
fn a_feature_named_outside_of_the_composition_root_is_caught() {
    caught("src/config/mod.rs", "use crate::features::accounts::Limit;", 1);
    caught("src/lib.rs", "mod features;\npub use features::accounts::find;", 2);
    caught("src/main.rs", "fn main() { halfhour::features::accounts::run() }", 1);
    caught("src/features/mod.rs", "use crate::app::State;", 1);
    caught("src/features/shared.rs", "use super::accounts;", 1);
}

#[test]
fn the_composition_root_may_name_all() {
    passes("src/commands.rs", "use crate::features::{accounts, backfill}; fn f() { crate::app::run() }");
    passes("src/commands/user.rs", "use crate::features::accounts;");
    passes("src/app.rs", "use crate::features::{self, accounts}; use crate::commands;");
    passes("src/features/mod.rs", "pub(crate) mod accounts; pub(crate) use accounts::find;");
}

#[test]
fn comments_strings_and_look_alikes_pass() {
    passes(
        HANDLER,
        "//! Unlike [`crate::features::accounts`], this\n/// does not import `crate::app`.\n#[doc = \"crate::app\"]\n\
         // use crate::app;\npub(in crate::features) fn f() -> &'static str { \"crate::features::accounts\" }",
    );
    passes(HANDLER, "use super::store::{self, *}; use super::request; use crate::features::backfill::X;");
    passes(HANDLER, "mod tests { use super::*; use super::super::store; }");
    passes(HANDLER, "use accounts::x; use features::y; use other::app::z; fn f(app: u8) { app::x(); self.app }");
    passes(CLOCK, "use crate::{kernel::db, config}; use super::super::kernel::db; use crate::application::x;");
    passes(
        SLICE,
        "#[utoipa::path(get, path = \"../accounts/mod.rs\")]\nfn f() { sqlx::query_file!(\"src/features/backfill/a.sql\") }",
    );
    passes("src/main.rs", "use halfhour::{app, config};");
}
