//! What an owner is told of an approval, and the page that says how to give it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::kernel::idempotency::Answer;
use crate::kernel::problem::Problem;

/// A pairing that was approved.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApprovedPairing)]
pub struct ApprovedPairing {
    /// Until when the device must have asked for its token.
    pub expires_at: DateTime<Utc>,
}

impl ApprovedPairing {
    /// The answer to the approval.
    pub fn answer(&self) -> Result<Answer, Problem> {
        Answer::created(self)
    }
}

/// The page for a code, which a device sends its owner to.
pub fn page(public_url: &str, code: &str) -> String {
    let shown: String =
        code.chars().filter(|symbol| symbol.is_ascii_alphanumeric() || *symbol == '-').take(20).collect();
    let code = if shown.is_empty() { "XXXX-XXXX-XXXX".to_owned() } else { shown };
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Pair a device</title>\n\
         <body style=\"font: 1rem/1.5 system-ui; max-width: 44rem; margin: 3rem auto; padding: 0 1rem\">\n\
         <h1>Pair a device</h1>\n\
         <p>A tracker shows the code <strong><code>{code}</code></strong> and waits to be approved. Approve it only if \
         you have just started the tracker yourself, and if it shows the same code.</p>\n\
         <p>With your viewer token, on any machine:</p>\n\
         <pre>curl {public_url}/v1/pairings -H \"Authorization: Bearer hhv_…\" \\\n  \
         --json '{{\"code\": \"{code}\"}}'</pre>\n\
         <p>Or on the server's machine:</p>\n\
         <pre>halfhour device approve --user YOUR_NAME --code {code}</pre>\n\
         <p>The tracker goes on by itself within some seconds. A code lives for 15 minutes.</p>\n</body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn a_page_shows_a_code_and_nothing_else_that_it_is_given() {
        let shown = page("http://h", "7K3M-9QXD-2VTA\"><script>alert('é')</script>");
        assert!(shown.contains("7K3M-9QXD-2VTAscript"), "{shown}");
        assert!(!shown.contains("<script") && !shown.contains('é'), "{shown}");
        assert!(page("http://h", "<>").contains("approve --user YOUR_NAME --code XXXX-XXXX-XXXX"));
    }
}
