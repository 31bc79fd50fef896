//! The names of users and devices: how one is read, and the problems that a refused one becomes.

use crate::kernel::http::field_reader::Broken;
use crate::kernel::http::values::{MAX_NAME, line};
use crate::kernel::problem::{Code, Problem, Violation};

/// A name has 1 to [`MAX_NAME`] characters, none of which is a control character.
pub fn name(text: &str) -> Result<String, Broken> {
    line(text, "A name", MAX_NAME)
}

/// 409 for a name that another active user or device has. `pointer` leads to the field with the
/// name.
pub fn in_use(pointer: &str, detail: &'static str) -> Problem {
    Problem::new(Code::Conflict, detail).violating(vec![Violation::new(pointer, "name_in_use", detail)])
}

/// 422 for a name that the database found to be empty or too long.
pub fn of_wrong_length(pointer: &str) -> Problem {
    Problem::invalid(vec![Violation::new(pointer, "wrong_length", "A name has 1 to 100 characters.")])
}

/// 422 for a name in which the database found a control character.
pub fn with_control_character(pointer: &str) -> Problem {
    Problem::invalid(vec![Violation::new(pointer, "control_character", "A name has no control characters.")])
}
