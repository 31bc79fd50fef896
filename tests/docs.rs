//! Keeps the documents true: what they list is compared with the code, and their links lead somewhere. Each check is a
//! pure function on text, and is shown a planted mistake, because a check that catches nothing proves nothing.

#[path = "docs/names.rs"]
mod names;
#[path = "docs/observability.rs"]
mod observability;
#[path = "docs/problems.rs"]
mod problems;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use halfhour::config::VARIABLES;
use halfhour::features::operations::METRICS;

const ROLES: [&str; 3] = ["halfhour_api", "halfhour_worker", "halfhour_auth"];

/// Published by the composition root, without an attribute of their own.
const WITHOUT_ATTRIBUTE: [&str; 2] = ["GET /openapi.json", "GET /docs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files of a folder and below that end in `.extension`, as path and text.
fn files(folder: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

fn joined(files: &[(PathBuf, String)]) -> String {
    files.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n")
}

/// The section under a heading, up to the next heading of the same or a higher level.
fn section<'a>(markdown: &'a str, heading: &str) -> &'a str {
    let start = markdown.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("there is no {heading:?}"));
    let body = &markdown[start + heading.len() + 2..];
    let level = heading.bytes().take_while(|byte| *byte == b'#').count();
    let ends = (1..=level).filter_map(|level| body.find(&format!("\n{} ", "#".repeat(level))));
    &body[..ends.min().unwrap_or(body.len())]
}

/// The cells of each row of a section's tables whose first cell has something in backticks.
fn rows(section: &str) -> Vec<Vec<&str>> {
    let rows = section.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    let rows = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    rows.filter(|cells| cells[0].contains('`')).collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// What only one of two lists has.
fn differences(code: &BTreeSet<String>, document: &BTreeSet<String>) -> Vec<String> {
    let undocumented = code.difference(document).map(|name| format!("{name} is not documented"));
    undocumented.chain(document.difference(code).map(|name| format!("{name} is not in the code"))).collect()
}

fn documented_variables(architecture: &str) -> BTreeSet<String> {
    rows(section(architecture, "## Environment")).iter().flat_map(|cells| quoted(cells[0])).map(str::to_owned).collect()
}

/// `HALFHOUR_POOL_INGEST 2` for every variable whose default is a number.
fn documented_numbers(architecture: &str) -> BTreeSet<String> {
    let rows = rows(section(architecture, "## Environment"));
    let number = |cells: &Vec<&str>| Some(format!("{} {}", quoted(cells[0]).next()?, cells[1].parse::<u32>().ok()?));
    rows.iter().filter_map(number).collect()
}

/// The same from `#HALFHOUR_POOL_INGEST=2` in `.env.example`.
fn numbers(example: &str) -> BTreeSet<String> {
    let assignments = example.lines().filter_map(|line| line.trim_start_matches('#').split_once('='));
    assignments.filter_map(|(name, value)| Some(format!("{name} {}", value.parse::<u32>().ok()?))).collect()
}

/// `POST /v1/buckets` for every row of the route table, and for every path in it.
fn documented_routes(architecture: &str) -> BTreeSet<String> {
    let rows = rows(section(architecture, "## Routes"));
    let routes = rows.iter().flat_map(|cells| {
        let method = cells[0].split(' ').next().unwrap_or_default();
        quoted(cells[0]).map(move |path| format!("{method} {path}"))
    });
    routes.filter(|route| !WITHOUT_ATTRIBUTE.contains(&route.as_str())).collect()
}

/// The same from the attributes `#[utoipa::path(post, path = "/v1/buckets", …)]`.
fn routes(rust: &str) -> BTreeSet<String> {
    let attributes = rust.split("#[utoipa::path(").skip(1);
    let route = |attribute: &str| {
        let method = attribute.trim_start().split(',').next()?.to_uppercase();
        let path = attribute.split("path = \"").nth(1)?.split('"').next()?;
        Some(format!("{method} {path}"))
    };
    attributes.filter_map(route).collect()
}

/// `usage.bucket halfhour_api select, insert, update` for every cell of the table of tables.
fn documented_grants(architecture: &str) -> BTreeSet<String> {
    let rows = rows(section(architecture, "## Who may do what in the database"));
    let mut grants = BTreeSet::new();
    for cells in rows.iter().filter(|cells| cells[0].contains('.') && cells.len() == 1 + ROLES.len()) {
        for table in quoted(cells[0]) {
            grants.insert(table.to_owned());
            let granted =
                ROLES.iter().zip(&cells[1..]).filter_map(|(role, cell)| Some((role, cell.split_once(": ")?.1)));
            grants.extend(granted.map(|(role, privileges)| format!("{table} {role} {privileges}")));
        }
    }
    grants
}

/// The same from `create table`, `create view`, `grant … on …` and `revoke … on …`; functions go by their name.
fn grants(sql: &str) -> BTreeSet<String> {
    let mut grants = BTreeSet::new();
    let mut privileges = Privileges::new();
    let code: String = sql.lines().filter(|line| !line.starts_with("--")).flat_map(|line| [line, "\n"]).collect();
    for statement in code.split(';') {
        let statement = &statement.split_whitespace().collect::<Vec<_>>().join(" ");
        revoke(&mut privileges, statement);
        let created = ["create table ", "create view "].iter().find_map(|words| statement.strip_prefix(words));
        grants.extend(created.and_then(|rest| rest.split_whitespace().next()).map(str::to_owned));
        let Some((what, rest)) = statement.strip_prefix("grant ").and_then(|rest| rest.split_once(" on ")) else {
            continue;
        };
        let Some((tables, roles)) = rest.split_once(" to ") else { continue };
        let function = tables.strip_prefix("function ").and_then(|function| function.split('(').next());
        grants.extend(function.map(str::to_owned));
        let tables = function.unwrap_or(tables);
        for table in tables.split(',').map(str::trim).filter(|table| table.contains('.') && !table.contains(' ')) {
            for role in roles.split(',').map(str::trim) {
                let known = privileges.entry((table.to_owned(), role.to_owned())).or_default();
                let new: Vec<_> = what.split(',').map(|privilege| privilege.trim().to_owned()).collect();
                known.retain(|granted| !new.contains(granted));
                known.extend(new);
            }
        }
    }
    let cell = |((table, role), what): (_, Vec<String>)| format!("{table} {role} {}", what.join(", "));
    grants.extend(privileges.into_iter().map(cell));
    grants
}

/// What a role may do with a table.
type Privileges = BTreeMap<(String, String), Vec<String>>;

/// Takes away what `revoke select, insert on a.b, a.c from role` names.
fn revoke(privileges: &mut Privileges, statement: &str) {
    let Some((what, rest)) = statement.strip_prefix("revoke ").and_then(|rest| rest.split_once(" on ")) else { return };
    let Some((tables, roles)) = rest.split_once(" from ") else { return };
    for table in tables.split(',').map(str::trim) {
        for role in roles.split(',').map(str::trim) {
            if let Some(known) = privileges.get_mut(&(table.to_owned(), role.to_owned())) {
                known.retain(|privilege| !what.split(',').any(|revoked| revoked.trim() == privilege));
            }
        }
    }
}

/// The metrics of the table in `docs/operations.md`.
fn documented_metrics(operations: &str) -> BTreeSet<String> {
    let rows = rows(section(operations, "## Metrics"));
    rows.iter().filter(|cells| cells.len() == 4).flat_map(|cells| quoted(cells[0])).map(str::to_owned).collect()
}

/// The metrics that code records: `metrics::counter!("halfhour_…"`.
fn recorded_metrics(rust: &str) -> BTreeSet<String> {
    let macros = ["counter!(\"", "gauge!(\"", "histogram!(\""];
    let recorded = macros.iter().flat_map(|name| rust.split(name).skip(1)).filter_map(|rest| rest.split('"').next());
    recorded.map(str::to_owned).collect()
}

/// The tests that a document names: `a_bucket_sent_twice_is_stored_once`. Nothing else has so many underscores.
fn named_tests(markdown: &str) -> BTreeSet<String> {
    let is_test = |word: &&str| {
        let plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        plain && !word.starts_with("halfhour_") && word.matches('_').count() >= 4
    };
    markdown.lines().flat_map(quoted).filter(is_test).map(str::to_owned).collect()
}

fn missing_tests(markdown: &str, rust: &str) -> Vec<String> {
    named_tests(markdown).into_iter().filter(|name| !rust.contains(&format!("fn {name}("))).collect()
}

/// Targets of `[text](target)` and of `<img src="target">`, outside of code.
fn links(markdown: &str) -> Vec<String> {
    let mut in_code = false;
    let mut links = Vec::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            let prose: String = line.split('`').step_by(2).collect();
            links.extend(prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())));
            links.extend(prose.split("src=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    links
}

/// As GitHub makes them from headings.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    headings.map(anchor).collect()
}

/// Relative links that lead nowhere. `read` gives the text of a file, or nothing where there is none.
fn dead_links(from: &Path, markdown: &str, read: impl Fn(&Path) -> Option<String>) -> Vec<String> {
    let is_dead = |link: &String| {
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = if file.is_empty() { from.to_owned() } else { from.with_file_name("").join(file) };
        let found = read(&target);
        found.is_none_or(|text| !anchor.is_empty() && !anchors(&text).contains(anchor))
    };
    links(markdown).into_iter().filter(|link| !link.contains("://")).filter(is_dead).collect()
}

fn documents() -> Vec<(PathBuf, String)> {
    let mut documents = files("docs", "md");
    documents.extend(files("tests", "md"));
    documents.push((root().join("README.md"), text("README.md")));
    documents
}

const NONE: [&str; 0] = [];

#[test]
fn every_variable_is_documented_with_its_default_and_no_other_is() {
    let code = VARIABLES.map(str::to_owned).into();
    assert_eq!(differences(&code, &documented_variables(&text("docs/architecture.md"))), NONE);
    let example = numbers(&text(".env.example"));
    assert!(example.len() > 4, "only {example:?} were found");
    assert_eq!(differences(&example, &documented_numbers(&text("docs/architecture.md"))), NONE);
}

#[test]
fn a_variable_or_default_that_is_missing_invented_or_wrong_is_caught() {
    let wrong = text("docs/architecture.md").replace("| `HALFHOUR_BIND` |", "| `HALFHOUR_BNID` |");
    let found = differences(&VARIABLES.map(str::to_owned).into(), &documented_variables(&wrong));
    assert_eq!(found, ["HALFHOUR_BIND is not documented", "HALFHOUR_BNID is not in the code"]);
    let document = "\n## Environment\n| `A` | 1 | |\n| `B` | text | |\n";
    let found = differences(&numbers("# A note: x=1.\n#A=2\nB=text\n"), &documented_numbers(document));
    assert_eq!(found, ["A 2 is not documented", "A 1 is not in the code"]);
}

#[test]
fn every_route_is_in_the_route_table_and_no_other_is() {
    let code = routes(&joined(&files("src", "rs")));
    assert!(code.len() > 5, "only {code:?} were found");
    assert_eq!(differences(&code, &documented_routes(&text("docs/architecture.md"))), NONE);
}

#[test]
fn a_route_that_is_missing_or_invented_is_caught() {
    let rust = "#[utoipa::path(\n    get,\n    path = \"/v1/new\",\n)]\n#[utoipa::path(post, path = \"/v1/old\")]";
    let document = "\n## Routes\n\n| route | who |\n|---|---|\n| GET `/v1/old` | none |\n| GET `/docs` | none |\n\n## Next\n| GET `/v1/new` | |";
    let found = differences(&routes(rust), &documented_routes(document));
    assert_eq!(
        found,
        ["GET /v1/new is not documented", "POST /v1/old is not documented", "GET /v1/old is not in the code"]
    );
}

#[test]
fn every_table_and_function_is_documented_with_its_grants_and_no_other_is() {
    let code = grants(&joined(&files("migrations", "sql")));
    assert!(code.len() > 20, "only {code:?} were found");
    assert_eq!(differences(&code, &documented_grants(&text("docs/architecture.md"))), NONE);
}

#[test]
fn a_table_or_a_grant_that_is_missing_or_invented_is_caught() {
    let sql = "create table a.b (\n x int);\n-- grant delete on a.b to halfhour_api;\ngrant select on a.b, a.c to halfhour_api;\n\
        grant usage on schema a to halfhour_auth;\ngrant execute on function a.f(int, text) to halfhour_api;";
    let document =
        "\n## Who may do what in the database\n| `a.b` | named: select, insert | – | – |\n| `a.d` | – | – | – |\n";
    let found = differences(&grants(sql), &documented_grants(document));
    assert_eq!(
        found,
        [
            "a.b halfhour_api select is not documented",
            "a.c halfhour_api select is not documented",
            "a.f is not documented",
            "a.f halfhour_api execute is not documented",
            "a.b halfhour_api select, insert is not in the code",
            "a.d is not in the code",
        ]
    );
}

#[test]
fn every_metric_is_described_and_documented_and_no_other_is() {
    let described: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    let rust = joined(&files("src", "rs"));
    let spread_over_lines: String = rust.split_whitespace().collect::<Vec<_>>().join(" ").replace("!( \"", "!(\"");
    assert_eq!(differences(&recorded_metrics(&spread_over_lines), &described), NONE, "recorded, and in METRICS");
    assert_eq!(differences(&described, &documented_metrics(&text("docs/operations.md"))), NONE);
}

#[test]
fn a_metric_that_is_missing_or_invented_is_caught() {
    let rust = "metrics::counter!(\"a_total\", \"x\" => 1); metrics::gauge!(\"b\"); histogram!(\"c_seconds\")";
    let document = "\n## Metrics\n| `a_total` | counter | | |\n| `d` | gauge | | |\n| `b` | promise |\n";
    let found = differences(&recorded_metrics(rust), &documented_metrics(document));
    assert_eq!(found, ["b is not documented", "c_seconds is not documented", "d is not in the code"]);
}

#[test]
fn every_test_that_a_document_names_exists() {
    let rust = joined(&files("tests", "rs")) + &joined(&files("src", "rs"));
    assert!(named_tests(&text("README.md")).len() > 8);
    for (path, markdown) in documents() {
        assert_eq!(missing_tests(&markdown, &rust), NONE, "in {}", path.display());
    }
}

#[test]
fn a_test_that_does_not_exist_is_caught() {
    let markdown =
        "| `a_bucket_sent_twice_is_lost` | `a_bucket_sent_twice_is_stored` | `cache_write_5m_tokens` | `too_old` |";
    let rust = "fn a_bucket_sent_twice_is_stored() {} fn a_bucket_sent_twice_is_lost_never() {}";
    assert_eq!(missing_tests(markdown, rust), ["a_bucket_sent_twice_is_lost"]);
}

#[test]
fn every_relative_link_leads_somewhere() {
    let read = |path: &Path| path.exists().then(|| fs::read_to_string(path).unwrap_or_default());
    assert!(documents().len() > 6);
    for (path, markdown) in documents() {
        assert_eq!(dead_links(&path, &markdown, read), NONE, "in {}", path.display());
    }
}

#[test]
fn a_link_that_leads_nowhere_is_caught() {
    let markdown = "# Here\n[a](b.md) [c](d.md#two-words) [e](d.md#three) [f](#here) [g](#gone) [h](https://x.example/y)\n\
        [i](../j.md) `[k](l.md)` <img src=\"p.png\">\n```\n[m](n.md)\n```\n";
    let read = |path: &Path| (path == Path::new("docs/d.md")).then(|| "## Two, words\n".to_owned());
    let read = |path: &Path| if path == Path::new("docs/o.md") { Some(markdown.to_owned()) } else { read(path) };
    assert_eq!(dead_links(Path::new("docs/o.md"), markdown, read), ["b.md", "d.md#three", "#gone", "../j.md", "p.png"]);
}
