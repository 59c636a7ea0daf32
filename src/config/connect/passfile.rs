//! Passwords in libpq's file: `HOST:PORT:DATABASE:USER:PASSWORD`, `*` for any, the first line that fits.

use super::Environment;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The entry that is wanted.
pub(super) struct Wanted<'a> {
    /// Name of the server; `localhost` for the usual socket.
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// The file in force: the one that is named, else `~/.pgpass`.
pub(super) fn place(named: Option<&str>, env: Environment<'_>) -> Option<PathBuf> {
    named
        .filter(|name| !name.is_empty())
        .map_or_else(|| Some(Path::new(&env("HOME")?).join(".pgpass")), |name| Some(name.into()))
}

/// The text of the file; `None` when it does not exist.
///
/// # Errors
/// Why the file is ignored, as a remark.
pub(super) fn read(path: &Path) -> Result<Option<String>, String> {
    let ignored = |why: &str| format!("the password file {} is ignored: {why}", path.display());
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(ignored(&e.to_string())),
    };
    if !metadata.is_file() {
        return Err(ignored("it is not a plain file"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        let mode = metadata.permissions().mode() & 0o777;
        return Err(ignored(&format!(
            "others can read or write it (mode {mode:04o}); chmod 0600 mends that"
        )));
    }
    std::fs::read_to_string(path).map(Some).map_err(|e| ignored(&e.to_string()))
}

/// The password of the first line that fits.
pub(super) fn password(text: &str, wanted: &Wanted<'_>) -> Option<String> {
    let port = wanted.port.to_string();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for value in [wanted.host, &port, wanted.database, wanted.user] {
            let (field, behind) = field(rest)?;
            if field != "*" && unescaped(field) != value {
                return None;
            }
            rest = behind;
        }
        Some(unescaped(field(rest).map_or(rest, |(password, _)| password)))
            .filter(|password| !password.is_empty())
    })
}

/// Up to the next colon without a backslash before it, and what follows.
fn field(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == ':' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((&text[..end], &text[end + 1..]))
}

fn unescaped(field: &str) -> String {
    let mut chars = field.chars();
    let mut text = String::new();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_counts() {
        let of = |text: &str, host: &str| {
            password(text, &Wanted { host, port: 5432, database: "audit", user: "ann" })
        };
        let text = "# h:*:*:*:comment\nh:5433:*:*:port\nh:*:audit:bob:user\n\\:\\:1:5432:audit:ann:v6\n\
                    h:5432:audit:ann:a\\:b\\\\c\r\n*:*:*:*:rest";
        assert_eq!(of(text, "h").as_deref(), Some("a:b\\c"));
        assert_eq!(of(text, "::1").as_deref(), Some("v6"));
        assert_eq!(of(text, "other").as_deref(), Some("rest"));
        assert_eq!(of("h:5432:audit:ann", "h"), None);
        assert_eq!(of("", "h"), None);
    }
}
