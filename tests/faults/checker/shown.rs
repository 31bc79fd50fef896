//! The laws of single buckets, as reads show them and as they stand in the end.

use std::collections::{HashMap, HashSet};

use super::index::{Index, acceptable};
use super::reads::line;
use super::{Breaches, Law};
use crate::history::{Micros, Read, Shows, Snapshot, Sums};

/// Buckets of one user, or of all, that were read in one snapshot of the database.
struct Shown<'h> {
    by_key: HashMap<usize, &'h Snapshot>,
    /// Half hours from here on are complete.
    from: i64,
    /// Nobody had sent anything later.
    ended: Micros,
    name: String,
}

impl<'h> Shown<'h> {
    fn of(read: &'h Read) -> Option<Self> {
        let Shows::Buckets { from, buckets } = &read.shows else { return None };
        let by_key = buckets.iter().map(|snapshot| (snapshot.key, snapshot)).collect();
        Some(Self { by_key, from: *from, ended: read.ended, name: line(read) })
    }

    fn is_complete(&self, index: &Index<'_>, key: usize) -> bool {
        index.key(key).hour_start >= self.from
    }

    /// Whether less is shown of a bucket than this.
    fn lacks(&self, snapshot: &Snapshot) -> bool {
        self.by_key.get(&snapshot.key).is_none_or(|shown| shown.place < snapshot.place)
    }
}

/// The greatest snapshot of each key, as far as it is known.
#[derive(Default)]
struct Greatest(HashMap<usize, Snapshot>);

impl Greatest {
    fn raise(&mut self, snapshot: &Snapshot) {
        let known = self.0.entry(snapshot.key).or_insert(*snapshot);
        if known.place < snapshot.place {
            *known = *snapshot;
        }
    }
}

/// The laws of what reads show.
pub fn check(index: &Index<'_>, breaches: &mut Breaches) {
    let mut reads: Vec<&Read> = index.history.reads.iter().collect();
    reads.sort_by_key(|read| read.as_of);
    let mut acknowledged = index.judged.iter().peekable();
    let mut least = Greatest::default();
    for read in &reads {
        while let Some(judged) = acknowledged.next_if(|judged| judged.ended < read.as_of) {
            if judged.is_accepted() && !index.is_erasable(&judged.snapshot) {
                least.raise(&judged.snapshot);
            }
        }
        let Some(shown) = Shown::of(read) else { continue };
        somebody_sent_it(index, &shown, breaches);
        wholly_or_not_at_all(index, &shown, breaches);
        for snapshot in index.keys_of_user[read.user].iter().filter_map(|key| least.0.get(key)) {
            if shown.is_complete(index, snapshot.key) && shown.lacks(snapshot) {
                breaches.add(Law::IncludedAsOf, || lacking(index, &shown, snapshot));
            }
        }
    }
    never_falls(index, reads, breaches);
}

fn never_falls(index: &Index<'_>, mut reads: Vec<&Read>, breaches: &mut Breaches) {
    reads.sort_by_key(|read| read.ended);
    let mut earlier = reads.clone().into_iter().peekable();
    reads.sort_by_key(|read| read.began);
    let mut seen = Greatest::default();
    for read in reads {
        while let Some(before) = earlier.next_if(|before| before.ended < read.began) {
            if let Shows::Buckets { buckets, .. } = &before.shows {
                buckets.iter().filter(|snapshot| !index.is_erasable(snapshot)).for_each(|one| seen.raise(one));
            }
        }
        let Some(shown) = Shown::of(read) else { continue };
        for snapshot in index.keys_of_user[read.user].iter().filter_map(|key| seen.0.get(key)) {
            if shown.is_complete(index, snapshot.key) && shown.lacks(snapshot) {
                breaches.add(Law::BucketNeverFalls, || lacking(index, &shown, snapshot));
            }
        }
    }
}

/// The laws of what stands in the end.
pub fn check_end(index: &Index<'_>, breaches: &mut Breaches) {
    let buckets = &index.history.end.buckets;
    let by_key = buckets.iter().map(|snapshot| (snapshot.key, snapshot)).collect();
    let end = Shown { by_key, from: i64::MIN, ended: Micros::MAX, name: "the end".to_owned() };
    somebody_sent_it(index, &end, breaches);
    wholly_or_not_at_all(index, &end, breaches);
    let mut least = Greatest::default();
    let accepted = index.judged.iter().filter(|judged| judged.is_accepted()).map(|judged| &judged.snapshot);
    let seen = index.history.reads.iter().flat_map(|read| match &read.shows {
        Shows::Buckets { buckets, .. } => buckets.as_slice(),
        Shows::Total(_) => &[],
    });
    accepted.chain(seen).filter(|snapshot| !index.is_erasable(snapshot)).for_each(|one| least.raise(one));
    for snapshot in least.0.values().filter(|snapshot| end.lacks(snapshot)) {
        breaches.add(Law::NothingIsLost, || lacking(index, &end, snapshot));
    }
    for erasure in &index.history.erasures {
        let Some(erased_at) = erasure.erased_at else { continue };
        let of_user = buckets.iter().filter(|snapshot| index.key(snapshot.key).user == erasure.user);
        for snapshot in of_user.filter(|snapshot| snapshot.taken <= erased_at) {
            breaches.add(Law::ErasedStaysErased, || format!("{snapshot:?} stands in spite of {erasure:?}"));
        }
    }
    rollup_is_the_fold(index, breaches);
}

fn rollup_is_the_fold(index: &Index<'_>, breaches: &mut Breaches) {
    let mut fold: HashMap<_, Sums> = HashMap::new();
    for snapshot in &index.history.end.buckets {
        let sums = fold.entry(index.key(snapshot.key).row()).or_default();
        sums.total += snapshot.total;
        sums.buckets += 1;
    }
    let rollup = &index.history.end.rollup;
    for row in fold.keys().chain(rollup.keys()).collect::<HashSet<_>>() {
        let (folded, stored) = (fold.get(row), rollup.get(row));
        if folded != stored {
            breaches.add(Law::RollupIsTheFold, || format!("{row:?} holds {stored:?} and not {folded:?}"));
        }
    }
}

fn somebody_sent_it(index: &Index<'_>, shown: &Shown<'_>, breaches: &mut Breaches) {
    for snapshot in shown.by_key.values() {
        let sent = index.sent_at(snapshot.key, &snapshot.place);
        if !sent.iter().any(|one| one.snapshot.total == snapshot.total && one.began <= shown.ended) {
            breaches.add(Law::SomebodySentIt, || {
                format!("{snapshot:?} of {:?} is in {}", index.key(snapshot.key), shown.name)
            });
        }
    }
}

/// A bucket that came with one post only proves that the post was written.
fn wholly_or_not_at_all(index: &Index<'_>, shown: &Shown<'_>, breaches: &mut Breaches) {
    let mut posts = HashMap::new();
    for snapshot in shown.by_key.values() {
        if let [sent] = index.sent_at(snapshot.key, &snapshot.place) {
            posts.insert(sent.post, *snapshot);
        }
    }
    for (position, proof) in posts {
        let post = &index.history.posts[position];
        let lacking = acceptable(post)
            .map(|(_, snapshot)| snapshot)
            .filter(|snapshot| shown.is_complete(index, snapshot.key) && !index.is_erasable(snapshot))
            .find(|snapshot| shown.lacks(snapshot));
        if let Some(lacking) = lacking {
            breaches.add(Law::WhollyOrNotAtAll, || {
                format!("of post {position}, {} has {proof:?} and not {lacking:?}", shown.name)
            });
        }
    }
}

/// Who said that a snapshot is there, and what is there.
fn lacking(index: &Index<'_>, shown: &Shown<'_>, snapshot: &Snapshot) -> String {
    let calls = index.judged.iter().filter(|judged| judged.snapshot == *snapshot);
    let said = calls.min_by_key(|judged| judged.ended);
    let instead = shown.by_key.get(&snapshot.key);
    format!(
        "{} has {instead:?} and not {snapshot:?} of {:?}, of which was said {said:?}",
        shown.name,
        index.key(snapshot.key)
    )
}
