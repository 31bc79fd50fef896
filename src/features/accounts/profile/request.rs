//! What users send about themselves.

use utoipa::ToSchema;

use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::schemas;
use crate::kernel::http::values::time_zone;
use crate::kernel::problem::Problem;

/// Another time zone for oneself.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileChange {
    #[schema(schema_with = schemas::time_zone)]
    pub time_zone: String,
}

impl ProfileChange {
    /// Errors: 400 and 422.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_body(body, &["time_zone"])?;
        let time_zone = fields.text("time_zone", time_zone);
        fields.finish(time_zone.map(|time_zone| Self { time_zone }))
    }
}
