//! The first start on a private database. It makes a user `me` with one token of each kind, so that
//! a newcomer can post and read at once. A crash at any point leaves nothing that the next start
//! does not complete.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::database::{Opened, write_private};
use super::output::explain;
use crate::features::accounts::Accounts;
use crate::kernel::access::{Actor, TokenKind};
use crate::kernel::call::RequestContext;
use crate::kernel::database::Pool;
use crate::kernel::problem::{Code, Problem};

/// Who the first start makes.
pub const USER: &str = "me";
const DEVICE: &str = "this-machine";

/// What a start tells the person at the terminal.
#[derive(Debug)]
pub struct Credentials {
    /// Where the tokens are.
    pub path: PathBuf,
    /// A link that signs in on a browser, where this is the first start.
    pub link: Option<String>,
}

/// Makes sure that `credentials.env` is there and names the public URL, or else the address that the
/// server listens on.
pub async fn credentials(
    opened: &Opened,
    data_dir: &Path,
    public_url: Option<&str>,
    address: SocketAddr,
) -> anyhow::Result<Credentials> {
    let path = data_dir.join("credentials.env");
    let reached = public_url.map_or_else(|| format!("http://{}", reached(address)), str::to_owned);
    let url = format!("HALFHOUR_URL={reached}");
    let mut link = None;
    let content = match std::fs::read_to_string(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let pool = Pool::new(opened.options().clone(), "first run", 1);
            let made = make(&Accounts::new(pool.clone(), opened.key()), &url).await;
            pool.close().await;
            let (content, code) = made.map_err(|problem| explain(&problem))?;
            link = Some(sign_in_link(&reached, &code));
            content
        }
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    let current: String = content
        .lines()
        .map(|line| if line.starts_with("HALFHOUR_URL=") { url.as_str() } else { line })
        .flat_map(|line| [line, "\n"])
        .collect();
    write_private(&path, current.as_bytes())?;
    Ok(Credentials { path, link })
}

/// A server that listens on every address is reached from here by loopback.
pub fn reached(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(address) if address.ip().is_unspecified() => {
            SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
        }
        SocketAddr::V6(address) if address.ip().is_unspecified() => {
            SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()))
        }
        address => address,
    }
}

/// The link with a code.
pub fn sign_in_link(url: &str, code: &str) -> String {
    format!("{}/sign-in?code={code}", url.trim_end_matches('/'))
}

async fn make(accounts: &Accounts, url: &str) -> Result<(String, String), Problem> {
    let context = RequestContext::internal(Duration::from_secs(30));
    // After a crash the user or the device may be there already, with tokens that nobody has seen,
    // so others are issued.
    let (user_id, viewer) = match accounts.users.add(&context, Actor::Command, USER, "UTC").await {
        Ok(user) => (user.user_id, user.viewer_token),
        Err(problem) if problem.code() == Code::Conflict => {
            let viewer = accounts.issue_token(&context, Actor::Command, USER, TokenKind::Viewer, None).await?;
            (viewer.user_id, viewer.token)
        }
        Err(problem) => return Err(problem),
    };
    let (device_id, device) =
        match accounts.devices.add(&context, Actor::Command, USER, DEVICE, std::env::consts::OS).await {
            Ok(device) => (Some(device.device_id), device.token),
            Err(problem) if problem.code() == Code::Conflict => {
                let device =
                    accounts.issue_token(&context, Actor::Command, USER, TokenKind::Device, Some(DEVICE)).await?;
                (device.device_id, device.token)
            }
            Err(problem) => return Err(problem),
        };
    let operator = accounts.issue_token(&context, Actor::Command, USER, TokenKind::Operator, None).await?;
    let device_id = device_id.map(|id| id.to_string()).unwrap_or_default();
    let written = format!(
        "{url}\nHALFHOUR_DEVICE_TOKEN={}\nHALFHOUR_VIEWER_TOKEN={}\nHALFHOUR_OPERATOR_TOKEN={}\n\
         HALFHOUR_USER_ID={user_id}\nHALFHOUR_DEVICE_ID={device_id}\n",
        device.reveal(),
        viewer.reveal(),
        operator.token.reveal(),
    );
    Ok((written, accounts.sign_ins.code_for(&context, USER).await?))
}
