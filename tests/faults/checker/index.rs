//! A history, sorted once: what was sent of each bucket, and what was accepted.

use halfhour::kernel::usage::snapshot::SnapshotPlace;
use halfhour::kernel::usage::writer::Verdict;
use uuid::Uuid;

use super::{Breaches, Law};
use crate::history::{Erasure, History, Key, Micros, Outcome, Post, Snapshot};

/// A snapshot that somebody sent and that the server may have written.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub snapshot: Snapshot,
    /// The position of its post.
    pub post: usize,
    /// When the post's first call began.
    pub began: Micros,
}

/// A snapshot with its verdict.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    pub snapshot: Snapshot,
    pub began: Micros,
    pub ended: Micros,
    pub verdict: Verdict,
    /// Which execution said so, and of which place. A repetition under a key names the first one.
    pub execution: (Uuid, usize),
}

impl Judged {
    /// Whether what stands from then on is at least this snapshot.
    pub const fn is_accepted(&self) -> bool {
        use Verdict::{Inserted, Kept, Stale, Superseded, Unchanged, Updated};
        matches!(self.verdict, Inserted | Updated | Unchanged | Stale | Kept | Superseded)
    }
}

/// What all laws ask.
pub struct Index<'h> {
    pub history: &'h History,
    /// By the number of the key, then in the order of snapshots.
    pub sent: Vec<Vec<Sent>>,
    /// All of it, by the beginning of its post.
    pub sent_by_beginning: Vec<Sent>,
    /// By the end of the call.
    pub judged: Vec<Judged>,
    /// The numbers of each user's keys.
    pub keys_of_user: Vec<Vec<usize>>,
    /// When the last erasure of each user may have been, at the latest.
    erasable_to: Vec<Micros>,
    /// The changes of each user by their beginning, each with the latest end of it and of all that began before it.
    changes_of_user: Vec<Vec<(Micros, Micros)>>,
}

impl<'h> Index<'h> {
    pub fn new(history: &'h History) -> Self {
        let began = beginnings(history);
        let mut sent = vec![Vec::new(); history.keys.all().len()];
        let mut sent_by_beginning = Vec::new();
        for (position, post) in history.posts.iter().enumerate() {
            let Some(began) = began[position] else { continue };
            for (_, snapshot) in acceptable(post) {
                let one = Sent { snapshot: *snapshot, post: position, began };
                sent[snapshot.key].push(one);
                sent_by_beginning.push(one);
            }
        }
        for of_key in &mut sent {
            of_key.sort_by_key(|one| (one.snapshot.place, one.began));
        }
        sent_by_beginning.sort_by_key(|one| one.began);
        let readers = history.reads.iter().map(|read| read.user);
        let users = history.keys.all().iter().map(|key| key.user).chain(readers).max().map_or(0, |last| last + 1);
        let mut keys_of_user = vec![Vec::new(); users];
        for (number, key) in history.keys.all().iter().enumerate() {
            keys_of_user[key.user].push(number);
        }
        let mut erasable_to = vec![Micros::MIN; users];
        for erasure in &history.erasures {
            if let Some(latest) = erasable_to.get_mut(erasure.user) {
                *latest = erasure.erased_at.unwrap_or(Micros::MAX).max(*latest);
            }
        }
        let judged = judged(history);
        let changes_of_user = changes(history, users);
        Self { history, sent, sent_by_beginning, judged, keys_of_user, erasable_to, changes_of_user }
    }

    /// Whether a change of the user may have begun before one instant and not been over before another.
    pub fn is_changed(&self, user: usize, begun_before: Micros, not_over_before: Micros) -> bool {
        let changes = self.changes_of_user.get(user).map_or(&[][..], Vec::as_slice);
        let begun = changes.partition_point(|(began, _)| *began <= begun_before);
        begun > 0 && changes[begun - 1].1 >= not_over_before
    }

    pub fn key(&self, number: usize) -> &Key {
        &self.history.keys.all()[number]
    }

    /// Whether an erasure may have removed this snapshot.
    pub fn is_erasable(&self, snapshot: &Snapshot) -> bool {
        snapshot.taken <= self.erasable_to[self.key(snapshot.key).user]
    }

    /// All that was sent of a bucket and has that place.
    pub fn sent_at(&self, key: usize, place: &SnapshotPlace) -> &[Sent] {
        let sent = &self.sent[key];
        let first = sent.partition_point(|one| one.snapshot.place < *place);
        let behind = sent.partition_point(|one| one.snapshot.place <= *place);
        &sent[first..behind]
    }

    /// Of the history itself.
    pub fn counts_rise(&self, breaches: &mut Breaches) {
        for sent in &self.sent {
            for pair in sent.windows(2).filter(|pair| pair[0].snapshot.total > pair[1].snapshot.total) {
                breaches.add(Law::CountsRise, || format!("{:?} stands before {:?}", pair[0], pair[1]));
            }
        }
    }
}

/// When changes of each user were under way. One without an answer may be for ever.
fn changes(history: &History, users: usize) -> Vec<Vec<(Micros, Micros)>> {
    let mut changes = vec![Vec::new(); users];
    for call in &history.calls {
        let ended = match &call.outcome {
            Outcome::Answered { ended, .. } => *ended,
            Outcome::Refused { nothing_written: true } => continue,
            Outcome::Refused { nothing_written: false } | Outcome::Unknown => Micros::MAX,
        };
        if let Some(changes) = changes.get_mut(history.posts[call.post].user) {
            changes.push((call.began, ended));
        }
    }
    for Erasure { user, began, ended, .. } in &history.erasures {
        if let Some(changes) = changes.get_mut(*user) {
            changes.push((*began, ended.unwrap_or(Micros::MAX)));
        }
    }
    for changes in &mut changes {
        changes.sort_unstable();
        let mut latest = Micros::MIN;
        for (_, ended) in changes {
            latest = latest.max(*ended);
            *ended = latest;
        }
    }
    changes
}

/// What of a post the server may take, each with its place in the post.
pub fn acceptable(post: &Post) -> impl Iterator<Item = (usize, &Snapshot)> {
    post.snapshots.iter().enumerate().filter(|(position, _)| post.unacceptable != Some(*position))
}

/// When the first call of each post began. `None` where every call was refused with the word that nothing was written.
fn beginnings(history: &History) -> Vec<Option<Micros>> {
    let mut first: Vec<Option<Micros>> = vec![None; history.posts.len()];
    let mut may_be_written = vec![false; history.posts.len()];
    for call in &history.calls {
        let began = &mut first[call.post];
        *began = Some(began.map_or(call.began, |earlier| earlier.min(call.began)));
        may_be_written[call.post] |= !matches!(call.outcome, Outcome::Refused { nothing_written: true });
    }
    first.into_iter().zip(may_be_written).map(|(began, may)| began.filter(|_| may)).collect()
}

fn judged(history: &History) -> Vec<Judged> {
    let began = beginnings(history);
    let mut all = Vec::new();
    for call in &history.calls {
        let Outcome::Answered { ended, request, verdicts } = &call.outcome else { continue };
        let post = &history.posts[call.post];
        for (position, snapshot) in acceptable(post) {
            let Some(verdict) = verdicts.get(position) else { continue };
            all.push(Judged {
                snapshot: *snapshot,
                began: began[call.post].unwrap_or(call.began),
                ended: *ended,
                verdict: *verdict,
                execution: (*request, position),
            });
        }
    }
    all.sort_by_key(|judged| judged.ended);
    all
}
