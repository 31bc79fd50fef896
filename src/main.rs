//! The binary: arguments in, exit code out.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use halfhour::commands::Arguments;
use mimalloc::MiMalloc;

/// [Why not the system's](../docs/decisions/0044-an-allocator-and-a-log-in-batches.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What still blocks a thread after everything was closed is left behind after this time.
const PATIENCE: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    do_without_huge_pages();
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return halfhour::commands::no_runtime(&error.into()),
    };
    let code = runtime.block_on(halfhour::commands::run(arguments));
    runtime.shutdown_timeout(PATIENCE);
    code
}

/// A page of 2 MiB is held wherever a few bytes of it are: a busy server held a third more, and gave none of it back. What is
/// started from here does without them, too. Where the system refuses, the process is only larger.
fn do_without_huge_pages() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
