//! How the contract describes exports. `json` and `protobuf` read them.

use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// OTLP's `ExportLogsServiceRequest`, of which a server reads the records of usage.
#[derive(ToSchema)]
#[schema(as = ExportLogsServiceRequest)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub(super) struct ExportedLogs {
    /// Resources, each with its scopes, each with its records.
    #[schema(rename = "resourceLogs", value_type = Vec<Object>)]
    resource_logs: Vec<()>,
}

/// The same in bytes. The contract cannot say more of them than that.
pub(super) struct Protobuf;

impl ToSchema for Protobuf {}

impl PartialSchema for Protobuf {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        let about = "A message of OTLP, as Protobuf writes it.";
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).description(Some(about)).into()
    }
}
