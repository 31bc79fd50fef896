//! Amounts that were worked out from the lines of the first book by hand.

use serde_json::json;

use super::read;
use crate::support::TestApp;

/// A tool, a model, a half hour, its tokens (input, cache reads, cache writes of 5 minutes and of an hour, output), its
/// requests, and what it costs at least and at most.
type Amount = (&'static str, &'static str, &'static str, [u64; 5], u64, &'static str, &'static str);

const AMOUNTS: [Amount; 20] = [
    (
        "claude-code",
        "claude-opus-4-8",
        "2026-11-19T12:00:00Z",
        [1_234_567, 89_012_345, 345_678, 0, 98765],
        3,
        "55.30862",
        "55.30862",
    ),
    ("claude-code", "claude-opus-4-8[1m]", "2026-11-19T12:00:00Z", [1, 0, 0, 1, 1], 3, "0.00004", "0.00004"),
    (
        "claude-code",
        "claude-sonnet-4-5-20250929",
        "2026-04-29T23:30:00Z",
        [150_000, 0, 0, 0, 777],
        3,
        "0.461655",
        "0.461655",
    ),
    (
        "claude-code",
        "claude-sonnet-4-5-20250929",
        "2026-04-30T00:00:00Z",
        [150_000, 250_000, 0, 0, 777],
        3,
        "0.536655",
        "0.536655",
    ),
    (
        "claude-code",
        "claude-opus-4-7+us",
        "2026-11-19T12:00:00Z",
        [1000, 2000, 3000, 4000, 5000],
        3,
        "0.208725",
        "0.208725",
    ),
    (
        "cline",
        "eu.anthropic.claude-opus-4-7-v1:0",
        "2026-11-19T12:00:00Z",
        [1_000_003, 0, 0, 0, 7],
        3,
        "5.500209",
        "5.500209",
    ),
    ("claude-code", "claude-opus-4-8+fast", "2026-11-19T12:00:00Z", [33, 44, 55, 66, 77], 3, "0.0062315", "0.0062315"),
    ("claude-code", "claude-haiku-5-5", "2026-11-19T12:00:00Z", [60000, 40000, 0, 0, 100], 3, "0.00645", "0.00645"),
    (
        "claude-code",
        "claude-haiku-5-5",
        "2026-11-19T12:30:00Z",
        [60000, 40001, 0, 0, 100],
        1,
        "0.03225005",
        "0.03225005",
    ),
    (
        "claude-code",
        "claude-haiku-5-5",
        "2026-11-19T13:00:00Z",
        [60000, 40001, 0, 0, 100],
        3,
        "0.00645001",
        "0.03225005",
    ),
    ("codex", "gpt-5.5", "2026-11-19T12:00:00Z", [272_000, 0, 0, 0, 4321], 3, "1.48963", "1.48963"),
    ("codex", "gpt-5.5+long", "2026-11-19T12:00:00Z", [10, 20, 0, 0, 30], 3, "0.00147", "0.00147"),
    ("codex", "gpt-5.5+priority", "2026-11-19T12:00:00Z", [987_654, 3210, 0, 0, 1], 3, "12.3497625", "12.3497625"),
    ("codex", "gpt-5.5 (high)", "2026-11-19T12:00:00Z", [9, 9, 0, 0, 9], 3, "0.0003195", "0.0003195"),
    (
        "gemini-cli",
        "gemini-3.8-flash",
        "2026-11-19T12:00:00Z",
        [123_456_789, 1, 0, 0, 1],
        3,
        "92.592595575",
        "92.592595575",
    ),
    (
        "kilo-code",
        "deepseek-v4-pro",
        "2026-11-19T09:30:00Z",
        [1_000_000, 999_999, 0, 0, 1],
        3,
        "1.364003916",
        "1.364003916",
    ),
    (
        "kilo-code",
        "deepseek-v4-pro",
        "2026-11-19T10:00:00Z",
        [1_000_000, 999_999, 0, 0, 1],
        3,
        "0.682001958",
        "0.682001958",
    ),
    ("kilo-code", "deepseek-v4-pro", "2026-06-01T00:00:00Z", [1, 1, 0, 0, 1], 3, "0.000001308625", "0.000001308625"),
    ("cursor", "composer-2.5", "2026-11-19T12:00:00Z", [500, 600, 0, 0, 700], 3, "0.00212", "0.00212"),
    ("roo-code", "openrouter/x-ai/grok-4.20", "2026-04-29T23:30:00Z", [1, 2, 0, 0, 3], 3, "0.0000204", "0.0000204"),
];

#[tokio::test]
async fn the_first_book_comes_to_what_its_lines_come_to_by_hand() {
    let app = TestApp::start().await;
    app.begin_prices().await;
    for (source, model, hour, tokens, requests, low, high) in AMOUNTS {
        let name = format!("{source} {model} {hour}");
        let user = app.user(&name, "UTC").await;
        let device = app.device(&user, "laptop").await;
        let [input, cache_read, brief_write, long_write, output] = tokens;
        let bucket = json!({"hour_start": hour, "source": source, "model": model, "input_tokens": input,
            "cache_read_tokens": cache_read, "cache_write_5m_tokens": brief_write,
            "cache_write_1h_tokens": long_write, "output_tokens": output, "request_count": requests});
        app.post_buckets(&device.token, &json!({"buckets": [bucket]})).await.expect_ok();
        app.drain().await;
        let day = &hour[..10];
        let cost = read(&app, &user, &format!("/v1/rollups?from={day}&to={day}")).await["totals"]["cost"].clone();
        let said = (cost["amount"].as_str(), cost["amount_high"].as_str(), &cost["complete"]);
        assert_eq!(said, (Some(low), Some(high), &json!(true)), "{name}: {cost}");
    }
}
