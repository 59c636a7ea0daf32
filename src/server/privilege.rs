//! As whom the server runs. PostgreSQL refuses root, and a user that the user database does not know; both are common
//! in containers.

use super::find::Binaries;
use super::sys::{self, Ids};
use super::{Result, ServerError};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// As whom the server and `initdb` run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// As ourselves.
    Own,
    /// As another user; needs root, and a path that this user can walk.
    Other(Ids),
    /// As ourselves for the owners of files, and as an ordinary, known user (these ids) for itself: in a user
    /// namespace. Some containers forbid those.
    Namespace(Ids),
}

impl Identity {
    /// The first identity that works for these binaries and this folder. Data that exist decide by their owner, so that
    /// the choice is the same in every run.
    pub(super) fn choose(binaries: &Binaries, folder: &Path, data: Option<&Metadata>) -> Result<Self> {
        let mut reasons = Vec::new();
        for identity in candidates(folder, data)? {
            match identity.try_out(binaries, folder) {
                Ok(()) => return Ok(identity),
                Err(reason) => reasons.push(format!("{}: {reason}", identity.describe())),
            }
        }
        let us = sys::effective();
        let error = ServerError::new(if us.uid == 0 {
            format!("PostgreSQL does not run as root, and not otherwise in {}", folder.display())
        } else {
            format!("PostgreSQL does not run as uid {}, which is not in the user database", us.uid)
        });
        let error = reasons.into_iter().fold(error, |error, reason| error.hint(format!("tried {reason}")));
        Err(if us.uid == 0 {
            error.hint(
                "set AGENTTRACE_DATA_DIR to a folder that every user can reach, such as /var/lib/agenttrace, \
                 or run as an ordinary user",
            )
        } else {
            error.hint(format!("add an entry for uid {} to /etc/passwd, or allow user namespaces", us.uid))
        })
    }

    /// The owner of the server's files, as we see them.
    pub(super) fn owner(self) -> Ids {
        match self {
            Self::Own | Self::Namespace(_) => sys::effective(),
            Self::Other(ids) => ids,
        }
    }

    /// Makes the command run as this identity, with a clean environment.
    pub(super) fn apply(self, command: &mut Command) {
        clean_environment(command);
        match self {
            Self::Own => {}
            // std drops the supplementary groups with the user.
            Self::Other(ids) => {
                command.uid(ids.uid).gid(ids.gid);
            }
            Self::Namespace(inside) => sys::in_user_namespace(command, inside),
        }
    }

    /// Lets the kernel judge: may this user walk to the folder and run the binary?
    fn try_out(self, binaries: &Binaries, folder: &Path) -> Result<(), String> {
        if self == Self::Own {
            return Ok(());
        }
        let mut command = Command::new(binaries.postgres());
        self.apply(&mut command);
        command
            .arg("--version")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(status.to_string()),
            Err(e) => Err(e.to_string()),
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Own => "as this user".to_owned(),
            Self::Other(ids) => format!("as uid {}", ids.uid),
            Self::Namespace(_) => "in a user namespace".to_owned(),
        }
    }
}

fn candidates(folder: &Path, data: Option<&Metadata>) -> Result<Vec<Identity>> {
    let us = sys::effective();
    let ordinary =
        || sys::user_named(c"nobody").or_else(|| sys::user_named(c"postgres")).filter(|ids| ids.uid != 0);
    let namespace = || ordinary().map(Identity::Namespace).into_iter().collect();
    if us.uid != 0 {
        return match data {
            Some(data) if data.uid() != us.uid => Err(ServerError::new(format!(
                "the data in {} belong to uid {}, not to you",
                folder.display(),
                data.uid()
            ))
            .hint("set AGENTTRACE_DATA_DIR to a folder of your own")),
            _ if sys::is_known(us.uid) => Ok(vec![Identity::Own]),
            _ => Ok(namespace()),
        };
    }
    let folder = folder.metadata().map_err(|e| ServerError::io("read", folder, e))?;
    let owner = data.unwrap_or(&folder);
    if owner.uid() != 0 {
        return Ok(vec![Identity::Other(Ids { uid: owner.uid(), gid: owner.gid() })]);
    }
    if data.is_some() {
        return Ok(namespace());
    }
    let mut list: Vec<Identity> = [c"postgres", c"nobody"]
        .into_iter()
        .filter_map(sys::user_named)
        .filter(|ids| ids.uid != 0)
        .map(Identity::Other)
        .collect();
    list.extend(namespace());
    Ok(list)
}

/// Takes away what would turn the server's or initdb's choices, such as PGDATA, PGPORT or a locale.
pub(super) fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C").env_remove("LANGUAGE");
}
