//! The code in a link that signs somebody in. It cannot be printed by accident.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::kernel::access::{ServerKey, Token, TokenKind};

/// Of a user's id, the second at which the code expires, and what nobody can guess.
const PLAIN: usize = 16 + 8 + 16;
/// What the server's key makes of that.
const SEAL: usize = 16;

/// A code: whom it signs in, and until when.
#[derive(Clone, PartialEq, Eq)]
pub struct SignInCode([u8; PLAIN + SEAL]);

impl SignInCode {
    /// A new code. Errors: the operating system gives no randomness.
    pub fn make(key: &ServerKey, user_id: Uuid, until: DateTime<Utc>) -> Result<Self, getrandom::Error> {
        let mut bytes = [0_u8; PLAIN + SEAL];
        let (plain, seal) = bytes.split_at_mut(PLAIN);
        plain[..16].copy_from_slice(user_id.as_bytes());
        plain[16..24].copy_from_slice(&until.timestamp().to_be_bytes());
        getrandom::fill(&mut plain[24..])?;
        seal.copy_from_slice(&Self::seal(key, plain));
        Ok(Self(bytes))
    }

    /// Reads a code that this key has signed; `None` for anything else.
    pub fn parse(key: &ServerKey, text: &str) -> Option<Self> {
        let mut bytes = [0_u8; PLAIN + SEAL];
        let length = URL_SAFE_NO_PAD.decode_slice(text.trim(), &mut bytes).ok()?;
        let (plain, seal) = bytes.split_at(PLAIN);
        let genuine = length == bytes.len() && bool::from(Self::seal(key, plain).ct_eq(seal));
        genuine.then_some(Self(bytes))
    }

    fn seal(key: &ServerKey, plain: &[u8]) -> [u8; SEAL] {
        let signature = key.sign(&[b"halfhour sign-in code\0", plain]);
        std::array::from_fn(|place| signature[place])
    }

    /// Whom it signs in.
    pub fn user_id(&self) -> Uuid {
        Uuid::from_bytes(std::array::from_fn(|place| self.0[place]))
    }

    /// From when on it is refused.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_secs(i64::from_be_bytes(std::array::from_fn(|place| self.0[16 + place])))
    }

    /// The text for the link, once.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The token of the session that it begins. Nobody is given it.
    pub fn token(&self, key: &ServerKey) -> Token {
        key.derive(TokenKind::Viewer, &[b"halfhour session of a link\0", &self.0])
    }
}

impl fmt::Debug for SignInCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SignInCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> ServerKey {
        ServerKey::new(&[byte; 32]).unwrap()
    }

    fn code() -> SignInCode {
        SignInCode::make(&key(1), Uuid::from_u128(7), DateTime::from_timestamp_secs(1_800_000_000).unwrap()).unwrap()
    }

    #[test]
    fn a_code_says_whose_it_is_and_until_when_to_the_key_that_made_it_only() {
        let code = code();
        let read = SignInCode::parse(&key(1), &format!(" {}\n", code.reveal())).unwrap();
        assert_eq!(read, code);
        assert_eq!(read.user_id(), Uuid::from_u128(7));
        assert_eq!(read.expires_at().map(|at| at.timestamp()), Some(1_800_000_000));
        assert_eq!(SignInCode::parse(&key(2), &code.reveal()), None);
        assert_eq!(code.token(&key(1)).reveal(), read.token(&key(1)).reveal());
        assert_ne!(code.token(&key(2)).reveal(), read.token(&key(1)).reveal());
        assert_eq!(format!("{code:?}"), "SignInCode(…)");
    }

    #[test]
    fn a_code_that_is_changed_anywhere_or_cut_is_none() {
        let text = code().reveal();
        for place in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            // The last symbol has bits that no code has; whoever sets them makes no code either.
            assert_eq!(SignInCode::parse(&key(1), &forged), None, "{place}");
        }
        for other in ["", "é", &text[1..], &format!("{text}A"), &"A".repeat(100)] {
            assert_eq!(SignInCode::parse(&key(1), other), None, "{other}");
        }
    }
}
