//! The private PostgreSQL of `demo` and of the tests: real server binaries, a data folder of our own, a unix socket
//! in a 0700 folder, shared between programs, stopped by the last one.
//!
//! In the folder: `pgNN` (the data of major version NN), `run` (the socket), `start.lock`, `users.lock`, `server.log`
//! and, where they were fetched, `binaries`. Everything here blocks; asynchronous callers use `spawn_blocking`.

mod cluster;
mod fetch;
mod find;
mod lock;
mod packages;
mod privilege;
mod running;
mod sys;

pub use fetch::fetch_binaries;
pub use packages::{Offer, offers};

use lock::Lock;
use privilege::Identity;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The oldest major version that the program supports.
const MIN_MAJOR: u32 = 15;
/// The superuser of the cluster.
const USER: &str = "agenttrace";
/// Longer than any start takes: initdb and recovery included.
const ATTACH_PATIENCE: Duration = Duration::from_mins(3);
/// Leaving must not hold up the end of a program; who is starting the server meanwhile is a user of it.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);

type Result<T, E = ServerError> = std::result::Result<T, E>;

/// What the cluster is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Kept between runs: `fsync = on`, `synchronous_commit = off`.
    Keep,
    /// For tests: no fsync, the folder is removed by its last user.
    ThrowAway,
}

/// Where the private server lives.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder that holds `pg15/` and so on, the locks and the log.
    pub folder: PathBuf,
    /// Kept or thrown away.
    pub purpose: Purpose,
}

/// Why the private server cannot be had; the text names the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ServerError {
    message: String,
    /// What to do, a line each.
    pub hints: Vec<String>,
    /// There are no server binaries that fit, and [`fetch_binaries`] may get some.
    pub is_fetchable: bool,
}

impl ServerError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hints: Vec::new(), is_fetchable: false }
    }

    fn io(verb: &str, path: &Path, e: std::io::Error) -> Self {
        Self::new(format!("cannot {verb} {}: {e}", path.display()))
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// A running server, shared with other programs; dropping it leaves it, and the last one to leave stops it (a fast
/// shutdown, waited for up to 10 s).
#[derive(Debug)]
pub struct PrivateServer {
    /// Without links.
    folder: PathBuf,
    purpose: Purpose,
    data: cluster::Data,
    sockets: PathBuf,
    users: Lock,
}
impl PrivateServer {
    /// Attaches to the running server, or starts (and first makes) it. Blocks: up to seconds on a new cluster.
    ///
    /// # Errors
    /// When there are no binaries, the folder cannot be used, or the server does not come up (with the end of its log).
    pub fn attach(options: &Options) -> Result<Self, ServerError> {
        let (folder, _start) = loop {
            let folder = cluster::prepare_folder(&options.folder)?;
            if let Some(lock) = Lock::start(&folder, ATTACH_PATIENCE)? {
                break (folder, lock);
            }
        };
        let purpose = options.purpose;
        cluster::claim(&folder, purpose)?;
        let users = Lock::users(&folder)?;
        match bring_up(&folder, purpose) {
            Ok((data, sockets)) => Ok(Self { folder, purpose, data, sockets, users }),
            Err(e) => {
                if purpose == Purpose::ThrowAway && users.was_last() {
                    cluster::remove(&folder);
                }
                Err(e)
            }
        }
    }

    /// As [`Self::attach`]; where no server binaries fit, fetches the pinned ones as [`provide_binaries`] does.
    ///
    /// # Errors
    /// As [`Self::attach`] and [`fetch_binaries`].
    pub fn attach_or_fetch(options: &Options, agree: Agree<'_>, say: Say<'_>) -> Result<Self, ServerError> {
        match Self::attach(options) {
            Err(e) if e.is_fetchable => {
                fetch_if_agreed(e, agree, say)?;
                Self::attach(options)
            }
            attached => attached,
        }
    }

    /// How to connect to a database on it, as its owner.
    pub fn connect_options(&self, database: &str) -> PgConnectOptions {
        // The constructor reads PGHOST and the like, so everything is set here.
        PgConnectOptions::new_without_pgpass()
            .host("localhost")
            .socket(&self.sockets)
            .port(running::PORT)
            .username(USER)
            .password("")
            .database(database)
            .ssl_mode(PgSslMode::Disable)
            .application_name("agenttrace")
    }

    /// Starts the server again if it has died; returns at once when it is alive. Blocks. Connect options stay valid.
    ///
    /// # Errors
    /// As [`Self::attach`]; also when the folder was removed under the running server.
    pub fn revive(&self) -> Result<(), ServerError> {
        if running::is_ready(&self.data.path, &self.sockets) {
            return Ok(());
        }
        let start = Lock::start(&self.folder, ATTACH_PATIENCE)?;
        if start.is_none() || !self.users.is_at(&self.folder.join("users.lock")) {
            return Err(ServerError::new(format!(
                "{} was removed while the server was in use",
                self.folder.display()
            ))
            .hint("start the program again to make a new server"));
        }
        ensure(&self.folder, self.purpose, &self.data, &self.sockets)
    }

    /// Where the binaries of the running server were updated or removed: that, what it may do, and the remedy. It goes on
    /// with its old code, but new sessions load libraries from the folder.
    pub fn outdated(&self) -> Option<String> {
        let executable = running::outdated(&self.sockets)?;
        let (what, first) =
            if executable.exists() { ("updated", "") } else { ("removed", "install them again, then ") };
        Some(format!(
            "the binaries of the private PostgreSQL were {what} while it runs ({}), so that queries may fail that need a \
             library; {first}end every agenttrace program that uses it: the next one starts it anew",
            executable.display()
        ))
    }

    /// Major version.
    pub fn major(&self) -> u32 {
        self.data.major
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        // Without the lock somebody else is starting the server, and stops it in turn.
        let Ok(Some(_start)) = Lock::start(&self.folder, LEAVE_PATIENCE) else { return };
        if !self.users.was_last() {
            return;
        }
        running::stop(&self.data.path, &self.sockets, self.purpose);
        if !self.sockets.starts_with(&self.folder) {
            // It is empty once the server is down.
            let _ = fs::remove_dir(&self.sockets);
        }
        if self.purpose == Purpose::ThrowAway {
            cluster::remove(&self.folder);
        }
    }
}

/// Whether to fetch: asked once, with the reason and what the first client here would fetch.
pub type Agree<'a> = &'a mut dyn FnMut(&ServerError, &Offer) -> bool;
/// What gets a line before each fetch and after each that failed.
pub type Say<'a> = &'a mut dyn FnMut(&str);

/// The folder of server binaries for a new cluster: installed ones, else those fetched earlier, else they are fetched
/// now, where a client is here and `agree` does. Blocks.
///
/// # Errors
/// When there are none: what to install; and as [`fetch_binaries`].
pub fn provide_binaries(agree: Agree<'_>, say: Say<'_>) -> Result<PathBuf, ServerError> {
    match find::find(&default_folder()?, None) {
        Ok(found) => Ok(found.folder),
        Err(e) if e.is_fetchable => fetch_if_agreed(e, agree, say),
        Err(e) => Err(e),
    }
}

fn fetch_if_agreed(missing: ServerError, agree: Agree<'_>, say: Say<'_>) -> Result<PathBuf> {
    match offers().first() {
        Some(offer) if agree(&missing, offer) => fetch_binaries(&default_folder()?, say),
        _ => Err(missing),
    }
}

/// Finds or makes the cluster and starts the server unless it runs. Under the start lock.
fn bring_up(folder: &Path, purpose: Purpose) -> Result<(cluster::Data, PathBuf)> {
    let data = if let Some(data) = cluster::existing(folder)? {
        data
    } else {
        let binaries = find::find(folder, None)?;
        let identity = Identity::choose(&binaries, folder, None)?;
        cluster::make(folder, purpose, &binaries, identity)?
    };
    let sockets = running::socket_folder(folder, metadata(&data.path)?.uid());
    ensure(folder, purpose, &data, &sockets)?;
    Ok((data, sockets))
}

/// Starts the server unless it runs; only then are binaries looked for. Under the start lock.
fn ensure(folder: &Path, purpose: Purpose, data: &cluster::Data, sockets: &Path) -> Result<()> {
    running::ensure(folder, purpose, data, sockets, || {
        let binaries = find::find(folder, Some(data.major))?;
        let identity = Identity::choose(&binaries, folder, Some(&metadata(&data.path)?))?;
        Ok((binaries, identity))
    })
}

fn metadata(path: &Path) -> Result<fs::Metadata> {
    fs::metadata(path).map_err(|e| ServerError::io("read", path, e))
}

/// Where the private server of `demo` is kept: `$AGENTTRACE_DATA_DIR/postgres`, else in the user's data folder. For root
/// that is /var/lib/agenttrace, because the server runs as another user, who cannot walk into root's home.
///
/// # Errors
/// When there is no home folder.
pub fn default_folder() -> Result<PathBuf, ServerError> {
    const NAME: &str = "postgres";
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = set("AGENTTRACE_DATA_DIR") {
        let folder = PathBuf::from(folder).join(NAME);
        return std::path::absolute(&folder).map_err(|e| ServerError::io("resolve", &folder, e));
    }
    if sys::effective().uid == 0 && set("XDG_DATA_HOME").is_none() {
        let system = Path::new("/var/lib/agenttrace");
        if sys::is_writable(system) || sys::is_writable(Path::new("/var/lib")) {
            return Ok(system.join(NAME));
        }
    }
    let folders = directories::ProjectDirs::from("", "", "agenttrace").ok_or_else(|| {
        ServerError::new("there is no home folder to keep data in")
            .hint("set AGENTTRACE_DATA_DIR to a folder of your own")
    })?;
    Ok(folders.data_dir().join(NAME))
}

/// A folder for throw-away servers: in memory where there is room for one, else the folder for temporary files.
pub fn throw_away_parent() -> PathBuf {
    let memory = Path::new("/dev/shm");
    match sys::space(memory) {
        Some((_, free)) if free >= 1 << 30 && sys::is_writable(memory) => memory.to_owned(),
        _ => std::env::temp_dir(),
    }
}

/// A digest in hexadecimal digits.
fn hex(digest: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The server's words for an error message: control characters become visible.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The step of every wait here: far below what anybody notices, far above what a look costs.
#[expect(clippy::disallowed_methods, reason = "this module blocks by contract; callers use spawn_blocking")]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}
