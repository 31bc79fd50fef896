//! How names stand in the cells of a table: as they are, or so that no spreadsheet takes one for a formula.

use std::borrow::Cow;

use super::media::Media;
use crate::kernel::http::field_reader::{Broken, FieldReader};
use crate::kernel::problem::{Problem, Violation};

/// The parameter that asks for [`Cells`].
pub const CSV: &str = "csv";

/// How names stand in a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cells {
    /// As they are stored: what a parser reads is the name.
    #[default]
    Plain,
    /// With an apostrophe before each name that a spreadsheet would not show as it is.
    Spreadsheet,
}

impl Cells {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Spreadsheet => "spreadsheet",
        }
    }

    /// Reads the parameter `csv`; `None` where it is absent or wrong, which is noted.
    fn read(fields: &mut FieldReader) -> Option<Self> {
        fields.optional_text(CSV, |text| match text {
            "plain" => Ok(Self::Plain),
            "spreadsheet" => Ok(Self::Spreadsheet),
            _ => Err(UNKNOWN_CSV),
        })
    }

    /// What was asked for, else plain. Errors: 422 where it was asked of another media type than CSV.
    pub fn of(asked: Option<Self>, media: Media) -> Result<Self, Problem> {
        if asked.is_some() && media != Media::Csv {
            let detail = "This is about CSV: send `Accept: text/csv`, or leave it out.";
            return Err(Problem::invalid(vec![Violation::new(format!("?{CSV}"), "csv_not_accepted", detail)]));
        }
        Ok(asked.unwrap_or_default())
    }

    /// A name as its cell holds it. Whoever takes one apostrophe from the front of such a cell has the name again.
    pub fn cell(self, name: &str) -> Cow<'_, str> {
        if self == Self::Spreadsheet && name.starts_with(BEGINS_A_FORMULA) {
            format!("'{name}").into()
        } else {
            name.into()
        }
    }
}

/// What a query says beside its question: where the page begins, and how a table is written.
#[derive(Clone, Debug)]
pub struct Paging {
    /// The page before this one, still sealed.
    pub cursor: Option<String>,
    /// How names are to stand in a table, if it was said.
    pub cells: Option<Cells>,
}

impl Paging {
    /// Reads the parameters `cursor` and `csv`.
    pub fn read(fields: &mut FieldReader) -> Self {
        let cursor = fields.optional_text("cursor", |text| Ok(text.to_owned()));
        Self { cursor, cells: Cells::read(fields) }
    }
}

const UNKNOWN_CSV: Broken = ("unknown_csv", Cow::Borrowed("Expected plain or spreadsheet."));

/// What formulas begin with, in narrow and in wide letters, and the apostrophe itself, so that each cell can be read back.
const BEGINS_A_FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\'', '＝', '＋', '－', '＠'];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cell_that_begins_like_a_formula_gets_an_apostrophe_in_a_spreadsheet_only() {
        for name in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'quoted'", "＝1"] {
            assert_eq!(
                (Cells::Plain.cell(name), Cells::Spreadsheet.cell(name)),
                (name.into(), format!("'{name}").into())
            );
        }
        for name in ["gpt-5", "a=b", "[=1]", "“=1”"] {
            assert_eq!(Cells::Spreadsheet.cell(name), name);
        }
    }

    #[test]
    fn it_is_asked_for_by_name_and_only_of_csv() {
        let read = |text: &str| {
            let mut fields = FieldReader::of_query(&[(CSV.to_owned(), text.to_owned())], &[CSV], &[]);
            let cells = Cells::read(&mut fields);
            fields.check(cells).map_err(|violations| violations[0].code)
        };
        assert_eq!((read("plain"), read("spreadsheet")), (Ok(Cells::Plain), Ok(Cells::Spreadsheet)));
        assert_eq!((read(""), read("Excel")), (Err("unknown_csv"), Err("unknown_csv")));
        assert_eq!(Cells::of(None, Media::Json).unwrap(), Cells::Plain);
        for media in [Media::Json, Media::Ndjson] {
            assert_eq!(Cells::of(Some(Cells::Plain), media).unwrap_err().violations()[0].code, "csv_not_accepted");
        }
    }

    proptest! {
        #[test]
        fn a_cell_is_read_back_by_taking_one_apostrophe_away(name in "['=+@-]{0,3}.{0,9}") {
            let cell = Cells::Spreadsheet.cell(&name);
            prop_assert_eq!(cell.strip_prefix('\'').unwrap_or(&cell), name.as_str());
            prop_assert_eq!(Cells::Plain.cell(&name), name.as_str());
        }
    }
}
