//! What inner layers learn about a request and the outermost one writes down.

use std::sync::{Arc, Mutex, PoisonError};

use super::request_log_line::PrincipalName;

/// What inner layers learn about a request, for its line.
#[derive(Clone, Debug, Default)]
pub struct Observed(Arc<Mutex<Option<PrincipalName>>>);

impl Observed {
    /// The caller is known.
    pub fn set_principal(&self, name: PrincipalName) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
    }

    /// The caller, where it is known.
    pub fn principal(&self) -> Option<PrincipalName> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
