//! Cuts SQL into its lists: whatever commas part within parentheses, behind `select`, `set`, `by` or `returning`.

use std::ops::Range;

use super::sql::{Placed, Token, tokens};

/// What a list begins behind, besides a parenthesis.
const BEGINS: [&str; 4] = ["by", "returning", "select", "set"];

/// What a list ends before, besides a parenthesis and what the next one begins behind.
const ENDS: [&str; 13] = [
    "except",
    "for",
    "from",
    "group",
    "having",
    "intersect",
    "limit",
    "offset",
    "on",
    "order",
    "union",
    "values",
    "where",
];

/// The elements of one list.
#[derive(Debug)]
pub(super) struct List {
    pub(super) elements: Vec<Element>,
    pub(super) line: usize,
}

/// One element. Names stand without quotes and without the marks of the macros: `"input_tokens!: Sum"`.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) alias: Option<String>,
    /// Every name before the alias, keywords and qualifiers included.
    pub(super) names: Vec<String>,
    /// Whether something is added, subtracted, multiplied or divided.
    pub(super) is_computed: bool,
}

/// A parenthesis that is open, or the whole file, with the list that is being read in it.
struct Open {
    list: Option<Reading>,
}

/// A list whose end has not come yet.
struct Reading {
    first: usize,
    element: usize,
    elements: Vec<Range<usize>>,
}

impl Reading {
    const fn at(first: usize) -> Self {
        Self { first, element: first, elements: Vec::new() }
    }
}

/// Every list of a file that has two elements or more.
pub(super) fn lists(sql: &str) -> Vec<List> {
    let tokens = tokens(sql);
    let mut open = vec![Open { list: None }];
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let Some(innermost) = open.last_mut() else { break };
        let word = token.keyword().unwrap_or_default();
        if token.is_sign('(') || token.is_sign('[') {
            open.push(Open { list: Some(Reading::at(at + 1)) });
        } else if token.is_sign(')') || token.is_sign(']') {
            found.extend(innermost.list.take().and_then(|list| closed(&tokens, list, at)));
            open.pop();
        } else if token.is_sign(',') {
            if let Some(list) = &mut innermost.list {
                list.elements.push(list.element..at);
                list.element = at + 1;
            }
        } else if BEGINS.contains(&word.as_str()) {
            found.extend(innermost.list.replace(Reading::at(at + 1)).and_then(|list| closed(&tokens, list, at)));
        } else if (ENDS.contains(&word.as_str()) && !is_distinct_from(&tokens[..at])) || token.is_sign(';') {
            found.extend(innermost.list.take().and_then(|list| closed(&tokens, list, at)));
        }
    }
    found.extend(open.into_iter().filter_map(|open| closed(&tokens, open.list?, tokens.len())));
    found
}

/// `a is distinct from b` compares, and ends no list.
fn is_distinct_from(before: &[Placed]) -> bool {
    let word = |back: usize| before.len().checked_sub(back).and_then(|at| before[at].keyword());
    word(1).as_deref() == Some("distinct") && matches!(word(2).as_deref(), Some("is" | "not"))
}

fn closed(tokens: &[Placed], mut list: Reading, end: usize) -> Option<List> {
    list.elements.push(list.element..end);
    let line = tokens.get(list.first)?.line;
    let elements: Vec<Element> = list.elements.into_iter().map(|range| element(&tokens[range])).collect();
    (elements.len() > 1).then_some(List { elements, line })
}

fn element(tokens: &[Placed]) -> Element {
    let mut depth = 0;
    let mut as_at = None;
    for (at, token) in tokens.iter().enumerate() {
        match token.token {
            Token::Sign('(' | '[') => depth += 1,
            Token::Sign(')' | ']') => depth -= 1,
            _ if depth == 0 && token.keyword().as_deref() == Some("as") => as_at = Some(at),
            _ => {}
        }
    }
    let (inside, alias) = tokens.split_at(as_at.unwrap_or(tokens.len()));
    Element {
        alias: alias.get(1).and_then(name),
        names: inside.iter().filter_map(name).collect(),
        is_computed: inside.iter().any(|token| matches!(token.token, Token::Sign('+' | '-' | '*' | '/'))),
    }
}

fn name(token: &Placed) -> Option<String> {
    match &token.token {
        Token::Word(word) => Some(word.to_lowercase()),
        Token::Quoted(name) => name.split(['!', '?', ':']).next().map(str::to_owned),
        _ => None,
    }
}

#[test]
fn lists_are_found_wherever_they_stand() {
    let sql = "-- a, b\nwith x as (select a, (b, c) is not distinct from (d, e) as f from t order by g, h)\n\
        insert into t (i, j) select k[1], coalesce(sum(l.m), 0)::text as \"n!: Sum\" from x, y where o in (p, q)\n\
        on conflict (r, s) do update set u = excluded.u, v = case when w then 1 end returning y, z";
    let found: Vec<String> = lists(sql).iter().map(shown).collect();
    let expected = [
        "2: b; c",
        "2: d; e",
        "2: a; b c is not distinct from d e as f",
        "2: g; h",
        "3: i; j",
        "3: sum l m; ",
        "3: k; coalesce sum l m text as n",
        "3: p; q",
        "4: r; s",
        "4: u excluded u; v case when w then end",
        "4: y; z",
    ];
    assert_eq!(found, expected);
}

fn shown(list: &List) -> String {
    let shown = list.elements.iter().map(|element| {
        let alias = element.alias.iter().map(|alias| format!("as {alias}"));
        element.names.iter().cloned().chain(alias).collect::<Vec<_>>().join(" ")
    });
    format!("{}: {}", list.line, shown.collect::<Vec<_>>().join("; "))
}
