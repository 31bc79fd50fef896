//! The laws of reads: what never falls, and the bounds of totals.

use std::collections::HashMap;

use super::index::Index;
use super::{Breaches, Law};
use crate::history::{Read, Shows, Snapshot};

pub fn check(index: &Index<'_>, breaches: &mut Breaches) {
    nothing_falls(index, breaches);
    totals_include(index, breaches);
    totals_do_not_exceed(index, breaches);
}

/// Of two reads one after the other, the second is not older, unless a change waits that was under way when the first
/// one was read: it had begun, and nobody could see it yet.
fn nothing_falls(index: &Index<'_>, breaches: &mut Breaches) {
    let mut later: Vec<&Read> = index.history.reads.iter().collect();
    later.sort_by_key(|read| read.began);
    let mut earlier = by(index, |read| read.ended).into_iter().peekable();
    let mut newest: HashMap<usize, (&Read, &Read)> = HashMap::new();
    for read in later {
        while let Some(ended) = earlier.next_if(|ended| ended.ended < read.began) {
            let (as_of, version) = newest.entry(ended.user).or_insert((ended, ended));
            if as_of.as_of < ended.as_of {
                *as_of = ended;
            }
            if version.version < ended.version {
                *version = ended;
            }
        }
        let Some((as_of, version)) = newest.get(&read.user) else { continue };
        let fell_us = as_of.as_of - read.as_of;
        let is_to_a_change = || read.pending && index.is_changed(read.user, read.as_of, as_of.began);
        if fell_us > 0 && !is_to_a_change() {
            breaches
                .add(Law::AsOfFallsToAChange, || format!("by {fell_us} µs, {} came after {}", line(read), line(as_of)));
        }
        if read.version < version.version {
            breaches.add(Law::VersionNeverFalls, || format!("{} came after {}", line(read), line(version)));
        }
    }
}

fn totals_include(index: &Index<'_>, breaches: &mut Breaches) {
    let mut acknowledged = index.judged.iter().peekable();
    let mut bounds = Bounds::default();
    for read in by(index, |read| read.as_of) {
        while let Some(judged) = acknowledged.next_if(|judged| judged.ended < read.as_of) {
            if judged.is_accepted() && !index.is_erasable(&judged.snapshot) {
                bounds.add(index, &judged.snapshot);
            }
        }
        if let Shows::Total(total) = read.shows {
            let least = bounds.of(read.user);
            if total < least {
                breaches.add(Law::IncludedAsOf, || {
                    format!("{least} tokens were acknowledged before as_of of {}", line(read))
                });
            }
        }
    }
}

fn totals_do_not_exceed(index: &Index<'_>, breaches: &mut Breaches) {
    let mut sent = index.sent_by_beginning.iter().peekable();
    let mut bounds = Bounds::default();
    for read in by(index, |read| read.ended) {
        while let Some(one) = sent.next_if(|one| one.began <= read.ended) {
            bounds.add(index, &one.snapshot);
        }
        if let Shows::Total(total) = read.shows {
            let most = bounds.of(read.user);
            if total > most {
                breaches.add(Law::NoMoreThanWasSent, || format!("{most} tokens had been sent before {}", line(read)));
            }
        }
    }
}

/// The sum of each user's greatest snapshots so far. Counts rise with the order, so it bounds every total.
#[derive(Default)]
struct Bounds {
    greatest: HashMap<usize, Snapshot>,
    sums: HashMap<usize, i64>,
}

impl Bounds {
    fn add(&mut self, index: &Index<'_>, snapshot: &Snapshot) {
        let before = self.greatest.get(&snapshot.key);
        if before.is_none_or(|before| before.place < snapshot.place) {
            let more = snapshot.total - before.map_or(0, |before| before.total);
            *self.sums.entry(index.key(snapshot.key).user).or_default() += more;
            self.greatest.insert(snapshot.key, *snapshot);
        }
    }

    fn of(&self, user: usize) -> i64 {
        self.sums.get(&user).copied().unwrap_or(0)
    }
}

fn by<'h>(index: &Index<'h>, instant: impl Fn(&Read) -> i64) -> Vec<&'h Read> {
    let mut reads: Vec<&Read> = index.history.reads.iter().collect();
    reads.sort_by_key(|read| instant(read));
    reads
}

/// A read in one line, without its buckets.
pub fn line(read: &Read) -> String {
    let shows = match &read.shows {
        Shows::Total(total) => format!("total {total}"),
        Shows::Buckets { buckets, .. } => format!("{} buckets", buckets.len()),
    };
    let Read { user, began, ended, as_of, pending, version, .. } = read;
    format!(
        "the read of user {user} from {began} to {ended} (as_of {as_of}, pending {pending}, version {version}, {shows})"
    )
}
