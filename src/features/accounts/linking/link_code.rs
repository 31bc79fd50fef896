//! The secrets of linking: the code that a person types, and the request's id that gets the same
//! token again. Neither can be printed by accident, and only their SHA-256 is stored.

use std::fmt;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::kernel::access::{ServerKey, Token, TokenKind};

/// Symbols of a code: 12 of 32 make 60 random bits.
const LENGTH: usize = 12;
/// Crockford's alphabet has no I, L, O or U, so that no symbol looks like another.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A single-use code.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkCode([u8; LENGTH]);

impl LinkCode {
    /// A new code. Errors: the operating system gives no randomness.
    pub fn make() -> Result<Self, getrandom::Error> {
        let mut bytes = [0_u8; LENGTH];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.map(|byte| ALPHABET[usize::from(byte % 32)])))
    }

    /// Reads what a person typed. Case, spaces and hyphens do not count, O is 0, I and L are 1.
    /// `None` where it cannot be a code.
    pub fn parse(text: &str) -> Option<Self> {
        let symbols = text.bytes().filter(|byte| !b" -".contains(byte)).take(LENGTH + 1).map(|byte| {
            let symbol = match byte.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            };
            ALPHABET.contains(&symbol).then_some(symbol)
        });
        let symbols: Vec<u8> = symbols.collect::<Option<_>>()?;
        symbols.try_into().ok().map(Self)
    }

    /// The text for the owner, once: `7K3M-9QXD-2VTA`.
    pub fn reveal(&self) -> String {
        let groups: Vec<String> = self.0.chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
        groups.join("-")
    }

    /// What is stored instead of it.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

impl fmt::Debug for LinkCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LinkCode(…)")
    }
}

/// The id by which an exchange is repeated. Whoever knows it and the code gets the token.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkRequest(Uuid);

impl LinkRequest {
    /// `None` where it is not a UUID.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }

    /// What is stored instead of it.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The token that the exchange of `code` under this id gives, whenever and wherever it is made.
    pub fn token(&self, key: &ServerKey, code: &LinkCode) -> Token {
        key.derive(TokenKind::Device, &[b"halfhour link token\0", &code.0, self.0.as_bytes()])
    }
}

impl fmt::Debug for LinkRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LinkRequest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> ServerKey {
        ServerKey::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_code_is_read_back_however_it_is_typed() {
        let code = LinkCode::make().unwrap();
        let text = code.reveal();
        assert_eq!(text.len(), 14, "{text}");
        for typed in [text.clone(), text.to_lowercase(), text.replace('-', ""), text.replace('-', " ")] {
            assert_eq!(LinkCode::parse(&typed), Some(code.clone()), "{typed}");
        }
        assert_eq!(LinkCode::parse("oO0o-iIlL-1111").unwrap().reveal(), "0000-1111-1111");
    }

    #[test]
    fn what_cannot_be_a_code_is_none() {
        for text in ["", "7K3M-9QXD-2VT", "7K3M-9QXD-2VTAA", "7K3M-9QXD-2VTU", "7K3M-9QXD-2VT\u{e9}", &"0".repeat(9999)]
        {
            assert_eq!(LinkCode::parse(text), None, "{text}");
        }
        assert_eq!(LinkRequest::parse("seven"), None);
    }

    #[test]
    fn codes_use_every_symbol_and_do_not_repeat() {
        let codes: Vec<_> = (0..1_000).map(|_| LinkCode::make().unwrap().reveal()).collect();
        let mut distinct = codes.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), codes.len());
        let all = codes.concat();
        assert!(ALPHABET.iter().all(|symbol| all.contains(char::from(*symbol))));
    }

    #[test]
    fn a_token_belongs_to_the_code_the_request_and_the_key() {
        let (code, request) = (LinkCode::make().unwrap(), LinkRequest(Uuid::now_v7()));
        let token = request.token(&key(1), &code);
        assert_eq!(request.token(&key(1), &code).reveal(), token.reveal());
        assert_eq!(key(1).recognize(token.reveal()), Some((TokenKind::Device, token.hash())));
        for other in [
            request.token(&key(2), &code),
            request.token(&key(1), &LinkCode::make().unwrap()),
            LinkRequest(Uuid::now_v7()).token(&key(1), &code),
        ] {
            assert_ne!(other.reveal(), token.reveal());
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let printed = format!("{:?} {:?}", LinkCode::make().unwrap(), LinkRequest(Uuid::nil()));
        assert_eq!(printed, "LinkCode(…) LinkRequest(…)");
    }
}
