//! `open`: a link that signs its reader in on a browser, once.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Args;
use serde_json::json;

use super::accounts::with_accounts;
use super::first_run::{USER, sign_in_link};
use super::output::Output;
use crate::config::Config;
use crate::features::accounts::Accounts;
use crate::kernel::call::RequestContext;

/// What opens a link on a desktop.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

#[derive(Debug, Args)]
pub struct OpenCommand {
    /// Who is to be signed in.
    #[arg(long, default_value = USER)]
    user: String,
    /// Only print the link, and open nothing.
    #[arg(long)]
    print: bool,
}

pub async fn open(config: Config, command: OpenCommand, output: &Output) -> anyhow::Result<()> {
    let work =
        async |accounts: &Accounts, context: &RequestContext| accounts.sign_ins.code_for(context, &command.user).await;
    let code = with_accounts(&config, work).await?;
    let link = sign_in_link(&reached_at(&config), &code);
    let words = format!("{link}\nIt signs {} in on one browser, once, within ten minutes.", command.user);
    output.write(&json!({ "url": link }), words)?;
    let is_watched = std::io::stdout().is_terminal() && !output.json;
    if is_watched && !command.print && config.has_desktop {
        // Whoever has no browser has the link.
        let _ =
            Command::new(OPENER).arg(&link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    }
    Ok(())
}

/// Where callers reach the server: as the configuration says, or a server that runs has written down.
fn reached_at(config: &Config) -> String {
    let written = || written_url(&config.data_dir);
    let configured = config.public_url.clone();
    configured.or_else(written).unwrap_or_else(|| format!("http://{}", config.bind))
}

fn written_url(data_dir: &Path) -> Option<String> {
    let content = std::fs::read_to_string(data_dir.join("credentials.env")).ok()?;
    content.lines().find_map(|line| Some(line.strip_prefix("HALFHOUR_URL=")?.to_owned()))
}
