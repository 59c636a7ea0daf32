//! How a connection is encrypted, and the files that this takes.

use super::{Refused, Settings};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

/// Files and mode for one server.
pub(super) struct Tls {
    pub(super) mode: PgSslMode,
    authorities: Option<Vec<u8>>,
    client: Option<Client>,
}

/// Certificate and key of the client, as PEM.
struct Client {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Tls {
    /// What the parameters say, for a server that is on this machine or elsewhere.
    ///
    /// Without an `sslmode`, a connection to another machine is encrypted, and the server has to prove its name
    /// (`verify-full`). PostgreSQL's own default, `prefer`, falls back to plain text as soon as somebody on the way asks
    /// for it.
    ///
    /// # Errors
    /// When parameters contradict each other, or a file that is needed cannot be used; names parameter and file.
    pub(super) fn of(settings: &Settings<'_>, is_local: bool, is_socket: bool) -> Result<Self, Refused> {
        let plain = Self { mode: PgSslMode::Disable, authorities: None, client: None };
        let system = settings.get("sslrootcert") == Some("system");
        let mut mode = match settings.get("sslmode") {
            Some(mode) => PgSslMode::from_str(mode).map_err(|_| {
                settings
                    .refused("sslmode", "not a valid mode")
                    .hint("modes: disable, allow, prefer, require, verify-ca, verify-full")
            })?,
            None if is_local && !system => PgSslMode::Prefer,
            None => PgSslMode::VerifyFull,
        };
        // The same servers can be reached, and in plain text only those that offer nothing better.
        if matches!(mode, PgSslMode::Allow) {
            mode = PgSslMode::Prefer;
        }
        if is_socket || matches!(mode, PgSslMode::Disable) {
            return Ok(plain);
        }
        // The protection that it promises, against somebody in between, by the means that the driver has.
        if settings.get("channel_binding") == Some("require") {
            mode = PgSslMode::VerifyFull;
        }
        if system && !matches!(mode, PgSslMode::VerifyFull) {
            return Err(settings
                .refused("sslrootcert", "the authorities of the system go with sslmode=verify-full only"));
        }
        let authorities = if system { None } else { authorities(settings, mode)? };
        if authorities.is_some() && matches!(mode, PgSslMode::Require) {
            mode = PgSslMode::VerifyCa;
        }
        Ok(Self { mode, authorities, client: client(settings)? })
    }

    /// Whether the name of the server is compared with its certificate.
    pub(super) fn compares_names(&self) -> bool {
        matches!(self.mode, PgSslMode::VerifyFull)
    }

    /// Puts them into the options, in place of what the driver has read from the environment.
    pub(super) fn apply(&self, options: PgConnectOptions) -> PgConnectOptions {
        let options =
            options.ssl_mode(self.mode).ssl_root_cert_from_pem(self.authorities.clone().unwrap_or_default());
        match &self.client {
            Some(Client { certificate, key }) => {
                options.ssl_client_cert_from_pem(certificate).ssl_client_key_from_pem(key)
            }
            None => options,
        }
    }
}

/// The name to connect to where both a name and an address are given: the driver knows one of them, and compares that
/// one with the certificate.
///
/// # Errors
/// When the name does not lead to the address.
pub(super) fn name_at(name: &str, address: &str, port: u16) -> Result<String, Refused> {
    let wanted = IpAddr::from_str(address).ok();
    let leads_there =
        (name, port).to_socket_addrs().is_ok_and(|mut found| found.any(|a| Some(a.ip()) == wanted));
    if leads_there {
        return Ok(name.to_owned());
    }
    Err(Refused::new(format!(
        "hostaddr: the name '{}' does not resolve to this address",
        name.escape_debug()
    ))
    .hint("with sslmode=verify-full, give the name an entry in /etc/hosts, or use sslmode=verify-ca"))
}

/// The certificates of authorities; `None` when there is no file and none is needed.
fn authorities(settings: &Settings<'_>, mode: PgSslMode) -> Result<Option<Vec<u8>>, Refused> {
    let verifies = matches!(mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    let Some((path, named)) = file(settings, "sslrootcert", "root.crt") else { return Ok(None) };
    match read_pem(settings, "sslrootcert", &path, "CERTIFICATE-----") {
        Ok(pem) => Ok(Some(pem)),
        Err((_, io::ErrorKind::NotFound)) if !named || !verifies => Ok(None),
        Err((refused, _)) => {
            Err(refused.hint("sslrootcert=system takes the authorities of the operating system"))
        }
    }
}

/// Certificate and key of the client.
fn client(settings: &Settings<'_>) -> Result<Option<Client>, Refused> {
    match settings.get("sslcertmode") {
        None | Some("allow") => {}
        Some("disable") => return Ok(None),
        Some(_) => {
            return Err(settings
                .refused("sslcertmode", "only 'allow' and 'disable' are supported")
                .hint("a server that wants a certificate asks for it"));
        }
    }
    let Some((path, named)) = file(settings, "sslcert", "postgresql.crt") else { return Ok(None) };
    let certificate = match read_pem(settings, "sslcert", &path, "CERTIFICATE-----") {
        Ok(pem) => pem,
        Err((_, io::ErrorKind::NotFound)) if !named => return Ok(None),
        Err((refused, _)) => return Err(refused),
    };
    let Some((path, _)) = file(settings, "sslkey", "postgresql.key") else {
        return Err(Refused::new("sslcert is given without sslkey"));
    };
    let key = read_pem(settings, "sslkey", &path, "PRIVATE KEY-----").map_err(|(refused, _)| refused)?;
    if String::from_utf8_lossy(&key).contains("ENCRYPTED") {
        return Err(settings.refused_file("sslkey", &path, "the key is encrypted, which is not supported"));
    }
    if std::fs::metadata(&path).is_ok_and(|m| m.permissions().mode() & 0o027 != 0) {
        return Err(settings
            .refused_file("sslkey", &path, "others can read or write the key")
            .hint("chmod 0600 mends that; 0640 is accepted, too"));
    }
    Ok(Some(Client { certificate, key }))
}

/// The file that a parameter names (then `true`), else the one in `~/.postgresql`.
fn file(settings: &Settings<'_>, parameter: &str, usual: &str) -> Option<(PathBuf, bool)> {
    if let Some(named) = settings.get(parameter) {
        return Some((PathBuf::from(named), true));
    }
    let home = (settings.env)("HOME")?;
    Some((Path::new(&home).join(".postgresql").join(usual), false))
}

fn read_pem(
    settings: &Settings<'_>,
    parameter: &str,
    path: &Path,
    label: &str,
) -> Result<Vec<u8>, (Refused, io::ErrorKind)> {
    let bytes = std::fs::read(path)
        .map_err(|e| (settings.refused_file(parameter, path, &e.to_string()), e.kind()))?;
    if !String::from_utf8_lossy(&bytes).contains(label) {
        let what = if label.starts_with("CERT") { "certificate" } else { "private key" };
        let why = format!("the file holds no {what} in PEM form");
        return Err((settings.refused_file(parameter, path, &why), io::ErrorKind::InvalidData));
    }
    Ok(bytes)
}
