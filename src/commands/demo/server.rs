//! A running server, as a tracker and a dashboard reach it: over HTTP. It is waited for as long as it asks for, and
//! every wait has a limit.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use uuid::Uuid;

/// From connecting to the end of the answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// A server that lives says so within this time.
const PROBE_LIMIT: Duration = Duration::from_secs(3);
/// For how long one request is repeated to a server that does not answer, or cannot.
const PATIENCE: Duration = Duration::from_secs(30);
/// For how long it is repeated to a server that says when to come back, because of its limits.
const LIMIT_PATIENCE: Duration = Duration::from_hours(2);
/// No more of an answer is read.
const LONGEST_ANSWER: usize = 4 << 20;

/// A server at an address.
#[derive(Clone, Debug)]
pub(super) struct RunningServer {
    client: Client,
    url: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    retry_after: Option<Duration>,
    /// Null where it is no JSON.
    pub(super) json: Value,
}

/// Whom a token is of, by what a server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// This user.
    User(Uuid),
    /// Nobody that the server knows.
    Nobody,
}

impl RunningServer {
    /// Errors: the machine's certificates cannot be read.
    pub(super) fn new(url: &str) -> anyhow::Result<Self> {
        // The client asks for the process's one; whoever comes first sets it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder();
        if url.starts_with("http://") {
            // A machine without certificates may have a server.
            client = client.tls_certs_only([]);
        }
        // Only the configuration reads the environment.
        let client = client.timeout(REQUEST_LIMIT).redirect(Policy::none()).no_proxy().build();
        let client = client.context("a client for HTTP cannot be made")?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Whether something answers there as halfhour does.
    pub(super) async fn lives(&self) -> bool {
        let request = self.client.get(format!("{}/health/live", self.url)).timeout(PROBE_LIMIT);
        once(request).await.is_ok_and(|reply| reply.status == 200)
    }

    /// Whom a viewer's token is of.
    pub(super) async fn whose(&self, token: &str) -> anyhow::Result<Known> {
        let reply = self.get(token, "/v1/me", |_| {}).await?;
        let user_id = reply.json["user_id"].as_str().and_then(|id| id.parse().ok());
        match (reply.status, user_id) {
            (200, Some(user_id)) => Ok(Known::User(user_id)),
            (401, _) => Ok(Known::Nobody),
            _ => Err(refused(&self.url, &reply)),
        }
    }

    /// GET as often as it takes. `waits` is told why it takes time.
    pub(super) async fn get(&self, token: &str, path: &str, waits: impl Fn(&str)) -> anyhow::Result<Reply> {
        let make = || self.client.get(format!("{}{path}", self.url)).bearer_auth(token);
        self.ask(make, waits).await
    }

    /// POST of buckets as often as it takes.
    pub(super) async fn post(&self, token: &str, buckets: &[Value], waits: impl Fn(&str)) -> anyhow::Result<Reply> {
        let body = serde_json::json!({ "buckets": buckets }).to_string();
        let post = || self.client.post(format!("{}/v1/buckets", self.url)).bearer_auth(token);
        self.ask(|| post().header(CONTENT_TYPE, "application/json").body(body.clone()), waits).await
    }

    /// Errors: the server is gone for good, as far as can be told.
    async fn ask(&self, make: impl Fn() -> RequestBuilder, waits: impl Fn(&str)) -> anyhow::Result<Reply> {
        let (mut waited, mut waited_for_limits) = (Duration::ZERO, Duration::ZERO);
        loop {
            let (why, pause, is_limit) = match once(make()).await {
                Ok(reply) if reply.asks_to_come_back() => {
                    let pause = reply.retry_after.unwrap_or(Duration::from_secs(1)).max(Duration::from_millis(100));
                    let why = format!("{} answered {}: {}", self.url, reply.status, reply.words());
                    (why, pause, reply.status == 429)
                }
                Ok(reply) => return Ok(reply),
                Err(error) => (format!("{} does not answer: {error}", self.url), Duration::from_secs(1), false),
            };
            let (sum, patience) =
                if is_limit { (&mut waited_for_limits, LIMIT_PATIENCE) } else { (&mut waited, PATIENCE) };
            *sum += pause;
            if *sum > patience {
                let minutes = patience.as_secs_f32() / 60.0;
                anyhow::bail!("{why} (waited for {minutes} min); what was sent is kept: say the same again later");
            }
            waits(&why);
            tokio::time::sleep(pause).await;
        }
    }
}

impl Reply {
    /// Whether the same request may succeed later.
    fn asks_to_come_back(&self) -> bool {
        matches!(self.status, 408 | 429 | 502 | 503 | 504)
    }

    /// What it says of what is wrong: the first violation besides the detail.
    pub(super) fn words(&self) -> String {
        let detail = self.json["detail"].as_str().unwrap_or("no problem of halfhour");
        let error = &self.json["errors"][0];
        match (error["pointer"].as_str(), error["detail"].as_str()) {
            (Some(pointer), Some(more)) => format!("{detail} {pointer}: {more}"),
            _ => detail.to_owned(),
        }
    }
}

/// What to say of an answer that nobody hoped for.
pub(super) fn refused(url: &str, reply: &Reply) -> anyhow::Error {
    anyhow::anyhow!("{url} answered {}: {}", reply.status, reply.words())
}

/// Errors: no answer, and why.
async fn once(request: RequestBuilder) -> Result<Reply, String> {
    let chain = |error: reqwest::Error| {
        let error = error.without_url();
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    };
    let mut response = request.send().await.map_err(chain)?;
    let status = response.status().as_u16();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(chain)? {
        if body.len() + part.len() > LONGEST_ANSWER {
            return Err("its answer is too long for halfhour's".to_owned());
        }
        body.extend_from_slice(&part);
    }
    let json = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Reply { status, retry_after: seconds.map(Duration::from_secs), json })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that gives these answers, a connection for each, and then listens no more.
    async fn answering(answers: &[&str]) -> (RunningServer, impl Future<Output = ()> + use<>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = RunningServer::new(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let serving = async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _read = stream.read(&mut [0; 4096]).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        (server, serving)
    }

    fn answer(status: &str, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn limits_and_failures_that_pass_are_waited_out_and_said() {
        let busy = answer("429 Too Many Requests", "retry-after: 1\r\n", r#"{"detail":"Wait."}"#);
        let down = answer("503 Service Unavailable", "retry-after: 0\r\n", r#"{"detail":"No database."}"#);
        let done = answer("200 OK", "", r#"{"inserted":1}"#);
        let (server, serving) = answering(&[&busy, &down, "", &done]).await;
        let said = RefCell::new(Vec::new());
        let asking = server.get("t", "/x", |why| said.borrow_mut().push(why.to_owned()));
        let (reply, ()) = tokio::join!(asking, serving);
        assert_eq!(reply.unwrap().json["inserted"], 1);
        let said = said.into_inner();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(
            said[0].ends_with("answered 429: Wait.") && said[1].ends_with("answered 503: No database."),
            "{said:?}"
        );
        assert!(said[2].contains("does not answer"), "{said:?}");
    }

    #[tokio::test]
    async fn a_server_that_says_to_come_back_too_late_is_not_waited_for() {
        for (status, seconds) in [("503 Service Unavailable", 31), ("429 Too Many Requests", 7_201)] {
            let late = answer(status, &format!("retry-after: {seconds}\r\n"), r#"{"detail":"Later."}"#);
            let (server, serving) = answering(&[&late]).await;
            let (reply, ()) = tokio::join!(server.get("t", "/x", |_| {}), serving);
            let error = reply.unwrap_err().to_string();
            assert!(error.contains("Later.") && error.contains("say the same again"), "{error}");
        }
    }

    #[tokio::test]
    async fn what_is_refused_is_told_with_the_first_violation() {
        let body =
            r#"{"detail":"One field.","errors":[{"pointer":"/buckets/0/source","code":"x","detail":"No such tool."}]}"#;
        let (server, serving) = answering(&[&answer("422 Unprocessable Content", "", body)]).await;
        let (reply, ()) = tokio::join!(server.get("t", "/x", |_| {}), serving);
        let words = refused("http://h", &reply.unwrap()).to_string();
        assert_eq!(words, "http://h answered 422: One field. /buckets/0/source: No such tool.");
        // Something else listens there.
        let (server, serving) = answering(&[&answer("404 Not Found", "", "<html>")]).await;
        let (known, ()) = tokio::join!(server.whose("t"), serving);
        assert!(known.unwrap_err().to_string().ends_with("answered 404: no problem of halfhour"));
        let nobody = answer("401 Unauthorized", "", "{}");
        let (server, serving) = answering(&[&nobody]).await;
        let (known, ()) = tokio::join!(server.whose("t"), serving);
        assert_eq!(known.unwrap(), Known::Nobody);
    }
}
