//! What other slices keep of a person, and how they remove it. The composition root hands it over
//! from the slices that can.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::kernel::call::RequestContext;
use crate::kernel::problem::Problem;

type Work = dyn Fn(RequestContext, Uuid) -> BoxFuture<'static, Result<u64, Problem>> + Send + Sync;

/// What one slice keeps of a person.
#[derive(Clone)]
pub struct Part {
    count: Arc<Work>,
    forget: Arc<Work>,
}

/// What all other slices keep of a person.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Rows of jobs. They go first, so that no job writes anything of the person any more.
    pub jobs: Part,
    /// Rows of the rollup.
    pub rollups: Part,
}

impl Part {
    /// `count` says how many rows there are. `forget` removes some in a short transaction of its own
    /// and says how many, and 0 where nothing was left and nothing can come any more.
    pub fn new(
        count: impl Fn(RequestContext, Uuid) -> BoxFuture<'static, Result<u64, Problem>> + Send + Sync + 'static,
        forget: impl Fn(RequestContext, Uuid) -> BoxFuture<'static, Result<u64, Problem>> + Send + Sync + 'static,
    ) -> Self {
        Self { count: Arc::new(count), forget: Arc::new(forget) }
    }

    /// How many rows there are of a user.
    pub(super) async fn count(&self, context: &RequestContext, user_id: Uuid) -> Result<i64, Problem> {
        Ok(i64::try_from((self.count)(context.clone(), user_id).await?).unwrap_or(i64::MAX))
    }

    /// Removes some rows of a user who was erased.
    pub(super) async fn forget(&self, context: &RequestContext, user_id: Uuid) -> Result<i64, Problem> {
        Ok(i64::try_from((self.forget)(context.clone(), user_id).await?).unwrap_or(i64::MAX))
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Part")
    }
}
