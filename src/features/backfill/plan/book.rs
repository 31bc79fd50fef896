//! Which price book a job is about, and what it is not about.

use crate::kernel::http::field_reader::{Broken, FieldReader, Value};
use crate::kernel::http::values::number;

/// A reprice is of everybody and of all days, since one book is in force for all.
pub fn whole(fields: &mut FieldReader) -> &mut FieldReader {
    for name in ["from", "to", "user_ids"] {
        if fields.get(name).is_some() {
            fields.refuse(name, ("not_of_a_reprice", "A reprice is of all users and all days.".into()));
        }
    }
    fields
}

/// Nothing but a reprice has a book.
pub fn refuse_book(fields: &mut FieldReader) -> Option<i32> {
    if fields.get("book").is_some() {
        fields.refuse("book", ("not_a_reprice", "Only a reprice has this.".into()));
    }
    None
}

/// The number of a book in a body.
pub fn book_of_body(value: &Value) -> Result<i32, Broken> {
    number(&value.number()?.to_string(), u16::MAX).map(i32::from)
}

/// The number of a book in a query.
pub fn book_of_query(value: &Value) -> Result<i32, Broken> {
    number(value.text()?, u16::MAX).map(i32::from)
}
