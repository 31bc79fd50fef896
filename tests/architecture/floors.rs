//! The floors of the kernel: a room uses the rooms below it, and nothing beside or above it.

use super::rust::{Inclusion, NamedPath, RustFile, Tail};
use super::tree::{SourceTree, Violation};

/// The rooms, from the lowest floor to the highest.
pub(super) const FLOORS: [&[&str]; 7] = [
    &["bucket", "clock", "money", "problem"],
    &["call"],
    &["database"],
    &["access"],
    &["idempotency", "operations"],
    &["http", "usage"],
    &["dialect", "dashboards"],
];

/// The file that declares the rooms, shows the floors, and uses no room.
pub(super) const KERNEL: &str = "src/kernel/mod.rs";

/// A file's room: `src/kernel/call/trace.rs` lies in `call`, and `src/kernel/clock.rs` would be all of `clock`.
pub(super) fn room_of(path: &str) -> Option<&str> {
    let inner = path.strip_prefix("src/kernel/").filter(|_| path != KERNEL)?;
    match inner.split_once('/') {
        Some((room, _)) => Some(room),
        None => inner.split('.').next(),
    }
}

pub(super) fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// No arrow leads from a kernel file to another room on its own floor or on a higher one. What tests name counts too.
pub(super) fn check(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust_under("src/kernel/") {
        for path in named_in(file) {
            if let Some(instead) = objection(&file.path, &path) {
                violations.push(Violation::new(&file.path, path.line, instead));
            }
        }
    }
    violations
}

/// Every path of a file into its own crate, and every file that it pulls in.
fn named_in(file: &RustFile) -> impl Iterator<Item = NamedPath> {
    let included = file.inclusions.iter().filter(|inclusion| inclusion.target.starts_with("src/"));
    file.paths.iter().cloned().chain(included.map(Inclusion::as_path))
}

/// What is wrong with a path named in a kernel file, and what to do instead.
fn objection(file: &str, path: &NamedPath) -> Option<String> {
    let named = path.segments.join("::");
    let below_kernel = path.segments.get(2).map(String::as_str).filter(|_| path.starts_with(&["crate", "kernel"]));
    let whole = matches!(named.as_str(), "crate" | "crate::kernel");
    let hidden = below_kernel.is_some_and(|name| floor_of(name).is_none());
    if whole || hidden {
        let glob = if path.tail == Tail::Glob { "::*" } else { "" };
        return Some(format!("`{named}{glob}` hides which room is used: name the room"));
    }
    let wanted = below_kernel?;
    let Some(room) = room_of(file) else {
        return Some(format!(
            "the kernel's own module declares the rooms and uses none: name `{wanted}` where it is used"
        ));
    };
    // What lies in no room is the other rule's to report.
    let (from, to) = (floor_of(room)?, floor_of(wanted)?);
    if room == wanted || to < from {
        return None;
    }
    let place = if to == from { "beside" } else { "above" };
    Some(format!(
        "`{wanted}` lies {place} `{room}`: hand in what is needed as a value or a function, or move the rule to the \
         floor that it belongs to"
    ))
}

/// Every kernel file lies in a room, every room of the table has files, and the kernel's map shows these floors.
pub(super) fn check_rooms(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, _) in tree.under("src/kernel/").filter(|(path, _)| *path != KERNEL) {
        if room_of(path).and_then(floor_of).is_none() {
            let instead = "this lies in no room: give it to one, or build a room and put it on a floor";
            violations.push(Violation::new(path, 1, instead));
        }
    }
    for room in FLOORS.concat() {
        if !tree.under("src/kernel/").any(|(path, _)| room_of(path) == Some(room)) {
            let instead =
                format!("the room `{room}` is empty, and a rule over no files keeps itself: take it off the floors");
            violations.push(Violation::new(KERNEL, 1, instead));
        }
    }
    let shown = shown_floors(tree.text(KERNEL).unwrap_or_default());
    for room in FLOORS.concat() {
        let floor = floor_of(room).map(|floor| floor + 1);
        let lines: Vec<&Shown<'_>> = shown.iter().filter(|shown| shown.room == room).collect();
        let right = matches!(lines.as_slice(), [shown] if Some(shown.floor) == floor);
        if !right {
            let line = lines.first().map_or(1, |shown| shown.line);
            let instead = format!("the map shows `{room}` once, on floor {}", floor.unwrap_or_default());
            violations.push(Violation::new(KERNEL, line, instead));
        }
    }
    for shown in shown.iter().filter(|shown| floor_of(shown.room).is_none()) {
        violations.push(Violation::new(KERNEL, shown.line, format!("there is no room `{}`", shown.room)));
    }
    violations
}

/// A line of the kernel's map.
struct Shown<'text> {
    floor: usize,
    room: &'text str,
    line: usize,
}

/// The lines that read ``//! | 2 | `call` | … |``.
fn shown_floors(text: &str) -> Vec<Shown<'_>> {
    let lines = text.lines().zip(1..);
    let shown = lines.filter_map(|(line, number)| {
        let mut cells = line.strip_prefix("//! |")?.split('|').map(str::trim);
        let floor = cells.next()?.parse().ok()?;
        let room = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        Some(Shown { floor, room, line: number })
    });
    shown.collect()
}
