//! Eighteen snapshots of one old half hour that meet in every way, and the model of which one stands.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::future::join_all;

use super::TestApp;

/// The half hour. What is seen of it from 2026-11-14T11:00:00.000001Z on is late.
pub const HOUR: &str = "2026-10-20T10:30:00Z";
/// Two on time and two late, of which the inner ones are the last and the first of their kind. The last one is of a
/// clock that is ahead.
pub const STAMPS: [&str; 4] =
    ["2026-10-20T10:40:00Z", "2026-11-14T11:00:00Z", "2026-11-14T11:00:00.000001Z", "2026-11-20T12:00:30Z"];
/// Input and output: the greater counts are not the larger total.
const COUNTS: [(u64, u64); 3] = [(1, 1), (2, 0), (0, 3)];
/// A post has as many snapshots at most.
const POST: usize = 500;

/// Which stamp, whether it retracts, and which counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub stamp: usize,
    pub retracts: bool,
    pub counts: (u64, u64),
}

impl Snapshot {
    /// Each rank with two stamps and three totals. What is on time may retract or not.
    pub fn all() -> Vec<Self> {
        let stamps = [(0, false), (1, true), (2, false), (3, false), (2, true), (3, true)];
        let each = |(stamp, retracts)| COUNTS.map(|counts| Self { stamp, retracts, counts });
        stamps.into_iter().flat_map(each).collect()
    }

    /// The model: the greatest stands.
    pub fn place(self) -> (i16, u64, (u64, u64), usize) {
        let (input, output) = self.counts;
        match (self.stamp > 1, self.retracts) {
            (true, false) => (0, input + output, self.counts, self.stamp),
            (late, _) => (if late { 2 } else { 1 }, self.stamp as u64, self.counts, 0),
        }
    }

    /// What the database shows of it in [`SHOWN`].
    pub fn row(self) -> String {
        let (input, output) = self.counts;
        format!("{input} {output} {} {}", STAMPS[self.stamp], self.place().0)
    }

    /// As a bucket of a post.
    fn write(self, body: &mut String, model: &str) {
        let Self { stamp, retracts, counts: (input, output) } = self;
        let comma = if body.is_empty() { "" } else { "," };
        // What is silent says so, or says nothing.
        let silence = if retracts || stamp == 2 { format!(r#","retracts":{retracts}"#) } else { String::new() };
        let observed_at = STAMPS[stamp];
        write!(
            body,
            r#"{comma}{{"hour_start":"{HOUR}","source":"codex","model":"{model}","observed_at":"{observed_at}",
            "input_tokens":{input},"output_tokens":{output}{silence}}}"#
        )
        .unwrap();
    }
}

/// A bucket as text, in SQL.
pub const SHOWN: &str = r#"input_tokens || ' ' || output_tokens || ' '
    || to_char(observed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
    || case when extract(microseconds from observed_at)::bigint % 1000000 = 0 then ''
            else to_char(observed_at, '.US') end || 'Z ' || rank"#;

/// The greatest of some.
pub fn greatest(snapshots: &[Snapshot]) -> Option<Snapshot> {
    snapshots.iter().copied().max_by_key(|snapshot| snapshot.place())
}

/// Sends what each bucket, by its model, gets now: one post holds all of it. Clients send at once, by either server.
pub async fn send(servers: &[TestApp; 2], token: &str, buckets: impl Iterator<Item = (&str, Vec<Snapshot>)>) {
    let mut bodies = Vec::new();
    let (mut body, mut count) = (String::new(), 0);
    for (model, due) in buckets {
        if count + due.len() > POST {
            bodies.push(std::mem::take(&mut body));
            count = 0;
        }
        count += due.len();
        for snapshot in due {
            snapshot.write(&mut body, model);
        }
    }
    bodies.push(body);
    let client = async |client: usize| {
        for body in bodies.iter().skip(client).step_by(4).filter(|body| !body.is_empty()) {
            taken(&servers[client % 2], token, format!(r#"{{"buckets":[{body}]}}"#)).await;
        }
    };
    join_all((0..4).map(client)).await;
}

/// Posts as trackers do, who repeat what is answered 503. To open a connection may take longer than a post waits for it,
/// while other tests use the processors.
async fn taken(server: &TestApp, token: &str, body: String) {
    for _ in 0..100 {
        let request = server.request(reqwest::Method::POST, "/v1/buckets").bearer(token);
        let reply = request.header("content-type", "application/json").body(body.clone()).send().await;
        if reply.status != 503 {
            reply.expect_ok();
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no post was taken");
}
