//! What processes cost: processor time and memory, from Linux's `/proc`. Elsewhere nothing is known.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::admin::Admin;

/// What PostgreSQL's processes are named by begins so.
const DATABASE: &str = "db: ";

/// Processor time so far, by what it was spent for.
#[derive(Clone, Debug, Default)]
pub struct Usage(BTreeMap<String, Duration>);

/// What one post cost, in microseconds of one core.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub server: f64,
    /// All of PostgreSQL's processes, those that have ended, too.
    pub database: f64,
    pub client: f64,
}

impl Usage {
    /// Of this process, the server and all of the database.
    pub async fn now(server: u32, admin: &mut Admin) -> anyhow::Result<Self> {
        let mut usage = Self::default();
        usage.add("client", processor_time(std::process::id()));
        usage.add("server", processor_time(server));
        for (pid, work) in admin.processes().await? {
            usage.add(&format!("{DATABASE}{work}"), u32::try_from(pid).ok().and_then(processor_time));
        }
        let postmaster = admin.postmaster().await?;
        usage.add(&format!("{DATABASE}ended"), times(postmaster, 11..15));
        Ok(usage)
    }

    fn add(&mut self, work: &str, time: Option<Duration>) {
        *self.0.entry(work.to_owned()).or_default() += time.unwrap_or_default();
    }

    /// What each post cost since `before`. What a process of PostgreSQL had spent is counted on after its end.
    pub fn cost_since(&self, before: &Self, posts: u32) -> Cost {
        let spent = |is_counted: fn(&str) -> bool| {
            let total = |usage: &Self| -> f64 {
                usage.0.iter().filter(|(work, _)| is_counted(work)).map(|(_, time)| time.as_secs_f64()).sum()
            };
            1e6 * (total(self) - total(before)) / f64::from(posts.max(1))
        };
        Cost {
            server: spent(|work| work == "server"),
            database: spent(|work| work.starts_with(DATABASE)),
            client: spent(|work| work == "client"),
        }
    }

    /// What each post cost since `before`, in microseconds of one core, the dearest first; what is below a microsecond is
    /// left out. Unlike a rate this hardly depends on who else uses the machine.
    pub fn per_post_since(&self, before: &Self, posts: u32) -> String {
        let mut costs: Vec<_> = self
            .0
            .iter()
            .map(|(work, time)| {
                let spent = time.saturating_sub(before.0.get(work).copied().unwrap_or_default());
                (1e6 * spent.as_secs_f64() / f64::from(posts.max(1)), work)
            })
            .collect();
        costs.sort_unstable_by(|one, other| other.0.total_cmp(&one.0));
        let total: f64 = costs.iter().map(|(cost, _)| cost).sum();
        let parts = costs.iter().filter(|(cost, _)| *cost >= 1.0).map(|(cost, work)| format!("{work} {cost:.0}"));
        format!("{total:.0} us: {}", parts.collect::<Vec<_>>().join(", "))
    }
}

/// User and system time of a process.
pub fn processor_time(pid: u32) -> Option<Duration> {
    times(pid, 11..13)
}

/// Times of a process: its own in user and system mode, and behind these those of its children that have ended. Linux counts
/// a hundred ticks a second for everyone who asks.
fn times(pid: u32, fields: Range<usize>) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold spaces.
    let (_, all) = stat.rsplit_once(") ")?;
    let ticks: u64 =
        all.split(' ').skip(fields.start).take(fields.len()).filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 10))
}

/// The most memory a process ever had, in MiB.
pub fn peak_memory_mib(pid: u32) -> Option<u64> {
    memory_mib(pid, "VmHWM:")
}

/// The memory that a process has now, in MiB.
pub fn resident_memory_mib(pid: u32) -> Option<u64> {
    memory_mib(pid, "VmRSS:")
}

fn memory_mib(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib.div_ceil(1024))
}
