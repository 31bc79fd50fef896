//! The jobs, one of them, and what did not go as planned.

use askama::Template;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::features::dashboard_page::look::{Frame, age, exact, instant};
use crate::features::dashboard_page::operator_doors::{PageException, PageJob, PageJobChange, PagePlanRow};

/// The list, and the form that plans one.
#[derive(Template)]
#[template(path = "operate_jobs.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct JobsPage {
    frame: Frame,
    notice: Option<String>,
    jobs: Vec<PageJob>,
    next: Option<String>,
    /// What was filled in.
    form: Vec<(String, String)>,
}

impl JobsPage {
    /// A page of jobs, and the cursor of the next one.
    pub fn new(base: &str, name: &str, jobs: Vec<PageJob>, next: Option<String>) -> Self {
        Self { frame: Frame::of(base, "Jobs", name, "operate-jobs"), notice: None, jobs, next, form: Vec::new() }
    }

    /// With what went wrong, and what was filled in.
    #[must_use]
    pub fn saying(self, notice: String, form: &[(String, String)]) -> Self {
        Self { notice: Some(notice), form: form.to_vec(), ..self }
    }

    /// What was filled in for a field.
    fn filled(&self, name: &str) -> &str {
        self.form.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// By which a plan is made once.
    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn key(&self) -> Uuid {
        Uuid::now_v7()
    }

    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn instant(&self, at: &DateTime<Utc>) -> String {
        instant(*at)
    }
}

/// A job, with a page of its plan.
#[derive(Template)]
#[template(path = "operate_job.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct JobPage {
    frame: Frame,
    notice: Option<String>,
    job: PageJob,
    rows: Vec<PagePlanRow>,
    /// Whether these are the first rows of the plan.
    is_first: bool,
    next: Option<String>,
}

impl JobPage {
    /// With rows of its plan, whether they are the first ones, and the cursor of the next page.
    pub fn new(
        base: &str,
        name: &str,
        job: PageJob,
        (rows, is_first, next): (Vec<PagePlanRow>, bool, Option<String>),
    ) -> Self {
        let frame = Frame::of(base, format!("Job: {}", job.action), name, "operate-jobs");
        Self { frame, notice: None, job, rows, is_first, next }
    }

    /// With what went wrong.
    #[must_use]
    pub fn saying(self, notice: String) -> Self {
        Self { notice: Some(notice), ..self }
    }

    fn can_execute(&self) -> bool {
        self.job.can.contains(&PageJobChange::Execute)
    }

    fn can_cancel(&self) -> bool {
        self.job.can.contains(&PageJobChange::Cancel)
    }

    fn can_roll_back(&self) -> bool {
        self.job.can.contains(&PageJobChange::RollBack)
    }

    /// What the failure means.
    fn failure(&self) -> Option<String> {
        let word = self.job.failure.as_deref()?;
        let meaning = match word {
            "incomplete" => "Something of it was left undone; the exceptions say what.",
            "events_parked" => "What it changed could not be folded; the events are set aside.",
            "abandoned" => "The stream of its lines broke off.",
            "no_lines" => "Its stream had no line.",
            "too_many_lines" => "Its stream had too many lines.",
            "expired" => "Nobody executed it in time.",
            "superseded" => "Another price book was put in force meanwhile.",
            _ => "",
        };
        Some(format!("{word}. {meaning}"))
    }

    /// A whole number with its digits in groups, and any other text as it is.
    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn in_groups(&self, text: &str) -> String {
        text.parse().map_or_else(|_| text.to_owned(), exact)
    }

    fn percent(&self) -> String {
        format!("{}.{} %", self.job.permille / 10, self.job.permille % 10)
    }

    fn remaining(&self) -> Option<String> {
        self.job.eta_s.map(|seconds| age(seconds.max(0).unsigned_abs()))
    }

    #[expect(
        clippy::unused_self,
        clippy::trivially_copy_pass_by_ref,
        reason = "a template calls methods with references"
    )]
    fn exact(&self, number: &u64) -> String {
        exact((*number).into())
    }

    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn instant(&self, at: &DateTime<Utc>) -> String {
        instant(*at)
    }
}

/// What did not go as planned.
#[derive(Template)]
#[template(path = "operate_exceptions.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct ExceptionsList {
    frame: Frame,
    job: PageJob,
    exceptions: Vec<PageException>,
    next: Option<String>,
}

impl ExceptionsList {
    /// A page of it, and the cursor of the next one.
    pub fn new(base: &str, name: &str, job: PageJob, exceptions: Vec<PageException>, next: Option<String>) -> Self {
        Self { frame: Frame::of(base, "What did not go as planned", name, "operate-jobs"), job, exceptions, next }
    }

    /// What a word of the list means.
    #[expect(clippy::unused_self, reason = "a template calls methods")]
    fn meaning(&self, exception: &PageException) -> &'static str {
        match exception.kind {
            "poisoned" => "not acceptable",
            "skipped" => "changed since the plan, and left alone",
            _ => "changed since the execution, and kept by the rollback",
        }
    }
}
