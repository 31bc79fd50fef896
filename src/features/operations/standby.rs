//! How the standby is, as the status shows it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::kernel::database::{Fallback, Standby, StandbyReport};

/// The standby that answers reads, as this process knows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct StandbyReply {
    /// Whether reads ask it.
    is_usable: bool,
    /// Why they do not, as `read_fallback` of log lines says it; null where they do.
    #[schema(example = "behind")]
    reason: Option<&'static str>,
    /// How long ago the primary was where the standby has not come to yet; null while nobody knows.
    #[schema(example = 0.0)]
    lag_seconds: Option<f64>,
}

impl StandbyReply {
    pub(super) fn new(standby: &Standby) -> Self {
        let StandbyReport { usable, lag } = standby.report();
        let reason = usable.err().map(Fallback::as_str);
        Self { is_usable: usable.is_ok(), reason, lag_seconds: lag.map(|lag| lag.as_secs_f64()) }
    }
}
