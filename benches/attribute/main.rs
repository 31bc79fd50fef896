//! `cargo bench --bench attribute`: a gigabyte of log, read by the real binary on one core. It is compared with programs
//! that do next to nothing with the same bytes: `cat`, which copies them, and `grep -c`, which counts lines. Rates are
//! by processor time, where the system tells it. They are reported and not judged; every line must be known.
//!
//! `-- --quick` reads a tenth of that.

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "the benches share it, and each leaves some of it unused")]
mod support;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use support::arguments::Arguments;
use support::processes::{peak_memory_mib, processor_time};
use support::table::{Table, median, progress};

/// Each program reads the log so often.
const ROUNDS: usize = 5;

/// What servers write most, and what they write when something is wrong.
const LINES: [&str; 4] = [
    r#""function":"ingest_buckets","stage":"request","method":"POST","route":"/v1/buckets","principal":{"kind":"device","id":"01a1fbd1-a1bd-766a-a2ab-d5dd92ca14d0"},"status":200,"latency_ms":11.452,"error_code":null,"fault":null,"upstream_status":200,"upstream_latency_ms":3.418,"upstream_evidence":null,"attribution":"NONE","retries":0,"idempotency":null,"error":null}"#,
    r#""function":"get_rollups","stage":"request","method":"GET","route":"/v1/rollups","principal":{"kind":"viewer","id":"01a1fbd1-a1bd-766a-a2ab-d5dd92ca14d1"},"status":200,"latency_ms":4.118,"error_code":null,"fault":null,"upstream_status":200,"upstream_latency_ms":2.9,"upstream_evidence":null,"attribution":"NONE","retries":0,"idempotency":null,"error":null}"#,
    r#""function":"relay_round","stage":"commit","method":null,"route":null,"principal":null,"status":200,"latency_ms":9.001,"error_code":null,"fault":null,"upstream_status":200,"upstream_latency_ms":8.2,"upstream_evidence":null,"attribution":"NONE","retries":0,"idempotency":null,"error":null}"#,
    r#""function":"ingest_buckets","stage":"request","method":"POST","route":"/v1/buckets","principal":{"kind":"device","id":"01a1fbd1-a1bd-766a-a2ab-d5dd92ca14d0"},"status":503,"latency_ms":1003.2,"error_code":"database_unavailable","fault":"dependency","upstream_status":503,"upstream_latency_ms":1000.1,"upstream_evidence":null,"attribution":"UPSTREAM","retries":2,"idempotency":null,"error":"error communicating with database: Connection refused (os error 111): Connection refused (os error 111)"}"#,
];

fn main() -> anyhow::Result<()> {
    let megabytes = if Arguments::read()?.quick { 100 } else { 1_000 };
    let log = Log::write(megabytes * 1_000_000)?;
    let halfhour = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_halfhour"));
        command.args(["attribute", "--json"]).arg(&log.path);
        command
    };
    check(halfhour(), log.lines)?;
    let program = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(name);
        command.args(arguments).arg(&log.path);
        command
    };
    let (mut ours, mut cats, mut greps, mut memory) = (Vec::new(), Vec::new(), Vec::new(), None);
    for round in 1..=ROUNDS {
        progress(format_args!("round {round} of {ROUNDS}"));
        // In turns: a machine is not equally fast all the time.
        cats.push(run(program("cat", &[]), &mut None)?);
        greps.push(run(program("grep", &["-c", "\"status\":5"]), &mut None)?);
        ours.push(run(halfhour(), &mut memory)?);
    }
    let per_second = |times: Vec<Duration>| f64::from(megabytes) / median(times).as_secs_f64();
    let (ours, cat, grep) = (per_second(ours), per_second(cats), per_second(greps));
    let mut table = Table::new();
    table.compare("megabytes of log attributed, a core; against `grep -c`", ours, grep, "");
    table.compare("the same; against `cat`", ours, cat, ">= 200/s");
    let memory = memory.map_or_else(|| "not known here".to_owned(), |mib| format!("{mib} MiB"));
    table.note("peak memory", memory, "");
    write!(std::io::stdout(), "\n{table}\n")?;
    Ok(())
}

/// A file that goes with this value.
struct Log {
    path: PathBuf,
    lines: u64,
}

impl Log {
    fn write(bytes: u32) -> anyhow::Result<Self> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-log-{}", std::process::id()));
        let mut file = BufWriter::new(File::create(&path)?);
        let (mut lines, mut written) = (0, 0);
        while written < u64::from(bytes) {
            // One in a hundred failed.
            let line = if lines % 100 == 99 { LINES[3] } else { LINES[usize::try_from(lines % 3)?] };
            let (second, fraction) = ((lines / 1_000) % 60, (lines * 997) % 1_000_000);
            let line = format!(
                "{{\"timestamp\":\"2026-11-21T01:56:{second:02}.{fraction:06}Z\",\"level\":\"INFO\",\
                 \"request_id\":\"01a1fbd2-04cd-7475-82af-{lines:012x}\",\"trace_id\":\"01a1fbd204cd747582af4490045ada48\",{line}\n",
            );
            written += u64::try_from(line.len())?;
            lines += 1;
            file.write_all(line.as_bytes())?;
        }
        file.flush()?;
        Ok(Self { path, lines })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // What remains is in the build folder and is harmless.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Every line must be known, and the failed ones blamed.
fn check(mut command: Command, lines: u64) -> anyhow::Result<()> {
    let output = command.output()?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).context("no report")?;
    ensure!(report["known"] == lines && report["failed"]["upstream"] == lines / 100, "{report}");
    Ok(())
}

/// The processor time that a program takes, which hardly depends on who else uses the machine, and the most memory that
/// it had.
fn run(mut command: Command, memory: &mut Option<u64>) -> anyhow::Result<Duration> {
    let (began, mut spent) = (Instant::now(), None);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    // What it says is taken away, as from a pipe into nothing.
    let mut output = child.stdout.take().context("no output")?;
    let taken = std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    loop {
        spent = processor_time(child.id()).or(spent);
        if child.try_wait()?.is_some() {
            break;
        }
        *memory = peak_memory_mib(child.id()).max(*memory);
        std::thread::sleep(Duration::from_millis(2));
    }
    let took = spent.unwrap_or_else(|| began.elapsed());
    taken.join().map_err(|_| anyhow::anyhow!("the output could not be read"))??;
    Ok(took)
}
