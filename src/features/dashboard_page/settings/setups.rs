//! How each tracker is told where to report, in one line that can be copied.

/// One tracker, or one use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Its name.
    pub tracker: &'static str,
    /// Where the line goes.
    pub place: &'static str,
    /// The line.
    pub line: String,
}

/// The lines for a device that has a token.
pub fn setups_with_token(url: &str, device_id: &str, token: &str) -> Vec<Setup> {
    let file = format!("{{ \"baseUrl\": \"{url}\", \"deviceToken\": \"{token}\", \"deviceId\": \"{device_id}\" }}");
    let codex = format!(
        "exporter = {{ otlp-http = {{ endpoint = \"{url}/v1/logs\", protocol = \"binary\", headers = {{ \"Authorization\" = \
         \"Bearer {token}\" }} }} }}"
    );
    let claude = format!(
        "export CLAUDE_CODE_ENABLE_TELEMETRY=1 OTEL_LOGS_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf \
         OTEL_EXPORTER_OTLP_ENDPOINT={url} OTEL_EXPORTER_OTLP_HEADERS=\"Authorization=Bearer {token}\""
    );
    let vibe = format!("vibe-usage config set apiUrl {url} && vibe-usage config set apiKey {token} && vibe-usage sync");
    vec![
        Setup { tracker: "Claude Code", place: "in the shell that starts it", line: claude },
        Setup { tracker: "Codex", place: "below [otel] in ~/.codex/config.toml", line: codex },
        Setup { tracker: "vibe-usage", place: "in a shell", line: vibe },
        Setup { tracker: "vibeusage", place: "in its configuration file", line: file.clone() },
        Setup { tracker: "TokenTracker", place: "in its configuration file", line: file },
    ]
}

/// The lines for a device that has a code.
pub fn setups_with_code(url: &str, code: &str) -> Vec<Setup> {
    let vibeusage = format!("vibeusage init --yes --no-open --base-url {url} --link-code {code}");
    vec![Setup { tracker: "vibeusage", place: "in a shell", line: vibeusage }]
}

/// The lines for a program that reads.
pub fn setups_to_read(url: &str, token: &str) -> Vec<Setup> {
    let asked =
        |path: &str, accepts: &str| format!("curl -f -H 'Authorization: Bearer {token}'{accepts} '{url}{path}'");
    vec![
        Setup { tracker: "The last 30 days", place: "in a shell", line: asked("/v1/rollups", "") },
        Setup {
            tracker: "Every bucket of them, as CSV",
            place: "in a shell; 31 days at a time",
            line: asked("/v1/buckets", " -H 'Accept: text/csv'"),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_says_where_and_with_which_secret() {
        for setup in setups_with_token("https://h.example/p", "01a1", "hhd_x") {
            assert!(setup.line.contains("https://h.example/p") && setup.line.contains("hhd_x"), "{setup:?}");
            assert!(!setup.line.contains('\n'), "{setup:?}");
        }
        let to_read = setups_to_read("https://h.example/p", "hhv_x");
        assert!(to_read.iter().all(|setup| setup.line.contains("'https://h.example/p/v1/")), "{to_read:?}");
        assert!(to_read.iter().all(|setup| setup.line.contains("Bearer hhv_x'")), "{to_read:?}");
        assert!(
            setups_with_code("http://h", "7K3M").iter().all(|setup| setup.line.contains("http://h --link-code 7K3M"))
        );
    }
}
