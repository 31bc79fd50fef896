//! The settings, and the page that shows a secret.

use askama::Template;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::setups::Setup;
use crate::features::dashboard_page::doors::{PageDevice, PagePerson, PageToken};
use crate::features::dashboard_page::look::{Frame, instant};

/// Lists show so many.
pub const MOST: u16 = 200;

/// What is in the fields that wait for something. Where a form was refused, that is what was filled in.
#[derive(Clone, Debug, Default)]
pub struct Filled {
    /// The zone; `None` for the present one.
    pub zone: Option<String>,
    /// The name of a new device.
    pub device_name: String,
    /// Its platform.
    pub platform: String,
    /// A device, and the name that it is to have.
    pub renaming: Option<(Uuid, String)>,
    /// What a new token is for.
    pub label: String,
}

/// The settings.
#[derive(Template)]
#[template(path = "settings.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct SettingsPage {
    frame: Frame,
    url: String,
    notice: Option<String>,
    person: PagePerson,
    /// The zone that the days are still in, while they are rebuilt.
    present_zone: Option<String>,
    filled: Filled,
    devices: Vec<PageDevice>,
    tokens: Vec<PageToken>,
    /// The session that asks.
    own_token: Option<Uuid>,
    is_cut: bool,
}

/// What there is of a person.
#[derive(Debug)]
pub struct Belongings {
    /// Who it is.
    pub person: PagePerson,
    /// The zone that its days are in.
    pub zone: String,
    /// Its devices.
    pub devices: Vec<PageDevice>,
    /// Its tokens and sessions.
    pub tokens: Vec<PageToken>,
    /// The session that asks.
    pub own_token: Option<Uuid>,
}

impl SettingsPage {
    /// Of a person, at `url`, which has `base` before every path.
    pub fn new((base, url): (&str, &str), belongings: Belongings) -> Self {
        let Belongings { person, zone, devices, tokens, own_token } = belongings;
        let is_cut = devices.len() >= usize::from(MOST) || tokens.len() >= usize::from(MOST);
        Self {
            frame: Frame::of(base, "Settings", &person.name, "settings"),
            url: url.to_owned(),
            notice: None,
            present_zone: (zone != person.time_zone).then_some(zone),
            filled: Filled::default(),
            person,
            devices,
            tokens,
            own_token,
            is_cut,
        }
    }

    /// With what went wrong, and what was filled in.
    #[must_use]
    pub fn saying(self, notice: String, filled: Filled) -> Self {
        Self { notice: Some(notice), filled, ..self }
    }

    fn zone(&self) -> &str {
        self.filled.zone.as_deref().unwrap_or(&self.person.time_zone)
    }

    /// The name that was filled in for a device, where that was refused.
    fn wanted_name(&self, device: &PageDevice) -> Option<&str> {
        let (device_id, name) = self.filled.renaming.as_ref()?;
        (*device_id == device.device_id).then_some(name.as_str())
    }

    fn is_own(&self, token: &PageToken) -> bool {
        self.own_token == Some(token.token_id)
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
