//! Corrections among the ranks of snapshots, exhaustively: up to three snapshots of a bucket, in every order, with a
//! correction before, between or behind them, and the correction taken back. Each case has a bucket of its own.

use serde_json::json;

use super::bucket;
use crate::support::TestApp;
use crate::support::snapshots::{HOUR, SHOWN, STAMPS, Snapshot, greatest, send};

/// What the correction says, and when it is executed.
const CORRECTION: &str = "9 0 2026-11-20T12:00:00Z 2";
/// The same where it replaces what a clock that is ahead has seen.
const CORRECTION_OF_LAST: &str = "9 0 2026-11-20T12:00:30.000001Z 2";

struct Case {
    model: String,
    before: Vec<Snapshot>,
    after: Vec<Snapshot>,
}

impl Case {
    /// Every sequence of up to `most` different snapshots, with the correction at every place.
    fn all(most: usize) -> Vec<Self> {
        let mut sequences = vec![Vec::new()];
        let mut cases = Vec::new();
        for _ in 0..most {
            sequences = sequences.iter().flat_map(|sequence| longer(sequence)).collect();
            for sequence in &sequences {
                for at in 0..=sequence.len() {
                    let (before, after) = sequence.split_at(at);
                    let model = format!("m{:06}", cases.len());
                    cases.push(Self { model, before: before.to_vec(), after: after.to_vec() });
                }
            }
        }
        cases
    }

    /// What stands while the correction does, or instead of it.
    fn corrected(&self) -> String {
        let last = STAMPS.len() - 1;
        let replaces_last = greatest(&self.before).is_some_and(|seen| seen.stamp == last);
        let newer: Vec<_> = self.after.iter().copied().filter(|it| it.stamp == last && it.retracts).collect();
        match greatest(&newer).filter(|_| !replaces_last) {
            Some(newer) => format!("{} {} f", self.model, newer.row()),
            None => format!("{} {} t", self.model, if replaces_last { CORRECTION_OF_LAST } else { CORRECTION }),
        }
    }

    /// What trackers alone make of it.
    fn rolled_back(&self) -> String {
        format!("{} {} f", self.model, greatest(&[&self.before[..], &self.after].concat()).unwrap().row())
    }
}

fn longer(sequence: &[Snapshot]) -> Vec<Vec<Snapshot>> {
    let others = Snapshot::all().into_iter().filter(|snapshot| !sequence.contains(snapshot));
    others.map(|snapshot| [sequence, &[snapshot]].concat()).collect()
}

#[tokio::test]
async fn up_to_three_snapshots_around_a_correction_end_in_the_greatest_and_its_way_back_in_the_trackers_greatest() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let servers = [app.second_server().await, app];
    let app = &servers[1];
    let cases = Case::all(3);
    assert_eq!(cases.len(), 18 * 2 + 18 * 17 * 3 + 18 * 17 * 16 * 4);
    let post = async |is_after: bool| {
        for turn in 0..3 {
            let due = cases.iter().map(|case| {
                let sequence = if is_after { &case.after } else { &case.before };
                (case.model.as_str(), sequence.get(turn).copied().into_iter().collect())
            });
            send(&servers, &device.token, due).await;
        }
    };
    let says = async || {
        let columns = format!("model || ' ' || {SHOWN} || ' ' || left((backfill_id is not null)::text, 1)");
        app.ask(&format!("select {columns} from usage.bucket order by model")).await
    };

    post(false).await;
    let lines: Vec<String> =
        cases.iter().map(|case| bucket(&user, &device, HOUR, &case.model, 9).to_string()).collect();
    let plan = app.stream(&user.operator, "all", "from=2026-10-01&to=2026-11-01", &lines.join("\n")).await;
    assert_eq!(plan.status, 201, "{}", plan.json);
    let job = app.executed(&user.operator, &plan.json).await;
    assert_eq!((&job["state"], &job["skipped"]), (&json!("succeeded"), &json!(0)), "{job}");
    post(true).await;
    let expected: Vec<_> = cases.iter().map(Case::corrected).collect();
    assert!(expected.iter().filter(|row| row.ends_with('f')).count() > 500, "some overtake the correction");
    assert_same(&says().await, &expected);

    let back = app.rolled_back(&user.operator, &job).await;
    assert_eq!(back["state"], "rolled_back", "{back}");
    assert_same(&says().await, &cases.iter().map(Case::rolled_back).collect::<Vec<_>>());
}

#[track_caller]
fn assert_same(found: &[String], expected: &[String]) {
    let wrong: Vec<_> = found.iter().zip(expected).filter(|(found, expected)| found != expected).take(5).collect();
    assert_eq!((wrong, found.len()), (Vec::new(), expected.len()));
}
