//! Placeholder until the slice is merged.

use utoipa_axum::router::OpenApiRouter;

/// The slice's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Days.
    pub max_age_days: Option<u32>,
}

pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    OpenApiRouter::new()
}
