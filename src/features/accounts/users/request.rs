//! What operators send about users.

use utoipa::ToSchema;

use super::super::name::name;
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::schemas;
use crate::kernel::http::values::time_zone;
use crate::kernel::problem::Problem;

/// A user to create.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    #[schema(schema_with = schemas::name)]
    pub name: String,
    /// Whose days the user's rollup holds; `UTC` where it is left out.
    #[schema(required = false, schema_with = schemas::time_zone)]
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
