//! What users of other products suffered, each of them once more, here.

use serde_json::{Value, json};

use super::{file, me, put_in_force, read};
use crate::support::{TestApp, TestDevice, TestUser};

const NOON: &str = "2026-11-19T12:00:00Z";

/// Usage and what it is said to cost, in the book of this release unless another one is in force.
struct Scene {
    app: TestApp,
    me: TestUser,
    device: TestDevice,
}

impl Scene {
    async fn new() -> Self {
        let app = TestApp::start().await;
        app.begin_prices().await;
        let (me, device) = me(&app, "UTC").await;
        Self { app, me, device }
    }

    /// In another book than that of this release.
    async fn with(lines: &[&str]) -> Self {
        let app = TestApp::start().await;
        let (me, device) = me(&app, "UTC").await;
        put_in_force(&app, &me, &file(lines)).await;
        Self { app, me, device }
    }

    async fn used(&self, hour: &str, source: &str, model: &str, counters: &Value) {
        let mut bucket = json!({"hour_start": hour, "source": source, "model": model});
        for (name, count) in counters.as_object().unwrap() {
            bucket[name] = count.clone();
        }
        self.app.post_buckets(&self.device.token, &json!({"buckets": [bucket]})).await.expect_ok();
        self.app.drain().await;
    }

    /// What all usage of a model cost.
    async fn cost(&self, model: &str) -> Value {
        let query = url::form_urlencoded::byte_serialize(model.as_bytes()).collect::<String>();
        let path = format!("/v1/rollups?from=2026-01-01&to=2026-11-20&model={query}");
        read(&self.app, &self.me, &path).await["totals"]["cost"].clone()
    }

    /// The amount of usage at noon, which is exact and whole.
    async fn amount(&self, source: &str, model: &str, counters: Value) -> String {
        self.used(NOON, source, model, &counters).await;
        let cost = self.cost(model).await;
        assert_eq!((&cost["complete"], &cost["amount"]), (&json!(true), &cost["amount_high"]), "{model}: {cost}");
        cost["amount"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn sixteen_million_tokens_of_an_unknown_model_were_shown_as_free() {
    let scene = Scene::new().await;
    scene.used(NOON, "claude-code", "glm-52-unheard-of", &json!({"input_tokens": 16_000_000})).await;
    let cost = scene.cost("glm-52-unheard-of").await;
    assert_eq!((&cost["amount"], &cost["unpriced_tokens"]), (&Value::Null, &json!(16_000_000)), "{cost}");
    let summary = read(&scene.app, &scene.me, "/v1/rollups/summary").await;
    let unpriced = json!([{"source": "claude-code", "model": "glm-52-unheard-of", "tokens": 16_000_000, "reason": "unknown_model"}]);
    assert_eq!(summary["unpriced"], unpriced);
}

#[tokio::test]
async fn thirty_seven_million_tokens_were_a_dollar_for_weeks_because_one_class_had_no_price() {
    let scene = Scene::with(&["openai,gpt-5,,,10,,,,,,,,page,,"]).await;
    scene.used(NOON, "codex", "gpt-5", &json!({"input_tokens": 37_000_000, "output_tokens": 116_000})).await;
    let cost = scene.cost("gpt-5").await;
    let expected = json!({"amount": "1.16", "amount_high": "1.16", "priced_tokens": 116_000,
        "unpriced_tokens": 37_000_000, "complete": false});
    assert_eq!(cost, expected, "it says that it is a lower bound");
}

#[tokio::test]
async fn last_months_usage_changed_its_cost_when_the_price_fell_today() {
    let old = "openai,gpt-5,2,0.2,20,,,,,,2026-11-19T00:00:00Z,,page,,";
    let scene = Scene::with(&[old, "openai,gpt-5,1,0.1,10,,,,,2026-11-19T00:00:00Z,,,page,,"]).await;
    for hour in ["2026-10-19T12:00:00Z", "2026-11-18T23:30:00Z", "2026-11-19T00:00:00Z"] {
        scene.used(hour, "codex", "gpt-5", &json!({"input_tokens": 1_000_000})).await;
    }
    assert_eq!(scene.cost("gpt-5").await["amount"], "5", "2 and 2 before the change, and 1 after it");
}

#[tokio::test]
async fn usage_from_before_its_price_was_entered_could_never_get_one() {
    let late = "openai,gpt-5,2,0.2,20,,,,,2026-11-19T00:00:00Z,,,page,,";
    let scene = Scene::with(&[late]).await;
    scene.used("2026-11-18T12:00:00Z", "codex", "gpt-5", &json!({"input_tokens": 1_000_000})).await;
    assert_eq!(scene.cost("gpt-5").await["amount"], Value::Null);
    let early = "openai,gpt-5,2,0.2,20,,,,,,2026-11-19T00:00:00Z,,page,it was there before,correction";
    put_in_force(&scene.app, &scene.me, &file(&[late, early])).await;
    assert_eq!(scene.cost("gpt-5").await["amount"], "2");
}

#[tokio::test]
async fn a_model_was_billed_at_the_price_of_one_with_a_similar_name() {
    let scene = Scene::new().await;
    let strangers =
        ["deepseek-v4-pro-distill-8b", "codex-auto-review", "claude-opus-4-88", "my-gpt-5.5", "gpt-5.5-nano-2"];
    for model in strangers {
        scene.used(NOON, "codex", model, &json!({"input_tokens": 1_000_000})).await;
        assert_eq!(scene.cost(model).await["priced_tokens"], 0, "{model}");
    }
}

#[tokio::test]
async fn an_unknown_model_got_an_invented_default_price_that_looked_like_a_real_one() {
    let scene = Scene::new().await;
    scene.used(NOON, "codex", "gpt-5.5", &json!({"input_tokens": 1_000_000})).await;
    scene.used(NOON, "codex", "somebody-s-own-model", &json!({"input_tokens": 1_000_000})).await;
    let totals = read(&scene.app, &scene.me, "/v1/rollups").await["totals"]["cost"].clone();
    assert_eq!((&totals["amount"], &totals["complete"]), (&json!("5"), &json!(false)), "{totals}");
    let receipt = read(&scene.app, &scene.me, "/v1/rollups/cost").await;
    let unknown = receipt["lines"].as_array().unwrap().iter().find(|line| line["model"] == "somebody-s-own-model");
    let unknown = unknown.unwrap();
    assert_eq!((&unknown["amount"], &unknown["reason"]), (&Value::Null, &json!("unknown_model")), "{unknown}");
}

#[tokio::test]
async fn one_hour_cache_writes_were_billed_at_the_price_of_five_minutes() {
    let scene = Scene::new().await;
    // 6.25 and 10 dollars a million.
    let tokens = json!({"cache_write_5m_tokens": 1_000_000, "cache_write_1h_tokens": 1_000_000});
    assert_eq!(scene.amount("claude-code", "claude-opus-4-8", tokens).await, "16.25");
}

#[tokio::test]
async fn a_long_request_was_billed_at_the_margin_instead_of_as_a_whole() {
    let scene = Scene::with(&["google,gemini-3,2,0.2,12,200000,4,0.4,18,,,,page,,"]).await;
    let request = json!({"input_tokens": 200_001, "output_tokens": 1_000, "request_count": 1});
    // 200,001 at 4 and 1,000 at 18 dollars a million.
    assert_eq!(scene.amount("gemini-cli", "gemini-3", request).await, "0.818004");
}

#[tokio::test]
async fn short_requests_were_billed_as_a_long_one_because_they_were_added_up() {
    let scene = Scene::with(&["google,gemini-3,2,0.2,12,200000,4,0.4,18,,,,page,,"]).await;
    let requests = json!({"input_tokens": 200_001, "output_tokens": 1_000, "request_count": 40});
    scene.used(NOON, "gemini-cli", "gemini-3", &requests).await;
    let cost = scene.cost("gemini-3").await;
    assert_eq!((&cost["amount"], &cost["amount_high"]), (&json!("0.412002"), &json!("0.818004")), "{cost}");
}

#[tokio::test]
async fn peak_hours_were_half_priced_because_a_day_has_no_hours() {
    let scene = Scene::new().await;
    let mut amounts = Vec::new();
    for hour in ["2026-11-19T09:30:00Z", "2026-11-19T10:00:00Z"] {
        scene.used(hour, "kilo-code", "deepseek-v4-pro", &json!({"input_tokens": 1_000_000})).await;
    }
    let path = "/v1/rollups?from=2026-11-19&to=2026-11-19&width=half_hour";
    for interval in read(&scene.app, &scene.me, path).await["data"].as_array().unwrap() {
        amounts.push(interval["results"][0]["cost"]["amount"].as_str().unwrap().parse::<f64>().unwrap());
    }
    assert!((amounts[0] - 2.0 * amounts[1]).abs() < 1e-9, "{amounts:?}");
    let day = scene.cost("deepseek-v4-pro").await["amount"].as_str().unwrap().parse::<f64>().unwrap();
    assert!((day - 3.0 * amounts[1]).abs() < 1e-9, "the day knows both: {day}");
}

#[tokio::test]
async fn fast_sessions_were_billed_at_the_base_price() {
    let scene = Scene::new().await;
    let tokens = || json!({"output_tokens": 1_000_000});
    assert_eq!(scene.amount("claude-code", "claude-opus-4-8", tokens()).await, "25");
    assert_eq!(scene.amount("claude-code", "claude-opus-4-8+fast", tokens()).await, "50");
    scene.used(NOON, "claude-code", "claude-opus-4-8+turbo", &tokens()).await;
    assert_eq!(scene.cost("claude-opus-4-8+turbo").await["amount"], Value::Null, "and not at the base price either");
}

#[tokio::test]
async fn subscribers_read_the_figure_as_their_bill() {
    let scene = Scene::new().await;
    for path in ["/v1/rollups", "/v1/rollups/summary", "/v1/rollups/cost"] {
        let reply = read(&scene.app, &scene.me, path).await;
        assert_eq!(reply["prices"]["basis"], "api_list", "{path}");
        assert!(!reply.to_string().contains("spent"), "{path}");
    }
}

#[tokio::test]
async fn a_quarter_million_generations_had_no_price_for_a_suffix_of_the_name() {
    let scene = Scene::new().await;
    let tokens = || json!({"input_tokens": 100_000});
    for (source, model, amount) in [
        ("claude-code", "claude-opus-4-8[1m]", "0.5"),
        ("codex", "gpt-5.5 (high)", "0.5"),
        // A tenth more where the region is fixed.
        ("cline", "eu.anthropic.claude-opus-4-7-v1:0", "0.55"),
    ] {
        assert_eq!(scene.amount(source, model, tokens()).await, amount, "{model}");
    }
}

#[tokio::test]
async fn reasoning_was_billed_on_top_of_the_output_that_it_is_part_of() {
    let scene = Scene::new().await;
    let tokens = json!({"output_tokens": 1_000_000, "reasoning_tokens": 900_000});
    assert_eq!(scene.amount("codex", "gpt-5.5", tokens).await, "30");
}

#[tokio::test]
async fn a_budget_alarm_was_blind_because_nothing_counted_what_had_no_price() {
    let scene = Scene::new().await;
    scene.used(NOON, "codex", "nobody-knows-me", &json!({"input_tokens": 1_234_567})).await;
    scene.used(NOON, "codex", "gpt-5.5", &json!({"input_tokens": 7})).await;
    let measure = async || {
        let (pool, clock) = (&scene.app.pools.worker, &scene.app.clock);
        halfhour::features::dashboard_rollup::measure_coverage(pool, clock).await.unwrap();
    };
    // The recorder is the process's, and other tests of it have other databases: again, until nobody came between.
    for _ in 0..20 {
        measure().await;
        if scene.app.counter(&scene.me, "halfhour_unpriced_tokens").await == 1_234_567 {
            return;
        }
    }
    panic!("the gauge does not say how many tokens have no price");
}
