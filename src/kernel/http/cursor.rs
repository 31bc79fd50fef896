//! Where a list goes on: the last key of a page, opaque and signed.
//!
//! A cursor belongs to one route, one caller and one set of parameters. It is refused anywhere
//! else, and after any change of its text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq as _;

use crate::kernel::access::ServerKey;
use crate::kernel::problem::{Code, Problem, Violation};

const TAG_BYTES: usize = 16;

/// Signs cursors, and knows its own again.
#[derive(Clone, Debug)]
pub struct Cursors(ServerKey);

impl Cursors {
    /// Signs with the server's key.
    pub const fn new(key: ServerKey) -> Self {
        Self(key)
    }

    /// `position` as text for the question `of`: name the route, the caller and every parameter but `limit` in it.
    /// Errors: 500 for a position that is no JSON.
    pub fn seal(&self, of: &str, position: &impl Serialize) -> Result<String, Problem> {
        let mut bytes = serde_json::to_vec(position).map_err(Problem::internal)?;
        let tag = self.tag(of, &bytes);
        bytes.extend_from_slice(&tag);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The position in a cursor of the question `of`. Errors: 400 for anything else.
    pub fn open<Position: DeserializeOwned>(&self, of: &str, cursor: &str) -> Result<Position, Problem> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
        let (position, tag) = bytes.split_last_chunk::<TAG_BYTES>().ok_or_else(refused)?;
        if !bool::from(self.tag(of, position).ct_eq(tag)) {
            return Err(refused());
        }
        serde_json::from_slice(position).map_err(|_| refused())
    }

    fn tag(&self, of: &str, position: &[u8]) -> [u8; TAG_BYTES] {
        let digest = self.0.sign(&[b"halfhour cursor\0", of.as_bytes(), b"\0", position]);
        std::array::from_fn(|index| digest[index])
    }
}

fn refused() -> Problem {
    let detail = "Pass `next_cursor` of the page before, unchanged, with the parameters of that page.";
    Problem::new(Code::Malformed, "`cursor` is not from this list.").violating(vec![Violation::new(
        "?cursor",
        "cursor_unknown",
        detail,
    )])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursors(byte: u8) -> Cursors {
        Cursors::new(ServerKey::new(&[byte; 32]).unwrap())
    }

    #[test]
    fn a_cursor_is_opened_by_its_own_question_only() {
        let cursor = cursors(1).seal("list a", &("key", 7)).unwrap();
        assert_eq!(cursors(1).open::<(String, i64)>("list a", &cursor).unwrap(), ("key".to_owned(), 7));
        for (byte, of) in [(1, "list b"), (2, "list a")] {
            let refused = cursors(byte).open::<(String, i64)>(of, &cursor).unwrap_err();
            assert_eq!(refused.code(), Code::Malformed);
        }
    }

    #[test]
    fn a_changed_cursor_is_refused_wherever_it_was_changed() {
        let cursor = cursors(1).seal("list", &41).unwrap();
        for position in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(cursors(1).open::<i64>("list", &changed).is_err(), "{changed}");
        }
        for text in ["", "A", "!", "é", &cursor[1..], &cursor[..cursor.len() - 1]] {
            assert!(cursors(1).open::<i64>("list", text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_position_of_another_shape_is_refused_and_not_a_bug() {
        let cursor = cursors(1).seal("list", &"text").unwrap();
        assert_eq!(cursors(1).open::<i64>("list", &cursor).unwrap_err().code(), Code::Malformed);
    }
}
