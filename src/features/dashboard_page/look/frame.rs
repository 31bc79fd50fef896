//! What stands around every page, and what browsers load besides.

/// What a page may do: show its own style, run its own script, and send its forms here.
pub const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; \
                               frame-ancestors 'none'; base-uri 'none'";

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const ICON: &str = include_str!("icon.svg");
const STYLE_HASH: u64 = hash(STYLE);
const SCRIPT_HASH: u64 = hash(SCRIPT);
const ICON_HASH: u64 = hash(ICON);

/// FNV-1a. Nobody gains by making two files alike.
const fn hash(text: &str) -> u64 {
    let (bytes, mut at, mut hash) = (text.as_bytes(), 0, 0xcbf2_9ce4_8422_2325_u64);
    while at < bytes.len() {
        hash ^= bytes[at] as u64;
        hash = hash.wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// A file that pages load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its media type.
    pub media_type: &'static str,
    /// What it says.
    pub text: &'static str,
}

impl Asset {
    /// The file of that name, whose hash is part of it.
    pub fn named(name: &str) -> Option<Self> {
        if name == style_name() {
            Some(Self { media_type: "text/css; charset=utf-8", text: STYLE })
        } else if name == script_name() {
            Some(Self { media_type: "text/javascript; charset=utf-8", text: SCRIPT })
        } else if name == icon_name() {
            Some(Self { media_type: "image/svg+xml", text: ICON })
        } else {
            None
        }
    }
}

fn style_name() -> String {
    format!("page.{STYLE_HASH:016x}.css")
}

fn script_name() -> String {
    format!("page.{SCRIPT_HASH:016x}.js")
}

fn icon_name() -> String {
    format!("icon.{ICON_HASH:016x}.svg")
}

/// What stands around a page.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What every path that leaves the server begins with, or nothing.
    pub base: String,
    /// What the window is called.
    pub title: String,
    /// Who is signed in; nobody on a page for everybody.
    pub person: Option<String>,
    /// Which entry of the menu is this page.
    pub here: &'static str,
}

impl Frame {
    /// Around a page for everybody.
    pub fn open(base: &str, title: impl Into<String>) -> Self {
        Self { base: base.to_owned(), title: title.into(), person: None, here: "" }
    }

    /// Around a page of somebody.
    pub fn of(base: &str, title: impl Into<String>, person: &str, here: &'static str) -> Self {
        Self { base: base.to_owned(), title: title.into(), person: Some(person.to_owned()), here }
    }

    /// Where the style sheet is.
    pub fn style(&self) -> String {
        format!("{}/assets/{}", self.base, style_name())
    }

    /// Where the script is.
    pub fn script(&self) -> String {
        format!("{}/assets/{}", self.base, script_name())
    }

    /// Where the icon is.
    pub fn icon(&self) -> String {
        format!("{}/assets/{}", self.base, icon_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_the_name_that_pages_load_it_by_and_by_no_other() {
        let frame = Frame::open("/p", "x");
        for (path, text) in [(frame.style(), STYLE), (frame.script(), SCRIPT), (frame.icon(), ICON)] {
            let name = path.strip_prefix("/p/assets/").unwrap();
            assert_eq!(Asset::named(name).unwrap().text, text);
            assert_eq!(Asset::named(&name.replacen('.', ".0", 1)), None);
        }
        assert_ne!(hash("a"), hash("b"));
        assert_eq!(Asset::named("page.css"), None);
    }

    #[test]
    fn nothing_that_pages_load_comes_from_elsewhere_or_wants_more_than_its_policy() {
        for text in [STYLE, SCRIPT] {
            for forbidden in ["http:", "https:", "@import", "url(", "eval(", "innerHTML"] {
                assert!(!text.contains(forbidden), "{forbidden}");
            }
        }
    }
}
