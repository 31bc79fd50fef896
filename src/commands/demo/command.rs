//! What the command does: it finds the server and the demo, makes the year, sends it, and tells.

use std::net::SocketAddr;
use std::time::Instant;

use clap::Args;
use futures_util::future::try_join_all;
use serde_json::Value;

use super::clearing::clear;
use super::habits::DEVICES;
use super::person::{DAYS, LIMIT, SEED, USER, ZONE};
use super::progress::SendingProgress;
use super::server::{Known, RunningServer, refused};
use super::told;
use super::year::{MadeBucket, Year};
use crate::app::persons_with;
use crate::commands::database::Opened;
use crate::commands::doctor::has_cluster;
use crate::commands::first_run::reached;
use crate::commands::key_doubt::say_doubts_of_command;
use crate::commands::output::{Output, explain};
use crate::config::{Config, Database};
use crate::features::accounts::{Accounts, Demo, Persons};
use crate::kernel::access::Actor;
use crate::kernel::bucket::MAX_POSTED;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::Pool;

#[derive(Debug, Args)]
pub struct DemoCommand {
    /// Remove the demo, and nothing else.
    #[arg(long, conflicts_with = "url")]
    clear: bool,
    /// Where the server is, if it is not where the data directory or the configuration says.
    #[arg(long)]
    url: Option<url::Url>,
}

pub async fn demo(config: Config, command: DemoCommand, output: &Output) -> anyhow::Result<()> {
    if command.clear {
        return clear(&config, output).await;
    }
    let servers = living(&addresses(&config, command.url.as_ref())).await?;
    let is_private = matches!(config.database, Database::Embedded);
    if is_private && !has_cluster(&config.data_dir) {
        return Err(other_servers(&config, &servers));
    }
    let (server, demo) = made(&config, &servers).await?;
    let year = Year::before(Clock::machine_now().with_timezone(&ZONE).date_naive(), days(&config), ZONE, SEED);
    let progress = SendingProgress::new(year.buckets.len(), output.json);
    let sent = send(&server, &demo, &year, &progress).await;
    progress.finish();
    let changed = sent?;
    told::tell(&server, &demo, &year, changed, output).await
}

/// As many days as trackers may post, and no more than a year.
fn days(config: &Config) -> u32 {
    config.ingest_max_age_days.map_or(DAYS, |most| most.saturating_sub(2).clamp(1, DAYS))
}

/// Where the server may be: what somebody says, or else what the last start on this data directory wrote down, and what
/// the configuration says.
fn addresses(config: &Config, url: Option<&url::Url>) -> Vec<String> {
    if let Some(url) = url {
        return vec![url.as_str().trim_end_matches('/').to_owned()];
    }
    let content = std::fs::read_to_string(config.data_dir.join("credentials.env")).unwrap_or_default();
    let written = content.lines().find_map(|line| line.strip_prefix("HALFHOUR_URL=")).map(|url| url.trim().to_owned());
    let written = written.filter(|_| matches!(config.database, Database::Embedded));
    let configured = (config.bind.port() != 0).then(|| url_of(config.bind));
    let mut addresses: Vec<_> = written.into_iter().chain(configured).collect();
    addresses.dedup();
    addresses
}

fn url_of(address: SocketAddr) -> String {
    format!("http://{}", reached(address))
}

/// Those that answer. Errors: none does.
async fn living(addresses: &[String]) -> anyhow::Result<Vec<RunningServer>> {
    let mut living = Vec::new();
    for address in addresses {
        let server = RunningServer::new(address)?;
        if server.lives().await {
            living.push(server);
        }
    }
    let places = if addresses.is_empty() { "any address that is known".to_owned() } else { addresses.join(" or ") };
    anyhow::ensure!(
        !living.is_empty(),
        "no server answers at {places}, and a demo is sent to a running one: start it in another terminal (`cargo run \
         --release`, or `halfhour serve`), or say where it is with --url"
    );
    Ok(living)
}

/// The demo, and the server that knows it.
async fn made(config: &Config, servers: &[RunningServer]) -> anyhow::Result<(RunningServer, Demo)> {
    let opened = Opened::open(config).await?;
    let result = if opened.programs().is_some() {
        // Nobody but this command runs the private PostgreSQL.
        Err(other_servers(config, servers))
    } else {
        let pool = Pool::new(opened.options().clone(), "command", 1);
        let result = made_in(config, &pool, &opened, servers).await;
        pool.close().await;
        result
    };
    opened.close().await?;
    result
}

async fn made_in(
    config: &Config,
    pool: &Pool,
    opened: &Opened,
    servers: &[RunningServer],
) -> anyhow::Result<(RunningServer, Demo)> {
    let (accounts, context) = (Accounts::new(pool.clone(), opened.key()), RequestContext::internal(LIMIT));
    say_doubts_of_command(&accounts, &context).await;
    let user = (USER, ZONE.name());
    let demo = accounts.demos(pool.clone()).find_or_make(&context, Actor::Command, user, &DEVICES).await;
    let demo = demo.map_err(|problem| explain(&problem))?;
    match knowing(&demo, servers).await {
        Ok(Some(server)) => Ok((server, demo)),
        nobody => {
            let is_new = demo.is_new;
            if is_new {
                undo(&persons_with(pool), &demo).await?;
            }
            nobody?;
            Err(if is_new { other_servers(config, servers) } else { unknown_to(servers) })
        }
    }
}

/// The first server to which the demo's token is that of the demo's user.
async fn knowing(demo: &Demo, servers: &[RunningServer]) -> anyhow::Result<Option<RunningServer>> {
    for server in servers {
        if server.whose(demo.viewer_token.reveal()).await? == Known::User(demo.user_id) {
            return Ok(Some(server.clone()));
        }
    }
    Ok(None)
}

/// Nothing of it was sent yet.
async fn undo(persons: &Persons, demo: &Demo) -> anyhow::Result<()> {
    let context = RequestContext::internal(LIMIT);
    let until = Instant::now() + LIMIT;
    let erased = persons.erase(&context, Actor::Command, demo.user_id, false, until).await;
    erased.map(drop).map_err(|problem| explain(&problem))
}

fn other_servers(config: &Config, servers: &[RunningServer]) -> anyhow::Error {
    let (of, variable) = match config.database {
        Database::Embedded => (format!("the data directory {}", config.data_dir.display()), "HALFHOUR_DATA_DIR"),
        Database::External(_) => ("the database of DATABASE_URL".to_owned(), "DATABASE_URL and HALFHOUR_SECRET"),
    };
    anyhow::anyhow!(
        "what answers at {} is not the server of {of}, so that nothing was changed: set {variable} as for that server, or \
         start a server here and say where with --url",
        urls(servers)
    )
}

fn unknown_to(servers: &[RunningServer]) -> anyhow::Error {
    anyhow::anyhow!(
        "what answers at {} does not take the token of the demo that is in this database: it is a server of another \
         database, or the token was revoked, or made under another key; `halfhour demo --clear` removes that demo, and \
         then `halfhour demo` makes another",
        urls(servers)
    )
}

fn urls(servers: &[RunningServer]) -> String {
    servers.iter().map(RunningServer::url).collect::<Vec<_>>().join(" or ")
}

/// Sends a year, each device by itself. Returns how many buckets were not there yet, or were others.
async fn send(server: &RunningServer, demo: &Demo, year: &Year, progress: &SendingProgress) -> anyhow::Result<u64> {
    let devices = demo.devices.iter().enumerate().map(|(place, device)| {
        let own = year.buckets.iter().filter(|bucket| bucket.device == place);
        send_some(server, device.token.reveal(), own.map(MadeBucket::json).collect(), progress)
    });
    Ok(try_join_all(devices.collect::<Vec<_>>()).await?.into_iter().sum())
}

async fn send_some(
    server: &RunningServer,
    token: &str,
    buckets: Vec<Value>,
    progress: &SendingProgress,
) -> anyhow::Result<u64> {
    let mut changed = 0;
    for some in buckets.chunks(MAX_POSTED.into()) {
        let reply = server.post(token, some, |why| progress.waits(why)).await?;
        match reply.status {
            200 => {}
            401 => anyhow::bail!(
                "{} does not take the token of a device of the demo any more: the demo was cleared meanwhile, or the \
                 device revoked; say `halfhour demo --clear`, and then `halfhour demo` again",
                server.url()
            ),
            _ => return Err(refused(server.url(), &reply)),
        }
        let count = |name: &str| reply.json[name].as_u64().unwrap_or_default();
        changed += count("inserted") + count("updated");
        progress.advance(some.len());
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Config::from_variables(variables.iter().map(owned)).unwrap()
    }

    #[test]
    fn no_more_days_are_made_than_trackers_may_post() {
        for (most, expected) in [("400", 365), ("0", 365), ("367", 365), ("366", 364), ("30", 28), ("2", 1), ("1", 1)] {
            assert_eq!(days(&config(&[("HALFHOUR_INGEST_MAX_AGE_DAYS", most)])), expected, "{most}");
        }
    }

    #[test]
    fn the_server_is_sought_where_somebody_says_or_where_it_wrote_down_that_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        let said = url::Url::parse("https://example.org/halfhour/").unwrap();
        let at = |bind, url| addresses(&config(&[("HALFHOUR_DATA_DIR", path), ("HALFHOUR_BIND", bind)]), url);
        assert_eq!(at("0.0.0.0:8081", None), ["http://127.0.0.1:8081"]);
        assert_eq!(at("[::]:8081", None), ["http://[::1]:8081"]);
        assert_eq!(at("127.0.0.1:0", None), Vec::<String>::new());
        let content = "HALFHOUR_URL=http://127.0.0.1:34567\nHALFHOUR_DEVICE_TOKEN=x\n";
        std::fs::write(directory.path().join("credentials.env"), content).unwrap();
        assert_eq!(at("127.0.0.1:0", None), ["http://127.0.0.1:34567"]);
        assert_eq!(at("127.0.0.1:8080", None), ["http://127.0.0.1:34567", "http://127.0.0.1:8080"]);
        assert_eq!(at("127.0.0.1:34567", None), ["http://127.0.0.1:34567"]);
        assert_eq!(at("127.0.0.1:34567", Some(&said)), ["https://example.org/halfhour"]);
    }
}
