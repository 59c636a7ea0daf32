//! Configuration: built-in values, the user's file, the environment and flags, in rising order.
//!
//! The file is read into a raw form that refuses unknown keys, then checked into [`Config`]. `config.example.toml`
//! documents every key; a test holds the two together.

mod connect;
mod diff;
mod duration;
mod password_command;
mod target;

pub use connect::{Connection, Environment, Refused, SessionKind, connection};
pub use diff::DiffWords;
pub use duration::Span;
pub use password_command::PasswordCommand;
pub use target::{
    Choice, DEMO_PROFILE, Flags, PRIVATE_DATABASE, Place, Target, called, choose, listens_at, place_of,
};

use crate::domain::{Naming, OrgId, Safe, nearest};
use crate::error::{Error, Result};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// A checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Profile used when no flag and no environment variable names a database.
    pub profile: Option<String>,
    /// Default time window, back from an organisation's newest event.
    pub window: Span,
    /// Longest time an interactive statement may take.
    pub timeout: Span,
    /// Redis server over which counts and sums are shared.
    pub cache_url: Option<Secret>,
    /// Whether what is asked is recorded in the activity log of this machine.
    pub activity: bool,
    /// Where each step of the activity log goes besides.
    pub syslog: Syslog,
    /// Whether the console begins under the mask.
    pub mask: bool,
    /// Program, with its arguments, that each signed checkpoint is given to; run without a shell.
    pub publish_command: Option<Vec<String>>,
    /// Words that say what matters in a state.
    pub diff: DiffWords,
    /// Databases by name.
    pub profiles: BTreeMap<String, Profile>,
}

/// A system log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Syslog {
    /// None.
    #[default]
    Off,
    /// The machine's, where it usually listens.
    On,
    /// One that listens on this socket.
    At(PathBuf),
}

/// A database the user works with.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Where readers connect.
    pub database_url: Secret,
    /// Where writing commands connect, if not there.
    pub writer_url: Option<Secret>,
    /// Where readers connect as long as it answers.
    pub replica_url: Option<Secret>,
    /// Program that prints the password of each of them.
    pub password_command: Option<PasswordCommand>,
    /// The schema of the table, where the first one of the role's search_path is not meant.
    pub schema: Option<String>,
    /// How the table and its columns are called, where not as ours, and the zone of its times.
    pub naming: Naming,
    /// Read as a superuser although code of another role runs with that superuser's rights.
    pub as_superuser: bool,
    /// Organisation to open without being asked.
    pub organization: Option<OrgId>,
    /// Default time window of this profile.
    pub window: Option<Span>,
    /// Marked in red, and by a word, wherever it is open.
    pub production: bool,
}

/// Text that may hold a password: printed with dots in its place.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a connection URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The text with the password. For connecting only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The first password, if there is one.
    pub fn password(&self) -> Option<String> {
        self.passwords().into_iter().next()
    }

    /// The passwords in the user part and in parameters, also of what is no proper URL: then rather too much than too
    /// little.
    fn passwords(&self) -> Vec<String> {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        let head = rest.split(['?', '#']).next().unwrap_or_default();
        let user = match head.rsplit_once('@') {
            Some((user, _)) => Some(user),
            // Where the port is no number, it is the beginning of a password with a character that should be escaped.
            None => head
                .split_once(':')
                .filter(|(host, port)| {
                    !host.starts_with('[') && !port.starts_with(|c: char| c.is_ascii_digit())
                })
                .and_then(|_| rest.rsplit_once('@'))
                .map(|(user, _)| user),
        };
        let in_user = user.and_then(|user| user.split_once(':')).map(|(_, password)| password);
        let in_parameters = rest.split(['?', '&', ' ']).filter_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            (name.contains('%') || connect::is_secret(name)).then_some(value)
        });
        let written = in_user.into_iter().chain(in_parameters).map(str::to_owned);
        // With blanks and quotes in them.
        written.chain(connect::passwords(&self.0)).filter(|p| !p.is_empty()).collect()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password may recur, as in the host: dots everywhere.
        let mut passwords = self.passwords();
        // One may be a part of another.
        passwords.sort_by_key(|password| std::cmp::Reverse(password.len()));
        let masked = passwords.iter().fold(self.0.clone(), |text, password| text.replace(password, "••••"));
        f.write_str(&masked)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// The file as written.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    profile: Option<String>,
    window: Option<String>,
    timeout: Option<String>,
    cache_url: Option<Secret>,
    activity: Option<String>,
    syslog: Option<String>,
    mask: Option<String>,
    publish_command: Option<Vec<String>>,
    diff: DiffWords,
    profiles: BTreeMap<String, RawProfile>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct RawProfile {
    database_url: Option<Secret>,
    writer_url: Option<Secret>,
    replica_url: Option<Secret>,
    password_command: Option<PasswordCommand>,
    schema: Option<String>,
    table: Option<String>,
    zone: Option<String>,
    as_superuser: bool,
    organization: Option<String>,
    window: Option<String>,
    production: bool,
    // A table comes behind all values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    columns: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profile: None,
            window: Span::days(90),
            timeout: Span::seconds(30),
            cache_url: None,
            activity: true,
            syslog: Syslog::Off,
            mask: false,
            publish_command: None,
            diff: DiffWords::default(),
            profiles: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Reads `explicit`, which must exist, or the user's file, which may be absent.
    ///
    /// # Errors
    /// Exit 2, naming file, line and key, when the file is wrong, no text included; exit 3 when it cannot be read.
    pub fn load(explicit: Option<&Path>) -> Result<Self> {
        let path = match explicit {
            Some(path) => path.to_owned(),
            None => match default_path() {
                Some(path) if path.exists() => path,
                _ => return Ok(Self::default()),
            },
        };
        let bytes = std::fs::read(&path).map_err(|e| {
            Error::could_not_run(format!("cannot read the configuration {}", path.display())).because(e)
        })?;
        Self::read(bytes).map_err(|problem| problem.in_file(&path))
    }

    /// Reads the content of a configuration file.
    fn read(bytes: Vec<u8>) -> Result<Self, Problem> {
        let text = String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            Problem::new(format!(
                "byte {} is not a part of UTF-8 text: this is a binary file, or one in another encoding",
                at + 1
            ))
        })?;
        // TOML in UTF-8 may still be none: a text has no zero byte.
        if let Some(at) = text.find('\0') {
            return Err(Problem::new(format!("byte {} is zero: this is a binary file", at + 1)));
        }
        Self::parse(&text)
    }

    /// Reads the text of a configuration file.
    fn parse(text: &str) -> Result<Self, Problem> {
        let raw: RawConfig = toml::from_str(text).map_err(|e| Problem::from_toml(text, &e))?;
        Self::check(raw).map_err(Problem::new)
    }

    fn check(raw: RawConfig) -> Result<Self, String> {
        let defaults = Self::default();
        let span = |key: &str, text: Option<String>| {
            text.map(|t| t.parse::<Span>().map_err(|e| format!("{key}: {e}"))).transpose()
        };
        let mut profiles = BTreeMap::new();
        for (name, p) in raw.profiles {
            if name == DEMO_PROFILE {
                return Err(format!(
                    "profiles.{name}: this name belongs to the private server; choose another"
                ));
            }
            let at = |key: &str| format!("profiles.{name}.{key}");
            let database_url = p.database_url.ok_or_else(|| format!("{} is missing", at("database_url")))?;
            let organization = p
                .organization
                .map(OrgId::new)
                .transpose()
                .map_err(|e| format!("{}: {e}", at("organization")))?;
            let window = span(&at("window"), p.window)?;
            if p.password_command.as_ref().is_some_and(|command| !command.names_a_program()) {
                return Err(format!("{}: the first element is the program to run", at("password_command")));
            }
            let zone = p.zone.map(|zone| {
                let shown = Safe::from_untrusted(&zone);
                let wrong =
                    |_| format!("{}: '{shown}' is not a time zone such as UTC or Europe/Berlin", at("zone"));
                zone.parse::<Tz>().map_err(wrong)
            });
            let naming = Naming { table: p.table, columns: p.columns, zone: zone.transpose()? };
            if let Some((unknown, nearest)) = naming.unknown() {
                return Err(format!(
                    "{}.{}: no column of events is called so; nearest is {nearest}",
                    at("columns"),
                    Safe::from_untrusted(unknown)
                ));
            }
            let profile = Profile {
                database_url,
                writer_url: p.writer_url,
                replica_url: p.replica_url,
                password_command: p.password_command,
                schema: p.schema,
                naming,
                as_superuser: p.as_superuser,
                organization,
                window,
                production: p.production,
            };
            profiles.insert(name, profile);
        }
        if let Some(name) = &raw.profile
            && name != DEMO_PROFILE
            && !profiles.contains_key(name)
        {
            return Err(format!("profile: there is no [profiles.{name}]"));
        }
        if let Some((list, word)) = raw.diff.useless() {
            return Err(format!(
                "diff.{list}: '{}' matches nothing; words are in lower case",
                Safe::from_untrusted(word)
            ));
        }
        let names_none = |command: &Vec<String>| command.first().is_none_or(String::is_empty);
        if raw.publish_command.as_ref().is_some_and(names_none) {
            return Err("publish_command: the first element is the program to run".to_owned());
        }
        let switch = |key: &str, text: Option<&str>, default: bool| match text {
            None => Ok(default),
            Some("on") => Ok(true),
            Some("off") => Ok(false),
            Some(other) => Err(format!("{key}: '{}' is neither on nor off", Safe::from_untrusted(other))),
        };
        Ok(Self {
            profile: raw.profile,
            window: span("window", raw.window)?.unwrap_or(defaults.window),
            timeout: span("timeout", raw.timeout)?.unwrap_or(defaults.timeout),
            cache_url: raw.cache_url,
            activity: switch("activity", raw.activity.as_deref(), defaults.activity)?,
            syslog: match raw.syslog.as_deref() {
                Some(path) if path.starts_with('/') => Syslog::At(path.into()),
                text => {
                    if switch("syslog", text, false)? {
                        Syslog::On
                    } else {
                        Syslog::Off
                    }
                }
            },
            mask: switch("mask", raw.mask.as_deref(), defaults.mask)?,
            publish_command: raw.publish_command,
            diff: raw.diff,
            profiles,
        })
    }

    /// The configuration in force as TOML, passwords replaced by dots.
    pub fn to_toml(&self) -> String {
        let shown = |url: &Secret| Secret::new(url.to_string());
        let switched = |on: bool| Some(if on { "on" } else { "off" }.to_owned());
        let raw = RawConfig {
            profile: self.profile.clone(),
            window: Some(self.window.to_string()),
            timeout: Some(self.timeout.to_string()),
            cache_url: self.cache_url.as_ref().map(shown),
            activity: switched(self.activity),
            syslog: match &self.syslog {
                Syslog::At(path) => Some(path.display().to_string()),
                other => switched(*other == Syslog::On),
            },
            mask: switched(self.mask),
            publish_command: self.publish_command.clone(),
            diff: self.diff.clone(),
            profiles: self
                .profiles
                .iter()
                .map(|(name, p)| {
                    let raw = RawProfile {
                        database_url: Some(shown(&p.database_url)),
                        writer_url: p.writer_url.as_ref().map(shown),
                        replica_url: p.replica_url.as_ref().map(shown),
                        password_command: p.password_command.clone(),
                        schema: p.schema.clone(),
                        table: p.naming.table.clone(),
                        zone: p.naming.zone.map(|zone| zone.name().to_owned()),
                        columns: p.naming.columns.clone(),
                        as_superuser: p.as_superuser,
                        organization: p.organization.as_ref().map(ToString::to_string),
                        window: p.window.map(|w| w.to_string()),
                        production: p.production,
                    };
                    (name.clone(), raw)
                })
                .collect(),
        };
        toml::to_string_pretty(&raw).unwrap_or_default()
    }
}

/// Where the user's configuration is looked for.
pub fn default_path() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "agenttrace").map(|d| d.config_dir().join("config.toml"))
}

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq)]
struct Problem {
    line: Option<usize>,
    text: String,
    hint: Option<String>,
}

impl Problem {
    fn new(text: String) -> Self {
        Self { line: None, text, hint: None }
    }

    fn from_toml(source: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map(|s| source[..s.start.min(source.len())].matches('\n').count() + 1);
        // serde's own sentence: unknown field `x`, expected one of `a`, `b`.
        let text = error.message().to_owned();
        let mut words = text.split('`').skip(1).step_by(2);
        let hint = text.starts_with("unknown field").then(|| words.next()).flatten().and_then(|unknown| {
            let nearest = nearest(unknown, words)?;
            Some(format!("did you mean '{nearest}'?"))
        });
        Self { line, text, hint }
    }

    fn in_file(self, path: &Path) -> Error {
        let place =
            self.line.map_or_else(|| path.display().to_string(), |n| format!("{}:{n}", path.display()));
        let error = Error::usage(format!("{place}: {}", self.text));
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_name() {
        let problem = Config::parse("window = \"7d\"\n[profiles.prod]\ndatabse_url = \"x\"\n").unwrap_err();
        assert_eq!(problem.line, Some(3));
        assert_eq!(problem.hint.as_deref(), Some("did you mean 'database_url'?"));
    }

    #[test]
    fn the_name_demo_is_taken() {
        let problem = Config::parse("[profiles.demo]\ndatabase_url = \"x\"\n").unwrap_err();
        assert!(problem.text.contains("profiles.demo"), "{problem:?}");
    }

    #[test]
    fn a_profile_that_is_not_there_is_no_default() {
        assert_eq!(
            Config::parse("profile = \"prod\"").unwrap_err().text,
            "profile: there is no [profiles.prod]"
        );
    }

    #[test]
    fn passwords_are_never_printed() {
        for url in [
            "postgres://u:s3cret@h/d",
            "postgres://u:s3cret@h:5432/d?password=s3cret&password=s3cret2",
            "postgres://u@h/d?sslmode=require&password=s3cret",
            "postgres://u@h/d?sslmode=require&PASSWORD=s3cret&sslpassword=s3cret2",
            "postgres://u@h/d?p%61ssword=s3cret",
            "host=h user=u password=s3cret",
            "host=h user=u password = s3cret",
            "host=h user=u password='a s3cret' dbname=d",
            "host=h user=u password='a \\' s3cret' dbname=d",
            "host=h user=u password='a s3cret",
            "host=h user=u passwd=s3cret",
            // Characters that should have been escaped.
            "postgres://u:x/s3cret@h/d",
            "postgres://u:x?s3cret@h/d",
            "postgres://u:x#s3cret@h/d",
            "postgres://u:x@s3cret@h/d",
        ] {
            let secret = Secret::new(url);
            assert!(secret.passwords().iter().any(|p| p.contains("s3cret")), "{url}");
            assert!(!format!("{secret} {secret:?}").contains("s3cret"), "{secret}");
        }
        for url in [
            "postgres://u@h:5432/d?host=%2Ftmp",
            "postgres://u@[::1]:5432/d",
            "postgres://h:5432/d?passfile=x",
        ] {
            assert_eq!(Secret::new(url).password(), None, "{url}");
            assert_eq!(Secret::new(url).to_string(), url);
        }
    }

    #[test]
    fn words_that_can_never_match_are_refused() {
        assert_eq!(
            Config::parse("[diff]\nsecret = [\"Token\"]").unwrap_err().text,
            "diff.secret: 'Token' matches nothing; words are in lower case"
        );
        let config = Config::parse("[diff]\nnoise = [\"updatedAt\", \"/a/*/b\"]").unwrap();
        assert_eq!(config.diff.noise.unwrap().len(), 2);
        let problem = Config::parse("[diff]\nsecrets = []").unwrap_err();
        assert_eq!(problem.hint.as_deref(), Some("did you mean 'secret'?"));
    }

    /// Every key of the example exists, and every key that exists is in the example.
    #[test]
    fn the_example_file_has_exactly_the_keys_of_the_code() {
        let example = include_str!("../../config.example.toml");
        let active: String = example
            .lines()
            .map(|l| {
                l.strip_prefix("#").filter(|l| l.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()))
            })
            .zip(example.lines())
            .map(|(uncommented, line)| uncommented.unwrap_or(line).to_owned() + "\n")
            .collect();
        Config::parse(&active).unwrap();
        let full = RawConfig {
            profile: Some(String::new()),
            window: Some(String::new()),
            timeout: Some(String::new()),
            cache_url: Some(Secret::new("")),
            activity: Some(String::new()),
            syslog: Some(String::new()),
            mask: Some(String::new()),
            publish_command: Some(vec![String::new()]),
            diff: DiffWords {
                privilege: Some(Vec::new()),
                secret: Some(Vec::new()),
                secret_attribute: Some(Vec::new()),
                secret_prefix: Some(Vec::new()),
                owner: Some(Vec::new()),
                network: Some(Vec::new()),
                open_to_all: Some(Vec::new()),
                noise: Some(Vec::new()),
            },
            profiles: [(
                "reporting".to_owned(),
                RawProfile {
                    database_url: Some(Secret::new("")),
                    writer_url: Some(Secret::new("")),
                    replica_url: Some(Secret::new("")),
                    password_command: Some(PasswordCommand::default()),
                    schema: Some(String::new()),
                    table: Some(String::new()),
                    zone: Some(String::new()),
                    columns: [("timestamp", "created_at"), ("actor_id", "user_name")]
                        .map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned()))
                        .into(),
                    as_superuser: true,
                    organization: Some(String::new()),
                    window: Some(String::new()),
                    production: true,
                },
            )]
            .into(),
        };
        fn keys(prefix: &str, table: &toml::Table, out: &mut Vec<String>) {
            for (k, v) in table {
                match v {
                    toml::Value::Table(t) => keys(&format!("{prefix}{k}."), t, out),
                    _ => out.push(format!("{prefix}{k}")),
                }
            }
        }
        let (mut wanted, mut documented) = (Vec::new(), Vec::new());
        keys("", &toml::Table::try_from(&full).unwrap(), &mut wanted);
        keys("", &active.parse().unwrap(), &mut documented);
        wanted.sort();
        documented.sort();
        assert_eq!(documented, wanted);
    }
}
