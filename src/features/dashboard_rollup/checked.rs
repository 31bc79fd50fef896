//! Requests that keep the rules of their route's query, whether they came as a query or were made in Rust.

use std::ops::Deref;

use crate::kernel::http::field_reader::{Broken, FieldReader};
use crate::kernel::problem::Problem;

/// A request that keeps every rule. Only a check makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked<R>(R);

impl<R> Checked<R> {
    /// The request, where none of the `fields` is wrong. Errors: 422 with every violation.
    pub(super) fn new(fields: FieldReader, request: R) -> Result<Self, Problem> {
        fields.finish(Some(Self(request)))
    }

    /// The same request with something else in it that keeps the rules too.
    pub(super) fn with(mut self, change: impl FnOnce(&mut R)) -> Self {
        change(&mut self.0);
        self
    }
}

impl<R> Deref for Checked<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.0
    }
}

/// Where violations of a request that was made in Rust are noted.
pub(super) fn no_fields() -> FieldReader {
    FieldReader::of_query(&[], &[], &[])
}

/// The value as its parameter's rule `read` it. Where the value breaks the rule, that is noted.
pub(super) fn hold<T>(fields: &mut FieldReader, name: &str, read: Result<T, Broken>) -> Option<T> {
    read.map_err(|broken| fields.refuse(name, broken)).ok()
}
