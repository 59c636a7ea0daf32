//! Services: connection parameters under a name, in `~/.pg_service.conf` and the system's file.

use super::{Environment, Refused, conninfo::Pairs, keywords};
use std::io;
use std::path::{Path, PathBuf};

/// Where packages of libpq look for the system's file when PGSYSCONFDIR does not say it.
const SYSTEM_FOLDERS: [&str; 3] = ["/etc/postgresql-common", "/etc/sysconfig/pgsql", "/etc"];

/// The parameters of the service `name`. `file` is the one that is named instead of `~/.pg_service.conf`.
///
/// # Errors
/// When no file defines it, or the one that does is malformed; with file and line.
pub(super) fn look_up(name: &str, file: Option<&str>, env: Environment<'_>) -> Result<Pairs, Refused> {
    let mut looked_at = Vec::new();
    for path in places(file, env) {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound && file.is_none() => continue,
            Err(e) => return Err(Refused::new(format!("the service file {}: {e}", path.display()))),
        };
        if let Some(pairs) = in_file(&text, name, &path)? {
            return Ok(pairs);
        }
        looked_at.push(path.display().to_string());
    }
    let refused = Refused::new(format!("the service '{}' is not defined", name.escape_debug()));
    Err(if looked_at.is_empty() {
        refused.hint("there is no service file: make ~/.pg_service.conf, or name one with PGSERVICEFILE")
    } else {
        refused.hint(format!("looked at {}", looked_at.join(", ")))
    })
}

fn places(file: Option<&str>, env: Environment<'_>) -> Vec<PathBuf> {
    let own = match file {
        Some(file) => Some(PathBuf::from(file)),
        None => env("HOME").map(|home| Path::new(&home).join(".pg_service.conf")),
    };
    let system: Vec<PathBuf> = match env("PGSYSCONFDIR") {
        Some(folder) => vec![folder.into()],
        None => SYSTEM_FOLDERS.iter().map(PathBuf::from).collect(),
    };
    own.into_iter().chain(system.into_iter().map(|folder| folder.join("pg_service.conf"))).collect()
}

/// The parameters of the group `[name]`; `None` without one.
fn in_file(text: &str, name: &str, path: &Path) -> Result<Option<Pairs>, Refused> {
    let mut found: Option<Pairs> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let refused = |what: &str| Refused::new(format!("{}:{number}: {what}", path.display()));
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(group) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if group.strip_suffix(']') == Some(name) {
                found = Some(Pairs::new());
            }
            continue;
        }
        let Some(pairs) = &mut found else { continue };
        if line.starts_with("ldap:") {
            return Err(refused("services in LDAP are not supported"));
        }
        let (key, value) = line.split_once('=').ok_or_else(|| refused("not of the form NAME=VALUE"))?;
        let keyword = keywords::find(key).map_err(|e| Refused { text: refused(&e.text).text, ..e })?;
        if matches!(keyword.name, "service" | "servicefile") {
            return Err(refused("a service cannot name another one"));
        }
        // The first of equal names counts here.
        if !pairs.iter().any(|(name, _)| *name == keyword.name) {
            pairs.push((keyword.name, value.to_owned()));
        }
    }
    Ok(found)
}
