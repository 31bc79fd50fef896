//! What commands say: results to standard output, what went wrong to standard error.

use std::fmt;
use std::io::Write as _;

use anyhow::Context as _;

use crate::kernel::problem::{Problem, Violation};

/// Where results go.
#[derive(Debug)]
pub(super) struct Output {
    /// As JSON, not in words.
    pub(super) json: bool,
}

impl Output {
    /// Writes a result to standard output. Errors: standard output is closed.
    pub(super) fn write(&self, json: &serde_json::Value, words: impl fmt::Display) -> anyhow::Result<()> {
        let mut stdout = std::io::stdout().lock();
        let written = if self.json { writeln!(stdout, "{json}") } else { writeln!(stdout, "{words}") };
        written.context("the result could not be written to standard output")
    }
}

/// Says what went wrong, with its causes.
pub(super) fn complain(error: &anyhow::Error) {
    // When standard error is gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr().lock(), "halfhour: {}", in_full(error));
}

/// An error with its causes, but for those that it has said itself.
fn in_full(error: &anyhow::Error) -> String {
    let mut words = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !words.contains(&cause) {
            words.extend([": ", &cause]);
        }
    }
    words
}

/// A problem in words, for people at a terminal: with its cause, which an operator may see.
pub(super) fn explain(problem: &Problem) -> anyhow::Error {
    let body = problem.body(uuid::Uuid::nil(), "");
    let words: Vec<_> = body.errors.iter().map(in_words).collect();
    let words = if words.is_empty() { body.detail } else { words.join(" ") };
    match problem.source_chain() {
        Some(cause) => anyhow::anyhow!("{words} ({cause})"),
        None => anyhow::anyhow!("{words}"),
    }
}

/// With the name of what it is about, where it has one.
fn in_words(violation: &Violation) -> String {
    match violation.pointer.trim_start_matches(['?', '/']) {
        "" => violation.detail.clone(),
        name => format!("{name}: {}", violation.detail),
    }
}

/// A table, its columns as wide as they need to be.
pub(super) fn table(head: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_unless_they_were_said() {
        let taken = || anyhow::anyhow!("address in use");
        assert_eq!(
            in_full(&taken().context("cannot listen").context("no start")),
            "no start: cannot listen: address in use"
        );
        assert_eq!(
            in_full(&taken().context("cannot listen: address in use; stop it")),
            "cannot listen: address in use; stop it"
        );
        assert_eq!(in_full(&taken()), "address in use");
    }
}
