//! What users send about themselves.

use utoipa::ToSchema;

use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::values::time_zone;
use crate::kernel::problem::Problem;

/// Another time zone for oneself.
#[derive(Debug, ToSchema)]
pub struct ProfileChange {
    /// An IANA name, in PostgreSQL's spelling. The rollup follows within seconds.
    #[schema(min_length = 1, max_length = 64, example = "Europe/Berlin")]
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
