//! The whole network is silent: requests are refused at once after a while, and served again as soon as there is somebody.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use halfhour::kernel::call::{Evidence, RequestContext};
use halfhour::kernel::database::{Access, BreakerState, Mode};
use halfhour::kernel::problem::Code;
use serde_json::{Value, json};

use super::{PATIENCE, RECOVERY, Stage, body, expect_blame, open_all};
use crate::support::{TestApp, context, line};

#[tokio::test]
async fn while_the_network_is_silent_requests_are_soon_refused_at_once_and_afterwards_all_is_well() {
    for one_way in [false, true] {
        let stage = Stage::set().await;
        let silence = |silent: bool| if one_way { stage.proxy.deafen(silent) } else { stage.proxy.silence(silent) };
        let stranger = stage.app.user("bob", "UTC").await;
        silence(true);
        let started = Instant::now();
        // They share one look-up of their token.
        for reply in join_all((0..3).map(|_| stage.server.get(&stranger.viewer, "/v1/rollups"))).await {
            expect_blame(&reply);
        }
        for reply in join_all((0..6).map(|_| stage.read())).await {
            expect_blame(&reply);
        }
        while stage.server.pools.ingest.load().breaker != BreakerState::Open {
            for reply in join_all(["a", "b", "c"].map(|model| stage.post(model))).await {
                expect_blame(&reply);
            }
        }
        assert!(started.elapsed() < Duration::from_secs(12) + PATIENCE, "{:?}", started.elapsed());

        assert_eq!(stage.server.pools.read.load().breaker, BreakerState::Open);
        for reply in [stage.read().await, stage.post("refused").await] {
            let problem = reply.expect_problem(503, "database_unavailable");
            assert_eq!((&problem["fault"], &problem["retry"]), (&"dependency".into(), &"after".into()));
            assert_eq!(reply.header("retry-after"), "1");
            let line = line(reply.header("x-request-id"));
            assert_eq!((&line["upstream_status"], &line["attribution"]), (&Value::Null, &"UNKNOWN".into()), "{line}");
            assert_eq!(line["upstream_evidence"], "breaker_open", "{line}");
            assert!(line["latency_ms"].as_f64().unwrap() < 500.0, "{line}");
        }
        for reply in join_all((0..3).map(|_| stage.health("/health/ready"))).await {
            reply.expect_problem(503, "database_unavailable");
            expect_blame(&reply);
        }
        stage.health("/health/live").await.expect_ok();

        silence(false);
        let ended = Instant::now();
        stage.recovery(async |stage| stage.read().await).await;
        stage.recovery(async |stage| stage.post("after").await).await;
        stage.recovery(async |stage| stage.health("/health/ready").await).await;
        assert!(ended.elapsed() < RECOVERY + PATIENCE, "{:?}", ended.elapsed());
        assert_eq!(stage.server.pools.ingest.load().breaker, BreakerState::Closed);
    }
}

#[tokio::test]
async fn a_silence_on_one_pool_opens_no_other_breaker_and_readiness_stays_up() {
    let stage = Stage::set().await;
    stage.proxy.only_for("ingest");
    stage.proxy.silence(true);
    while stage.server.pools.ingest.load().breaker != BreakerState::Open {
        expect_blame(&stage.post("lost").await);
    }
    stage.read().await.expect_ok();
    stage.health("/health/ready").await.expect_ok();
    stage.server.refresh_switches().await;
    for pool in [&stage.server.pools.read, &stage.server.pools.control] {
        assert_eq!(pool.load().breaker, BreakerState::Closed, "{:?}", pool.load());
    }
    let metrics = stage.server.get(&stage.user.operator, "/metrics").await;
    for counted in [r#"halfhour_breaker_openings_total{pool="ingest"} "#, "halfhour_database_silences_total{pool="] {
        assert!(String::from_utf8_lossy(&metrics.body).contains(counted), "{counted}");
    }
    stage.proxy.silence(false);
    assert!(stage.recovery(async |stage| stage.post("after").await).await < RECOVERY + PATIENCE);
}

#[tokio::test]
async fn a_full_pool_and_competing_changes_open_no_breaker() {
    let app = TestApp::start_with(|settings| settings.pool_sizes.read = 1).await;
    let open = app.pools.read.begin(&context(), Access::NOBODY, Mode::ReadWrite).await.unwrap();
    let refusals = join_all((0..6).map(|_| async {
        let refused = app.pools.read.begin(&context(), Access::NOBODY, Mode::ReadWrite).await;
        refused.unwrap_err().code()
    }))
    .await;
    assert_eq!(refusals, [Code::Overloaded; 6]);
    open.rollback().await.unwrap();

    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    app.refuse_inserts("usage.bucket", "40001").await;
    let (mut retries, mut replies) = (Vec::new(), 0);
    while replies < 12 {
        let reply = app.post_buckets(&device.token, &body("m")).await;
        reply.expect_problem(503, "database_conflict");
        retries.push(line(reply.header("x-request-id"))["retries"].as_u64().unwrap());
        replies += 1;
    }
    assert_eq!(retries[0], 2);
    assert!(retries[8..].iter().sum::<u64>() <= 2, "one for five transactions, but for the first ten: {retries:?}");
    for pool in [&app.pools.read, &app.pools.ingest] {
        assert_eq!(pool.load().breaker, BreakerState::Closed, "{:?}", pool.load());
    }
}

#[tokio::test]
async fn a_read_whose_time_ends_while_it_waits_for_a_connection_blames_nobody() {
    let stage = Stage::with_deadline(Duration::from_millis(500)).await;
    let (pool, patient) = (&stage.server.pools.read, context());
    let all = open_all(pool, &patient).await;
    let reply = stage.read().await;
    reply.expect_problem(504, "deadline_exceeded");
    let line = expect_blame(&reply);
    assert_eq!((&line["attribution"], &line["upstream_status"]), (&"UNKNOWN".into(), &Value::Null), "{line}");
    for open in all {
        open.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn whoever_has_little_time_left_is_told_504_whether_the_pool_is_full_or_silent() {
    let stage = Stage::set().await;
    let short = || RequestContext::internal(Duration::from_millis(200));
    let pool = &stage.server.pools.read;
    let patient = context();
    let all = open_all(pool, &patient).await;
    let hurried = short();
    let problem = pool.begin(&hurried, Access::NOBODY, Mode::ReadWrite).await.unwrap_err();
    assert_eq!(problem.code(), Code::DeadlineExceeded);
    let answers = hurried.upstream.answers();
    assert_eq!((answers.status, answers.evidence), (None, Some(Evidence::PoolExhausted)));
    for open in all {
        open.rollback().await.unwrap();
    }

    stage.proxy.silence(true);
    for _ in 0..8 {
        let hurried = short();
        let problem = pool.begin(&hurried, Access::NOBODY, Mode::ReadWrite).await.unwrap_err();
        assert_eq!((problem.code(), hurried.upstream.answers().status), (Code::DeadlineExceeded, Some(504)));
    }
    assert_eq!(pool.load().breaker, BreakerState::Closed, "who is in a hurry proves nothing");
    stage.proxy.silence(false);
    assert!(stage.recovery(async |stage| stage.read().await).await < RECOVERY + PATIENCE);
    let spent = RequestContext::internal(Duration::ZERO);
    let problem = pool.begin(&spent, Access::NOBODY, Mode::ReadWrite).await.unwrap_err();
    assert_eq!((problem.code(), json!(spent.upstream.answers().status)), (Code::DeadlineExceeded, Value::Null));
}
