//! A stream of bytes as lines, one at a time and none of them longer than memory allows.

use std::io::{self, BufRead, ErrorKind};

use memchr::memchr;

/// A line of the server has some hundred bytes. A longer line than this is skipped.
pub const MAX_LINE: usize = 1 << 20;

/// One line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawLine<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It has more than [`MAX_LINE`] bytes.
    TooLong,
}

/// Hands every line to `take`. A last line needs no end. Errors: what the source failed with; the lines before that
/// have been taken, the unfinished one included.
pub fn each_line(mut source: impl BufRead, mut take: impl FnMut(RawLine<'_>)) -> io::Result<()> {
    let mut begun = BegunLine::default();
    let result = loop {
        let chunk = match source.fill_buf() {
            Ok([]) => break Ok(()),
            Ok(chunk) => chunk,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => break Err(error),
        };
        let length = chunk.len();
        let mut rest = chunk;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(end);
            // Most lines lie whole in the source's buffer and are not copied.
            if begun.is_empty() {
                take(finished(line));
            } else {
                begun.extend(line);
                begun.finish(&mut take);
            }
            rest = behind.get(1..).unwrap_or_default();
        }
        begun.extend(rest);
        source.consume(length);
    };
    if !begun.is_empty() {
        begun.finish(&mut take);
    }
    result
}

fn finished(line: &[u8]) -> RawLine<'_> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > MAX_LINE { RawLine::TooLong } else { RawLine::Whole(line) }
}

/// The beginning of a line whose end has not come yet.
#[derive(Default)]
struct BegunLine {
    bytes: Vec<u8>,
    too_long: bool,
}

impl BegunLine {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.too_long
    }

    fn extend(&mut self, more: &[u8]) {
        // One byte more than allowed, for the carriage return of a line that is just short enough.
        self.too_long |= self.bytes.len() + more.len() > MAX_LINE + 1;
        if self.too_long {
            self.bytes.clear();
        } else {
            self.bytes.extend_from_slice(more);
        }
    }

    fn finish(&mut self, take: &mut impl FnMut(RawLine<'_>)) {
        take(if self.too_long { RawLine::TooLong } else { finished(&self.bytes) });
        self.bytes.clear();
        self.too_long = false;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use proptest::prelude::*;

    use super::*;

    fn lines(source: impl BufRead) -> Vec<Option<Vec<u8>>> {
        let mut found = Vec::new();
        let taken = each_line(source, |line| {
            found.push(match line {
                RawLine::Whole(line) => Some(line.to_vec()),
                RawLine::TooLong => None,
            });
        });
        taken.unwrap();
        found
    }

    #[test]
    fn ends_of_lines_may_be_missing_or_those_of_windows_and_empty_lines_count() {
        let expected = [&b"a"[..], b"", b"b\r\0", b"c"].map(|line| Some(line.to_vec()));
        for buffer in 1..12 {
            assert_eq!(lines(BufReader::with_capacity(buffer, &b"a\r\n\nb\r\0\nc"[..])), expected, "{buffer}");
        }
        assert_eq!(lines(&b""[..]), []);
        assert_eq!(lines(&b"\n"[..]), [Some(Vec::new())]);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_one_is_read() {
        for (length, fits) in [(MAX_LINE, true), (MAX_LINE + 1, false), (10 << 20, false)] {
            for end in ["\n", "\r\n"] {
                let log = format!("{}{end}next", "x".repeat(length));
                // In pieces, and in one.
                for buffer in [4096, log.len()] {
                    let found = lines(BufReader::with_capacity(buffer, log.as_bytes()));
                    assert_eq!(found.len(), 2, "{length}");
                    assert_eq!(found[0].as_ref().map(Vec::len), fits.then_some(length));
                    assert_eq!(found[1].as_deref(), Some(&b"next"[..]));
                }
            }
        }
    }

    #[test]
    fn what_was_read_before_a_failure_counts() {
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let mut count = 0;
        let source = BufReader::new((&b"a\nb"[..]).chain(Fails));
        assert_eq!(each_line(source, |_| count += 1).unwrap_err().to_string(), "the disk is gone");
        assert_eq!(count, 2);
    }

    proptest! {
        #[test]
        fn lines_are_what_stands_between_ends_whatever_the_buffer(bytes: Vec<u8>, buffer in 1_usize..64) {
            let mut expected: Vec<_> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            if expected.last().is_some_and(Vec::is_empty) {
                expected.pop();
            }
            let expected: Vec<_> =
                expected.iter().map(|line| Some(line.strip_suffix(b"\r").unwrap_or(line).to_vec())).collect();
            prop_assert_eq!(lines(BufReader::with_capacity(buffer, &bytes[..])), expected);
        }
    }
}
