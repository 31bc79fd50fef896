//! A request that is answered before its body was read: its caller can finish writing, and then reads the answer.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use halfhour::kernel::http::unread_body::UnreadBodies;
use halfhour::kernel::operations::switches::Switch;

use super::House;
use crate::support::TestApp;

const MEBIBYTE: usize = 1024 * 1024;
/// More than the buffers of two sockets hold.
const LARGE: usize = 16 * MEBIBYTE;

/// A connection as simple clients use one: they write all of a request, and then they read.
struct Client(TcpStream);

/// An answer, read to its end.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Client {
    fn connect(url: &str) -> Self {
        let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }

    fn write_head(&mut self, head: &str) {
        let head = format!("{}\r\nhost: here\r\n\r\n", head.trim_end().replace('\n', "\r\n"));
        self.0.write_all(head.as_bytes()).unwrap();
    }

    /// So many bytes of a body; false where the connection breaks.
    fn write_body(&mut self, length: usize, chunked: bool) -> bool {
        let piece = vec![b' '; 64 * 1024];
        let mut left = length;
        while left > 0 {
            let now = left.min(piece.len());
            let sent = if chunked {
                let chunk = [format!("{now:x}\r\n").as_bytes(), &piece[..now], b"\r\n"].concat();
                self.0.write_all(&chunk)
            } else {
                self.0.write_all(&piece[..now])
            };
            if sent.is_err() {
                return false;
            }
            left -= now;
        }
        !chunked || self.0.write_all(b"0\r\n\r\n").is_ok()
    }

    fn answer(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap_or_else(|error| panic!("no answer: {error}"));
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).map_or("0", |rest| rest.lines().next().unwrap());
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: String::from_utf8(body).unwrap() }
    }

    /// Whether another request is answered on the same connection.
    fn is_usable(&mut self) -> bool {
        self.write_head("GET /health/live HTTP/1.1");
        self.answer().status == 200
    }

    /// Waits until the server closes the connection.
    fn wait_for_end(&mut self) -> Duration {
        let began = Instant::now();
        match self.0.read(&mut [0]) {
            Ok(0) => {}
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
            other => panic!("it goes on: {other:?}"),
        }
        began.elapsed()
    }
}

/// Runs what blocks beside the server.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// The heads of requests that are refused early, with the status.
fn refusals(house: &House) -> Vec<(u16, String)> {
    let (device, viewer, operator) = (&house.device.token, &house.user.viewer, &house.user.operator);
    let post = |token: &str, path: &str, more: &str| {
        format!("POST {path} HTTP/1.1\nauthorization: Bearer {token}\ncontent-type: application/json\n{more}")
    };
    vec![
        (401, post("hhd_forged", "/v1/buckets", "")),
        (403, post(viewer, "/v1/buckets", "")),
        (404, post(viewer, "/nowhere", "")),
        (405, post(viewer, "/health/live", "")),
        (413, post(device, "/v1/buckets", "")),
        (413, post(viewer, "/v1/devices", "")),
        (415, post(device, "/v1/buckets", "content-encoding: br\n")),
        (400, post(device, "/v1/buckets", "content-encoding: gzip\n")),
        (415, format!("POST /v1/buckets HTTP/1.1\nauthorization: Bearer {device}\ncontent-type: text/csv\n")),
        (422, post(operator, "/v1/backfills", "")),
        (422, post(viewer, "/v1/devices?colour=red", "")),
        // Not refused, and its body is not read either.
        (200, "GET /health/live HTTP/1.1\n".to_owned()),
    ]
}

#[tokio::test]
async fn whoever_writes_a_large_body_to_its_end_reads_the_answer_and_goes_on() {
    let house = House::start().await;
    for (status, head) in refusals(&house) {
        for chunked in [false, true] {
            let (head, url) = (head.clone(), house.app.url.clone());
            let framing =
                if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {LARGE}") };
            blocking(move || {
                let mut client = Client::connect(&url);
                client.write_head(&format!("{head}{framing}"));
                assert!(client.write_body(LARGE, chunked), "the connection broke: {head}");
                let answer = client.answer();
                assert_eq!(answer.status, status, "{head}: {}", answer.body);
                assert!(status == 200 || answer.body.contains("\"code\""), "{}", answer.body);
                assert!(client.is_usable(), "{head}");
            })
            .await;
        }
    }
    assert_eq!(house.stored().await, ["0", "0"]);
}

#[tokio::test]
async fn a_limit_or_a_switch_is_an_answer_that_can_be_read_too() {
    let house = House::furnish(TestApp::start_with(|settings| settings.limits.device = 1).await).await;
    let head = format!(
        "POST /v1/buckets HTTP/1.1\nauthorization: Bearer {}\ncontent-type: application/json\ncontent-length: {LARGE}",
        house.device.token
    );
    house.app.switches().set(Switch::Ingest, false);
    for status in [503, 429] {
        let (head, url) = (head.clone(), house.app.url.clone());
        blocking(move || {
            let mut client = Client::connect(&url);
            client.write_head(&head);
            assert!(client.write_body(LARGE, false));
            let answer = client.answer();
            assert_eq!(answer.status, status, "{}", answer.body);
            assert!(answer.head.contains("retry-after"), "{}", answer.head);
            assert!(client.is_usable());
        })
        .await;
    }
}

#[tokio::test]
async fn sixty_four_mebibytes_are_thrown_away_and_one_more_is_not() {
    let house = House::start().await;
    for (length, goes_on) in [(64 * MEBIBYTE, true), (65 * MEBIBYTE, false)] {
        for chunked in [false, true] {
            let url = house.app.url.clone();
            blocking(move || {
                let mut client = Client::connect(&url);
                let framing =
                    if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {length}") };
                client.write_head(&format!("POST /nowhere HTTP/1.1\n{framing}"));
                let mut reader = Client(client.0.try_clone().unwrap());
                let answer = reader.answer();
                assert_eq!(answer.status, 404);
                let written = client.write_body(length, chunked);
                if goes_on {
                    assert!(written && client.is_usable(), "{chunked}");
                } else {
                    assert_eq!(answer.head.contains("connection: close"), !chunked, "{}", answer.head);
                    client.wait_for_end();
                }
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_off_after_its_time() {
    let patience = Duration::from_millis(400);
    let limits = UnreadBodies::new(usize::MAX, patience, 8);
    let house = House::furnish(TestApp::start_with(|settings| settings.bodies.unread = limits).await).await;
    for goes_on_writing in [false, true] {
        let url = house.app.url.clone();
        blocking(move || {
            let mut client = Client::connect(&url);
            client.write_head("POST /v1/buckets HTTP/1.1\ntransfer-encoding: chunked");
            assert!(client.0.write_all(b"5\r\nhello\r\n").is_ok());
            assert_eq!(client.answer().status, 401);
            let began = Instant::now();
            if goes_on_writing {
                while client.0.write_all(b"5\r\nhello\r\n").is_ok() {
                    assert!(began.elapsed() < Duration::from_secs(5), "nobody cuts it off");
                    std::thread::sleep(Duration::from_millis(10));
                }
            } else {
                client.wait_for_end();
            }
            assert!(
                began.elapsed() > patience / 2 && began.elapsed() < Duration::from_secs(5),
                "{:?}",
                began.elapsed()
            );
        })
        .await;
    }
    let url = house.app.url.clone();
    assert!(blocking(move || Client::connect(&url).is_usable()).await);
}

#[tokio::test]
async fn callers_who_do_not_end_hold_no_more_connections_than_there_are_places() {
    let limits = UnreadBodies::new(LARGE, Duration::from_secs(30), 1);
    let house = House::furnish(TestApp::start_with(|settings| settings.bodies.unread = limits).await).await;
    let url = house.app.url.clone();
    blocking(move || {
        let head = format!("POST /nowhere HTTP/1.1\ncontent-length: {LARGE}");
        let mut first = Client::connect(&url);
        first.write_head(&head);
        assert!(!first.answer().head.contains("connection: close"));
        let mut second = Client::connect(&url);
        second.write_head(&head);
        assert!(second.answer().head.contains("connection: close"));
        assert!(second.wait_for_end() < Duration::from_secs(10));
        // Once the first one has ended its body there is a place again.
        assert!(first.write_body(LARGE, false) && first.is_usable());
        let mut third = Client::connect(&url);
        third.write_head(&head);
        assert!(third.write_body(LARGE, false));
        assert_eq!(third.answer().status, 404);
        assert!(third.is_usable());
    })
    .await;
}

#[tokio::test]
async fn nobody_is_asked_for_a_body_that_will_not_be_read() {
    let house = House::start().await;
    let length = 5 * MEBIBYTE;
    for (status, head) in refusals(&house) {
        if [200, 400].contains(&status) {
            continue;
        }
        let url = house.app.url.clone();
        blocking(move || {
            let head = format!("{head}content-length: {length}\nexpect: 100-continue");
            let mut patient = Client::connect(&url);
            patient.write_head(&head);
            let answer = patient.answer();
            assert_eq!(answer.status, status, "{head}: {}", answer.body);
            assert!(answer.head.contains("connection: close"), "{}", answer.head);
            patient.0.shutdown(Shutdown::Write).unwrap();
            patient.wait_for_end();

            // Not everybody waits for the answer.
            let mut hasty = Client::connect(&url);
            hasty.write_head(&head);
            assert!(hasty.write_body(length, false), "the connection broke: {head}");
            assert_eq!(hasty.answer().status, status);
            hasty.wait_for_end();
        })
        .await;
    }
}

#[tokio::test]
async fn whoever_is_to_be_heard_is_asked_for_the_body() {
    let house = House::start().await;
    let (url, token) = (house.app.url.clone(), house.device.token.clone());
    blocking(move || {
        let mut client = Client::connect(&url);
        client.write_head(&format!(
            "POST /v1/buckets HTTP/1.1\nauthorization: Bearer {token}\ncontent-type: application/json\n\
             content-length: 14\nexpect: 100-continue"
        ));
        assert_eq!(client.answer().status, 100);
        client.0.write_all(b"{\"buckets\":[]}").unwrap();
        let answer = client.answer();
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(!answer.head.contains("connection: close"), "{}", answer.head);
        assert!(client.is_usable());
    })
    .await;
}

#[tokio::test]
async fn an_old_proxy_reads_the_answer_and_the_connection_ends() {
    let house = House::start().await;
    let url = house.app.url.clone();
    blocking(move || {
        let mut client = Client::connect(&url);
        client.write_head(&format!("POST /v1/buckets HTTP/1.0\ncontent-length: {LARGE}"));
        assert!(client.write_body(LARGE, false));
        assert_eq!(client.answer().status, 401);
        client.wait_for_end();
    })
    .await;
}
