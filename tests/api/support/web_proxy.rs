//! A web proxy that serves a server under a path, and strips the path from what it passes on.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use axum::http::{Response, StatusCode};
use reqwest::redirect::Policy;
use tokio::net::TcpListener;

/// Under which path.
pub const PREFIX: &str = "/halfhour";

/// A proxy that listens, and does not know yet what for.
pub struct WebProxy {
    listener: TcpListener,
    /// Where callers reach the server through it.
    pub url: String,
}

impl WebProxy {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{PREFIX}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// Passes on to that server, for as long as the test runs.
    pub fn pass_to(self, server: &str) {
        let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        let router = Router::new().fallback(pass_on).with_state((client, server.to_owned()));
        tokio::spawn(async move { axum::serve(self.listener, router).await });
    }
}

async fn pass_on(State((client, server)): State<(reqwest::Client, String)>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let asked = parts.uri.path_and_query().map_or("/", |asked| asked.as_str());
    let mut response = Response::new(Body::empty());
    let Some(path) = asked.strip_prefix(PREFIX).filter(|path| path.starts_with('/')) else {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let mut headers = parts.headers;
    headers.remove(HOST);
    let body = to_bytes(body, 1 << 24).await.unwrap();
    let passed = client.request(parts.method, format!("{server}{path}")).headers(headers).body(body);
    let reply = passed.send().await.unwrap();
    *response.status_mut() = reply.status();
    *response.headers_mut() = reply.headers().clone();
    response.headers_mut().remove(CONNECTION);
    response.headers_mut().remove(TRANSFER_ENCODING);
    *response.body_mut() = reply.bytes().await.unwrap().into();
    response
}
