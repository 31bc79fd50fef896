//! PostgreSQL's programs are replaced under a running server, as an upgrade of a package does: everything goes on, it is
//! noticed, and the server is restarted when nobody would notice that.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

use crate::http::{INTERVAL, PATIENCE, Reply, recent};
use crate::processes::children_of;
use crate::processes::{Postmaster, send};
use crate::programs::{ProgramsCopy, code_of};
use crate::support::{Home, Server};

/// A home whose cluster runs by a copy of the programs.
fn home_with_copy() -> (Home, ProgramsCopy) {
    let unlimited = Home::new().with("HALFHOUR_LIMIT_OPERATOR_PER_MINUTE", "0");
    let home = unlimited.with("HALFHOUR_REQUEST_DEADLINE_MS", "60000");
    home.json(&["migrate"]);
    let copy = ProgramsCopy::of(&home);
    let search_path = copy.search_path();
    (home.with("PATH", &search_path), copy)
}

/// When the new programs were made: long ago, as by a clock that went backwards.
fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 40)
}

fn break_library(copy: &ProgramsCopy) {
    std::fs::write(copy.library(), "no library").unwrap();
}

/// The program that runs the cluster.
fn runs(home: &Home, programs: &Path) -> bool {
    let options = std::fs::read_to_string(home.data_dir().join("postgres/postmaster.opts")).unwrap();
    options.starts_with(programs.to_str().unwrap())
}

async fn superuser(home: &Home) -> PgConnection {
    let password = std::fs::read_to_string(home.data_dir().join("postgres.password")).unwrap();
    let options = PgConnectOptions::new_without_pgpass()
        .socket(&home.postmaster().socket_dir)
        .username("halfhour")
        .password(password.trim())
        .database("halfhour");
    PgConnection::connect_with(&options).await.unwrap()
}

/// The server's sessions end, so that what is asked next is asked in new ones.
async fn end_sessions(home: &Home) {
    let mut superuser = superuser(home).await;
    let ended = superuser
        .fetch_one(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'halfhour %'",
        )
        .await
        .unwrap();
    assert!(ended.get::<i64, _>(0) > 0);
    superuser.close().await.unwrap();
}

/// Asks as a client does: 503 is asked again, which a machine under load may answer where many sessions begin at once.
async fn served<F>(status: u16, ask: impl Fn() -> F) -> Value
where
    F: Future<Output = Reply>,
{
    let began = Instant::now();
    loop {
        let reply = ask().await;
        if reply.status != 503 || began.elapsed() > PATIENCE {
            assert_eq!(reply.status, status, "{}", reply.json);
            return reply.json;
        }
        assert!(reply.retry_after.is_some(), "{reply:?}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// A link code is made and becomes a device whose token works.
async fn link(home: &Home, server: &Server, name: &str) {
    let viewer = home.viewer_token();
    let nothing = json!({});
    let made = served(201, || server.post_to(Some(&viewer), "/v1/link-codes", &nothing)).await;
    let request_id = uuid::Uuid::now_v7();
    let body = json!({"code": made["code"], "request_id": request_id, "device_name": name, "platform": "linux"});
    let exchanged = served(201, || server.post_to(None, "/v1/link-codes/exchange", &body)).await;
    let (token, post) = (exchanged["token"].as_str().unwrap(), recent(name, 1));
    served(200, || server.post_to(Some(token), "/v1/buckets", &post)).await;
}

/// `private_postgres` of the status.
async fn private_postgres(home: &Home, server: &Server) -> Value {
    let operator = home.credential("HALFHOUR_OPERATOR_TOKEN");
    served(200, || server.get(&operator, "/v1/status")).await["private_postgres"].take()
}

/// Waits for a state of the upgrade, and returns all that is said of it.
async fn upgrade_is(home: &Home, server: &Server, state: &str) -> Value {
    let began = Instant::now();
    loop {
        let upgrade = private_postgres(home, server).await["upgrade"].take();
        if upgrade["state"] == state {
            return upgrade;
        }
        assert!(began.elapsed() < PATIENCE, "no {state} but {upgrade}: {}", server.running.stdout());
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Waits until nothing is said of an upgrade any more, which may be a moment after the new server answers. A server that
/// began while its programs were still being replaced is restarted once more, in a moment in which nobody asks.
async fn upgrade_is_over(home: &Home, server: &Server) {
    let began = Instant::now();
    while !private_postgres(home, server).await["upgrade"].is_null() {
        assert!(began.elapsed() < PATIENCE, "{}", server.running.stdout());
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
}

/// Waits for another server, without a request that would keep it from coming.
async fn restarted(home: &Home, before: &Postmaster) -> Postmaster {
    let began = Instant::now();
    loop {
        if let Some(now) = Postmaster::find(&home.data_dir()).filter(|now| now.pid != before.pid) {
            return now;
        }
        assert!(began.elapsed() < PATIENCE, "no restart within {PATIENCE:?}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Waits until the server answers again, and says what it answered meanwhile.
async fn answers_again(server: &Server, token: &str) -> u32 {
    let (began, mut refused) = (Instant::now(), 0);
    loop {
        let reply = server.get(token, "/v1/rollups").await;
        if reply.status == 200 {
            return refused;
        }
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(reply.retry_after.is_some(), "{reply:?}");
        refused += 1;
        assert!(began.elapsed() < PATIENCE, "still {reply:?}");
        tokio::time::sleep(INTERVAL).await;
    }
}

fn lines_with(server: &Server, words: &str) -> usize {
    server.running.stdout().lines().filter(|line| line.contains(words)).count()
}

/// The value of `halfhour_postgres_upgrade` in each state.
async fn metric(home: &Home, server: &Server) -> [bool; 3] {
    let text = server.text(&home.credential("HALFHOUR_OPERATOR_TOKEN"), "/metrics").await;
    ["settling", "restart_waits", "unusable"].map(|state| {
        let series = format!("halfhour_postgres_upgrade{{state=\"{state}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&series)).unwrap_or_else(|| panic!("no {series}"));
        value == "1"
    })
}

/// A post whose body is on its way until it is finished.
struct SlowPost {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl SlowPost {
    fn begin(home: &Home, server: &Server, body: &Value) -> Self {
        let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
        let body = body.to_string().into_bytes();
        let (first, rest) = body.split_at(body.len() / 2);
        let head = format!(
            "POST /v1/buckets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            home.device_token(),
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(first).unwrap();
        Self { stream, rest: rest.to_vec() }
    }

    fn finish(mut self) -> String {
        self.stream.write_all(&self.rest).unwrap();
        let mut reply = String::new();
        self.stream.read_to_string(&mut reply).unwrap();
        reply
    }
}

#[tokio::test]
async fn link_codes_work_throughout_an_upgrade_which_is_said_once_and_ends_in_a_quiet_restart() {
    let (home, copy) = home_with_copy();
    let server = home.serve().await;
    let old = home.postmaster();
    assert!(runs(&home, &copy.programs()));
    link(&home, &server, "before").await;
    assert_eq!(private_postgres(&home, &server).await["upgrade"], Value::Null);
    assert_eq!(metric(&home, &server).await, [false; 3]);

    // The new library is of no use to the old server, nor to the new one.
    copy.upgrade(long_ago(), break_library);
    end_sessions(&home).await;
    link(&home, &server, "while they settle").await;
    assert_eq!(upgrade_is(&home, &server, "settling").await["version"], Value::Null);
    let unusable = upgrade_is(&home, &server, "unusable").await;
    let detail = unusable["detail"].as_str().unwrap();
    for part in ["plpgsql", "do not restart halfhour", copy.programs().to_str().unwrap()] {
        assert!(detail.contains(part), "{part} is missing from: {detail}");
    }
    assert_eq!(metric(&home, &server).await, [false, false, true]);
    end_sessions(&home).await;
    link(&home, &server, "while they are broken").await;
    // In a session that has not seen PL/pgSQL yet, it comes from the server.
    let mut session = superuser(&home).await;
    session.execute("do $$ begin perform 1; end $$").await.unwrap();
    let refused = session.execute("delete from ops.audit").await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("42501"), "{refused}");
    session.close().await.unwrap();

    // A second upgrade mends the first, while a post is on its way.
    let slow = SlowPost::begin(&home, &server, &recent("in flight", 1000));
    copy.upgrade(long_ago(), |_| ());
    let waits = upgrade_is(&home, &server, "restart_waits").await;
    assert_eq!(waits["version"], private_postgres(&home, &server).await["version"]);
    assert_eq!((&waits["detail"], &waits["since"]), (&Value::Null, &unusable["since"]));
    assert_eq!(metric(&home, &server).await, [false, true, false]);
    end_sessions(&home).await;
    link(&home, &server, "while it waits").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(home.postmaster(), old, "a request was under way");
    assert!(slow.finish().starts_with("HTTP/1.1 200 "));

    restarted(&home, &old).await;
    let refused = answers_again(&server, &home.viewer_token()).await;
    eprintln!("{refused} requests refused meanwhile");
    upgrade_is_over(&home, &server).await;
    assert_eq!(metric(&home, &server).await, [false; 3]);
    assert!(runs(&home, &copy.programs()));
    link(&home, &server, "after").await;
    let rollups = server.folded(&home.viewer_token(), "/v1/rollups").await;
    assert_eq!(rollups["totals"]["input_tokens"], 1005, "{rollups}");
    for (words, times) in [
        ("the new programs cannot be used", 1),
        ("it is restarted at a quiet moment", 1),
        ("is restarted after its upgrade", 1),
        ("the upgrade is over", 1),
        ("ended unasked", 0),
    ] {
        assert_eq!(lines_with(&server, words), times, "{words}: {}", server.running.stdout());
    }
    server.stop().await;
    home.assert_nothing_left();
}

#[tokio::test]
async fn programs_that_are_gone_are_followed_by_those_that_lie_elsewhere() {
    let (home, copy) = home_with_copy();
    let server = home.serve().await;
    let old = home.postmaster();
    link(&home, &server, "before").await;
    copy.remove();
    // Not even the preloaded library is to be had without its file, so it is good that no request asks for it.
    end_sessions(&home).await;
    link(&home, &server, "without programs").await;
    restarted(&home, &old).await;
    answers_again(&server, &home.viewer_token()).await;
    assert!(runs(&home, copy.original_programs()));
    upgrade_is_over(&home, &server).await;
    link(&home, &server, "after").await;
    server.stop().await;
    home.assert_nothing_left();
}

#[tokio::test]
async fn a_postgresql_that_dies_in_the_middle_of_an_upgrade_is_back_once_the_programs_are_whole() {
    let (home, copy) = home_with_copy();
    let server = home.serve().await;
    let (device, viewer) = (home.device_token(), home.viewer_token());
    server.post(&device, &recent("acknowledged", 7)).await;
    copy.upgrade(SystemTime::now() + Duration::from_hours(24), break_library);
    let killed = home.postmaster();
    send(killed.pid, Signal::KILL);
    let down = Instant::now();
    while lines_with(&server, "could not be started again yet") == 0 {
        assert!(down.elapsed() < PATIENCE, "{}", server.running.stdout());
        tokio::time::sleep(INTERVAL).await;
    }
    let reply = server.try_post(&device, &recent("refused", 1000)).await.unwrap();
    assert_eq!((reply.status, reply.json["code"].as_str()), (503, Some("database_unavailable")), "{reply:?}");
    assert!(reply.retry_after.is_some(), "{reply:?}");
    copy.upgrade(SystemTime::now(), |_| ());
    let refused = answers_again(&server, &viewer).await;
    eprintln!("{refused} requests refused meanwhile");
    upgrade_is_over(&home, &server).await;
    assert_eq!(server.folded(&viewer, "/v1/rollups").await["totals"]["input_tokens"], 7);
    server.stop().await;
    home.assert_nothing_left();
}

/// Whatever a session loads late it would load from programs that an upgrade may have replaced.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_session_loads_code_that_the_server_has_not_loaded_at_its_start() {
    let (home, copy) = home_with_copy();
    let server = home.serve().await;
    link(&home, &server, "phone").await;
    let viewer = home.viewer_token();
    server.folded(&viewer, "/v1/rollups?width=month&group_by=model").await;
    for path in ["/v1/rollups/summary", "/v1/rollups/heatmap", "/v1/buckets", "/v1/devices", "/v1/me"] {
        assert_eq!(server.get(&viewer, path).await.status, 200, "{path}");
    }
    for arguments in [&["verify"][..], &["source", "add", "some-tool"], &["user", "add", "ann"]] {
        home.json(arguments);
    }
    private_postgres(&home, &server).await;
    let mut late = superuser(&home).await;
    let postmaster = home.postmaster().pid;
    let at_start = code_of(postmaster, home.path());
    assert!(at_start.contains(&copy.library()), "{at_start:?}");
    let sessions = children_of(postmaster);
    assert!(sessions.len() > 5, "{sessions:?}");
    for session in &sessions {
        let loaded = code_of(*session, home.path());
        assert!(loaded.is_subset(&at_start), "{session} has loaded {:?}", loaded.difference(&at_start));
    }
    // The look sees what is loaded late.
    late.execute("select to_tsvector('english', 'loaded late')").await.unwrap();
    let seen = children_of(postmaster).iter().any(|session| !code_of(*session, home.path()).is_subset(&at_start));
    assert!(seen, "a dictionary was loaded, and nothing was seen of it");
    late.close().await.unwrap();
    server.stop().await;
    home.assert_nothing_left();
}
