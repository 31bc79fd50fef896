//! The law: any batching, order, repetition and interleaving of records, in either encoding, over any clients and
//! servers, ends in the buckets that they add up to, and in the same rollups.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use halfhour::features::dashboard_rollup::{Window, verify};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::wire::{event, export};
use crate::support::{TestApp, TestDevice, instant};

const CASES: u32 = 24;
const CLIENTS: usize = 4;
/// The buckets of a device, summed.
const SUMS: &str =
    "select concat_ws(' ', to_char(hour_start at time zone 'UTC', 'HH24:MI'), source, model, input_tokens,
    cache_read_tokens, output_tokens, request_count) from usage.bucket where device_id = '$device' order by 1";

/// One request to a model.
#[derive(Clone, Copy, Debug)]
struct Used {
    number: usize,
    minute: u32,
    is_codex: bool,
    model: usize,
    input: i64,
    cached: i64,
    output: i64,
}

/// What is sent: which record, by which client, in which encoding, and whether the client's request ends with it.
#[derive(Clone, Copy, Debug)]
struct Sending {
    used: Used,
    client: usize,
    in_json: bool,
    ends: bool,
}

impl Used {
    fn at(self) -> DateTime<Utc> {
        instant("2026-11-20T10:00:00Z") + TimeDelta::minutes(self.minute.into())
    }

    fn model(self) -> &'static str {
        ["a", "B", "a-b"][self.model]
    }

    fn record(self, case: u32) -> Value {
        let (at, session) = (self.at().to_rfc3339(), format!("case {case}"));
        if self.is_codex {
            return event(
                "codex.sse_event",
                &at,
                &json!({"event.kind": "response.completed", "model": self.model(),
                "conversation.id": session, "request_id": self.number.to_string(),
                "input_token_count": (self.input + self.cached).to_string(), "cached_token_count": self.cached,
                "output_token_count": self.output.to_string()}),
            );
        }
        event(
            "claude_code.api_request",
            &at,
            &json!({"model": self.model(), "session.id": session,
            "event.sequence": self.number, "input_tokens": self.input, "cache_read_tokens": self.cached.to_string(),
            "output_tokens": self.output}),
        )
    }
}

/// What all of them add up to.
fn sums(all: &[Used]) -> Vec<String> {
    let mut sums = BTreeMap::<(String, &str, &str), [i64; 4]>::new();
    for used in all {
        let half_hour = used.at() - TimeDelta::minutes((used.minute % 30).into());
        let source = if used.is_codex { "codex" } else { "claude-code" };
        let sum = sums.entry((half_hour.format("%H:%M").to_string(), source, used.model())).or_default();
        for (sum, more) in sum.iter_mut().zip([used.input, used.cached, used.output, 1]) {
            *sum += more;
        }
    }
    let line = |((at, source, model), [input, cached, output, requests]): ((String, &str, &str), [i64; 4])| {
        format!("{at} {source} {model} {input} {cached} {output} {requests}")
    };
    let mut lines: Vec<String> = sums.into_iter().map(line).collect();
    lines.sort();
    lines
}

fn used() -> impl Strategy<Value = Vec<Used>> {
    let one = (0..90_u32, any::<bool>(), 0..3_usize, 0..9_i64, 0..9_i64, 0..9_i64);
    vec(one, 1..40).prop_map(|all| {
        let numbered = |(number, (minute, is_codex, model, input, cached, output))| Used {
            number,
            minute,
            is_codex,
            model,
            input,
            cached,
            output,
        };
        all.into_iter().enumerate().map(numbered).collect()
    })
}

/// Every record at least once, some twice, some thrice, in any order, by any client, cut anywhere.
fn sendings() -> impl Strategy<Value = (Vec<Used>, Vec<Sending>)> {
    used().prop_flat_map(|all| {
        let again = || subsequence(all.clone(), 0..=all.len());
        let sent = (again(), again()).prop_map({
            let all = all.clone();
            move |(twice, thrice)| [&all[..], &twice, &thrice].concat()
        });
        let ways = sent.prop_shuffle().prop_flat_map(|sent| {
            let ways = vec((0..CLIENTS, any::<bool>(), prop::bool::weighted(0.3)), sent.len());
            (Just(sent), ways)
        });
        let sendings = ways.prop_map(|(sent, ways)| {
            let sending = |(used, (client, in_json, ends))| Sending { used, client, in_json, ends };
            sent.into_iter().zip(ways).map(sending).collect::<Vec<_>>()
        });
        (Just(all), sendings)
    })
}

/// A client's requests, one after the other.
async fn send(servers: &[TestApp; 2], device: &TestDevice, case: u32, client: usize, sendings: &[Sending]) {
    let mut batch = Vec::new();
    let mine: Vec<&Sending> = sendings.iter().filter(|sending| sending.client == client).collect();
    for (position, sending) in mine.iter().enumerate() {
        batch.push(sending.used.record(case));
        if sending.ends || position + 1 == mine.len() {
            let (server, export) = (&servers[(client + position) % 2], export(&batch));
            let reply = if sending.in_json {
                server.export(&device.token, &export).await
            } else {
                server.export_protobuf(&device.token, &export).await
            };
            assert!(reply.status == 200 && reply.body.len() <= 2, "{}", String::from_utf8_lossy(&reply.body));
            batch.clear();
        }
    }
}

#[test]
fn any_batching_order_repetition_and_interleaving_ends_in_the_same_buckets() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(async {
        let first = TestApp::start().await;
        let user = first.user("me", "Europe/Berlin").await;
        let second = first.second_server().await;
        ([first, second], user)
    });
    let (servers, user) = &world;
    let case = std::cell::Cell::new(0);
    let mut runner =
        TestRunner::new(ProptestConfig { cases: CASES, max_shrink_iters: 40, ..ProptestConfig::default() });
    let law = |(all, sendings): (Vec<Used>, Vec<Sending>)| {
        case.set(case.get() + 1);
        runtime.block_on(async {
            let device = servers[0].device(user, &format!("device {}", case.get())).await;
            join_all((0..CLIENTS).map(|client| send(servers, &device, case.get(), client, &sendings))).await;
            let found = servers[0].ask(&SUMS.replace("$device", &device.device_id.to_string())).await;
            prop_assert_eq!(found, sums(&all));
            Ok(())
        })
    };
    runner.run(&sendings(), law).unwrap();
    runtime.block_on(async {
        servers[1].drain().await;
        let report = verify(&servers[0].pools.worker, &Window::default()).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
    });
    drop(runtime.enter());
}

/// A thousand records of two devices, each sent three times, in batches of any size, by eight connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_records_sent_three_times_by_eight_connections_over_two_servers_count_once() {
    let first = TestApp::start().await;
    let second = first.second_server().await;
    let user = first.user("me", "UTC").await;
    let devices = [first.device(&user, "laptop").await, first.device(&user, "tower").await];
    let all: Vec<Used> = (0..1_000)
        .map(|number| {
            let of = |most: usize| i64::try_from(number * 7 % most).unwrap();
            let minute = u32::try_from(number % 110).unwrap();
            Used {
                number,
                minute,
                is_codex: number % 3 == 0,
                model: number % 3,
                input: of(50),
                cached: of(20),
                output: of(90),
            }
        })
        .collect();
    let mut thrice: Vec<Used> = [&all[..], &all, &all].concat();
    // Any order will do; this one is of a generator with a fixed seed.
    let mut state = 42_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap()
    };
    for at in (1..thrice.len()).rev() {
        thrice.swap(at, random() % (at + 1));
    }
    let mut batches: Vec<(usize, Vec<Used>)> = Vec::new();
    while !thrice.is_empty() {
        let batch = thrice.split_off(thrice.len() - (1 + random() % 60).min(thrice.len()));
        for device in [0, 1] {
            let (of_device, _): (Vec<Used>, Vec<Used>) = batch.iter().partition(|used| used.number % 2 == device);
            batches.push((device, of_device));
        }
    }
    let batches = std::sync::Mutex::new(batches.into_iter());
    let (servers, devices) = ([&first, &second], &devices);
    let connection = async |number: usize| {
        loop {
            let Some((device, batch)) = batches.lock().unwrap().next() else { return };
            let records: Vec<Value> = batch.iter().map(|used| used.record(0)).collect();
            let (server, token) = (servers[number % 2], &devices[device].token);
            let reply = match batch.len() % 2 {
                0 => server.export(token, &export(&records)).await,
                _ => server.export_protobuf(token, &export(&records)).await,
            };
            assert!(reply.status == 200 && reply.body.len() <= 2, "{}", String::from_utf8_lossy(&reply.body));
        }
    };
    join_all((0..8).map(connection)).await;
    for (number, device) in devices.iter().enumerate() {
        let of_device: Vec<Used> = all.iter().copied().filter(|used| used.number % 2 == number).collect();
        assert_eq!(first.ask(&SUMS.replace("$device", &device.device_id.to_string())).await, sums(&of_device));
    }
    assert_eq!(first.ask("select count(*)::text from usage.ledger").await, ["1000"]);
    assert_eq!(
        first.ask("select deadlocks::text from pg_stat_database where datname = current_database()").await,
        ["0"]
    );
    first.drain().await;
    let report = verify(&first.pools.worker, &Window::default()).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
}
