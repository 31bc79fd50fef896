//! The two secrets of a pairing. The device keeps a device code, which holds what it said of itself and is signed by the
//! server. From that follows the user code, which the device shows and its owner approves.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::super::linking::LinkCode;
use crate::kernel::access::{ServerKey, Token, TokenKind};
use crate::kernel::dialect::Newcomer;

const PREFIX: &str = "hhp_";
const SIGNATURE: usize = 32;
/// Nothing longer was made here.
const MOST: usize = 2048;

/// What a device said of itself, until when, and what makes its code one of a kind.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    until_s: i64,
    name: String,
    platform: String,
    machine: Option<[u8; 32]>,
    nonce: [u8; 16],
}

/// The device's secret.
pub struct DeviceCode {
    text: String,
    content: Content,
}

/// What the owner approves.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode(LinkCode);

impl DeviceCode {
    /// A new one. Errors: the operating system gives no randomness.
    pub fn make(key: &ServerKey, newcomer: &Newcomer, until_s: i64) -> Result<Self, getrandom::Error> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)?;
        let Newcomer { name, platform, machine } = newcomer.clone();
        let content = Content { until_s, name, platform, machine, nonce };
        let mut bytes = serde_json::to_vec(&content).unwrap_or_default();
        bytes.extend(signature(key, &bytes));
        Ok(Self { text: format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)), content })
    }

    /// `None` for what this key has not made.
    pub fn parse(key: &ServerKey, text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(PREFIX).filter(|_| text.len() <= MOST)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (content, signed) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE)?)?;
        let genuine = bool::from(signature(key, content).ct_eq(signed));
        let content = genuine.then(|| serde_json::from_slice(content).ok()).flatten()?;
        Some(Self { text: text.to_owned(), content })
    }

    /// For the device, once.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The second from which on nobody can approve it.
    pub const fn until_s(&self) -> i64 {
        self.content.until_s
    }

    /// What the device said of itself.
    pub fn newcomer(&self) -> Newcomer {
        let Content { name, platform, machine, .. } = &self.content;
        Newcomer { name: name.clone(), platform: platform.clone(), machine: *machine }
    }

    /// What its owner approves.
    pub fn user_code(&self, key: &ServerKey) -> UserCode {
        UserCode::of(key, &key.sign(&[b"halfhour pairing user code\0", self.text.as_bytes()]))
    }

    /// What is stored of it once it is paired.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }

    /// The token of its device.
    pub fn token(&self, key: &ServerKey) -> Token {
        key.derive(TokenKind::Device, &[b"halfhour pairing token\0", self.text.as_bytes()])
    }
}

fn signature(key: &ServerKey, content: &[u8]) -> [u8; SIGNATURE] {
    key.sign(&[b"halfhour pairing device code\0", content])
}

/// Symbols that follow from the others, so that a mistyped code is none.
const CHECKED: usize = 9;

impl UserCode {
    /// Nine symbols from these bits, which are 45, and three that the server's key makes of them.
    fn of(key: &ServerKey, bits: &[u8; 32]) -> Self {
        let drawn = LinkCode::of(std::array::from_fn(|place| bits[place]));
        Self(drawn.with_checks(CHECKED, |head| key.sign(&[b"halfhour pairing check\0", head])))
    }

    /// Reads what a person typed or pasted, as a link code is read. `None` where no device shows such a code.
    pub fn parse(key: &ServerKey, text: &str) -> Option<Self> {
        let code = LinkCode::parse(text)?;
        let checked = code.with_checks(CHECKED, |head| key.sign(&[b"halfhour pairing check\0", head]));
        (checked == code).then_some(Self(code))
    }

    /// For the device, to be shown: `7K3M-9QXD-2VTA`.
    pub fn reveal(&self) -> String {
        self.0.reveal()
    }

    /// What is stored of an approval. Nobody can exchange it as a link code.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::new().chain_update(b"halfhour pairing\0").chain_update(self.0.hash()).finalize().into()
    }
}

impl fmt::Debug for DeviceCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DeviceCode(…)")
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("UserCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> ServerKey {
        ServerKey::new(&[byte; 32]).unwrap()
    }

    fn newcomer() -> Newcomer {
        Newcomer { name: "n".repeat(100), platform: "ü".repeat(40), machine: Some([255; 32]) }
    }

    #[test]
    fn a_device_code_says_what_the_device_said_and_only_its_key_reads_it() {
        let code = DeviceCode::make(&key(1), &newcomer(), 7).unwrap();
        let read = DeviceCode::parse(&key(1), code.reveal()).unwrap();
        assert_eq!((read.newcomer(), read.until_s()), (newcomer(), 7));
        assert_eq!(read.user_code(&key(1)), code.user_code(&key(1)));
        assert_eq!(read.token(&key(1)).reveal(), code.token(&key(1)).reveal());
        assert!(DeviceCode::parse(&key(2), code.reveal()).is_none());
        let other = DeviceCode::make(&key(1), &newcomer(), 7).unwrap();
        assert_ne!(other.reveal(), code.reveal());
        assert_ne!(other.user_code(&key(1)), code.user_code(&key(1)));
        assert_ne!(other.token(&key(1)).reveal(), code.token(&key(1)).reveal());
    }

    #[test]
    fn a_changed_device_code_is_none() {
        let code = DeviceCode::make(&key(1), &newcomer(), 7).unwrap();
        for position in (0..code.reveal().len()).step_by(7) {
            let mut forged = code.reveal().as_bytes().to_vec();
            forged[position] = if forged[position] == b'A' { b'B' } else { b'A' };
            assert!(DeviceCode::parse(&key(1), str::from_utf8(&forged).unwrap()).is_none(), "{position}");
        }
        for text in ["", "hhp_", "hhp_AAAA", "hhp_é", &format!("hhp_{}", "A".repeat(9_999))] {
            assert!(DeviceCode::parse(&key(1), text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_mistyped_user_code_is_none_and_a_link_code_is_another_secret() {
        let code = DeviceCode::make(&key(1), &newcomer(), 7).unwrap().user_code(&key(1));
        let shown = code.reveal();
        assert_eq!(UserCode::parse(&key(1), &shown.to_lowercase().replace('-', " ")), Some(code.clone()));
        assert_eq!(UserCode::parse(&key(2), &shown), None);
        for position in (0..14).filter(|position| ![4, 9].contains(position)) {
            let mut typed = shown.clone().into_bytes();
            typed[position] = if typed[position] == b'7' { b'8' } else { b'7' };
            assert_eq!(UserCode::parse(&key(1), str::from_utf8(&typed).unwrap()), None, "{position}");
        }
        assert_ne!(code.hash(), LinkCode::parse(&shown).unwrap().hash());
    }

    #[test]
    fn secrets_do_not_print() {
        let code = DeviceCode::make(&key(1), &newcomer(), 7).unwrap();
        assert_eq!(format!("{code:?} {:?}", code.user_code(&key(1))), "DeviceCode(…) UserCode(…)");
    }
}
