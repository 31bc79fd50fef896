//! Lines of a stream, put together from chunks of any size. No line is kept longer than it may be.

use crate::kernel::http::body::BYTE_ORDER_MARK;

/// A line may have this many bytes; a bucket has some hundred.
pub const LONGEST: usize = 16 * 1024;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportLine<'a> {
    /// Its bytes, without the end.
    Text(&'a [u8]),
    /// It had more than [`LONGEST`], and is forgotten.
    TooLong,
}

/// Puts lines together.
#[derive(Debug, Default)]
pub struct Lines {
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    too_long: bool,
    number: i64,
}

impl Lines {
    /// Takes a chunk, and gives every line that ends in it to `take`, with its number from 1.
    pub fn feed(&mut self, mut chunk: &[u8], mut take: impl FnMut(i64, ImportLine<'_>)) {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            self.append(&chunk[..end]);
            self.end_line(&mut take);
            chunk = &chunk[end + 1..];
        }
        self.append(chunk);
    }

    /// The last line may have no end.
    pub fn finish(&mut self, mut take: impl FnMut(i64, ImportLine<'_>)) {
        if !self.begun.is_empty() || self.too_long {
            self.end_line(&mut take);
        }
    }

    fn append(&mut self, part: &[u8]) {
        if self.too_long || self.begun.len() + part.len() > LONGEST {
            self.too_long = true;
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(part);
        }
    }

    fn end_line(&mut self, take: &mut impl FnMut(i64, ImportLine<'_>)) {
        self.number += 1;
        if std::mem::take(&mut self.too_long) {
            take(self.number, ImportLine::TooLong);
        } else {
            // Files that were written one after the other into one may each begin with a mark.
            let line = self.begun.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.begun).trim_ascii();
            if !line.is_empty() {
                take(self.number, ImportLine::Text(line));
            }
        }
        self.begun.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<(i64, Option<Vec<u8>>)> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        let mut take = |number, line: ImportLine<'_>| {
            found.push((number, if let ImportLine::Text(text) = line { Some(text.to_vec()) } else { None }));
        };
        for chunk in chunks {
            lines.feed(chunk, &mut take);
        }
        lines.finish(&mut take);
        found
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let whole = b"one\r\n\n  \ntwo\nthree";
        let expected = vec![(1, Some(b"one".to_vec())), (4, Some(b"two".to_vec())), (5, Some(b"three".to_vec()))];
        for size in 1..=whole.len() {
            let chunks: Vec<&[u8]> = whole.chunks(size).collect();
            assert_eq!(read(&chunks), expected, "{size}");
        }
        assert_eq!(read(&[b"", b""]), []);
    }

    #[test]
    fn a_byte_order_mark_before_a_line_is_skipped() {
        let found = read(&[b"\xef\xbb", b"\xbfone\n\xef\xbb\xbf\n\xef\xbb\xbf two\nthree\xef\xbb\xbf"]);
        let texts: Vec<_> = found.iter().map(|(number, text)| (*number, text.as_deref().unwrap())).collect();
        assert_eq!(texts, [(1, &b"one"[..]), (3, b"two"), (4, b"three\xef\xbb\xbf")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_counted_and_forgotten() {
        let (long, longest) = (vec![b'x'; LONGEST + 1], vec![b'y'; LONGEST]);
        let found = read(&[&long, b"\n", &longest, b"\nz"]);
        assert_eq!(found[0], (1, None));
        assert_eq!((found[1].0, found[1].1.as_ref().map(Vec::len)), (2, Some(LONGEST)));
        assert_eq!(found[2], (3, Some(b"z".to_vec())));
    }
}
