//! What callers are told of tokens. The secret of a token is written out by serialising it and by
//! nothing else.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::store::TokenRow;
use crate::kernel::access::Token;

/// What may be shown of a token.
#[derive(Debug, Serialize)]
pub struct TokenListing {
    /// By which it can be revoked.
    pub token_id: Uuid,
    /// device, viewer or operator.
    pub kind: String,
    /// The owner's name.
    pub user: String,
    /// The device's name, for device tokens.
    pub device: Option<String>,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// From when on it is refused, once another one has taken its place.
    pub expires_at: Option<DateTime<Utc>>,
    /// Since when it is refused.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Roughly when it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl From<TokenRow> for TokenListing {
    fn from(row: TokenRow) -> Self {
        let TokenRow { token_id, kind, user_name, device_name, created_at, expires_at, revoked_at, last_used_at } = row;
        Self { token_id, kind, user: user_name, device: device_name, created_at, expires_at, revoked_at, last_used_at }
    }
}

/// Serialises a token as its secret text, for replies that show it.
pub fn reveal<S: Serializer>(token: &Token, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.reveal())
}
