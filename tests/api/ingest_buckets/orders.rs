//! The order of all snapshots of a bucket, exhaustively: every set of up to four of them, in every order, cut into posts
//! in every way and repeated, over two servers, ends in the row that a model of a few lines says. Each way has a bucket
//! of its own, so that hundreds of ways are in every commit.

use super::Tracker;
use crate::support::snapshots::{SHOWN, Snapshot, greatest, send};

/// Every set of so many.
fn sets(all: &[Snapshot], size: usize) -> Vec<Vec<Snapshot>> {
    let Some(rest) = size.checked_sub(1) else { return vec![Vec::new()] };
    let with = |at: usize| {
        sets(&all[at + 1..], rest).into_iter().map(move |set| [&[all[at]][..], &set].concat()).collect::<Vec<_>>()
    };
    (0..all.len()).flat_map(with).collect()
}

/// Every way to send a set: which post each of its members is in, so that no post is empty.
fn ways(size: usize) -> Vec<Vec<usize>> {
    let all: Vec<Vec<usize>> = (0..size).fold(vec![Vec::new()], |ways, _| {
        ways.iter().flat_map(|way| (0..size).map(|post| [&way[..], &[post]].concat())).collect()
    });
    let is_whole = |way: &Vec<usize>| (0..=*way.iter().max().unwrap()).all(|post| way.contains(&post));
    all.into_iter().filter(is_whole).collect()
}

/// A set in one way, with the name of its bucket.
struct Sending<'a> {
    model: String,
    set: &'a [Snapshot],
    way: &'a [usize],
    /// Whether each post also repeats what the posts before it held.
    repeats: bool,
}

impl Sending<'_> {
    fn post(&self, turn: usize) -> Vec<Snapshot> {
        let is_due = |post: usize| post == turn || (self.repeats && post < turn);
        self.set.iter().zip(self.way).filter(|(_, post)| is_due(**post)).map(|(snapshot, _)| *snapshot).collect()
    }
}

/// Sends every set of so many in every way, and compares what stands.
async fn check(size: usize) {
    let Tracker { app, device, .. } = Tracker::start().await;
    let servers = [app.second_server().await, app];
    let (sets, ways) = (sets(&Snapshot::all(), size), ways(size));
    let mut sendings = Vec::new();
    for (number, set) in sets.iter().enumerate() {
        for (variant, way) in ways.iter().enumerate() {
            let (model, repeats) = (format!("{number}/{variant}"), (number + variant).is_multiple_of(3));
            sendings.push(Sending { model, set, way, repeats });
        }
    }
    for turn in 0..size {
        let due = sendings.iter().map(|sending| (sending.model.as_str(), sending.post(turn)));
        send(&servers, &device.token, due).await;
    }
    let sql = format!(
        "select number || ' ' || count(*) || ' ' || shown
         from (select split_part(model, '/', 1)::integer as number, {SHOWN} as shown from usage.bucket) b
         group by number, shown order by number, shown"
    );
    let found = servers[0].ask(&sql).await;
    let stands =
        |(number, set): (usize, &Vec<Snapshot>)| format!("{number} {} {}", ways.len(), greatest(set).unwrap().row());
    let expected: Vec<_> = sets.iter().enumerate().map(stands).collect();
    let wrong = found.iter().zip(&expected).find(|(found, expected)| found != expected);
    assert_eq!((wrong, found.len()), (None, expected.len()));
}

#[tokio::test]
async fn every_set_of_up_to_three_snapshots_ends_in_its_greatest_in_every_order_and_batching() {
    assert_eq!((sets(&Snapshot::all(), 3).len(), ways(3).len()), (816, 13));
    for size in 1..=3 {
        check(size).await;
    }
}

#[tokio::test]
async fn every_set_of_four_snapshots_ends_in_its_greatest_in_every_order_and_batching() {
    assert_eq!((sets(&Snapshot::all(), 4).len(), ways(4).len()), (3060, 75));
    check(4).await;
}
