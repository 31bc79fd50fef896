//! The habits of one made-up person: which tools and models on which device, when, and how much.

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, Timelike as _, Weekday};

use super::dice::Dice;
use crate::kernel::bucket::TokenCounts;

/// The devices, as they are registered.
pub(super) const DEVICES: [&str; 3] = ["workstation", "laptop", "build-server"];

/// A tool on a device.
pub(super) struct Habit {
    /// Its place in [`DEVICES`].
    pub(super) device: usize,
    pub(super) source: &'static str,
    rhythm: Rhythm,
    /// How many of a thousand half hours have usage, where the rhythm is at its height.
    keenness: i64,
    /// The first is preferred in one quarter of a year, the second in the next.
    models: [&'static str; 2],
    /// How many requests half an hour has.
    requests: (i64, i64),
    /// What one request uses.
    uses: Uses,
}

/// From and to, of each counter. `reasoning` is a share of the output, of a hundred.
#[derive(Clone, Copy)]
struct Uses {
    input: (i64, i64),
    cache_read: (i64, i64),
    cache_write_5m: (i64, i64),
    cache_write_1h: (i64, i64),
    output: (i64, i64),
    reasoning: (i64, i64),
    unclassified: (i64, i64),
}

/// When a device is used, by local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rhythm {
    /// From Monday to Friday, with a pause at noon.
    Office,
    /// In the evening, and on weekends.
    Leisure,
    /// A job of a few half hours before each working day.
    Nightly,
}

const NOTHING: Uses = Uses {
    input: (0, 0),
    cache_read: (0, 0),
    cache_write_5m: (0, 0),
    cache_write_1h: (0, 0),
    output: (0, 0),
    reasoning: (0, 0),
    unclassified: (0, 0),
};
const CLAUDE: Uses = Uses {
    input: (40, 900),
    cache_read: (22_000, 95_000),
    cache_write_5m: (900, 6_500),
    output: (250, 1_400),
    ..NOTHING
};
const CODEX: Uses =
    Uses { input: (1_500, 6_000), cache_read: (14_000, 70_000), output: (350, 1_900), reasoning: (25, 60), ..NOTHING };

pub(super) const HABITS: [Habit; 8] = [
    Habit {
        device: 0,
        source: "claude-code",
        rhythm: Rhythm::Office,
        keenness: 700,
        models: ["claude-opus-4-5", "claude-sonnet-4-5"],
        requests: (4, 55),
        uses: CLAUDE,
    },
    Habit {
        device: 0,
        source: "codex",
        rhythm: Rhythm::Office,
        keenness: 330,
        models: ["gpt-5.2-codex", "gpt-5.2"],
        requests: (3, 40),
        uses: CODEX,
    },
    Habit {
        device: 0,
        source: "cursor",
        rhythm: Rhythm::Office,
        keenness: 220,
        models: ["claude-sonnet-4-5", "gpt-5.2"],
        requests: (1, 14),
        uses: Uses { unclassified: (6_000, 42_000), ..NOTHING },
    },
    Habit {
        device: 1,
        source: "claude-code",
        rhythm: Rhythm::Leisure,
        keenness: 560,
        models: ["claude-sonnet-4-5", "claude-opus-4-5"],
        requests: (3, 38),
        uses: CLAUDE,
    },
    Habit {
        device: 1,
        source: "gemini-cli",
        rhythm: Rhythm::Leisure,
        keenness: 380,
        models: ["gemini-3-pro-preview", "gemini-3-flash-preview"],
        requests: (2, 26),
        uses: Uses {
            input: (3_000, 14_000),
            cache_read: (4_000, 30_000),
            output: (250, 1_500),
            reasoning: (20, 50),
            ..NOTHING
        },
    },
    Habit {
        device: 1,
        source: "opencode",
        rhythm: Rhythm::Leisure,
        keenness: 210,
        models: ["qwen3-coder-480b", "claude-haiku-4-5"],
        requests: (2, 22),
        uses: Uses {
            input: (800, 7_000),
            cache_read: (9_000, 48_000),
            cache_write_1h: (300, 2_400),
            output: (200, 1_100),
            ..NOTHING
        },
    },
    Habit {
        device: 2,
        source: "claude-code",
        rhythm: Rhythm::Nightly,
        keenness: 920,
        models: ["claude-haiku-4-5", "claude-sonnet-4-5"],
        requests: (20, 90),
        uses: CLAUDE,
    },
    Habit {
        device: 2,
        source: "codex",
        rhythm: Rhythm::Nightly,
        keenness: 450,
        models: ["gpt-5.2-codex", "gpt-5.2"],
        requests: (10, 60),
        uses: CODEX,
    },
];

impl Habit {
    /// How many of a thousand half hours that begin at this local time have usage, on a day of this mood.
    pub(super) fn likelihood(&self, local: NaiveDateTime, mood: i64) -> i64 {
        // Machines know no moods.
        let mood = if self.rhythm == Rhythm::Nightly { 1000 } else { mood };
        self.rhythm.weight(local) * self.keenness * mood / 1_000_000
    }

    /// The models of a half hour: mostly the one that is preferred in this quarter, sometimes the other one, or both.
    pub(super) fn models(&self, date: NaiveDate, dice: &mut Dice) -> Vec<&'static str> {
        let [mut preferred, mut other] = self.models;
        if date.month0() / 3 % 2 == 1 {
            (preferred, other) = (other, preferred);
        }
        match dice.draw((1, 100)) {
            ..=65 => vec![preferred],
            66..=85 => vec![other],
            _ => vec![preferred, other],
        }
    }

    /// What half an hour of this habit uses of one model.
    pub(super) fn counts(&self, dice: &mut Dice) -> TokenCounts {
        let uses = self.uses;
        let request_count = dice.draw(self.requests);
        // Something odd beside the average of the requests, because nobody uses round numbers.
        let mut sum = |each: (i64, i64)| {
            if each.1 == 0 { 0 } else { request_count * dice.draw(each) + dice.draw((0, each.0)) }
        };
        let output_tokens = sum(uses.output);
        TokenCounts {
            input_tokens: sum(uses.input),
            cache_read_tokens: sum(uses.cache_read),
            cache_write_5m_tokens: sum(uses.cache_write_5m),
            cache_write_1h_tokens: sum(uses.cache_write_1h),
            output_tokens,
            unclassified_tokens: sum(uses.unclassified),
            reasoning_tokens: output_tokens * dice.draw(uses.reasoning) / 100,
            request_count,
        }
    }
}

impl Rhythm {
    /// Of a thousand, at the height.
    fn weight(self, local: NaiveDateTime) -> i64 {
        let is_weekend = matches!(local.weekday(), Weekday::Sat | Weekday::Sun);
        match (self, local.hour()) {
            (Self::Office | Self::Nightly, _) if is_weekend => 0,
            (Self::Office, 10 | 15) | (Self::Nightly, 3) => 1000,
            (Self::Office, 11 | 14 | 16) => 900,
            (Self::Office, 9) => 800,
            (Self::Office, 13 | 17) => 600,
            (Self::Office, 8 | 12) | (Self::Nightly, 4) => 300,
            (Self::Office, 18) => 200,
            (Self::Leisure, 14..=17) if is_weekend => 450,
            (Self::Leisure, 10..=12) if is_weekend => 350,
            (Self::Leisure, 19..=22) => 550,
            (Self::Leisure, 23) => 180,
            (Self::Leisure, 0) => 50,
            _ => 0,
        }
    }
}

/// How much a person is in the mood on a day, of a thousand; 0 on a day off. It depends on the date alone.
pub(super) fn mood(date: NaiveDate, dice: &mut Dice) -> i64 {
    let is_away = match date.month() {
        8 => (10..=23).contains(&date.day()),
        12 => date.day() >= 24,
        _ => date.ordinal() == 1,
    };
    // A cold, or a trip.
    let is_off = dice.draw((1, 100)) <= 5;
    if is_away || is_off { 0 } else { dice.draw((550, 1300)) }
}
