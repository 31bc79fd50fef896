//! The secrets of linking: the code that a person types, and the request's id that gets the same
//! token again. Neither can be printed by accident, and only their SHA-256 is stored.

use std::fmt;

use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};
use uuid::Uuid;

use crate::kernel::access::{ServerKey, Token, TokenKind};
use crate::kernel::http::values::MAX_PASTED;
use crate::kernel::idempotency::Seed;

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
        Ok(Self::of(bytes))
    }

    /// The code that an execution with this seed makes, whenever and wherever it is derived.
    pub fn derive(key: &ServerKey, seed: &Seed) -> Self {
        let bits = seed.bits(key, b"halfhour keyed link code\0");
        Self::of(std::array::from_fn(|place| bits[place]))
    }

    /// The code that a user is given in a span of time whenever it asks, until it has used as many as `ordinal`.
    pub fn standing(key: &ServerKey, user_id: Uuid, span: i64, ordinal: u8) -> Self {
        let parts = [b"halfhour standing link code\0".as_slice(), user_id.as_bytes(), &span.to_be_bytes(), &[ordinal]];
        let bits = key.sign(&parts);
        Self::of(std::array::from_fn(|place| bits[place]))
    }

    /// The code that these bits make.
    pub fn of(bytes: [u8; LENGTH]) -> Self {
        Self(bytes.map(|byte| ALPHABET[usize::from(byte % 32)]))
    }

    /// The same code up to `checked` symbols, with others behind them that `sign` makes of those.
    #[must_use]
    pub fn with_checks(&self, checked: usize, sign: impl FnOnce(&[u8]) -> [u8; 32]) -> Self {
        let mut symbols = self.0;
        let (head, checks) = symbols.split_at_mut(checked.min(LENGTH));
        for (symbol, bits) in checks.iter_mut().zip(sign(head)) {
            *symbol = ALPHABET[usize::from(bits % 32)];
        }
        Self(symbols)
    }

    /// Reads what a person typed or pasted. Only letters and digits count, wide ones like narrow ones and small ones like
    /// capitals; O is 0, I and L are 1. `None` where it cannot be a code: a letter that only looks like a symbol is none.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_PASTED {
            return None;
        }
        let counts = |character: &char| {
            matches!(character.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number)
        };
        let symbols = text.nfkc().filter(counts).take(LENGTH + 1).map(|character| {
            let symbol = match character.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            u8::try_from(symbol).ok().filter(|symbol| ALPHABET.contains(symbol))
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
    use proptest::prelude::*;

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
    fn a_code_is_read_back_however_it_is_pasted() {
        let code = LinkCode::parse("7K3M-9QXD-2VTA").unwrap();
        for pasted in [
            "\t7K3M-9QXD-2VTA\r\n",
            "7K3M\u{a0}9QXD\u{a0}2VTA",
            "7K3M\u{2013}9QXD\u{2014}2VTA",
            "7K3M\u{2011}9QXD\u{2010}2VTA",
            "7K3M\u{2212}9QXD\u{fe63}2VTA",
            "\u{feff}7K\u{200b}3M\u{ad}-9QXD\u{2060}-2VTA\u{200f}",
            "７Ｋ３Ｍ－９ＱＸＤ－２ＶＴＡ",
            "７ｋ３ｍ　９ｑｘｄ　２ｖｔａ",
            "“7K3M-9QXD-2VTA”",
            "`7K3M.9QXD_2VTA`,",
            "𝟳𝗞𝟯𝗠-𝟵𝗤𝗫𝗗-𝟮𝗩𝗧𝗔",
            "7\u{fe0f}\u{20e3}K3M-9QXD-2VTA 🔑",
            "\u{212a}3M9QXD2VTA7",
        ] {
            let expected = if pasted.starts_with('\u{212a}') { "K3M9-QXD2-VTA7" } else { "7K3M-9QXD-2VTA" };
            assert_eq!(LinkCode::parse(pasted).map(|code| code.reveal()).as_deref(), Some(expected), "{pasted:?}");
        }
        let longest = format!("{}{}", code.reveal(), " ".repeat(MAX_PASTED - 14));
        assert_eq!(LinkCode::parse(&longest), Some(code));
        assert_eq!(LinkCode::parse(&format!("{longest} ")), None, "more is not looked at");
    }

    #[test]
    fn a_letter_that_only_looks_like_a_symbol_is_not_dropped_and_not_taken() {
        // Cyrillic, Greek, dotless, accented, Arabic-Indic, Han.
        for look_alike in ["К", "Κ", "ı", "É", "E\u{301}", "٧", "七", "µ", "ß"] {
            for text in [format!("{look_alike}K3M-9QXD-2VT"), format!("7K3M-9QXD-2VTA{look_alike}")] {
                assert_eq!(LinkCode::parse(&text), None, "{text}");
            }
        }
    }

    /// What may stand around and between symbols without being a letter or a digit, even after a fold.
    const DECORATIONS: &str = r#"[ \t\r\n\-_.:;,'"`()\[\]<>|/*“”‘’«»‹›\x{a0}\x{ad}\x{1680}\x{2000}-\x{2015}\x{2028}\x{2029}\x{202a}-\x{202f}\x{205f}-\x{2064}\x{2066}-\x{2069}\x{2212}\x{3000}\x{fe58}\x{fe63}\x{feff}\x{ff0d}]{0,4}"#;

    prop_compose! {
        fn code()(symbols in prop::array::uniform12(0..ALPHABET.len())) -> LinkCode {
            LinkCode(symbols.map(|symbol| ALPHABET[symbol]))
        }
    }

    /// A symbol as a person may send it: narrow or wide, small or capital.
    fn written(symbol: u8, how: u8) -> char {
        let narrow = char::from(if how & 1 == 0 { symbol } else { symbol.to_ascii_lowercase() });
        let wide = char::from_u32(u32::from(narrow) + 0xfee0).unwrap();
        if how & 2 == 0 { narrow } else { wide }
    }

    proptest! {
        #[test]
        fn any_decoration_of_a_code_is_that_code(
            code in code(), around in prop::collection::vec(DECORATIONS, 13), how in prop::array::uniform12(0..4_u8),
        ) {
            let mut text = around[12].clone();
            for ((symbol, how), behind) in code.0.iter().zip(how).zip(&around) {
                text.push(written(*symbol, how));
                text.push_str(behind);
            }
            prop_assert_eq!(LinkCode::parse(&text), Some(code), "{:?}", text);
        }

        #[test]
        fn two_codes_never_read_as_one(one in code(), other in code(), place in 0..LENGTH, symbol in 0..ALPHABET.len()) {
            let mut near = one.clone();
            near.0[place] = ALPHABET[symbol];
            for another in [other, near] {
                let both = [&one, &another].map(|code| LinkCode::parse(&code.reveal()).unwrap());
                prop_assert_eq!(both[0] == both[1], one.0 == another.0);
                prop_assert_eq!(&both[1], &another);
            }
        }

        #[test]
        fn whatever_is_sent_a_code_has_twelve_symbols_or_is_none(text in any::<String>()) {
            if let Some(code) = LinkCode::parse(&text) {
                prop_assert!(code.0.iter().all(|symbol| ALPHABET.contains(symbol)));
            }
        }
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
