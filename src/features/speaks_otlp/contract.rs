//! How the contract describes exports. `json` and `protobuf` read them.

use utoipa::ToSchema;

/// OTLP's `ExportLogsServiceRequest`, of which a server reads the records of usage.
#[derive(ToSchema)]
#[schema(as = ExportLogsServiceRequest)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub(super) struct ExportedLogs {
    /// Resources, each with its scopes, each with its records.
    #[schema(rename = "resourceLogs", value_type = Vec<Object>)]
    resource_logs: Vec<()>,
}
