//! The data folder: found, or made by initdb under another name and then renamed.

use super::find::Binaries;
use super::lock::open_private;
use super::privilege::Identity;
use super::sys::{self, Ids};
use super::{Purpose, Result, ServerError, USER};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Says that the folder may be removed as a whole.
const THROW_AWAY: &str = "throw-away";

/// A complete cluster.
#[derive(Debug, Clone)]
pub(super) struct Data {
    pub(super) path: PathBuf,
    pub(super) major: u32,
}

/// Makes the folder if need be, and gives its path without links and relative parts: the server changes its current
/// folder, and two programs must agree on the path.
pub(super) fn prepare_folder(folder: &Path) -> Result<PathBuf> {
    // As root the server runs as another user, who has to walk through the folder to its data.
    let mode = if sys::effective().uid == 0 { 0o711 } else { 0o700 };
    DirBuilder::new().recursive(true).mode(mode).create(folder).map_err(|e| {
        ServerError::io("make", folder, e).hint("set AGENTTRACE_DATA_DIR to a folder in which you may write")
    })?;
    folder.canonicalize().map_err(|e| ServerError::io("read", folder, e))
}

/// Holds the folder to its purpose, so that a throw-away server never removes what somebody keeps. Under the start lock.
pub(super) fn claim(folder: &Path, purpose: Purpose) -> Result<()> {
    let marker = folder.join(THROW_AWAY);
    match (purpose, marker.exists()) {
        (Purpose::ThrowAway, true) | (Purpose::Keep, false) => Ok(()),
        (Purpose::Keep, true) => Err(ServerError::new(format!(
            "{} belongs to a server that is thrown away with its data",
            folder.display()
        ))),
        (Purpose::ThrowAway, false) => {
            let entries = fs::read_dir(folder).map_err(|e| ServerError::io("read", folder, e))?;
            let foreign = entries.flatten().any(|e| e.file_name() != "start.lock");
            if foreign {
                return Err(ServerError::new(format!(
                    "{} has contents already; a throw-away server needs a folder of its own",
                    folder.display()
                )));
            }
            open_private(&marker, OpenOptions::new().write(true))
                .map_err(|e| ServerError::io("make", &marker, e))?;
            Ok(())
        }
    }
}

/// The cluster in the folder. Of several the newest; there is more than one only if somebody put it there.
pub(super) fn existing(folder: &Path) -> Result<Option<Data>> {
    let entries = fs::read_dir(folder).map_err(|e| ServerError::io("read", folder, e))?;
    let data = entries.flatten().filter_map(|entry| {
        let major = entry.file_name().to_str()?.strip_prefix("pg")?.parse().ok()?;
        Some(Data { path: entry.path(), major })
    });
    Ok(data.max_by_key(|data| data.major))
}

/// Runs initdb. A cluster that was only half made keeps its temporary name and is removed by the next call. Under the
/// start lock.
pub(super) fn make(folder: &Path, purpose: Purpose, binaries: &Binaries, identity: Identity) -> Result<Data> {
    for entry in fs::read_dir(folder).map_err(|e| ServerError::io("read", folder, e))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("partial-") {
            // An initdb whose program was killed may still be writing here; it fails when its files are gone.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let partial = folder.join(format!("partial-{}", std::process::id()));
    // `C` differs from `C.UTF-8` in upper and lower case beyond ASCII; not every system has the latter.
    let mut made = initdb(&partial, purpose, binaries, identity, "C.UTF-8");
    if made.as_ref().is_err_and(|e| e.message.contains("locale")) {
        let _ = fs::remove_dir_all(&partial);
        made = initdb(&partial, purpose, binaries, identity, "C");
    }
    if let Err(e) = made {
        let _ = fs::remove_dir_all(&partial);
        return Err(e);
    }
    let path = folder.join(format!("pg{}", binaries.major));
    fs::rename(&partial, &path).map_err(|e| ServerError::io("name", &path, e))?;
    Ok(Data { path, major: binaries.major })
}

fn initdb(
    data: &Path,
    purpose: Purpose,
    binaries: &Binaries,
    identity: Identity,
    locale: &str,
) -> Result<()> {
    private_folder(data, identity.owner())?;
    let mut command = Command::new(binaries.initdb());
    identity.apply(&mut command);
    // Anybody who gets to the socket may be the superuser; only we get into its folder.
    command.args(["--auth=trust", "--encoding=UTF8", "--no-instructions"]);
    command.arg(format!("--locale={locale}")).arg(format!("--username={USER}")).arg("--pgdata").arg(data);
    if purpose == Purpose::ThrowAway {
        command.arg("--no-sync");
    }
    let output = command.stdin(Stdio::null()).current_dir("/").output();
    let output = output.map_err(|e| ServerError::io("run", &binaries.initdb(), e))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(ServerError::new(format!(
        "PostgreSQL's initdb could not make a database cluster ({}): {}",
        output.status,
        super::printable(text.trim())
    ))
    .hint(format!("free space in {} and permissions are the usual causes", data.display())))
}

/// A folder that only `owner` enters. One that exists is checked, because in /tmp anybody can be first.
pub(super) fn private_folder(path: &Path, owner: Ids) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            let handle =
                OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY).open(path);
            let handle = handle.map_err(|e| ServerError::io("open", path, e))?;
            let given = if sys::effective().uid == owner.uid {
                Ok(())
            } else {
                fchown(&handle, Some(owner.uid), Some(owner.gid))
            };
            given.map_err(|e| ServerError::io("give away", path, e))
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let found = path.symlink_metadata().map_err(|e| ServerError::io("read", path, e))?;
            if found.is_dir() && found.uid() == owner.uid && found.permissions().mode().trailing_zeros() >= 6
            {
                Ok(())
            } else {
                Err(ServerError::new(format!(
                    "{} is not a private folder of uid {}",
                    path.display(),
                    owner.uid
                ))
                .hint("remove it, or set AGENTTRACE_DATA_DIR to another folder"))
            }
        }
        Err(e) => Err(ServerError::io("make", path, e)),
    }
}

/// The settings of the server, as `name=value`. They are given at each start, so that a newer program's apply.
pub(super) fn settings(purpose: Purpose, sockets: &Path) -> Vec<std::ffi::OsString> {
    let mut list: Vec<std::ffi::OsString> = [
        "listen_addresses=",
        "port=5432",
        "unix_socket_permissions=0700",
        "cluster_name=agenttrace",
        "max_connections=200",
        "timezone=UTC",
        "log_timezone=UTC",
        "logging_collector=off",
        "log_destination=stderr",
        // One machine, no replicas: the least WAL, and few checkpoints while data are loaded.
        "wal_level=minimal",
        "max_wal_senders=0",
        "max_wal_size=2GB",
        "jit=off",
        "maintenance_work_mem=256MB",
    ]
    .map(Into::into)
    .into();
    list.extend(
        match purpose {
            // A crash loses the last half second, never consistency; transactions that must last ask for more.
            Purpose::Keep => {
                ["shared_buffers=256MB", "fsync=on", "synchronous_commit=off", "full_page_writes=on"]
            }
            Purpose::ThrowAway => {
                ["shared_buffers=128MB", "fsync=off", "synchronous_commit=off", "full_page_writes=off"]
            }
        }
        .map(Into::into),
    );
    if purpose == Purpose::ThrowAway {
        // It may lie in memory, where a statement that has run wild would take the machine with it.
        list.push("temp_file_limit=2GB".into());
    }
    // Containers often have 64 MB there, which a parallel query soon fills.
    if cfg!(target_os = "linux") && sys::space(Path::new("/dev/shm")).is_none_or(|(size, _)| size < 512 << 20)
    {
        list.push("dynamic_shared_memory_type=mmap".into());
    }
    // The value is a list; in quotes a comma or a blank belongs to the name.
    let mut folder = std::ffi::OsString::from("unix_socket_directories=");
    let mut quoted = vec![b'"'];
    for &byte in sockets.as_os_str().as_bytes() {
        quoted.push(byte);
        if byte == b'"' {
            quoted.push(byte);
        }
    }
    quoted.push(b'"');
    folder.push(std::ffi::OsStr::from_bytes(&quoted));
    list.push(folder);
    list
}

/// Removes a throw-away folder with everything in it.
pub(super) fn remove(folder: &Path) {
    // The server's last process may still be deleting its own files.
    for _ in 0..20 {
        match fs::remove_dir_all(folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => super::pause(),
            _ => return,
        }
    }
}

/// The server's log, opened to append; cut when it has grown.
pub(super) fn open_log(folder: &Path) -> Result<(File, u64)> {
    const LIMIT: u64 = 4 << 20;
    let path = folder.join("server.log");
    let opened = open_private(&path, OpenOptions::new().append(true)).and_then(|file| {
        let len = file.metadata()?.len();
        if len > LIMIT {
            file.set_len(0)?;
            return Ok((file, 0));
        }
        Ok((file, len))
    });
    opened.map_err(|e| ServerError::io("open", &path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_folder_is_quoted_for_the_list() {
        let list = settings(Purpose::Keep, Path::new("/a, \"b\"/run"));
        assert_eq!(list.last().unwrap(), "unix_socket_directories=\"/a, \"\"b\"\"/run\"");
    }

    #[test]
    fn a_throw_away_server_takes_no_folder_with_contents_and_gives_none_up() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("letter.txt"), "dear").unwrap();
        assert!(claim(folder.path(), Purpose::ThrowAway).is_err());
        fs::remove_file(folder.path().join("letter.txt")).unwrap();
        claim(folder.path(), Purpose::ThrowAway).unwrap();
        claim(folder.path(), Purpose::ThrowAway).unwrap();
        assert!(claim(folder.path(), Purpose::Keep).is_err());
    }

    #[test]
    fn a_socket_folder_that_others_enter_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        private_folder(&path, sys::effective()).unwrap();
        private_folder(&path, sys::effective()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(private_folder(&path, sys::effective()).is_err());
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("/", &path).unwrap();
        assert!(private_folder(&path, sys::effective()).is_err());
    }
}
