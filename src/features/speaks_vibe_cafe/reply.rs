//! What vibe-usage is answered.

use chrono::SecondsFormat;
use serde::Serialize;
use utoipa::ToSchema;

use super::store::{OwnerRow, UsageRow};
use crate::kernel::access::Token;
use crate::kernel::dialect::{BegunPairing, Polled, Taken};

/// What the tracker may upload.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VibeCafeSettings {
    /// Never: so the tracker adds up the projects of a half hour itself, and sends one row for all.
    upload_project: bool,
}

/// What became of a report.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeCafeReceipt {
    /// Rows that are stored, or were.
    #[schema(example = 7)]
    ingested: usize,
    /// Sessions are not read.
    #[schema(example = 0)]
    sessions: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<VibeCafeDropped>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protected: Option<VibeCafeProtected>,
}

/// Rows that were not taken.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = VibeCafeDropped)]
pub struct VibeCafeDropped {
    /// How many.
    buckets: usize,
    /// Tools that may not report yet. The tracker sends their rows again.
    unknown_sources: Vec<String>,
    /// Rows that count no tokens.
    unknown_models: usize,
    /// Rows that will never be taken.
    implausible: usize,
}

/// Rows against which another version of the bucket stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VibeCafeProtected)]
pub struct VibeCafeProtected {
    /// How many.
    buckets: usize,
}

/// What was taken back.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeCafeDeletion {
    /// How many buckets of this device.
    #[schema(example = 3)]
    deleted: i64,
    /// Sessions are not kept.
    #[schema(example = 0)]
    sessions: i64,
}

/// Usage of some days.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VibeCafeUsage {
    account: VibeCafeAccount,
    /// Whether there was ever any.
    has_any_data: bool,
    buckets: Vec<VibeCafeUsedBucket>,
    /// None are kept.
    #[schema(value_type = Vec<Object>)]
    sessions: [(); 0],
}

/// Whose usage it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeCafeAccount {
    /// The user's name.
    #[schema(example = "ann")]
    handle: String,
    /// Not known.
    name: Option<String>,
}

/// One bucket of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VibeCafeUsedBucket {
    #[schema(example = "codex")]
    source: String,
    #[schema(example = "gpt-5.2-codex")]
    model: String,
    /// Not known.
    #[schema(example = "unknown")]
    project: &'static str,
    /// The device.
    #[schema(example = "laptop")]
    hostname: String,
    /// Without fractions of a second, which its apps do not read.
    #[schema(example = "2026-11-20T10:30:00Z")]
    bucket_start: String,
    input_tokens: i64,
    /// Without reasoning.
    output_tokens: i64,
    cached_input_tokens: i64,
    reasoning_output_tokens: i64,
    cache_creation5m_tokens: i64,
    cache_creation1h_tokens: i64,
    /// Without what comes from a cache.
    total_tokens: i64,
    /// Not known.
    estimated_cost: Option<f64>,
}

/// A pairing that waits for its owner.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VibeCafePairing {
    #[schema(example = "hhp_…")]
    device_code: String,
    #[schema(example = "7K3M-9QXD-2VTA")]
    user_code: String,
    /// A page that says how to approve it.
    verification_uri: String,
    /// The same with the code.
    verification_uri_complete: String,
    /// Seconds between two questions.
    #[schema(example = 5)]
    interval: u32,
    /// Seconds until it is too late.
    #[schema(example = 900)]
    expires_in: u32,
}

/// What became of a pairing: a key, or the reason why there is none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum VibeCafePolled {
    /// It was approved.
    #[serde(rename_all = "camelCase")]
    Paired {
        /// The device's token, as the tracker wants one to look.
        #[schema(example = "vbu_hhd_…")]
        api_key: String,
        /// Where this server is.
        api_url: String,
    },
    /// It was not.
    Waiting {
        /// `authorization_pending`, or `expired_token`.
        error: &'static str,
    },
}

impl VibeCafeSettings {
    /// What everybody is told.
    pub const fn of_everyone() -> Self {
        Self { upload_project: false }
    }
}

impl From<Taken> for VibeCafeReceipt {
    fn from(taken: Taken) -> Self {
        let of = |reason: &str| taken.skipped.get(reason).copied().unwrap_or_default();
        let (buckets, unknown_models) = (taken.skipped(), of("not_tokens"));
        let implausible = buckets - unknown_models - of("unknown_source");
        let unknown_sources = taken.unlisted.into_iter().collect();
        let dropped = VibeCafeDropped { buckets, unknown_sources, unknown_models, implausible };
        Self {
            ingested: taken.accepted,
            sessions: 0,
            dropped: (buckets > 0).then_some(dropped),
            protected: (taken.outweighed > 0).then_some(VibeCafeProtected { buckets: taken.outweighed }),
        }
    }
}

impl VibeCafeDeletion {
    /// So many buckets went.
    pub const fn of(deleted: i64) -> Self {
        Self { deleted, sessions: 0 }
    }
}

impl VibeCafeUsage {
    /// An owner's usage.
    pub fn of(owner: OwnerRow, rows: Vec<UsageRow>) -> Self {
        let OwnerRow { name: handle, has_any_data } = owner;
        let buckets = rows.into_iter().map(VibeCafeUsedBucket::from).collect();
        Self { account: VibeCafeAccount { handle, name: None }, has_any_data, buckets, sessions: [] }
    }
}

impl From<UsageRow> for VibeCafeUsedBucket {
    fn from(row: UsageRow) -> Self {
        let UsageRow { hour_start, source, model, device_name, counts } = row;
        Self {
            source,
            model,
            project: "unknown",
            hostname: device_name,
            bucket_start: hour_start.to_rfc3339_opts(SecondsFormat::Secs, true),
            input_tokens: counts.input_tokens,
            output_tokens: counts.output_tokens - counts.reasoning_tokens,
            cached_input_tokens: counts.cache_read_tokens,
            reasoning_output_tokens: counts.reasoning_tokens,
            cache_creation5m_tokens: counts.cache_write_5m_tokens,
            cache_creation1h_tokens: counts.cache_write_1h_tokens,
            total_tokens: counts.total() - counts.cache_read_tokens,
            estimated_cost: None,
        }
    }
}

impl VibeCafePairing {
    /// Approved at `public_url`.
    pub fn of(pairing: BegunPairing, public_url: &str) -> Self {
        let BegunPairing { device_code, user_code, expires_in_s } = pairing;
        let verification_uri = format!("{public_url}/pair");
        let verification_uri_complete = format!("{verification_uri}?code={user_code}");
        Self {
            device_code,
            user_code,
            verification_uri,
            verification_uri_complete,
            interval: 5,
            expires_in: expires_in_s,
        }
    }
}

impl VibeCafePolled {
    /// Of a server at `public_url`.
    pub fn of(polled: &Polled, public_url: &str) -> Self {
        let key = |token: &Token| format!("vbu_{}", token.reveal());
        match polled {
            Polled::Paired(paired) => Self::Paired { api_key: key(&paired.token), api_url: public_url.to_owned() },
            Polled::Pending => Self::Waiting { error: "authorization_pending" },
            Polled::Expired | Polled::Unknown => Self::Waiting { error: "expired_token" },
        }
    }
}
