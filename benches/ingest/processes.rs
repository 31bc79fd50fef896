//! What processes cost: processor time and memory, from Linux's `/proc`. Elsewhere nothing is known.

use std::collections::BTreeMap;
use std::time::Duration;

use super::raw::Admin;

/// Processor time so far, by what it was spent for.
#[derive(Clone, Debug, Default)]
pub struct Usage(BTreeMap<String, Duration>);

impl Usage {
    /// Of this process, the server and all of the database.
    pub async fn now(server: u32, admin: &mut Admin) -> anyhow::Result<Self> {
        let mut usage = Self::default();
        usage.add("client", processor_time(std::process::id()));
        usage.add("server", processor_time(server));
        for (pid, work) in admin.processes().await? {
            usage.add(&format!("db: {work}"), u32::try_from(pid).ok().and_then(processor_time));
        }
        Ok(usage)
    }

    fn add(&mut self, work: &str, time: Option<Duration>) {
        *self.0.entry(work.to_owned()).or_default() += time.unwrap_or_default();
    }

    /// The share of each since `before`, in words, the largest first; what is below one percent is left out.
    pub fn shares_since(&self, before: &Self) -> String {
        let spent =
            |work: &String, time: &Duration| time.saturating_sub(before.0.get(work).copied().unwrap_or_default());
        let mut spent: Vec<_> = self.0.iter().map(|(work, time)| (spent(work, time), work)).collect();
        spent.sort_unstable_by(|one, other| other.cmp(one));
        let total: Duration = spent.iter().map(|(time, _)| *time).sum();
        let per_cent = |time: Duration| 100.0 * time.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE);
        let shares = spent.into_iter().filter(|(time, _)| per_cent(*time) >= 1.0);
        shares.map(|(time, work)| format!("{work} {:.0} %", per_cent(time))).collect::<Vec<_>>().join(", ")
    }
}

/// User and system time of a process. Linux counts a hundred ticks a second for everyone who asks.
fn processor_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold spaces.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 10))
}

/// The most memory a process ever had, in MiB.
pub fn peak_memory_mib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib.div_ceil(1024))
}
