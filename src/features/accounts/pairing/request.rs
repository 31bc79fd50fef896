//! What an owner sends to approve a device.

use std::borrow::Cow;

use utoipa::ToSchema;

use crate::kernel::http::field_reader::{Broken, FieldReader};
use crate::kernel::http::schemas;
use crate::kernel::problem::Problem;

/// What is wrong with a code that no device shows.
pub const NO_SUCH_CODE: Broken =
    ("no_such_code", Cow::Borrowed("No device shows this code: it is mistyped, or of another server."));

/// A pairing to approve.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PairingApproval)]
pub struct Approval {
    #[schema(schema_with = schemas::typed_code)]
    pub code: String,
}

impl Approval {
    /// Errors: 400 and 422.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_body(body, &["code"])?;
        let code = fields.text("code", |text| Ok(text.to_owned()));
        fields.finish(code.map(|code| Self { code }))
    }
}
