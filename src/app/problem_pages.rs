//! The pages that a problem's `type` leads to: `docs/problems/<code>.md`, made into HTML once, when the server starts.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Bytes;
use pulldown_cmark::{Event, Parser, html};
use serde::Serialize;

use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::problem::Code;

/// What stands around every page. It brings its style along and runs nothing.
const STYLE: &str = ":root { color-scheme: light dark } \
                     body { font: 1rem/1.5 system-ui; max-width: 44rem; margin: 3rem auto; padding: 0 1rem } \
                     h2 { font-size: 1.15rem; margin: 2rem 0 0 } dt { float: left; width: 5rem } \
                     pre { overflow-x: auto; padding: 0.75rem; border: 1px solid; border-radius: 0.25rem }";

/// Where the server of the examples is.
const EXAMPLE: &str = "http://127.0.0.1:8080";

/// All of them, by code. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct ProblemPages(Arc<HashMap<&'static str, Bytes>>);

impl ProblemPages {
    /// For callers who reach the server so.
    pub(super) fn new(public_url: &PublicUrl) -> Self {
        let page = |code: &Code| {
            let page = page(*code).replace(EXAMPLE, public_url.as_str());
            (code.as_str(), Bytes::from(public_url.lead(&page).into_owned()))
        };
        Self(Arc::new(Code::ALL.iter().map(page).collect()))
    }

    /// `None` where there is no such code.
    pub(super) fn of(&self, code: &str) -> Option<Bytes> {
        self.0.get(code).cloned()
    }
}

fn page(code: Code) -> String {
    let (name, title) = (code.as_str(), code.title());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{name}</title>\n<style>{STYLE}</style></head>\n\
         <body><main>\n<h1><code>{name}</code></h1>\n"
    );
    html::push_html(&mut page, Parser::new(&format!("**{title}.**")));
    page.push_str("<dl>\n");
    for (term, value) in
        [("Status", code.status().as_u16().to_string()), ("Fault", word(code.fault())), ("Retry", word(code.retry()))]
    {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "<dt>{term}</dt><dd><code>{value}</code></dd>");
    }
    page.push_str("</dl>\n");
    push_markdown(&mut page, without_heading(code.page()));
    page.push_str("<p><a href=\"/docs\">The whole API</a></p>\n</main></body>\n</html>\n");
    page
}

/// Tags that somebody writes into a text are shown and not obeyed.
fn push_markdown(page: &mut String, markdown: &str) {
    html::push_html(page, Parser::new(markdown).map(as_text));
}

fn as_text(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(tag) | Event::InlineHtml(tag) => Event::Text(tag),
        other => other,
    }
}

/// The first line is the code, for who reads the file.
fn without_heading(markdown: &str) -> &str {
    markdown.split_once('\n').map_or("", |(_, rest)| rest)
}

fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_with_its_words_and_what_the_text_says() {
        let pages = ProblemPages::new(&PublicUrl::from("http://h"));
        for code in Code::ALL {
            let page = String::from_utf8(pages.of(code.as_str()).unwrap().to_vec()).unwrap();
            for expected in [
                format!("<h1><code>{}</code></h1>", code.as_str()),
                format!("<dd><code>{}</code></dd>", code.status().as_u16()),
                "<h2>What happened</h2>".to_owned(),
                "<h2>Whose fault it is</h2>".to_owned(),
                "<h2>What to do</h2>".to_owned(),
                "<h2>Example</h2>".to_owned(),
                "<code class=\"language-json\">".to_owned(),
            ] {
                assert!(page.contains(&expected), "{expected} is not in {page}");
            }
            assert!(!page.contains("<script") && page.matches("<h1>").count() == 1, "{page}");
        }
        assert_eq!(pages.of("nonsense"), None);
        assert_eq!(pages.of(""), None);
    }

    #[test]
    fn every_path_is_led_and_examples_are_of_this_server() {
        let pages = ProblemPages::new(&PublicUrl::from("https://example.org/halfhour"));
        let page = String::from_utf8(pages.of("not_found").unwrap().to_vec()).unwrap();
        assert!(page.contains("href=\"/halfhour/docs\""), "{page}");
        assert!(page.contains("GET /halfhour/v1/bucket\n"), "{page}");
        assert!(page.contains("https://example.org/halfhour/problems/not_found"), "{page}");
        assert!(!page.contains("127.0.0.1"), "{page}");
    }

    #[test]
    fn tags_in_a_text_are_shown_and_not_obeyed() {
        let mut page = String::new();
        push_markdown(&mut page, "a <b>bold</b> `<i>`\n\n<script>alert(1)</script>\n\n<div>\nx\n</div>\n");
        assert!(!["<b>", "<i>", "<script", "<div"].iter().any(|tag| page.contains(tag)), "{page}");
        assert!(page.contains("&lt;script&gt;"), "{page}");
    }
}
