//! Names in the wild: each spelling is in the book to the letter, or it has no price.

use super::read;
use crate::support::{TestApp, TestUser};

/// A tool, a model as it reports it, what that stands for, and by which rule.
const FOUND: [(&str, &str, &str, &str); 32] = [
    ("claude-code", "claude-opus-4-8", "anthropic/claude-opus-4-8", "exact"),
    ("claude-code", "claude-opus-4-5-20251101", "anthropic/claude-opus-4-5-20251101", "exact"),
    ("claude-code", "claude-opus-4-8[1m]", "anthropic/claude-opus-4-8", "context"),
    ("opencode", "claude-opus-4.8", "anthropic/claude-opus-4-8", "spelling"),
    ("opencode", "claude-opus-4-5@20251101", "anthropic/claude-opus-4-5-20251101", "dated"),
    ("opencode", "claude-3-5-sonnet@20241022", "anthropic/claude-3-5-sonnet-20241022", "dated"),
    ("opencode", "anthropic/claude-opus-4.8", "anthropic/claude-opus-4-8", "route"),
    ("roo-code", "openrouter/anthropic/claude-opus-4.8", "anthropic/claude-opus-4-8", "route"),
    ("cline", "anthropic.claude-sonnet-4-20250514-v1:0", "anthropic/claude-sonnet-4-20250514", "bedrock"),
    ("cline", "global.anthropic.claude-opus-4-7", "anthropic/claude-opus-4-7", "bedrock"),
    ("cline", "us.anthropic.claude-opus-4-7", "anthropic/claude-opus-4-7+us", "region"),
    ("cline", "eu.anthropic.claude-opus-4-7-v1:0", "anthropic/claude-opus-4-7+us", "region"),
    ("api", "claude-opus-4-8+fast", "anthropic/claude-opus-4-8+fast", "tier"),
    ("api", "claude-opus-4-7+us", "anthropic/claude-opus-4-7+us", "tier"),
    ("api", "claude-opus-4-7+batch", "anthropic/claude-opus-4-7+batch", "tier"),
    ("codex", "gpt-5.5", "openai/gpt-5.5", "exact"),
    ("codex", "gpt-5.5 (high)", "openai/gpt-5.5", "effort"),
    ("codex", "gpt-5.5(xhigh)", "openai/gpt-5.5", "effort"),
    ("codex", "gpt-5.5+long", "openai/gpt-5.5+long", "tier"),
    ("codex", "gpt-5.5+short", "openai/gpt-5.5+short", "tier"),
    ("codex", "gpt-5.5+priority", "openai/gpt-5.5+priority", "tier"),
    ("gemini-cli", "models/gemini-2.5-pro", "google/gemini-2.5-pro", "route"),
    ("kilo-code", "deepseek/deepseek-v4-pro", "deepseek/deepseek-v4-pro", "route"),
    ("kilo-code", "alibaba/deepseek-v4-pro", "alibaba/deepseek-v4-pro", "route"),
    ("kilo-code", "deepseek-v4-pro", "deepseek/deepseek-v4-pro", "exact"),
    ("kilo-code", "glm-5.2", "zai/glm-5.2", "exact"),
    ("kilo-code", "z-ai/glm-5.2:free", "openrouter/free", "free"),
    ("kilo-code", "openrouter/qwen/qwen3-coder-plus:free", "openrouter/free", "free"),
    ("opencode", "minimax-m2.7", "minimax/MiniMax-M2.7", "spelling"),
    ("cursor", "composer-2.5", "cursor/composer-2.5", "exact"),
    ("cursor", "composer-2.5[fast=true]", "cursor/composer-2.5-fast", "tier"),
    ("copilot", "claude-opus-4.7", "github-copilot/claude-opus-4.7", "exact"),
];

/// What has no price: one letter off, another tool's list, aliases that move, suffixes that nobody knows.
const UNKNOWN: [(&str, &str); 22] = [
    ("claude-code", "claude-opus-4-88"),
    ("claude-code", "claude-opus-4-"),
    ("claude-code", "Claude-opus-4-8"),
    ("claude-code", "claude-opus-4-8 "),
    ("claude-code", "claude-opus-4-8[2m]"),
    ("claude-code", "claude-opus-4-8+turbo"),
    ("claude-code", "claude-opus-4-8+fast+long"),
    ("claude-code", "composer-2.5"),
    ("claude-code", "deepseek-v4-pro-distill-8b"),
    ("claude-code", "my-claude-opus-4-8"),
    ("claude-code", "us.anthropic.claude-sonnet-4-20250514-v1:0"),
    ("claude-code", "mars.anthropic.claude-opus-4-7"),
    ("codex", "gpt-5.5-turbo"),
    ("codex", "gpt-5.55"),
    ("codex", "gpt-5,5"),
    ("codex", "codex-auto-review"),
    ("codex", "gpt-5.5 (harder)"),
    ("opencode", "grok-4-latest"),
    ("opencode", "qwen-max"),
    ("opencode", "mistral/gpt-5.5"),
    ("opencode", "glm-5.2:free"),
    ("opencode", "<synthetic>"),
];

async fn asked(app: &TestApp, user: &TestUser, source: &str, model: &str) -> serde_json::Value {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("source", source), ("model", model), ("at", "2026-11-20T12:00:00Z")])
        .finish();
    read(app, user, &format!("/v1/prices?{query}")).await
}

#[tokio::test]
async fn every_spelling_is_in_the_book_to_the_letter_or_has_no_price() {
    let app = TestApp::start().await;
    app.begin_prices().await;
    let me = app.user("me", "UTC").await;
    for (source, model, sku, rule) in FOUND {
        let reply = asked(&app, &me, source, model).await;
        assert_eq!((reply["sku"].as_str(), reply["rule"].as_str()), (Some(sku), Some(rule)), "{model}");
        assert!(reply["reason"].is_null() && !reply["rates"].as_array().unwrap().is_empty(), "{model}: {reply}");
    }
    for (source, model) in UNKNOWN {
        let trimmed = asked(&app, &me, source, model.trim_end()).await;
        if model.ends_with(' ') {
            assert_eq!(trimmed["rule"], "exact");
            continue;
        }
        assert_eq!(trimmed["reason"], "unknown_model", "{model}: {trimmed}");
        assert_eq!((&trimmed["sku"], trimmed["rates"].as_array().unwrap().len()), (&serde_json::Value::Null, 0));
    }
    let copilot = asked(&app, &me, "copilot", "gpt-4.1").await;
    assert_eq!(copilot["sku"], "openai/gpt-4.1", "what a tool's own list does not have is looked up in the common one");
}
