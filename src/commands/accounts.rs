//! `user`, `device` and `token`: who may use this installation.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use uuid::Uuid;

use super::database::Opened;
use super::key_doubt::say_doubts_of_command;
use super::output::{Output, explain};
use crate::config::Config;
use crate::features::accounts::{Accounts, DeviceListing, ROTATION_OVERLAP_S, TokenListing, UserListing};
use crate::kernel::access::{Actor, TokenKind};
use crate::kernel::call::RequestContext;
use crate::kernel::database::Pool;
use crate::kernel::problem::Problem;

/// How long one command may work on the database.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Create a user and its viewer token, which is shown once.
    Add {
        /// Unique among active users, 1 to 100 characters.
        name: String,
        /// The IANA time zone whose days the user's rollups hold.
        #[arg(long, default_value = "UTC")]
        time_zone: String,
    },
    /// List users, revoked ones included.
    List,
    /// Revoke a user and all its tokens for good. Its buckets stay; its name may be given to
    /// another user.
    Revoke {
        /// The user's name.
        name: String,
    },
    /// Erase a user, active or revoked, and all its usage for good. Without `--confirm` it only says
    /// what would go.
    Erase(super::persons::EraseCommand),
    /// Store another time zone; a running server rebuilds the user's rollup in it.
    Zone {
        /// The user's name.
        name: String,
        /// An IANA name, such as Europe/Berlin.
        time_zone: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum DeviceCommand {
    /// Register a device of a user and issue its token, which is shown once.
    Add {
        /// The owner's name.
        #[arg(long)]
        user: String,
        /// Unique among the user's active devices, 1 to 100 characters.
        #[arg(long)]
        name: String,
        /// What the device runs, for people to read.
        #[arg(long, default_value = "unknown")]
        platform: String,
    },
    /// List a user's devices, revoked ones included.
    List {
        /// The owner's name.
        #[arg(long)]
        user: String,
    },
    /// Revoke a device and its tokens for good. Its buckets stay; its name may be given to another
    /// device.
    Revoke {
        /// The owner's name.
        #[arg(long)]
        user: String,
        /// The device's name.
        #[arg(long)]
        name: String,
    },
    /// Approve a device that shows a code, so that it becomes one of the user's.
    Approve {
        /// The owner's name.
        #[arg(long)]
        user: String,
        /// As the device shows it.
        #[arg(long)]
        code: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Issue another token, which is shown once.
    Issue {
        /// The owner's name.
        #[arg(long)]
        user: String,
        /// What the token may do.
        #[arg(long, value_enum)]
        kind: KindArgument,
        /// For `--kind device`: the device's name.
        #[arg(long, required_if_eq("kind", "device"))]
        device: Option<String>,
    },
    /// Issue a token, shown once, that takes the place of another one; the old one works for ten
    /// minutes more.
    Rotate {
        /// As `token list` shows it.
        token_id: Uuid,
    },
    /// Revoke a token for good.
    Revoke {
        /// As `token list` shows it.
        token_id: Uuid,
    },
    /// List tokens, revoked ones included; never the tokens themselves.
    List {
        /// Only this user's.
        #[arg(long)]
        user: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KindArgument {
    Device,
    Viewer,
    Operator,
}

impl From<KindArgument> for TokenKind {
    fn from(kind: KindArgument) -> Self {
        match kind {
            KindArgument::Device => Self::Device,
            KindArgument::Viewer => Self::Viewer,
            KindArgument::Operator => Self::Operator,
        }
    }
}

pub async fn user(config: Config, command: UserCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        UserCommand::Add { name, time_zone } => {
            let work = async |accounts: &Accounts, context: &RequestContext| {
                accounts.users.add(context, Actor::Command, &name, &time_zone).await
            };
            let user = with_accounts(&config, work).await?;
            let token = user.viewer_token.reveal();
            let words = format!("User {name} is {}.\nViewer token, shown only now: {token}", user.user_id);
            output.write(&json!({ "user_id": user.user_id, "viewer_token": token }), words)
        }
        UserCommand::List => {
            let work = async |accounts: &Accounts, context: &RequestContext| accounts.users.list_all(context).await;
            let users = with_accounts(&config, work).await?;
            let line = |user: &UserListing| {
                let UserListing { user_id, name, time_zone, created_at, revoked_at, .. } = user;
                format!("{user_id}  {}  {}  {time_zone}  {name}", created_at.format("%Y-%m-%d"), state(*revoked_at))
            };
            let words = users.iter().map(line).collect::<Vec<_>>().join("\n");
            output.write(&serde_json::to_value(&users)?, words)
        }
        UserCommand::Revoke { name } => {
            let work = async |accounts: &Accounts, context: &RequestContext| {
                accounts.users.revoke(context, Actor::Command, &name).await
            };
            let user_id = with_accounts(&config, work).await?;
            let words = format!("User {name} ({user_id}) is revoked; a running server heeds it within ten seconds.");
            output.write(&json!({ "user_id": user_id, "revoked": true }), words)
        }
        UserCommand::Erase(command) => super::persons::erase(config, command, output).await,
        UserCommand::Zone { name, time_zone } => {
            let work = async |accounts: &Accounts, context: &RequestContext| {
                accounts.profiles.change_zone_of(context, Actor::Command, &name, &time_zone).await
            };
            let user_id = with_accounts(&config, work).await?;
            let words = format!("The days of {name} will be those of {time_zone}.");
            output.write(&json!({ "user_id": user_id, "time_zone": time_zone }), words)
        }
    }
}

pub async fn device(config: Config, command: DeviceCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        DeviceCommand::Add { user, name, platform } => {
            let work = async |accounts: &Accounts, context: &RequestContext| {
                accounts.devices.add(context, Actor::Command, &user, &name, &platform).await
            };
            let device = with_accounts(&config, work).await?;
            let token = device.token.reveal();
            let words =
                format!("Device {name} of {user} is {}.\nDevice token, shown only now: {token}", device.device_id);
            output.write(&json!({ "device_id": device.device_id, "token": token }), words)
        }
        DeviceCommand::List { user } => {
            let work =
                async |accounts: &Accounts, context: &RequestContext| accounts.devices.list_all(context, &user).await;
            let devices = with_accounts(&config, work).await?;
            let line = |device: &DeviceListing| {
                let DeviceListing { device_id, name, platform, created_at, revoked_at, .. } = device;
                format!("{device_id}  {}  {}  {platform}  {name}", created_at.format("%Y-%m-%d"), state(*revoked_at))
            };
            let words = devices.iter().map(line).collect::<Vec<_>>().join("\n");
            output.write(&serde_json::to_value(&devices)?, words)
        }
        DeviceCommand::Revoke { user, name } => {
            let work = async |accounts: &Accounts, context: &RequestContext| {
                accounts.devices.revoke_named(context, Actor::Command, &user, &name).await
            };
            let device_id = with_accounts(&config, work).await?.device_id;
            let words =
                format!("Device {name} ({device_id}) is revoked; a running server heeds it within ten seconds.");
            output.write(&json!({ "device_id": device_id, "revoked": true }), words)
        }
        DeviceCommand::Approve { user, code } => {
            let work = async |accounts: &Accounts, context: &RequestContext| {
                let user_id = accounts.users.find(context, &user).await?;
                accounts.pairings.approve_code(context, Actor::Command, user_id, &code).await
            };
            let expires_at = with_accounts(&config, work).await?;
            let words = format!(
                "The device that shows {code} becomes one of {user}'s when it asks again, within some seconds."
            );
            output.write(&json!({ "expires_at": expires_at }), words)
        }
    }
}

pub async fn token(config: Config, command: TokenCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        TokenCommand::Issue { user, kind, device } => {
            anyhow::ensure!(device.is_none() || kind == KindArgument::Device, "--device goes with --kind device only");
            let work = async |accounts: &Accounts, context: &RequestContext| {
                accounts.issue_token(context, Actor::Command, &user, kind.into(), device.as_deref()).await
            };
            let issued = with_accounts(&config, work).await?;
            let token = issued.token.reveal();
            let words = format!("Token {} of {user}.\nShown only now: {token}", issued.token_id);
            output.write(&json!({ "token_id": issued.token_id, "token": token }), words)
        }
        TokenCommand::Rotate { token_id } => {
            let work = async |accounts: &Accounts, context: &RequestContext| {
                accounts.tokens.rotate(context, Actor::Command, token_id).await
            };
            let issued = with_accounts(&config, work).await?;
            let token = issued.token.reveal();
            let minutes = ROTATION_OVERLAP_S / 60;
            let words = format!(
                "Token {} takes the place of {token_id}, which works for {minutes} minutes more.\nShown only now: {token}",
                issued.token_id
            );
            output.write(&json!({ "token_id": issued.token_id, "token": token }), words)
        }
        TokenCommand::Revoke { token_id } => {
            let work = async |accounts: &Accounts, context: &RequestContext| {
                accounts.tokens.revoke(context, Actor::Command, token_id).await
            };
            let was_active = with_accounts(&config, work).await?;
            let words = if was_active { "Revoked." } else { "It was revoked before." };
            output.write(&json!({ "token_id": token_id, "revoked": true, "was_active": was_active }), words)
        }
        TokenCommand::List { user } => {
            let work = async |accounts: &Accounts, context: &RequestContext| {
                let user_id = match &user {
                    Some(name) => Some(accounts.users.find(context, name).await?),
                    None => None,
                };
                accounts.tokens.list(context, user_id).await
            };
            let tokens = with_accounts(&config, work).await?;
            let words = tokens.iter().map(line).collect::<Vec<_>>().join("\n");
            output.write(&serde_json::to_value(&tokens)?, words)
        }
    }
}

fn line(token: &TokenListing) -> String {
    let device = token.device.as_deref().unwrap_or("-");
    let created = token.created_at.format("%Y-%m-%d");
    let state = match (token.revoked_at, token.expires_at) {
        (None, Some(end)) => format!("until {}", end.format("%Y-%m-%d %H:%M:%SZ")),
        (revoked_at, _) => state(revoked_at),
    };
    format!("{}  {:8}  {created}  {state}  {}  {device}", token.token_id, token.kind, token.user)
}

fn state(revoked_at: Option<DateTime<Utc>>) -> String {
    revoked_at.map_or("active".to_owned(), |at| format!("revoked {}", at.format("%Y-%m-%d %H:%M:%SZ")))
}

/// Opens the database, works, and closes it whatever came of the work.
pub(super) async fn with_accounts<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Accounts, &RequestContext) -> Result<T, Problem>,
) -> anyhow::Result<T> {
    let opened = Opened::open(config).await?;
    let pool = Pool::new(opened.options().clone(), "command", 1);
    let (accounts, context) = (Accounts::new(pool.clone(), opened.key()), RequestContext::internal(LIMIT));
    say_doubts_of_command(&accounts, &context).await;
    let result = work(&accounts, &context).await;
    pool.close().await;
    opened.close().await?;
    result.map_err(|problem| explain(&problem))
}
