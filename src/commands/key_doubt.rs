//! Doubts about the server's key. Tokens that another key made are refused like forged ones, and nothing else would tell
//! an operator why.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::database::Opened;
use crate::config::Config;
use crate::features::accounts::{Accounts, OtherKeysTokens};
use crate::kernel::access::ServerKey;
use crate::kernel::call::RequestContext;
use crate::kernel::database::Pool;

/// For each question to the database.
const LIMIT: Duration = Duration::from_secs(5);

/// Says so where the server's key is not what made the tokens that there are, as far as can be known, and notes the key
/// for whoever is started with another one.
pub async fn say_doubts(opened: &Opened, config: &Config, pool: &Pool) {
    let others = note_key(opened, pool).await;
    if config.secret.is_some() {
        return say_others("HALFHOUR_SECRET", "it is set again to what it was", others);
    }
    let path = config.data_dir.join("secret.key");
    let path = path.display();
    if opened.key_is_new() && tokens_exist(opened, pool).await {
        tracing::error!(
            "{path} is new, and tokens exist that were made under another key: they are refused until that key is put back \
             from a backup, or new tokens are issued"
        );
    } else if made_others(&opened.key(), &config.data_dir) {
        tracing::error!(
            "{path} is not the key that made the tokens in credentials.env beside it: they are refused until that key is \
             put back from a backup, or new tokens are issued"
        );
    } else {
        say_others(&path.to_string(), "that key is put back from a backup", others);
    }
}

/// For commands that make tokens: says so where servers would refuse these.
pub async fn say_doubts_of_command(accounts: &Accounts, context: &RequestContext) {
    if accounts.tokens.are_of_another_key(context).await.unwrap_or(false) {
        let mut stderr = std::io::stderr().lock();
        // When standard error is gone there is nobody left to tell.
        let _ = writeln!(
            stderr,
            "halfhour: servers were started on this database, and none with the key that this command has: they refuse the \
             tokens that it makes; give it their HALFHOUR_SECRET, or the data directory with their secret.key"
        );
    }
}

/// The tokens that other keys made, as far as the database says.
async fn note_key(opened: &Opened, pool: &Pool) -> OtherKeysTokens {
    let accounts = Accounts::new(pool.clone(), opened.key());
    match accounts.tokens.note_server_key(&RequestContext::internal(LIMIT)).await {
        Ok(others) => others,
        Err(problem) => {
            let error = problem.source_chain();
            tracing::warn!(error, "whether this key made the tokens could not be found out");
            OtherKeysTokens::default()
        }
    }
}

fn say_others(key: &str, way_out: &str, others: OtherKeysTokens) {
    let OtherKeysTokens { older, newer } = others;
    if older > 0 {
        tracing::error!(
            tokens = older,
            "{key} is not the key that made the older tokens in this database: they are refused until {way_out}, or new \
             tokens are issued and these are revoked"
        );
    }
    if newer > 0 {
        tracing::warn!(
            tokens = newer,
            "a server was started on this database with another key than {key}: of the tokens that were made since, those \
             that it made are refused here"
        );
    }
}

/// Whether there are tokens, as far as the database says.
async fn tokens_exist(opened: &Opened, pool: &Pool) -> bool {
    let accounts = Accounts::new(pool.clone(), opened.key());
    accounts.tokens.exist(&RequestContext::internal(LIMIT)).await.unwrap_or(false)
}

/// Whether `credentials.env` has a token that this key did not make.
fn made_others(key: &ServerKey, data_dir: &Path) -> bool {
    let content = std::fs::read_to_string(data_dir.join("credentials.env")).unwrap_or_default();
    let tokens = content.lines().filter_map(|line| line.split_once("_TOKEN=")).map(|(_, token)| token.trim());
    tokens.filter(|token| !token.is_empty()).any(|token| key.recognize(token).is_none())
}
