//! A collector of traces that takes nothing, or not in time, or that is not there: spans are lost, counted, and nothing else.

use std::fs;
use std::time::{Duration, Instant};

use crate::collector::{Collector, Manner};
use crate::http::{PATIENCE, recent, wait_until};
use crate::support::{Home, Server};
use crate::traces::{TRACE, caller, home, home_with, post};

/// The value of the counter of spans with this outcome.
async fn spans_counted(server: &Server, home: &Home, outcome: &str) -> u64 {
    let text = server.text(&home.credential("HALFHOUR_OPERATOR_TOKEN"), "/metrics").await;
    let name = format!("halfhour_trace_spans_total{{outcome=\"{outcome}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |number| number.parse().unwrap())
}

/// Resident memory in kB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Opens the writers' connections, which a busy machine may not do in time.
async fn warm_up(server: &Server, home: &Home) {
    let (token, one, other) = (home.device_token(), recent("m", 0), recent("n", 0));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (one, other) = tokio::join!(server.try_post(&token, &one), server.try_post(&token, &other));
        if one.unwrap().status == 200 && other.unwrap().status == 200 {
            return;
        }
        assert!(Instant::now() < deadline, "the database cannot be reached");
    }
}

/// Posts in turns of eight, and expects each post to be answered soon.
async fn flood(server: &Server, home: &Home, turns: u64) {
    let token = home.device_token();
    for turn in 0..turns {
        let posts = (0..8).map(|at| {
            let (body, token, server) = (recent("m", turn * 100 + at), token.clone(), &server);
            async move {
                let began = Instant::now();
                let reply = server.try_post(&token, &body).await.unwrap();
                assert_eq!(reply.status, 200, "{}", reply.json);
                began.elapsed()
            }
        });
        for latency in futures_util::future::join_all(posts).await {
            assert!(latency < Duration::from_secs(2), "{latency:?}");
        }
    }
}

#[tokio::test]
async fn a_collector_that_is_silent_slow_refuses_or_is_gone_holds_up_nobody() {
    use Manner::{Babbles, IsSilent, IsSlow, Refuses, SendsAround, TakesInPart};
    for manner in
        [Some(IsSilent), Some(IsSlow), Some(Refuses), Some(Babbles), Some(SendsAround), Some(TakesInPart), None]
    {
        let (url, collector) = if let Some(manner) = manner {
            let collector = Collector::start(manner).await;
            (collector.url(), Some(collector))
        } else {
            // Nobody listens there any more.
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            (format!("http://{}", listener.local_addr().unwrap()), None)
        };
        let home = home_with(&url).with("OTEL_EXPORTER_OTLP_TIMEOUT", "5000");
        let server = home.serve().await;
        warm_up(&server, &home).await;
        let before = resident(server.pid());
        // A silent one gets more spans than the queue has room for.
        flood(&server, &home, if manner == Some(IsSilent) { 400 } else { 60 }).await;
        let grown = resident(server.pid()).saturating_sub(before);
        assert!(grown < 64 * 1024, "{manner:?}: {grown} kB");
        if let Some(collector) = &collector {
            wait_until("a message", || collector.messages() > 0).await;
        }
        let lost = match manner {
            Some(IsSilent) => "dropped",
            _ => "refused",
        };
        let deadline = Instant::now() + PATIENCE;
        while !matches!(manner, Some(IsSlow | Babbles)) && spans_counted(&server, &home, lost).await == 0 {
            assert!(Instant::now() < deadline, "{manner:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let said = server.running.stdout().matches("takes no spans").count();
        let is_bad = matches!(manner, None | Some(Refuses | SendsAround));
        assert!(if is_bad { said == 1 } else { said <= 1 }, "{manner:?}: {said}");
        // A flush is part of stopping, and its limit of the stop's.
        let began = Instant::now();
        server.stop().await;
        assert!(began.elapsed() < Duration::from_secs(8), "{manner:?}: {:?}", began.elapsed());
        home.assert_nothing_left();
    }
}

#[tokio::test]
async fn a_collector_that_comes_back_gets_what_comes_then_and_both_are_said_once() {
    let collector = Collector::start(Manner::RefusesAtFirst).await;
    let home = home(&collector);
    let server = home.serve().await;
    warm_up(&server, &home).await;
    let deadline = Instant::now() + PATIENCE;
    while !server.running.stdout().contains("the collector of traces takes spans again") {
        assert!(Instant::now() < deadline, "{}", server.running.stdout());
        server.get(&home.viewer_token(), "/v1/me").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let stdout = server.running.stdout();
    assert_eq!(stdout.matches("takes no spans").count(), 1, "{stdout}");
    let (refused, sent) = (spans_counted(&server, &home, "refused").await, spans_counted(&server, &home, "sent").await);
    assert!(refused > 0 && sent > 0, "{refused} {sent}");
    server.stop().await;
}

#[tokio::test]
async fn without_a_collector_nothing_is_made_and_traces_are_passed_on_as_they_came() {
    let threads = |pid: u32| -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()).collect()
    };
    let is_exporter = |name: &String| name.starts_with("OpenTelemetry");
    let collector = Collector::start(Manner::Takes).await;
    for (name, value, is_on) in [
        ("OTEL_SERVICE_NAME", "halfhour".to_owned(), false),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.url(), false),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url(), true),
    ] {
        let home = Home::new().with(name, &value);
        let server = home.serve().await;
        let parent = caller(TRACE, "01");
        assert_eq!(post(&server, &home.device_token(), &recent("m", 1), &[("traceparent", &parent)]).await, 200);
        assert_eq!(threads(server.pid()).iter().any(is_exporter), is_on, "{name}");
        wait_until("the post's line", || server.running.stdout().contains(TRACE)).await;
        let stdout = server.running.stdout();
        // What is set and not read is said.
        assert_eq!(stdout.contains("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), name.contains("TRACES"), "{stdout}");
        server.stop().await;
        assert_eq!(collector.messages() > 0, is_on, "{name}");
    }
}
