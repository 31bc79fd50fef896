//! A form that came when its session had ended.

/// Forms of these paths are held. What they do is done when the person sends them again.
const HELD_AT: &str = "/settings";
/// No form of ours is longer.
pub const LONGEST: usize = 4096;

/// The form, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldForm {
    /// The path, without what the public URL has before it.
    pub to: String,
    /// The fields, encoded as they came.
    pub fields: String,
}

impl HeldForm {
    /// `None` for what no form of the settings sends.
    pub fn of(to: &str, fields: &str) -> Option<Self> {
        Self::below(HELD_AT, to, fields)
    }

    /// `None` for what goes to no path at or below another one.
    pub fn below(at: &str, to: &str, fields: &str) -> Option<Self> {
        let is_ours = to.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let is_plain = to.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_".contains(&byte));
        (is_ours && is_plain && fields.len() <= LONGEST).then(|| Self { to: to.to_owned(), fields: fields.to_owned() })
    }

    /// The fields by name.
    pub fn pairs(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.fields.as_bytes()).into_owned().collect()
    }
}

/// A path of this server to go to; the first page where it is none.
pub fn local_path(text: &str) -> String {
    let is_local = text.starts_with('/')
        && !text.starts_with("//")
        && text.len() <= LONGEST
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_local { text.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forms_of_the_settings_are_held() {
        assert_eq!(HeldForm::of("/settings/devices", "name=a+b&x=%26").unwrap().pairs()[1], ("x".into(), "&".into()));
        assert!(HeldForm::of("/settings", "").is_some());
        for to in ["", "/", "/sign-out", "//evil/settings", "/settingsx", "/settings/../sign-out", "/settings/\"><x"] {
            assert_eq!(HeldForm::of(to, "a=b"), None, "{to}");
        }
        assert_eq!(HeldForm::of("/settings", &"x".repeat(LONGEST + 1)), None);
    }

    #[test]
    fn nobody_is_led_away_from_this_server() {
        for kept in ["/", "/?last=7", "/day?day=2026-11-28", "/model?name=a%2Fb"] {
            assert_eq!(local_path(kept), kept);
        }
        for other in ["", "x", "//evil.example", "https://evil.example", "/\\evil", "/a b", "/\n", "javascript:x", "/é"]
        {
            assert_eq!(local_path(other), "/", "{other}");
        }
    }
}
