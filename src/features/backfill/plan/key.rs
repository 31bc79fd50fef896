//! How a request that makes a job is known again: by its key, and by what it said.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::kernel::idempotency::digest;

/// The `Idempotency-Key` of a request that makes a job. It is kept with the job, as long as that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanKey {
    /// SHA-256 of principal, method, path and key.
    pub scope: [u8; 32],
    /// SHA-256 of the request; `None` while its body is being read.
    pub fingerprint: Option<[u8; 32]>,
}

impl PlanKey {
    /// Of a form of an operator, in whose page the key was made up: sent twice it makes one job.
    pub fn of_form(operator_id: Uuid, key: Uuid, fields: &[(String, String)]) -> Self {
        let said = fields.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let scope = digest(&[operator_id.as_bytes(), b"a form that plans", key.as_bytes()]);
        Self { scope, fingerprint: Some(digest(&said.collect::<Vec<_>>())) }
    }
}

/// SHA-256 of a request, of which the body may come in parts.
#[derive(Clone, Debug)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Of a request with these parts besides its body.
    pub fn new(parts: &[&[u8]]) -> Self {
        Self(Sha256::new_with_prefix(digest(parts)))
    }

    /// More of the body.
    pub fn update(&mut self, chunk: &[u8]) {
        self.0.update(chunk);
    }

    /// The whole.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
