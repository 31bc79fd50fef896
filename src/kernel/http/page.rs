//! Pages of lists: how many entries one has, where the next one begins, and whether there is one.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cursor::Cursors;
use super::field_reader::FieldReader;
use super::values::number;
use crate::kernel::problem::Problem;

/// The parameters that ask for a page.
pub const PARAMETERS: [&str; 2] = ["limit", "cursor"];
/// What a page holds where the caller does not say.
pub const DEFAULT_LIMIT: u16 = 100;
/// What a page may hold.
pub const MAX_LIMIT: u16 = 1000;

/// Which part of a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    limit: u16,
    cursor: Option<String>,
}

impl Page {
    /// Reads the query of a list that takes no other parameters. Errors: 422 with every violation.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_query(parameters, &PARAMETERS, &[]);
        let page = Self::read(&mut fields);
        fields.finish(Some(page))
    }

    /// Reads [`PARAMETERS`] among others.
    pub fn read(fields: &mut FieldReader) -> Self {
        let limit = fields.optional_text("limit", |text| number(text, MAX_LIMIT));
        let cursor = fields.optional_text("cursor", |text| Ok(text.to_owned()));
        Self { limit: limit.unwrap_or(DEFAULT_LIMIT), cursor }
    }

    /// The list whose page it is. Its cursors belong to the question `of`: the route, the caller and every parameter
    /// but [`PARAMETERS`].
    pub fn of(self, cursors: Cursors, of: impl Into<String>) -> List {
        List { page: self, cursors, of: of.into() }
    }
}

/// A list, of which one page is read.
#[derive(Debug)]
pub struct List {
    page: Page,
    cursors: Cursors,
    of: String,
}

impl List {
    /// The position after which the page begins. Errors: 400 for a cursor of another list.
    pub fn after<Position: DeserializeOwned>(&self) -> Result<Option<Position>, Problem> {
        self.page.cursor.as_deref().map(|cursor| self.cursors.open(&self.of, cursor)).transpose()
    }

    /// How many entries to ask the database for: one more than the page holds says that there is another page.
    pub fn one_more(&self) -> i64 {
        i64::from(self.page.limit) + 1
    }

    /// Cuts what was found to the page. Returns it, and the cursor of the next one where there is one. Errors: 500 for a
    /// position that is no JSON.
    pub fn cut<T, Position: Serialize>(
        &self,
        mut found: Vec<T>,
        position: impl FnOnce(&T) -> Position,
    ) -> Result<(Vec<T>, Option<String>), Problem> {
        let limit = usize::from(self.page.limit);
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more).map(position);
        let next = last.map(|last| self.cursors.seal(&self.of, &last)).transpose()?;
        Ok((found, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::access::ServerKey;
    use crate::kernel::problem::Code;

    fn page(query: &str) -> Result<Page, Vec<(String, &'static str)>> {
        let parameters: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Page::parse(&parameters).map_err(|problem| {
            problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
        })
    }

    fn list(query: &str, of: &str) -> List {
        page(query).unwrap().of(Cursors::new(ServerKey::new(&[1; 32]).unwrap()), of)
    }

    #[test]
    fn a_page_has_100_entries_unless_it_is_told_and_never_more_than_1000() {
        assert_eq!(page(""), Ok(Page { limit: 100, cursor: None }));
        assert_eq!(page("limit=1&cursor=x"), Ok(Page { limit: 1, cursor: Some("x".to_owned()) }));
        assert_eq!(page("limit=1000").unwrap().limit, 1000);
        for bad in ["0", "1001", "%2B1", ""] {
            assert_eq!(page(&format!("limit={bad}")), Err(vec![("?limit".to_owned(), "out_of_range")]), "{bad}");
        }
        let expected = [("?limit", "repeated_parameter"), ("?sort", "unknown_parameter")];
        let expected = expected.map(|(pointer, code)| (pointer.to_owned(), code));
        assert_eq!(page("limit=1&limit=1&sort=name"), Err(expected.into()));
    }

    #[test]
    fn a_page_says_where_to_go_on_only_when_there_is_more() {
        let first = list("limit=2", "numbers");
        assert_eq!((first.one_more(), first.after::<i32>().unwrap()), (3, None));
        assert_eq!(first.cut(vec![1, 2], |last| *last).unwrap(), (vec![1, 2], None));
        assert_eq!(first.cut(Vec::<i32>::new(), |last| *last).unwrap(), (vec![], None));
        let (numbers, next) = first.cut(vec![1, 2, 3], |last| *last).unwrap();
        assert_eq!(numbers, [1, 2]);
        let query = format!("limit=2&cursor={}", next.unwrap());
        assert_eq!(list(&query, "numbers").after().unwrap(), Some(2));
        assert_eq!(list(&query, "letters").after::<i32>().unwrap_err().code(), Code::Malformed);
    }
}
