//! Where callers reach this server, as they see it.
//!
//! A proxy may serve it under a path and strip that path from what it passes on. Routes do not know
//! of it. Every path that leaves the server is put under it here.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::header::{LINK, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// What every path of this server begins with. Only these are put under the public path in sentences, because a
/// sentence may hold a slash for other reasons.
const ROOTS: [&str; 6] = ["/v1/", "/docs", "/openapi.json", "/problems/", "/health/", "/metrics"];

/// A URL without a slash at its end, and the path in it.
#[derive(Clone, Debug)]
pub struct PublicUrl {
    url: Arc<str>,
    path: Arc<str>,
}

impl From<&str> for PublicUrl {
    fn from(url: &str) -> Self {
        let url = url.trim_end_matches('/');
        let behind_scheme = url.find("://").map_or(0, |at| at + 3);
        let path = url[behind_scheme..].find('/').map_or("", |at| &url[behind_scheme + at..]);
        Self { url: url.into(), path: path.into() }
    }
}

impl PublicUrl {
    /// The whole of it.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// `/halfhour`, or nothing where the server has its host for itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A sentence or a page with every path of this server put under the public one.
    pub fn lead<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.path.is_empty() {
            return text.into();
        }
        let mut led = String::new();
        let mut copied = 0;
        for (at, _) in text.match_indices('/').filter(|(at, _)| begins_path(text, *at)) {
            led.push_str(&text[copied..at]);
            led.push_str(&self.path);
            copied = at;
        }
        led.push_str(&text[copied..]);
        led.into()
    }

    /// `Location` and `Link` of an answer, put under the public path.
    pub fn lead_headers(&self, headers: &mut HeaderMap) {
        if self.path.is_empty() {
            return;
        }
        change(headers, LOCATION, |place| {
            let is_path = place.starts_with('/') && !place.starts_with("//");
            is_path.then(|| format!("{}{place}", self.path))
        });
        change(headers, LINK, |links| Some(links.replace("</", &format!("<{}/", self.path))));
    }
}

/// Whether a path of this server begins at that slash, and is not the rest of a longer one.
fn begins_path(text: &str, at: usize) -> bool {
    let goes_on = |before: char| before.is_alphanumeric() || "/.-_~%:}".contains(before);
    !text[..at].ends_with(goes_on) && ROOTS.iter().any(|root| text[at..].starts_with(root))
}

/// Changes the values of a header that `change` has another one for.
fn change(headers: &mut HeaderMap, name: HeaderName, change: impl Fn(&str) -> Option<String>) {
    if let axum::http::header::Entry::Occupied(mut values) = headers.entry(name) {
        for value in values.iter_mut() {
            let changed = value.to_str().ok().and_then(&change).and_then(|text| HeaderValue::try_from(text).ok());
            if let Some(changed) = changed {
                *value = changed;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_what_follows_the_host() {
        for (url, whole, path) in [
            ("https://example.org", "https://example.org", ""),
            ("https://example.org/", "https://example.org", ""),
            ("https://example.org:8443/halfhour/", "https://example.org:8443/halfhour", "/halfhour"),
            ("http://[::1]:80/a/b", "http://[::1]:80/a/b", "/a/b"),
            ("", "", ""),
        ] {
            let public = PublicUrl::from(url);
            assert_eq!((public.as_str(), public.path()), (whole, path), "{url}");
        }
    }

    #[test]
    fn every_path_of_this_server_in_a_sentence_is_led_and_nothing_else_is() {
        let led = |text| PublicUrl::from("http://h/p").lead(text).into_owned();
        for (text, expected) in [
            ("There is no such path; /docs lists them all.", "There is no such path; /p/docs lists them all."),
            ("`/v1/me` or (GET /v1/rollups)", "`/p/v1/me` or (GET /p/v1/rollups)"),
            ("<a href=\"/docs\">", "<a href=\"/p/docs\">"),
            ("/problems/x", "/p/problems/x"),
            ("http://h/p/problems/x and a/docs", "http://h/p/problems/x and a/docs"),
            ("application/json, 1/2, /buckets/3/hour_start", "application/json, 1/2, /buckets/3/hour_start"),
            ("ä/docs/ü /docs", "ä/docs/ü /p/docs"),
        ] {
            assert_eq!(led(text), expected);
            assert_eq!(PublicUrl::from("http://h").lead(text), text);
        }
    }

    #[test]
    fn places_and_links_are_led_and_those_of_other_hosts_are_not() {
        let mut headers = HeaderMap::new();
        let values =
            [("location", "/docs/"), ("location", "//other/x"), ("link", "</v1/a?b=1>; rel=\"next\", </v1/c>")];
        let other = [("link", "<https://other/x>"), ("etag", "\"</v1/>\"")];
        for (name, value) in values.into_iter().chain(other) {
            headers.append(name, HeaderValue::from_static(value));
        }
        let unchanged = headers.clone();
        PublicUrl::from("http://h").lead_headers(&mut headers);
        assert_eq!(headers, unchanged);
        PublicUrl::from("http://h/p").lead_headers(&mut headers);
        let all = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(all("location"), ["/p/docs/", "//other/x"]);
        assert_eq!(all("link"), ["</p/v1/a?b=1>; rel=\"next\", </p/v1/c>", "<https://other/x>"]);
        assert_eq!(all("etag"), ["\"</v1/>\""]);
    }
}
