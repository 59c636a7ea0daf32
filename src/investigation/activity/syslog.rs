//! Steps of the activity log as lines of the machine's system log, where whoever investigates cannot take them back.
//!
//! The local form of RFC 3164, as `syslog(3)` sends it: `<PRI>TIME TAG[PID]: TEXT` in one datagram, the time in the
//! machine's zone. The text is the step as JSON: without the rows of the answer, whose digest stands there.

use crate::case::activity::{Answer, Entry};
use crate::domain::{Joiners, escape_json};
use chrono::Local;
use std::path::{Path, PathBuf};

/// Facility `authpriv`, severity `notice`: 10 · 8 + 5.
const PRIORITY: u8 = 85;
/// Longest text, in bytes: system logs take about so much in one piece.
const LONGEST: usize = 7_000;
/// Where system logs listen: Linux, macOS, the BSDs.
const SOCKETS: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/// Where a system log listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemLog {
    /// Where that of this machine usually does.
    Usual,
    /// On this socket.
    At(PathBuf),
}

/// Sends a step.
///
/// # Errors
/// Why it was not taken, in words.
pub(super) fn send(log: &SystemLog, entry: &Entry) -> Result<(), String> {
    let usual = || SOCKETS.map(Path::new).into_iter().find(|path| path.exists());
    let socket = match log {
        SystemLog::At(socket) => socket,
        SystemLog::Usual => usual().ok_or("no system log listens on this machine")?,
    };
    deliver(socket, line(entry)?.as_bytes()).map_err(|e| format!("{}: {e}", socket.display()))
}

#[cfg(unix)]
fn deliver(socket: &Path, line: &[u8]) -> std::io::Result<()> {
    let sender = std::os::unix::net::UnixDatagram::unbound()?;
    // A log that takes nothing must not hold up the work.
    sender.set_nonblocking(true)?;
    sender.send_to(line, socket).map(|_| ())
}

#[cfg(not(unix))]
fn deliver(_: &Path, _: &[u8]) -> std::io::Result<()> {
    Err(std::io::Error::from(std::io::ErrorKind::Unsupported))
}

fn line(entry: &Entry) -> Result<String, String> {
    let answer = entry.answer.as_ref().map(|answer| Answer { rows: Vec::new(), ..answer.clone() });
    let entry = Entry { answer, ..entry.clone() };
    let text = serde_json::to_string(&entry).map_err(|e| e.to_string())?;
    let text = escape_json(&text, Joiners::Escaped);
    let kept = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default();
    let cut = if kept.len() < text.len() { "… (cut: the activity log has the whole)" } else { "" };
    let time = Local::now().format("%b %e %H:%M:%S");
    Ok(format!("<{PRIORITY}>{time} agenttrace[{}]: {kept}{cut}", std::process::id()))
}
