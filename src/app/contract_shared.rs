//! What many answers have in common stands in the document once: headers by their names, and refusals by their status.

use std::collections::BTreeMap;

use utoipa::openapi::header::Header;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi as Document, Ref, RefOr, Response};

/// What operations have in common.
#[derive(Default)]
pub(crate) struct Shared {
    headers: BTreeMap<String, RefOr<Header>>,
    refusals: BTreeMap<String, Response>,
}

impl Shared {
    /// Takes out of an operation what is repeated, and leaves references to it.
    pub(crate) fn take_from(&mut self, operation: &mut Operation) {
        for (status, answer) in &mut operation.responses.responses {
            let RefOr::T(response) = answer else { continue };
            share_headers(response, &mut self.headers);
            if !status.starts_with(['2', '3']) {
                let name = name_of(status, response, &mut self.refusals);
                *answer = RefOr::Ref(Ref::new(format!("#/components/responses/{name}")));
            }
        }
    }

    /// Puts it among the document's components.
    pub(crate) fn put_into(self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        components.headers.extend(self.headers);
        let refusals = self.refusals.into_iter().map(|(name, response)| (name, RefOr::T(response)));
        components.responses.extend(refusals);
    }
}

/// A header that means the same everywhere is described once. One that means something else stays where it is.
fn share_headers(response: &mut Response, shared: &mut BTreeMap<String, RefOr<Header>>) {
    for (name, header) in &mut response.headers {
        if shared.entry(name.clone()).or_insert_with(|| header.clone()) == header {
            *header = RefOr::Ref(Ref::new(format!("#/components/headers/{name}")));
        }
    }
}

/// The name of a refusal: `Refusal422`, or `Refusal422-2` for the second one of that status.
fn name_of(status: &str, response: &Response, refusals: &mut BTreeMap<String, Response>) -> String {
    let first = std::iter::once(format!("Refusal{status}"));
    let mut names = first.chain((2..).map(|number| format!("Refusal{status}-{number}")));
    let is_free = |name: &String| refusals.get(name).is_none_or(|known| known == response);
    let name = names.find(is_free).unwrap_or_default();
    refusals.entry(name.clone()).or_insert_with(|| response.clone());
    name
}
