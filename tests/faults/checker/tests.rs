//! Histories written by hand: sound ones, and one for each law that breaks nothing but that law.

use halfhour::kernel::bucket::TokenCounts;
use halfhour::kernel::usage::snapshot::Rank;
use halfhour::kernel::usage::writer::Verdict::{
    self, Erased, Inserted, Kept, Rejected, Stale, Superseded, Unchanged, Updated,
};
use uuid::Uuid;

use super::{Law, check};
use crate::history::{Call, Erasure, History, Key, Micros, Outcome, Post, Read, Shows, Snapshot, Sums};

/// A snapshot of a bucket: its stamp is its count.
fn snapshot(history: &mut History, bucket: i64, count: i64) -> Snapshot {
    let key = Key {
        user: 0,
        device: Uuid::nil(),
        hour_start: bucket * 1800,
        source: "codex".to_owned(),
        model: "m".to_owned(),
    };
    let counts = TokenCounts { input_tokens: count, ..TokenCounts::default() };
    let place = (Rank::OnTime, count, counts, 0);
    Snapshot { key: history.keys.number(key), place, total: count, taken: count }
}

impl History {
    /// A post of buckets with counts; answers its position.
    fn post(&mut self, snapshots: &[(i64, i64)]) -> usize {
        let snapshots = snapshots.iter().map(|(bucket, count)| snapshot(self, *bucket, *count)).collect();
        self.posts.push(Post { user: 0, snapshots, unacceptable: None });
        self.posts.len() - 1
    }

    fn answered(&mut self, post: usize, began: Micros, ended: Micros, verdicts: &[Verdict]) {
        let outcome = Outcome::Answered { ended, request: Uuid::now_v7(), verdicts: verdicts.to_vec() };
        self.calls.push(Call { post, began, outcome });
    }

    fn unanswered(&mut self, post: usize, began: Micros) {
        self.calls.push(Call { post, began, outcome: Outcome::Unknown });
    }

    fn refused(&mut self, post: usize, began: Micros, nothing_written: bool) {
        self.calls.push(Call { post, began, outcome: Outcome::Refused { nothing_written } });
    }

    /// A read from one instant to the next, as of the first.
    fn read(&mut self, began: Micros, as_of: Micros, version: i64, shows: Shows) {
        self.reads.push(Read { user: 0, began, ended: began + 1, as_of, pending: false, version, shows });
    }

    fn listing(&mut self, began: Micros, as_of: Micros, version: i64, buckets: &[(i64, i64)]) {
        let buckets = buckets.iter().map(|(bucket, count)| snapshot(self, *bucket, *count)).collect();
        self.read(began, as_of, version, Shows::Buckets { from: 0, buckets });
    }

    /// What stands, and its fold.
    fn ends_with(mut self, buckets: &[(i64, i64)]) -> Self {
        self.end.buckets = buckets.iter().map(|(bucket, count)| snapshot(&mut self, *bucket, *count)).collect();
        for standing in self.end.buckets.clone() {
            let row = self.keys.all()[standing.key].row();
            let sums = self.end.rollup.entry(row).or_default();
            sums.total += standing.total;
            sums.buckets += 1;
        }
        self
    }

    #[track_caller]
    fn breaks(&self, laws: &[Law]) {
        let breaches = check(self);
        let mut broken: Vec<Law> = breaches.iter().map(|breach| breach.law).collect();
        broken.sort_unstable();
        broken.dedup();
        assert_eq!(broken, laws, "{breaches:#?}");
    }
}

/// Two buckets, posted, answered and read.
fn sound() -> History {
    let mut history = History::default();
    let first = history.post(&[(1, 10), (2, 10)]);
    history.answered(first, 100, 110, &[Inserted, Inserted]);
    history.read(120, 121, 1, Shows::Total(20));
    let second = history.post(&[(1, 20)]);
    history.answered(second, 130, 140, &[Updated]);
    history.read(150, 151, 2, Shows::Total(30));
    history.listing(160, 161, 2, &[(1, 20), (2, 10)]);
    history
}

#[test]
fn a_sound_history_breaks_nothing() {
    History::default().breaks(&[]);
    sound().ends_with(&[(1, 20), (2, 10)]).breaks(&[]);
}

#[test]
fn what_was_never_answered_may_stand_whole_or_not_at_all() {
    let mut history = sound();
    let lost = history.post(&[(1, 30), (2, 30)]);
    history.unanswered(lost, 170);
    history.clone().ends_with(&[(1, 20), (2, 10)]).breaks(&[]);
    history.clone().ends_with(&[(1, 30), (2, 30)]).breaks(&[]);
    history.clone().ends_with(&[(1, 30), (2, 10)]).breaks(&[Law::WhollyOrNotAtAll]);
    // Where another post has replaced the one bucket, the other one still tells.
    let newer = history.post(&[(1, 40)]);
    history.unanswered(newer, 180);
    history.clone().ends_with(&[(1, 40), (2, 30)]).breaks(&[]);
    history.ends_with(&[(1, 20), (2, 30)]).breaks(&[Law::WhollyOrNotAtAll]);
}

#[test]
fn a_read_may_not_show_half_of_a_post_either() {
    let mut history = sound();
    let post = history.post(&[(1, 30), (2, 30)]);
    history.answered(post, 170, 190, &[Updated, Updated]);
    history.listing(175, 175, 2, &[(1, 30), (2, 10)]);
    history.ends_with(&[(1, 30), (2, 30)]).breaks(&[Law::WhollyOrNotAtAll]);
}

#[test]
fn what_a_lenient_post_was_refused_does_not_stand_and_is_not_missed() {
    let mut history = sound();
    let post = history.post(&[(1, 30), (3, 30)]);
    history.posts[post].unacceptable = Some(1);
    history.answered(post, 170, 180, &[Updated, Rejected]);
    history.clone().ends_with(&[(1, 30), (2, 10)]).breaks(&[]);
    history.ends_with(&[(1, 30), (2, 10), (3, 30)]).breaks(&[Law::SomebodySentIt]);
}

#[test]
fn an_acknowledged_bucket_that_is_gone_or_older_is_lost() {
    sound().ends_with(&[(1, 20)]).breaks(&[Law::NothingIsLost]);
    sound().ends_with(&[(1, 10), (2, 10)]).breaks(&[Law::NothingIsLost]);
    // Verdicts of losers bind as well: something greater stands.
    let mut history = sound();
    let post = history.post(&[(1, 15), (1, 25)]);
    history.answered(post, 170, 180, &[Superseded, Updated]);
    history.clone().ends_with(&[(1, 25), (2, 10)]).breaks(&[]);
    history.ends_with(&[(1, 20), (2, 10)]).breaks(&[Law::NothingIsLost]);
}

#[test]
fn what_was_seen_is_lost_as_well_where_it_does_not_stand() {
    let mut history = sound();
    let post = history.post(&[(1, 30)]);
    history.unanswered(post, 170);
    history.listing(175, 175, 3, &[(1, 30), (2, 10)]);
    history.ends_with(&[(1, 20), (2, 10)]).breaks(&[Law::NothingIsLost]);
}

#[test]
fn what_stands_was_sent_by_somebody_and_with_these_counts() {
    sound().ends_with(&[(1, 20), (2, 10), (3, 5)]).breaks(&[Law::SomebodySentIt]);
    sound().ends_with(&[(1, 21), (2, 10)]).breaks(&[Law::SomebodySentIt]);
    let mut history = sound();
    history.listing(105, 105, 1, &[(1, 20)]);
    // It was sent later than it was seen, and half of the first post was there.
    let history = history.ends_with(&[(1, 20), (2, 10)]);
    assert!(check(&history).iter().any(|breach| breach.law == Law::SomebodySentIt));
}

#[test]
fn what_was_refused_with_the_word_that_nothing_was_written_does_not_stand() {
    for (nothing_written, laws) in [(true, &[Law::SomebodySentIt][..]), (false, &[])] {
        let mut history = sound();
        let post = history.post(&[(3, 5)]);
        history.refused(post, 170, nothing_written);
        history.clone().ends_with(&[(1, 20), (2, 10)]).breaks(&[]);
        history.clone().ends_with(&[(1, 20), (2, 10), (3, 5)]).breaks(laws);
        // Another call of the same post had no answer.
        history.unanswered(post, 180);
        history.ends_with(&[(1, 20), (2, 10), (3, 5)]).breaks(&[]);
    }
}

#[test]
fn inserted_comes_once_between_erasures_and_a_repeated_answer_is_no_second_time() {
    let mut history = sound();
    let again = history.calls[0].clone();
    history.calls.push(again);
    history.clone().ends_with(&[(1, 20), (2, 10)]).breaks(&[]);
    let other = history.post(&[(2, 10)]);
    history.answered(other, 105, 115, &[Inserted]);
    history.clone().ends_with(&[(1, 20), (2, 10)]).breaks(&[Law::InsertedOnce]);
    history.erasures.push(Erasure { user: 0, began: 0, ended: Some(0), erased_at: Some(1) });
    history.ends_with(&[(1, 20), (2, 10)]).breaks(&[]);
}

#[test]
fn losers_had_somebody_to_lose_to() {
    for verdict in [Stale, Kept, Superseded] {
        let mut history = sound();
        let post = history.post(&[(1, 15)]);
        history.answered(post, 125, 128, &[verdict]);
        // The greater one was sent at 130 only.
        history.clone().ends_with(&[(1, 20), (2, 10)]).breaks(&[Law::LosesToAGreaterOne]);
        history.calls.pop();
        history.answered(post, 125, 131, &[verdict]);
        history.ends_with(&[(1, 20), (2, 10)]).breaks(&[]);
    }
}

#[test]
fn nothing_is_written_over_what_was_acknowledged_and_is_greater() {
    let mut history = sound();
    let post = history.post(&[(1, 15)]);
    history.answered(post, 139, 150, &[Updated]);
    history.clone().ends_with(&[(1, 20), (2, 10)]).breaks(&[]);
    history.calls.pop();
    history.answered(post, 141, 150, &[Updated]);
    history.clone().ends_with(&[(1, 20), (2, 10)]).breaks(&[Law::NeverOverAGreaterOne]);
    // A repetition of a call that began earlier may repeat its answer.
    history.unanswered(post, 139);
    history.clone().ends_with(&[(1, 20), (2, 10)]).breaks(&[]);
    history.calls.truncate(2);
    history.answered(post, 141, 150, &[Unchanged]);
    history.ends_with(&[(1, 20), (2, 10)]).breaks(&[]);
}

#[test]
fn what_was_acknowledged_before_as_of_is_included() {
    for (as_of, laws) in [(140, &[][..]), (141, &[Law::IncludedAsOf])] {
        let mut history = sound();
        history.reads.truncate(1);
        let listed = {
            let mut history = history.clone();
            history.listing(145, as_of, 1, &[(1, 10), (2, 10)]);
            history
        };
        history.read(145, as_of, 1, Shows::Total(20));
        for history in [history, listed] {
            history.ends_with(&[(1, 20), (2, 10)]).breaks(laws);
        }
    }
}

#[test]
fn a_total_is_no_more_than_what_was_sent() {
    let mut history = sound();
    history.reads.truncate(1);
    history.read(145, 145, 1, Shows::Total(31));
    history.clone().ends_with(&[(1, 20), (2, 10)]).breaks(&[Law::NoMoreThanWasSent]);
    let post = history.post(&[(1, 21)]);
    history.unanswered(post, 146);
    history.ends_with(&[(1, 20), (2, 10)]).breaks(&[]);
}

#[test]
fn nothing_falls_from_one_read_to_the_next_but_may_between_two_at_once() {
    for (began, laws) in [(161, &[][..]), (162, &[Law::AsOfFallsToAChange])] {
        let mut history = sound();
        history.read(began, 160, 2, Shows::Total(30));
        history.ends_with(&[(1, 20), (2, 10)]).breaks(laws);
    }
    // Into a change that was under way when the earlier one was read, and not before that change.
    for (began, outcome, laws) in [
        (155, Some(163), &[][..]),
        (155, Some(160), &[]),
        (155, Some(159), &[Law::AsOfFallsToAChange]),
        (155, None, &[]),
        (159, None, &[Law::AsOfFallsToAChange]),
    ] {
        for pending in [true, false] {
            let mut history = sound();
            let change = history.post(&[(1, 20)]);
            match outcome {
                Some(ended) => history.answered(change, began, ended, &[Unchanged]),
                None => history.unanswered(change, began),
            }
            history.read(162, 158, 2, Shows::Total(30));
            history.reads[3].pending = pending;
            history.ends_with(&[(1, 20), (2, 10)]).breaks(if pending { laws } else { &[Law::AsOfFallsToAChange] });
        }
    }
    // An erasure is a change, and a refusal is none that says that nothing was written.
    let mut history = sound();
    history.read(162, 158, 2, Shows::Total(30));
    history.reads[3].pending = true;
    history.clone().ends_with(&[(1, 20), (2, 10)]).breaks(&[Law::AsOfFallsToAChange]);
    let mut erased = history.clone();
    erased.erasures.push(Erasure { user: 0, began: 157, ended: None, erased_at: Some(0) });
    erased.ends_with(&[(1, 20), (2, 10)]).breaks(&[]);
    let refused = history.post(&[(1, 30)]);
    history.refused(refused, 155, true);
    history.ends_with(&[(1, 20), (2, 10)]).breaks(&[Law::AsOfFallsToAChange]);
    for (began, laws) in [(161, &[][..]), (162, &[Law::VersionNeverFalls])] {
        let mut history = sound();
        history.reads[2].version = 3;
        history.read(began, 161, 2, Shows::Total(30));
        history.ends_with(&[(1, 20), (2, 10)]).breaks(laws);
    }
    for (began, laws) in [(161, &[][..]), (162, &[Law::BucketNeverFalls])] {
        let mut history = sound();
        history.reads[2].as_of = 130;
        history.reads[1].as_of = 130;
        history.listing(began, 139, 2, &[(1, 10), (2, 10)]);
        history.ends_with(&[(1, 20), (2, 10)]).breaks(laws);
    }
    let mut history = sound();
    // Another user has a state of their own.
    history.listing(162, 160, 1, &[]);
    history.reads[3].user = 1;
    history.ends_with(&[(1, 20), (2, 10)]).breaks(&[]);
}

#[test]
fn what_was_erased_is_not_missed_and_stays_erased() {
    let mut history = sound();
    history.erasures.push(Erasure { user: 0, began: 0, ended: Some(0), erased_at: Some(15) });
    history.clone().ends_with(&[(1, 20)]).breaks(&[]);
    history.clone().ends_with(&[]).breaks(&[Law::NothingIsLost]);
    history.clone().ends_with(&[(1, 20), (2, 10)]).breaks(&[Law::ErasedStaysErased]);
    let late = history.post(&[(2, 12)]);
    history.answered(late, 200, 210, &[Erased]);
    history.clone().ends_with(&[(1, 20)]).breaks(&[]);
    // Without an answer nobody knows whether it happened.
    history.erasures[0].erased_at = None;
    history.clone().ends_with(&[]).breaks(&[]);
    history.ends_with(&[(1, 20), (2, 10)]).breaks(&[]);
}

#[test]
fn the_rollup_is_the_fold() {
    let history = sound().ends_with(&[(1, 20), (2, 10)]);
    let row = history.keys.all()[0].row();
    for change in [|sums: &mut Sums| sums.total -= 1, |sums: &mut Sums| sums.buckets += 1] {
        let mut history = history.clone();
        change(history.end.rollup.get_mut(&row).unwrap());
        history.breaks(&[Law::RollupIsTheFold]);
    }
    let mut orphaned = history.clone();
    orphaned.end.rollup.insert(crate::history::RollupRow { day: 9, ..row.clone() }, Sums::default());
    orphaned.breaks(&[Law::RollupIsTheFold]);
    let mut unfolded = history;
    unfolded.end.rollup.clear();
    unfolded.breaks(&[Law::RollupIsTheFold]);
}

#[test]
fn sums_are_judged_only_where_counts_rise_with_the_order() {
    let mut history = sound();
    let post = history.post(&[(1, 30)]);
    history.posts[post].snapshots[0].total = 1;
    history.unanswered(post, 200);
    history.ends_with(&[(1, 20), (2, 10)]).breaks(&[Law::CountsRise]);
}

#[test]
fn only_the_first_breaches_of_a_law_are_told() {
    let buckets: Vec<(i64, i64)> = (100..200).map(|bucket| (bucket, 1)).collect();
    let breaches = check(&History::default().ends_with(&buckets));
    assert_eq!(breaches.len(), super::TOLD);
    assert!(breaches[0].to_string().starts_with("SomebodySentIt: "), "{breaches:?}");
}
