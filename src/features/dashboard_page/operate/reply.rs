//! What operators see first, and the lists.

use askama::Template;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::request::NEVER;
use crate::features::dashboard_page::look::{Frame, age, exact, instant};
use crate::features::dashboard_page::operator_doors::{
    PageBook, PageJob, PageLane, PageParked, PageStatus, PageSwitch, PageUncovered, PageUser,
};
use crate::kernel::operations::switches::Switch;

/// The first page.
#[derive(Template)]
#[template(path = "operate.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct OperatePage {
    frame: Frame,
    release: &'static str,
    notice: Option<String>,
    /// The switch whose form was refused, and the reason that was filled in.
    refused: Option<(Switch, String)>,
    status: PageStatus,
    waiting: u64,
    parked: u64,
    /// How many switches are.
    off: usize,
    switches: Vec<PageSwitch>,
    jobs: Vec<PageJob>,
}

impl OperatePage {
    /// For an operator of that name.
    pub fn new(base: &str, name: &str, status: PageStatus, switches: Vec<PageSwitch>, jobs: Vec<PageJob>) -> Self {
        let (waiting, parked) =
            status.lanes.iter().fold((0, 0), |(waiting, parked), lane| (waiting + lane.waiting, parked + lane.parked));
        Self {
            frame: Frame::of(base, "Operate", name, "operate"),
            release: env!("CARGO_PKG_VERSION"),
            notice: None,
            refused: None,
            status,
            waiting,
            parked,
            off: switches.iter().filter(|switch| !switch.is_on).count(),
            switches,
            jobs,
        }
    }

    /// With what went wrong, at which switch, and the reason that was filled in.
    #[must_use]
    pub fn saying(self, notice: String, switch: Switch, reason: String) -> Self {
        Self { notice: Some(notice), refused: Some((switch, reason)), ..self }
    }

    /// How old the oldest event of a lane is.
    fn age_of(&self, lane: &PageLane) -> Option<String> {
        let old = lane.oldest_at.map(|at| (self.status.at - at).num_seconds().max(0));
        old.map(|seconds| age(seconds.unsigned_abs()))
    }

    /// Whether a replay of its day helps an event: one that concerns a whole person is of no day.
    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn is_of_a_day(&self, event: &PageParked) -> bool {
        event.topic != "rebuild"
    }

    /// The id of the form that plans a replay of an event, by which it makes one job.
    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn key(&self) -> Uuid {
        Uuid::now_v7()
    }

    /// How a form says which throw was seen.
    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn seen(&self, switch: &PageSwitch) -> String {
        switch.last.as_ref().map_or_else(|| NEVER.to_owned(), |last| exact_instant(last.at))
    }

    /// The reason that was filled in for a switch.
    fn filled(&self, switch: &PageSwitch) -> Option<&str> {
        self.refused.as_ref().filter(|(refused, _)| *refused == switch.switch).map(|(_, reason)| reason.as_str())
    }

    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn governs(&self, switch: &PageSwitch) -> &'static str {
        match switch.switch {
            Switch::Ingest => "Posts of trackers. Off, they are refused with 503 and sent again later.",
            Switch::Relay => "Folding. Off, posts are taken, and what dashboards show stays as it is.",
            Switch::Backfill => "Jobs. Off, each stops after its step and goes on when it is on again.",
            Switch::Retention => "Removing what is past its retention.",
        }
    }

    fn uptime(&self) -> String {
        age(self.status.uptime_s)
    }

    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn instant(&self, at: &DateTime<Utc>) -> String {
        instant(*at)
    }

    #[expect(
        clippy::unused_self,
        clippy::trivially_copy_pass_by_ref,
        reason = "a template calls methods with references"
    )]
    fn exact(&self, number: &u64) -> String {
        exact((*number).into())
    }
}

/// To the microsecond, as the database has it.
fn exact_instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// The users.
#[derive(Template)]
#[template(path = "operate_users.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct UsersList {
    frame: Frame,
    users: Vec<PageUser>,
    next: Option<String>,
}

impl UsersList {
    /// A page of them, and the cursor of the next one.
    pub fn new(base: &str, name: &str, users: Vec<PageUser>, next: Option<String>) -> Self {
        Self { frame: Frame::of(base, "Users", name, "operate-users"), users, next }
    }

    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn instant(&self, at: &DateTime<Utc>) -> String {
        instant(*at)
    }
}

/// The price books.
#[derive(Template)]
#[template(path = "operate_prices.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct PricesPage {
    frame: Frame,
    books: Vec<PageBook>,
}

impl PricesPage {
    /// All of them.
    pub fn new(base: &str, name: &str, books: Vec<PageBook>) -> Self {
        Self { frame: Frame::of(base, "Price books", name, "operate-prices"), books }
    }

    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn key(&self) -> Uuid {
        Uuid::now_v7()
    }

    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn instant(&self, at: &DateTime<Utc>) -> String {
        instant(*at)
    }
}

/// What has no price.
#[derive(Template)]
#[template(path = "operate_coverage.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct CoveragePage {
    frame: Frame,
    uncovered: Vec<PageUncovered>,
    total: u128,
}

impl CoveragePage {
    /// All of it.
    pub fn new(base: &str, name: &str, uncovered: Vec<PageUncovered>) -> Self {
        let total = uncovered.iter().map(|line| line.tokens).sum();
        Self { frame: Frame::of(base, "What has no price", name, "operate-prices"), uncovered, total }
    }

    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn exact(&self, number: &u128) -> String {
        exact(*number)
    }
}
