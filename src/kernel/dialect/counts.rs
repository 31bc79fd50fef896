//! What a product means by its counts, by tool. The classes of tokens here are disjoint, and reasoning is a part of the
//! output. Other products count cached input inside of the input for one tool and beside it for the next one, and
//! reasoning likewise.

use crate::kernel::bucket::{MAX_COUNT, TokenCounts};

/// What a row says, in the words that products share. What it leaves out is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// Input, with or without what is cached.
    pub input: i64,
    /// Input that was served from a cache.
    pub cached: i64,
    /// Input that was written to a cache of 5 minutes, or of a lifetime that is not told.
    pub written_5m: i64,
    /// Input that was written to a cache of an hour.
    pub written_1h: i64,
    /// Output, with or without reasoning.
    pub output: i64,
    /// Reasoning.
    pub reasoning: i64,
    /// The whole, as the product adds it up.
    pub total: i64,
}

/// Where a class is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is part of the greater class.
    Inside,
    /// It stands beside it.
    Beside,
}
use Place::{Beside, Inside};

/// Where cached input and reasoning are.
type Places = (Place, Place);

/// Whose meaning of counts a row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// vibeusage: by tool, because its total cannot tell.
    VibeUsage,
    /// vibe-usage of vibe-cafe: everything is apart, and its total leaves cache reads out.
    VibeCafe,
    /// TokenTracker: input is apart for all tools but one, and the total tells where reasoning is.
    TokenTracker,
}

/// Where vibeusage counts cached input and reasoning, by the tool's name here.
const OF_VIBEUSAGE: [(&str, Places); 6] = [
    ("codex", (Inside, Inside)),
    ("every-code", (Inside, Inside)),
    // Cache writes are in its input, and cannot be told from it.
    ("claude-code", (Beside, Inside)),
    ("gemini-cli", (Inside, Beside)),
    ("opencode", (Beside, Beside)),
    ("kimi", (Beside, Inside)),
];

/// The readings of a tool that the table does not have: the first one whose sum is the total is right.
const READINGS: [Places; 4] = [(Inside, Inside), (Beside, Beside), (Beside, Inside), (Inside, Beside)];

/// The one tool whose cached input TokenTracker counts inside of the input, and adds to the total again.
const DOUBLED_BY_TOKENTRACKER: &str = "gemini-cli";

impl Meaning {
    /// What a row of that tool means. `None` where a count is negative, or beyond what a bucket can hold.
    pub fn counts(self, tool: &str, claimed: &Claimed) -> Option<TokenCounts> {
        // Sums of a handful of these fit by far.
        if !claimed.values().iter().all(|count| (0..=MAX_COUNT).contains(count)) {
            return None;
        }
        let counts = match self {
            Self::VibeUsage => of_vibeusage(tool, claimed),
            Self::VibeCafe => with_the_rest(placed(claimed, (Beside, Beside)), claimed.total + claimed.cached),
            Self::TokenTracker => of_tokentracker(tool, claimed),
        };
        counts.into_values().iter().all(|count| *count <= MAX_COUNT).then_some(counts)
    }
}

impl Claimed {
    const fn values(&self) -> [i64; 7] {
        let Self { input, cached, written_5m, written_1h, output, reasoning, total } = *self;
        [input, cached, written_5m, written_1h, output, reasoning, total]
    }
}

fn of_vibeusage(tool: &str, claimed: &Claimed) -> TokenCounts {
    let known = OF_VIBEUSAGE.iter().find(|(known, _)| *known == tool).map(|(_, places)| *places);
    let fits = |places: &&Places| {
        let possible = match **places {
            (Inside, _) if claimed.cached > claimed.input => false,
            (_, Inside) if claimed.reasoning > claimed.output => false,
            _ => true,
        };
        possible && placed(claimed, **places).total() == claimed.total
    };
    let places = known.or_else(|| READINGS.iter().find(fits).copied()).unwrap_or((Beside, Inside));
    with_the_rest(placed(claimed, places), claimed.total)
}

fn of_tokentracker(tool: &str, claimed: &Claimed) -> TokenCounts {
    if tool == DOUBLED_BY_TOKENTRACKER {
        return placed(claimed, (Inside, Beside));
    }
    let inside = placed(claimed, (Beside, Inside));
    let is_beside = inside.total() + claimed.reasoning == claimed.total;
    with_the_rest(if is_beside { placed(claimed, (Beside, Beside)) } else { inside }, claimed.total)
}

/// The counts with cached input and reasoning in these places. A part is never more than its whole.
fn placed(claimed: &Claimed, (cached, reasoning): Places) -> TokenCounts {
    let cache_read_tokens = if cached == Inside { claimed.cached.min(claimed.input) } else { claimed.cached };
    let input_tokens = if cached == Inside { claimed.input - cache_read_tokens } else { claimed.input };
    let output_tokens = if reasoning == Inside { claimed.output } else { claimed.output + claimed.reasoning };
    TokenCounts {
        input_tokens,
        cache_read_tokens,
        cache_write_5m_tokens: claimed.written_5m,
        cache_write_1h_tokens: claimed.written_1h,
        output_tokens,
        reasoning_tokens: claimed.reasoning.min(output_tokens),
        ..TokenCounts::default()
    }
}

/// What the total claims beyond the classes is of no class that is known.
fn with_the_rest(counts: TokenCounts, total: i64) -> TokenCounts {
    TokenCounts { unclassified_tokens: (total - counts.total()).max(0), ..counts }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// input, cached, written for 5 minutes and an hour, output, reasoning, total.
    fn claimed([input, cached, short, long, output, reasoning, total]: [i64; 7]) -> Claimed {
        Claimed { input, cached, written_5m: short, written_1h: long, output, reasoning, total }
    }

    /// The counters without requests, in their order.
    fn meant(meaning: Meaning, tool: &str, row: [i64; 7]) -> [i64; 7] {
        let values = meaning.counts(tool, &claimed(row)).unwrap().into_values();
        std::array::from_fn(|place| values[place])
    }

    #[test]
    fn vibeusage_means_something_else_by_each_tool() {
        for (tool, row, expected) in [
            ("codex", [1000, 600, 0, 0, 100, 40, 1100], [400, 600, 0, 0, 100, 40, 0]),
            ("every-code", [1000, 600, 0, 0, 100, 40, 1100], [400, 600, 0, 0, 100, 40, 0]),
            // The rows of older and of newer clients claim other totals of the same.
            ("claude-code", [420, 10000, 0, 0, 55, 0, 475], [420, 10000, 0, 0, 55, 0, 0]),
            ("claude-code", [420, 10000, 0, 0, 55, 0, 10475], [420, 10000, 0, 0, 55, 0, 0]),
            ("gemini-cli", [1100, 800, 0, 0, 100, 40, 1240], [300, 800, 0, 0, 140, 40, 0]),
            ("opencode", [140, 300, 0, 0, 20, 5, 165], [140, 300, 0, 0, 25, 5, 0]),
            ("opencode", [140, 300, 0, 0, 20, 5, 465], [140, 300, 0, 0, 25, 5, 0]),
            ("kimi", [10, 20, 0, 0, 5, 0, 35], [10, 20, 0, 0, 5, 0, 0]),
            // "Fill to context window": a total without parts.
            ("codex", [0, 0, 0, 0, 0, 0, 272_000], [0, 0, 0, 0, 0, 0, 272_000]),
            // A part is never more than its whole.
            ("codex", [5, 9, 0, 0, 3, 7, 8], [0, 5, 0, 0, 3, 3, 0]),
        ] {
            assert_eq!(meant(Meaning::VibeUsage, tool, row), expected, "{tool} {row:?}");
        }
    }

    #[test]
    fn a_tool_that_nobody_knows_is_read_as_its_total_adds_up() {
        for (row, expected) in [
            ([100, 40, 0, 0, 30, 10, 130], [60, 40, 0, 0, 30, 10, 0]),
            ([100, 40, 0, 0, 30, 10, 180], [100, 40, 0, 0, 40, 10, 0]),
            ([100, 40, 0, 0, 30, 10, 170], [100, 40, 0, 0, 30, 10, 0]),
            ([100, 40, 0, 0, 30, 10, 140], [60, 40, 0, 0, 40, 10, 0]),
            // Not inside, because it is more.
            ([10, 40, 0, 0, 30, 0, 40], [10, 40, 0, 0, 30, 0, 0]),
            // None fits: the rest is of no class.
            ([100, 40, 0, 0, 30, 10, 999], [100, 40, 0, 0, 30, 10, 829]),
        ] {
            assert_eq!(meant(Meaning::VibeUsage, "grok", row), expected, "{row:?}");
        }
    }

    #[test]
    fn tokentracker_tells_by_its_total_where_reasoning_is_but_for_gemini() {
        for (tool, row, expected) in [
            ("codex", [400, 600, 0, 0, 100, 40, 1100], [400, 600, 0, 0, 100, 40, 0]),
            ("opencode", [100, 300, 40, 0, 20, 5, 465], [100, 300, 40, 0, 25, 5, 0]),
            ("claude-code", [10, 5000, 200, 0, 5, 0, 5215], [10, 5000, 200, 0, 5, 0, 0]),
            ("gemini-cli", [1100, 800, 0, 0, 100, 40, 2040], [300, 800, 0, 0, 140, 40, 0]),
            ("codex", [0, 0, 0, 0, 0, 0, 272_000], [0, 0, 0, 0, 0, 0, 272_000]),
        ] {
            assert_eq!(meant(Meaning::TokenTracker, tool, row), expected, "{tool} {row:?}");
        }
    }

    #[test]
    fn vibe_cafes_total_leaves_cache_reads_out() {
        let row = [10, 5000, 150, 50, 40, 10, 260];
        assert_eq!(meant(Meaning::VibeCafe, "claude-code", row), [10, 5000, 150, 50, 50, 10, 0]);
        let more = [10, 5000, 150, 50, 40, 10, 300];
        assert_eq!(meant(Meaning::VibeCafe, "claude-code", more), [10, 5000, 150, 50, 50, 10, 40]);
    }

    proptest! {
        #[test]
        fn nothing_is_negative_no_part_is_more_than_its_whole_and_no_claim_is_lost(
            row in prop::array::uniform7(0..400_000_000_000_i64),
            tool in prop::sample::select(vec!["codex", "claude-code", "gemini-cli", "opencode", "kimi", "grok"]),
        ) {
            for meaning in [Meaning::VibeUsage, Meaning::VibeCafe, Meaning::TokenTracker] {
                let counts = meaning.counts(tool, &claimed(row)).unwrap();
                prop_assert!(counts.into_values().into_iter().all(|count| count >= 0), "{:?}", counts);
                prop_assert!(counts.reasoning_tokens <= counts.output_tokens);
                if !(meaning == Meaning::TokenTracker && tool == "gemini-cli") {
                    prop_assert!(counts.total() >= row[6], "{:?} of {:?}", counts, row);
                }
            }
        }

        #[test]
        fn whatever_is_claimed_is_read_without_a_panic(row in prop::array::uniform7(any::<i64>())) {
            for meaning in [Meaning::VibeUsage, Meaning::VibeCafe, Meaning::TokenTracker] {
                let _ = meaning.counts("codex", &claimed(row));
            }
        }
    }
}
