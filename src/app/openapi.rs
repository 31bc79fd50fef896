//! The contract, made from the code: `/openapi.json`, the interactive `/docs` with assets from the
//! binary, and a page for every problem code.

use std::collections::HashMap;
use std::future::ready;

use axum::Extension;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, Method};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, PathItem, RefOr, Schema, ServerBuilder};
use utoipa::{Modify, OpenApi, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::contract_shared::Shared;
use super::paths::{DOCUMENT_PATH, PAGE_PATH};
use super::problem_pages::ProblemPages;
use super::{contract_headers, contract_links, contract_problems};
use crate::kernel::http::body::JSON;
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::problem::{self, Code, Problem, ProblemBody};

/// The frame of the document; the slices fill in paths and schemas.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "halfhour",
        description = "Keeps the token usage that AI coding tools report, exactly, and serves it to dashboards.\n\nEvery \
            error is `application/problem+json`; its `code` is stable and `type` leads to a page that explains it.",
    ),
    modifiers(&Bearer),
    tags(
        (name = "accounts", description = "Users, their devices, and how a device gets its token."),
        (name = "ingest", description = "Trackers post what devices used."),
        (name = "rollups", description = "Dashboards read exact totals."),
        (name = "prices", description = "Public list prices, in books that never change."),
        (name = "opentelemetry", description = "Coding tools export their own logs, without a tracker."),
        (name = "trackers", description = "Trackers of other products report here in their own words."),
        (name = "dashboards", description = "Dashboards of other products ask in their own words."),
        (name = "backfills", description = "Operators change history: plan, execute, roll back."),
        (name = "operations", description = "For those who run the server."),
        (name = "health", description = "For load balancers and orchestrators."),
        (name = "contract", description = "What the API promises."),
    )
)]
struct Contract;

struct Bearer;

/// The kinds of tokens, by the names that routes have for them. A route without any is for everyone.
const SCHEMES: [(&str, &str, &str); 3] = [
    ("device", "hhd_…", "A device's token: it writes the device's own buckets."),
    ("viewer", "hhv_…", "A viewer's token: it reads its own user, and changes what is the user's own."),
    ("operator", "hho_…", "An operator's token: it runs the installation."),
];

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        for (name, format, about) in SCHEMES {
            let scheme =
                HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format).description(Some(about));
            components.add_security_scheme(name, SecurityScheme::Http(scheme.build()));
        }
    }
}

/// The document's frame as a router to merge the slices into. Only described routes can be added to it.
pub fn frame<S: Clone + Send + Sync + 'static>(public_url: &PublicUrl) -> OpenApiRouter<S> {
    let frame = OpenApiRouter::with_openapi(Contract::openapi()).routes(routes!(get_problem_page));
    frame.layer(Extension(ProblemPages::new(public_url)))
}

/// What the slices cannot know: the headers that layers read and send, and under which URL all paths are.
pub fn complete(document: &mut Document, public_url: &PublicUrl) {
    let mut shared = Shared::default();
    for (path, item) in &mut document.paths.paths {
        let is_limited = !path.starts_with("/health/");
        for operation in operations_of(item) {
            contract_problems::describe(operation, is_limited);
            contract_headers::describe(operation, is_limited);
            contract_links::describe(operation);
            // At once: the headers of all answers together take ten megabytes.
            shared.take_from(operation);
        }
    }
    shared.put_into(document);
    let root = if public_url.path().is_empty() { "/" } else { public_url.as_str() };
    let server = ServerBuilder::new().url(root).description(Some("Where this document was read."));
    document.servers = Some(vec![server.build()]);
}

fn operations_of(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// The routes that publish a finished document. It is written once: as a tree it would take megabytes for ever.
pub fn publish<S>(document: &Document, public_url: &PublicUrl) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let config = Config::from(format!("{}{DOCUMENT_PATH}", public_url.path()));
    let page = SwaggerUi::new(PAGE_PATH).config(config);
    // A document of texts always becomes JSON.
    let json = Bytes::from(serde_json::to_vec(document).unwrap_or_default());
    let document = get(move || ready(([(CONTENT_TYPE, JSON)], json.clone())));
    let published = Router::from(page).route(DOCUMENT_PATH, document);
    published.route_layer(map_response(async |mut response: Response| {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
        response
    }))
}

/// The page runs its own scripts and calls this server. Its style is partly written into its elements.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
                           form-action 'none'";

/// The operation's name of every described route, by method and pattern: what log lines call `function`.
pub fn operations(document: &Document) -> HashMap<(Method, String), String> {
    let mut names = HashMap::new();
    for (path, item) in &document.paths.paths {
        let PathItem { get, put, post, delete, patch, .. } = item;
        let methods = [
            (Method::GET, get),
            (Method::PUT, put),
            (Method::POST, post),
            (Method::DELETE, delete),
            (Method::PATCH, patch),
        ];
        for (method, operation) in methods {
            if let Some(name) = operation.as_ref().and_then(|operation| operation.operation_id.clone()) {
                names.insert((method, path.clone()), name);
            }
        }
    }
    names
}

/// The code that a path names, as the contract describes it.
struct ProblemCode;

impl ToSchema for ProblemCode {}

impl PartialSchema for ProblemCode {
    fn schema() -> RefOr<Schema> {
        problem::codes().into()
    }
}

/// Explain a problem code
///
/// The page that a problem's `type` leads to: what happened, whose fault it is, what to do, and an example.
#[utoipa::path(
    get,
    path = "/problems/{code}",
    operation_id = "get_problem_page",
    tag = "contract",
    params(("code" = inline(ProblemCode), Path, description = "A problem's `code`", example = "invalid")),
    responses(
        (status = 200, description = "An explanation for people", content_type = "text/html", body = String),
        (status = 404, description = "No such code", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn get_problem_page(
    Path(name): Path<String>,
    Extension(pages): Extension<ProblemPages>,
) -> Result<Response, Problem> {
    let page = pages.of(&name).ok_or_else(|| {
        let known = Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>().join(", ");
        Problem::new(Code::NotFound, format!("There is no such problem code; there are: {known}."))
    })?;
    Ok(([(CACHE_CONTROL, "public, max-age=3600")], Html(page)).into_response())
}
