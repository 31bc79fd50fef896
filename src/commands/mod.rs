//! The binary is the server and the operator's tool.
//!
//! Every command finds the database as the server does. Its result goes to standard output, in
//! words or with `--json` as one JSON value. What went wrong goes to standard error.
//!
//! Exit codes: 0 done; 1 failed; 2 wrong arguments or configuration; 3 `verify` found drift,
//! orphans or unknown tools, a job did not end well, `attribute` found failures that were not
//! their callers' fault, or a check of `doctor` failed.

mod accounts;
mod attribute;
mod backfill;
mod database;
mod demo;
mod doctor;
mod first_run;
mod job_words;
mod key_doubt;
mod open;
mod output;
mod persons;
mod price;
mod serve;
mod shutdown;
mod sources;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::{Output, complain};

use crate::config::{Config, Faults};

/// Keeps the token usage that AI coding tools report, exactly.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print one JSON value instead of words.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (the default). Without `DATABASE_URL` it brings its own PostgreSQL.
    Serve,
    /// Apply the migrations that are missing.
    Migrate,
    /// Users: who owns buckets.
    #[command(subcommand)]
    User(accounts::UserCommand),
    /// Devices: what posts buckets.
    #[command(subcommand)]
    Device(accounts::DeviceCommand),
    /// Tokens: issue, rotate, revoke, list.
    #[command(subcommand)]
    Token(accounts::TokenCommand),
    /// Tools: which may report usage.
    #[command(subcommand)]
    Source(sources::SourceCommand),
    /// Prices: import a book, list them, put one in force, look a price up.
    #[command(subcommand)]
    Price(price::PriceCommand),
    /// Compare rollups with the fold of their buckets. Changes nothing.
    Verify(verify::VerifyCommand),
    /// Change history: plan, execute, watch, cancel, roll back.
    #[command(subcommand)]
    Backfill(backfill::BackfillCommand),
    /// Read logs and say whose fault it was. Needs no database.
    Attribute(attribute::AttributeCommand),
    /// Print a link that signs its reader in on a browser, and open it where there is a desktop.
    Open(open::OpenCommand),
    /// Look whether this installation is well, and say what to do. Changes nothing.
    Doctor,
    /// Send a year of made-up usage to the running server, as a user of its own, or remove it.
    Demo(demo::DemoCommand),
}

/// Runs a command to its end.
pub async fn run(arguments: Arguments) -> ExitCode {
    match Box::pin(execute(arguments)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            if error.is::<Faults>() {
                ExitCode::from(2)
            } else if error.is::<verify::Unclean>()
                || error.is::<backfill::Unfinished>()
                || error.is::<attribute::Blamed>()
                || error.is::<doctor::Unwell>()
            {
                ExitCode::from(3)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Says that not even a thread can be started.
pub fn no_runtime(error: &anyhow::Error) -> ExitCode {
    complain(error);
    ExitCode::FAILURE
}

async fn execute(arguments: Arguments) -> anyhow::Result<()> {
    let output = Output { json: arguments.json };
    let config = Config::from_env();
    match arguments.command.unwrap_or(Command::Serve) {
        // It reads logs of any machine, whatever this one is set to.
        Command::Attribute(command) => attribute::attribute(command, &output),
        // It says what is wrong with the configuration, too.
        Command::Doctor => Box::pin(doctor::doctor(config, &output)).await,
        Command::Demo(command) => Box::pin(demo::demo(config?, command, &output)).await,
        Command::Serve => serve::serve(config?).await,
        Command::Migrate => migrate(config?, &output).await,
        Command::User(command) => accounts::user(config?, command, &output).await,
        Command::Device(command) => accounts::device(config?, command, &output).await,
        Command::Token(command) => accounts::token(config?, command, &output).await,
        Command::Open(command) => open::open(config?, command, &output).await,
        Command::Source(command) => sources::source(config?, command, &output).await,
        Command::Price(command) => price::price(config?, command, &output).await,
        Command::Verify(command) => verify::verify(config?, command, &output).await,
        Command::Backfill(command) => Box::pin(backfill::backfill(config?, command, &output)).await,
    }
}

async fn migrate(config: Config, output: &Output) -> anyhow::Result<()> {
    let opened = database::Opened::open(&config).await?;
    let applied = opened.applied_migrations();
    opened.close().await?;
    output.write(&serde_json::json!({ "applied": applied }), format_args!("{applied} migration(s) applied."))
}
