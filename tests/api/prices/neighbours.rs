//! A name more in the book changes only what had no price, and a name one letter off has none.

use std::collections::BTreeSet;

use serde_json::json;

use super::{file, me, put_in_force, read};
use crate::support::rollups::half_hours;
use crate::support::{TestApp, TestDevice};

async fn post_models(app: &TestApp, device: &TestDevice, models: &[String]) {
    for chunk in models.chunks(500) {
        let bucket = |model: &String| {
            json!({"hour_start": "2026-11-19T12:00:00Z", "source": "roo-code", "model": model, "input_tokens": 1,
                "output_tokens": 1, "request_count": 1})
        };
        let body = json!({"buckets": chunk.iter().map(bucket).collect::<Vec<_>>()});
        app.post_buckets(&device.token, &body).await.expect_ok();
    }
    app.drain().await;
}

/// Every text that is one edit away: a letter less, twice, another one, or two that have changed places.
fn one_edit_off(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut edited = Vec::new();
    for place in 0..letters.len() {
        let mut edit = |change: &dyn Fn(&mut Vec<char>)| {
            let mut letters = letters.clone();
            change(&mut letters);
            edited.push(letters.into_iter().collect::<String>());
        };
        edit(&|letters| {
            letters.remove(place);
        });
        edit(&|letters| letters.insert(place, letters[place]));
        edit(&|letters| letters[place] = if letters[place] == 'x' { 'y' } else { 'x' });
        edit(&|letters| letters[place] = letters[place].to_ascii_uppercase());
        if place > 0 {
            edit(&|letters| letters.swap(place - 1, place));
        }
    }
    edited
}

#[tokio::test]
async fn a_name_one_edit_away_from_a_known_one_has_no_price() {
    let app = TestApp::start().await;
    app.begin_prices().await;
    let (me, device) = me(&app, "UTC").await;
    let known: BTreeSet<String> =
        app.ask("select distinct name from price.name where source in ('', 'roo-code')").await.into_iter().collect();
    let sample = app.ask("select distinct name, md5(name) from price.name where source = '' order by 2 limit 60").await;
    assert!(sample.len() == 60 && sample.iter().all(|name| known.contains(name)));
    let neighbours: BTreeSet<String> = sample
        .iter()
        .flat_map(|name| one_edit_off(name))
        .filter(|name| !name.is_empty() && name.trim() == name && !known.contains(name))
        .collect();
    let neighbours: Vec<_> = neighbours.into_iter().collect();
    assert!(neighbours.len() > 3_000, "{}", neighbours.len());
    post_models(&app, &device, &neighbours).await;
    let cost = read(&app, &me, "/v1/rollups").await["totals"]["cost"].clone();
    let expected = json!({"amount": null, "amount_high": null, "priced_tokens": 0, "unpriced_tokens": 2 * neighbours.len(),
        "complete": false});
    let priced = "select model from rollup.daily where rate_id <> 0 limit 5";
    assert_eq!(cost, expected, "{:?}", app.ask(priced).await);
}

#[tokio::test]
async fn a_model_more_in_the_book_changes_only_rows_that_had_no_price() {
    let app = TestApp::start().await;
    let (me, device) = me(&app, "Asia/Kathmandu").await;
    let lines = ["openai,gpt-5,2,0.2,20,,,,,,,,page,,", "google,gemini-3,2,0.2,12,100,4,0.4,18,,,,page,,"];
    put_in_force(&app, &me, &file(&lines)).await;
    let models = ["gpt-5", "gpt-5.1", "gpt-5-mini", "openai/gpt-5.1", "gemini-3", "gemini-3-x"].map(str::to_owned);
    for hour in half_hours("2026-11-17T00:00:00Z", "2026-11-19T00:00:00Z") {
        let bucket = |model: &String| json!({"hour_start": hour, "source": "codex", "model": model, "input_tokens": 3});
        let body = json!({"buckets": models.iter().map(bucket).collect::<Vec<_>>()});
        app.post_buckets(&device.token, &body).await.expect_ok();
    }
    app.drain().await;
    let written = "select format('%s %s', d.xmin, d.*) from rollup.daily d where rate_id <> 0 order by 1";
    let unpriced = "select distinct model from rollup.daily where rate_id = 0 order by 1";
    let before = app.ask(written).await;
    assert_eq!(app.ask(unpriced).await, ["gemini-3-x", "gpt-5-mini", "gpt-5.1", "openai/gpt-5.1"]);
    let more = [lines[0], lines[1], "openai,gpt-5.1,1,,10,,,,,,,,page,,"];
    put_in_force(&app, &me, &file(&more)).await;
    let after = app.ask(written).await;
    assert!(before.iter().all(|row| after.contains(row)), "what had a price is the same row as before");
    assert_eq!(
        app.ask(unpriced).await,
        ["gemini-3-x", "gpt-5-mini"],
        "every spelling of the one that is new has a price"
    );
}
