//! Summaries in a price book: they say what rollups and the receipt say of the same days, however their sums were added up.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::laws::{LINES, post_all, year};
use super::{file, me, post, put_in_force, read};
use crate::support::{TestApp, TestUser};

/// What the receipt says has no price and why, the most tokens first.
async fn unpriced_of_receipt(app: &TestApp, me: &TestUser, query: &str) -> Vec<Value> {
    let receipt = read(app, me, &format!("/v1/rollups/cost?{query}")).await;
    let mut unpriced: Vec<([Value; 3], u64)> = Vec::new();
    for line in receipt["lines"].as_array().unwrap().iter().filter(|line| line["reason"].is_string()) {
        let (key, tokens) =
            (["source", "model", "reason"].map(|name| line[name].clone()), line["tokens"].as_u64().unwrap());
        match unpriced.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known += tokens,
            None => unpriced.push((key, tokens)),
        }
    }
    unpriced.sort_by_key(|(_, tokens)| Reverse(*tokens));
    let row = |([source, model, reason], tokens)| json!({"source": source, "model": model, "tokens": tokens, "reason": reason});
    unpriced.into_iter().map(row).collect()
}

#[tokio::test]
async fn a_summary_says_what_rollups_and_the_receipt_say_of_both_its_ranges() {
    let app = TestApp::start().await;
    let (me, device) = me(&app, "Europe/Berlin").await;
    put_in_force(&app, &me, &file(&LINES)).await;
    post_all(&app, &device, &year()).await;
    for (hour, model, unclassified) in
        [("2026-11-01T10:00:00Z", "gpt-5", 77), ("2026-10-20T10:00:00Z", "nobody-else", 5)]
    {
        post(&app, &device, hour, model, json!({"input_tokens": 1000, "unclassified_tokens": unclassified})).await;
    }
    app.drain().await;
    let mut unpriced = 0;
    for ([from, to], [before_from, before_to]) in [
        (["2026-10-22", "2026-11-20"], ["2026-09-22", "2026-10-21"]),
        // Prices change within both.
        (["2026-05-10", "2026-09-20"], ["2025-12-27", "2026-05-09"]),
        (["2025-11-29", "2026-11-20"], ["2024-12-07", "2025-11-28"]),
        (["2026-11-01", "2026-11-01"], ["2026-10-31", "2026-10-31"]),
        // Nothing was used.
        (["2026-11-21", "2026-11-22"], ["2026-11-19", "2026-11-20"]),
    ] {
        for filter in ["", "&model=gpt-5&model=grok-9", "&source=claude-code", &format!("&device={}", device.device_id)]
        {
            let days = format!("from={from}&to={to}{filter}");
            let days_before = format!("from={before_from}&to={before_to}{filter}");
            let totals = async |query: &str| read(&app, &me, &format!("/v1/rollups?{query}")).await["totals"].clone();
            let summary = read(&app, &me, &format!("/v1/rollups/summary?{days}")).await;
            assert_eq!((&summary["previous_from"], &summary["previous_to"]), (&before_from.into(), &before_to.into()));
            assert_eq!(summary["totals"], totals(&days).await, "{days}");
            assert_eq!(summary["previous_totals"], totals(&days_before).await, "{days}");
            for (list, name) in [("by_source", "source"), ("by_model", "model")] {
                for row in summary[list].as_array().unwrap().iter().filter(|_| !filter.contains(name)) {
                    let one = format!("&{name}={}", row[name].as_str().unwrap());
                    assert_eq!(row["totals"], totals(&format!("{days}{one}")).await, "{days}{one}");
                    let before = totals(&format!("{days_before}{one}")).await;
                    assert_eq!(row["previous_totals"], before, "before {days}{one}");
                }
            }
            assert_eq!(summary["unpriced"], json!(unpriced_of_receipt(&app, &me, &days).await), "{days}");
            unpriced += summary["unpriced"].as_array().unwrap().len();
        }
    }
    assert!(unpriced > 20, "{unpriced}");
}

/// A summary without the instant at which it was read.
async fn summary(app: &TestApp, me: &TestUser) -> Value {
    let mut summary = read(app, me, "/v1/rollups/summary").await;
    summary["as_of"] = Value::Null;
    summary
}

/// How many parts there are of one tool, model and rate in one of the two ranges.
async fn parts(app: &TestApp) -> String {
    let parts = "select distinct day >= '2026-10-22', source, model, rate_id from rollup.daily";
    app.ask(&format!("select count(*)::text from ({parts}) p")).await.remove(0)
}

#[tokio::test]
async fn ten_thousand_parts_and_one_more_are_added_up_to_the_same_summary() {
    let app = TestApp::start().await;
    let (me, _) = me(&app, "UTC").await;
    put_in_force(&app, &me, &file(&LINES)).await;
    let rows = |values: &str, from: &str| {
        format!(
            "insert into rollup.daily (user_id, day, device_id, source, model, rate_id, input_tokens, cache_read_tokens,
                 cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
                 request_count, bucket_count)
             select '{id}', {values} from {from}",
            id = me.user_id
        )
    };
    let id = me.user_id;
    // Five tools have 998 models without a rate in both ranges, and one of the tools has some at a rate, too.
    let unrated = format!("day::date, '{id}', source, 'm' || n, 0, n, n % 7, 0, 0, place + n % 5, 0, n % 3, 1, 1");
    let from = "generate_series(1, 998) n, (values ('2026-11-01'), ('2026-10-01')) d (day),
        unnest(array['amp', 'claude-code', 'codex', 'cursor', 'gemini-cli']) with ordinality s (source, place)";
    app.tell(&rows(&unrated, from)).await;
    let rated = format!(
        "'2026-11-02'::date, '{id}', 'amp', 'm' || n, (select min(rate_id) from price.rate), n, n, n, n, n, n, n, n, 1"
    );
    app.tell(&rows(&rated, "generate_series(1, 17) n")).await;
    // Of two models only requests are known.
    let pair = |source: &str, model: &str, count: u32| {
        rows(
            &format!("'2026-11-02'::date, '{id}', '{source}', '{model}', 0, 0, 0, 0, 0, 0, 0, 0, {count}, {count}"),
            "(select) one",
        )
    };
    app.tell(&[pair("amp", "q1", 2), pair("codex", "q2", 2)].join(";")).await;
    assert_eq!(parts(&app).await, "9999");
    let within = summary(&app, &me).await;
    assert_eq!(within["by_model"].as_array().unwrap().len(), 1000);
    assert_eq!(within["unpriced"].as_array().unwrap().len(), 100);
    assert_eq!(within["totals"]["cost"]["priced_tokens"].as_u64().map(|tokens| tokens > 0), Some(true));

    // The same sums of every tool and model, in two parts more.
    app.tell(&format!(
        "delete from rollup.daily where model in ('q1', 'q2'); {}",
        [("amp", "q1"), ("amp", "q2"), ("codex", "q1"), ("codex", "q2")]
            .map(|(source, model)| pair(source, model, 1))
            .join(";")
    ))
    .await;
    assert_eq!(parts(&app).await, "10001");
    assert_eq!(summary(&app, &me).await, within);

    app.tell(&pair("amp", "q3", 1)).await;
    let refused = app.get(&me.viewer, "/v1/rollups/summary").await;
    let error = &refused.expect_problem(422, "invalid")["errors"][0];
    assert_eq!(error["code"], "too_many_rows");
    assert!(error["detail"].as_str().unwrap().starts_with("More than 1000 models,"), "{error}");
}
