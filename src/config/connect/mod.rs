//! From a connection string to connection options, with libpq's rules: URLs and `host=… dbname=…`, services, `PG*`
//! variables, password files, several hosts. TLS by default on the way to other machines, and no value of the string
//! in a message.
//!
//! No crate of the registry reads all of this: tokio-postgres's parser knows neither services and password files nor
//! `verify-full` and certificates, the driver's own ignores what it does not know.

mod conninfo;
mod keywords;
mod passfile;
mod service;
mod tls;

use super::Secret;
use keywords::{Effect, KEYWORDS};
use sqlx::postgres::PgConnectOptions;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;
use tls::Tls;

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The folder of the usual socket, as packages and the source have it.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];
const DEFAULT_PORT: u16 = 5432;

/// How to connect.
#[derive(Clone)]
pub struct Connection {
    /// At least one server, in the order in which they are tried.
    pub servers: Vec<PgConnectOptions>,
    /// Which of them is meant.
    pub wanted: SessionKind,
    /// The longest time that connecting to one of them may take.
    pub connect_timeout: Option<Duration>,
    /// The string itself holds a password.
    pub has_password: bool,
    /// There is a password, wherever it comes from.
    pub knows_password: bool,
    /// What a person should know, such as a password file that is ignored.
    pub remarks: Vec<String>,
}

/// `target_session_attrs`: which of several servers is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionKind {
    /// Whichever answers.
    #[default]
    Any,
    /// One whose transactions can write.
    ReadWrite,
    /// One whose transactions cannot write.
    ReadOnly,
    /// One that is not in recovery.
    Primary,
    /// One in recovery.
    Standby,
    /// One in recovery, else whichever answers.
    PreferStandby,
}

/// Why a connection string cannot be used. Repeats no value of it but names of files and services.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub hint: Option<String>,
}

impl SessionKind {
    /// Whether a session is of this kind.
    pub fn accepts(self, read_only: bool, in_recovery: bool) -> bool {
        match self {
            Self::Any => true,
            Self::ReadWrite => !read_only,
            Self::ReadOnly => read_only,
            Self::Primary => !in_recovery,
            Self::Standby | Self::PreferStandby => in_recovery,
        }
    }

    /// Whether any other is taken where none is of this kind.
    pub fn is_a_preference(self) -> bool {
        self == Self::PreferStandby
    }
}

impl Refused {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// The variables that name a database when there is no connection string.
pub(super) const NAMING_VARIABLES: [&str; 4] = ["PGSERVICE", "PGHOST", "PGHOSTADDR", "PGDATABASE"];

/// The passwords of a string of `NAME=VALUE` pairs, as they are written in it; none of a URL.
pub(super) fn passwords(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if text.split_once("://").is_some_and(|(scheme, _)| !scheme.contains('=')) {
        return Vec::new();
    }
    // What cannot be read any further has no names either.
    let _ = conninfo::key_values(text, &mut found);
    found.retain(|pair| keywords::is_secret(pair.name));
    found.into_iter().map(|pair| pair.written.to_owned()).collect()
}

/// Whether a parameter of this name holds a password.
pub(super) fn is_secret(name: &str) -> bool {
    keywords::is_secret(name)
}

/// Reads a connection string; what it does not say comes from its service, then from `PG*` variables, then from what is
/// usual. Reads the service file, certificates and the password file.
///
/// # Errors
/// In words that repeat no value which may be a password.
pub fn connection(text: &Secret, env: Environment<'_>) -> Result<Connection, Refused> {
    let given = conninfo::parse(text.expose())?;
    let has_password = given.iter().any(|(name, value)| *name == "password" && !value.is_empty());
    let settings = Settings::gather(given, env)?;
    settings.check()?;

    let mut servers = Vec::new();
    let mut remarks = Vec::new();
    let mut knows_password = false;
    for place in settings.places()? {
        let (options, password) = settings.options(&place, &mut remarks)?;
        servers.push(options);
        knows_password |= password;
    }
    if settings.get("load_balance_hosts") == Some("random") {
        use std::hash::{BuildHasher as _, RandomState};
        let order = RandomState::new();
        servers.sort_by_cached_key(|options| order.hash_one((options.get_host(), options.get_port())));
    }
    Ok(Connection {
        servers,
        wanted: settings.session_kind()?,
        connect_timeout: settings.connect_timeout()?,
        has_password,
        knows_password,
        remarks,
    })
}

/// Where a value was found.
#[derive(Debug, Clone)]
enum Origin {
    Text,
    Service(String),
    Variable(&'static str),
}

/// All parameters in force.
struct Settings<'a> {
    values: BTreeMap<&'static str, (String, Origin)>,
    env: Environment<'a>,
}

/// One server.
struct Place {
    host: Option<String>,
    address: Option<String>,
    port: u16,
}

impl<'a> Settings<'a> {
    fn gather(given: conninfo::Pairs, env: Environment<'a>) -> Result<Self, Refused> {
        let mut values: BTreeMap<_, _> =
            given.into_iter().map(|(name, value)| (name, (value, Origin::Text))).collect();
        let of = |values: &BTreeMap<_, (String, Origin)>, name, variable| {
            values.get(name).map(|(value, _)| value.clone()).or_else(|| env(variable))
        };
        if let Some(name) = of(&values, "service", "PGSERVICE").filter(|name| !name.is_empty()) {
            let file = of(&values, "servicefile", "PGSERVICEFILE");
            for (key, value) in service::look_up(&name, file.as_deref(), env)? {
                values.entry(key).or_insert((value, Origin::Service(name.clone())));
            }
        }
        for keyword in KEYWORDS {
            if let Some(variable) = keyword.variable
                && !values.contains_key(keyword.name)
                && let Some(value) = env(variable)
            {
                values.insert(keyword.name, (value, Origin::Variable(variable)));
            }
        }
        Ok(Self { values, env })
    }

    /// A value that is not empty.
    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// An error about a parameter, which says where it was found.
    fn refused(&self, name: &str, why: &str) -> Refused {
        Refused::new(match self.values.get(name).map(|(_, origin)| origin) {
            Some(Origin::Variable(variable)) => format!("{variable}: {why}"),
            Some(Origin::Service(service)) => {
                format!("{name} (of the service '{}'): {why}", service.escape_debug())
            }
            Some(Origin::Text) | None => format!("{name}: {why}"),
        })
    }

    fn refused_file(&self, name: &str, path: &Path, why: &str) -> Refused {
        self.refused(name, &format!("{}: {why}", path.display()))
    }

    /// Refuses what would promise something that is not done.
    fn check(&self) -> Result<(), Refused> {
        for keyword in KEYWORDS {
            if let Effect::Only(harmless, why) = keyword.effect
                && let Some(value) = self.get(keyword.name)
                && !harmless.contains(&value)
            {
                return Err(self.refused(keyword.name, why));
            }
        }
        for (name, valid) in [
            ("channel_binding", &["disable", "prefer", "require"][..]),
            ("load_balance_hosts", &["disable", "random"]),
        ] {
            if self.get(name).is_some_and(|value| !valid.contains(&value)) {
                return Err(self
                    .refused(name, "not a valid value")
                    .hint(format!("valid values: {}", valid.join(", "))));
            }
        }
        Ok(())
    }

    fn session_kind(&self) -> Result<SessionKind, Refused> {
        Ok(match self.get("target_session_attrs") {
            None | Some("any") => SessionKind::Any,
            Some("read-write") => SessionKind::ReadWrite,
            Some("read-only") => SessionKind::ReadOnly,
            Some("primary") => SessionKind::Primary,
            Some("standby") => SessionKind::Standby,
            Some("prefer-standby") => SessionKind::PreferStandby,
            Some(_) => {
                return Err(self
                    .refused("target_session_attrs", "not a valid value")
                    .hint("valid values: any, read-write, read-only, primary, standby, prefer-standby"));
            }
        })
    }

    /// As in libpq, 0 and less are no limit, and nothing is shorter than 2 s.
    fn connect_timeout(&self) -> Result<Option<Duration>, Refused> {
        let Some(text) = self.get("connect_timeout") else { return Ok(None) };
        let seconds: i64 = text
            .trim()
            .parse()
            .map_err(|_| self.refused("connect_timeout", "not a valid number of seconds"))?;
        Ok(u64::try_from(seconds).ok().filter(|s| *s > 0).map(|s| Duration::from_secs(s.max(2))))
    }

    fn places(&self) -> Result<Vec<Place>, Refused> {
        let list = |name| self.get(name).map(|text| text.split(',').map(str::trim).collect::<Vec<_>>());
        let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
        let count = addresses.as_ref().or(hosts.as_ref()).map_or(1, Vec::len);
        if hosts.as_ref().is_some_and(|hosts| hosts.len() != count) {
            return Err(self.refused("hostaddr", "the numbers of hosts and addresses differ"));
        }
        if ports.as_ref().is_some_and(|ports| ports.len() != 1 && ports.len() != count) {
            return Err(self.refused("port", "the numbers of hosts and ports differ"));
        }
        let at = |list: &Option<Vec<&str>>, i: usize| {
            list.as_ref()
                .and_then(|list| list.get(i))
                .filter(|part| !part.is_empty())
                .map(|p| (*p).to_owned())
        };
        (0..count)
            .map(|i| {
                let port =
                    at(&ports, if ports.as_ref().is_some_and(|ports| ports.len() == 1) { 0 } else { i });
                let port = match port {
                    None => DEFAULT_PORT,
                    Some(text) => text.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                        self.refused("port", "not a number from 1 to 65535")
                            .hint("write a '/' or ':' of a password as %2F or %3A")
                    })?,
                };
                let (host, address) = (at(&hosts, i), at(&addresses, i));
                if address.as_ref().is_some_and(|address| IpAddr::from_str(address).is_err()) {
                    return Err(self.refused("hostaddr", "not a valid IP address"));
                }
                if host.as_ref().is_some_and(|host| host.starts_with('@')) {
                    return Err(self.refused("host", "sockets in the abstract namespace are not supported"));
                }
                Ok(Place { host, address, port })
            })
            .collect()
    }

    /// The options for a server, and whether there is a password among them.
    fn options(&self, place: &Place, remarks: &mut Vec<String>) -> Result<(PgConnectOptions, bool), Refused> {
        let usual = || usual_host(place.port);
        let host = match (&place.host, &place.address) {
            (Some(host), _) => host.clone(),
            (None, Some(address)) => address.clone(),
            (None, None) => usual(),
        };
        let is_socket = host.starts_with('/') && place.address.is_none();
        let tls = Tls::of(self, is_socket || is_local(place.address.as_deref().unwrap_or(&host)), is_socket)?;
        let reached = match &place.address {
            Some(address) if tls.compares_names() && *address != host => {
                tls::name_at(&host, address, place.port)?
            }
            Some(address) => address.clone(),
            None => host.clone(),
        };

        let mut options = self.base()?.port(place.port);
        options = if is_socket { options.socket(PathBuf::from(&reached)) } else { options.host(&reached) };
        let user = match self.get("user") {
            Some(user) => user.to_owned(),
            None => whoami::username().map_err(|_| {
                Refused::new("no user is named, and the operating system has no name for this one")
                    .hint("name one: postgres://USER@HOST/DATABASE or PGUSER")
            })?,
        };
        let database = self.get("dbname").unwrap_or(&user);
        let password = match self.get("password") {
            Some(password) => Some(password.to_owned()),
            None => {
                let known_as = if SOCKET_FOLDERS.contains(&host.as_str()) { "localhost" } else { &host };
                let wanted = passfile::Wanted { host: known_as, port: place.port, database, user: &user };
                self.password_from_file(&wanted, remarks)
            }
        };
        // Without one the driver sends an empty one if it is asked, which is what this says.
        options =
            options.username(&user).database(database).password(password.as_deref().unwrap_or_default());
        if let Some(text) = self.get("statement-cache-capacity") {
            let capacity =
                text.parse().map_err(|_| self.refused("statement-cache-capacity", "not a valid number"))?;
            options = options.statement_cache_capacity(capacity);
        }
        Ok((tls.apply(options), password.is_some()))
    }

    fn password_from_file(&self, wanted: &passfile::Wanted<'_>, remarks: &mut Vec<String>) -> Option<String> {
        let path = passfile::place(self.get("passfile"), self.env)?;
        match passfile::read(&path) {
            Ok(text) => passfile::password(&text?, wanted),
            Err(remark) => {
                if !remarks.contains(&remark) {
                    remarks.push(remark);
                }
                None
            }
        }
    }

    /// Options with the server's settings only. The driver reads PGOPTIONS by itself, and takes others by URL only.
    fn base(&self) -> Result<PgConnectOptions, Refused> {
        match self.values.get("options") {
            Some((text, Origin::Text | Origin::Service(_))) if !text.is_empty() => {
                let text = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
                PgConnectOptions::from_str(&format!("postgres://localhost?options={text}"))
                    .map_err(|_| self.refused("options", "not valid"))
            }
            _ => Ok(PgConnectOptions::new_without_pgpass()),
        }
    }
}

/// The folder of the socket that exists, else this machine by name.
fn usual_host(port: u16) -> String {
    let socket = format!(".s.PGSQL.{port}");
    let folder = SOCKET_FOLDERS.iter().find(|folder| Path::new(folder).join(&socket).exists());
    (*folder.unwrap_or(&"localhost")).to_owned()
}

/// Whether the way to the server stays on this machine.
fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || IpAddr::from_str(host).is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
