//! Opaque bearer tokens: 256 random bits, and a tail of 64 bits that signs them.
//!
//! The tail is an HMAC under the server's key, so a forged token is refused without asking the
//! database. Only the SHA-256 of a token is stored.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

const RANDOM_BYTES: usize = 32;
const TAIL_BYTES: usize = 8;
const PREFIX_LENGTH: usize = 4;

/// Which principal a token makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Writes its own buckets.
    Device,
    /// Reads its own user.
    Viewer,
    /// Runs operations.
    Operator,
}

impl TokenKind {
    /// As stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }

    /// The inverse of [`TokenKind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Device, Self::Viewer, Self::Operator].into_iter().find(|kind| kind.as_str() == text)
    }

    /// What its tokens begin with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Device => "hhd_",
            Self::Viewer => "hhv_",
            Self::Operator => "hho_",
        }
    }
}

/// A token in clear, on its way to its owner. It cannot be printed by accident.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The text to hand to the owner, once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored instead of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// SHA-256 of a token's text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// The inverse of [`TokenHash::as_bytes`]; `None` for another number of bytes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes as stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenHash(…)")
    }
}

/// The server's key: the same on every process of one installation.
#[derive(Clone)]
pub struct ServerKey(Vec<u8>);

impl ServerKey {
    /// Fewer bytes than this are not a secret.
    pub const MIN_BYTES: usize = 32;

    /// `None` when the secret is shorter than [`ServerKey::MIN_BYTES`].
    pub fn new(secret: &[u8]) -> Option<Self> {
        (secret.len() >= Self::MIN_BYTES).then(|| Self(secret.to_vec()))
    }

    /// Makes a new token. Errors: the operating system gives no randomness.
    pub fn issue(&self, kind: TokenKind) -> Result<Token, getrandom::Error> {
        let mut random = [0_u8; RANDOM_BYTES];
        getrandom::fill(&mut random)?;
        Ok(self.token(kind, random))
    }

    /// The token that the same parts always give. The first one names the purpose; someone must not know the others.
    pub fn derive(&self, kind: TokenKind, parts: &[&[u8]]) -> Token {
        self.token(kind, self.sign(parts))
    }

    /// The kind and the hash of a token that this key made; `None` for anything else, in constant work.
    pub fn recognize(&self, text: &str) -> Option<(TokenKind, TokenHash)> {
        let (prefix, encoded) = text.split_at_checked(PREFIX_LENGTH)?;
        let kind = [TokenKind::Device, TokenKind::Viewer, TokenKind::Operator]
            .into_iter()
            .find(|kind| kind.prefix() == prefix)?;
        let mut bytes = [0_u8; RANDOM_BYTES + TAIL_BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes).ok()?;
        let (random, tail) = bytes.split_at(RANDOM_BYTES);
        let genuine = length == bytes.len() && bool::from(self.tail(kind, random).ct_eq(tail));
        genuine.then(|| (kind, TokenHash::of(text)))
    }

    /// HMAC-SHA-256 over the parts, one after the other. The first one names the purpose, so that a signature made for
    /// one thing means nothing elsewhere.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            unreachable!("HMAC takes keys of any length")
        };
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// What tells this key from another one, and is too short to find it by trying.
    pub fn fingerprint(&self) -> [u8; 4] {
        let [one, two, three, four, ..] = self.sign(&[b"halfhour key fingerprint\0"]);
        [one, two, three, four]
    }

    fn token(&self, kind: TokenKind, random: [u8; RANDOM_BYTES]) -> Token {
        let mut bytes = [0_u8; RANDOM_BYTES + TAIL_BYTES];
        let (head, tail) = bytes.split_at_mut(RANDOM_BYTES);
        head.copy_from_slice(&random);
        tail.copy_from_slice(&self.tail(kind, &random));
        Token(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(bytes)))
    }

    fn tail(&self, kind: TokenKind, random: &[u8]) -> [u8; TAIL_BYTES] {
        let digest = self.sign(&[b"halfhour token tail\0", kind.prefix().as_bytes(), random]);
        std::array::from_fn(|position| digest[position])
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ServerKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ServerKey {
        ServerKey::new(&[7; 32]).unwrap()
    }

    #[test]
    fn a_token_is_recognized_by_the_key_that_made_it_and_by_no_other() {
        let token = key().issue(TokenKind::Viewer).unwrap();
        assert_eq!(key().recognize(token.reveal()), Some((TokenKind::Viewer, token.hash())));
        assert_eq!(ServerKey::new(&[8; 32]).unwrap().recognize(token.reveal()), None);
    }

    #[test]
    fn a_fingerprint_tells_keys_apart_and_is_no_signature_of_anything_else() {
        let other = ServerKey::new(&[8; 32]).unwrap();
        assert_eq!(key().fingerprint(), key().fingerprint());
        assert_ne!(key().fingerprint(), other.fingerprint());
        assert_ne!(key().fingerprint().as_slice(), &key().sign(&[b""])[..4]);
    }

    #[test]
    fn a_derived_token_is_the_same_each_time_and_another_for_other_parts_and_keys() {
        let token = key().derive(TokenKind::Device, &[b"purpose", b"secret"]);
        assert_eq!(key().derive(TokenKind::Device, &[b"purpose", b"secret"]).reveal(), token.reveal());
        assert_eq!(key().recognize(token.reveal()), Some((TokenKind::Device, token.hash())));
        assert_ne!(key().derive(TokenKind::Device, &[b"purpose", b"other"]).reveal(), token.reveal());
        let other = ServerKey::new(&[8; 32]).unwrap().derive(TokenKind::Device, &[b"purpose", b"secret"]);
        assert_ne!(other.reveal(), token.reveal());
    }

    #[test]
    fn a_token_cannot_be_turned_into_another_kind_or_changed_anywhere() {
        let token = key().issue(TokenKind::Device).unwrap();
        let text = token.reveal();
        assert_eq!(key().recognize(&text.replacen("hhd_", "hho_", 1)), None);
        for position in PREFIX_LENGTH..text.len() {
            let mut forged = text.as_bytes().to_vec();
            forged[position] = if forged[position] == b'A' { b'B' } else { b'A' };
            assert_eq!(key().recognize(&String::from_utf8(forged).unwrap()), None, "position {position}");
        }
    }

    #[test]
    fn what_is_not_a_token_is_refused_without_panic() {
        for text in
            ["", "hhd", "hhd_", "hhd_!!!!", "é", "hhé_", &"hhd_".repeat(100), &format!("hhv_{}", "A".repeat(55))]
        {
            assert_eq!(key().recognize(text), None, "{text}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let token = key().issue(TokenKind::Operator).unwrap();
        let printed = format!("{token:?} {:?} {:?}", token.hash(), key());
        assert_eq!(printed, "Token(…) TokenHash(…) ServerKey(…)");
    }
}
