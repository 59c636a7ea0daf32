//! What every command starts from: configuration, target, organisation.

use super::{Global, Out};
use crate::config::{self, Choice, Config, DiffWords, Flags, Place, Secret, Span, Target};
use crate::diff::Rules;
use crate::domain::{OrgId, OrgScope, Safe};
use crate::error::{Error, Kind, Result};
use crate::server::{self, PrivateServer, Purpose, ServerError};
use crate::store::cache::Cache;
use crate::store::organizations::{self, Organization};
use crate::store::{ReadDb, ReadSettings, Standing, StoreError, WriteDb, databases, schema};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Options, configuration and output of one run.
#[derive(Debug)]
pub struct Context {
    /// Options of every command.
    pub global: Global,
    /// Where results and remarks go.
    pub out: Out,
}

impl Context {
    /// The configuration in force.
    ///
    /// # Errors
    /// When the file is wrong or cannot be read.
    pub fn config(&self) -> Result<Config> {
        Config::load(self.global.config.as_deref())
    }

    /// The target by flags, environment and configuration, not yet reached.
    ///
    /// # Errors
    /// As [`config::choose`].
    pub fn choice(&self) -> Result<Choice> {
        let flags = Flags {
            database_url: self.global.database_url.clone(),
            replica_url: self.global.replica_url.clone(),
            profile: self.global.profile.clone(),
            database: self.global.database.clone(),
        };
        config::choose(&self.config()?, &flags, |name| std::env::var(name).ok())
    }

    /// How states are judged: the built-in words, and what the configuration says instead.
    ///
    /// # Errors
    /// As [`Self::config`].
    pub fn rules(&self) -> Result<Rules> {
        let DiffWords {
            privilege,
            secret,
            secret_attribute,
            secret_prefix,
            owner,
            network,
            open_to_all,
            noise,
        } = self.config()?.diff;
        let mut rules = Rules::default();
        for (list, given) in [
            (&mut rules.privilege, privilege),
            (&mut rules.secret, secret),
            (&mut rules.secret_attribute, secret_attribute),
            (&mut rules.secret_prefix, secret_prefix),
            (&mut rules.owner, owner),
            (&mut rules.network, network),
            (&mut rules.open_to_all, open_to_all),
            (&mut rules.noise, noise),
        ] {
            if let Some(words) = given {
                *list = words;
            }
        }
        Ok(rules)
    }

    /// Limits of readers: `--timeout`, else the configuration's.
    ///
    /// # Errors
    /// When `--timeout` is no length of time.
    pub fn read_settings(&self) -> Result<ReadSettings> {
        let timeout = match &self.global.timeout {
            Some(text) => text.parse::<Span>().map_err(|e| Error::usage(format!("--timeout: {e}")))?,
            None => self.config()?.timeout,
        };
        Ok(ReadSettings {
            statement_timeout: timeout.as_duration(),
            cache: self.cache()?,
            ..ReadSettings::default()
        })
    }

    /// Where answers are kept: on the Redis server that the environment or the configuration names, else in the process.
    fn cache(&self) -> Result<Cache> {
        const VARIABLE: &str = "AGENTTRACE_CACHE_URL";
        let (name, url) = match std::env::var(VARIABLE).ok().filter(|url| !url.is_empty()) {
            Some(url) => (VARIABLE, Secret::new(url)),
            None => match self.config()?.cache_url {
                Some(url) => ("cache_url", url),
                None => return Ok(Cache::default()),
            },
        };
        Cache::shared(url.expose()).map_err(|e| Error::usage(format!("{name}: {e}")))
    }

    /// The organisation that `--org` or the profile names.
    ///
    /// # Errors
    /// When `--org` cannot be one.
    pub fn named_organization(&self, choice: &Choice) -> Result<Option<OrgId>> {
        match &self.global.org {
            Some(id) => Ok(Some(OrgId::new(id).map_err(|e| Error::usage(format!("--org: {e}")))?)),
            None => Ok(choice.organization.clone()),
        }
    }

    /// Reaches the chosen target for reading; starts the private server when the target is on it. The target must
    /// live as long as what connects to it: it keeps that server running.
    ///
    /// # Errors
    /// Exit 3 when it cannot be reached.
    pub async fn target(&self, choice: &Choice) -> Result<Target> {
        match &choice.place {
            Place::Private { database } => self.private_target(database).await,
            Place::Remote { url, replica_url, .. } => remote_target(choice, url, replica_url.as_ref()),
        }
    }

    /// The database `name` on the private server, made and migrated on demand. Reads no environment variable that
    /// names another server.
    ///
    /// # Errors
    /// Exit 3 when the server or the database cannot be had.
    pub async fn private_target(&self, name: &str) -> Result<Target> {
        let folder = server::default_folder().map_err(server_error)?;
        let options = server::Options { folder, purpose: Purpose::Keep };
        let server = blocking(move || PrivateServer::attach(&options)).await?.map_err(server_error)?;
        databases::ensure(&server.connect_options("postgres"), name).await?;
        let options = server.connect_options(name);
        let db = WriteDb::connect(options.clone()).await?;
        let migrated = schema::migrate(&db).await;
        db.close().await;
        match migrated {
            // Somebody has restored it there to look at it: it is read as it is.
            Ok(_) | Err(StoreError::ForeignTable) => {}
            Err(e) => return Err(e.into()),
        }
        let label = if name == config::PRIVATE_DATABASE { "demo".to_owned() } else { format!("demo/{name}") };
        Ok(Target { options, replica: None, label, production: false, server: Some(Arc::new(server)) })
    }

    /// A reader on the target.
    ///
    /// # Errors
    /// Exit 2 when nothing names a target, exit 3 when it cannot be reached.
    pub async fn reader(&self) -> Result<Reader> {
        let choice = self.choice()?;
        let target = self.target(&choice).await?;
        let (primary, replica) = (target.options.clone(), target.replica.clone());
        let db = match ReadDb::connect_near(primary, replica, self.read_settings()?).await {
            Err(e @ StoreError::Connection(_)) => {
                let place = config::called(&target.options);
                return Err(Error::from(e).hint(format!("that was {place} ({})", choice.label)));
            }
            db => db?,
        };
        if let Some(trouble) = db.replica_trouble() {
            let trouble = Safe::from_untrusted(trouble);
            self.out.remark(format_args!("the replica is away ({trouble}): reading from the primary"));
        } else if target.replica.is_some() {
            let facts = db.facts().await?;
            if matches!(facts.standing, Standing::Replica(lag) if !lag.is_caught_up()) {
                self.out.remark(format_args!(
                    "reading from a {}: newer events may be missing here",
                    facts.standing
                ));
            }
        }
        Ok(Reader { db, choice, _target: target })
    }

    /// A writer on the target (`writer_url` where the profile has one), which is named on stderr first.
    ///
    /// # Errors
    /// As [`Self::reader`].
    pub async fn writer(&self) -> Result<(WriteDb, Target)> {
        let choice = self.choice()?;
        let target = match &choice.place {
            Place::Private { database } => self.private_target(database).await?,
            Place::Remote { writer_url, .. } => remote_target(&choice, writer_url, None)?,
        };
        let production = if target.production { ", PRODUCTION" } else { "" };
        let place = config::called(&target.options);
        self.out.remark(format_args!(
            "writing to {} ({}{production})",
            Safe::from_untrusted(&place),
            choice.label
        ));
        Ok((WriteDb::connect(target.options.clone()).await?, target))
    }

    /// The organisation: `--org`, else the profile's, else the only one there is.
    ///
    /// # Errors
    /// Exit 2 with the list when there are several, exit 4 when there is none.
    pub async fn scope(&self, reader: &Reader) -> Result<OrgScope> {
        if let Some(id) = self.named_organization(&reader.choice)? {
            return Ok(OrgScope::enter(id));
        }
        let mut found = organizations::list(&reader.db, &CancellationToken::new()).await?;
        match found.len() {
            0 => Err(Error::new(Kind::Incomplete, "this database holds no events yet")
                .hint("agenttrace ingest FILE loads some; agenttrace demo makes a trail to look at")),
            1 => Ok(OrgScope::enter(found.remove(0).id)),
            n => Err(Error::usage(format!("there are {n} organisations; say which one with --org ID"))
                .hint(in_a_hint(&found))),
        }
    }
}

/// What to say of an organisation without a single event: most likely its name is misspelt.
pub(super) async fn no_such_organization(
    db: &ReadDb,
    scope: &OrgScope,
    cancel: &CancellationToken,
) -> Result<Error> {
    let found = organizations::list(db, cancel).await?;
    let organization = Safe::from_untrusted(scope.organization().as_str());
    let error = Error::new(Kind::Incomplete, format!("this database has no events of '{organization}'"));
    Ok(if found.is_empty() { error } else { error.hint(in_a_hint(&found)) })
}

fn in_a_hint(organizations: &[Organization]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> =
        organizations.iter().take(SHOWN).map(|o| Safe::from_untrusted(o.id.as_str()).to_string()).collect();
    let more = organizations.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("organisations: {}{more}", shown.join(", "))
}

/// A connected reader; while it lives, so does the private server under it.
#[derive(Debug)]
pub struct Reader {
    /// The database.
    pub db: ReadDb,
    /// How the target was chosen: default window, profile.
    pub choice: Choice,
    _target: Target,
}

fn remote_target(choice: &Choice, url: &Secret, replica_url: Option<&Secret>) -> Result<Target> {
    let ssl_mode = std::env::var("PGSSLMODE").ok();
    let connect_options = |url: &Secret, what: &str| {
        config::connect_options(url, ssl_mode.as_deref()).map_err(|e| {
            Error::usage(format!("{}: this is no PostgreSQL URL{what}: {e}", choice.label))
                .hint("the form is postgres://USER@HOST:PORT/DATABASE; other characters in a part as %XX")
        })
    };
    let options = connect_options(url, "")?;
    let replica = replica_url.map(|url| connect_options(url, " of a replica")).transpose()?;
    let label = if choice.is_profile { choice.label.clone() } else { config::listens_at(&options) };
    Ok(Target { options, replica, label, production: choice.production, server: None })
}

/// Runs blocking work away from the runtime's own threads.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::could_not_run("a background task failed").because(e))
}

pub(super) fn server_error(e: ServerError) -> Error {
    let hints = e.hints.clone();
    hints.into_iter().fold(Error::could_not_run(e.to_string()), Error::hint)
}

impl From<StoreError> for Error {
    fn from(e: StoreError) -> Self {
        let kind = match e {
            StoreError::Cursor(_) | StoreError::Regex(_) => Kind::Usage,
            StoreError::Cancelled => Kind::Interrupted,
            StoreError::ReplicaBehind(_) => Kind::Incomplete,
            _ => Kind::CouldNotRun,
        };
        let error = Self::new(kind, e.to_string());
        match e {
            StoreError::NoTable => error
                .hint("agenttrace db migrate makes it, in a database of ours")
                .hint("is this the right database? The table must be in the search_path of the role"),
            StoreError::ReplicaConflict => error.hint("try again, or ask the primary").hint(
                "on the replica, max_standby_streaming_delay or hot_standby_feedback give queries longer",
            ),
            StoreError::ReplicaBehind(_) => {
                error.hint("ask the primary: without --replica-url, or without replica_url in the profile")
            }
            StoreError::NothingGranted => {
                error.hint("an administrator grants organisations: agenttrace db grant ROLE ORGANISATION")
            }
            StoreError::Regex(_) => error.hint("it is PostgreSQL's notation: \\( is a parenthesis itself"),
            StoreError::NotEncrypted => error
                .hint("switch TLS on there (ssl = on)")
                .hint("or, where the network on the way is trusted, add ?sslmode=disable to the URL"),
            StoreError::Certificate(_) => error
                .hint("name the authority that signed it: sslrootcert=FILE in the URL, or PGSSLROOTCERT")
                .hint("the host in the URL has to be one of the names in the certificate"),
            e if e.is_of_a_value_too_large() => error
                .hint("a state of an event is more than the server can print, such as numbers with huge exponents")
                .hint("agenttrace verify names the event; events, and show of that one, do without its states"),
            StoreError::TimedOut { .. } => {
                error.hint("narrow the time with since: and until:, or give it longer with --timeout 2m")
            }
            _ => error,
        }
    }
}
