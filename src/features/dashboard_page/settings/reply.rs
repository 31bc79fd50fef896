//! The settings, and the page that shows a secret.

use askama::Template;
use chrono::{DateTime, Utc};

use super::setups::Setup;
use crate::features::dashboard_page::doors::{PageDevice, PagePerson, PageToken};
use crate::features::dashboard_page::look::{Frame, instant};

/// Lists show so many.
pub const MOST: u16 = 200;

/// The settings.
#[derive(Template)]
#[template(path = "settings.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct SettingsPage {
    frame: Frame,
    notice: Option<String>,
    person: PagePerson,
    zone: String,
    device_name: String,
    devices: Vec<PageDevice>,
    tokens: Vec<PageToken>,
    is_cut: bool,
}

impl SettingsPage {
    /// Of a person.
    pub fn new(base: &str, person: PagePerson, devices: Vec<PageDevice>, tokens: Vec<PageToken>) -> Self {
        let is_cut = devices.len() >= usize::from(MOST) || tokens.len() >= usize::from(MOST);
        Self {
            frame: Frame::of(base, "Settings", &person.name, "settings"),
            notice: None,
            zone: person.time_zone.clone(),
            device_name: String::new(),
            person,
            devices,
            tokens,
            is_cut,
        }
    }

    /// With what went wrong, and what was filled in.
    #[must_use]
    pub fn saying(self, notice: String, filled: &[(String, String)]) -> Self {
        let field = |name: &str| filled.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let zone = field("time_zone").unwrap_or_else(|| self.zone.clone());
        Self { notice: Some(notice), zone, device_name: field("name").unwrap_or_default(), ..self }
    }

    /// An instant in words.
    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn instant(&self, at: &DateTime<Utc>) -> String {
        instant(*at)
    }
}

/// A secret, once.
#[derive(Template)]
#[template(path = "secret.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct SecretPage {
    frame: Frame,
    hint: &'static str,
    secret: String,
    setups: Vec<Setup>,
}

impl SecretPage {
    /// For a person.
    pub fn new(
        base: &str,
        title: &str,
        person: &PagePerson,
        hint: &'static str,
        secret: String,
        setups: Vec<Setup>,
    ) -> Self {
        Self { frame: Frame::of(base, title, &person.name, "settings"), hint, secret, setups }
    }
}
