//! Announcements on a connection that fell silent: whoever listens finds out, and listens on another one.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{PATIENCE, Stage};

#[tokio::test]
async fn whoever_listens_on_a_silent_connection_notices_and_hears_again_on_another() {
    let stage = Stage::set().await;
    let stop = CancellationToken::new();
    let (notifier, stopped) = (stage.server.relay_notifier().clone(), stop.clone());
    let listening = tokio::spawn(async move { notifier.listen(stopped).await });
    let woken = async || {
        tokio::time::timeout(Duration::from_secs(20), stage.server.woken()).await.expect("no wake came");
    };
    let listeners = "select pid::text from pg_stat_activity where datname = current_database()
        and application_name = 'halfhour wakes' and query ilike 'listen %'";
    let mut known = vec![stage.app.wait_for(listeners).await];
    // More often than its pool has places.
    for _ in 0..3 {
        let lost = Instant::now();
        stage.proxy.lose_connections_of("wakes");
        let next = stage.app.wait_for(&format!("{listeners} and pid not in ({})", known.join(", "))).await;
        assert!(lost.elapsed() < Duration::from_secs(10) + PATIENCE, "{:?}", lost.elapsed());
        known.push(next);
        // Whoever comes back looks at once, because something may have been missed.
        woken().await;
        stage.app.tell("select pg_notify('halfhour_outbox', 'somebody else')").await;
        woken().await;
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), listening).await.unwrap().unwrap();
}
