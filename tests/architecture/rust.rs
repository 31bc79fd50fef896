//! Reads a Rust file as tokens, so that comments and strings never look like code and macro bodies always do.
//!
//! Tokens rather than a syntax tree, because a path inside `tokio::select! { … }` or `macro_rules!` counts like any other.

use proc_macro2::TokenStream;

use super::rust_reader::Reader;
use super::tree::SourceTree;

/// How a path ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing follows.
    Plain,
    /// `::*`
    Glob,
    /// `as other_name`
    Alias,
}

/// A path as the code means it: `super::x` is resolved, grouped imports are taken apart.
#[derive(Debug, Clone)]
pub(super) struct NamedPath {
    pub(super) segments: Vec<String>,
    pub(super) tail: Tail,
    /// What follows `as`.
    pub(super) alias: Option<String>,
    pub(super) line: usize,
    /// Whether it stands in a module that only tests are built with.
    pub(super) in_tests: bool,
}

impl NamedPath {
    /// Whether the path starts with these segments.
    pub(super) fn starts_with(&self, prefix: &[&str]) -> bool {
        self.segments.len() >= prefix.len()
            && self.segments.iter().zip(prefix).all(|(segment, wanted)| segment == wanted)
    }
}

/// A file pulled in by `include_str!`, `query_file!`, `#[path]` and the like.
#[derive(Debug)]
pub(super) struct Inclusion {
    pub(super) macro_name: String,
    /// From the repository's root.
    pub(super) target: String,
    pub(super) function: Option<String>,
    pub(super) line: usize,
}

impl Inclusion {
    /// What is named by pulling the file in: the module it holds or, for anything but Rust, would hold.
    pub(super) fn as_path(&self) -> NamedPath {
        let segments = module_of(&self.target);
        NamedPath { segments, tail: Tail::Plain, alias: None, line: self.line, in_tests: false }
    }
}

/// A function with a body.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) first_line: usize,
    pub(super) last_line: usize,
}

/// A token that is a name, or one of the signs around it, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flat {
    pub(super) text: String,
    pub(super) line: usize,
}

/// What the rules ask of a Rust file.
#[derive(Debug, Default)]
pub(super) struct RustFile {
    pub(super) path: String,
    pub(super) paths: Vec<NamedPath>,
    pub(super) inclusions: Vec<Inclusion>,
    pub(super) functions: Vec<Function>,
    /// Every token outside of doc comments; a group's delimiters stand as tokens, a string literal as `"text`.
    pub(super) flat: Vec<Flat>,
}

impl RustFile {
    /// Reads one file; the tree tells which relative paths are child modules.
    pub(super) fn read(path: &str, text: &str, tree: &SourceTree) -> Self {
        let stream: TokenStream =
            text.parse().unwrap_or_else(|error| panic!("{path} is not made of Rust tokens: {error}"));
        Reader::new(path, tree).read(stream)
    }

    /// The lines on which a name stands anywhere in the code.
    pub(super) fn lines_naming<'file>(&'file self, name: &'file str) -> impl Iterator<Item = usize> {
        self.flat.iter().filter(move |token| token.text == name).map(|token| token.line)
    }

    /// The string literals outside of doc comments, as (text, line).
    pub(super) fn strings(&self) -> impl Iterator<Item = (&str, usize)> {
        self.flat.iter().filter_map(|token| token.text.strip_prefix('"').map(|text| (text, token.line)))
    }
}

/// The module a file holds: `src/kernel/bucket.rs` is `crate::kernel::bucket`.
pub(super) fn module_of(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    let inner = inner.rsplit_once('.').map_or(inner, |(stem, _)| stem);
    let mut module = vec!["crate".to_owned()];
    module.extend(inner.split('/').map(str::to_owned));
    // A crate within the house (`src/embedded_postgres/lib.rs`) is read like a module of it.
    if module.last().is_some_and(|last| matches!(last.as_str(), "lib" | "main" | "mod")) {
        module.pop();
    }
    module
}
