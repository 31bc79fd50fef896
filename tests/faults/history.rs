//! What a run leaves behind: what was sent, what was answered, what was read, and what stands in the end.
//!
//! Instants are microseconds since 1970 by this machine's clock, which the servers and the database share.

use std::collections::HashMap;

use halfhour::kernel::usage::snapshot::SnapshotPlace;
use halfhour::kernel::usage::writer::Verdict;
use uuid::Uuid;

/// An instant in microseconds.
pub type Micros = i64;

/// A day in seconds.
const DAY_S: i64 = 86_400;

/// What a bucket is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The position of the user.
    pub user: usize,
    pub device: Uuid,
    /// Seconds since 1970.
    pub hour_start: i64,
    pub source: String,
    pub model: String,
}

impl Key {
    /// The row of the rollup that the bucket is folded into. All users of a run live in UTC.
    pub fn row(&self) -> RollupRow {
        let Self { user, device, hour_start, source, model } = self.clone();
        RollupRow { user, day: hour_start.div_euclid(DAY_S), device, source, model }
    }
}

/// What a row of the rollup is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollupRow {
    pub user: usize,
    /// Days since 1970.
    pub day: i64,
    pub device: Uuid,
    pub source: String,
    pub model: String,
}

/// The keys of a run, each with a number.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    numbers: HashMap<Key, usize>,
    keys: Vec<Key>,
}

impl Keys {
    pub fn number(&mut self, key: Key) -> usize {
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let number = self.keys.len();
        self.keys.push(key.clone());
        self.numbers.insert(key, number);
        number
    }

    pub fn all(&self) -> &[Key] {
        &self.keys
    }
}

/// One snapshot of one bucket, as it was sent or as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The number of its key.
    pub key: usize,
    /// Its place in the order of all snapshots of a bucket.
    pub place: SnapshotPlace,
    /// Its tokens.
    pub total: i64,
    /// When it was taken.
    pub taken: Micros,
}

/// What a client wanted to have written, in one call or in several.
#[derive(Clone, Debug)]
pub struct Post {
    pub user: usize,
    pub snapshots: Vec<Snapshot>,
    /// Which of them the server must refuse, in lenient mode.
    pub unacceptable: Option<usize>,
}

/// One attempt to post.
#[derive(Clone, Debug)]
pub struct Call {
    /// The position of its post.
    pub post: usize,
    pub began: Micros,
    pub outcome: Outcome,
}

/// What the client came to know.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// 200.
    Answered { ended: Micros, request: Uuid, verdicts: Vec<Verdict> },
    /// Another status, with the promise that nothing was written or without it.
    Refused { nothing_written: bool },
    /// No answer, or half of one: it may happen at any time, or never.
    Unknown,
}

/// One deletion of everything that a user has.
#[derive(Clone, Debug)]
pub struct Erasure {
    pub user: usize,
    pub began: Micros,
    /// `None` where no answer came.
    pub ended: Option<Micros>,
    /// `None` where no answer came.
    pub erased_at: Option<Micros>,
}

/// One read.
#[derive(Clone, Debug)]
pub struct Read {
    pub user: usize,
    pub began: Micros,
    pub ended: Micros,
    pub as_of: Micros,
    pub pending: bool,
    pub version: i64,
    pub shows: Shows,
}

/// What a read showed.
#[derive(Clone, Debug)]
pub enum Shows {
    /// The tokens of all the user's buckets.
    Total(i64),
    /// The user's buckets of half hours from this one on, in seconds since 1970.
    Buckets { from: i64, buckets: Vec<Snapshot> },
}

/// What a row of the rollup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub total: i64,
    pub buckets: i64,
}

/// What stands when all is over.
#[derive(Clone, Debug, Default)]
pub struct End {
    pub buckets: Vec<Snapshot>,
    pub rollup: HashMap<RollupRow, Sums>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub keys: Keys,
    pub posts: Vec<Post>,
    pub calls: Vec<Call>,
    pub erasures: Vec<Erasure>,
    pub reads: Vec<Read>,
    pub end: End,
}
