//! What a new device sends.

use std::borrow::Cow;

use utoipa::ToSchema;

use super::super::devices::{platform, read_platform};
use super::super::name::name;
use super::link_code::{LinkCode, LinkRequest};
use crate::kernel::http::field_reader::{Broken, FieldReader};
use crate::kernel::http::schemas;
use crate::kernel::problem::Problem;

/// What is wrong with every code that cannot be exchanged, whatever the reason.
pub const UNUSABLE_CODE: Broken =
    ("unusable_code", Cow::Borrowed("This code cannot be used: it is mistyped, used, expired, or was never made."));

/// A link code to exchange.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    #[schema(schema_with = schemas::typed_code)]
    pub code: LinkCode,
    /// A UUID that the device makes at random and keeps to itself. An exchange that is repeated
    /// with it gives the same token.
    #[schema(value_type = Uuid, example = "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2")]
    pub request_id: LinkRequest,
    #[schema(schema_with = schemas::name)]
    pub device_name: String,
    #[schema(required = false, schema_with = platform)]
    pub platform: String,
}

impl Exchange {
    /// Errors: 400 and 422. A text that cannot be a code is answered like a code that is not known.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_body(body, &["code", "request_id", "device_name", "platform"])?;
        let code = fields.text("code", |text| LinkCode::parse(text).ok_or(UNUSABLE_CODE));
        let request_id = fields.text("request_id", |text| {
            LinkRequest::parse(text).ok_or(("not_a_uuid", "Expected a UUID, made at random.".into()))
        });
        let device_name = fields.text("device_name", name);
        let platform = read_platform(&mut fields);
        let read = (|| Some(Self { code: code?, request_id: request_id?, device_name: device_name?, platform }))();
        fields.finish(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_names_everything_that_is_missing_and_no_secret() {
        let problem = Exchange::parse(b"{}").unwrap_err();
        let found = problem.violations().iter().map(|violation| (violation.pointer.as_str(), violation.code));
        let all = [("/code", "missing"), ("/request_id", "missing"), ("/device_name", "missing")];
        assert_eq!(found.collect::<Vec<_>>(), all);
        let read = Exchange::parse(
            br#"{"code":"7k3m 9qxd 2vta","request_id":"01a1fbd2-04cd-7475-82af-448fd229c7ad","device_name":"x"}"#,
        );
        let printed = format!("{:?}", read.unwrap());
        assert!(!printed.contains("7K3M") && !printed.contains("01a1fbd2"), "{printed}");
    }
}
