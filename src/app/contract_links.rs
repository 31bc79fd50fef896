//! Links of the contract: which answer holds a value that only the server knows, and which request takes it. Tools and
//! readers walk along them from one call to the next.

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::link::{Link, LinkBuilder};
use utoipa::openapi::path::Operation;

/// A value of an answer, and the parameters or the body that takes it.
struct Told {
    /// The operation that answers, and with which status.
    from: (&'static str, &'static str),
    /// What the link is called.
    name: &'static str,
    /// The operation that takes it.
    to: &'static str,
    /// Its parameters, each with where it stands.
    parameters: &'static [(&'static str, &'static str)],
    /// A body with one field, and where its value stands.
    body: Option<(&'static str, &'static str)>,
    about: &'static str,
}

const BODY_CURSOR: &[(&str, &str)] = &[("cursor", "$response.body#/next_cursor")];
const JOB: &[(&str, &str)] = &[("job_id", "$response.body#/id")];
const VERSIONED_JOB: &[(&str, &str)] = &[("job_id", "$response.body#/id"), ("If-Match", "$response.header.ETag")];
const NEXT: &str = "The page behind this one, where `next_cursor` is not null. Every other parameter stays as it was.";
const DEVICE: &[(&str, &str)] = &[("device_id", "$response.body#/device_id")];

const fn page(operation: &'static str, parameters: &'static [(&'static str, &'static str)]) -> Told {
    Told { from: (operation, "200"), name: "next_page", to: operation, parameters, body: None, about: NEXT }
}

const fn told(
    from: (&'static str, &'static str),
    name: &'static str,
    to: &'static str,
    parameters: &'static [(&'static str, &'static str)],
    about: &'static str,
) -> Told {
    Told { from, name, to, parameters, body: None, about }
}

/// Pages of what belongs to a job.
const JOB_PAGE: &[(&str, &str)] = &[("job_id", "$request.path.job_id"), ("cursor", "$response.body#/next_cursor")];

const LINKS: &[Told] = &[
    page("get_rollups", BODY_CURSOR),
    page("get_buckets", BODY_CURSOR),
    page("list_devices", BODY_CURSOR),
    page("list_users", BODY_CURSOR),
    page("list_backfills", BODY_CURSOR),
    page("list_backfill_rows", JOB_PAGE),
    page("list_backfill_exceptions", JOB_PAGE),
    told(("register_device", "201"), "rotate", "rotate_device", DEVICE, "Another token for this device."),
    told(("register_device", "201"), "revoke", "revoke_device", DEVICE, "The end of this device's tokens."),
    told(("exchange_link_code", "201"), "rotate", "rotate_device", DEVICE, "Another token, for the device's owner."),
    told(("exchange_link_code", "201"), "revoke", "revoke_device", DEVICE, "Its end, for the device's owner."),
    Told {
        from: ("make_link_code", "201"),
        name: "exchange",
        to: "exchange_link_code",
        parameters: &[],
        body: Some(("code", "$response.body#/code")),
        about: "The device's part: `code` with a `request_id` and a `device_name` of its own.",
    },
    told(("create_backfill", "201"), "job", "get_backfill", JOB, "The plan, with its diff."),
    told(("create_backfill", "201"), "rows", "list_backfill_rows", JOB, "The plan, row by row."),
    told(("create_backfill", "201"), "exceptions", "list_backfill_exceptions", JOB, "Lines that are not acceptable."),
    told(("create_backfill", "201"), "execute", "execute_backfill", VERSIONED_JOB, "The plan's execution."),
    told(("create_backfill", "201"), "cancel", "cancel_backfill", VERSIONED_JOB, "The plan's end."),
    told(
        ("get_backfill", "200"),
        "execute",
        "execute_backfill",
        VERSIONED_JOB,
        "Its execution, while it is `planned`.",
    ),
    told(("get_backfill", "200"), "cancel", "cancel_backfill", VERSIONED_JOB, "Its end, before it has ended."),
    told(("get_backfill", "200"), "rollback", "rollback_backfill", VERSIONED_JOB, "The way back, after it has ended."),
    told(("execute_backfill", "200"), "job", "get_backfill", JOB, "How far it has come."),
    told(("add_source", "201"), "retire", "retire_source", &[("name", "$response.body#/name")], "The tool's end."),
];

/// Puts the links into the operation that answers with what they need.
pub(crate) fn describe(operation: &mut Operation) {
    let name = operation.operation_id.clone().unwrap_or_default();
    for told in LINKS.iter().filter(|told| told.from.0 == name) {
        add(operation, told);
    }
}

fn add(operation: &mut Operation, told: &Told) {
    if let Some(RefOr::T(answer)) = operation.responses.responses.get_mut(told.from.1) {
        answer.links.insert(told.name.to_owned(), RefOr::T(link(told)));
    }
}

fn link(told: &Told) -> Link {
    let link = LinkBuilder::new().operation_id(told.to).description(told.about);
    let link = told.parameters.iter().fold(link, |link, (name, place)| link.parameter(*name, Value::from(*place)));
    let body =
        told.body.map(|(field, place)| Value::Object([(field.to_owned(), Value::from(place))].into_iter().collect()));
    link.request_body(body).build()
}
