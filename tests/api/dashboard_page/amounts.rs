//! What usage would have cost, on the page: the amounts of the API to the last digit, and nothing of money without a book.

use serde_json::{Value, json};

use super::{Browser, amounts, numbers, rows_behind};
use crate::prices::{file, move_to, put_in_force};
use crate::support::{TestApp, TestDevice, TestUser};

const LINES: [&str; 2] = ["openai,gpt-5,2,0.2,20,,,,,,,,page,,", "google,gemini-3,2.5,0.2,12,100,4,0.4,18,,,,page,,"];

/// Usage of two tools: with a price, with two, and with none.
async fn with_prices(zone: &str) -> (TestApp, TestUser, TestDevice) {
    let app = TestApp::start().await;
    let ann = app.user("ann", zone).await;
    let devices = [app.device(&ann, "laptop").await, app.device(&ann, "tower").await];
    put_in_force(&app, &ann, &file(&LINES)).await;
    let bucket = |hour: &str, source: &str, model: &str, input: u64, output: u64| {
        json!({"hour_start": hour, "source": source, "model": model, "input_tokens": input, "output_tokens": output,
            "cache_read_tokens": 3, "request_count": 2})
    };
    let first = [
        bucket("2026-11-20T10:30:00Z", "codex", "gpt-5", 1_234_567, 891),
        bucket("2026-11-19T23:30:00Z", "codex", "gpt-5", 500, 1),
        bucket("2026-11-18T08:00:00Z", "roo-code", "gemini-3", 77, 7),
        bucket("2026-11-18T09:00:00Z", "roo-code", "gemini-3", 100_077, 7),
        bucket("2026-10-15T08:00:00Z", "codex", "gpt-5", 40, 0),
    ];
    let second = [bucket("2026-11-20T11:00:00Z", "claude-code", "<b>nobody's", 1600, 0)];
    for (device, buckets) in devices.iter().zip([first.as_slice(), &second]) {
        app.post_buckets(&device.token, &json!({ "buckets": buckets })).await.expect_ok();
    }
    app.drain().await;
    let [laptop, _] = devices;
    (app, ann, laptop)
}

async fn rollups(app: &TestApp, user: &TestUser, query: &str) -> Value {
    app.get(&user.viewer, &format!("/v1/rollups?{query}")).await.expect_ok().clone()
}

/// The amounts of a cost as a page lists them: both where they differ, none where there is no price.
fn both(cost: &Value) -> Vec<String> {
    let [low, high] = ["amount", "amount_high"].map(|name| cost[name].as_str().map(str::to_owned));
    let differ = low != high;
    low.into_iter().chain(high.filter(|_| differ)).collect()
}

#[tokio::test]
async fn every_amount_of_a_page_is_that_of_the_api_to_the_last_digit() {
    let (app, ann, _) = with_prices("UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let days = "from=2026-11-01&to=2026-11-20";
    for filter in ["", "&source=codex", "&model=gemini-3", "&source=roo-code&model=gemini-3", "&tz=Asia/Kathmandu"] {
        let shown = browser.get(&format!("/?{days}{filter}&most=50")).await;
        let page = shown.page(200);
        let asked = format!("{days}{}", filter.replace("&tz=", "&time_zone="));
        let expected = both(&rollups(&app, &ann, &asked).await["totals"]["cost"]);
        assert!(!expected.is_empty());
        assert_eq!(amounts(page)[..expected.len()], expected, "{filter}");
        for (title, group) in [("Models", "model"), ("Tools", "source"), ("Devices", "device")] {
            let reply = rollups(&app, &ann, &format!("{asked}&width=month&group_by={group}")).await;
            let mut expected: Vec<(u64, Vec<String>)> = reply["data"][0]["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(|result| (result["total_tokens"].as_u64().unwrap(), both(&result["cost"])))
                .collect();
            let rows = rows_behind(page, &format!("<h2>{title}</h2>"));
            let mut found: Vec<(u64, Vec<String>)> = rows
                .iter()
                .map(|row| {
                    let tokens = u64::try_from(numbers(row)[0]).unwrap();
                    (tokens, amounts(row).into_iter().map(str::to_owned).collect())
                })
                .collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{filter} {title}");
        }
    }
}

#[tokio::test]
async fn the_tables_behind_charts_have_the_amounts_of_their_intervals_in_all_digits() {
    let (app, ann, _) = with_prices("UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    for (path, query) in [
        ("/?from=2026-11-17&to=2026-11-20&width=day", "from=2026-11-17&to=2026-11-20"),
        ("/?from=2026-10-01&to=2026-11-20&width=week", "from=2026-10-01&to=2026-11-20&width=week"),
        ("/?from=2026-11-19&to=2026-11-20&width=hour", "from=2026-11-19&to=2026-11-20&width=hour"),
        ("/day?day=2026-11-20", "from=2026-11-20&to=2026-11-20&width=half_hour"),
    ] {
        let shown = browser.get(path).await;
        let rows = rows_behind(shown.page(200), "The same as a table");
        let reply = rollups(&app, &ann, &format!("{query}&fill=zero")).await;
        let intervals = reply["data"].as_array().unwrap();
        assert_eq!(rows.len(), intervals.len(), "{path}");
        for (row, interval) in rows.iter().zip(intervals) {
            let cost = &interval["results"][0]["cost"];
            let plain = row.replace('\u{202f}', "");
            let expected = match both(cost).as_slice() {
                [] => "no price".to_owned(),
                [amount] => format!("{amount} USD"),
                ends => format!("{} USD", ends.join(" to ")),
            };
            assert!(
                plain.contains(&format!(">{expected}")) || plain.contains(&format!("≥{expected}")),
                "{plain}: {cost}"
            );
            let unpriced = cost["unpriced_tokens"].as_u64().unwrap();
            let said = plain.contains(&format!("{unpriced} tokens without a price"));
            assert_eq!(said, unpriced > 0, "{plain}: {cost}");
        }
    }
    let year = browser.get("/").await;
    assert!(
        rows_behind(year.page(200), "The days as a table").iter().any(|row| row.contains("2.4869546 USD")),
        "{}",
        year.text
    );
}

#[tokio::test]
async fn what_has_no_price_is_counted_and_is_never_free() {
    let (app, ann, _) = with_prices("UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let shown = browser.get("/?source=claude-code").await;
    let page = shown.page(200).replace('\u{202f}', " ");
    assert!(page.contains("no price") && page.contains("1 603 tokens without a price"), "{page}");
    assert!(!page.contains("$0"), "{page}");
    let all = browser.get("/").await;
    let page = all.page(200).replace('\u{202f}', " ");
    assert!(page.contains("≥ $2.") && page.contains("1 603 tokens without a price"), "{page}");
    assert_eq!(page.matches("price book 1 of").count(), 1, "it is said once");
    for word in ["spent", "Spent", "you paid"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[tokio::test]
async fn without_a_book_nothing_of_money_is_shown() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    let bucket =
        json!({"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "gpt-5.5", "input_tokens": 7});
    app.post_buckets(&device.token, &json!({ "buckets": [bucket] })).await.expect_ok();
    app.drain().await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    for path in ["/", "/?sort=price&most=50", "/day?day=2026-11-20", "/model?model=gpt-5.5"] {
        let shown = browser.get(path).await;
        for word in ["$", "USD", "list price", "/receipt", "class=\"usd", "without a price"] {
            assert!(!shown.page(200).contains(word), "{path}: {word}");
        }
    }
    let sheet = browser.get("/usage.csv").await;
    assert!(!sheet.text.contains("usd"), "{}", sheet.text);
    let receipt = browser.get("/receipt").await;
    assert!(receipt.page(200).contains("No price book is in force") && amounts(&receipt.text).is_empty());
}

#[tokio::test]
async fn the_sheet_has_the_columns_of_cost_that_the_csv_of_the_api_has() {
    let (app, ann, _) = with_prices("UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let days = "from=2026-11-17&to=2026-11-20";
    let sheet = browser.get(&format!("/usage.csv?{days}")).await.text;
    let path = format!("/v1/rollups?{days}&fill=zero");
    let reply = app.request(reqwest::Method::GET, &path).bearer(&ann.viewer).header("accept", "text/csv").send().await;
    let api = String::from_utf8(reply.body).unwrap();
    let last_three = |text: &str| -> Vec<Vec<String>> {
        let lines = text.lines().map(|line| line.rsplit(',').take(3).map(str::to_owned).collect());
        lines.collect()
    };
    assert_eq!(last_three(&sheet), last_three(&api));
    assert_eq!(last_three(&sheet)[0], ["unpriced_tokens", "cost_high_usd", "cost_usd"]);
    assert_eq!(sheet.lines().count(), 5);
}

#[tokio::test]
async fn amounts_are_those_of_one_book_and_another_that_is_to_come_is_named() {
    let (app, ann, _) = with_prices("UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let before = amounts(browser.get("/").await.page(200)).iter().map(ToString::to_string).collect::<Vec<_>>();
    let dearer = file(&["openai,gpt-5,4,0.4,40,,,,,,,,page,misread,correction", LINES[1]]);
    let book = crate::prices::import(&app, &ann, &dearer).await.expect_ok_or_created()["book"].as_i64().unwrap();
    move_to(&app, i32::try_from(book).unwrap()).await;
    let shown = browser.get("/").await;
    assert!(
        shown.page(200).contains("price book 1 of") && shown.text.contains("being moved to book 2"),
        "{}",
        shown.text
    );
    assert_eq!(amounts(&shown.text), before);
    app.drain().await;
    let shown = browser.get("/").await;
    assert!(shown.page(200).contains("price book 2 of") && !shown.text.contains("being moved"), "{}", shown.text);
    let expected = both(&rollups(&app, &ann, "").await["totals"]["cost"]);
    assert_eq!(amounts(&shown.text)[..expected.len()], expected);
    assert_ne!(amounts(&shown.text)[0], before[0]);
}

#[tokio::test]
async fn a_list_is_sorted_by_price_among_what_it_lists_and_its_rest_has_a_price_too() {
    let (app, ann, _) = with_prices("UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let shown = browser.get("/?last=90&sort=price").await;
    let rows = rows_behind(shown.page(200), "<h2>Models</h2>");
    let first: Vec<&str> =
        rows.iter().map(|row| row.split("</a>").next().unwrap().rsplit('>').next().unwrap()).collect();
    assert_eq!(first[0], "gpt-5", "{first:?}");
    let cut = browser.get("/?most=1").await;
    let page = cut.page(200).replace('\u{202f}', " ");
    assert!(page.contains("1 of 3 are listed") && page.contains("(API list price ≥ 0."), "{page}");
}
