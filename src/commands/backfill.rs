//! `backfill` changes history, without a server or beside one.
//!
//! An execution works in this process, with a relay of its own. Where the worker of a server takes
//! the job first, the command watches it.

use std::fmt;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::database::Opened;
use super::job_words::{line, words};
use super::output::{Output, explain};
use super::shutdown::stop_on_signals;
use crate::app::{prices_with, verify_with};
use crate::config::Config;
use crate::features::backfill::{Backfills, Import, Job, JobChange, JobReply, Lines, Order, Shown, State, Worker};
use crate::features::dashboard_rollup::Relay;
use crate::features::operations::Switchboard;
use crate::kernel::access::Actor;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::follow_database_clock;
use crate::kernel::database::{Pool, in_batches};
use crate::kernel::idempotency::Once;
use crate::kernel::operations::switches::{Switch, Switches};
use crate::kernel::problem::Problem;
use crate::kernel::usage::relay_notifier::Signal;

/// How long one act may work on the database.
const LIMIT: Duration = Duration::from_mins(1);
/// How often the progress is looked at.
const INTERVAL: Duration = Duration::from_millis(200);
/// Connections: the worker, the relay, its look at the backlog, the switches and the progress.
const CONNECTIONS: u32 = 5;

#[derive(Debug, Subcommand)]
pub enum BackfillCommand {
    /// Make a plan, which changes nothing. An import reads its buckets from a file of JSON lines.
    Plan(PlanArguments),
    /// Carry a plan out, and wait for its end.
    Execute(JobArguments),
    /// Show a job, or the newest jobs.
    Status {
        /// The job; all where it is left out.
        job_id: Option<Uuid>,
    },
    /// Stop a job, or never begin it. What it has written stays until it is rolled back.
    Cancel {
        /// The job.
        job_id: Uuid,
    },
    /// Take an import, a merge or a reprice back, and wait for its end.
    Rollback(JobArguments),
}

#[derive(Debug, Args)]
pub struct PlanArguments {
    /// import, replay, verify, merge or reprice.
    #[arg(long)]
    action: String,
    /// Why: for the audit.
    #[arg(long)]
    reason: String,
    /// The first UTC day, such as 2026-11-01. A merge is of all days unless it says so.
    #[arg(long, required_if_eq_any([("action", "import"), ("action", "replay"), ("action", "verify")]))]
    from: Option<String>,
    /// The last UTC day.
    #[arg(long, required_if_eq_any([("action", "import"), ("action", "replay"), ("action", "verify")]))]
    to: Option<String>,
    /// Only this user, by id; repeatable. A merge is of one user.
    #[arg(long = "user", value_name = "USER_ID", required_if_eq("action", "merge"))]
    users: Vec<Uuid>,
    /// For a merge: the device whose buckets are moved.
    #[arg(long, value_name = "DEVICE_ID", required_if_eq("action", "merge"))]
    from_device: Option<String>,
    /// For a merge: the device that gets them.
    #[arg(long, value_name = "DEVICE_ID", required_if_eq("action", "merge"))]
    into_device: Option<String>,
    /// For a merge: what decides where the devices differ: sum, larger, from or into.
    #[arg(long)]
    resolve: Option<String>,
    /// For a reprice: the price book. It is of all users and days.
    #[arg(long, required_if_eq("action", "reprice"))]
    book: Option<u16>,
    /// For an import: a file with a bucket a line; `-` is standard input.
    #[arg(required_if_eq("action", "import"))]
    file: Option<PathBuf>,
}

impl PlanArguments {
    /// A reprice.
    pub fn reprice(book: u16, reason: String) -> Self {
        let (action, book) = ("reprice".to_owned(), Some(book));
        Self {
            action,
            reason,
            book,
            from: None,
            to: None,
            users: Vec::new(),
            from_device: None,
            into_device: None,
            resolve: None,
            file: None,
        }
    }
}

#[derive(Debug, Args)]
pub struct JobArguments {
    /// The job.
    job_id: Uuid,
    /// Only if the job still has this version.
    #[arg(long)]
    version: Option<i64>,
    /// Hand it to a running server, and do not wait.
    #[arg(long)]
    detach: bool,
}

/// The job came to an end, but not to a good one, or nobody waited for it.
#[derive(Debug)]
pub struct Unfinished {
    state: State,
    failure: Option<String>,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the job is {}", self.state.as_str())?;
        if self.state.is_at_work() {
            write!(formatter, " still: a running server goes on with it, or this command when it is repeated")?;
        }
        if self.state == State::Running {
            write!(formatter, "; `backfill cancel` stops it")?;
        }
        self.failure.as_ref().map_or(Ok(()), |failure| write!(formatter, " ({failure})"))
    }
}

impl std::error::Error for Unfinished {}

pub async fn backfill(config: Config, command: BackfillCommand, output: &Output) -> anyhow::Result<()> {
    let opened = Opened::open(&config).await?;
    let pool = Pool::new(in_batches(opened.options().clone()), "command", CONNECTIONS);
    let clock = Clock::system();
    let followed = follow_database_clock(&pool, &clock).await.map_err(|problem| explain(&problem));
    let prices = prices_with(&pool, &clock);
    let backfills = Backfills::new(pool.clone(), clock, Signal::default(), config.backfill_max_days, prices);
    let desk = Desk { backfills, pool };
    let result = match followed {
        Ok(()) => Box::pin(desk.obey(command, output)).await,
        Err(error) => Err(error),
    };
    desk.pool.close().await;
    opened.close().await?;
    result
}

struct Desk {
    backfills: Backfills,
    pool: Pool,
}

impl Desk {
    async fn obey(&self, command: BackfillCommand, output: &Output) -> anyhow::Result<()> {
        match command {
            BackfillCommand::Plan(arguments) => {
                let job = self.plan(arguments).await?;
                write(output, Shown { job, at: self.backfills.clock().now(), kept: Vec::new() })
            }
            BackfillCommand::Execute(arguments) => {
                Box::pin(self.carry_out(arguments, JobChange::Execute, output)).await
            }
            BackfillCommand::Rollback(arguments) => {
                Box::pin(self.carry_out(arguments, JobChange::Rollback, output)).await
            }
            BackfillCommand::Cancel { job_id } => {
                let shown = self.change(job_id, None, JobChange::Cancel).await?;
                write(output, shown)
            }
            BackfillCommand::Status { job_id: Some(job_id) } => {
                let shown = self.find(job_id).await?;
                write(output, shown)
            }
            BackfillCommand::Status { job_id: None } => {
                let jobs = self.backfills.list(&RequestContext::internal(LIMIT), None, 100).await;
                let jobs = jobs.map_err(|problem| explain(&problem))?;
                let now = self.backfills.clock().now();
                let words = jobs.iter().map(line).collect::<Vec<_>>().join("\n");
                let replies: Vec<_> = jobs.into_iter().map(|job| JobReply::brief(job, now)).collect();
                output.write(&json!({ "data": replies }), words)
            }
        }
    }

    async fn plan(&self, arguments: PlanArguments) -> anyhow::Result<Job> {
        let PlanArguments { action, reason, from, to, users, from_device, into_device, resolve, book, file } =
            arguments;
        let is_import = action == "import";
        anyhow::ensure!(is_import || file.is_none(), "only an import reads a file");
        let users = users.into_iter().map(|user| ("user_ids".to_owned(), user.to_string()));
        let parameters = [
            ("action", Some(action)),
            ("reason", Some(reason)),
            ("from", from),
            ("to", to),
            ("from_device_id", from_device),
            ("into_device_id", into_device),
            ("resolve", resolve),
            ("book", book.map(|book| book.to_string())),
        ];
        let parameters = parameters.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let parameters: Vec<_> = parameters.chain(users).collect();
        let limits = self.backfills.limits();
        let order = Order::parse_parameters(&parameters, limits).map_err(|problem| explain(&problem))?;
        let context = RequestContext::internal(LIMIT);
        match file {
            Some(file) if is_import => self.import(&context, &order, &file).await,
            _ => {
                let planned = self.backfills.plan(&context, Actor::Command, None, &order, &[]).await;
                Ok(planned.map_err(|problem| explain(&problem))?.job)
            }
        }
    }

    async fn import(&self, context: &RequestContext, order: &Order, path: &PathBuf) -> anyhow::Result<Job> {
        let mut file: Box<dyn std::io::Read + Send> = if path.as_os_str() == "-" {
            Box::new(std::io::stdin())
        } else {
            Box::new(std::fs::File::open(path).with_context(|| format!("{} cannot be read", path.display()))?)
        };
        let say = |problem: Problem| explain(&problem);
        let begun = self.backfills.begin_import(context, Actor::Command, None, order).await.map_err(say)?;
        let mut import = begun.map_err(|_job| anyhow::anyhow!("a job without a key met another"))?;
        if let Err(error) = read_lines(&mut import, &mut file).await {
            import.fail("abandoned").await;
            return Err(error.context(format!("{} broke off", path.display())));
        }
        import.finish(None).await.map_err(say)
    }

    async fn find(&self, job_id: Uuid) -> anyhow::Result<Shown> {
        self.backfills.find(&RequestContext::internal(LIMIT), job_id).await.map_err(|problem| explain(&problem))
    }

    async fn change(&self, job_id: Uuid, version: Option<i64>, change: JobChange) -> anyhow::Result<Shown> {
        let (context, once) = (RequestContext::internal(LIMIT), Once::unkeyed());
        let changed = self.backfills.change(&context, Actor::Command, job_id, version, change, once).await;
        changed.map_err(|unexecuted| explain(&unexecuted.into()))
    }

    /// Hands the job over unless it is at work already, and sees it to its end.
    async fn carry_out(&self, arguments: JobArguments, change: JobChange, output: &Output) -> anyhow::Result<()> {
        let JobArguments { job_id, version, detach } = arguments;
        let wanted = if change == JobChange::Execute { State::Running } else { State::RollingBack };
        let mut shown = self.find(job_id).await?;
        // After a crash the same command goes on.
        if shown.job.state != wanted || version.is_some() {
            shown = self.change(job_id, version, change).await?;
        }
        if !detach {
            Box::pin(self.see_to_its_end(&shown.job)).await?;
            shown = self.find(job_id).await?;
        }
        let (state, failure) = (shown.job.state, shown.job.failure.clone());
        write(output, shown)?;
        match state {
            State::Succeeded | State::RolledBack => Ok(()),
            State::Running | State::RollingBack if detach => Ok(()),
            state => Err(Unfinished { state, failure }.into()),
        }
    }

    /// Returns earlier on SIGINT or SIGTERM, after the step that is under way; the job is then anybody's.
    async fn see_to_its_end(&self, job: &Job) -> anyhow::Result<()> {
        let stop = stop_on_signals(|| {})?;
        let (switches, signal) = (Switches::at_start(), Signal::default());
        let clock = self.backfills.clock().clone();
        let switchboard = Switchboard::new(self.pool.clone(), clock.clone(), switches.clone());
        switchboard.refresh().await.map_err(|problem| explain(&problem))?;
        if !switches.is_on(Switch::Backfill) {
            tracing::warn!("the switch `backfill` is off: nothing happens until it is on");
        }
        let relay = Relay::new(self.pool.clone(), signal.clone(), clock, switches.clone());
        let worker = Worker::new(self.backfills.clone(), switches, signal, verify_with(&self.pool));
        let work = async {
            let result = worker.run_job(job.job_id, &stop).await;
            stop.cancel();
            result
        };
        let (result, (), (), ()) =
            tokio::join!(work, relay.run(stop.clone()), switchboard.run(stop.clone()), self.show(job, &stop));
        result.map(|_job| ()).map_err(|problem| explain(&problem))
    }

    /// A bar for people at a terminal.
    async fn show(&self, job: &Job, stop: &CancellationToken) {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(job.phase_total().try_into().unwrap_or(0))
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{msg:12} {bar:40} {human_pos}/{human_len} {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        while !stop.is_cancelled() {
            if let Ok(shown) = self.backfills.find(&RequestContext::internal(LIMIT), job.job_id).await {
                bar.set_message(shown.job.state.as_str());
                bar.set_position(shown.job.done.try_into().unwrap_or(0));
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
        bar.finish_and_clear();
    }
}

fn write(output: &Output, shown: Shown) -> anyhow::Result<()> {
    let words = words(&shown.job);
    output.write(&serde_json::to_value(JobReply::from(shown))?, words)
}

async fn read_lines(import: &mut Import<'_>, file: &mut (dyn std::io::Read + Send)) -> anyhow::Result<()> {
    let (mut lines, mut chunk) = (Lines::default(), vec![0_u8; 64 * 1024]);
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            lines.finish(|number, line| import.take(number, line));
            return Ok(());
        }
        lines.feed(&chunk[..read], |number, line| import.take(number, line));
        if import.is_full() {
            import.stage().await.map_err(|problem| explain(&problem))?;
        }
    }
}
