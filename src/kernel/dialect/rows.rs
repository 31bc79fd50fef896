//! Rows of a report, turned into snapshots: each tool and model by its name here, each bucket once, and each row that
//! cannot be taken counted by its reason.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::names;
use super::protocol::{Dialect, Objection, Row, Twice, UnknownModel, UnlistedTool};
use crate::kernel::bucket::{HalfHour, MAX_COUNT, Model, Source, TokenCounts};
use crate::kernel::usage::intake::{Draft, Snapshot};
use crate::kernel::usage::snapshot::Firmness;
use crate::kernel::usage::sources::AllowedSource;

/// Where rows of a tool go that may not report under its own name.
const OTHER: &str = "other";

/// Rows of this tool or model are a product's own tests.
const TEST_ROW: &str = "canary";

/// Rows, ready for the intake.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// Of the machine.
    pub(super) own: Vec<Placed>,
    /// Of accounts.
    pub(super) of_account: Vec<Placed>,
    /// How many rows cannot be taken, by reason.
    pub(super) skipped: BTreeMap<Objection, usize>,
    /// The tools that may not report, as the tracker spells them.
    pub(super) unlisted: BTreeSet<String>,
}

/// A snapshot and how many rows it was made of.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) snapshot: Snapshot,
    pub(super) rows: usize,
}

/// A bucket in the making.
#[derive(Debug)]
struct Gathered {
    snapshot: Snapshot,
    rows: usize,
    hour_start: HalfHour,
    /// The tool as it is told apart, whatever it is stored as.
    tool: String,
    is_unknown: bool,
    parts: Vec<(String, TokenCounts)>,
}

type Key = (bool, Source, Model, HalfHour);

/// Sorts rows out by the rules of `dialect`, and by what `draft` takes now.
pub(super) fn sort(rows: impl IntoIterator<Item = Result<Row, Objection>>, dialect: &Dialect, draft: &Draft) -> Sorted {
    let mut sorted = Sorted::default();
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut gathered: Vec<(bool, Gathered)> = Vec::new();
    for row in rows {
        let read = row.and_then(|row| {
            let bucket = bucket(&row, dialect, draft, &mut sorted.unlisted)?;
            Ok((row.of_account, bucket))
        });
        match read {
            Ok((of_account, new)) => {
                let Snapshot { source, model, .. } = &new.snapshot;
                let key = (of_account, source.source(), model.clone(), new.hour_start);
                if let Some((_, standing)) = places.get(&key).and_then(|place| gathered.get_mut(*place)) {
                    standing.meet(new, dialect.twice);
                } else {
                    places.insert(key, gathered.len());
                    gathered.push((of_account, new));
                }
            }
            Err(reason) => *sorted.skipped.entry(reason).or_default() += 1,
        }
    }
    finish(gathered, dialect.unknown, &mut sorted);
    sorted
}

/// Adds up what each bucket was given, and says which of them are the last word on an unknown model.
fn finish(gathered: Vec<(bool, Gathered)>, unknown: UnknownModel, sorted: &mut Sorted) {
    let mut named = HashSet::new();
    let mut sums = Vec::with_capacity(gathered.len());
    for (of_account, bucket) in gathered {
        let counts = bucket.parts.iter().fold(TokenCounts::default(), |sum, (_, counts)| sum + *counts);
        let hour_start = bucket.hour_start;
        if counts.total() > 0 && !bucket.is_unknown {
            named.insert((of_account, bucket.tool.clone(), hour_start));
        }
        sums.push((of_account, bucket, counts, hour_start));
    }
    for (of_account, bucket, counts, hour_start) in sums {
        if counts.into_values().iter().any(|count| *count > MAX_COUNT) {
            *sorted.skipped.entry("out_of_range").or_default() += bucket.rows;
            continue;
        }
        let settles = unknown == UnknownModel::IsNamedLater
            && bucket.is_unknown
            && named.contains(&(of_account, bucket.tool, hour_start));
        let firmness = if settles { Firmness::Settles } else { Firmness::Ordinary };
        let placed = Placed { snapshot: Snapshot { counts, firmness, ..bucket.snapshot }, rows: bucket.rows };
        if of_account { sorted.of_account.push(placed) } else { sorted.own.push(placed) }
    }
}

/// One row as a bucket. Errors: why it cannot be taken.
fn bucket(row: &Row, dialect: &Dialect, draft: &Draft, unlisted: &mut BTreeSet<String>) -> Result<Gathered, Objection> {
    let half_hour = row.hour_start.ok_or("missing")?;
    let hour_start = draft.hour_start(half_hour).map_err(|untimely| untimely.code)?;
    let (tool, name) = (names::tool(&row.tool), names::named(row.model.as_deref()));
    if [tool.as_str(), name].contains(&TEST_ROW) {
        return Err("test_row");
    }
    let (source, model, tool) = match draft.tool(&tool) {
        Ok(source) if source.source().as_str() != OTHER => {
            (source, names::model(name), source.source().as_str().to_owned())
        }
        // A tool that is called `other` is none of those that are kept there.
        listed => match dialect.unlisted {
            UnlistedTool::Told if listed.is_err() => {
                unlisted.insert(row.tool.clone());
                return Err("unknown_source");
            }
            _ => (other(draft)?, names::model_of_other(&tool, name), tool),
        },
    };
    let counts = dialect.meaning.counts(&tool, &row.claimed).ok_or("out_of_range")?;
    let firmness = Firmness::Ordinary;
    let snapshot = Snapshot { hour_start, source, model, counts, observed_at: None, firmness };
    let (is_unknown, parts) = (name == names::UNKNOWN, vec![(row.part.clone(), counts)]);
    Ok(Gathered { snapshot, rows: 1, hour_start: half_hour, tool, is_unknown, parts })
}

fn other(draft: &Draft) -> Result<AllowedSource, Objection> {
    draft.tool(OTHER).map_err(|unlisted| unlisted.code)
}

impl Gathered {
    /// The bucket comes again.
    fn meet(&mut self, mut new: Self, twice: Twice) {
        self.rows += new.rows;
        let Some((part, counts)) = new.parts.pop() else { return };
        match twice {
            Twice::Last => self.parts = vec![(part, counts)],
            Twice::Larger => {
                if self.parts.iter().all(|(_, standing)| standing.total() < counts.total()) {
                    self.parts = vec![(part, counts)];
                }
            }
            Twice::Added => match self.parts.iter_mut().find(|(known, _)| *known == part) {
                Some((_, standing)) => *standing = counts,
                None => self.parts.push((part, counts)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::counts::{Claimed, Meaning};
    use super::*;
    use crate::kernel::clock::Clock;
    use crate::kernel::usage::sources::{KnownSources, Standing};

    const NOW: &str = "2026-11-20T12:00:00Z";

    fn draft() -> Draft {
        let source = |name: &str| Source::parse(name).unwrap();
        let listed = ["codex", "claude-code", "other"].map(|name| (source(name), Standing::Allowed));
        let known = listed.into_iter().chain([
            (source("claude"), Standing::AliasOf(source("claude-code"))),
            (source("windsurf"), Standing::Retired),
        ]);
        let known: KnownSources = known.collect();
        Draft::new(&Clock::fixed(NOW.parse().unwrap()), Some(400), Arc::new(known))
    }

    fn dialect(unlisted: UnlistedTool, twice: Twice) -> Dialect {
        let read = |_: &[u8]| Ok(Vec::new());
        let unknown = UnknownModel::IsNamedLater;
        Dialect { name: "test", meaning: Meaning::VibeUsage, unlisted, twice, unknown, mark: b"hour_start", read }
    }

    const KEPT: fn(Twice) -> Dialect = |twice| dialect(UnlistedTool::KeptAsOther, twice);

    fn row(tool: &str, model: &str, input: i64) -> Row {
        let hour_start = HalfHour::new("2026-11-20T10:30:00Z".parse().unwrap());
        let claimed = Claimed { input, total: input, ..Claimed::default() };
        Row { tool: tool.into(), model: Some(model.into()), hour_start, claimed, ..Row::default() }
    }

    /// Source, model and total of each bucket, and whether it is the last word.
    fn told(rows: &[Row], dialect: &Dialect) -> Vec<(String, String, i64, bool)> {
        let sorted = sort(rows.iter().cloned().map(Ok), dialect, &draft());
        let bucket = |placed: &Placed| {
            let Snapshot { source, model, counts, firmness, .. } = &placed.snapshot;
            let settles = *firmness == Firmness::Settles;
            (source.source().as_str().to_owned(), model.as_str().to_owned(), counts.total(), settles)
        };
        sorted.own.iter().map(bucket).collect()
    }

    fn bucket(source: &str, model: &str, total: i64, settles: bool) -> (String, String, i64, bool) {
        (source.to_owned(), model.to_owned(), total, settles)
    }

    #[test]
    fn an_unknown_model_is_settled_beside_a_real_one_of_its_tool_and_half_hour_only() {
        let last = KEPT(Twice::Last);
        let pair = [row("codex", "unknown", 0), row("codex", "gpt", 330)];
        let both = [bucket("codex", "unknown", 0, true), bucket("codex", "gpt", 330, false)];
        assert_eq!(told(&pair, &last), both);
        let backwards: Vec<_> = pair.iter().rev().cloned().collect();
        assert_eq!(told(&backwards, &last), [both[1].clone(), both[0].clone()]);
        for (alone, expected) in [
            (vec![row("codex", "unknown", 0)], vec![bucket("codex", "unknown", 0, false)]),
            (
                vec![row("codex", "unknown", 7), row("codex", "gpt", 1)],
                vec![bucket("codex", "unknown", 7, true), bucket("codex", "gpt", 1, false)],
            ),
            (
                vec![row("codex", "gpt", 0), row("codex", "other", 1)],
                vec![bucket("codex", "gpt", 0, false), bucket("codex", "other", 1, false)],
            ),
            (
                vec![row("codex", "", 0), row("claude", "opus", 1)],
                vec![bucket("codex", "unknown", 0, false), bucket("claude-code", "opus", 1, false)],
            ),
            (
                vec![row("codex", "unknown", 0), row("codex", "gpt", 0)],
                vec![bucket("codex", "unknown", 0, false), bucket("codex", "gpt", 0, false)],
            ),
            (
                vec![row("grok", "unknown", 0), row("grok", "g", 5)],
                vec![bucket("other", "grok:unknown", 0, true), bucket("other", "grok:g", 5, false)],
            ),
        ] {
            assert_eq!(told(&alone, &last), expected);
        }
        let stays = Dialect { unknown: UnknownModel::Stays, ..last };
        assert_eq!(told(&pair, &stays)[0], bucket("codex", "unknown", 0, false), "nobody names it later");
    }

    #[test]
    fn tools_go_by_their_names_here_and_those_that_may_not_report_never_meet() {
        let rows = [
            row(" Claude ", "m", 1),
            row("grok", "m", 2),
            row("zcode", "m", 3),
            row("other", "grok:m", 4),
            row("windsurf", "m", 5),
            row("My Tool", "m", 6),
        ];
        let told = told(&rows, &KEPT(Twice::Last));
        let expected = [
            bucket("claude-code", "m", 1, false),
            bucket("other", "grok:m", 2, false),
            bucket("other", "zcode:m", 3, false),
            bucket("other", "other:grok:m", 4, false),
            bucket("other", "windsurf:m", 5, false),
        ];
        assert_eq!(told[..5], expected);
        assert!(told[5].1.starts_with("my tool:m~") && told[5].2 == 6, "{told:?}");
    }

    #[test]
    fn a_tracker_that_can_wait_is_told_which_tools_may_not_report() {
        let rows = [row("Grok", "m", 1), row("codex", "m", 2), row("windsurf", "m", 3), row("Grok", "n", 4)];
        let sorted = sort(rows.map(Ok), &dialect(UnlistedTool::Told, Twice::Last), &draft());
        assert_eq!(sorted.unlisted.iter().map(String::as_str).collect::<Vec<_>>(), ["Grok", "windsurf"]);
        assert_eq!((sorted.own.len(), sorted.skipped), (1, BTreeMap::from([("unknown_source", 3)])));
    }

    #[test]
    fn a_bucket_that_comes_twice_is_one_by_the_rule_of_its_protocol() {
        let rows = [row("codex", "m", 5), row("codex", "m", 9), row("claude", "m", 1), row("codex", "m", 7)];
        for (twice, total) in [(Twice::Last, 7), (Twice::Larger, 9), (Twice::Added, 7)] {
            let expected = [bucket("codex", "m", total, false), bucket("claude-code", "m", 1, false)];
            assert_eq!(told(&rows, &KEPT(twice)), expected, "{twice:?}");
        }
        let parts: Vec<Row> =
            ["a", "b", "a"].iter().zip(&rows).map(|(part, row)| Row { part: (*part).into(), ..row.clone() }).collect();
        let parts: Vec<Row> = parts.into_iter().map(|row| Row { tool: "codex".into(), ..row }).collect();
        assert_eq!(told(&parts, &KEPT(Twice::Added)), [bucket("codex", "m", 9 + 1, false)]);
        let sorted = sort(rows.map(Ok), &KEPT(Twice::Last), &draft());
        assert_eq!(sorted.own.iter().map(|placed| placed.rows).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn what_cannot_be_taken_is_counted_by_its_reason() {
        let at = |start: &str| Row { hour_start: HalfHour::new(start.parse().unwrap()), ..row("codex", "m", 1) };
        let rows = [
            Ok(at("2025-10-01T00:00:00Z")),
            Ok(at("2026-11-20T12:30:00Z")),
            Ok(Row { hour_start: None, ..row("codex", "m", 1) }),
            Ok(row("codex", "canary", 1)),
            Ok(row("codex", "m", MAX_COUNT + 1)),
            Err("wrong_type"),
            Err("wrong_type"),
            Ok(Row { part: "a".into(), ..row("codex", "sum", MAX_COUNT) }),
            Ok(Row { part: "b".into(), ..row("codex", "sum", MAX_COUNT) }),
        ];
        let sorted = sort(rows, &KEPT(Twice::Added), &draft());
        let expected =
            [("in_future", 1), ("missing", 1), ("out_of_range", 3), ("test_row", 1), ("too_old", 1), ("wrong_type", 2)];
        assert_eq!((sorted.own.len(), sorted.skipped), (0, BTreeMap::from(expected)));
    }

    proptest! {
        #[test]
        fn rows_in_any_order_become_the_same_buckets(
            rows in prop::collection::vec((0..3_usize, 0..3_usize, 0..5_i64), 0..12),
            keys in prop::collection::vec(any::<u64>(), 12),
        ) {
            let tools = ["codex", "claude", "grok"];
            let models = ["unknown", "m", "n"];
            let mut seen = BTreeSet::new();
            let rows: Vec<Row> = rows
                .into_iter()
                .filter(|(tool, model, _)| seen.insert((*tool, *model)))
                .map(|(tool, model, input)| row(tools[tool], models[model], input))
                .collect();
            let mut shuffled: Vec<_> = keys.into_iter().zip(rows.clone()).collect();
            shuffled.sort_by_key(|(key, _)| *key);
            let shuffled: Vec<Row> = shuffled.into_iter().map(|(_, row)| row).collect();
            let [mut one, mut other] = [told(&rows, &KEPT(Twice::Last)), told(&shuffled, &KEPT(Twice::Last))];
            one.sort();
            other.sort();
            prop_assert_eq!(one, other);
        }
    }
}
