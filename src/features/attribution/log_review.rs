//! A log as it is read, line by line, into a report.

use std::collections::HashMap;
use std::io::{self, BufRead};

use chrono::{DateTime, TimeDelta, Utc};

use super::blame::{Blame, Judgement, judge};
use super::call_group::{CallGroup, QUANTILE_ERROR, cut, widen};
use super::lines::{RawLine, each_line};
use super::log_line::{LineKind, LogLine};
use super::report::{BlameReport, FailedCalls, SlowCalls, Strays};
use crate::kernel::http::body::BYTE_ORDER_MARK;

/// Groups of calls that are told apart. The server itself has some hundred; a log of others may have any number.
pub const MAX_GROUPS: usize = 1_000;

/// Lines are written by several threads, so that neighbours may be a little out of order. More is a clock that was set.
const STEP_BACK: TimeDelta = TimeDelta::seconds(1);

/// A review of any number of files, in bounded memory.
#[derive(Default)]
pub struct LogReview {
    since: Option<DateTime<Utc>>,
    lines: u64,
    known: u64,
    foreign: Strays,
    broken: Strays,
    before_since: u64,
    without_time: u64,
    contradictory: Strays,
    steps_back: Strays,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    failed: FailedCalls,
    slow: SlowCalls,
    ungrouped: u64,
    groups: Vec<CallGroup>,
    places: HashMap<String, usize>,
    /// Where calls beyond [`MAX_GROUPS`] are counted.
    overflow: HashMap<Blame, CallGroup>,
    /// Kept, so that looking a group up allocates nothing.
    key: String,
}

/// Where the review is in a file.
struct Position<'a> {
    file: &'a str,
    line: u64,
    before: Option<DateTime<Utc>>,
}

impl LogReview {
    /// Of calls that ended at `since` or later, or of all.
    pub fn new(since: Option<DateTime<Utc>>) -> Self {
        Self { since, ..Self::default() }
    }

    /// Reads a file to its end. Errors: what it could not be read with; what was read until then is counted.
    pub fn read(&mut self, file: &str, source: impl BufRead) -> io::Result<()> {
        let mut position = Position { file, line: 0, before: None };
        each_line(source, |line| {
            position.line += 1;
            self.take(&mut position, line);
        })
    }

    fn take(&mut self, position: &mut Position<'_>, line: RawLine<'_>) {
        self.lines += 1;
        let kind = match line {
            RawLine::Whole(line) if position.line == 1 => {
                LineKind::of(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line))
            }
            RawLine::Whole(line) => LineKind::of(line),
            RawLine::TooLong => LineKind::Broken("it is longer than 1 MiB"),
        };
        match kind {
            LineKind::Known(line) => self.count(position, &line),
            LineKind::Foreign => self.foreign.note(position.file, position.line, None),
            LineKind::Broken(why) => self.broken.note(position.file, position.line, Some(why)),
        }
    }

    fn count(&mut self, position: &mut Position<'_>, line: &LogLine<'_>) {
        self.known += 1;
        let at = line.at();
        if at.zip(position.before).is_some_and(|(at, before)| before - at > STEP_BACK) {
            self.steps_back.note(position.file, position.line, None);
        }
        position.before = at.or(position.before);
        if at.zip(self.since).is_some_and(|(at, since)| at < since) {
            self.before_since += 1;
            return;
        }
        self.without_time += u64::from(at.is_none());
        widen(&mut self.from, &mut self.to, at);
        let Judgement { blame, contradicts_itself } = judge(line);
        if contradicts_itself {
            self.contradictory.note(position.file, position.line, None);
        }
        match blame {
            Blame::Upstream => self.failed.upstream += 1,
            Blame::Application => self.failed.application += 1,
            Blame::Unknown => self.failed.unknown += 1,
            Blame::Client => self.failed.client += 1,
            Blame::UpstreamLatency => self.slow.upstream += 1,
            Blame::ApplicationLatency => self.slow.application += 1,
            Blame::None => {}
        }
        self.group(line, blame).add(line, at);
    }

    fn group(&mut self, line: &LogLine<'_>, blame: Blame) -> &mut CallGroup {
        let (function, code) = (cut(&line.function), line.error_code.as_deref().map(cut));
        // The length of the function goes first, so that no two pairs make one key.
        self.key.clear();
        self.key.push(u8::try_from(function.len()).map_or(char::MAX, char::from));
        for part in [function, if code.is_some() { "=" } else { "" }, code.unwrap_or_default(), " ", blame.as_str()] {
            self.key.push_str(part);
        }
        let known = self.places.get(self.key.as_str()).copied();
        if known.is_none() && self.groups.len() >= MAX_GROUPS {
            self.ungrouped += 1;
            return self.overflow.entry(blame).or_insert_with(|| CallGroup::new(None, blame, None));
        }
        let place = known.unwrap_or_else(|| {
            self.groups.push(CallGroup::new(Some(function), blame, code));
            self.places.insert(self.key.clone(), self.groups.len() - 1);
            self.groups.len() - 1
        });
        &mut self.groups[place]
    }

    /// What was found.
    pub fn report(self) -> BlameReport {
        let calls = self.known - self.before_since;
        let groups = self.groups.into_iter().chain(self.overflow.into_values());
        let mut verdicts: Vec<_> = groups.map(|group| group.into_row(calls)).collect();
        verdicts.sort_by(|one, other| {
            let by_count = other.count.cmp(&one.count);
            one.attribution.cmp(&other.attribution).then(by_count).then_with(|| one.function.cmp(&other.function))
        });
        BlameReport {
            lines: self.lines,
            known: self.known,
            foreign: self.foreign,
            broken: self.broken,
            before_since: self.before_since,
            without_time: self.without_time,
            contradictory: self.contradictory,
            steps_back: self.steps_back,
            from: self.from,
            to: self.to,
            failed: self.failed,
            slow: self.slow,
            quantile_error: QUANTILE_ERROR,
            ungrouped: self.ungrouped,
            verdicts,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::report::LinePlace;
    use super::*;

    fn m1(second: u32, function: &str, status: u16, latency_ms: f64) -> String {
        format!(
            r#"{{"timestamp":"2026-11-21T01:00:{second:02}.000000Z","request_id":"id-{second}","function":"{function}","stage":"request","status":{status},"latency_ms":{latency_ms},"upstream_status":200,"attribution":"{}"}}"#,
            if status < 400 { "NONE" } else { "APPLICATION" }
        )
    }

    fn review(since: Option<&str>, files: &[&str]) -> BlameReport {
        let since = since.map(|since| DateTime::parse_from_rfc3339(since).unwrap().to_utc());
        let mut review = LogReview::new(since);
        for (number, file) in files.iter().enumerate() {
            review.read(&format!("log-{number}"), file.as_bytes()).unwrap();
        }
        review.report()
    }

    fn place(file: &str, line: u64) -> LinePlace {
        LinePlace { file: file.to_owned(), line, why: None }
    }

    #[test]
    fn a_log_that_was_rotated_in_the_middle_of_a_line_loses_that_line_alone() {
        let lines: Vec<_> = (0..4).map(|second| m1(second, "f", 500, 1.0)).collect();
        let (front, back) = lines[2].split_at(100);
        let report =
            review(None, &[&format!("\u{feff}{}\n{}\n{front}", lines[0], lines[1]), &format!("{back}\n{}", lines[3])]);
        assert_eq!((report.lines, report.known, report.foreign.count, report.broken.count), (5, 3, 1, 1));
        let first = report.broken.first.unwrap();
        assert_eq!((first.file.as_str(), first.line, first.why), ("log-0", 3, Some("it is cut off")));
        assert_eq!(report.foreign.first, Some(place("log-1", 1)));
        let [verdict] = &report.verdicts[..] else { panic!("{:?}", report.verdicts) };
        assert_eq!((verdict.count, verdict.attribution, verdict.share), (3, Blame::Application, 1.0));
        assert_eq!(verdict.request_ids, ["id-0", "id-1", "id-3"]);
    }

    #[test]
    fn a_clock_that_goes_back_is_said_and_first_and_last_stay_first_and_last() {
        let log = [30, 31, 10, 11, 50].map(|second| m1(second, "f", 500, 1.0)).join("\n");
        let report = review(None, &[&log, &log]);
        assert_eq!((report.steps_back.count, report.steps_back.first), (2, Some(place("log-0", 3))));
        let seen = [report.verdicts[0].first_seen, report.verdicts[0].last_seen, report.from, report.to];
        let seen = seen.map(|at| at.unwrap().timestamp() % 60);
        assert_eq!(seen, [10, 50, 10, 50]);
    }

    #[test]
    fn only_calls_since_then_count_and_those_without_a_time_always_do() {
        let log = format!(
            "{}\n{}\n{}",
            m1(10, "f", 500, 1.0),
            m1(20, "f", 500, 1.0),
            m1(5, "g", 500, 1.0).replace("2026", "some day of 2026")
        );
        let report = review(Some("2026-11-21T02:00:20+01:00"), &[&log]);
        assert_eq!((report.known, report.before_since, report.without_time), (3, 1, 1));
        assert_eq!(report.failed, FailedCalls { application: 2, ..FailedCalls::default() });
        assert_eq!(review(Some("2027-01-01T00:00:00Z"), &[&log]).verdicts.len(), 1);
    }

    #[test]
    fn what_matters_most_comes_first_and_its_evidence_is_there() {
        let upstream =
            |status| m1(1, "f", 503, 2.0).replace(":200", &format!(":{status}")).replace("APPLICATION", "UPSTREAM");
        let unheard = m1(1, "f", 503, 2.0).replace(":200", ":null,\"upstream_evidence\":\"pool_exhausted\"");
        let unheard = unheard.replace("APPLICATION", "UNKNOWN");
        let log = [m1(1, "f", 200, 1.0), upstream(503), upstream(504), upstream(504), unheard, m1(2, "f", 500, 1.0)]
            .join("\n");
        let report = review(None, &[&log]);
        let blamed: Vec<_> = report.verdicts.iter().map(|verdict| verdict.attribution).collect();
        assert_eq!(blamed, [Blame::Upstream, Blame::Application, Blame::Unknown, Blame::None]);
        let evidence = |row: usize| {
            let evidence = report.verdicts[row].evidence.iter();
            evidence.map(|row| (row.upstream_status, row.upstream_evidence.as_deref(), row.count)).collect::<Vec<_>>()
        };
        assert_eq!(evidence(0), [(Some(504), None, 2), (Some(503), None, 1)]);
        assert_eq!(evidence(2), [(None, Some("pool_exhausted"), 1)]);
        assert_eq!(report.failed.not_of_clients(), 5);
    }

    #[test]
    fn any_number_of_functions_codes_and_long_names_fits_and_no_blame_is_lost() {
        let mut log = String::new();
        for number in 0..3 * MAX_GROUPS {
            log += &m1(1, &format!("{number}{}", "\u{e4}".repeat(500)), if number % 2 == 0 { 500 } else { 200 }, 1.0);
            log.push('\n');
        }
        let report = review(None, &[&log]);
        assert_eq!(report.verdicts.len(), MAX_GROUPS + 2);
        assert_eq!(report.ungrouped, 2 * u64::try_from(MAX_GROUPS).unwrap());
        assert_eq!(report.verdicts.iter().map(|verdict| verdict.count).sum::<u64>(), report.known);
        assert_eq!(report.failed.application * 2, report.known);
        assert!(report.verdicts.iter().flat_map(|verdict| &verdict.function).all(|name| name.len() <= 120));
    }

    #[test]
    fn names_that_look_alike_when_joined_are_told_apart() {
        let line = |function: &str, code: &str| {
            m1(1, function, 500, 1.0).replace("\"stage\"", &format!("\"error_code\":{code},\"stage\""))
        };
        let log =
            [line("a", "\"b\""), line("a=b", "null"), line("a", "\"b UNKNOWN\""), line("a", "null"), line("a", "\"\"")];
        assert_eq!(review(None, &[&log.join("\n")]).verdicts.len(), 5);
    }

    proptest! {
        #[test]
        fn quantiles_are_as_exact_as_the_report_says(latencies in prop::collection::vec(0.001..1e6_f64, 1..300)) {
            let log: Vec<_> = latencies.iter().map(|latency| m1(1, "f", 500, *latency)).collect();
            let report = review(None, &[&log.join("\n")]);
            let mut sorted = latencies;
            sorted.sort_by(f64::total_cmp);
            for (share, found) in [(50, report.verdicts[0].p50_ms), (99, report.verdicts[0].p99_ms)] {
                let exact = sorted[share * (sorted.len() - 1) / 100];
                // The report rounds to a microsecond.
                prop_assert!((found - exact).abs() <= exact * report.quantile_error * 1.001 + 0.001, "{found} {exact}");
            }
        }

        #[test]
        fn every_line_is_counted_once_whatever_it_holds(
            pieces in prop::collection::vec(prop_oneof![
                any::<Vec<u8>>(),
                Just(b"\n".to_vec()),
                Just(m1(1, "f", 500, 1.0).into_bytes()),
                (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(place, byte)| {
                    let mut line = m1(2, "g", 422, 1.0).into_bytes();
                    let place = place.index(line.len());
                    line[place] = byte;
                    line
                }),
                Just(br#"{"level":"INFO","message":"serving"}"#.to_vec()),
            ], 0..40),
        ) {
            let bytes = pieces.concat();
            let parts = bytes.split(|byte| *byte == b'\n').count();
            let is_finished = bytes.last().is_none_or(|last| *last == b'\n');
            let mut review = LogReview::new(None);
            review.read("log", &bytes[..]).unwrap();
            let report = review.report();
            prop_assert_eq!(report.lines, u64::try_from(parts - usize::from(is_finished)).unwrap());
            prop_assert_eq!(report.lines, report.known + report.foreign.count + report.broken.count);
            prop_assert_eq!(report.verdicts.iter().map(|verdict| verdict.count).sum::<u64>(), report.known);
            let FailedCalls { client, .. } = report.failed;
            let failed: u64 = report.verdicts.iter().filter(|verdict| verdict.evidence[0].status >= 400)
                .map(|verdict| verdict.count).sum();
            prop_assert_eq!(failed, client + report.failed.not_of_clients());
        }
    }
}
