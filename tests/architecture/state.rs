//! Nothing hides: the environment is read in one file, and state is passed in, never kept in a static.

use super::rust::{RustFile, Tail};
use super::tree::{SourceTree, Violation, assert_caught, assert_kept_here, assert_passes};

/// The only reader of the environment.
const CONFIG: &str = "src/config/mod.rs";

/// Who looks for programs in PATH and hands a short list of variables on to PostgreSQL: none of them configures halfhour.
const STARTS_PROGRAMS: [&str; 2] = ["src/embedded_postgres/binaries.rs", "src/embedded_postgres/launcher.rs"];

/// Where a crate takes a function without state, so that what the function saw can only be left in a static.
const CALLED_BACK: &str = "src/embedded_postgres/download.rs";

/// What of `std::env` reads or changes the environment's variables.
const VARIABLES: [&str; 6] = ["remove_var", "set_var", "var", "var_os", "vars", "vars_os"];

/// Types that change behind a shared reference.
const CHANGES: [&str; 16] = [
    "ArcSwap",
    "Cell",
    "DashMap",
    "Lazy",
    "LazyCell",
    "LazyLock",
    "Mutex",
    "Notify",
    "Once",
    "OnceCell",
    "OnceLock",
    "RefCell",
    "RwLock",
    "Semaphore",
    "SyncUnsafeCell",
    "UnsafeCell",
];

fn check_environment(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in
        tree.rust_under("src/").filter(|file| file.path != CONFIG && !STARTS_PROGRAMS.contains(&file.path.as_str()))
    {
        let variables = file.paths.iter().filter(|path| {
            let Some(env) = path.segments.iter().position(|segment| segment == "env") else {
                return false;
            };
            match &path.segments[env + 1..] {
                // `use std::env as e` or `use std::env::*` would hide the rest.
                [] => path.tail != Tail::Plain,
                [name, ..] => VARIABLES.contains(&name.as_str()),
            }
        });
        let lines = variables.map(|path| path.line).chain(file.lines_naming("envy"));
        let instead = "only config/mod.rs reads the environment: add a field to the configuration and pass it in";
        violations.extend(lines.map(|line| Violation::new(&file.path, line, instead)));
    }
    violations
}

fn check_statics(tree: &SourceTree) -> Vec<Violation> {
    tree.rust_under("src/")
        .filter(|file| file.path != "src/main.rs" && file.path != CALLED_BACK)
        .flat_map(|file| {
            changing_statics(file).into_iter().map(|line| {
                let instead = "state is passed in: make it a field of the state that the app builds";
                Violation::new(&file.path, line, instead)
            })
        })
        .collect()
}

/// The lines of statics that can change. A lifetime is not among the tokens, so `static` is the keyword here.
fn changing_statics(file: &RustFile) -> Vec<usize> {
    let mut lines = Vec::new();
    for (at, token) in file.flat.iter().enumerate() {
        let next = |ahead: usize| file.flat.get(at + ahead).map_or("", |token| token.text.as_str());
        if matches!(token.text.as_str(), "thread_local" | "lazy_static" | "task_local") && next(1) == "!" {
            lines.push(token.line);
        }
        // A static item reads `static NAME:`; a static closure does not.
        let item = token.text == "static" && (next(1) == "mut" || next(2) == ":");
        let mut item_tokens = file.flat[at..].iter().take_while(|token| token.text != ";");
        let changes = |text: &str| text == "mut" || text.starts_with("Atomic") || CHANGES.contains(&text);
        if item && item_tokens.any(|token| changes(&token.text)) {
            lines.push(token.line);
        }
    }
    lines
}

const CLOCK: &str = "src/kernel/clock.rs";

#[test]
fn only_the_configuration_here_reads_the_environment() {
    assert_kept_here(check_environment);
}

#[test]
fn a_file_that_reads_the_environment_is_caught() {
    for text in [
        "fn f() { std::env::var(\"X\") }",
        "use std::env; fn f() { env::vars_os() }",
        "use std::{fmt, env::{self, var}};",
        "use std::env as surroundings;",
        "use std::env::*;",
        "fn f() { envy::from_env::<X>() }",
        "macro_rules! m { () => { ::std::env::var_os(\"X\") } }",
    ] {
        assert_caught(check_environment, &[(CLOCK, text)], CLOCK, 1);
    }
}

#[test]
fn the_configuration_and_harmless_look_alikes_pass() {
    let config = "use std::env; fn f() { env::var(\"X\"); envy::from_env() }";
    let clock = "//! `std::env::var`\nuse std::env; const V: &str = env!(\"CARGO_PKG_VERSION\");\n\
        fn f() { env::temp_dir(); std::env::args(); command.env(\"A\", \"envy\"); let env = var; }";
    assert_passes(check_environment, &[(CONFIG, config), (CLOCK, clock), ("tests/api/main.rs", config)]);
}

#[test]
fn nothing_here_keeps_state_in_a_static() {
    assert_kept_here(check_statics);
}

#[test]
fn a_static_that_can_change_is_caught() {
    for text in [
        "static mut COUNT: u8 = 0;",
        "pub(crate) static X: std::sync::OnceLock<u8> = OnceLock::new();",
        "fn f() { static X: AtomicU64 = AtomicU64::new(0); }",
        "static X: &LazyLock<u8> = &Y;",
        "static X: Outer<RwLock<u8>> = Outer::new();",
        "thread_local! { static X: u8 = 0; }",
        "mod a { static X: Wrapper = Wrapper(Mutex::new(0)); }",
    ] {
        assert_caught(check_statics, &[(CLOCK, text)], CLOCK, 1);
    }
}

#[test]
fn fixed_statics_lifetimes_and_fields_pass() {
    let text = "static NAMES: [&'static str; 1] = [\"Mutex\"]; const X: u8 = 0;\nstruct S<T: 'static> { a: Mutex<T>, b: &'static AtomicU8 }\n\
        fn f(x: &'static str) { let y: Mutex<u8> = Mutex::new(0); g(static || y); }";
    assert_passes(check_statics, &[(CLOCK, text), ("src/main.rs", "static X: OnceLock<u8> = OnceLock::new();")]);
}
