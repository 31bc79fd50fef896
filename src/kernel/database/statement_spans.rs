//! Statements as spans. Each has the name of its file, which it is known by, or a fixed word where it has none.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use rust_embed::Embed;
use sqlx::error::DatabaseError;

use super::failure::is_silence;
use crate::kernel::call::{CallSpan, SpanPart};

/// Every statement of halfhour.
#[derive(Embed)]
#[folder = "src/"]
#[include = "*.sql"]
struct Files;

/// What a statement is called that no file holds: the first of these words that it begins with.
const WORDS: [&str; 6] = ["begin", "commit", "rollback", "savepoint", "release", "set"];
const NAMELESS: &str = "statement";

/// The names of statements by their text. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct StatementNames(Arc<HashMap<Cow<'static, [u8]>, String>>);

impl StatementNames {
    pub(super) fn read() -> Self {
        let named = |path: Cow<'static, str>| {
            let name = path.rsplit('/').next()?.strip_suffix(".sql")?.to_owned();
            Some((Files::get(&path)?.data, name))
        };
        Self(Arc::new(Files::iter().filter_map(named).collect()))
    }

    fn name_of(&self, sql: &str) -> Cow<'static, str> {
        match self.0.get(sql.as_bytes()) {
            Some(name) => Cow::Owned(name.clone()),
            None => Cow::Borrowed(word_of(sql)),
        }
    }
}

/// One that commits is known by that, whatever it sets before. Nothing else of the text is a name: it has ids in it.
fn word_of(sql: &str) -> &'static str {
    if sql.ends_with("commit") {
        return "commit";
    }
    WORDS.into_iter().find(|word| sql.starts_with(word)).unwrap_or(NAMELESS)
}

/// Makes the spans of one transaction's statements.
#[derive(Debug)]
pub(super) struct StatementSpans {
    names: StatementNames,
    call: CallSpan,
}

impl StatementSpans {
    /// `None` where nothing is recorded.
    pub(super) fn of(names: Option<&StatementNames>, call: &CallSpan) -> Option<Self> {
        let names = names.filter(|_| call.takes_parts())?;
        Some(Self { names: names.clone(), call: call.clone() })
    }

    pub(super) fn begin(&self, sql: &str) -> StatementSpan {
        let name = self.names.name_of(sql);
        StatementSpan { call: self.call.clone(), name, since: SystemTime::now(), error: Some(Cow::Borrowed("timeout")) }
    }
}

/// One statement under way. Dropped, it is over; without an outcome its caller stopped waiting.
#[derive(Debug)]
pub(super) struct StatementSpan {
    call: CallSpan,
    name: Cow<'static, str>,
    since: SystemTime,
    error: Option<Cow<'static, str>>,
}

impl StatementSpan {
    /// How it ended: an SQLSTATE says more than that it failed.
    pub(super) fn note<T>(&mut self, result: &Result<T, sqlx::Error>) {
        self.error = result.as_ref().err().map(|error| match error.as_database_error().and_then(DatabaseError::code) {
            Some(sqlstate) => Cow::Owned(sqlstate.into_owned()),
            None if is_silence(error) => Cow::Borrowed("no_answer"),
            None if matches!(error, sqlx::Error::Io(_)) => Cow::Borrowed("connection_lost"),
            None => Cow::Borrowed("_OTHER"),
        });
    }
}

impl Drop for StatementSpan {
    fn drop(&mut self) {
        let mut attributes =
            vec![KeyValue::new("db.system.name", "postgresql"), KeyValue::new("db.query.summary", self.name.clone())];
        let error = self.error.take();
        if let Some(sqlstate) = error.as_ref().filter(|error| error.len() == 5) {
            attributes.push(KeyValue::new("db.response.status_code", sqlstate.clone()));
        }
        let (name, since, until) = (std::mem::take(&mut self.name), self.since, SystemTime::now());
        self.call.add(SpanPart { name, since, until, attributes, error });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_the_name_of_its_file_and_every_other_one_a_fixed_word() {
        let names = StatementNames::read();
        for path in Files::iter() {
            let text = Files::get(&path).unwrap().data;
            let name = names.name_of(str::from_utf8(&text).unwrap());
            assert!(path.ends_with(&format!("/{name}.sql")), "{path} is {name}");
        }
        for (sql, name) in [
            ("begin isolation level read committed; set local app.user_ids = 'x'", "begin"),
            ("set local synchronous_commit = off; commit", "commit"),
            ("rollback to savepoint step; release savepoint step", "rollback"),
            ("set local lock_timeout = 5", "set"),
            ("select 'a secret'", "statement"),
        ] {
            assert_eq!(names.name_of(sql), name, "{sql}");
        }
    }

    #[test]
    fn no_two_statements_share_a_name_and_a_text() {
        let (files, names) = (Files::iter().count(), StatementNames::read());
        assert!(files > 100, "{files}");
        assert_eq!(names.0.len(), files, "a statement that stands in two files has either name");
    }

    #[test]
    fn nothing_is_made_where_nothing_is_recorded() {
        assert!(StatementSpans::of(Some(&StatementNames::read()), &CallSpan::default()).is_none());
        assert!(StatementSpans::of(None, &CallSpan::default()).is_none());
    }
}
