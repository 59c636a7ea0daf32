//! Which database a run works on. Safety first: a flag outranks every environment variable, and the private server is
//! never confused with anybody else's.

use super::connect::NAMING_VARIABLES;
use super::{Config, PasswordCommand, Secret, Span};
use crate::domain::Safe;
use crate::domain::{Naming, OrgId};
use crate::error::{Error, Result};
use crate::server::PrivateServer;
use sqlx::postgres::PgConnectOptions;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Name of the profile that means the private server.
pub const DEMO_PROFILE: &str = "demo";
/// The database on the private server that `demo` fills.
pub const PRIVATE_DATABASE: &str = "agenttrace";

/// A database to work on, and where its name came from.
#[derive(Clone)]
pub struct Target {
    /// How to connect.
    pub options: PgConnectOptions,
    /// Where readers connect if it answers.
    pub replica: Option<PgConnectOptions>,
    /// The longest time that connecting may take, where the connection string says so.
    pub connect_timeout: Option<Duration>,
    /// What people call it, such as `demo`, `prod` or `db.example.com:5432`; no password in it.
    pub label: String,
    /// How the database was named, as verified heads are remembered: the profile, or host, port and database.
    pub place: String,
    /// Marked as production in the profile.
    pub production: bool,
    /// What a person should know of the way there, such as that a password goes in plain text; it was said on stderr.
    pub warnings: Vec<String>,
    /// The private server it lives on; holding it keeps the server running.
    pub server: Option<Arc<PrivateServer>>,
}

/// Where the server listens: host and port, or the folder of its socket.
pub fn listens_at(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None if options.get_host().contains(':') => {
            format!("[{}]:{}", options.get_host(), options.get_port())
        }
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

/// `db.example.com:5432/audit`: the place of a database that no profile names.
pub fn place_of(options: &PgConnectOptions) -> String {
    format!("{}/{}", listens_at(options), options.get_database().unwrap_or_else(|| options.get_username()))
}

/// `database 'audit' on db.example.com:5432 as 'ann'`; never with a password.
pub fn called(options: &PgConnectOptions) -> String {
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    format!("database '{database}' on {} as '{user}'", listens_at(options))
}

impl fmt::Debug for Target {
    /// Without the options: their own form shows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("label", &self.label)
            .field("production", &self.production)
            .finish_non_exhaustive()
    }
}

/// The flags that name a target.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--database-url`
    pub database_url: Option<String>,
    /// `--replica-url`
    pub replica_url: Option<String>,
    /// `--profile`
    pub profile: Option<String>,
    /// `--database`
    pub database: Option<String>,
    /// `--schema`
    pub schema: Option<String>,
    /// `--as-superuser`
    pub as_superuser: bool,
}

/// Where the database is.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// On the private server, under this name.
    Private {
        /// Name of the database.
        database: String,
    },
    /// Elsewhere.
    Remote {
        /// For readers.
        url: Secret,
        /// For writers.
        writer_url: Secret,
        /// For readers, as long as it answers.
        replica_url: Option<Secret>,
    },
}

/// A target that has been chosen but not yet reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Where it is.
    pub place: Place,
    /// The profile, flag or variable that names it.
    pub label: String,
    /// It is a profile, whose name says more than that of a server.
    pub is_profile: bool,
    /// The schema of the table, where it is named.
    pub schema: Option<String>,
    /// How the profile calls the table and its columns.
    pub naming: Naming,
    /// A superuser reads although code of another role runs with his rights.
    pub as_superuser: bool,
    /// The profile's organisation.
    pub organization: Option<OrgId>,
    /// The profile's program that prints passwords.
    pub password_command: Option<PasswordCommand>,
    /// The default time window in force.
    pub window: Span,
    /// The profile says that it is production.
    pub production: bool,
}

/// Chooses the target: `--database-url` or `--profile`, then `AGENTTRACE_DATABASE_URL`, then `DATABASE_URL`, then the
/// profile that the configuration names, then `PGSERVICE`, `PGHOST`, `PGHOSTADDR` or `PGDATABASE`, which are often set
/// for other programs.
///
/// # Errors
/// Exit 2 when flags contradict each other, a profile is unknown, a flag carries a password, or nothing names a target.
pub fn choose(config: &Config, flags: &Flags, env: impl Fn(&str) -> Option<String>) -> Result<Choice> {
    if flags.database_url.is_some() && flags.profile.is_some() {
        return Err(Error::usage("--database-url and --profile name two targets; give one of them"));
    }
    for (flag, url) in [("--database-url", &flags.database_url), ("--replica-url", &flags.replica_url)] {
        if url.as_ref().is_some_and(|url| Secret::new(url).password().is_some()) {
            return Err(Error::usage(format!(
                "{flag} carries a password, which every user of this machine can see"
            ))
            .hint(
                "put it into ~/.pgpass or PGPASSWORD, or the URL into AGENTTRACE_DATABASE_URL or the configuration",
            ));
        }
    }
    let on_flags = if let Some(url) = &flags.database_url {
        Some(remote(config, Secret::new(url), "--database-url"))
    } else {
        flags.profile.as_deref().map(|name| profile(config, flags, name)).transpose()?
    };
    let from_env =
        |name: &str| env(name).filter(|v| !v.is_empty()).map(|v| remote(config, Secret::new(v), name));
    let choice =
        on_flags.or_else(|| from_env("AGENTTRACE_DATABASE_URL")).or_else(|| from_env("DATABASE_URL"));
    let mut choice = match (choice, &config.profile) {
        (Some(choice), _) => choice,
        (None, Some(name)) => profile(config, flags, name)?,
        // Only the private server has databases that go by a name alone.
        (None, None) if flags.database.is_some() => profile(config, flags, DEMO_PROFILE)?,
        (None, None) => {
            let named = NAMING_VARIABLES.into_iter().find(|name| env(name).is_some_and(|v| !v.is_empty()));
            remote(config, Secret::new("postgres://"), named.ok_or_else(nothing_configured)?)
        }
    };
    if flags.database.is_some() && !matches!(choice.place, Place::Private { .. }) {
        return Err(Error::usage(
            "--database names a database on the private server; it goes with --profile demo",
        )
        .hint("on another server the database is part of the URL"));
    }
    if let Some(url) = &flags.replica_url {
        let Place::Remote { replica_url, .. } = &mut choice.place else {
            return Err(Error::usage("--replica-url: the private server has no replica"));
        };
        *replica_url = Some(Secret::new(url));
    }
    if flags.schema.is_some() {
        choice.schema.clone_from(&flags.schema);
    }
    choice.as_superuser |= flags.as_superuser;
    Ok(choice)
}

fn remote(config: &Config, url: Secret, label: &str) -> Choice {
    Choice {
        place: Place::Remote { writer_url: url.clone(), url, replica_url: None },
        label: label.to_owned(),
        is_profile: false,
        schema: None,
        naming: Naming::default(),
        as_superuser: false,
        organization: None,
        password_command: None,
        window: config.window,
        production: false,
    }
}

fn profile(config: &Config, flags: &Flags, name: &str) -> Result<Choice> {
    if name == DEMO_PROFILE {
        let database = flags.database.clone().unwrap_or_else(|| PRIVATE_DATABASE.to_owned());
        return Ok(Choice {
            place: Place::Private { database },
            label: name.to_owned(),
            is_profile: true,
            schema: None,
            naming: Naming::default(),
            as_superuser: false,
            organization: None,
            password_command: None,
            window: config.window,
            production: false,
        });
    }
    let Some(p) = config.profiles.get(name) else {
        let names: Vec<&str> =
            config.profiles.keys().map(String::as_str).chain(std::iter::once(DEMO_PROFILE)).collect();
        return Err(Error::usage(format!("there is no profile '{}'", Safe::from_untrusted(name)))
            .hint(format!("profiles: {}", names.join(", "))));
    };
    Ok(Choice {
        place: Place::Remote {
            url: p.database_url.clone(),
            writer_url: p.writer_url.clone().unwrap_or_else(|| p.database_url.clone()),
            replica_url: p.replica_url.clone(),
        },
        label: name.to_owned(),
        is_profile: true,
        schema: p.schema.clone(),
        naming: p.naming.clone(),
        as_superuser: p.as_superuser,
        organization: p.organization.clone(),
        password_command: p.password_command.clone(),
        window: p.window.unwrap_or(config.window),
        production: p.production,
    })
}

fn nothing_configured() -> Error {
    Error::usage("no database is named yet")
        .hint(
            "agenttrace demo                        a private PostgreSQL with a realistic trail: look around",
        )
        .hint(
            "agenttrace --database-url URL          your own, such as postgres://analyst@db.example.com/audit; \
             PGSERVICE and PGHOST work, too",
        )
        .hint(
            "agenttrace --database NAME ingest FILE load a log file into the private server, then look at it",
        )
        .hint("agenttrace config path                 where a configuration with profiles would be")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_env(name: &'static str, value: &'static str) -> impl Fn(&str) -> Option<String> {
        move |n| (n == name).then(|| value.to_owned())
    }

    fn both(name: &str) -> Option<String> {
        match name {
            "AGENTTRACE_DATABASE_URL" => Some("postgres://ours/a".to_owned()),
            "DATABASE_URL" => Some("postgres://theirs/a".to_owned()),
            _ => None,
        }
    }

    fn url_of(choice: &Choice) -> &str {
        match &choice.place {
            Place::Remote { url, .. } => url.expose(),
            Place::Private { .. } => "private",
        }
    }

    #[test]
    fn flags_outrank_the_environment_and_ours_outranks_theirs() {
        let config = Config::default();
        let choice = choose(&config, &Flags::default(), both).unwrap();
        assert_eq!(url_of(&choice), "postgres://ours/a");
        let flags = Flags { profile: Some("demo".into()), ..Flags::default() };
        assert_eq!(url_of(&choose(&config, &flags, both).unwrap()), "private");
        let flags = Flags { database_url: Some("postgres://flag/a".into()), ..Flags::default() };
        assert_eq!(url_of(&choose(&config, &flags, both).unwrap()), "postgres://flag/a");
    }

    #[test]
    fn an_empty_variable_names_nothing() {
        let error = choose(&Config::default(), &Flags::default(), with_env("DATABASE_URL", "")).unwrap_err();
        assert!(error.hints().iter().any(|h| h.contains("agenttrace demo")));
    }

    #[test]
    fn variables_of_other_programs_come_last() {
        let of = |config: &Config, name| choose(config, &Flags::default(), with_env(name, "x"));
        for name in NAMING_VARIABLES {
            let choice = of(&Config::default(), name).unwrap();
            assert_eq!((url_of(&choice), choice.label.as_str()), ("postgres://", name));
        }
        let config = Config { profile: Some("demo".into()), ..Config::default() };
        assert_eq!(url_of(&of(&config, "PGHOST").unwrap()), "private");
        // It names no database.
        assert!(of(&Config::default(), "PGUSER").is_err());
    }

    #[test]
    fn a_password_on_the_command_line_is_refused() {
        let flags = Flags { database_url: Some("postgres://u:secret@h/d".into()), ..Flags::default() };
        let error = choose(&Config::default(), &flags, |_| None).unwrap_err();
        assert_eq!(error.kind().exit_code(), 2);
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn a_replica_goes_with_a_server_elsewhere_and_without_a_password() {
        let flags = Flags { replica_url: Some("postgres://near/a".into()), ..Flags::default() };
        let place = choose(&Config::default(), &flags, both).unwrap().place;
        let wanted = Some(Secret::new("postgres://near/a"));
        assert!(matches!(place, Place::Remote { replica_url, .. } if replica_url == wanted));
        let flags = Flags { profile: Some("demo".into()), ..flags };
        assert!(choose(&Config::default(), &flags, both).is_err());
        let flags = Flags { replica_url: Some("postgres://u:secret@near/a".into()), ..Flags::default() };
        let error = choose(&Config::default(), &flags, both).unwrap_err();
        assert!(!error.to_string().contains("secret") && error.to_string().contains("--replica-url"));
    }

    #[test]
    fn another_database_is_for_the_private_server_only() {
        let flags = Flags { database: Some("case7".into()), ..Flags::default() };
        assert!(choose(&Config::default(), &flags, both).is_err());
        let private = Place::Private { database: "case7".into() };
        assert_eq!(choose(&Config::default(), &flags, |_| None).unwrap().place, private);
        let flags = Flags { profile: Some("demo".into()), ..flags };
        assert_eq!(choose(&Config::default(), &flags, both).unwrap().place, private);
    }
}
