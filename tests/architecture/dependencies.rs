//! Who may name whom: the kernel names no feature, features do not name each other, only the composition root names all.

use super::rust::{NamedPath, RustFile};
use super::tree::{SourceTree, Violation, slice_of};

/// The files that put the house together: the server, and the operator's commands.
const COMPOSITION_ROOT: [&str; 2] = ["app", "commands"];

/// The part of the house a file belongs to.
enum Zone<'tree> {
    Kernel,
    Slice(&'tree str),
    /// `src/features/mod.rs`, which declares the slices.
    Features,
    CompositionRoot,
    Other,
}

fn zone(path: &str) -> Zone<'_> {
    let root = COMPOSITION_ROOT
        .iter()
        .any(|name| path == format!("src/{name}.rs") || path.starts_with(&format!("src/{name}/")));
    match slice_of(path) {
        _ if root => Zone::CompositionRoot,
        Some(slice) => Zone::Slice(slice),
        None if path == "src/features/mod.rs" => Zone::Features,
        None if path.starts_with("src/features/") => Zone::Slice(""),
        None if path.starts_with("src/kernel/") => Zone::Kernel,
        None => Zone::Other,
    }
}

pub(super) fn check(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust_under("src/") {
        let zone = zone(&file.path);
        for path in &file.paths {
            if let Some(instead) = objection(&zone, path) {
                violations.push(Violation::new(&file.path, path.line, instead));
            }
        }
        for inclusion in &file.inclusions {
            let inside = inclusion.target.starts_with("src/");
            let path = inclusion.as_path();
            if let Some(instead) = objection(&zone, &path).filter(|_| inside) {
                violations.push(Violation::new(&file.path, inclusion.line, instead));
            }
        }
        renamed_crate(file, &mut violations);
    }
    violations
}

/// What is wrong with a path named in a zone, and what to do instead.
fn objection(zone: &Zone<'_>, path: &NamedPath) -> Option<String> {
    let named = path.segments.join("::");
    let wholesale = named == "crate" && !matches!(zone, Zone::CompositionRoot);
    if wholesale {
        return Some("the whole crate under another name hides what is used: name the module itself".to_owned());
    }
    if named.starts_with("crate::$") {
        return Some(format!("`{named}` hides what is used: write the module's name"));
    }
    let root = COMPOSITION_ROOT.iter().any(|name| path.starts_with(&["crate", name]));
    let features = path.starts_with(&["crate", "features"]);
    match zone {
        Zone::Kernel if features || root => Some(format!(
            "the kernel may not name {named}: pass it in as a value or a function, or move the rule into the kernel"
        )),
        Zone::Slice(_) | Zone::Features if root => Some(format!(
            "a slice may not name {named}: state what it needs as a `FromRef` bound, and let the app provide it"
        )),
        Zone::Slice(own) if features && !path.starts_with(&["crate", "features", own]) => Some(format!(
            "{named} is not {own}'s own: meet the other slice through an outbox event, a kernel schema, or a function \
             that the composition root hands over"
        )),
        Zone::Other if features => Some(format!(
            "only the composition root ({}) names features, not {named}: wire it there",
            COMPOSITION_ROOT.join(", ")
        )),
        _ => None,
    }
}

/// `extern crate self as house;` would make every path unreadable to this test.
fn renamed_crate(file: &RustFile, violations: &mut Vec<Violation>) {
    for window in file.flat.windows(3) {
        let [first, second, third] = window else {
            continue;
        };
        if (first.text.as_str(), second.text.as_str(), third.text.as_str()) == ("extern", "crate", "self") {
            let instead = "the crate under another name hides what is used: write `crate::…`";
            violations.push(Violation::new(&file.path, first.line, instead));
        }
    }
}
