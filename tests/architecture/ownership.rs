//! Who owns which table: a slice writes its own schema only, and reads the kernel's two besides.

use super::sql_references::{Reference, Use, references};
use super::tree::{SourceTree, Violation, slice_of};

/// Each slice and the schema that is its own, if it has one. A new slice is added here, with its schema.
const OWNERS: [(&str, Option<&str>); 10] = [
    ("accounts", Some("account")),
    ("backfill", Some("backfill")),
    ("dashboard_rollup", Some("rollup")),
    ("ingest_buckets", None),
    ("operations", Some("ops")),
    ("pricing", Some("price")),
    ("speaks_otlp", None),
    ("speaks_tokentracker", None),
    ("speaks_vibe_cafe", None),
    ("speaks_vibeusage", None),
];

const SCHEMAS: [&str; 6] = ["account", "backfill", "ops", "price", "rollup", "usage"];

/// The schemas whose rows every slice and the kernel may read.
const SHARED: [&str; 3] = ["account", "price", "usage"];

/// What one file of SQL may do.
struct Rights<'tree> {
    owner: &'tree str,
    writes: Option<&'tree str>,
}

/// SQL outside of a slice and the kernel belongs to nobody.
fn rights(path: &str) -> Option<Rights<'_>> {
    if path.starts_with("src/kernel/") {
        return Some(Rights { owner: "the kernel", writes: Some("usage") });
    }
    let slice = slice_of(path)?;
    let (_, writes) = OWNERS.into_iter().find(|(owner, _)| *owner == slice)?;
    Some(Rights { owner: slice, writes })
}

pub(super) fn check(tree: &SourceTree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in tree.sql_under("src/") {
        let Some(rights) = rights(path) else {
            let instead = "nobody owns this: put it into the kernel or a slice, and name a new slice in OWNERS";
            violations.push(Violation::new(path, 1, instead));
            continue;
        };
        for reference in references(text, &SCHEMAS) {
            if let Some(instead) = objection(&rights, &reference) {
                violations.push(Violation::new(path, reference.line, instead));
            }
        }
    }
    violations
}

/// What is wrong with a reference, and what to do instead.
fn objection(rights: &Rights<'_>, reference: &Reference) -> Option<String> {
    let Rights { owner, writes } = rights;
    let Reference { usage, schema, name, .. } = reference;
    let Some(schema) = schema.as_deref() else {
        return Some(format!("`{name}` has no schema: write `schema.{name}`, so that its owner can be seen"));
    };
    let own = *writes == Some(schema);
    let allowed = match usage {
        // What is done is written down where it is done, so the audit is the kernel's to add to; nobody rewrites it.
        Use::Write => own || (*owner == "the kernel" && schema == "ops" && name == "audit"),
        Use::Read => own || SHARED.contains(&schema) || schema == "pg_catalog",
        // A function may do what its definer may; those of `account` check secrets, which is the kernel's business. Those of
        // `usage` only compute, as `sql_formulas` sees to, and are for everybody.
        Use::Call if schema == "account" && name == "authenticate" => *owner == "the kernel",
        Use::Call if schema == "account" => own || *owner == "the kernel",
        Use::Call => own || schema == "usage" || schema == "pg_catalog",
    };
    if allowed {
        return None;
    }
    let does = match usage {
        Use::Write => "may not write",
        Use::Read => "may not read",
        Use::Call => "may not call",
    };
    Some(format!(
        "{owner} {does} {schema}.{name}: let its owner do it, and meet it through an outbox event or a kernel function"
    ))
}
