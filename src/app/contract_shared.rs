//! What many answers have in common stands in the document once: headers by their names, and refusals by their status.

use std::collections::BTreeMap;

use utoipa::openapi::{OpenApi as Document, Ref, RefOr, Response};

use super::contract_headers::operations_of;

/// Puts what is repeated among the document's components, and refers to it.
pub(crate) fn share(document: &mut Document) {
    let (mut headers, mut refusals) = (BTreeMap::new(), BTreeMap::new());
    for item in document.paths.paths.values_mut() {
        for operation in operations_of(item) {
            for (status, answer) in &mut operation.responses.responses {
                let RefOr::T(response) = answer else { continue };
                share_headers(response, &mut headers);
                if !status.starts_with(['2', '3']) {
                    let name = name_of(status, response, &mut refusals);
                    *answer = RefOr::Ref(Ref::new(format!("#/components/responses/{name}")));
                }
            }
        }
    }
    let components = document.components.get_or_insert_default();
    components.headers.extend(headers);
    components.responses.extend(refusals.into_iter().map(|(name, response)| (name, RefOr::T(response))));
}

/// A header that means the same everywhere is described once. One that means something else stays where it is.
fn share_headers(response: &mut Response, shared: &mut BTreeMap<String, RefOr<utoipa::openapi::header::Header>>) {
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
