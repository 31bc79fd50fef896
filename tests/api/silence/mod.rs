//! A database that says nothing: the host is lost, a backend is stopped, a failover leaves connections open. Every request
//! ends by its deadline, other pools serve, nothing acknowledged is lost, and afterwards all is well without a restart.

mod breakers;
mod failover;
mod laws;
mod listening;
mod posts;

use std::time::{Duration, Instant};

use halfhour::kernel::call::RequestContext;
use halfhour::kernel::database::{Access, Mode, Pool, Tx};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{Proxy, Reply, TestApp, TestDevice, TestUser, line};

/// What a machine that does other things as well may add to a limit.
const PATIENCE: Duration = Duration::from_secs(4);
/// After a silence everything is well within this time.
const RECOVERY: Duration = Duration::from_secs(2);

/// A server that reaches its database through a proxy, and one that does not.
struct Stage {
    app: TestApp,
    proxy: Proxy,
    server: TestApp,
    user: TestUser,
    device: TestDevice,
}

impl Stage {
    async fn set() -> Self {
        Self::with_deadline(Duration::from_secs(10)).await
    }

    async fn with_deadline(deadline: Duration) -> Self {
        let app = TestApp::start().await;
        let user = app.user("ann", "UTC").await;
        let device = app.device(&user, "laptop").await;
        let proxy = Proxy::before_database_of(&app);
        let server = app.second_server_through_with(&proxy, |settings| settings.request_deadline = deadline).await;
        let stage = Self { app, proxy, server, user, device };
        // A first connection may take longer than a short deadline allows.
        stage.recovery(async |stage| stage.read().await).await;
        stage.recovery(async |stage| stage.post("warm").await).await;
        stage.recovery(async |stage| stage.health("/health/ready").await).await;
        stage
    }

    async fn read(&self) -> Reply {
        self.server.get(&self.user.viewer, "/v1/rollups").await
    }

    async fn post(&self, model: &str) -> Reply {
        self.server.post_buckets(&self.device.token, &body(model)).await
    }

    /// Posts and does not wait for the reply.
    fn send(&self, model: &str) -> JoinHandle<Reply> {
        let request = self.server.request(Method::POST, "/v1/buckets").bearer(&self.device.token);
        tokio::spawn(request.json(&body(model)).send())
    }

    async fn health(&self, path: &str) -> Reply {
        self.server.request(Method::GET, path).send().await
    }

    async fn stored(&self) -> Vec<String> {
        self.app.ask("select model from usage.bucket order by model").await
    }

    /// Waits until what is asked for is answered, and says how long that took.
    async fn recovery(&self, ask: impl AsyncFn(&Self) -> Reply) -> Duration {
        let started = Instant::now();
        while ask(self).await.status != 200 {
            assert!(started.elapsed() < Duration::from_secs(30), "it does not recover");
            // A caller that is refused at once, and asks again at once, keeps one thread from everything else.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        started.elapsed()
    }
}

/// Opens a transaction on every connection that a pool may have, one after the other: making a connection may take a
/// machine that does other things as well longer than callers wait.
async fn open_all(pool: &Pool, context: &RequestContext) -> Vec<Tx> {
    let (started, mut open) = (Instant::now(), Vec::new());
    while open.len() < usize::try_from(pool.max_connections()).unwrap() {
        match pool.begin(context, Access::Worker, Mode::ReadWrite).await {
            Ok(tx) => open.push(tx),
            Err(problem) => assert!(started.elapsed() < Duration::from_secs(20), "{problem:?}"),
        }
    }
    open
}

fn body(model: &str) -> Value {
    json!({"buckets": [{
        "hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": model, "input_tokens": 7,
        "observed_at": "2026-11-20T10:40:00Z",
    }]})
}

/// The line of a request that failed, which may blame the database or nobody, with its evidence.
#[track_caller]
fn expect_blame(reply: &Reply) -> Value {
    assert!(matches!(reply.status, 503 | 504), "{} {}", reply.status, reply.json);
    let line = line(reply.header("x-request-id"));
    let evidence = !line["upstream_evidence"].is_null();
    let blames_nobody = line["attribution"] == "UNKNOWN" && line["upstream_status"].is_null() && evidence;
    assert!(blames_nobody || line["attribution"] == "UPSTREAM", "{line}");
    line
}
