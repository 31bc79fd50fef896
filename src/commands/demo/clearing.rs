//! `demo --clear`: the demo's user goes for good, with everything of it and with nothing else.

use std::time::{Duration, Instant};

use serde_json::json;

use super::habits::DEVICES;
use super::person::{LIMIT, USER};
use crate::app::persons_with;
use crate::commands::database::Opened;
use crate::commands::doctor::has_cluster;
use crate::commands::output::{Output, explain};
use crate::config::{Config, Database};
use crate::features::accounts::{Accounts, Demos, PersonErasure, Persons};
use crate::kernel::access::Actor;
use crate::kernel::call::RequestContext;
use crate::kernel::database::Pool;
use crate::kernel::problem::{Code, Problem};

/// How long the command goes on removing usage.
const PATIENCE: Duration = Duration::from_hours(1);

pub(super) async fn clear(config: &Config, output: &Output) -> anyhow::Result<()> {
    if matches!(config.database, Database::Embedded) && !has_cluster(&config.data_dir) {
        return say(&[], output);
    }
    let opened = Opened::open(config).await?;
    let pool = Pool::new(opened.options().clone(), "command", 1);
    let demos = Accounts::new(pool.clone(), opened.key()).demos(pool.clone());
    let removed = remove(&demos, &persons_with(&pool)).await;
    pool.close().await;
    opened.close().await?;
    say(&removed.map_err(|problem| explain(&problem))?, output)
}

/// Every demo, active or revoked. Errors: 409 somebody has registered devices for it, or the user of that name is none.
async fn remove(demos: &Demos, persons: &Persons) -> Result<Vec<PersonErasure>, Problem> {
    let context = RequestContext::internal(LIMIT);
    let mut found = Vec::new();
    for user_id in persons.all_named(&context, USER).await? {
        let Some(demo) = demos.of_user(&context, user_id, DEVICES.len()).await? else { continue };
        if !demo.other_devices.is_empty() {
            let detail = format!(
                "The user {USER:?} has devices that the demo has not made ({}), so that nothing was removed. `halfhour user \
                 erase {USER} --confirm {USER}` removes the user with all of them and with what they have posted.",
                demo.other_devices.join(", ")
            );
            return Err(Problem::new(Code::Conflict, detail));
        }
        found.push(user_id);
    }
    if found.is_empty() && demos.active(&context, USER).await?.is_some() {
        let detail = format!("There is a user {USER:?}, whom no demo has made, and no demo. Nothing was removed.");
        return Err(Problem::new(Code::Conflict, detail));
    }
    let until = Instant::now() + PATIENCE;
    let mut removed = Vec::new();
    for user_id in found {
        let mut erasure = persons.erase(&context, Actor::Command, user_id, false, Instant::now()).await?;
        persons.remove_usage(&RequestContext::internal(PATIENCE), &mut erasure, until).await;
        removed.push(erasure);
    }
    Ok(removed)
}

fn say(removed: &[PersonErasure], output: &Output) -> anyhow::Result<()> {
    let sum = |of: fn(&PersonErasure) -> i64| removed.iter().map(of).sum::<i64>();
    let (devices, tokens, buckets) = (sum(|of| of.devices), sum(|of| of.tokens), sum(|of| of.buckets));
    let finished = removed.iter().all(|erasure| erasure.finished);
    let words = if removed.is_empty() {
        "There is no demo, and nothing was removed.".to_owned()
    } else {
        let rest = if finished { "" } else { "\nSome usage is left; a running server removes it within seconds." };
        format!(
            "The demo is gone: its user, {devices} device(s), {tokens} token(s) and {buckets} bucket(s). Nothing else was \
             removed.{rest}"
        )
    };
    let json = json!({
        "removed": !removed.is_empty(),
        "finished": finished,
        "devices": devices,
        "tokens": tokens,
        "buckets": buckets,
    });
    output.write(&json, words)
}
