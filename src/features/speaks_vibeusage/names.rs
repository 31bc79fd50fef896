//! The product had another name before, and programs of both ask here.

use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::kernel::dashboards::also_named;

/// A route by its name, and by the one that it had before.
pub(super) fn by_both_names<S>(routes: UtoipaMethodRouter<S>) -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    also_named(routes, "vibeusage", "vibescore")
}
