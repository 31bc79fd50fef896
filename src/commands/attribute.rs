//! `attribute`: whose fault was it? Logs in, verdicts out. It needs no database and no configuration.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use flate2::bufread::MultiGzDecoder;
use serde_json::json;

use super::output::{Output, table};
use crate::features::attribution::{Blame, BlameReport, BlameRow, EvidenceRow, LogReview, Strays};
use crate::kernel::clock::Clock;

/// How a file begins that gzip made.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What is read at once.
const BUFFER: usize = 256 * 1024;

#[derive(Debug, Args)]
pub struct AttributeCommand {
    /// Logs, as the server wrote them or compressed by gzip. `-`, or no file, is standard input.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only calls since then: an instant such as 2026-11-21T01:00:00Z, or a time ago such as 90s, 15m, 2h or 7d.
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    since: Option<DateTime<Utc>>,
}

/// All logs were read, and somebody else than clients is to blame, or nobody knows who.
#[derive(Debug)]
pub struct Blamed(u64);

impl fmt::Display for Blamed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} call(s) failed, and it was not, or not certainly, their callers' fault", self.0)
    }
}

impl std::error::Error for Blamed {}

pub fn attribute(command: AttributeCommand, output: &Output) -> anyhow::Result<()> {
    let AttributeCommand { mut files, since } = command;
    if files.is_empty() {
        files.push(PathBuf::from("-"));
    }
    let mut review = LogReview::new(since);
    let mut unread = Vec::new();
    for file in &files {
        let name = file.to_string_lossy();
        if let Err(error) = open(file).and_then(|source| review.read(&name, source)) {
            unread.push((name.into_owned(), error.to_string()));
        }
    }
    let report = review.report();
    let mut json = serde_json::to_value(&report)?;
    json["unread"] = unread.iter().map(|(file, why)| json!({ "file": file, "why": why })).collect();
    output.write(&json, words(&report, files.len()))?;
    if !unread.is_empty() {
        let unread: Vec<_> = unread.iter().map(|(file, why)| format!("{}: {why}", plain(file))).collect();
        anyhow::bail!("not everything could be read: {}", unread.join("; "));
    }
    anyhow::ensure!(
        report.lines == 0 || report.known > 0,
        "none of {} line(s) is an M1 line: nothing may stand before the {{ of a line, such as a container's name",
        report.lines
    );
    let blamed = report.failed.not_of_clients();
    anyhow::ensure!(blamed == 0, Blamed(blamed));
    Ok(())
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file: Box<dyn Read> = if path == "-" { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    let mut source = BufReader::with_capacity(BUFFER, file);
    // A pipe may give one byte at a time.
    let mut beginning = Vec::new();
    source.by_ref().take(2).read_to_end(&mut beginning)?;
    let is_gzip = beginning == GZIP;
    let source = Cursor::new(beginning).chain(source);
    Ok(if is_gzip { Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(source))) } else { Box::new(source) })
}

fn parse_since(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let ago = || {
        let seconds = match text.chars().last()? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        let count: u32 = text[..text.len() - 1].parse().ok()?;
        Clock::machine_now()
            .checked_sub_signed(chrono::TimeDelta::from_std(Duration::from_secs(u64::from(count) * seconds)).ok()?)
    };
    ago().ok_or_else(|| {
        "say an instant such as 2026-11-21T01:00:00Z, or a time ago such as 90s, 15m, 2h or 7d".to_owned()
    })
}

fn words(report: &BlameReport, files: usize) -> String {
    let mut words = format!(
        "{} line(s) of {files} file(s): {} M1 line(s), {} foreign{}, {} broken{}.",
        report.lines,
        report.known,
        report.foreign.count,
        first(&report.foreign),
        report.broken.count,
        first(&report.broken),
    );
    // Writing to a String cannot fail.
    let _ = match report.from.zip(report.to) {
        Some((from, to)) => write!(words, "\nCalls from {} to {}.", instant(from), instant(to)),
        None => write!(words, "\nNo call says when it ended."),
    };
    let (failed, slow) = (report.failed, report.slow);
    let _ = write!(
        words,
        "\nFailed: {} by UPSTREAM, {} by APPLICATION, {} by UNKNOWN, {} by CLIENT. Slow: {} by UPSTREAM, {} by APPLICATION.",
        failed.upstream, failed.application, failed.unknown, failed.client, slow.upstream, slow.application
    );
    for (count, what) in [
        (report.before_since, "M1 line(s) are from before --since and are not counted below".to_owned()),
        (report.without_time, "M1 line(s) do not say when they were written; they are counted".to_owned()),
        (
            report.contradictory.count,
            format!("M1 line(s) blame somebody whom their evidence does not{}", first(&report.contradictory)),
        ),
        (
            report.steps_back.count,
            format!("times the clock went back by more than a second{}", first(&report.steps_back)),
        ),
        (report.ungrouped, "call(s) stand under (others), because there are too many functions and codes".to_owned()),
    ] {
        if count > 0 {
            let _ = write!(words, "\n{count} {what}.");
        }
    }
    if !report.verdicts.is_empty() {
        words.push_str("\n\n");
        words.push_str(&rows(report));
    }
    words
}

/// A table, and under each row that is not well its evidence.
fn rows(report: &BlameReport) -> String {
    let head =
        ["attribution", "function", "error code", "count", "share", "p50 ms", "p99 ms", "first seen", "last seen"];
    let table = table(head.map(str::to_owned).into(), report.verdicts.iter().map(row).collect());
    let mut lines = table.lines();
    let mut rows = lines.next().unwrap_or_default().to_owned();
    for (line, verdict) in lines.zip(&report.verdicts) {
        // Writing to a String cannot fail.
        let _ = write!(rows, "\n{line}");
        if verdict.attribution != Blame::None {
            let _ = write!(rows, "\n    {}", details(verdict));
        }
    }
    let _ = write!(rows, "\nLatencies are at most {} % off.", report.quantile_error * 100.0);
    rows
}

fn row(row: &BlameRow) -> Vec<String> {
    let time = |at: Option<DateTime<Utc>>| at.map_or_else(|| "-".to_owned(), instant);
    let name = |name: &Option<String>, absent: &str| name.as_deref().map_or_else(|| absent.to_owned(), plain);
    vec![
        row.attribution.as_str().to_owned(),
        name(&row.function, "(others)"),
        name(&row.error_code, "-"),
        row.count.to_string(),
        format!("{:.2} %", row.share * 100.0),
        format!("{:.1}", row.p50_ms),
        format!("{:.1}", row.p99_ms),
        time(row.first_seen),
        time(row.last_seen),
    ]
}

fn details(row: &BlameRow) -> String {
    let mut evidence = row.evidence.iter().map(evidence).collect::<Vec<_>>();
    if row.other_evidence > 0 {
        evidence.push(format!("something else, {} call(s)", row.other_evidence));
    }
    let request_ids = row.request_ids.iter().map(|id| plain(id)).collect::<Vec<_>>();
    format!("{}; such as {}", evidence.join("; "), request_ids.join(" "))
}

fn evidence(evidence: &EvidenceRow) -> String {
    let EvidenceRow { status, upstream_status, upstream_evidence, count } = evidence;
    let answer = upstream_status.map_or_else(|| "not heard".to_owned(), |answer| answer.to_string());
    let why = upstream_evidence.as_deref().map(|why| format!(" ({})", plain(why))).unwrap_or_default();
    format!("{status}, PostgreSQL {answer}{why}, {count} call(s)")
}

fn first(strays: &Strays) -> String {
    match &strays.first {
        None => String::new(),
        Some(place) => {
            let why = place.why.map(|why| format!(": {why}")).unwrap_or_default();
            format!(" (first {}, line {}{why})", plain(&place.file), place.line)
        }
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// For a terminal, which must not obey what somebody wrote into a log.
fn plain(text: &str) -> String {
    let show = |letter: char| {
        if letter.is_ascii_graphic() || letter == ' ' {
            letter.to_string()
        } else {
            letter.escape_unicode().to_string()
        }
    };
    text.chars().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_an_instant_or_so_long_ago() {
        assert_eq!(parse_since("2026-11-21T02:00:00+01:00").unwrap().to_rfc3339(), "2026-11-21T01:00:00+00:00");
        for (text, seconds) in [("90s", 90), ("15m", 900), ("2h", 7_200), ("7d", 604_800), ("0s", 0)] {
            let ago = Clock::machine_now() - parse_since(text).unwrap();
            assert!((ago.num_seconds() - seconds).abs() <= 1, "{text}: {ago}");
        }
        for text in ["", "s", "-5m", "5 m", "1.5h", "yesterday", "2026-11-21", "5\u{b5}", "4294967295d", "99999999999s"]
        {
            assert!(parse_since(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_terminal_obeys_nothing_of_a_log() {
        assert_eq!(plain("get \u{1b}[2Jx\u{202e}"), "get \\u{1b}[2Jx\\u{202e}");
    }
}
