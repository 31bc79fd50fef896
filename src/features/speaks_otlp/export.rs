//! What an export holds: a tally of records of usage. Everything that is wrong with one is found, and the others are
//! counted.

use super::attribute::Name;
use super::event::{Kind, LogEvent};
use super::tool::Tool;
use crate::kernel::bucket::{Model, TokenCounts};
use crate::kernel::http::field_reader::Broken;
use crate::kernel::http::values::model;
use crate::kernel::problem::{Code, Problem, Violation};
use crate::kernel::usage::intake::{Happened, MAX_RECORDS, Tally};
use crate::kernel::usage::sources::AllowedSource;

/// What a tool calls a model that it does not name.
const UNNAMED: &str = "unknown";
/// So many reasons are kept; an answer says no more.
const MOST_REASONS: usize = 20;

/// A record's place: of its resource, of its scope there, and of itself there.
pub(super) type RecordPlace = [usize; 3];

/// What was read of an export.
#[derive(Debug)]
pub(super) struct Export {
    /// The records of usage.
    pub(super) tally: Tally,
    /// Their places, in the same order.
    pub(super) places: Vec<RecordPlace>,
    /// Records of usage that are not counted.
    pub(super) rejected: Rejected,
}

/// Records that are not counted, and why.
#[derive(Debug, Default)]
pub(super) struct Rejected {
    /// How many there are.
    pub(super) records: usize,
    /// Why, at most twenty times.
    pub(super) reasons: Vec<Violation>,
}

impl Rejected {
    /// One record more.
    pub(super) fn add(&mut self, reasons: Vec<Violation>) {
        self.records += 1;
        let room = MOST_REASONS.saturating_sub(self.reasons.len());
        self.reasons.extend(reasons.into_iter().take(room));
    }
}

/// Takes the records of an export one by one.
pub(super) struct Sink {
    /// What was taken so far.
    pub(super) export: Export,
}

/// 400.
pub(super) fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Code::Malformed, detail)
}

impl Sink {
    /// One that has taken nothing yet.
    pub(super) fn new(tally: Tally) -> Self {
        Self { export: Export { tally, places: Vec::new(), rejected: Rejected::default() } }
    }

    /// The next record. One of another kind is passed over. Errors: 413 for one too many.
    pub(super) fn take(&mut self, place: RecordPlace, event: &LogEvent) -> Result<(), Problem> {
        let export = &mut self.export;
        match event.kind() {
            Kind::Another => return Ok(()),
            Kind::UnknownTool => {
                let detail = "This server knows the counts of Claude Code, Codex and Gemini CLI only. Let a tracker report \
                    this tool's usage.";
                export.rejected.add(vec![at(place, None, ("unknown_tool", detail.into()))]);
            }
            Kind::Usage(tool) => match usage(tool, event, place, &export.tally) {
                Ok((happened, source, model, counts)) => {
                    export.tally.add(event.hash(tool), happened, source, model, counts);
                    export.places.push(place);
                }
                Err(reasons) => export.rejected.add(reasons),
            },
        }
        let taken = export.places.len() + export.rejected.records;
        if taken > MAX_RECORDS { Err(Tally::too_large()) } else { Ok(()) }
    }
}

/// What an event of usage says. Errors: all that is wrong with it.
fn usage(
    tool: Tool,
    event: &LogEvent,
    place: RecordPlace,
    tally: &Tally,
) -> Result<(Happened, AllowedSource, Model, TokenCounts), Vec<Violation>> {
    let mut reasons = Vec::new();
    let happened = match event.happened_at() {
        Some(happened_at) => tally.happened(happened_at).map_err(|untimely| (untimely.code, untimely.detail)),
        None => Err(("missing", "The record says no time.".into())),
    };
    let happened = happened.map_err(|broken| reasons.push(at(place, None, broken))).ok();
    let source = tally.source(tool.source()).map_err(|unlisted| (unlisted.code, unlisted.detail));
    let source = source.map_err(|broken| reasons.push(at(place, None, broken))).ok();
    let named = event.attributes.text(Name::Model).filter(|model| !model.is_empty()).unwrap_or(UNNAMED);
    let model = model(named).map_err(|broken| reasons.push(at(place, Some(Name::Model), broken))).ok();
    let counts = tool.counts(&event.attributes).map_err(|broken| {
        reasons.extend(broken.into_iter().map(|(name, broken)| at(place, Some(name), broken)));
    });
    match (happened, source, model, counts) {
        (Some(happened), Some(source), Some(model), Ok(counts)) => Ok((happened, source, model, counts)),
        _ => Err(reasons),
    }
}

/// What is wrong with a record, or with an attribute of it. The place is all that is said of it.
pub(super) fn at([resource, scope, record]: RecordPlace, name: Option<Name>, (code, detail): Broken) -> Violation {
    let record = format!("/resourceLogs/{resource}/scopeLogs/{scope}/logRecords/{record}");
    let pointer = name.map_or_else(|| record.clone(), |name| format!("{record}/attributes/{}", name.as_str()));
    Violation::new(pointer, code, detail)
}
