//! The sums: what `/v1/rollups` says and what SQL says, whoever asks and however fresh they are.

use std::collections::BTreeMap;

use super::{added, count, counts, read, shown, somebody};
use crate::support::TestApp;
use crate::support::rollups::{Usage, half_hours};

/// Usage of many kinds around a change of clocks in Berlin, and of a year before.
fn many() -> Vec<Usage> {
    let near = half_hours("2026-10-24T18:00:00Z", "2026-10-26T06:00:00Z");
    let far = ["2025-11-30T23:30:00Z", "2026-02-28T22:30:00Z", "2026-03-29T00:30:00Z", "2026-11-20T11:30:00Z"];
    let far = far.into_iter().map(crate::support::instant);
    near.chain(far).zip(1..).map(|(hour, number)| Usage::numbered(hour, number)).collect()
}

#[tokio::test]
async fn sums_are_those_of_the_rollups_and_of_sql() {
    let app = TestApp::start().await;
    let usages = many();
    let (user, _) = somebody(&app, "Europe/Berlin", &usages).await;
    let everything = added(usages.iter().map(shown));
    let range = "from=2025-11-01&to=2026-11-20";
    let summary = read(&app, &user, "usage-summary", range).await.json;
    assert_eq!(counts(&summary["totals"]), everything);
    assert_eq!((&summary["days"], &summary["model"]), (&385.into(), &serde_json::Value::Null));
    let sql = "select concat_ws(' ', sum(total_tokens), sum(total_tokens), sum(input_tokens + cache_write_5m_tokens
        + cache_write_1h_tokens), sum(cache_read_tokens), sum(output_tokens), sum(reasoning_tokens)) from usage.bucket";
    assert_eq!(app.ask(sql).await, [everything.map(|sum| sum.to_string()).join(" ")]);

    let daily = read(&app, &user, "usage-daily", range).await.json;
    let data = daily["data"].as_array().unwrap();
    assert_eq!((data.len(), counts(&daily["summary"]["totals"])), (385, everything));
    assert_eq!(added(data.iter().map(counts)), everything);
    let rollups = app.get(&user.viewer, &format!("/v1/rollups?{range}&fill=zero")).await.json;
    for (day, told) in data.iter().zip(rollups["data"].as_array().unwrap()) {
        let told = (&told["label"], told["results"][0]["total_tokens"].as_u64().unwrap());
        assert_eq!((&day["day"], count(&day["total_tokens"])), told);
    }

    let monthly = read(&app, &user, "usage-monthly", "months=13&to=2026-11-20").await.json;
    let months = monthly["data"].as_array().unwrap();
    assert_eq!((&monthly["from"], months.len()), (&"2025-11-01".into(), 13));
    assert_eq!(added(months.iter().map(counts)), everything);
    let rollups = app.get(&user.viewer, &format!("/v1/rollups?{range}&width=month&fill=zero")).await.json;
    for (month, told) in months.iter().zip(rollups["data"].as_array().unwrap()) {
        let told = (&told["label"], told["results"][0]["total_tokens"].as_u64().unwrap());
        assert_eq!((&month["month"], count(&month["total_tokens"])), told);
    }
}

#[tokio::test]
async fn a_breakdown_has_every_tool_and_model_once_with_the_most_used_model_first() {
    let app = TestApp::start().await;
    let usages = many();
    let (user, _) = somebody(&app, "Europe/Berlin", &usages).await;
    let range = "from=2025-11-01&to=2026-11-20";
    let mut expected: BTreeMap<(&str, &str), [u64; 6]> = BTreeMap::new();
    for usage in &usages {
        let group = expected.entry((usage.source, usage.model)).or_default();
        *group = added([*group, shown(usage)].into_iter());
    }
    let breakdown = read(&app, &user, "usage-model-breakdown", range).await.json;
    let mut found = 0;
    for source in breakdown["sources"].as_array().unwrap() {
        let models = source["models"].as_array().unwrap();
        assert!(models.is_sorted_by_key(|model| std::cmp::Reverse(count(&model["totals"]["total_tokens"]))));
        assert_eq!(added(models.iter().map(|model| counts(&model["totals"]))), counts(&source["totals"]));
        for model in models {
            let group = (source["source"].as_str().unwrap(), model["model"].as_str().unwrap());
            assert_eq!((counts(&model["totals"]), &model["model_id"]), (expected[&group], &model["model"]));
            found += 1;
        }
    }
    assert_eq!((found, &breakdown["days"]), (expected.len(), &385.into()));

    // Filters hold for every read.
    let of_codex = added(usages.iter().filter(|usage| usage.source == "codex").map(shown));
    let of_opus = added(usages.iter().filter(|usage| usage.model == "Opus-B").map(shown));
    for (filter, sums) in [("source=Codex", of_codex), ("model=Opus-B", of_opus), ("model=opus-b", [0; 6])] {
        let summary = read(&app, &user, "usage-summary", &format!("{range}&{filter}")).await.json;
        assert_eq!(counts(&summary["totals"]), sums, "{filter}");
    }
}

#[tokio::test]
async fn the_heatmap_has_the_days_of_the_rollup_and_levels_by_the_stated_rule() {
    let app = TestApp::start().await;
    let days = half_hours("2026-09-01T10:00:00Z", "2026-11-19T00:00:00Z").step_by(48);
    let usages: Vec<_> = days.zip(0_u64..).filter(|(_, number)| number % 5 != 0).collect();
    let usages: Vec<_> =
        usages.into_iter().map(|(hour, number)| Usage::input(&hour.to_rfc3339(), (number * 37) % 101 + 1)).collect();
    let (user, _) = somebody(&app, "Europe/Berlin", &usages).await;
    for (start, first) in [("sun", "2025-11-23"), ("mon", "2025-11-24")] {
        let heatmap = read(&app, &user, "usage-heatmap", &format!("to=2026-11-18&week_starts_on={start}")).await.json;
        assert_eq!((&heatmap["from"], &heatmap["to"]), (&first.into(), &"2026-11-18".into()));
        let weeks = heatmap["weeks"].as_array().unwrap();
        assert!(weeks.len() == 52 && weeks.iter().all(|week| week.as_array().unwrap().len() == 7));
        let cells: Vec<_> = weeks.iter().flat_map(|week| week.as_array().unwrap()).collect();
        let (cells, behind): (Vec<_>, Vec<_>) = cells.into_iter().partition(|cell| !cell.is_null());
        assert_eq!(behind.len(), if start == "sun" { 3 } else { 4 });
        let told = app.get(&user.viewer, &format!("/v1/rollups/heatmap?from={first}&to=2026-11-18")).await.json;
        for (cell, told) in cells.iter().zip(told["data"].as_array().unwrap()) {
            assert_eq!((&cell["day"], count(&cell["value"])), (&told["day"], told["total_tokens"].as_u64().unwrap()));
        }
        let mut filled: Vec<u64> =
            cells.iter().map(|cell| count(&cell["value"])).filter(|tokens| *tokens > 0).collect();
        filled.sort_unstable();
        let at = |part: usize, of: usize| filled[(filled.len() - 1) * part / of];
        let thresholds = [at(1, 2), at(3, 4), at(9, 10)];
        assert_eq!(["t1", "t2", "t3"].map(|name| count(&heatmap["thresholds"][name])), thresholds);
        for cell in &cells {
            let tokens = count(&cell["value"]);
            let above = thresholds.iter().filter(|threshold| tokens > **threshold).count();
            assert_eq!(cell["level"], if tokens == 0 { 0 } else { above + 1 }, "{cell}");
        }
        assert_eq!(heatmap["active_days"], usages.len());
        let streak = cells.iter().rev().take_while(|cell| count(&cell["value"]) > 0).count();
        assert_eq!(heatmap["streak_days"], streak);
    }
}

#[tokio::test]
async fn days_are_as_fresh_as_the_headers_say_and_half_hours_are_from_buckets() {
    let app = TestApp::start().await;
    let (user, device) = somebody(&app, "UTC", &[Usage::input("2026-11-20T10:00:00Z", 5)]).await;
    let today = "from=2026-11-20&to=2026-11-20";
    let folded = read(&app, &user, "usage-summary", today).await;
    assert_eq!(folded.header("halfhour-pending"), "false");
    app.post_usage(&device, &[Usage::input("2026-11-20T10:30:00Z", 7)]).await;
    let behind = read(&app, &user, "usage-summary", today).await;
    assert_eq!((count(&behind.json["totals"]["total_tokens"]), behind.header("halfhour-pending")), (5, "true"));
    let oldest = app.ask("select to_json(min(created_at)) #>> '{}' from usage.outbox").await;
    assert_eq!(crate::support::instant(behind.header("halfhour-as-of")), crate::support::instant(&oldest[0]));
    let hourly = read(&app, &user, "usage-hourly", "").await;
    let tokens = |slot: usize| count(&hourly.json["data"][slot]["total_tokens"]);
    assert_eq!((tokens(20), tokens(21), hourly.header("halfhour-pending")), (5, 7, "true"));
    app.drain().await;
    let folded = read(&app, &user, "usage-summary", today).await;
    assert_eq!((count(&folded.json["totals"]["total_tokens"]), folded.header("halfhour-pending")), (12, "false"));
    assert!(folded.header("halfhour-version") > behind.header("halfhour-version"));
}

#[tokio::test]
async fn nobody_is_shown_the_usage_of_others() {
    let app = TestApp::start().await;
    somebody(&app, "UTC", &[Usage::input("2026-11-20T10:00:00Z", 5)]).await;
    let bob = app.user("bob", "UTC").await;
    for slug in ["usage-summary", "usage-daily", "usage-hourly", "usage-monthly", "usage-heatmap"] {
        let reply = read(&app, &bob, slug, "").await;
        assert!(!String::from_utf8_lossy(&reply.body).contains("\"5\""), "{slug}: {}", reply.json);
    }
    assert_eq!(read(&app, &bob, "usage-model-breakdown", "").await.json["sources"], serde_json::json!([]));
}
