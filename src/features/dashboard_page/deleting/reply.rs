//! The pages of deletions.

use askama::Template;

use super::request::DeletionScope;
use crate::features::dashboard_page::doors::{PageDevice, PageErasure, PageFarewell, PagePerson};
use crate::features::dashboard_page::look::{Frame, exact, instant};

/// What became of a deletion.
#[derive(Clone, Copy, Debug)]
pub enum DeletionStep {
    /// Nothing is named yet, or it is wrong.
    Ask,
    /// So much would be deleted.
    Counted(PageErasure),
    /// So much was deleted.
    Done(PageErasure),
}

/// Deleting usage.
#[derive(Template)]
#[template(path = "deletion.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct DeletionPage {
    frame: Frame,
    notice: Option<String>,
    person: PagePerson,
    devices: Vec<PageDevice>,
    scope: DeletionScope,
    confirm: String,
    step: DeletionStep,
}

/// Deleting everything.
#[derive(Template)]
#[template(path = "erasure.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct ErasurePage {
    frame: Frame,
    notice: Option<String>,
    name: String,
    confirm: String,
    farewell: PageFarewell,
    is_gone: bool,
}

impl DeletionPage {
    /// Of a person.
    pub fn new(
        base: &str,
        person: PagePerson,
        devices: Vec<PageDevice>,
        scope: DeletionScope,
        step: DeletionStep,
    ) -> Self {
        let frame = Frame::of(base, "Delete usage", &person.name, "settings");
        Self { frame, notice: None, person, devices, scope, confirm: String::new(), step }
    }

    /// With a word on what went wrong, and what was typed.
    #[must_use]
    pub fn saying(self, notice: String, confirm: String) -> Self {
        Self { notice: Some(notice), confirm, ..self }
    }

    fn is_chosen(&self, device: &PageDevice) -> bool {
        device.device_id.to_string() == self.scope.device
    }

    /// What it is about, in words.
    fn of_what(&self) -> String {
        let DeletionScope { device, source, from, to, is_everything } = &self.scope;
        if *is_everything {
            return "all of your usage".to_owned();
        }
        let named = self.devices.iter().find(|known| known.device_id.to_string() == *device);
        let device = named.map(|device| format!(" of {}", device.name)).unwrap_or_default();
        let tool = if source.is_empty() { String::new() } else { format!(" by {source}") };
        let days = match (from.as_str(), to.as_str()) {
            ("", "") => String::new(),
            (from, "") => format!(" from {from} on"),
            ("", to) => format!(" up to {to}"),
            (from, to) => format!(" from {from} to {to}"),
        };
        format!("the usage{device}{tool}{days}")
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::unused_self,
    reason = "a template calls methods, and hands them references"
)]
impl DeletionPage {
    /// The first half hour and the last one, in words.
    fn hours(&self, counted: &PageErasure) -> Option<(String, String)> {
        counted.hours.map(|(first, last)| (instant(first), instant(last)))
    }

    /// All digits of a count.
    fn count(&self, number: &i64) -> String {
        exact(u128::try_from(*number).unwrap_or(0))
    }
}

impl ErasurePage {
    /// Of a person of whom so much would go.
    pub fn of(base: &str, name: &str, farewell: PageFarewell) -> Self {
        let frame = Frame::of(base, "Delete everything", name, "settings");
        Self { frame, notice: None, name: name.to_owned(), confirm: String::new(), farewell, is_gone: false }
    }

    /// Of nobody any more.
    pub fn gone(base: &str, farewell: PageFarewell) -> Self {
        let frame = Frame::open(base, "Everything is deleted");
        Self { frame, notice: None, name: String::new(), confirm: String::new(), farewell, is_gone: true }
    }

    /// With a word on what went wrong, and what was typed.
    #[must_use]
    pub fn saying(self, notice: String, confirm: String) -> Self {
        Self { notice: Some(notice), confirm, ..self }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::unused_self,
    reason = "a template calls methods, and hands them references"
)]
impl ErasurePage {
    /// All digits of a count.
    fn count(&self, number: &i64) -> String {
        exact(u128::try_from(*number).unwrap_or(0))
    }
}
