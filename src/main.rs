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
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return halfhour::commands::no_runtime(&error.into()),
    };
    let code = runtime.block_on(halfhour::commands::run(arguments));
    runtime.shutdown_timeout(PATIENCE);
    code
}
