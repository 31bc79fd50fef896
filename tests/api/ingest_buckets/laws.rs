//! The law: any order, repetition, batching and interleaving of stamped snapshots, over any clients and servers, ends in
//! the buckets that a model of a few lines says, and in the rollup that they add up to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use chrono_tz::Tz;
use futures_util::future::join_all;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::held::send;
use super::verdicts;
use crate::support::rollups::COUNTERS;
use crate::support::{TestApp, TestDevice, TestUser, instant};

const CASES: u32 = 300;
const CLIENTS: usize = 4;
/// Midnight in Berlin is between the first two, midnight in London between the next two. The last one is old.
const HOURS: [&str; 4] =
    ["2026-11-19T22:30:00Z", "2026-11-19T23:30:00Z", "2026-11-20T00:00:00Z", "2026-10-20T10:30:00Z"];
const OLD: usize = 3;
/// When an old half hour was seen: twice in time, twice late.
const OLD_STAMPS: [&str; 4] =
    ["2026-11-14T10:59:59Z", "2026-11-14T11:00:00Z", "2026-11-14T11:00:00.000001Z", "2026-11-20T11:00:00Z"];
const SOURCES: [&str; 2] = ["codex", "claude-code"];
/// Byte order and dictionary order differ.
const MODELS: [&str; 3] = ["a", "B", "a-b"];
const DEVICES: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    device: usize,
    hour: usize,
    source: usize,
    model: usize,
}

/// The stamp's number, the counts in column order, and whether it retracts.
type Version = (u32, [u64; 8], bool);

/// The model: of two versions the one with the greater place wins.
fn place(key: Key, (stamp, counts, retracts): Version) -> (u8, u64, [u64; 8], u32) {
    let [.., reasoning, _, requests] = counts;
    match (key.hour == OLD && stamp > 1, retracts) {
        (true, false) => (0, counts.iter().sum::<u64>() - reasoning - requests, counts, stamp),
        (late, _) => (if late { 2 } else { 1 }, stamp.into(), counts, 0),
    }
}

/// A snapshot as it is sent: by which client, and whether that client's request ends with it.
#[derive(Clone, Debug)]
struct Sending {
    snapshot: (Key, Version),
    client: usize,
    ends: bool,
}

/// Few buckets, few stamps and few counts, so that versions meet in every way.
fn snapshot() -> impl Strategy<Value = (Key, Version)> {
    let bucket = prop_oneof![
        3 => Just((0, 0, 0)),
        3 => Just((OLD, 0, 0)),
        1 => (0..HOURS.len(), 0..SOURCES.len(), 0..MODELS.len()),
    ];
    let device = prop_oneof![Just(0), 0..DEVICES];
    let key = (device, bucket).prop_map(|(device, (hour, source, model))| Key { device, hour, source, model });
    // Most differ in one counter only, so that each has to be compared.
    let in_one = (0..8_usize, 0..3_u64).prop_map(|(counter, count)| {
        let mut counts = [1; 8];
        counts[counter] = count;
        counts
    });
    let any = prop::array::uniform8(0..3_u64);
    let counts = prop_oneof![1 => Just([0; 8]), 1 => any, 4 => in_one].prop_map(|mut counts| {
        let [.., output, reasoning, _, _] = &mut counts;
        *reasoning = (*reasoning).min(*output);
        counts
    });
    let second = prop_oneof![Just(3_u32), 0..4_u32];
    (key, (second, counts, prop::bool::ANY))
}

/// Every snapshot at least once, some twice, in any order, by any client, cut anywhere.
fn sendings() -> impl Strategy<Value = Vec<Sending>> {
    vec(snapshot(), 1..50)
        .prop_flat_map(|snapshots| {
            let again = subsequence(snapshots.clone(), 0..=snapshots.len());
            again.prop_map(move |again| [&snapshots[..], &again].concat())
        })
        .prop_shuffle()
        .prop_flat_map(|snapshots| {
            let ways = vec((0..CLIENTS, prop::bool::weighted(0.2)), snapshots.len());
            (Just(snapshots), ways)
        })
        .prop_map(|(snapshots, ways)| {
            let sending = |(snapshot, (client, ends))| Sending { snapshot, client, ends };
            snapshots.into_iter().zip(ways).map(sending).collect()
        })
}

/// Two servers on one database, and everything that ever had to stand in it.
struct World {
    servers: [TestApp; 2],
    users: [TestUser; 2],
    devices: [TestDevice; DEVICES],
    cases: Cell<u32>,
    standing: RefCell<BTreeMap<(u32, Key), Version>>,
}

impl World {
    async fn new() -> Self {
        let app = TestApp::start().await;
        let users = [app.user("ann", "Europe/Berlin").await, app.user("bob", "Europe/London").await];
        let devices = [
            app.device(&users[0], "laptop").await,
            app.device(&users[0], "phone").await,
            app.device(&users[1], "laptop").await,
        ];
        let servers = [app.second_server().await, app];
        Self { servers, users, devices, cases: Cell::new(0), standing: RefCell::default() }
    }

    fn owner(&self, device: usize) -> (&TestUser, Tz) {
        if device == 2 {
            (&self.users[1], chrono_tz::Europe::London)
        } else {
            (&self.users[0], chrono_tz::Europe::Berlin)
        }
    }

    /// Every case has its own models, and with them its own buckets.
    fn bucket(case: u32, (key, (stamp, counts, retracts)): (Key, Version)) -> Value {
        let observed_at = if key.hour == OLD {
            OLD_STAMPS[usize::try_from(stamp).unwrap()].to_owned()
        } else {
            format!("2026-11-20T11:00:0{stamp}Z")
        };
        let mut bucket = json!({
            "hour_start": HOURS[key.hour], "source": SOURCES[key.source],
            "model": format!("{}/{case}", MODELS[key.model]), "observed_at": observed_at, "retracts": retracts,
        });
        for (counter, count) in COUNTERS.into_iter().zip(counts) {
            bucket[counter] = count.into();
        }
        bucket
    }

    /// One client sends its requests one after the other. Returns how many buckets were inserted.
    async fn client(&self, case: u32, client: usize, sendings: &[Sending]) -> usize {
        let mut inserted = 0;
        let mine: Vec<_> = sendings.iter().filter(|sending| sending.client == client).collect();
        for part in mine.chunk_by(|sending, _| !sending.ends) {
            for (device, TestDevice { token, .. }) in self.devices.iter().enumerate() {
                let of_device = part.iter().filter(|sending| sending.snapshot.0.device == device);
                let buckets: Vec<_> = of_device.map(|sending| Self::bucket(case, sending.snapshot)).collect();
                let reply = send(&self.servers[client % 2], token, &[], &buckets).await.unwrap();
                inserted += verdicts(&reply).iter().filter(|verdict| *verdict == "inserted").count();
            }
        }
        inserted
    }

    async fn check(&self, sendings: &[Sending]) -> Result<(), TestCaseError> {
        let case = self.cases.replace(self.cases.get() + 1);
        let mut expected = BTreeMap::new();
        for Sending { snapshot: (key, version), .. } in sendings {
            let best = expected.entry(*key).or_insert(*version);
            *best = [*best, *version].into_iter().max_by_key(|version| place(*key, *version)).unwrap();
        }
        self.standing.borrow_mut().extend(expected.iter().map(|(key, version)| ((case, *key), *version)));

        let posts = join_all((0..CLIENTS).map(|client| self.client(case, client, sendings)));
        // Now and then a relay is at work meanwhile.
        let fold = async {
            if case.is_multiple_of(5) {
                self.servers[usize::from(case.is_multiple_of(2))].drain().await;
            }
        };
        let (inserted, ()) = tokio::join!(posts, fold);
        prop_assert_eq!(inserted.iter().sum::<usize>(), expected.len(), "every bucket is inserted by one");
        let sql = "select (to_jsonb(b) - '{total_tokens,changed_at,stamped,backfill_id,user_id}'::text[])::text";
        let found = self.servers[0].ask(&format!("{sql} from usage.bucket b where model like '%/{case}'")).await;
        let mut found: Vec<Value> = found.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
        let mut expected: Vec<Value> = expected
            .into_iter()
            .map(|(key, version)| {
                let mut bucket = Self::bucket(case, (key, version));
                bucket.as_object_mut().unwrap().remove("retracts");
                bucket["rank"] = place(key, version).0.into();
                bucket["device_id"] = self.devices[key.device].device_id.to_string().into();
                for instant in ["hour_start", "observed_at"] {
                    bucket[instant] = bucket[instant].as_str().unwrap().replace('Z', "+00:00").into();
                }
                bucket
            })
            .collect();
        found.sort_by_key(Value::to_string);
        expected.sort_by_key(Value::to_string);
        prop_assert_eq!(found, expected);
        Ok(())
    }

    /// The rollup of everything, added up without the server and without PostgreSQL.
    fn rollup(&self) -> Vec<String> {
        let mut days = BTreeMap::<_, [u64; 10]>::new();
        for ((case, key), (_, counts, _)) in self.standing.borrow().iter() {
            let (user, zone) = self.owner(key.device);
            let day = instant(HOURS[key.hour]).with_timezone(&zone).date_naive().to_string();
            let device_id = self.devices[key.device].device_id;
            let model = format!("{}/{case}", MODELS[key.model]);
            let group = format!("{} {day} {device_id} {} {model}", user.user_id, SOURCES[key.source]);
            let [.., reasoning, _, requests] = counts;
            let total = counts.iter().sum::<u64>() - reasoning - requests;
            let sums = days.entry(group).or_default();
            for (sum, count) in sums.iter_mut().zip(counts.iter().chain([&total, &1])) {
                *sum += count;
            }
        }
        let row = |(group, sums): (String, [u64; 10])| format!("{group} {}", sums.map(|sum| sum.to_string()).join(" "));
        let mut rows: Vec<_> = days.into_iter().map(row).collect();
        rows.sort();
        rows
    }

    async fn check_rollup(&self) {
        self.servers[0].drain().await;
        let counters = COUNTERS.join(", ");
        let sql =
            format!("select concat_ws(' ', user_id, day, device_id, source, model, {counters}) from rollup.daily");
        let mut found = self.servers[0].ask(&sql).await;
        found.sort();
        assert!(found.len() > 1_000, "{}", found.len());
        assert_eq!(found, self.rollup());
        assert!(self.servers[0].ask("select id::text from usage.outbox").await.is_empty());
    }
}

#[test]
fn any_order_repetition_batching_and_interleaving_ends_in_the_same_buckets_and_rollups() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    let config =
        ProptestConfig { cases: CASES, failure_persistence: None, max_shrink_iters: 300, ..Default::default() };
    let result = TestRunner::new(config).run(&sendings(), |sendings| runtime.block_on(world.check(&sendings)));
    result.unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(world.check_rollup());
}
