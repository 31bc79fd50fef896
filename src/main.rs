//! The binary: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser as _;
use halfhour::commands::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    halfhour::commands::run(Arguments::parse()).await
}
