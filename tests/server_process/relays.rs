//! Two processes on one database, each with three relays, killed and frozen while trackers post: whatever was acknowledged is
//! folded, by one relay at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

use crate::external_database::{database_url, home, start_postgres};
use crate::http::{Http, INTERVAL, PATIENCE, recent, wait_until};
use crate::support::{Home, Server};

const USERS: usize = 8;
/// What befalls the processes.
const BLOWS: usize = 12;
/// Refuses to write a user's rollup while another transaction does. Whoever writes it waits for nobody. The rows are free as
/// soon as their transaction has ended, which is before the fold locks are.
const ONE_AT_A_TIME: &str = "
    create table public.at_work as select user_id from account.user;
    create function public.one_at_a_time() returns trigger language plpgsql security definer as $$ begin
        perform from public.at_work where user_id = coalesce(new.user_id, old.user_id) for update nowait;
        return coalesce(new, old);
    exception when lock_not_available then
        raise exception 'two folds of one user at once';
    end $$;
    create trigger one_at_a_time before insert or update or delete on rollup.daily
        for each row execute function public.one_at_a_time();
    create trigger one_at_a_time before insert or update or delete on rollup.user_state
        for each row execute function public.one_at_a_time();";

/// A tracker of one user.
struct Tracker {
    viewer: String,
    device: String,
    /// The half hour of all its buckets.
    hour_start: Value,
    /// The last post that was acknowledged. The posts are one bucket each, of 1, 2, 3, … tokens.
    posted: AtomicU64,
}

impl Tracker {
    fn new(home: &Home, name: &str) -> Self {
        let user = home.json(&["user", "add", name]);
        let device = home.json(&["device", "add", "--user", name, "--name", "laptop"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (viewer, device) = (text(&user["viewer_token"]), text(&device["token"]));
        let hour_start = recent("m", 1)["buckets"][0]["hour_start"].clone();
        Self { viewer, device, hour_start, posted: AtomicU64::new(0) }
    }

    /// Posts until `stop`, to one server and then to the other. What is not acknowledged is posted again, the last post too:
    /// it may have been committed all the same.
    async fn run(&self, servers: &[RwLock<Http>; 2], stop: &CancellationToken) {
        let mut turn = 0;
        loop {
            turn += 1;
            let number = self.posted.load(Ordering::Relaxed) + 1;
            let server = servers[turn % 2].read().await.clone();
            let mut post = recent(&format!("m{number}"), number);
            post["buckets"][0]["hour_start"] = self.hour_start.clone();
            if server.try_post(&self.device, &post).await.is_ok_and(|reply| reply.status == 200) {
                self.posted.store(number, Ordering::Relaxed);
                if stop.is_cancelled() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn tokens(&self) -> u64 {
        let posted = self.posted.load(Ordering::Relaxed);
        posted * (posted + 1) / 2
    }
}

/// Numbers that look drawn, the same for the same seed.
struct Draws(u64);

impl Draws {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A server that listens. One that cannot reach PostgreSQL in time ends, and is started again, as whoever supervises it does.
async fn started(home: &Home) -> Server {
    loop {
        let mut running = home.spawn();
        wait_until("a start", || running.has_ended() || running.stderr().contains("halfhour listens on ")).await;
        if !running.has_ended() {
            return running.listening().await;
        }
    }
}

/// Kills or freezes one process after the other.
async fn strike(home: &Home, running: &mut [Option<Server>; 2], servers: &[RwLock<Http>; 2], draws: &mut Draws) {
    for _ in 0..BLOWS {
        tokio::time::sleep(Duration::from_millis(100 + draws.below(500))).await;
        let which = usize::try_from(draws.below(2)).unwrap();
        if draws.below(2) == 0 {
            running[which].take().unwrap().kill().await;
            tokio::time::sleep(Duration::from_millis(draws.below(500))).await;
            let server = started(home).await;
            *servers[which].write().await = server.http.clone();
            running[which] = Some(server);
        } else {
            let server = running[which].as_ref().unwrap();
            server.running.signal(Signal::STOP);
            tokio::time::sleep(Duration::from_millis(draws.below(2_000))).await;
            server.running.signal(Signal::CONT);
        }
    }
}

async fn ask(connection: &mut PgConnection, sql: &str) -> String {
    connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap().get(0)
}

/// Waits until the outbox is empty.
async fn all_folded(connection: &mut PgConnection, seed: u64) {
    let deadline = Instant::now() + 2 * PATIENCE;
    let waiting =
        "select coalesce(string_agg(format('%s %s %s', part, attempts, last_error), ', '), '') from usage.outbox";
    loop {
        let left = ask(connection, waiting).await;
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left, seed {seed}: {left}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// A user's rollups as soon as nothing is pending. A busy machine may say 503 for a while.
async fn folded(server: &Server, viewer: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reply = server.get(viewer, "/v1/rollups").await;
        if reply.status == 200 && reply.json["pending"] == false {
            return reply.json;
        }
        assert!(Instant::now() < deadline, "{reply:?}");
        tokio::time::sleep(INTERVAL).await;
    }
}

#[tokio::test]
async fn what_two_processes_with_three_relays_each_acknowledge_is_folded_once_though_they_are_killed_and_frozen() {
    let (directory, postgres) = start_postgres();
    let home = home(&database_url(directory.path(), &postgres)).with("HALFHOUR_RELAYS", "3");
    let mut running = [Some(started(&home).await), Some(started(&home).await)];
    let mut admin = PgConnection::connect_with(&postgres.connect_options().database("halfhour")).await.unwrap();
    let trackers: Vec<_> = (0..USERS).map(|number| Tracker::new(&home, &format!("user {number}"))).collect();
    admin.execute(sqlx::raw_sql(ONE_AT_A_TIME)).await.unwrap();
    let servers = [0, 1].map(|which: usize| RwLock::new(running[which].as_ref().unwrap().http.clone()));
    let seed = u64::from(std::process::id());
    let mut draws = Draws(seed);

    let stop = CancellationToken::new();
    let posting = futures_util::future::join_all(trackers.iter().map(|tracker| tracker.run(&servers, &stop)));
    let striking = async {
        strike(&home, &mut running, &servers, &mut draws).await;
        stop.cancel();
    };
    tokio::join!(posting, striking);
    // One of them for good: the parts that it looked after go on.
    let [last, killed] = running.map(Option::unwrap);
    killed.kill().await;
    all_folded(&mut admin, seed).await;

    for tracker in &trackers {
        assert!(tracker.posted.load(Ordering::Relaxed) > 0, "nothing was acknowledged");
        let rollups = folded(&last, &tracker.viewer).await;
        assert_eq!(rollups["totals"]["input_tokens"], tracker.tokens(), "seed {seed}: {rollups}");
    }
    let verified = home.json(&["verify"]);
    assert_eq!(verified["drifted"], 0, "seed {seed}: {verified}");
    last.stop().await;
    for number in 0.. {
        let Ok(log) = std::fs::read_to_string(home.path().join(format!("stdout-{number}"))) else { break };
        let faults =
            log.lines().filter(|line| line.contains("two folds of one user at once") || line.contains("P0001"));
        assert_eq!(faults.collect::<Vec<_>>(), Vec::<&str>::new(), "seed {seed}");
    }
    admin.close().await.unwrap();
    postgres.stop().unwrap();
}
