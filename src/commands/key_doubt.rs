//! Doubts about the server's key. Tokens that another key made are refused like forged ones, and nothing else would tell
//! an operator why.

use std::path::Path;
use std::time::Duration;

use super::database::Opened;
use crate::config::Config;
use crate::features::accounts::Accounts;
use crate::kernel::access::ServerKey;
use crate::kernel::call::RequestContext;
use crate::kernel::database::Pool;

/// Says so where `secret.key` is not what made the tokens that there are, as far as can be known.
pub async fn say_doubts(opened: &Opened, config: &Config, pool: &Pool) {
    if config.secret.is_some() {
        return;
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
    }
}

/// Whether there are tokens, as far as the database says.
async fn tokens_exist(opened: &Opened, pool: &Pool) -> bool {
    let accounts = Accounts::new(pool.clone(), opened.key());
    accounts.tokens.exist(&RequestContext::internal(Duration::from_secs(5))).await.unwrap_or(false)
}

/// Whether `credentials.env` has a token that this key did not make.
fn made_others(key: &ServerKey, data_dir: &Path) -> bool {
    let content = std::fs::read_to_string(data_dir.join("credentials.env")).unwrap_or_default();
    let tokens = content.lines().filter_map(|line| line.split_once("_TOKEN=")).map(|(_, token)| token.trim());
    tokens.filter(|token| !token.is_empty()).any(|token| key.recognize(token).is_none())
}
