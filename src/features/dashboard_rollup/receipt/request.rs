//! A request for a receipt: which days, which buckets.

use crate::features::dashboard_rollup::checked::Checked;
use crate::features::dashboard_rollup::range::{AskedDays, Cap, CapUnit, DayRange, FILTERS, Filters};
use crate::features::dashboard_rollup::snapshot::UsageRequest;
use crate::features::dashboard_rollup::state::RollupState;
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::problem::Problem;

const KNOWN: [&str; 5] = ["from", "to", "source", "model", "device"];

/// No receipt is of more days.
pub const DAYS: Cap =
    Cap { most: 800, unit: CapUnit::Days, of: "a receipt", instead: ", or for GET /v1/rollups?width=month" };

/// What is asked for, before it is known which day is today. By default: thirty days of all usage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiptRequest {
    /// The local days, as far as they are named.
    pub days: AskedDays,
    /// The buckets that count.
    pub filters: Filters,
}

impl ReceiptRequest {
    /// Reads the query's parameters. Errors: 422 with every violation.
    pub(super) fn parse(parameters: &[(String, String)]) -> Result<Checked<Self>, Problem> {
        let mut fields = FieldReader::of_query(parameters, &KNOWN, &FILTERS);
        let request = Self { days: AskedDays::read(&mut fields), filters: Filters::read(&mut fields) };
        fields.add(request.days.violation(&DAYS));
        Checked::new(fields, request)
    }
}

impl UsageRequest for ReceiptRequest {
    fn resolve(&self, state: &RollupState) -> Result<DayRange, Problem> {
        let days = self.days.resolve(state.today());
        days.violation(&DAYS).map_or(Ok(days), |violation| Err(Problem::invalid(vec![violation])))
    }
}
