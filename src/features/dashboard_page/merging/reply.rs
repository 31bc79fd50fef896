//! The pages of merges.

use askama::Template;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::door::PageMerge;
use crate::features::dashboard_page::doors::{PageDevice, PagePerson};
use crate::features::dashboard_page::look::{Frame, exact, instant};

/// Merges are listed up to so many.
pub const LISTED: u16 = 20;
/// The choices for what differs: as the API says it, and in words.
const RESOLVES: [(&str, &str); 4] = [
    ("larger", "The larger of the two, where one of them has seen only a part"),
    ("sum", "Both added up, where they have counted different usage"),
    ("from", "What the first one says"),
    ("into", "What the second one says"),
];

/// Where one chooses two devices, and sees the merges of before.
#[derive(Template)]
#[template(path = "merges.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct MergesPage {
    frame: Frame,
    notice: Option<String>,
    devices: Vec<PageDevice>,
    merges: Vec<PageMerge>,
    from: Option<Uuid>,
    into: Option<Uuid>,
}

/// One merge.
#[derive(Template)]
#[template(path = "merge.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct MergePage {
    frame: Frame,
    notice: Option<String>,
    merge: PageMerge,
    from: String,
    into: String,
    /// Whether the from-device may not post any more.
    is_revoked: bool,
    resolves: Vec<(&'static str, &'static str, bool)>,
}

impl MergesPage {
    /// Of a person, with two devices chosen already where they are.
    pub fn new(
        base: &str,
        person: &PagePerson,
        devices: Vec<PageDevice>,
        merges: Vec<PageMerge>,
        (from, into): (Option<Uuid>, Option<Uuid>),
    ) -> Self {
        let frame = Frame::of(base, "Merge two devices", &person.name, "settings");
        Self { frame, notice: None, devices, merges, from, into }
    }

    /// With a word on what went wrong.
    #[must_use]
    pub fn saying(self, notice: String) -> Self {
        Self { notice: Some(notice), ..self }
    }

    fn is_from(&self, device: &PageDevice) -> bool {
        self.from == Some(device.device_id)
    }

    fn is_into(&self, device: &PageDevice) -> bool {
        self.into == Some(device.device_id)
    }

    fn name(&self, device_id: &Uuid) -> String {
        named(&self.devices, *device_id)
    }

    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn instant(&self, at: &DateTime<Utc>) -> String {
        instant(*at)
    }

    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn state(&self, merge: &PageMerge) -> &'static str {
        in_words(merge.state)
    }
}

impl MergePage {
    /// Of a person whose devices these are.
    pub fn new(base: &str, person: &PagePerson, devices: &[PageDevice], merge: PageMerge) -> Self {
        let (from_id, into_id) = merge.devices;
        let (from, into) = (named(devices, from_id), named(devices, into_id));
        let is_revoked = devices.iter().any(|device| device.device_id == from_id && device.revoked_at.is_some());
        let resolves = RESOLVES.map(|(word, about)| (word, about, merge.resolve == Some(word))).to_vec();
        let frame = Frame::of(base, "A merge", &person.name, "settings");
        Self { frame, notice: None, merge, from, into, is_revoked, resolves }
    }

    /// With a word on what went wrong.
    #[must_use]
    pub fn saying(self, notice: String) -> Self {
        Self { notice: Some(notice), ..self }
    }

    fn state(&self) -> &'static str {
        in_words(self.merge.state)
    }

    /// Nobody has said yet what is to be where the devices differ.
    fn waits_for_choice(&self) -> bool {
        self.merge.different > 0 && self.merge.resolve.is_none()
    }

    fn is_ready(&self) -> bool {
        self.merge.state == "planned" && self.is_revoked && !self.waits_for_choice()
    }

    fn is_at_work(&self) -> bool {
        matches!(self.merge.state, "running" | "rolling_back")
    }

    fn can_be_taken_back(&self) -> bool {
        let has_ended = matches!(self.merge.state, "succeeded" | "failed" | "cancelled" | "rolled_back");
        has_ended && self.merge.executed_at.is_some() && !self.merge.is_purged
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::unused_self,
    reason = "a template calls methods, and hands them references"
)]
impl MergePage {
    /// All digits of a count.
    fn count(&self, number: &i64) -> String {
        exact(u128::try_from(*number).unwrap_or(0))
    }

    /// All digits of a sum of tokens.
    fn sum(&self, number: &u128) -> String {
        exact(*number)
    }

    fn instant(&self, at: &DateTime<Utc>) -> String {
        instant(*at)
    }
}

/// The name of a device. One that is not listed is named by its id.
fn named(devices: &[PageDevice], device_id: Uuid) -> String {
    let found = devices.iter().find(|device| device.device_id == device_id);
    found.map_or_else(|| device_id.to_string(), |device| device.name.clone())
}

fn in_words(state: &'static str) -> &'static str {
    match state {
        "planning" | "planned" => "a plan, and nothing was changed yet",
        "running" => "at work",
        "succeeded" => "done",
        "failed" => "done in part",
        "cancelled" => "cancelled",
        "rolling_back" => "being taken back",
        "rolled_back" => "taken back",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(state: &'static str, different: i64, resolve: Option<&'static str>) -> PageMerge {
        PageMerge {
            job_id: Uuid::nil(),
            state,
            version: 1,
            devices: (Uuid::nil(), Uuid::max()),
            resolve,
            only_in_from: 1,
            only_in_into: 0,
            equal: 0,
            different,
            tokens: (2, 2),
            progress: (0, 1),
            left: 0,
            kept: 0,
            is_purged: false,
            planned_at: DateTime::UNIX_EPOCH,
            executed_at: None,
        }
    }

    #[test]
    fn a_merge_is_ready_once_its_device_is_revoked_and_what_differs_is_decided() {
        let device = |revoked_at| PageDevice {
            device_id: Uuid::nil(),
            name: "old".into(),
            platform: "x".into(),
            revoked_at,
            last_used_at: None,
            speaks: None,
            kept: 0,
        };
        let person = PagePerson { name: "ann".into(), time_zone: "UTC".into() };
        let page = |merge, revoked_at| MergePage::new("", &person, &[device(revoked_at)], merge);
        let since = Some(DateTime::UNIX_EPOCH);
        assert!(page(merge("planned", 0, None), since).is_ready());
        assert!(page(merge("planned", 3, Some("sum")), since).is_ready());
        assert!(!page(merge("planned", 0, None), None).is_ready());
        assert!(!page(merge("planned", 3, None), since).is_ready());
        assert!(!page(merge("running", 0, None), since).is_ready());
        let never_begun = page(merge("cancelled", 0, None), since);
        assert!(!never_begun.can_be_taken_back());
        assert_eq!((never_begun.from.as_str(), never_begun.into.as_str()), ("old", Uuid::max().to_string().as_str()));
        let done = PageMerge { executed_at: since, ..merge("succeeded", 0, None) };
        assert!(page(done.clone(), since).can_be_taken_back());
        assert!(!page(PageMerge { is_purged: true, ..done }, since).can_be_taken_back());
    }
}
