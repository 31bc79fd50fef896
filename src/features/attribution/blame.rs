//! Whose fault one call was: the rule of the M1 line, and nothing beyond its evidence.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::log_line::LogLine;
use crate::kernel::call::{Answers, Attribution, Evidence, SLOW, attribute};
use crate::kernel::problem::Fault;

/// The client went away before the answer.
const CLIENT_LEFT: u16 = 499;

/// Whose fault a call was, in the order in which somebody wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Blame {
    /// It failed, and the database failed.
    Upstream,
    /// It failed while the database was well.
    Application,
    /// It failed, and the evidence blames nobody.
    Unknown,
    /// It was slow, because the database was.
    UpstreamLatency,
    /// It was slow, and the database was not why.
    ApplicationLatency,
    /// It was refused for what its caller did.
    Client,
    /// All was well.
    None,
}

impl Blame {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::Upstream,
        Self::Application,
        Self::Unknown,
        Self::UpstreamLatency,
        Self::ApplicationLatency,
        Self::Client,
        Self::None,
    ];

    /// As reports spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "UPSTREAM",
            Self::Application => "APPLICATION",
            Self::Unknown => "UNKNOWN",
            Self::UpstreamLatency => "UPSTREAM_LATENCY",
            Self::ApplicationLatency => "APPLICATION_LATENCY",
            Self::Client => "CLIENT",
            Self::None => "NONE",
        }
    }
}

impl Serialize for Blame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What is to be made of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whose fault it was.
    pub blame: Blame,
    /// The line blames somebody whom its evidence does not.
    pub contradicts_itself: bool,
}

/// Judges a line by its evidence. Its own word can only take a blame away.
pub fn judge(line: &LogLine<'_>) -> Judgement {
    let latency = duration(line.latency_ms);
    let upstream = line.upstream_latency_ms.map(duration);
    let evidence = line.upstream_evidence.as_deref().filter(|evidence| *evidence == Evidence::Queued.as_str());
    let evidence = evidence.map(|_| Evidence::Queued);
    let answers = Answers { status: line.upstream_status, latency: upstream, evidence, ..Answers::default() };
    let follows = attribute(line.status, latency, &answers);
    let said = line.attribution.as_deref();
    if line.status < 400 {
        // The line's times are rounded, so that at the very limit its own word may differ by right.
        let contradicts_itself = said.is_some_and(|said| {
            [Attribution::Upstream, Attribution::Application].map(Attribution::as_str).contains(&said)
        });
        return Judgement { blame: of_success(follows), contradicts_itself };
    }
    let contradicts_itself = said.is_some_and(|said| said != follows.as_str());
    let blame = if contradicts_itself { Blame::Unknown } else { of_failure(line, latency, follows) };
    Judgement { blame, contradicts_itself }
}

const fn of_success(follows: Attribution) -> Blame {
    match follows {
        Attribution::UpstreamLatency => Blame::UpstreamLatency,
        Attribution::ApplicationLatency => Blame::ApplicationLatency,
        _ => Blame::None,
    }
}

fn of_failure(line: &LogLine<'_>, latency: Duration, follows: Attribution) -> Blame {
    let is_refusal = line.status < 500 && line.fault.as_deref() == Some(Fault::Client.as_str());
    match follows {
        // Who left after waiting may have had reason to, and the line does not say who kept the client waiting.
        _ if line.status == CLIENT_LEFT && latency >= SLOW => Blame::Unknown,
        _ if is_refusal => Blame::Client,
        Attribution::Upstream => Blame::Upstream,
        Attribution::Application => Blame::Application,
        _ => Blame::Unknown,
    }
}

fn duration(milliseconds: f64) -> Duration {
    Duration::try_from_secs_f64(milliseconds / 1e3).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::log_line::LineKind;
    use super::*;

    /// The judgement of a line with these fields.
    fn judged(fields: &serde_json::Value) -> (Blame, bool) {
        let mut line = json!({"request_id": "r", "function": "f", "stage": "request", "latency_ms": 3});
        for (name, value) in fields.as_object().unwrap() {
            line[name] = value.clone();
        }
        let line = line.to_string();
        let LineKind::Known(line) = LineKind::of(line.as_bytes()) else { panic!("{line}") };
        let Judgement { blame, contradicts_itself } = judge(&line);
        (blame, contradicts_itself)
    }

    #[test]
    fn blame_goes_as_far_as_the_evidence_and_no_further() {
        let cases = [
            (json!({"status": 200}), Blame::None),
            (json!({"status": 200, "upstream_status": 200}), Blame::None),
            (json!({"status": 200, "latency_ms": 9e9}), Blame::None),
            (json!({"status": 503, "upstream_status": 503, "fault": "dependency"}), Blame::Upstream),
            (json!({"status": 503, "fault": "dependency"}), Blame::Unknown),
            (json!({"status": 503, "fault": "server", "upstream_evidence": "pool_exhausted"}), Blame::Unknown),
            (json!({"status": 500, "upstream_status": 200, "fault": "server"}), Blame::Application),
            (json!({"status": 422, "upstream_status": 200, "fault": "client"}), Blame::Client),
            (json!({"status": 401, "fault": "client"}), Blame::Client),
            // Nobody said that it was the caller's.
            (json!({"status": 404, "upstream_status": 200}), Blame::Application),
            (json!({"status": 404}), Blame::Unknown),
            (json!({"status": 404, "upstream_status": 503}), Blame::Unknown),
            // Clients do not make a 500.
            (json!({"status": 500, "fault": "client"}), Blame::Unknown),
            (json!({"status": 500, "fault": "client", "upstream_status": 200}), Blame::Application),
            // Who leaves at once was not kept waiting.
            (json!({"status": 499, "fault": "client", "upstream_status": 504}), Blame::Client),
            (json!({"status": 499, "fault": "client", "latency_ms": 1000}), Blame::Unknown),
            (json!({"status": 499, "fault": "client", "upstream_status": 200, "latency_ms": 5e3}), Blame::Unknown),
            (
                json!({"status": 200, "upstream_status": 200, "latency_ms": 1e3, "upstream_latency_ms": 500}),
                Blame::UpstreamLatency,
            ),
            (
                json!({"status": 200, "upstream_status": 200, "latency_ms": 1e300, "upstream_latency_ms": 1e300}),
                Blame::UpstreamLatency,
            ),
            (json!({"status": 200, "upstream_status": 200, "latency_ms": 1e3}), Blame::ApplicationLatency),
            (
                json!({"status": 200, "upstream_status": 200, "latency_ms": 1e3, "upstream_evidence": "queued"}),
                Blame::None,
            ),
        ];
        for (fields, expected) in cases {
            assert_eq!(judged(&fields), (expected, false), "{fields}");
        }
    }

    #[test]
    fn a_line_whose_word_does_not_follow_from_its_evidence_blames_nobody() {
        for fields in [
            json!({"status": 503, "attribution": "UPSTREAM"}),
            json!({"status": 500, "attribution": "UPSTREAM", "upstream_status": 200}),
            json!({"status": 500, "attribution": "APPLICATION", "upstream_status": 503}),
            json!({"status": 422, "attribution": "UPSTREAM", "upstream_status": 200, "fault": "client"}),
            json!({"status": 500, "attribution": "SOMEBODY", "upstream_status": 200}),
        ] {
            assert_eq!(judged(&fields), (Blame::Unknown, true), "{fields}");
        }
        assert_eq!(judged(&json!({"status": 200, "attribution": "UPSTREAM"})), (Blame::None, true));
        // At the limit the rounded times say slow, and the line, which knew better, does not.
        let rounded = json!({"status": 200, "attribution": "NONE", "upstream_status": 200, "latency_ms": 1000.0});
        assert_eq!(judged(&rounded), (Blame::ApplicationLatency, false));
    }

    proptest! {
        #[test]
        fn nobody_is_blamed_without_evidence(
            status in 100_u16..600, upstream: Option<u16>, latency in 0.0..1e13, waited in proptest::option::of(0.0..1e13),
            fault in proptest::option::of("client|server|dependency|x"),
            said in proptest::option::of("UPSTREAM|APPLICATION|UNKNOWN|NONE|x"),
        ) {
            let (blame, _) = judged(&json!({
                "status": status, "upstream_status": upstream, "latency_ms": latency, "upstream_latency_ms": waited,
                "fault": fault, "attribution": said,
            }));
            match blame {
                Blame::Upstream => prop_assert!(status >= 500 && upstream.is_some_and(|answer| answer >= 500)),
                Blame::Application => prop_assert!(status >= 400 && upstream.is_some_and(|answer| answer < 500)),
                Blame::Client => prop_assert!((400..500).contains(&status) && fault.as_deref() == Some("client")),
                Blame::Unknown => prop_assert!(status >= 400),
                Blame::None => prop_assert!(status < 400),
                Blame::UpstreamLatency | Blame::ApplicationLatency => {
                    prop_assert!(status < 400 && upstream.is_some() && latency >= 1e3);
                }
            }
        }
    }
}
