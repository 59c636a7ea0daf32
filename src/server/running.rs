//! The running server: is it alive, start it, stop it.

use super::cluster::{self, Data};
use super::find::Binaries;
use super::privilege::Identity;
use super::sys::{self, Ids, Signal};
use super::{Purpose, Result, ServerError};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The socket's name follows from the port, which means nothing else here.
pub(super) const PORT: u16 = 5432;
const SOCKET: &str = ".s.PGSQL.5432";

/// Recovery after a crash reads up to `max_wal_size`; a start without one takes far less than a second.
const START_LIMIT: Duration = Duration::from_mins(2);
/// A server answers within milliseconds, also on a busy machine in less than this.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// A fast shutdown writes everything out; one that takes longer goes on without us.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What is going on in a data folder.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// It takes connections.
    Ready,
    /// It is starting or stopping.
    Busy,
    /// The postmaster is gone, these sessions of it are not yet; a new one cannot start beside them.
    Orphans(Vec<i32>),
    /// There is none, though files may claim so.
    Dead,
}

/// Where the socket of the server in `folder` is: in it, unless the path is too long for a socket.
pub(super) fn socket_folder(folder: &Path, uid: u32) -> PathBuf {
    // Without the final NUL: the size of `sun_path` in `sockaddr_un`.
    const LIMIT: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
    let near = folder.join("run");
    if near.as_os_str().len() + 1 + SOCKET.len() <= LIMIT {
        return near;
    }
    // The same in every run and every environment, or two programs would not meet; hence not $XDG_RUNTIME_DIR.
    let digest = Sha256::digest(folder.as_os_str().as_bytes());
    let name = super::hex(&digest[..8]);
    PathBuf::from(format!("/tmp/agenttrace-pg-{uid}-{name}"))
}

/// Whether it takes connections.
pub(super) fn is_ready(data: &Path, sockets: &Path) -> bool {
    PidFile::read(data).is_some_and(|file| file.status == "ready") && call(sockets) == Answer::Yes
}

fn state(data: &Path, sockets: &Path) -> State {
    let file = PidFile::read(data);
    match call(sockets) {
        Answer::Yes if file.as_ref().is_some_and(|file| file.status == "ready") => return State::Ready,
        Answer::Yes | Answer::Late => return State::Busy,
        Answer::No => {}
    }
    let processes = Processes::of(data);
    match file {
        Some(file) if processes.certain.contains(&file.pid) || processes.suspected.contains(&file.pid) => {
            State::Busy
        }
        _ if processes.certain.is_empty() => State::Dead,
        _ => State::Orphans(processes.certain),
    }
}

/// What comes of a connection.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    /// Somebody listens but does not speak: stopped, or overwhelmed.
    Late,
    No,
}

/// Asks the server whether it speaks TLS, to which it answers with one byte at any time in its life. A mere connect would
/// also succeed on a server that was killed a moment ago.
fn call(sockets: &Path) -> Answer {
    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    let Ok(mut stream) = UnixStream::connect(sockets.join(SOCKET)) else { return Answer::No };
    let asked = stream.set_read_timeout(Some(ANSWER_LIMIT)).and_then(|()| stream.write_all(&SSL_REQUEST));
    match asked.and_then(|()| stream.read_exact(&mut [0])) {
        Ok(()) => Answer::Yes,
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Answer::Late,
        Err(_) => Answer::No,
    }
}

/// Brings the server up. Under the start lock, so nobody else is doing so.
pub(super) fn ensure(
    folder: &Path,
    purpose: Purpose,
    data: &Data,
    sockets: &Path,
    how: impl FnOnce() -> Result<(Binaries, Identity)>,
) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    let patience = Instant::now() + Duration::from_secs(1);
    loop {
        match state(&data.path, sockets) {
            State::Ready => return Ok(()),
            State::Dead => break,
            _ if Instant::now() >= deadline => {
                return Err(ServerError::new(format!(
                    "the private PostgreSQL in {} is neither up nor down for {} s",
                    folder.display(),
                    START_LIMIT.as_secs()
                ))
                .hint(format!("see {}", folder.join("server.log").display())));
            }
            // Idle sessions end by themselves when their postmaster dies, busy ones not before their query does.
            State::Orphans(pids) if Instant::now() >= patience => {
                for pid in pids {
                    let _ = sys::signal(pid, Signal::Immediate);
                }
            }
            State::Busy | State::Orphans(_) => {}
        }
        super::pause();
    }
    let (binaries, identity) = how()?;
    cluster::private_folder(sockets, identity.owner())?;
    remove_stale(&data.path, sockets);
    start(folder, purpose, data, sockets, &binaries, identity, deadline)
}

/// PostgreSQL refuses to start while the process of an old `postmaster.pid` *or* socket lock exists, and that number may
/// be anybody's by now. Both are removed only where it is certain that nothing runs in the data folder; else PostgreSQL
/// judges.
fn remove_stale(data: &Path, sockets: &Path) {
    let processes = Processes::of(data);
    if Path::new("/proc/self/cwd").exists() && processes.certain.is_empty() && processes.suspected.is_empty()
    {
        let _ = fs::remove_file(data.join("postmaster.pid"));
        let _ = fs::remove_file(sockets.join(format!("{SOCKET}.lock")));
    }
}

fn start(
    folder: &Path,
    purpose: Purpose,
    data: &Data,
    sockets: &Path,
    binaries: &Binaries,
    identity: Identity,
    deadline: Instant,
) -> Result<()> {
    let (log, log_start) = cluster::open_log(folder)?;
    let log_path = folder.join("server.log");
    let mut command = Command::new(binaries.postgres());
    identity.apply(&mut command);
    command.arg("-D").arg(&data.path);
    for setting in cluster::settings(purpose, sockets) {
        command.arg("-c").arg(setting);
    }
    // A process group of its own: Ctrl-C in our terminal is a shutdown for every server that hears it.
    command.current_dir("/").process_group(0).stdin(Stdio::null());
    command.stderr(log.try_clone().map_err(|e| ServerError::io("open", &log_path, e))?).stdout(log);
    let mut child = command.spawn().map_err(|e| ServerError::io("run", &binaries.postgres(), e))?;
    drop(command);
    let failure = loop {
        if is_ready(&data.path, sockets) {
            reap(child);
            return Ok(());
        }
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => super::pause(),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                break format!("it was not ready within {} s", START_LIMIT.as_secs());
            }
            Ok(Some(status)) => break status.to_string(),
            Err(e) => break e.to_string(),
        }
    };
    Err(ServerError::new(format!(
        "the private PostgreSQL did not start ({failure}); its log ends with:\n{}",
        log_end(&log_path, log_start)
    ))
    .hint(format!("the whole log is {}", log_path.display())))
}

/// Waits for the server in a thread, or it would stay a zombie after another program has stopped it.
fn reap(mut child: Child) {
    let name = std::thread::Builder::new().name("postgres-reaper".to_owned());
    // Without the thread there is a zombie until we end, and nothing else.
    let _ = name.spawn(move || child.wait());
}

/// The executable of the running server, where it was removed or replaced since: sessions then load libraries of another
/// build, or none. `None` also where that cannot be told (another system than Linux, a process of somebody else).
pub(super) fn outdated(sockets: &Path) -> Option<PathBuf> {
    let stream = UnixStream::connect(sockets.join(SOCKET)).ok()?;
    let pid = sys::listener_pid(&stream)?;
    // The kernel's words (proc_pid_exe(5)).
    let executable = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(PathBuf::from(executable.to_str()?.strip_suffix(" (deleted)")?))
}

/// Stops the server, and returns when it is down or the limit has passed. Under the start lock.
pub(super) fn stop(data: &Path, sockets: &Path, purpose: Purpose) {
    let Ok(stream) = UnixStream::connect(sockets.join(SOCKET)) else { return };
    // Who listens on our socket is our server; a number from a file could be anybody's.
    let Some(pid) = sys::listener_pid(&stream).or_else(|| PidFile::read(data).map(|file| file.pid)) else {
        return;
    };
    drop(stream);
    let signal = match purpose {
        Purpose::Keep => Signal::Fast,
        Purpose::ThrowAway => Signal::Immediate,
    };
    if sys::signal(pid, signal).is_err() {
        return;
    }
    let deadline = Instant::now() + STOP_LIMIT;
    while Instant::now() < deadline {
        // The last thing that a postmaster does.
        if !data.join("postmaster.pid").exists() {
            return;
        }
        super::pause();
    }
    if purpose == Purpose::ThrowAway {
        let _ = sys::signal(pid, Signal::Kill);
    }
}

/// What we need of `postmaster.pid`: line 1 is the process, line 8 its status.
struct PidFile {
    pid: i32,
    status: String,
}

impl PidFile {
    fn read(data: &Path) -> Option<Self> {
        let bytes = fs::read(data.join("postmaster.pid")).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        let status = lines.nth(6).unwrap_or_default().trim().to_owned();
        Some(Self { pid, status })
    }
}

/// The server processes of a data folder, postmaster and sessions: it is their current folder. Empty where there is no
/// /proc.
#[derive(Default)]
struct Processes {
    certain: Vec<i32>,
    /// Of the folder's owner, but we may not look: of this server or of another one.
    suspected: Vec<i32>,
}

impl Processes {
    fn of(data: &Path) -> Self {
        let Ok(owner) = fs::metadata(data).map(|m| Ids { uid: m.uid(), gid: m.gid() }) else {
            return Self::default();
        };
        if sys::effective().uid == 0 && owner.uid != 0 {
            sys::as_seen_by(owner, || Self::look(data, owner)).unwrap_or_else(|| Self::look(data, owner))
        } else {
            Self::look(data, owner)
        }
    }

    fn look(data: &Path, owner: Ids) -> Self {
        let mut found = Self::default();
        let Ok(processes) = fs::read_dir("/proc") else { return found };
        for entry in processes.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A shell may stand in the folder, too.
            if !fs::read(entry.path().join("comm")).is_ok_and(|name| name.starts_with(b"postgres")) {
                continue;
            }
            match fs::read_link(entry.path().join("cwd")) {
                Ok(cwd) if cwd == data => found.certain.push(pid),
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                    if entry.metadata().is_ok_and(|m| m.uid() == owner.uid) {
                        found.suspected.push(pid);
                    }
                }
                Ok(_) | Err(_) => {}
            }
        }
        found
    }
}

/// The last lines that the log got since `start`.
fn log_end(path: &Path, start: u64) -> String {
    const LINES: usize = 12;
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(start))?;
        file.take(1 << 20).read_to_end(&mut bytes)
    });
    if let Err(e) = read {
        return format!("(cannot be read: {e})");
    }
    let text = super::printable(&String::from_utf8_lossy(&bytes));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_a_short_socket_of_its_own() {
        let short = Path::new("/home/ann/.local/share/agenttrace/postgres");
        assert_eq!(socket_folder(short, 1000), short.join("run"));
        // 107 bytes in all are allowed on Linux.
        let longest = PathBuf::from(format!("/{}", "x".repeat(107 - 1 - "/run/.s.PGSQL.5432".len())));
        if cfg!(target_os = "linux") {
            assert_eq!(socket_folder(&longest, 1000), longest.join("run"));
        }
        let long = PathBuf::from(format!("{}y", longest.display()));
        let far = socket_folder(&long, 1000);
        assert!(far.to_str().unwrap().starts_with("/tmp/agenttrace-pg-1000-"), "{}", far.display());
        assert_ne!(far, socket_folder(&long.join("z"), 1000));
    }

    #[test]
    fn the_pid_file_is_read_also_when_it_is_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        assert!(PidFile::read(folder.path()).is_none());
        let path = folder.path().join("postmaster.pid");
        fs::write(&path, "4711\n/data\n").unwrap();
        let file = PidFile::read(folder.path()).unwrap();
        assert_eq!((file.pid, file.status.as_str()), (4711, ""));
        fs::write(&path, "4711\n/data\n1\n5432\n/run\n\n  1 2\nready   \n").unwrap();
        assert_eq!(PidFile::read(folder.path()).unwrap().status, "ready");
    }
}
