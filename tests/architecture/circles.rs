//! No files of `src` name each other in a circle: what a file is built on can then be read before it.
//!
//! An arrow leads from a file to the file of the module in which a name lies that it imports or writes out, wherever it
//! is declared in the end: `use super::X` leads to the façade, and the façade's `pub use child::X` leads on to the child.
//! `mod child;` is no arrow, and neither is what tests name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::rust::{Inclusion, NamedPath, RustFile, Tail, module_of};
use super::tree::{SourceTree, Violation};

/// The files by the module that each holds.
type Modules<'tree> = BTreeMap<Vec<String>, &'tree str>;

/// For each file the files that it names: where it does so first, and what it names there.
type Arrows<'tree> = BTreeMap<&'tree str, BTreeMap<&'tree str, (usize, String)>>;

pub(super) fn check(tree: &SourceTree) -> Vec<Violation> {
    let arrows = arrows(tree);
    let circles = circles(&arrows);
    circles.iter().map(|circle| violation(&arrows, circle)).collect()
}

pub(super) fn arrows(tree: &SourceTree) -> Arrows<'_> {
    let modules: Modules<'_> = tree
        .rust_under("src/")
        // The binary is a crate of its own, which nobody names.
        .filter(|file| file.path != "src/main.rs")
        .map(|file| (module_of(&file.path), file.path.as_str()))
        .collect();
    tree.rust_under("src/").map(|file| (file.path.as_str(), arrows_from(file, &modules))).collect()
}

fn arrows_from<'tree>(file: &'tree RustFile, modules: &Modules<'tree>) -> BTreeMap<&'tree str, (usize, String)> {
    let imported = imported_modules(file, modules);
    let included = file.inclusions.iter().filter(|inclusion| inclusion.macro_name == "include").map(Inclusion::as_path);
    let mut arrows = BTreeMap::new();
    for path in file.paths.iter().filter(|path| !path.in_tests).cloned().chain(included) {
        let segments = through_imports(path.segments, &imported);
        if let Some(target) = file_of(&segments, modules).filter(|target| *target != file.path) {
            let glob = if path.tail == Tail::Glob { "::*" } else { "" };
            arrows.entry(target).or_insert_with(|| (path.line, segments.join("::") + glob));
        }
    }
    arrows
}

/// The modules that a file imports whole, by the name that they have there.
fn imported_modules<'file>(file: &'file RustFile, modules: &Modules<'_>) -> BTreeMap<&'file str, &'file [String]> {
    let whole = |path: &&NamedPath| path.tail != Tail::Glob && modules.contains_key(&path.segments);
    let imports = file.paths.iter().filter(whole);
    imports.filter_map(|path| Some((path.alias.as_ref().or(path.segments.last())?.as_str(), &*path.segments))).collect()
}

/// `store::find` behind `use super::store;` is `crate::…::store::find`.
fn through_imports(segments: Vec<String>, imported: &BTreeMap<&str, &[String]>) -> Vec<String> {
    match imported.get(segments[0].as_str()) {
        Some(module) => module.iter().chain(&segments[1..]).cloned().collect(),
        None => segments,
    }
}

/// The file of the innermost module on a path.
fn file_of<'tree>(segments: &[String], modules: &Modules<'tree>) -> Option<&'tree str> {
    (1..=segments.len()).rev().find_map(|length| modules.get(&segments[..length]).copied())
}

/// The sets of files of which each leads to every other one.
fn circles<'tree>(arrows: &Arrows<'tree>) -> Vec<BTreeSet<&'tree str>> {
    let ahead: BTreeMap<&str, BTreeSet<&str>> = arrows.keys().map(|file| (*file, reached(arrows, file))).collect();
    let round = |file: &&'tree str| {
        let others = ahead[file].iter().filter(|other| ahead[*other].contains(file));
        others.copied().collect::<BTreeSet<&'tree str>>()
    };
    let found: BTreeSet<BTreeSet<&str>> = arrows.keys().map(round).filter(|found| !found.is_empty()).collect();
    found.into_iter().collect()
}

fn reached<'tree>(arrows: &Arrows<'tree>, file: &str) -> BTreeSet<&'tree str> {
    let mut reached = BTreeSet::new();
    let mut ahead: Vec<&str> = arrows[file].keys().copied().collect();
    while let Some(next) = ahead.pop() {
        if reached.insert(next) {
            ahead.extend(arrows[next].keys());
        }
    }
    reached
}

/// Says which files and which arrows make the circle.
fn violation(arrows: &Arrows<'_>, circle: &BTreeSet<&str>) -> Violation {
    let mut lines = Vec::new();
    for from in circle {
        for (to, (line, named)) in arrows[from].iter().filter(|(to, _)| circle.contains(*to)) {
            lines.push((*from, *to, *line, named));
        }
    }
    let (first, _, line, _) = lines[0];
    let mut instead = format!("these {} files name each other in a circle: ", circle.len());
    instead += "let a façade's children name their siblings, or move what is shared into a file below both";
    for (from, to, line, named) in lines {
        let _ = write!(instead, "\n    {from}:{line} → {to} ({named})");
    }
    Violation::new(first, line, instead)
}
