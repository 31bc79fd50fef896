//! The media types that reads answer in, and which of them a caller would rather have.

use mediatype::names::{_STAR, APPLICATION, CSV, JSON, Q, TEXT};
use mediatype::{MediaType, MediaTypeList, Name, ReadParams as _};

/// A representation of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// One JSON object.
    Json,
    /// A JSON object a line.
    Ndjson,
    /// RFC 4180, with a header line.
    Csv,
}

impl Media {
    /// Its `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// Its name without parameters.
    pub const fn essence(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
        }
    }

    /// Its type and its subtype.
    const fn names(self) -> (Name<'static>, Name<'static>) {
        match self {
            Self::Json => (APPLICATION, JSON),
            Self::Ndjson => (APPLICATION, Name::new_unchecked("x-ndjson")),
            Self::Csv => (TEXT, CSV),
        }
    }

    /// The one of `offered` with the highest quality in the values of `Accept`, the first of equals; `None` where nothing
    /// fits. No `Accept` accepts everything, and so does one that names nothing. What is no media range is passed over.
    pub fn choose<Value: AsRef<str>>(accept: &[Value], offered: &[Self]) -> Option<Self> {
        let values = accept.iter().map(AsRef::as_ref);
        if values.clone().all(names_nothing) {
            return offered.first().copied();
        }
        let ranges: Vec<_> = values.flat_map(MediaTypeList::new).flatten().collect();
        let mut best = None;
        for media in offered {
            let quality = quality(*media, &ranges);
            if quality > best.map_or(0, |(_, quality)| quality) {
                best = Some((*media, quality));
            }
        }
        best.map(|(media, _)| media)
    }
}

/// Whether a list has no members: RFC 9110 lets it be empty, and have commas with nothing between them.
fn names_nothing(list: &str) -> bool {
    list.chars().all(|character| matches!(character, ' ' | '\t' | ','))
}

/// What the most specific range that covers a media type says of it, in thousandths.
fn quality(media: Media, ranges: &[MediaType<'_>]) -> u16 {
    let covering = ranges.iter().filter_map(|range| Some((specificity(range, media)?, weight(range)?)));
    covering.max_by_key(|(specific, _)| *specific).map_or(0, |(_, quality)| quality)
}

/// How specific a range is where it covers that media type. Parameters do not count.
fn specificity(range: &MediaType<'_>, media: Media) -> Option<u8> {
    let (kind, subtype) = media.names();
    let is_exact = range.subty == subtype && range.suffix.is_none();
    match (range.ty == _STAR, range.subty == _STAR) {
        (true, true) => Some(0),
        (false, true) if range.ty == kind => Some(1),
        (false, false) if range.ty == kind && is_exact => Some(2),
        _ => None,
    }
}

/// The weight of a range in thousandths, 1000 where it has none; `None` for a weight that is none of RFC 9110.
fn weight(range: &MediaType<'_>) -> Option<u16> {
    range.get_param(Q).map_or(Some(1000), |weight| thousandths(weight.as_str()))
}

/// `0.5` as 500; `None` for what is no weight of RFC 9110.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let is_weight = ["0", "1"].contains(&whole) && fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    let quality = if whole == "1" { 1000 + fraction } else { fraction };
    (is_weight && quality <= 1000).then_some(quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Media; 3] = [Media::Json, Media::Ndjson, Media::Csv];

    #[test]
    fn the_best_liked_of_what_is_offered_is_chosen() {
        for (accept, chosen) in [
            (&[][..], Some(Media::Json)),
            (&["*/*"], Some(Media::Json)),
            (&["text/*"], Some(Media::Csv)),
            (&["text/csv"], Some(Media::Csv)),
            (&["TEXT/CSV;header=absent"], Some(Media::Csv)),
            (&["application/*;q=0.5, text/csv;q=0.6"], Some(Media::Csv)),
            (&["text/csv;q=0.5", "application/x-ndjson"], Some(Media::Ndjson)),
            (&["*/*, application/json;q=0"], Some(Media::Ndjson)),
            (&["text/html, */*;q=0.1"], Some(Media::Json)),
            (&["application/json;q=0"], None),
            (&["text/html"], None),
            (&["text/csv;q=2"], None),
            (&["text/csv;q=0.1234"], None),
            (&["text/html;note=\"a, b;q=0\", text/csv ; Q=0.1"], Some(Media::Csv)),
            (&["nonsense, text/csv"], Some(Media::Csv)),
            (&["application/json+x"], None),
        ] {
            assert_eq!(Media::choose(accept, &ALL), chosen, "{accept:?}");
        }
    }

    #[test]
    fn an_accept_that_names_nothing_is_no_accept() {
        for accept in [&[""][..], &[" "], &["\t"], &[","], &[" , ,\t,"], &["", ""], &["", " ,"]] {
            for offered in [&ALL[..], &[Media::Csv], &[Media::Json]] {
                assert_eq!(Media::choose(accept, offered), Some(offered[0]), "{accept:?}");
            }
            let and_html: Vec<_> = accept.iter().copied().chain(["text/html"]).collect();
            assert_eq!(Media::choose(&and_html, &ALL), None, "{accept:?}");
            let and_csv: Vec<_> = ["text/csv"].into_iter().chain(accept.iter().copied()).collect();
            assert_eq!(Media::choose(&and_csv, &ALL), Some(Media::Csv), "{accept:?}");
        }
        for accept in [";", "\u{a0}", "\u{fffd}", ",;,", "*"] {
            assert_eq!(Media::choose(&[accept], &ALL), None, "{accept:?}");
        }
        assert_eq!(Media::choose(&[",, text/csv ,"], &ALL), Some(Media::Csv));
    }
}
