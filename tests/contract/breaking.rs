//! What of a contract breaks its callers: what was taken and is not, and what was told and may not be.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use super::schemas::{Side, compare};

/// What breaks callers of an operation.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Break {
    /// `POST /v1/buckets`, or `every problem`.
    pub operation: String,
    /// The parameter, field, status or media type.
    pub subject: String,
    what: String,
}

impl fmt::Display for Break {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.operation, self.what)
    }
}

/// The two documents, and the operation that is looked at.
struct Comparison<'a> {
    documents: [&'a Value; 2],
    operation: String,
    found: Vec<Break>,
}

/// Everything that breaks callers of the older document.
pub fn breaks(old: &Value, new: &Value) -> Vec<Break> {
    let mut found = Vec::new();
    for (path, item) in members(&old["paths"]) {
        for (method, operation) in members(item).filter(|(_, operation)| operation.is_object()) {
            let name = format!("{} {path}", method.to_uppercase());
            let mut comparison = Comparison { documents: [old, new], operation: name, found: Vec::new() };
            comparison.operations(operation, &new["paths"][path][method]);
            found.extend(comparison.found);
        }
    }
    let mut problem = Comparison { documents: [old, new], operation: "every problem".to_owned(), found: Vec::new() };
    let schema = |document: &Value| document["components"]["schemas"]["Problem"].clone();
    problem.schemas(Side::Told, "answer", "", [&schema(old), &schema(new)]);
    found.extend(problem.found);
    found.sort();
    found.dedup();
    found
}

impl Comparison<'_> {
    fn add(&mut self, subject: &str, what: String) {
        self.found.push(Break { operation: self.operation.clone(), subject: subject.to_owned(), what });
    }

    fn operations(&mut self, old: &Value, new: &Value) {
        let name = self.operation.clone();
        if new.is_null() {
            return self.add(&name, "the operation is gone".to_owned());
        }
        let id = old["operationId"].as_str().unwrap_or_default();
        if old["operationId"] != new["operationId"] {
            self.add(id, format!("operationId `{id}` is another one"));
        }
        let [was_let_in, are_let_in] = [kinds(old), kinds(new)];
        // A route without any kind is for everyone.
        let shut_out: Vec<_> = match (was_let_in.is_empty(), are_let_in.is_empty()) {
            (_, true) => Vec::new(),
            (true, false) => vec!["everyone".to_owned()],
            (false, false) => was_let_in.difference(&are_let_in).cloned().collect(),
        };
        for kind in shut_out {
            self.add(&kind, format!("`{kind}` may not call it any more"));
        }
        self.parameters(&old["parameters"], &new["parameters"]);
        self.contents(Side::Sent, "body", &old["requestBody"]["content"], &new["requestBody"]["content"]);
        if new["requestBody"]["required"] == true && old["requestBody"]["required"] != true {
            self.add("body", "a `body` is required".to_owned());
        }
        for (status, answer) in members(&old["responses"]).filter(|(status, _)| status.starts_with('2')) {
            let told = &new["responses"][status];
            if told.is_null() {
                self.add(status, format!("answer `{status}` is gone"));
                continue;
            }
            for (header, _) in members(&answer["headers"]).filter(|(header, _)| told["headers"][*header].is_null()) {
                self.add(header, format!("header `{header}` is gone"));
            }
            self.contents(Side::Told, "answer", &answer["content"], &told["content"]);
        }
    }

    fn parameters(&mut self, old: &Value, new: &Value) {
        let list = |parameters: &Value| parameters.as_array().cloned().unwrap_or_default();
        let key = |parameter: &Value| {
            (parameter["in"].clone(), parameter["name"].as_str().unwrap_or_default().to_lowercase())
        };
        let (old, new) = (list(old), list(new));
        for parameter in &old {
            let name = parameter["name"].as_str().unwrap_or_default();
            match new.iter().find(|one| key(one) == key(parameter)) {
                None => self.add(name, format!("parameter `{name}` is gone")),
                Some(one) => self.schemas(Side::Sent, "parameter", name, [&parameter["schema"], &one["schema"]]),
            }
        }
        for parameter in new.iter().filter(|parameter| parameter["required"] == true) {
            let name = parameter["name"].as_str().unwrap_or_default();
            let was = old.iter().find(|one| key(one) == key(parameter));
            if was.is_none_or(|was| was["required"] != true) {
                self.add(name, format!("parameter `{name}` is required"));
            }
        }
    }

    fn contents(&mut self, side: Side, place: &str, old: &Value, new: &Value) {
        for (media_type, content) in members(old) {
            if new[media_type].is_null() {
                self.add(media_type, format!("{place} `{media_type}` is gone"));
            } else {
                self.schemas(side, place, "", [&content["schema"], &new[media_type]["schema"]]);
            }
        }
    }

    fn schemas(&mut self, side: Side, place: &str, name: &str, schemas: [&Value; 2]) {
        for (subject, what) in compare(side, self.documents, schemas, name) {
            self.add(&subject, format!("{place} `{subject}`{what}"));
        }
    }
}

/// The members of an object.
pub fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// The kinds of tokens that an operation lets in.
fn kinds(operation: &Value) -> BTreeSet<String> {
    let requirements = operation["security"].as_array().into_iter().flatten();
    requirements.flat_map(|requirement| members(requirement).map(|(kind, _)| kind.clone())).collect()
}
