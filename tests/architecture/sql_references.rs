//! Finds what a statement reads and writes: tables, functions, types, by schema.
//!
//! Not a parser: it follows only the places where a relation may stand, and errs towards reporting.

use std::collections::BTreeSet;

use super::sql::{Placed, Token, tokens};

/// What a statement does with the thing it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    Write,
    Read,
    /// A call of a function, which may do anything its owner may.
    Call,
}

/// One reference of a statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference {
    pub(super) usage: Use,
    /// None where the name has no schema and is no common table expression.
    pub(super) schema: Option<String>,
    pub(super) name: String,
    pub(super) line: usize,
}

/// Everything the statements read, write and call.
pub(super) fn references(sql: &str, schemas: &[&str]) -> Vec<Reference> {
    let tokens = tokens(sql);
    let mut finder = Finder {
        common: common_table_names(&tokens),
        tokens: &tokens,
        found: BTreeSet::new(),
        frames: vec![STATEMENT],
    };
    for at in 0..tokens.len() {
        finder.follow(at);
        finder.names_in_text(at, schemas);
    }
    finder.found.into_iter().collect()
}

/// Words after which the list of a `from` is over.
const END_OF_FROM: [&str; 16] = [
    "where",
    "group",
    "having",
    "window",
    "union",
    "intersect",
    "except",
    "order",
    "limit",
    "offset",
    "fetch",
    "for",
    "set",
    "returning",
    "select",
    "when",
];

/// Words that start a statement whose names are all definitions, changed or dropped or locked.
const DEFINING: [&str; 15] = [
    "create", "alter", "drop", "truncate", "copy", "lock", "grant", "revoke", "comment", "refresh", "reindex",
    "cluster", "vacuum", "analyze", "do",
];

/// Words before `update` that make it something other than a statement's verb.
const NOT_THE_VERB_UPDATE: [&str; 8] = ["for", "key", "do", "then", "on", "or", "before", "after"];

/// Functions whose arguments are separated by `from`.
const FROM_IN_ARGUMENTS: [&str; 4] = ["extract", "substring", "trim", "overlay"];

/// Words before a bracket that make it something other than a call.
const OPENS_A_QUERY: [&str; 12] =
    ["from", "join", "in", "as", "exists", "lateral", "any", "all", "not", "materialized", "using", "only"];

/// What a pair of brackets holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `from` starts a list of relations.
    Query,
    /// `from` separates arguments, as in `extract(hour from x)`.
    Arguments,
    /// Every qualified name is being defined, changed, dropped or locked.
    Definition,
}

/// What holds inside one pair of brackets.
#[derive(Clone, Copy)]
struct Frame {
    kind: Kind,
    /// Inside the list of a `from`.
    in_from: bool,
    /// The next name is a relation that is read.
    expects_relation: bool,
}

const STATEMENT: Frame = Frame { kind: Kind::Query, in_from: false, expects_relation: false };

struct Finder<'sql> {
    tokens: &'sql [Placed],
    common: BTreeSet<String>,
    found: BTreeSet<Reference>,
    frames: Vec<Frame>,
}

impl Finder<'_> {
    fn follow(&mut self, at: usize) {
        match &self.tokens[at].token {
            Token::Sign('(') => self.open(at),
            Token::Sign(')') if self.frames.len() > 1 => {
                self.frames.pop();
            }
            Token::Sign(';') => self.frames = vec![STATEMENT],
            Token::Sign(',') => self.frame().expects_relation = self.frame().in_from,
            Token::Word(_) | Token::Quoted(_) if !self.continues_a_name(at) => self.name(at),
            _ => {}
        }
    }

    fn frame(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    fn open(&mut self, at: usize) {
        let outer = *self.frame();
        let inner = self.word(at + 1);
        let before = at.checked_sub(1).map_or(String::new(), |before| self.word(before));
        let starts_query =
            ["select", "with", "insert", "update", "delete", "merge", "values", "table"].contains(&inner.as_str());
        let nested = self.tokens.get(at + 1).is_some_and(|next| next.is_sign('('));
        let is_call = !before.is_empty() && !OPENS_A_QUERY.contains(&before.as_str());
        let takes_from = FROM_IN_ARGUMENTS.contains(&before.as_str());
        let group = outer.expects_relation && !starts_query;
        let is_query = starts_query || group || (nested && !is_call && !takes_from);
        self.frame().expects_relation = false;
        self.frames.push(Frame {
            kind: match outer.kind {
                Kind::Definition => Kind::Definition,
                _ if is_query => Kind::Query,
                _ => Kind::Arguments,
            },
            in_from: group,
            expects_relation: group,
        });
    }

    /// Whether the token is the `b` of `a.b`.
    fn continues_a_name(&self, at: usize) -> bool {
        at > 0 && self.tokens[at - 1].is_sign('.')
    }

    /// The lower-case bare word at a place, or nothing.
    fn word(&self, at: usize) -> String {
        self.tokens.get(at).and_then(Placed::keyword).unwrap_or_default()
    }

    fn word_before(&self, at: usize, back: usize) -> String {
        at.checked_sub(back).map_or(String::new(), |before| self.word(before))
    }

    /// The parts of the name that starts here, and the place behind it.
    fn parts(&self, at: usize) -> (Vec<String>, usize) {
        let mut parts = Vec::new();
        let mut next = at;
        loop {
            match self.tokens.get(next).map(|placed| &placed.token) {
                Some(Token::Word(word)) => parts.push(word.to_lowercase()),
                Some(Token::Quoted(name)) => parts.push(name.clone()),
                _ => return (parts, next),
            }
            next += 1;
            if !self.tokens.get(next).is_some_and(|placed| placed.is_sign('.')) {
                return (parts, next);
            }
            next += 1;
        }
    }

    fn name(&mut self, at: usize) {
        let word = self.word(at);
        let (parts, end) = self.parts(at);
        let called = self.tokens.get(end).is_some_and(|next| next.is_sign('('));
        let typed = at >= 2 && self.tokens[at - 1].is_sign(':') && self.tokens[at - 2].is_sign(':');
        let cast = self.word_before(at, 1) == "as";
        if self.frame().kind == Kind::Definition && parts.len() > 1 {
            self.note(Use::Write, &parts, at);
        } else if self.frame().expects_relation {
            if matches!(word.as_str(), "only" | "lateral" | "rows" | "from") {
                return;
            }
            self.frame().expects_relation = false;
            self.relation(&parts, called, at);
        } else if parts.len() > 1 && called && !self.found_at(at) {
            self.note(Use::Call, &parts, at);
        } else if parts.len() > 1 && (typed || cast) {
            self.note(Use::Read, &parts, at);
        } else if parts.len() == 1 && !word.is_empty() {
            self.verb(&word, at);
        }
    }

    /// A write target is often followed by a column list, which is not a call.
    fn found_at(&self, at: usize) -> bool {
        let (parts, _) = self.parts(at);
        let before = self.word_before(at, 1);
        matches!(before.as_str(), "into" | "update" | "only")
            && self.found.iter().any(|found| found.usage == Use::Write && Some(&found.name) == parts.last())
    }

    fn relation(&mut self, parts: &[String], called: bool, at: usize) {
        match (parts, called) {
            ([name], true) if !OPENS_A_QUERY.contains(&name.as_str()) => {}
            (_, true) => self.note(Use::Call, parts, at),
            ([name], false) if self.common.contains(name) || name.starts_with("pg_") => {}
            _ => self.note(Use::Read, parts, at),
        }
    }

    /// A bare word that may start a clause or a statement.
    fn verb(&mut self, word: &str, at: usize) {
        let before = self.word_before(at, 1);
        let first_of_statement = at == 0 || self.tokens[at - 1].is_sign(';');
        match word {
            _ if first_of_statement && DEFINING.contains(&word) => self.define(at),
            "from" if before == "delete" => self.write_target(at + 1),
            "from" => {
                let distinct = before == "distinct" && matches!(self.word_before(at, 2).as_str(), "is" | "not");
                let frame = self.frame();
                if frame.kind == Kind::Query && !distinct {
                    frame.in_from = true;
                    frame.expects_relation = true;
                }
            }
            // `join x using (a)` is followed by a bracket, `delete … using y` and `merge … using y` by a relation.
            "using" if self.tokens.get(at + 1).is_some_and(|next| next.is_sign('(')) => {
                let merge = ["select", "with", "values"].contains(&self.word(at + 2).as_str());
                self.frame().expects_relation = merge;
            }
            "join" | "using" => {
                self.frame().in_from = true;
                self.frame().expects_relation = true;
            }
            "table" if first_of_statement || (at > 0 && self.tokens[at - 1].is_sign('(')) => {
                self.frame().expects_relation = true;
            }
            "into" => self.write_target(at + 1),
            "update" if !NOT_THE_VERB_UPDATE.contains(&before.as_str()) => {
                self.write_target(at + 1);
            }
            _ if END_OF_FROM.contains(&word) => self.frame().in_from = false,
            _ => {}
        }
    }

    fn write_target(&mut self, at: usize) {
        let at = if self.word(at) == "only" { at + 1 } else { at };
        let (parts, _) = self.parts(at);
        if !parts.is_empty() {
            self.note(Use::Write, &parts, at);
        }
    }

    /// The first name of a definition without a schema is reported too: `create temp table x`, `drop table x`.
    fn define(&mut self, at: usize) {
        self.frame().kind = Kind::Definition;
        let end = (at..self.tokens.len()).find(|&end| self.tokens[end].is_sign(';')).unwrap_or(self.tokens.len());
        let qualified = (at..end).any(|place| self.tokens[place].is_sign('.'));
        if !qualified {
            let last = self.word(end - 1);
            self.note(Use::Write, &[last], at);
        }
    }

    /// `'rollup.daily'::regclass` names a table as well.
    fn names_in_text(&mut self, at: usize, schemas: &[&str]) {
        let Token::Text(text) = &self.tokens[at].token else {
            return;
        };
        if let Some((schema, name)) = text.split_once('.') {
            let plain = !name.is_empty() && name.chars().all(|sign| sign.is_alphanumeric() || sign == '_');
            if plain && schemas.contains(&schema) {
                self.note(Use::Read, &[schema.to_owned(), name.to_owned()], at);
            }
        }
    }

    fn note(&mut self, usage: Use, parts: &[String], at: usize) {
        let (schema, name) = match parts {
            [name] => (None, name.clone()),
            // `database.schema.table` is the only longer form.
            [.., schema, name] => (Some(schema.clone()), name.clone()),
            [] => return,
        };
        // Writing to a common table expression is impossible; a `from` in one more list is only a read.
        self.found.insert(Reference { usage, schema, name, line: self.tokens[at].line });
    }
}

/// Names of common table expressions: `name as (`, `name (columns) as materialized (`.
fn common_table_names(tokens: &[Placed]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for at in 0..tokens.len() {
        if tokens[at].keyword().as_deref() != Some("as") || at == 0 {
            continue;
        }
        let mut next = at + 1;
        while matches!(tokens.get(next).and_then(Placed::keyword).as_deref(), Some("not" | "materialized")) {
            next += 1;
        }
        if !tokens.get(next).is_some_and(|placed| placed.is_sign('(')) {
            continue;
        }
        let mut name = at - 1;
        if tokens[name].is_sign(')') {
            name = (0..name).rev().find(|&open| tokens[open].is_sign('(')).map_or(0, |open| open.saturating_sub(1));
        }
        let before = name.checked_sub(1).and_then(|before| tokens.get(before));
        // Only where such a name can stand: after `with`, `recursive` or a comma.
        let introduced = before.is_some_and(|before| {
            before.is_sign(',') || matches!(before.keyword().as_deref(), Some("with" | "recursive"))
        });
        if introduced {
            match &tokens[name].token {
                Token::Word(word) => names.extend([word.to_lowercase()]),
                Token::Quoted(quoted) => names.extend([quoted.clone()]),
                _ => {}
            }
        }
    }
    names
}
