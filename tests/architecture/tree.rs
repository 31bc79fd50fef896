//! The tree of files that the rules judge: this repository, or one made up for a plant.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use super::rust::RustFile;

/// The folders whose Rust and SQL files are judged.
const JUDGED: [&str; 4] = ["src", "migrations", "tests", "benches"];

/// What the fuzzer builds, which git ignores.
const BUILT: &str = "tests/fuzz/target";

/// A broken rule: where, and what to do instead.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Violation {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) instead: String,
}

impl Violation {
    pub(super) fn new(path: &str, line: usize, instead: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, instead: instead.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.instead)
    }
}

/// Files by their path from the repository's root, with `/` between the parts.
#[derive(Default)]
pub(super) struct SourceTree {
    files: BTreeMap<String, String>,
    top_level: Vec<String>,
    rust: OnceCell<Vec<RustFile>>,
}

impl SourceTree {
    /// This repository, as it lies on the disk.
    pub(super) fn of_this_repository() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut tree = Self::default();
        for folder in JUDGED {
            tree.read_folder(root, folder);
        }
        tree.read_file(root, "Cargo.toml");
        tree.top_level = names_in(root);
        tree
    }

    /// A made-up tree: pairs of path and text.
    pub(super) fn planted(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.files.insert((*path).to_owned(), (*text).to_owned());
            let first = path.split('/').next().unwrap_or_default().to_owned();
            if !tree.top_level.contains(&first) {
                tree.top_level.push(first);
            }
        }
        tree
    }

    fn read_folder(&mut self, root: &Path, folder: &str) {
        if !root.join(folder).is_dir() {
            return;
        }
        for name in names_in(&root.join(folder)) {
            let path = format!("{folder}/{name}");
            if path == BUILT {
                continue;
            }
            if root.join(&path).is_dir() {
                self.read_folder(root, &path);
            } else {
                self.read_file(root, &path);
            }
        }
    }

    /// Reads Rust, SQL and TOML; of anything else only the name matters.
    fn read_file(&mut self, root: &Path, path: &str) {
        let judged = [".rs", ".sql", ".toml"].iter().any(|end| path.ends_with(end));
        let text = if judged {
            fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
        } else {
            String::new()
        };
        self.files.insert(path.to_owned(), text);
    }

    pub(super) fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Every file under a folder, as (path, text). The folder ends with `/`, or is empty for all.
    pub(super) fn under<'tree>(&'tree self, folder: &'tree str) -> impl Iterator<Item = (&'tree str, &'tree str)> {
        self.files
            .iter()
            .filter(move |(path, _)| path.starts_with(folder))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The SQL files under a folder, as (path, text).
    pub(super) fn sql_under<'tree>(&'tree self, folder: &'tree str) -> impl Iterator<Item = (&'tree str, &'tree str)> {
        self.under(folder).filter(|(path, _)| has_extension(path, "sql"))
    }

    /// The Rust files under a folder, read into tokens once.
    pub(super) fn rust_under<'tree>(&'tree self, folder: &'tree str) -> impl Iterator<Item = &'tree RustFile> {
        self.rust
            .get_or_init(|| {
                self.under("")
                    .filter(|(path, _)| has_extension(path, "rs"))
                    .map(|(path, text)| RustFile::read(path, text, self))
                    .collect()
            })
            .iter()
            .filter(move |file| file.path.starts_with(folder))
    }

    /// What stands visibly at the top of the repository.
    pub(super) fn top_level(&self) -> &[String] {
        &self.top_level
    }
}

pub(super) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// The folder of a file, without the closing `/`.
pub(super) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The slice a file belongs to, if it lies in a slice's folder.
pub(super) fn slice_of(path: &str) -> Option<&str> {
    let (slice, _) = path.strip_prefix("src/features/")?.split_once('/')?;
    Some(slice)
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> =
        entries.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A rule.
pub(super) type Check = fn(&SourceTree) -> Vec<Violation>;

/// Fails with every violation of the rule in this repository.
#[track_caller]
pub(super) fn assert_kept_here(check: Check) {
    let found: Vec<String> = check(&SourceTree::of_this_repository()).iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Fails unless the rule reports the planted line.
#[track_caller]
pub(super) fn assert_caught(check: Check, planted: &[(&str, &str)], path: &str, line: usize) {
    let found = check(&SourceTree::planted(planted));
    let caught = found.iter().any(|violation| violation.path == path && violation.line == line);
    assert!(caught, "nothing caught at {path}:{line}, only {found:#?}");
}

/// Fails if the rule reports anything in the look-alike.
#[track_caller]
pub(super) fn assert_passes(check: Check, planted: &[(&str, &str)]) {
    let found = check(&SourceTree::planted(planted));
    assert!(found.is_empty(), "a false alarm: {found:#?}");
}
