//! What a list is asked for.

use super::job::Kind;
use crate::kernel::problem::{Problem, Violation};

/// Rows of a page, by default and at most.
const DEFAULT: usize = 100;
const MOST: usize = 1_000;

/// One page of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// How many it has at most.
    limit: usize,
    /// Where it begins.
    pub cursor: Option<String>,
    /// Only these, where the list has kinds.
    pub kind: Option<Kind>,
}

impl Page {
    /// Reads the query's parameters. Errors: 422 with every violation.
    pub fn parse(parameters: &[(String, String)], has_kinds: bool) -> Result<Self, Problem> {
        let mut page = Self { limit: DEFAULT, cursor: None, kind: None };
        let mut violations = Vec::new();
        for (at, (name, value)) in parameters.iter().enumerate() {
            let mut refuse = |code, detail| violations.push(Violation::new(format!("?{name}"), code, detail));
            if parameters[..at].iter().any(|(before, _)| before == name) {
                refuse("repeated_parameter", "It comes twice.");
                continue;
            }
            match name.as_str() {
                "limit" => match value.parse() {
                    Ok(limit @ 1..=MOST) => page.limit = limit,
                    _ => refuse("out_of_range", "Expected a number from 1 to 1000."),
                },
                "cursor" => page.cursor = Some(value.clone()),
                "kind" if has_kinds => match Kind::parse(value) {
                    Some(kind) => page.kind = Some(kind),
                    None => refuse("unknown_kind", "Expected one of poisoned, skipped, kept."),
                },
                _ => refuse("unknown_parameter", "There is no such parameter."),
            }
        }
        if violations.is_empty() { Ok(page) } else { Err(Problem::invalid(violations)) }
    }

    /// What to ask the database for: one more row than the page has says that there is another page.
    pub fn one_more(&self) -> i64 {
        i64::try_from(self.limit + 1).unwrap_or(i64::MAX)
    }

    /// Cuts the page to its size. The last row, where another page follows.
    pub fn cut<'a, T>(&self, rows: &'a mut Vec<T>) -> Option<&'a T> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        if more { rows.last() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(parameters: &[(&str, &str)]) -> Result<Page, Vec<&'static str>> {
        let parameters: Vec<_> =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Page::parse(&parameters, true)
            .map_err(|problem| problem.violations().iter().map(|violation| violation.code).collect())
    }

    #[test]
    fn a_page_has_100_rows_unless_it_is_told_and_never_more_than_1000() {
        assert_eq!(parse(&[]).unwrap().limit, 100);
        assert_eq!(parse(&[("limit", "1000"), ("kind", "kept")]).unwrap().kind, Some(Kind::Kept));
        for bad in ["0", "1001", "-1", "x", ""] {
            assert_eq!(parse(&[("limit", bad)]), Err(vec!["out_of_range"]), "{bad}");
        }
        assert_eq!(
            parse(&[("kind", "x"), ("limit", "1"), ("limit", "2"), ("page", "3")]),
            Err(vec!["unknown_kind", "repeated_parameter", "unknown_parameter"])
        );
    }

    #[test]
    fn a_page_says_where_to_go_on_only_when_there_is_more() {
        let page = parse(&[("limit", "2")]).unwrap();
        let (mut three, mut two) = (vec![1, 2, 3], vec![1, 2]);
        assert_eq!((page.one_more(), page.cut(&mut three), page.cut(&mut two)), (3, Some(&2), None));
        assert_eq!(three, [1, 2]);
    }
}
