//! The receipt: lines that one can check by hand, in any zone, however many there are.

use serde_json::{Value, json};

use super::{Browser, amounts, numbers};
use crate::support::{TestApp, TestUser};

/// One line as the page shows it: tokens, micro-dollars per million at least and at most, and the amounts.
type Line = (u128, Option<[(u128, u128); 2]>);

/// A decimal as a whole number of its smallest unit.
fn units(text: &str, decimals: usize) -> u128 {
    let plain: String = text.chars().filter(|sign| *sign != '\u{202f}').collect();
    let (whole, part) = plain.split_once('.').unwrap_or((&plain, ""));
    format!("{whole}{part:0<decimals$}").parse().unwrap_or_else(|_| panic!("{text}"))
}

fn ends(text: &str, decimals: usize) -> (u128, u128) {
    let (low, high) = text.split_once(" to ").unwrap_or((text, text));
    (units(low, decimals), units(high, decimals))
}

/// The lines of a receipt, read off its text.
fn lines(page: &str) -> Vec<Line> {
    let body = page.split("<tfoot>").next().unwrap();
    let rows = body.split("<tr>").filter(|row| row.contains("<th scope=\"row\">"));
    rows.map(|row| {
        let tokens = numbers(row)[0];
        if row.contains("no price:") {
            return (tokens, None);
        }
        let cells: Vec<&str> = row.split("<td class=\"n\">").collect();
        let rate = cells[2].split('<').next().unwrap();
        let amount = cells[3].split_once('>').unwrap().1.split('<').next().unwrap();
        (tokens, Some([ends(rate, 6), ends(amount, 12)]))
    })
    .collect()
}

/// Asserts that every line is a product and that all of them are `tokens` and `cost`.
#[track_caller]
fn assert_adds_up(page: &str, tokens: u128, cost: &Value) {
    let lines = lines(page);
    assert_eq!(lines.iter().map(|(tokens, _)| tokens).sum::<u128>(), tokens);
    let (mut low, mut high, mut unpriced) = (0, 0, 0);
    for (tokens, priced) in lines {
        let Some([rate, amount]) = priced else {
            unpriced += tokens;
            continue;
        };
        assert_eq!((tokens * rate.0, tokens * rate.1), amount);
        (low, high) = (low + amount.0, high + amount.1);
    }
    let expected = |name: &str| cost[name].as_str().map_or(0, |text| units(text, 12));
    assert_eq!((low, high), (expected("amount"), expected("amount_high")));
    assert_eq!(unpriced, u128::from(cost["unpriced_tokens"].as_u64().unwrap()));
    let foot = page.split("<tfoot>").nth(1).unwrap();
    assert_eq!(numbers(foot)[0], tokens);
    assert_eq!(amounts(foot).first().copied(), cost["amount"].as_str());
}

async fn with_usage() -> (TestApp, TestUser) {
    let app = TestApp::start().await;
    app.begin_prices().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    let bucket = |hour: &str, source: &str, model: &str, input: u64| {
        json!({"hour_start": hour, "source": source, "model": model, "input_tokens": input, "cache_read_tokens": 40_001,
            "cache_write_5m_tokens": 17, "output_tokens": 103, "request_count": 3})
    };
    let buckets = [
        bucket("2026-11-20T10:30:00Z", "codex", "gpt-5.5", 1_234_567),
        bucket("2026-11-19T23:30:00Z", "claude-code", "claude-opus-4-8", 500),
        bucket("2026-11-19T13:00:00Z", "claude-code", "claude-haiku-5-5", 60_000),
        bucket("2026-11-18T09:30:00Z", "kilo-code", "deepseek-v4-pro", 1_000_000),
        bucket("2026-11-18T10:00:00Z", "kilo-code", "deepseek-v4-pro", 1_000_001),
        bucket("2026-11-17T10:00:00Z", "codex", "<script>alert(1)</script>", 9),
    ];
    app.post_buckets(&device.token, &json!({ "buckets": buckets })).await.expect_ok();
    app.drain().await;
    (app, ann)
}

#[tokio::test]
async fn every_line_of_a_receipt_is_a_product_and_all_of_them_are_the_total() {
    let (app, ann) = with_usage().await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    for (query, asked) in [
        ("", ""),
        ("last=2", "from=2026-11-19&to=2026-11-20"),
        ("from=2026-11-18&to=2026-11-18", "from=2026-11-18&to=2026-11-18"),
        ("source=kilo-code", "source=kilo-code"),
        ("model=claude-haiku-5-5", "model=claude-haiku-5-5"),
        ("from=2026-11-20&to=2026-11-20&tz=Asia/Kathmandu", "from=2026-11-20&to=2026-11-20&time_zone=Asia/Kathmandu"),
        ("last=30&tz=America/Los_Angeles", "from=2026-10-22&to=2026-11-20&time_zone=America/Los_Angeles"),
    ] {
        let shown = browser.get(&format!("/receipt?{query}")).await;
        let totals = app.get(&ann.viewer, &format!("/v1/rollups?{asked}")).await.expect_ok()["totals"].clone();
        assert_adds_up(shown.page(200), totals["total_tokens"].as_u64().unwrap().into(), &totals["cost"]);
    }
    let page = browser.get("/receipt").await.text;
    assert!(page.contains("rate from <time") && page.contains("until <time"), "dates of rates: {page}");
    assert!(page.contains("the book does not know this model") && !page.contains("<script>alert"), "{page}");
    assert_eq!(page.matches("price book 1 of").count(), 1);
    // Prices of some hours of the day are two lines.
    assert_eq!(browser.get("/receipt?model=deepseek-v4-pro").await.text.matches(">Input<").count(), 2);
}

#[tokio::test]
async fn totals_lead_to_the_receipt_of_the_same_view() {
    let (app, ann) = with_usage().await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    for (path, receipt) in [
        ("/", "/receipt"),
        ("/?last=7&group=tool&width=day&sort=name&week_start=sunday", "/receipt?last=7"),
        ("/day?day=2026-11-18&tz=Asia/Tokyo", "/receipt?tz=Asia%2FTokyo&from=2026-11-18&to=2026-11-18"),
        ("/model?model=gpt-5.5&last=90", "/receipt?model=gpt-5.5&last=90"),
    ] {
        let shown = browser.get(path).await;
        let page = shown.page(200).replace("&#38;", "&").replace("&amp;", "&");
        assert!(page.contains(&format!("href=\"{receipt}\"")), "{path}: {page}");
        let there = browser.get(receipt).await;
        let foot = there.page(200).split("<tfoot>").nth(1).unwrap();
        assert_eq!(numbers(foot)[0], numbers(&page)[0], "{path}");
        assert_eq!(amounts(foot).first(), amounts(&page).first(), "{path}");
    }
}

#[tokio::test]
async fn a_receipt_of_ten_thousand_models_has_pages_with_the_totals_of_all() {
    let (app, ann) = with_usage().await;
    app.tell(&format!(
        "insert into rollup.daily (
             user_id, day, device_id, source, model, input_tokens, cache_read_tokens, cache_write_5m_tokens,
             cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens, request_count, bucket_count
         )
         select '{user}', date '2026-11-20' - n % 20, d.device_id, 'zed', 'm' || n, n, 0, 0, 0, 0, 0, 0, 0, 1
         from generate_series(1, 10000) n, account.device d where d.user_id = '{user}'",
        user = ann.user_id,
    ))
    .await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let totals = app.get(&ann.viewer, "/v1/rollups").await.expect_ok()["totals"].clone();
    let mut found = 0;
    for (page, said) in
        [(1, "1 to 200 of 10 006"), (2, "201 to 400 of"), (51, "10 001 to 10 006 of"), (52, "All 10 006")]
    {
        let shown = browser.get(&format!("/receipt?page={page}")).await;
        let text = shown.page(200).replace('\u{202f}', " ");
        assert!(text.contains(said), "{said}");
        if page < 52 {
            let foot = shown.text.split("<tfoot>").nth(1).unwrap();
            assert_eq!(Some(u64::try_from(numbers(foot)[0]).unwrap()), totals["total_tokens"].as_u64());
            assert_eq!(amounts(foot)[0], totals["cost"]["amount"].as_str().unwrap());
            found += lines(&shown.text).len();
        } else {
            assert!(text.contains("No tokens on this page"), "{text}");
        }
        assert_eq!(text.contains("Next page"), page < 51, "{page}");
        assert_eq!(text.contains("Page before"), page > 1, "{page}");
    }
    assert!(found > 400, "{found}");
}

#[tokio::test]
async fn one_persons_receipt_has_nothing_of_another_and_what_is_wrong_is_named() {
    let (app, ann) = with_usage().await;
    let bob = app.user("bob", "UTC").await;
    let mut browser = Browser::signed_in(&app, &bob).await;
    let shown = browser.get("/receipt").await;
    assert!(shown.page(200).contains("No tokens in this range") && !shown.text.contains("gpt-5.5"), "{}", shown.text);
    let mut browser = Browser::signed_in(&app, &ann).await;
    for (query, word) in [
        ("page=0", "page"),
        ("width=day", "width"),
        ("from=2026-11-20&to=2026-11-01", "from"),
        ("last=7&from=2026-11-01", "last"),
        ("tz=Nowhere/Land", "tz"),
    ] {
        let shown = browser.get(&format!("/receipt?{query}")).await;
        assert!(shown.page(422).contains(&format!("<code>{word}</code>")), "{query}: {}", shown.text);
    }
    app.tell("update rollup.user_state set frozen_before = '2026-11-10'").await;
    let path = "/receipt?from=2026-11-01&to=2026-11-20";
    browser.get(path).await.page(200);
    let other = browser.get(&format!("{path}&tz=Asia/Tokyo")).await;
    assert!(other.page(422).contains("past retention"), "{}", other.text);
}
