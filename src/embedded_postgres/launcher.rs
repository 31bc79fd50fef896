//! Runs PostgreSQL's programs as the right user, and makes them end when this process does.

use super::binaries::Installation;
use super::error::EmbeddedPostgresError;
use super::error::files;
use super::layout::Layout;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

/// Sent by the kernel when the thread that spawned the process ends. QUIT is PostgreSQL's immediate
/// shutdown, which loses nothing that was acknowledged.
const DIE_WITH_PARENT: [&str; 2] = ["--pdeathsig", "QUIT"];

/// Lets the other user walk through directories that are closed to all but root, such as a home or the
/// data directory itself. It gives no right to write.
const WALK_THROUGH: [&str; 2] = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];

/// All that the programs may see of our environment. The rest may hold secrets, or settings (PGPORT,
/// PGDATA) that would argue with ours.
const ENVIRONMENT: [&str; 2] = ["PATH", "LD_LIBRARY_PATH"];

/// A user and group of this machine, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
}

/// How to run PostgreSQL's programs.
#[derive(Clone, Debug)]
pub(super) struct Launcher {
    /// Arguments of `setpriv`; empty where it is not used.
    setpriv: Vec<String>,
    /// Who owns the cluster, where that is not this user.
    account: Option<Account>,
}

impl Launcher {
    /// Finds out what works on this machine by asking the server program for its version each way.
    pub(super) fn find(layout: &Layout, installation: &Installation) -> Result<Self, EmbeddedPostgresError> {
        let die_with_parent = DIE_WITH_PARENT.map(str::to_owned).to_vec();
        if !rustix::process::geteuid().is_root() {
            let with_setpriv = Self { setpriv: die_with_parent, account: None };
            let works = cfg!(target_os = "linux") && with_setpriv.try_out(installation).is_ok();
            return Ok(if works { with_setpriv } else { Self::plain() });
        }
        if !cfg!(target_os = "linux") {
            let reason = "that is possible on Linux only".to_owned();
            return Err(EmbeddedPostgresError::CannotLeaveRoot { reason });
        }
        let account = account_for(&layout.pg_data())?;
        let mut setpriv =
            vec![format!("--reuid={}", account.uid), format!("--regid={}", account.gid), "--clear-groups".to_owned()];
        setpriv.extend(die_with_parent);
        let mut walking = setpriv.clone();
        walking.extend(WALK_THROUGH.map(str::to_owned));
        let account = Some(account);
        let launcher = Self { setpriv: walking, account };
        if launcher.try_out(installation).is_ok() {
            return Ok(launcher);
        }
        // Containers often withhold that capability. Then the way to the cluster has to be open, for
        // walking through and no more: what lies beside it stays readable to root alone.
        let launcher = Self { setpriv, account };
        launcher.try_out(installation).map_err(|reason| EmbeddedPostgresError::CannotLeaveRoot { reason })?;
        open_for_walking(&layout.data_dir)?;
        launcher.reach(&layout.data_dir)?;
        Ok(launcher)
    }

    fn plain() -> Self {
        Self { setpriv: Vec::new(), account: None }
    }

    /// Whether the kernel ends the server when this process dies without a word.
    pub(super) fn dies_with_parent(&self) -> bool {
        !self.setpriv.is_empty()
    }

    /// Who may own the socket directory.
    pub(super) fn may_own(&self, uid: u32) -> bool {
        uid == rustix::process::geteuid().as_raw() || self.account.is_some_and(|account| account.uid == uid)
    }

    /// A command that runs a PostgreSQL program as the cluster's owner. It starts in `/`, because the
    /// owner may not be allowed to stand where we do.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = if self.setpriv.is_empty() {
            Command::new(program)
        } else {
            let mut command = Command::new("setpriv");
            command.args(&self.setpriv).arg("--").arg(program);
            command
        };
        let kept = ENVIRONMENT.map(|name| (name, env::var_os(name)));
        command
            .env_clear()
            .envs(kept.into_iter().filter_map(|(name, value)| Some((name, value?))))
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    /// Gives a file or directory, not its content, to the cluster's owner.
    pub(super) fn give(&self, path: &Path) -> Result<(), EmbeddedPostgresError> {
        match self.account {
            None => Ok(()),
            Some(Account { uid, gid }) => chown(path, Some(uid), Some(gid)).map_err(files("change the owner of", path)),
        }
    }

    /// A cluster that root copied back from a backup belongs to root, and PostgreSQL would refuse it.
    pub(super) fn give_if_roots(&self, tree: &Path) -> Result<(), EmbeddedPostgresError> {
        let Some(account) = self.account else {
            return Ok(());
        };
        let metadata = fs::metadata(tree).map_err(files("look at", tree))?;
        if metadata.uid() == 0 {
            give_tree(tree, account)?;
        }
        Ok(())
    }

    fn try_out(&self, installation: &Installation) -> Result<(), String> {
        let output = self
            .command(&installation.postgres())
            .arg("--version")
            .output()
            .map_err(|error| format!("setpriv, from util-linux, cannot be run: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        let first_line = complaint.lines().next().unwrap_or_default();
        Err(format!("setpriv, from util-linux: {} {first_line}", output.status))
    }

    /// Makes sure that the cluster's owner can get to a directory, which may lie in a closed one.
    fn reach(&self, directory: &Path) -> Result<(), EmbeddedPostgresError> {
        let reached = self.command(Path::new("test")).arg("-x").arg(directory).status();
        if reached.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        let reason = format!(
            "{} lies in a directory that is closed to other users; move it with HALFHOUR_DATA_DIR, or allow \
             the capability CAP_DAC_READ_SEARCH",
            directory.display()
        );
        Err(EmbeddedPostgresError::CannotLeaveRoot { reason })
    }
}

fn give_tree(path: &Path, account: Account) -> Result<(), EmbeddedPostgresError> {
    lchown(path, Some(account.uid), Some(account.gid)).map_err(files("change the owner of", path))?;
    let metadata = fs::symlink_metadata(path).map_err(files("look at", path))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path).map_err(files("read", path))? {
            give_tree(&entry.map_err(files("read", path))?.path(), account)?;
        }
    }
    Ok(())
}

fn open_for_walking(directory: &Path) -> Result<(), EmbeddedPostgresError> {
    let metadata = fs::metadata(directory).map_err(files("look at", directory))?;
    let mode = metadata.permissions().mode() | 0o011;
    fs::set_permissions(directory, fs::Permissions::from_mode(mode))
        .map_err(files("change the permissions of", directory))
}

/// An existing cluster keeps its owner. A new one goes to `postgres`, who is made for this, else `nobody`.
fn account_for(pg_data: &Path) -> Result<Account, EmbeddedPostgresError> {
    if let Ok(metadata) = fs::metadata(pg_data)
        && metadata.uid() != 0
    {
        return Ok(Account { uid: metadata.uid(), gid: metadata.gid() });
    }
    let path = Path::new("/etc/passwd");
    let users = fs::read_to_string(path).map_err(files("read", path))?;
    account_named(&users, "postgres").or_else(|| account_named(&users, "nobody")).ok_or_else(|| {
        EmbeddedPostgresError::CannotLeaveRoot {
            reason: "there is neither a user postgres nor a user nobody".to_owned(),
        }
    })
}

/// Reads one user from text in the form of `/etc/passwd`. Root under another name does not count.
fn account_named(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0).then_some(Account { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\n\
                         nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n\
                         postgresql:x:7:7::/:/bin/sh\n\
                         broken:x\n";

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let nobody = Account { uid: 65534, gid: 65533 };
        assert_eq!(account_named(USERS, "nobody"), Some(nobody));
        assert_eq!(account_named(USERS, "postgres"), None);
        assert_eq!(account_named(USERS, "broken"), None);
    }

    #[test]
    fn root_is_never_taken_for_another_user() {
        assert_eq!(account_named(USERS, "root"), None);
    }

    #[test]
    fn programs_see_none_of_our_environment_but_the_paths() {
        let command = Launcher::plain().command(Path::new("/bin/true"));
        let names: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        assert!(names.iter().all(|name| {
            let name = name.to_str().unwrap();
            name == "LC_ALL" || ENVIRONMENT.contains(&name)
        }));
    }
}
