//! How many connections there may be, and who is let in when there are more.

use std::time::Duration;

use halfhour::config::Limits;

use super::Raw;
use crate::support::TestApp;

const GET: &str = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
const DOCUMENT: &str = "GET /problems/overloaded HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn beyond_the_room_probes_are_answered_and_others_refused_readably() {
    let app = TestApp::start_with(|settings| (settings.door.connections, settings.door.reserve) = (20, 4)).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::connect(&app).await;
        raw.send("GET /health/live HTTP/1.1\r\nhost: ").await;
        slow.push(raw);
    }
    for _ in 0..30 {
        let mut probe = Raw::connect(&app).await;
        probe.send(GET).await;
        assert_eq!(probe.answer().await.unwrap().status, 200);
        let mut refused = Raw::connect(&app).await;
        refused.send(DOCUMENT).await;
        let answer = refused.answer().await.unwrap();
        answer.expect_problem(503, "overloaded");
        assert!(answer.head.contains("retry-after: 1") && answer.head.contains("connection: close"), "{}", answer.head);
        assert!(refused.is_ended().await);
    }
    // One place becomes free, and somebody gets it.
    let mut first = slow.remove(0);
    first.send("x\r\nconnection: close\r\n\r\n").await;
    assert_eq!(first.answer().await.unwrap().status, 200);
    assert!(first.is_ended().await);
    let mut served = Raw::connect(&app).await;
    served.send(DOCUMENT).await;
    assert_eq!(served.answer().await.unwrap().status, 200);
    for raw in &mut slow {
        raw.send("x\r\n\r\n").await;
        assert_eq!(raw.answer().await.unwrap().status, 200, "who was let in is served");
    }
}

#[tokio::test]
async fn three_hundred_idle_connections_keep_nobody_out_of_fifty_places() {
    let app = TestApp::start_with(|settings| (settings.door.connections, settings.door.reserve) = (50, 4)).await;
    let mut tracker = Raw::connect(&app).await;
    let mut idle = Vec::new();
    for number in 0..300 {
        let mut raw = Raw::connect(&app).await;
        if number % 2 == 0 {
            raw.send(GET).await;
            assert_eq!(raw.answer().await.unwrap().status, 200);
        }
        idle.push(raw);
        if number % 25 == 0 {
            // In use, and so never the one that has been idle for longest.
            tracker.send(DOCUMENT).await;
            assert_eq!(tracker.answer().await.unwrap().status, 200, "{number}");
            let mut newcomer = Raw::connect(&app).await;
            newcomer.send(DOCUMENT).await;
            assert_eq!(newcomer.answer().await.unwrap().status, 200, "{number}");
        }
    }
    let mut ended = 0;
    for raw in &mut idle {
        ended += usize::from(tokio::time::timeout(Duration::from_millis(2), raw.is_ended()).await.is_ok());
    }
    assert!((240..300).contains(&ended), "{ended} of those that were idle were ended");
}

#[tokio::test]
async fn whatever_strangers_are_refused_for_counts_and_callers_with_a_token_go_on() {
    let limits = Limits { anonymous: 5, ..Limits::OFF };
    let app = TestApp::start_with(|settings| settings.limits = limits).await;
    let user = app.user("ann", "UTC").await;
    let mut raw = Raw::connect(&app).await;
    for (head, status) in [
        ("GET /nowhere HTTP/1.1\r\n", 404),
        ("GET /v1/rollups HTTP/1.1\r\n", 401),
        ("PUT /health/live HTTP/1.1\r\n", 405),
        ("GET /nowhere/else HTTP/1.1\r\n", 404),
        ("DELETE /nowhere HTTP/1.1\r\n", 404),
        ("GET /nowhere HTTP/1.1\r\n", 429),
        ("GET /v1/rollups HTTP/1.1\r\n", 429),
        ("GET /problems/invalid HTTP/1.1\r\n", 429),
        ("GET /health/live HTTP/1.1\r\n", 200),
    ] {
        raw.send(&format!("{head}host: x\r\n\r\n")).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!(answer.status, status, "{head}");
        assert_eq!(answer.head.contains("ratelimit: \"anonymous\""), status != 200, "{head}: {}", answer.head);
    }
    let mut broken = Raw::connect(&app).await;
    broken.send("nonsense\r\n\r\n").await;
    broken.answer().await.unwrap().expect_problem(429, "rate_limited");
    assert_eq!(app.get(&user.viewer, "/v1/rollups").await.status, 200);
}
