//! The system calls that std has no safe form of, each behind a small safe function. The only `unsafe` of the crate.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// A user and its primary group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The signals a postmaster is stopped with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGINT: fast shutdown, sessions are ended, data are written out.
    Fast,
    /// SIGQUIT: immediate shutdown, as after a crash.
    Immediate,
    /// SIGKILL.
    Kill,
}

/// Effective user and group of this process.
#[expect(unsafe_code, reason = "geteuid and getegid have no safe form in std; they cannot fail")]
pub(super) fn effective() -> Ids {
    unsafe { Ids { uid: libc::geteuid(), gid: libc::getegid() } }
}

/// Whether the user database knows this uid; `initdb` and the server look themselves up.
pub(super) fn is_known(uid: u32) -> bool {
    passwd(|entry, buffer, len, found| {
        #[expect(unsafe_code, reason = "the pointers come from `passwd` and are valid for the call")]
        unsafe {
            libc::getpwuid_r(uid, entry, buffer, len, found)
        }
    })
    .is_some()
}

/// The user of this name.
pub(super) fn user_named(name: &CStr) -> Option<Ids> {
    passwd(|entry, buffer, len, found| {
        #[expect(unsafe_code, reason = "the pointers come from `passwd` and are valid for the call")]
        unsafe {
            libc::getpwnam_r(name.as_ptr(), entry, buffer, len, found)
        }
    })
}

fn passwd(
    look_up: impl FnOnce(*mut libc::passwd, *mut libc::c_char, usize, *mut *mut libc::passwd) -> libc::c_int,
) -> Option<Ids> {
    // Far more than any entry needs; an entry that does not fit counts as absent.
    let mut buffer = vec![0; 65536];
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut found = std::ptr::null_mut();
    let code = look_up(entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found);
    if code != 0 || found.is_null() {
        return None;
    }
    #[expect(unsafe_code, reason = "the call succeeded and `found` is set, so the entry is filled")]
    let entry = unsafe { entry.assume_init() };
    Some(Ids { uid: entry.pw_uid, gid: entry.pw_gid })
}

/// Sends a signal to one process.
pub(super) fn signal(pid: i32, signal: Signal) -> io::Result<()> {
    // 0 and negative numbers address whole groups of processes, 1 is never ours.
    if pid <= 1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let number = match signal {
        Signal::Fast => libc::SIGINT,
        Signal::Immediate => libc::SIGQUIT,
        Signal::Kill => libc::SIGKILL,
    };
    #[expect(unsafe_code, reason = "kill takes two numbers and touches no memory of ours")]
    let code = unsafe { libc::kill(pid, number) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The process that listens on the other end of a socket, where the system can tell.
#[cfg(target_os = "linux")]
pub(super) fn listener_pid(stream: &UnixStream) -> Option<i32> {
    use std::os::fd::AsRawFd as _;
    let mut credentials = MaybeUninit::<libc::ucred>::uninit();
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    #[expect(unsafe_code, reason = "pointer and length describe `credentials`, which the call fills")]
    let credentials = unsafe {
        let code = libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            credentials.as_mut_ptr().cast(),
            &raw mut len,
        );
        if code != 0 {
            return None;
        }
        credentials.assume_init()
    };
    // 0 is a process of another container.
    (credentials.pid > 1).then_some(credentials.pid)
}

/// The process that listens on the other end of a socket, where the system can tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn listener_pid(_: &UnixStream) -> Option<i32> {
    None
}

/// Size and free space, in bytes, of the file system that holds `path`.
pub(super) fn space(path: &Path) -> Option<(u64, u64)> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut facts = MaybeUninit::<libc::statvfs>::uninit();
    #[expect(unsafe_code, reason = "the path ends with a NUL and the call fills `facts` when it succeeds")]
    let facts = unsafe {
        if libc::statvfs(path.as_ptr(), facts.as_mut_ptr()) != 0 {
            return None;
        }
        facts.assume_init()
    };
    #[expect(clippy::useless_conversion, reason = "the fields are 32 bits wide on some systems")]
    let (unit, all, free) = (u64::from(facts.f_frsize), u64::from(facts.f_blocks), u64::from(facts.f_bavail));
    Some((unit * all, unit * free))
}

/// Whether this process may create files in a folder; false on a read-only file system, for root too.
pub(super) fn is_writable(folder: &Path) -> bool {
    let Ok(path) = CString::new(folder.as_os_str().as_bytes()) else { return false };
    #[expect(unsafe_code, reason = "the path ends with a NUL; access only reads it")]
    let code = unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) };
    code == 0
}

/// Looks at files as another user does, in a thread of its own; needs root. None when that is not possible.
///
/// Root in a container often lacks the right to inspect other users' processes, which those users have.
#[cfg(target_os = "linux")]
pub(super) fn as_seen_by<T: Send>(user: Ids, look: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let looking = move || {
            #[expect(
                unsafe_code,
                reason = "the calls take numbers and change this thread only, which ends with `look`"
            )]
            unsafe {
                libc::setfsgid(user.gid);
                libc::setfsuid(user.uid);
            }
            look()
        };
        let thread = std::thread::Builder::new().spawn_scoped(scope, looking).ok()?;
        thread.join().ok()
    })
}

/// There is no /proc to look at here.
#[cfg(not(target_os = "linux"))]
pub(super) fn as_seen_by<T: Send>(_: Ids, look: impl FnOnce() -> T + Send) -> Option<T> {
    Some(look())
}

/// Runs the command in a user namespace of its own, in which our user has the uid and gid of `inside`. Outside, and for
/// the owners of files, it stays our user.
#[cfg(target_os = "linux")]
pub(super) fn in_user_namespace(command: &mut Command, inside: Ids) {
    let us = effective();
    // Formatted here: the closure runs between fork and exec, where nothing may allocate.
    let maps = [
        (c"/proc/self/setgroups", "deny".to_owned()),
        (c"/proc/self/uid_map", format!("{} {} 1", inside.uid, us.uid)),
        (c"/proc/self/gid_map", format!("{} {} 1", inside.gid, us.gid)),
    ];
    let enter = move || {
        if unshare_user() != 0 {
            return Err(io::Error::last_os_error());
        }
        maps.iter().try_for_each(|(path, text)| write_once(path, text.as_bytes()))
    };
    #[expect(unsafe_code, reason = "the closure makes system calls only: no allocation, no locks")]
    unsafe {
        command.pre_exec(enter);
    }
}

/// There are no user namespaces here; the command fails with that.
#[cfg(not(target_os = "linux"))]
pub(super) fn in_user_namespace(command: &mut Command, _: Ids) {
    #[expect(unsafe_code, reason = "the closure does nothing but fail")]
    unsafe {
        command.pre_exec(|| Err(io::ErrorKind::Unsupported.into()));
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "unshare takes a number and touches no memory of ours")]
fn unshare_user() -> libc::c_int {
    unsafe { libc::unshare(libc::CLONE_NEWUSER) }
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "the path ends with a NUL, the slice is valid, the descriptor is ours and is closed"
)]
fn write_once(path: &CStr, text: &[u8]) -> io::Result<()> {
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let written = libc::write(fd, text.as_ptr().cast(), text.len());
        let result =
            if usize::try_from(written) == Ok(text.len()) { Ok(()) } else { Err(io::Error::last_os_error()) };
        libc::close(fd);
        result
    }
}
