//! The calls of one function that ended in the same way, in bounded memory.

use chrono::{DateTime, Utc};
use sketches_ddsketch::{Config, DDSketch};

use super::blame::Blame;
use super::log_line::LogLine;
use super::report::{BlameRow, EvidenceRow};

/// Quantiles of latencies are this share off at most.
pub const QUANTILE_ERROR: f64 = 0.01;

/// Latencies beyond these, in milliseconds, count as these.
const SHORTEST_MS: f64 = 1e-3;
const LONGEST_MS: f64 = 1e9;
/// Enough for all between them, so that the sketch never has to be coarser than it promises.
const BINS: u32 = 2_048;

/// Request ids that are kept.
const EXAMPLES: usize = 3;
/// Kinds of evidence that are kept.
const EVIDENCE: usize = 8;
/// Longer names are cut: the server has none.
const NAME_BYTES: usize = 120;

/// Calls that ended in the same way.
pub struct CallGroup {
    function: Option<String>,
    blame: Blame,
    error_code: Option<String>,
    count: u64,
    latencies: DDSketch,
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
    evidence: Vec<EvidenceRow>,
    other_evidence: u64,
    examples: Vec<String>,
}

impl CallGroup {
    /// No calls yet. Without a function it is for what has no group of its own.
    pub fn new(function: Option<&str>, blame: Blame, error_code: Option<&str>) -> Self {
        Self {
            function: function.map(str::to_owned),
            blame,
            error_code: error_code.map(str::to_owned),
            count: 0,
            latencies: DDSketch::new(Config::new(QUANTILE_ERROR, BINS, SHORTEST_MS / 2.0)),
            first: None,
            last: None,
            evidence: Vec::new(),
            other_evidence: 0,
            examples: Vec::new(),
        }
    }

    /// One more call.
    pub fn add(&mut self, line: &LogLine<'_>, at: Option<DateTime<Utc>>) {
        self.count += 1;
        self.latencies.add(line.latency_ms.clamp(SHORTEST_MS, LONGEST_MS));
        widen(&mut self.first, &mut self.last, at);
        if self.examples.len() < EXAMPLES {
            self.examples.push(cut(&line.request_id).to_owned());
        }
        let upstream_evidence = line.upstream_evidence.as_deref().map(cut);
        let same = |known: &&mut EvidenceRow| {
            known.status == line.status
                && known.upstream_status == line.upstream_status
                && known.upstream_evidence.as_deref() == upstream_evidence
        };
        if let Some(known) = self.evidence.iter_mut().find(same) {
            known.count += 1;
        } else if self.evidence.len() < EVIDENCE {
            let upstream_evidence = upstream_evidence.map(str::to_owned);
            let (status, upstream_status) = (line.status, line.upstream_status);
            self.evidence.push(EvidenceRow { status, upstream_status, upstream_evidence, count: 1 });
        } else {
            self.other_evidence += 1;
        }
    }

    /// As the report has it, among so many calls.
    pub fn into_row(mut self, calls: u64) -> BlameRow {
        self.evidence.sort_by_key(|evidence| std::cmp::Reverse(evidence.count));
        let quantile = |share| self.latencies.quantile(share).ok().flatten().map_or(0.0, rounded);
        BlameRow {
            count: self.count,
            share: share(self.count, calls),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            function: self.function,
            attribution: self.blame,
            error_code: self.error_code,
            first_seen: self.first,
            last_seen: self.last,
            evidence: self.evidence,
            other_evidence: self.other_evidence,
            request_ids: self.examples,
        }
    }
}

/// Widens a span of time so that `at` is in it.
pub fn widen(first: &mut Option<DateTime<Utc>>, last: &mut Option<DateTime<Utc>>, at: Option<DateTime<Utc>>) {
    let Some(at) = at else { return };
    *first = Some(first.map_or(at, |first| first.min(at)));
    *last = Some(last.map_or(at, |last| last.max(at)));
}

/// A name as it is kept.
pub fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES)]
}

/// To a microsecond.
fn rounded(milliseconds: f64) -> f64 {
    (milliseconds * 1e3).round() / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
fn share(count: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { count as f64 / of as f64 }
}
