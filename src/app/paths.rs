//! The answer where nothing is. A path with slashes too many gets to know the right one, and is not
//! redirected there, because a redirected POST may lose its body or its token on the way.
//!
//! No path of the contract has an empty part or a slash within a part. So a path that has one, written
//! as `/` or as `%2F`, never comes to a route, whatever the route would take.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::Uri;
use percent_encoding::percent_decode_str;
use utoipa::openapi::OpenApi as Document;
use utoipa_swagger_ui::Config;

use crate::kernel::problem::{Code, Problem};

/// Where the contract is for machines.
pub(crate) const DOCUMENT_PATH: &str = "/openapi.json";
/// Where it is for people.
pub(crate) const PAGE_PATH: &str = "/docs/";

/// Where the first page is.
const FIRST_PAGE: &str = "/";

/// A path that is longer is not repeated to the caller. The route's pattern stands for it.
const LONGEST_REPEATED: usize = 200;

/// Every path that answers, as patterns.
#[derive(Debug)]
pub(crate) struct KnownPaths(Vec<String>);

impl KnownPaths {
    /// Those of the contract, those that publish it, and those of pages.
    pub(crate) fn new(document: &Document, pages: &Document) -> Self {
        let published = [DOCUMENT_PATH, PAGE_PATH].map(str::to_owned);
        let described = [document, pages].into_iter().flat_map(|document| document.paths.paths.keys().cloned());
        Self(described.chain(published).collect())
    }

    /// 404 for a path that no route takes.
    pub(crate) fn refuse(&self, uri: &Uri) -> Problem {
        let detail = self.meant(uri.path()).map_or_else(
            || "There is no such path; /docs lists them all.".to_owned(),
            |path| {
                let why = if has_extra_slashes(uri.path()) {
                    "a part of the path is empty or has a slash in it"
                } else {
                    "paths are taken to the letter, and letters of this one are percent-encoded"
                };
                format!("Nothing is here, because {why}. Ask for `{path}` instead.")
            },
        );
        Problem::new(Code::NotFound, detail)
    }

    /// Keeps what has slashes too many from routes, which would take it for a parameter that is empty or has a slash, and
    /// what is no text, which they could not tell what to do about.
    pub(crate) fn admit(&self, request: Request) -> Result<Request, Problem> {
        let path = request.uri().path();
        if percent_decode_str(path).decode_utf8().is_err() {
            return Err(Problem::new(Code::Malformed, "The path is not UTF-8 once its `%` are decoded."));
        }
        if ![PAGE_PATH, FIRST_PAGE].contains(&path) && has_extra_slashes(path) {
            return Err(self.refuse(request.uri()));
        }
        Ok(request)
    }

    /// The path that answers in place of one with slashes too many, or with letters that are percent-encoded, if there is
    /// one.
    fn meant(&self, asked: &str) -> Option<String> {
        let found = if has_extra_slashes(asked) { self.meant_without_slashes(asked) } else { None };
        found.or_else(|| {
            let path = without_extra_slashes(asked);
            if respelled(&path, PAGE_PATH.trim_end_matches('/')).is_some() {
                return Some(PAGE_PATH.to_owned());
            }
            let (pattern, right) = self.0.iter().find_map(|pattern| Some((pattern, respelled(&path, pattern)?)))?;
            let right = if right.len() > LONGEST_REPEATED { pattern.clone() } else { right };
            (right != asked).then_some(right)
        })
    }

    fn meant_without_slashes(&self, asked: &str) -> Option<String> {
        let path = without_extra_slashes(asked);
        if path == PAGE_PATH.trim_end_matches('/') {
            return Some(PAGE_PATH.to_owned());
        }
        if self.0.contains(&path) {
            return Some(path);
        }
        if let Some(pattern) = self.0.iter().find(|pattern| lacks_only(asked, pattern)) {
            return Some(pattern.clone());
        }
        let pattern = self.0.iter().find(|pattern| fits(&path, pattern)).map(String::as_str);
        let asset = path.strip_prefix(PAGE_PATH).filter(|name| is_asset(name)).map(|_| path.as_str());
        let found = pattern.or(asset)?;
        Some(if path.len() > LONGEST_REPEATED { found.to_owned() } else { path.clone() })
    }
}

/// Whether a part of a path is empty, or has a slash in it.
fn has_extra_slashes(path: &str) -> bool {
    path.ends_with('/') || path.contains("//") || encoded_slashes(path).next().is_some()
}

/// Where a path has a slash that is percent-encoded.
fn encoded_slashes(path: &str) -> impl Iterator<Item = usize> {
    path.match_indices('%')
        .map(|(at, _)| at)
        .filter(|at| path.get(at + 1..at + 3).is_some_and(|code| code.eq_ignore_ascii_case("2F")))
}

/// `//v1%2Fbuckets/` as `/v1/buckets`.
fn without_extra_slashes(path: &str) -> String {
    let (mut plain, mut from) = (String::with_capacity(path.len()), 0);
    for at in encoded_slashes(path) {
        plain.extend([&path[from..at], "/"]);
        from = at + 3;
    }
    plain.push_str(&path[from..]);
    plain.split('/').filter(|part| !part.is_empty()).flat_map(|part| ["/", part]).collect()
}

/// The path as a pattern spells it, where it is the same once it is decoded. Parameters stay as they are spelled.
fn respelled(path: &str, pattern: &str) -> Option<String> {
    if path.split('/').count() != pattern.split('/').count() {
        return None;
    }
    let spelled = |(part, expected): (&str, &'_ str)| {
        let decoded = percent_decode_str(part).decode_utf8().ok()?;
        if is_parameter(expected) { Some(part.to_owned()) } else { (decoded == expected).then(|| decoded.into_owned()) }
    };
    let parts: Option<Vec<String>> = path.split('/').zip(pattern.split('/')).map(spelled).collect();
    Some(parts?.join("/"))
}

/// Whether a file of that name belongs to the page.
fn is_asset(name: &str) -> bool {
    utoipa_swagger_ui::serve(name, Arc::new(Config::default())).is_ok_and(|file| file.is_some())
}

/// Whether a path is one of those that a pattern stands for, but for a parameter that is empty: `/v1/devices//revoke`.
fn lacks_only(path: &str, pattern: &str) -> bool {
    let parts: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    let expected: Vec<&str> = pattern.strip_prefix('/').unwrap_or(pattern).split('/').collect();
    let is_empty = |part: &str| part.is_empty() || encoded_slashes(part).count() * 3 == part.len();
    let fits_part = |(part, expected): (&&str, &&str)| part == expected || is_parameter(expected);
    parts.len() == expected.len()
        && parts.iter().zip(&expected).all(fits_part)
        && parts.iter().zip(&expected).any(|(part, expected)| is_parameter(expected) && is_empty(part))
}

fn is_parameter(part: &str) -> bool {
    part.starts_with('{') && part.ends_with('}')
}

/// Whether a path is one of those that a pattern such as `/v1/devices/{device_id}/revoke` stands for.
fn fits(path: &str, pattern: &str) -> bool {
    path.split('/').count() == pattern.split('/').count()
        && path.split('/').zip(pattern.split('/')).all(|(part, expected)| part == expected || is_parameter(expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known() -> KnownPaths {
        let paths = ["/v1/buckets", "/v1/devices/{device_id}/revoke", "/v1/switches/{name}", DOCUMENT_PATH, PAGE_PATH];
        let jobs = ["/v1/backfills", "/v1/backfills/{job_id}", "/v1/backfills/{job_id}/rows"];
        KnownPaths(paths.into_iter().chain(jobs).map(str::to_owned).collect())
    }

    #[test]
    fn the_right_path_is_named_where_there_is_one() {
        for (asked, meant) in [
            ("/v1/buckets/", Some("/v1/buckets")),
            ("//v1//buckets", Some("/v1/buckets")),
            ("/v1/devices//7/revoke///", Some("/v1/devices/7/revoke")),
            ("/v1/switches/ingest%2F", Some("/v1/switches/ingest")),
            ("/v1/switches/%2f%2Fingest", Some("/v1/switches/ingest")),
            ("/v1%2Fbuckets/", Some("/v1/buckets")),
            ("/%2Fv1%2f/buckets", Some("/v1/buckets")),
            // What lacks its parameter is told where that stands.
            ("/v1/devices//revoke", Some("/v1/devices/{device_id}/revoke")),
            ("/v1/devices/%2F%2f/revoke", Some("/v1/devices/{device_id}/revoke")),
            ("/v1/switches/", Some("/v1/switches/{name}")),
            ("/v1/backfills//rows", Some("/v1/backfills/{job_id}/rows")),
            ("/v1/backfills/", Some("/v1/backfills")),
            ("/v1/backfills//7", Some("/v1/backfills/7")),
            ("/openapi.json/", Some("/openapi.json")),
            ("//docs", Some("/docs/")),
            ("/docs//", Some("/docs/")),
            ("/docs//index.html", Some("/docs/index.html")),
            ("/docs//nothing.html", None),
            // A letter that is encoded is the letter.
            ("/v1/%62uckets", Some("/v1/buckets")),
            ("/v1/%62uckets/", Some("/v1/buckets")),
            ("//v1/b%75ckets%2F", Some("/v1/buckets")),
            ("/v1/switche%73/in%67est", Some("/v1/switches/in%67est")),
            ("/openapi%2Ejson", Some("/openapi.json")),
            ("/doc%73", Some("/docs/")),
            ("/doc%73/", Some("/docs/")),
            ("/v1/%2562uckets", None),
            ("/v1/%62uckets%", None),
            ("/v1/%42uckets", None),
            ("/v1/%6", None),
            // Nothing is there without the slashes either.
            ("/v1/devices/revoke/", None),
            ("/v1/switches/a%2Fb/", None),
            ("/v1/switches/%2", None),
            ("/v1/switches/%252F", None),
            ("/v2/buckets/", None),
            ("/V1/buckets/", None),
            ("/", None),
            ("//", None),
            // Nothing is wrong with these slashes.
            ("/v1/buckets", None),
            ("/v1/nothing", None),
        ] {
            assert_eq!(known().meant(asked).as_deref(), meant, "{asked}");
        }
    }

    #[test]
    fn a_path_that_is_no_text_is_told_so_and_any_other_comes_to_the_routes() {
        let admitted = |path: &str| {
            let request = Request::builder().uri(path).body(axum::body::Body::empty()).unwrap();
            known()
                .admit(request)
                .map(drop)
                .map_err(|problem| (problem.code(), problem.body(uuid::Uuid::nil(), "").detail))
        };
        for path in ["/v1/switches/%FF", "/v1/devices/%c3/revoke", "/%ed%a0%80", "/v1/switches/%C3%28"] {
            let (code, detail) = admitted(path).unwrap_err();
            assert!(code == Code::Malformed && detail.contains("UTF-8"), "{path}: {detail}");
        }
        for path in ["/v1/switches/%C3%A9", "/v1/switches/%zz", "/v1/switches/%", "/v1/switches/%00", "/nowhere"] {
            assert_eq!(admitted(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn a_long_path_is_named_by_its_pattern() {
        let asked = |length: usize| format!("/v1/switches/{}/", "x".repeat(length));
        let prefix = "/v1/switches/".len();
        let longest = known().meant(&asked(LONGEST_REPEATED - prefix)).unwrap();
        assert_eq!(longest.len(), LONGEST_REPEATED);
        let longer = known().meant(&asked(LONGEST_REPEATED - prefix + 1));
        assert_eq!(longer.as_deref(), Some("/v1/switches/{name}"));
    }

    proptest! {
        #[test]
        fn what_has_no_extra_slashes_is_never_refused_and_what_is_named_has_none(
            path in "(/|%2F|%2f|%25|[a-z0-9]{1,3}|v1|devices|revoke|switches){0,8}",
        ) {
            let path = format!("/{path}");
            prop_assert_eq!(has_extra_slashes(&path), without_extra_slashes(&path) != path);
            if let Some(meant) = known().meant(&path) {
                prop_assert!(has_extra_slashes(&path));
                prop_assert!(meant == PAGE_PATH || !has_extra_slashes(&meant), "{meant}");
            }
        }

        #[test]
        fn slashes_anywhere_between_and_behind_the_parts_lead_back_to_the_same_path(
            slashes in proptest::collection::vec("/(/|%2F|%2f){0,3}", 4), behind in "(/|%2F|%2f){0,2}",
        ) {
            let parts = ["v1", "devices", "7", "revoke"].into_iter().zip(&slashes);
            let asked: String = parts.flat_map(|(part, slash)| [slash.as_str(), part]).collect();
            let asked = asked + &behind;
            let right = "/v1/devices/7/revoke";
            let expected = (asked != right).then_some(right);
            let meant = known().meant(&asked);
            prop_assert_eq!(meant.as_deref(), expected);
        }
    }
}
