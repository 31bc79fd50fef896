//! What operators send about users.

use utoipa::ToSchema;

use super::super::name::name;
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::values::time_zone;
use crate::kernel::problem::Problem;

/// A user to create.
#[derive(Debug, ToSchema)]
pub struct NewUser {
    /// Unique among active users; no control characters.
    #[schema(min_length = 1, max_length = 100, example = "ann")]
    pub name: String,
    /// The IANA zone whose days the user's rollup holds.
    #[schema(required = false, min_length = 1, max_length = 64, default = "UTC", example = "Europe/Berlin")]
    pub time_zone: String,
}

impl NewUser {
    /// Errors: 400 and 422.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_body(body, &["name", "time_zone"])?;
        let name = fields.text("name", name);
        let time_zone = fields.optional_text("time_zone", time_zone).unwrap_or_else(|| "UTC".to_owned());
        fields.finish(name.map(|name| Self { name, time_zone }))
    }
}
