//! What is wrong with one part of a body, with pointers. A part keeps at most [`MAX_LISTED`]
//! violations and says so. Otherwise a body of nothing but unknown fields would be answered with a
//! hundred times its size.

use crate::kernel::http::field_reader::{Broken, MAX_NAME, member};
use crate::kernel::problem::Violation;

/// More than a bucket can have without unknown or repeated fields.
pub(super) const MAX_LISTED: usize = 20;

/// The violations of one bucket, or of what is around the buckets.
#[derive(Debug)]
pub(super) struct Violations {
    index: Option<usize>,
    list: Vec<Violation>,
}

impl Violations {
    /// Of the bucket at `index`.
    pub(super) const fn of_bucket(index: usize) -> Self {
        Self { index: Some(index), list: Vec::new() }
    }

    /// Of what is around the buckets.
    pub(super) const fn outside() -> Self {
        Self { index: None, list: Vec::new() }
    }

    /// The field `name` breaks a rule.
    pub(super) fn add(&mut self, name: &str, (code, detail): Broken) {
        self.push(Some(name), code, &detail);
    }

    /// The part itself breaks a rule.
    pub(super) fn add_whole(&mut self, (code, detail): Broken) {
        self.push(None, code, &detail);
    }

    /// There is no such field.
    pub(super) fn unknown(&mut self, name: &str) {
        match name.len() {
            ..=MAX_NAME => self.push(Some(name), "unknown_field", "There is no field of this name."),
            long => self.push(None, "unknown_field", &format!("There is no field whose name has {long} bytes.")),
        }
    }

    /// The field came before.
    pub(super) fn repeated(&mut self, name: &str) {
        self.push(Some(name), "duplicate_field", "This field comes twice.");
    }

    /// True while nothing is wrong.
    pub(super) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, in the order in which they were found.
    pub(super) fn into_list(self) -> Vec<Violation> {
        self.list
    }

    fn push(&mut self, name: Option<&str>, code: &'static str, detail: &str) {
        match self.list.len() {
            ..MAX_LISTED => self.list.push(Violation::new(self.pointer(name), code, detail)),
            MAX_LISTED => {
                let detail = format!("More than {MAX_LISTED} violations in one place; the others are not listed.");
                self.list.push(Violation::new(self.pointer(None), "too_many_violations", detail));
            }
            _ => {}
        }
    }

    fn pointer(&self, name: Option<&str>) -> String {
        let part = self.index.map_or_else(String::new, |index| format!("/buckets/{index}"));
        match name {
            Some(name) => member(&part, name),
            None => part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(violations: Violations) -> Vec<String> {
        violations.into_list().into_iter().map(|violation| violation.pointer).collect()
    }

    #[test]
    fn pointers_escape_names_and_name_the_bucket() {
        let mut violations = Violations::of_bucket(3);
        violations.unknown("a/b~c");
        violations.unknown("");
        violations.add_whole(("wrong_type", "x".into()));
        assert_eq!(pointers(violations), ["/buckets/3/a~1b~0c", "/buckets/3/", "/buckets/3"]);
        let mut violations = Violations::outside();
        violations.repeated("buckets");
        violations.add_whole(("wrong_type", "x".into()));
        assert_eq!(pointers(violations), ["/buckets", ""]);
    }

    #[test]
    fn a_name_of_any_length_is_answered_in_few_bytes() {
        let mut violations = Violations::of_bucket(0);
        violations.unknown(&"x".repeat(1_000_000));
        let violation = violations.into_list().remove(0);
        assert_eq!((violation.pointer.as_str(), violation.code), ("/buckets/0", "unknown_field"));
        assert!(violation.detail.len() < 100, "{}", violation.detail);
    }

    #[test]
    fn a_part_lists_twenty_violations_and_then_says_once_that_there_are_more() {
        let mut violations = Violations::of_bucket(7);
        for _ in 0..MAX_LISTED {
            violations.unknown("x");
        }
        assert_eq!(violations.list.len(), MAX_LISTED);
        assert_eq!(violations.list[MAX_LISTED - 1].code, "unknown_field");
        for _ in 0..1000 {
            violations.unknown("x");
        }
        assert_eq!(violations.list.len(), MAX_LISTED + 1);
        assert_eq!(violations.list[MAX_LISTED].code, "too_many_violations");
    }
}
