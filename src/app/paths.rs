//! The answer where nothing is. A path with slashes too many gets to know the right one, and is not
//! redirected there, because a redirected POST may lose its body or its token on the way.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::Uri;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::OpenApi as Document;
use utoipa_swagger_ui::Config;

use crate::kernel::problem::{Code, Problem};

/// Where the contract is for machines.
pub(crate) const DOCUMENT_PATH: &str = "/openapi.json";
/// Where it is for people.
pub(crate) const PAGE_PATH: &str = "/docs/";

/// A path that is longer is not repeated to the caller. The route's pattern stands for it.
const LONGEST_REPEATED: usize = 200;

/// Every path that answers, as patterns.
#[derive(Debug)]
pub(crate) struct KnownPaths(Vec<String>);

impl KnownPaths {
    /// Those of the contract, and those that publish it.
    pub(crate) fn new(document: &Document) -> Self {
        let published = [DOCUMENT_PATH, PAGE_PATH].map(str::to_owned);
        Self(document.paths.paths.keys().cloned().chain(published).collect())
    }

    /// 404 for a path that no route takes.
    pub(crate) fn refuse(&self, uri: &Uri) -> Problem {
        let detail = self.meant(uri.path()).map_or_else(
            || "There is no such path; /docs lists them all.".to_owned(),
            |path| format!("Nothing is here, because extra slashes make another path. Ask for `{path}` instead."),
        );
        Problem::new(Code::NotFound, detail)
    }

    /// Keeps what has slashes too many from routes that take any path below theirs.
    pub(crate) async fn guard(&self, request: Request, next: Next) -> Response {
        let path = request.uri().path();
        if path != PAGE_PATH && without_extra_slashes(path) != path {
            return self.refuse(request.uri()).into_response();
        }
        next.run(request).await
    }

    /// The path that answers in place of one with slashes too many, if there is one.
    fn meant(&self, asked: &str) -> Option<String> {
        let path = without_extra_slashes(asked);
        if path == asked {
            return None;
        }
        if path == PAGE_PATH.trim_end_matches('/') {
            return Some(PAGE_PATH.to_owned());
        }
        let pattern = self.0.iter().find(|pattern| fits(&path, pattern)).map(String::as_str);
        let asset = path.strip_prefix(PAGE_PATH).filter(|name| is_asset(name)).map(|_| path.as_str());
        let found = pattern.or(asset)?;
        Some(if path.len() > LONGEST_REPEATED { found.to_owned() } else { path.clone() })
    }
}

/// `//v1//buckets/` as `/v1/buckets`. An encoded slash is a part of a name and stays.
fn without_extra_slashes(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty()).flat_map(|part| ["/", part]).collect()
}

/// Whether a file of that name belongs to the page.
fn is_asset(name: &str) -> bool {
    utoipa_swagger_ui::serve(name, Arc::new(Config::default())).is_ok_and(|file| file.is_some())
}

/// Whether a path is one of those that a pattern such as `/v1/devices/{device_id}/revoke` stands for.
fn fits(path: &str, pattern: &str) -> bool {
    let is_parameter = |part: &str| part.starts_with('{') && part.ends_with('}');
    path.split('/').count() == pattern.split('/').count()
        && path.split('/').zip(pattern.split('/')).all(|(part, expected)| part == expected || is_parameter(expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known() -> KnownPaths {
        let paths = ["/v1/buckets", "/v1/devices/{device_id}/revoke", "/v1/switches/{name}", DOCUMENT_PATH, PAGE_PATH];
        KnownPaths(paths.map(str::to_owned).into())
    }

    #[test]
    fn the_right_path_is_named_where_there_is_one() {
        for (asked, meant) in [
            ("/v1/buckets/", Some("/v1/buckets")),
            ("//v1//buckets", Some("/v1/buckets")),
            ("/v1/devices//7/revoke///", Some("/v1/devices/7/revoke")),
            ("/v1/switches/a%2Fb/", Some("/v1/switches/a%2Fb")),
            ("/openapi.json/", Some("/openapi.json")),
            ("//docs", Some("/docs/")),
            ("/docs//", Some("/docs/")),
            ("/docs//index.html", Some("/docs/index.html")),
            ("/docs//nothing.html", None),
            // Nothing is there without the slashes either.
            ("/v1/devices//revoke", None),
            ("/v1/devices/revoke/", None),
            ("/v1%2Fbuckets/", None),
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
        fn slashes_anywhere_between_and_behind_the_parts_lead_back_to_the_same_path(
            slashes in proptest::collection::vec(1_usize..4, 4), behind in 0_usize..3,
        ) {
            let parts = ["v1", "devices", "7", "revoke"].into_iter().zip(&slashes);
            let asked: String = parts.map(|(part, count)| "/".repeat(*count) + part).collect();
            let asked = asked + &"/".repeat(behind);
            let right = "/v1/devices/7/revoke";
            let expected = (asked != right).then_some(right);
            let meant = known().meant(&asked);
            prop_assert_eq!(meant.as_deref(), expected);
        }
    }
}
