//! `user erase`: a person goes for good.

use std::time::{Duration, Instant};

use clap::Args;
use uuid::Uuid;

use super::database::Opened;
use super::output::{Output, explain};
use crate::app::persons_with;
use crate::config::Config;
use crate::features::accounts::{Person, PersonErasure, Persons};
use crate::kernel::access::Actor;
use crate::kernel::call::RequestContext;
use crate::kernel::database::Pool;
use crate::kernel::problem::{Code, Problem};

/// How long the first transaction may take, and counting.
const LIMIT: Duration = Duration::from_secs(30);
/// How long the command goes on removing usage.
const PATIENCE: Duration = Duration::from_hours(24);

#[derive(Debug, Args)]
pub struct EraseCommand {
    /// The user's name, where only one user has or had it.
    #[arg(required_unless_present = "user_id", conflicts_with = "user_id")]
    name: Option<String>,
    /// The user by id. An erasure that was interrupted is gone on with so.
    #[arg(long, value_name = "USER_ID")]
    user_id: Option<Uuid>,
    /// The user's name once more: without it nothing is erased.
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
}

pub async fn erase(config: Config, command: EraseCommand, output: &Output) -> anyhow::Result<()> {
    let opened = Opened::open(&config).await?;
    let pool = Pool::new(opened.options().clone(), "command", 1);
    let result = work(&persons_with(&pool), &command).await;
    pool.close().await;
    opened.close().await?;
    let erasure = result.map_err(|problem| explain(&problem))?;
    output.write(&serde_json::to_value(&erasure)?, words(&erasure))
}

async fn work(persons: &Persons, command: &EraseCommand) -> Result<PersonErasure, Problem> {
    let context = RequestContext::internal(LIMIT);
    let user_id = match (&command.user_id, &command.name) {
        (Some(user_id), _) => *user_id,
        (None, Some(name)) => persons.find_named(&context, name).await?,
        (None, None) => return Err(Problem::new(Code::Malformed, "Say whom: a name, or --user-id.")),
    };
    let until = Instant::now() + PATIENCE;
    match (persons.find(&context, user_id).await?, &command.confirm) {
        (Person::Erased { .. }, _) => persons.go_on(&RequestContext::internal(PATIENCE), user_id, until).await,
        (Person::There { .. }, None) => persons.preview(&context, user_id).await,
        (Person::There { name }, Some(confirm)) if *confirm == name => {
            // Whoever has the machine can make another operator.
            let mut erasure = persons.erase(&context, Actor::Command, user_id, true, Instant::now()).await?;
            persons.remove_usage(&RequestContext::internal(PATIENCE), &mut erasure, until).await;
            Ok(erasure)
        }
        (Person::There { .. }, Some(_)) => {
            Err(Problem::new(Code::Conflict, "--confirm is not the name of this user; nothing was erased."))
        }
    }
}

fn words(erasure: &PersonErasure) -> String {
    let PersonErasure { user_id, devices, tokens, link_codes, buckets, backfill_rows, rollup_rows, .. } = erasure;
    let what = format!(
        "{devices} device(s), {tokens} token(s), {link_codes} link code(s), {buckets} bucket(s), \
         {backfill_rows} row(s) of backfills, {rollup_rows} row(s) of the rollup"
    );
    if erasure.dry_run {
        format!("Nothing was erased. Of {user_id} would go, for good: {what}.\nSay --confirm and the name to erase.")
    } else if erasure.finished {
        format!("{user_id} is erased: {what}.")
    } else {
        format!(
            "{user_id} is erased, and some usage is left: {what}.\n\
             A running server goes on with it, or `halfhour user erase --user-id {user_id}`."
        )
    }
}
