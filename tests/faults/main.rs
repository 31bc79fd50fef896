//! Two servers on one database, while whatever can break is broken, and a checker of all that was said.
//!
//! Clients post and read through proxies, and servers reach PostgreSQL through proxies. A script, made from a seed,
//! breaks one thing after another. Then `checker` compares every answer with every other one, and with what stands.
//!
//! ```text
//! cargo test --test faults                                    the checker, and every kind of fault once
//! FAULTS_SEED=7 cargo test --test faults                      the same with the faults of that seed
//! cargo test --test faults -- --ignored --nocapture           five minutes, with figures
//! ```
//!
//! `FAULTS_SERVER=target/release/halfhour` runs another build of the server. `FAULTS_WITHOUT=silence` leaves out that
//! PostgreSQL goes silent while connections stay open, for builds that are known not to survive it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where it stopped")]

mod checker;
mod clients;
mod end;
mod figures;
mod history;
mod installation;
mod planted;
mod postgres;
mod proxy;
mod random;
mod script;
mod server;
mod snapshots;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use checker::check;
use history::{History, Outcome};
use installation::Installation;
use random::Random;
use script::{Pace, Step};

/// How long the long run goes on with every kind of fault, in seconds, after the kills.
const LONG_S: u64 = 90;

/// How soon a server is ready after PostgreSQL is. In the gate other tests share its processors.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// `FAULTS_SEED`, or another one each time. A failing test shows it.
fn seed() -> u64 {
    let given = std::env::var_os("FAULTS_SEED").map(|seed| seed.to_str().unwrap().parse().unwrap());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()) ^ snapshots::now().unsigned_abs() & 0xffff_ffff);
    eprintln!("FAULTS_SEED={seed}");
    seed
}

/// Suffers the scripts one after another, prints what callers met, and judges what was said.
async fn run(installation: &mut Installation, scripts: &[Vec<Step>]) -> History {
    for script in scripts {
        eprintln!("{script:#?}");
        let began = Instant::now();
        installation.suffer(script).await;
        eprintln!("{} faults in {} s", script.len(), began.elapsed().as_secs());
    }
    let history = installation.finish().await;
    print_figures(installation, &history);
    let breaches = check(&history);
    let surprises = &installation.world.figures.lock().unwrap().surprises;
    if !breaches.is_empty() || !surprises.is_empty() {
        let kept = installation::keep(&installation.directory, &history);
        let breaches: Vec<String> = breaches.iter().map(ToString::to_string).collect();
        panic!("{}\n{}\nlogs are in {}", breaches.join("\n"), surprises.join("\n"), kept.display());
    }
    history
}

fn every_kind(random: &mut Random, pace: Pace) -> Vec<Step> {
    let mut steps = script::every_kind(random, pace);
    if let Some(left_out) = std::env::var_os("FAULTS_WITHOUT") {
        script::without(&mut steps, left_out.to_str().unwrap());
    }
    steps
}

fn print_figures(installation: &Installation, history: &History) {
    let mut verdicts = BTreeMap::<&str, u64>::new();
    for call in &history.calls {
        if let Outcome::Answered { verdicts: said, .. } = &call.outcome {
            for verdict in said {
                *verdicts.entry(verdict.as_str()).or_default() += 1;
            }
        }
    }
    let (posts, calls, reads) = (history.posts.len(), history.calls.len(), history.reads.len());
    eprintln!("{posts} posts in {calls} calls, {reads} reads, {} buckets stand", history.end.buckets.len());
    eprintln!("{verdicts:?}\nblamed: {:?}", installation.blame());
    eprintln!("{}", installation.world.figures.lock().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_are_kept_under_every_kind_of_fault() {
    let mut random = Random::new(seed());
    let mut installation = Installation::start(&mut random, READY_WITHIN * 2).await;
    let pace = Pace { lasts_ms: (200, 700), rests_ms: (50, 150) };
    let script = every_kind(&mut random, pace);
    run(&mut installation, &[script]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_breach_is_found() {
    let mut random = Random::new(seed());
    let mut installation = Installation::start(&mut random, READY_WITHIN * 2).await;
    // Until a bucket has been replaced.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let history = run(&mut installation, &[]).await;
    planted::every_planted_breach_is_found(&installation, &history, &mut random).await;
}

/// Servers are killed twenty times and PostgreSQL is stopped ten times, for one to five seconds each. Then come all
/// kinds of faults, and longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes five minutes and more"]
async fn promises_are_kept_for_minutes_while_servers_and_postgresql_are_killed() {
    let mut random = Random::new(seed());
    let mut installation = Installation::start(&mut random, READY_WITHIN).await;
    let kills = script::kills(&mut random, Pace { lasts_ms: (1_000, 5_000), rests_ms: (500, 3_000) });
    let pace = Pace { lasts_ms: (300, 6_000), rests_ms: (200, 2_000) };
    let planned = |steps: &[Step]| steps.iter().map(|step| step.lasts + step.rests).sum::<Duration>();
    let mut others = Vec::new();
    while planned(&others) < Duration::from_secs(LONG_S) {
        others.extend(every_kind(&mut random, pace));
    }
    run(&mut installation, &[kills, others]).await;
}
