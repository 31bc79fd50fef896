//! What the contract says of these routes alike.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Paths};
use utoipa::openapi::{PathItem, RefOr};
use utoipa::{IntoParams, PartialSchema as _};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

/// What [`super::dashboard_reply`] says in headers.
const FRESHNESS: [(&str, &str); 3] = [
    ("Halfhour-As-Of", "Everything acknowledged before this instant is in the sums."),
    ("Halfhour-Pending", "`true` while newer changes wait to be folded."),
    ("Halfhour-Version", "Rises when the user's rollup changes."),
];

/// The parameters that every question may have.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ZoneAndFilters {
    /// The IANA zone whose days are meant; by default the user's own.
    #[param(example = "Europe/Berlin")]
    pub tz: Option<String>,
    /// Minutes ahead of UTC, for callers that name no `tz`: of a zone that is as far from UTC all year, else refused.
    pub tz_offset_minutes: Option<i16>,
    /// Count only this tool; repeatable, at most 100.
    pub source: Option<Vec<String>>,
    /// Count only this model; repeatable, at most 100. A comma of its name is `%2C`.
    pub model: Option<Vec<String>>,
}

/// The same route, whose success is described with what it says of its freshness.
pub fn saying_freshness<S>((schemas, mut paths, methods): UtoipaMethodRouter<S>) -> UtoipaMethodRouter<S> {
    for operation in operations_of(&mut paths) {
        if let Some(RefOr::T(success)) = operation.responses.responses.get_mut("200") {
            for (name, meaning) in FRESHNESS {
                let header = HeaderBuilder::new().description(Some(meaning)).schema(Some(String::schema())).build();
                success.headers.insert(name.to_owned(), RefOr::T(header));
            }
        }
    }
    (schemas, paths, methods)
}

/// A route under its name, and under the one that it has with `older` in the place of `newer`. The older one is
/// described as deprecated.
pub fn also_named<S>((schemas, paths, methods): UtoipaMethodRouter<S>, newer: &str, older: &str) -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let mut renamed = Paths::new();
    for (path, item) in &paths.paths {
        renamed.paths.insert(path.replace(newer, older), item.clone());
    }
    for operation in operations_of(&mut renamed) {
        operation.operation_id = operation.operation_id.take().map(|name| name.replace(newer, older));
        operation.deprecated = Some(utoipa::openapi::Deprecated::True);
    }
    OpenApiRouter::new().routes((schemas.clone(), paths, methods.clone())).routes((schemas, renamed, methods))
}

fn operations_of(paths: &mut Paths) -> impl Iterator<Item = &mut Operation> {
    paths.paths.values_mut().flat_map(|item| {
        let PathItem { get, post, .. } = item;
        [get, post].into_iter().flatten()
    })
}
