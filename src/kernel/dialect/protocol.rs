//! What is particular about a protocol, and what a row of a report says.

use super::counts::{Claimed, Meaning};
use crate::kernel::bucket::HalfHour;
use crate::kernel::problem::Problem;

/// A stable word for why a row cannot be read.
pub type Objection = &'static str;

/// What is particular about a protocol.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// The product, as devices are said to speak.
    pub name: &'static str,
    /// What its counts mean.
    pub meaning: Meaning,
    /// What becomes of rows whose tool may not report.
    pub unlisted: UnlistedTool,
    /// Which row counts where a bucket comes twice in a report.
    pub twice: Twice,
    /// What rows of an unknown model are worth.
    pub unknown: UnknownModel,
    /// What each row has once, as a body spells it.
    pub mark: &'static [u8],
    /// Reads the rows of a body.
    pub read: fn(&[u8]) -> Result<Rows, Problem>,
}

/// The rows of a report, and why some of them cannot be read.
pub type Rows = Vec<Result<Row, Objection>>;

/// What becomes of rows whose tool may not report under its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnlistedTool {
    /// The tracker is told, keeps them, and sends them again.
    Told,
    /// The tracker would forget them: they are kept as of the source `other`, with the tool's name before the model.
    KeptAsOther,
}

/// What rows of an unknown model are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownModel {
    /// They are as good as any other.
    Stays,
    /// They are provisional. Once the tracker knows a model of the tool in that half hour it adds their tokens to that
    /// model's row, and says in the same report what is left of them. That is its last word on them, whatever a report
    /// says that has them alone: such a one was sent before, or repeats what was.
    IsNamedLater,
}

/// Which row counts where a bucket comes twice in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twice {
    /// The last one.
    Last,
    /// The one with the larger total.
    Larger,
    /// All of them that have other parts of the tracker's key, and of the same the last one.
    Added,
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The tool, by the product's name for it.
    pub tool: String,
    /// The model, by the tool's name for it.
    pub model: Option<String>,
    /// The start of its half hour; absent only where it could not be read.
    pub hour_start: Option<HalfHour>,
    /// What was used.
    pub claimed: Claimed,
    /// What else is in the tracker's key, such as a project.
    pub part: String,
    /// Whether it is of an account somewhere, which every machine of its owner reports alike.
    pub of_account: bool,
}
