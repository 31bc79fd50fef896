//! The laws of verdicts.

use std::collections::{HashMap, HashSet};

use halfhour::kernel::usage::snapshot::SnapshotPlace;
use halfhour::kernel::usage::writer::Verdict;

use super::index::{Index, Judged};
use super::{Breaches, Law};

pub fn check(index: &Index<'_>, breaches: &mut Breaches) {
    inserted_once(index, breaches);
    loses_to_a_greater_one(index, breaches);
    never_over_a_greater_one(index, breaches);
}

fn inserted_once(index: &Index<'_>, breaches: &mut Breaches) {
    let mut executions: HashMap<usize, HashSet<_>> = HashMap::new();
    let inserted = index.judged.iter().filter(|judged| judged.verdict == Verdict::Inserted);
    for judged in inserted {
        let of_key = executions.entry(judged.snapshot.key).or_default();
        of_key.insert(judged.execution);
        let user = index.key(judged.snapshot.key).user;
        let erasures = index.history.erasures.iter().filter(|erasure| erasure.user == user).count();
        if of_key.len() > 1 + erasures {
            breaches.add(Law::InsertedOnce, || {
                format!("{:?} was inserted {} times, last by {judged:?}", index.key(judged.snapshot.key), of_key.len())
            });
        }
    }
}

/// What had been sent before a call ended may have been met by it.
fn loses_to_a_greater_one(index: &Index<'_>, breaches: &mut Breaches) {
    let mut greatest: HashMap<usize, SnapshotPlace> = HashMap::new();
    let mut sent = index.sent_by_beginning.iter().peekable();
    for judged in &index.judged {
        while let Some(one) = sent.next_if(|one| one.began <= judged.ended) {
            raise(&mut greatest, one.snapshot.key, one.snapshot.place);
        }
        let loses = matches!(judged.verdict, Verdict::Stale | Verdict::Kept | Verdict::Superseded);
        if loses && greatest.get(&judged.snapshot.key).is_none_or(|greatest| *greatest <= judged.snapshot.place) {
            breaches.add(Law::LosesToAGreaterOne, || {
                format!("{judged:?}, while the greatest that was sent is {:?}", greatest.get(&judged.snapshot.key))
            });
        }
    }
}

fn never_over_a_greater_one(index: &Index<'_>, breaches: &mut Breaches) {
    let mut written: Vec<&Judged> =
        index.judged.iter().filter(|one| matches!(one.verdict, Verdict::Inserted | Verdict::Updated)).collect();
    written.sort_by_key(|one| one.began);
    let mut acknowledged: HashMap<usize, &Judged> = HashMap::new();
    let mut before = index.judged.iter().peekable();
    for one in written {
        while let Some(earlier) = before.next_if(|earlier| earlier.ended < one.began) {
            if earlier.is_accepted() && !index.is_erasable(&earlier.snapshot) {
                let greatest = acknowledged.entry(earlier.snapshot.key).or_insert(earlier);
                if greatest.snapshot.place < earlier.snapshot.place {
                    *greatest = earlier;
                }
            }
        }
        let greater = acknowledged.get(&one.snapshot.key).filter(|other| other.snapshot.place > one.snapshot.place);
        if let Some(greater) = greater {
            breaches.add(Law::NeverOverAGreaterOne, || format!("{one:?} came after {greater:?}"));
        }
    }
}

fn raise(greatest: &mut HashMap<usize, SnapshotPlace>, key: usize, place: SnapshotPlace) {
    let known = greatest.entry(key).or_insert(place);
    *known = place.max(*known);
}
