//! What every command starts from: configuration, target, organisation.

use super::{Global, Out, remote};
use crate::case;
use crate::case::activity::Step;
use crate::case::notebook::{self, CaseFile};
use crate::config::{self, Choice, Config, DiffWords, Flags, Place, Secret, Span, Syslog, Target};
use crate::diff::Rules;
use crate::domain::{OrgId, OrgScope, Safe, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::investigation::activity::{Activity, Answer, SystemLog, Via};
use crate::server::{self, PrivateServer, Purpose, ServerError};
use crate::store::aggregate::organizations;
use crate::store::cache::Cache;
use crate::store::listing::timeline;
use crate::store::private::databases;
use crate::store::query::Query;
use crate::store::{ReadDb, ReadSettings, Standing, StoreError, WriteDb, WriteSettings, schema};
use sqlx::postgres::PgConnectOptions;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Options, configuration and output of one run.
#[derive(Debug)]
pub struct Context {
    /// Global options.
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
            schema: self.global.schema.clone(),
            as_superuser: self.global.as_superuser,
        };
        config::choose(&self.config()?, &flags, |name| std::env::var(name).ok())
    }

    /// The file of the case that `--case` names, or the default one.
    ///
    /// # Errors
    /// Exit 2 for a name that no case can have.
    pub fn case_file(&self) -> Result<CaseFile> {
        let name = self.global.case.as_deref().unwrap_or(notebook::DEFAULT);
        CaseFile::named(&case::folder()?, name)
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

    /// Limits of readers of a target: `--timeout`, else the configuration's; and the schema of its table.
    ///
    /// # Errors
    /// When `--timeout` is not a duration.
    pub fn read_settings(&self, choice: &Choice) -> Result<ReadSettings> {
        let timeout = match &self.global.timeout {
            Some(text) => text.parse::<Span>().map_err(|e| Error::usage(format!("--timeout: {e}")))?,
            None => self.config()?.timeout,
        };
        Ok(ReadSettings {
            statement_timeout: timeout.as_duration(),
            cache: self.cache()?,
            schema: choice.schema.clone(),
            naming: choice.naming.clone(),
            // Nobody else has anything on the private server.
            as_superuser: choice.as_superuser || matches!(choice.place, Place::Private { .. }),
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
            Place::Remote { url, replica_url, .. } => {
                remote::target(self, choice, url, replica_url.as_ref()).await
            }
        }
    }

    /// Says that a password is about to be sent in plain text to what listens there; returns the words.
    pub(super) fn warn_of_plain_password(&self, options: &PgConnectOptions) -> String {
        let warning = format!(
            "what listens at {} has no TLS and asks for the password in plain text; it gets it. Is it PostgreSQL? Let it ask \
             for scram-sha-256, or refuse with sslmode=verify-full in the URL",
            Safe::from_untrusted(&config::listens_at(options))
        );
        // Also with --quiet: a warning that nobody can take back later.
        Out { quiet: false, ..self.out }.remark(format_args!("warning: {warning}"));
        warning
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
        let warnings: Vec<String> = server.outdated().into_iter().collect();
        for warning in &warnings {
            self.out.remark(format_args!("warning: {warning}"));
        }
        databases::ensure(&server.connect_options("postgres"), name).await?;
        let options = server.connect_options(name);
        let db = WriteDb::connect_with(options.clone(), WriteSettings::of_private_server()).await?;
        let migrated = schema::migrate(&db).await;
        db.close().await;
        match migrated {
            // Somebody has restored it there to look at it: it is read as it is.
            Ok(_) | Err(StoreError::ForeignTable) => {}
            Err(e) => return Err(e.into()),
        }
        let label = if name == config::PRIVATE_DATABASE { "demo".to_owned() } else { format!("demo/{name}") };
        Ok(Target {
            place: format!("profile {label}"),
            options,
            replica: None,
            connect_timeout: None,
            label,
            production: false,
            warnings,
            server: Some(Arc::new(server)),
        })
    }

    /// A reader on the target.
    ///
    /// # Errors
    /// Exit 2 when nothing names a target, exit 3 when it cannot be reached.
    pub async fn reader(&self) -> Result<Reader> {
        let choice = self.choice()?;
        let target = self.target(&choice).await?;
        let (primary, replica) = (target.options.clone(), target.replica.clone());
        let mut settings = self.read_settings(&choice)?;
        settings.connect_timeout = target.connect_timeout.unwrap_or(settings.connect_timeout);
        let db = match ReadDb::connect_near(primary, replica, settings).await {
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
        if target.server.is_none() {
            for remark in db.remarks(&CancellationToken::new()).await? {
                self.out.remark(Safe::from_untrusted(&remark));
            }
        }
        let activity = self.activity(Via::Cli, &target.place)?;
        Ok(Reader { db, choice, place: target.place.clone(), activity, _target: target })
    }

    /// The activity log for work on the database of this place, unless the configuration says that there is none.
    ///
    /// # Errors
    /// As [`Self::config`] and [`Self::case_file`].
    pub fn activity(&self, via: Via, place: &str) -> Result<Activity> {
        if !self.config()?.activity {
            return Ok(Activity::default());
        }
        let case = self.global.case.as_deref().unwrap_or(notebook::DEFAULT);
        let syslog = match &self.config()?.syslog {
            Syslog::Off => None,
            Syslog::On => Some(SystemLog::Usual),
            Syslog::At(path) => Some(SystemLog::At(path.clone())),
        };
        Ok(Activity::begin(via, place, case, syslog))
    }

    /// Records a step of a command in the activity log. A log that cannot be written is a remark.
    pub(super) fn record(
        &self,
        reader: &Reader,
        scope: &OrgScope,
        step: Step,
        answer: impl FnOnce() -> Answer,
    ) {
        reader.activity.record(scope.organization(), step, || Some(answer()));
        self.say_unrecorded(reader);
    }

    /// As [`Self::record`], of an answer that is made of all events of a query.
    pub(super) async fn record_aggregate(
        &self,
        reader: &Reader,
        (query, counted_at): (&Query, Option<Timestamp>),
        step: Step,
        answer: impl FnOnce() -> Answer,
        cancel: &CancellationToken,
    ) {
        let about = (&query.scope, query.range, counted_at);
        reader.activity.record_aggregate(&reader.db, about, step, answer, cancel).await;
        self.say_unrecorded(reader);
    }

    /// Says why a step is not in the activity log, if one is not.
    pub(super) fn say_unrecorded(&self, reader: &Reader) {
        if let Some(why) = reader.activity.take_trouble() {
            self.out.remark(format_args!("activity log: {}", Safe::from_untrusted(&why)));
        }
    }

    /// A writer on the target (`writer_url` where the profile has one), which is named on stderr first.
    ///
    /// # Errors
    /// As [`Self::reader`].
    pub async fn writer(&self) -> Result<(WriteDb, Target)> {
        let choice = self.choice()?;
        let target = match &choice.place {
            Place::Private { database } => self.private_target(database).await?,
            Place::Remote { writer_url, .. } => remote::target(self, &choice, writer_url, None).await?,
        };
        let production = if target.production { ", PRODUCTION" } else { "" };
        let place = config::called(&target.options);
        self.out.remark(format_args!(
            "writing to {} ({}{production})",
            Safe::from_untrusted(&place),
            choice.label
        ));
        let settings = WriteSettings {
            schema: choice.schema.clone(),
            // Nobody else has anything on the private server.
            as_superuser: choice.as_superuser || target.server.is_some(),
        };
        let db = WriteDb::connect_with(target.options.clone(), settings).await?;
        if target.server.is_none() {
            for remark in db.remarks() {
                self.out.remark(Safe::from_untrusted(&remark));
            }
        }
        Ok((db, target))
    }

    /// The organisation: `--org`, else the profile's, else the only one there is.
    ///
    /// # Errors
    /// Exit 2 with the list when there are several, exit 4 when there is none.
    pub async fn scope(&self, reader: &Reader) -> Result<OrgScope> {
        if let Some(id) = self.named_organization(&reader.choice)? {
            return Ok(OrgScope::enter(id));
        }
        let cancel = CancellationToken::new();
        let found = organizations::list(&reader.db, &cancel).await?;
        only(&reader.db, found.into_iter().map(|organization| organization.id).collect(), &cancel).await
    }
}

/// The only one of these organisations.
///
/// # Errors
/// Exit 2 with the list when there are several, exit 4 when there is none; events that belong to none are not denied.
pub(super) async fn only(db: &ReadDb, mut found: Vec<OrgId>, cancel: &CancellationToken) -> Result<OrgScope> {
    match found.len() {
        0 => Err(match organizations::unnamed(db, cancel).await? {
            0 => Error::new(Kind::Incomplete, "this database holds no events yet")
                .hint("agenttrace ingest FILE loads some; agenttrace demo makes a trail to look at"),
            unnamed => Error::new(Kind::Incomplete, organizations::unnamed_in_words(unnamed)),
        }),
        1 => Ok(OrgScope::enter(found.remove(0))),
        n => Err(Error::usage(format!("there are {n} organisations; say which one with --org ID"))
            .hint(in_a_hint(&found))),
    }
}

/// What a command says that found nothing, where the organisation has no event at all: nothing where it has some.
///
/// # Errors
/// Exit 4 for an organisation without events, exit 3 when the database cannot be read.
pub(super) async fn demand_events(db: &ReadDb, scope: &OrgScope, cancel: &CancellationToken) -> Result<()> {
    match timeline::newest(db, scope, None, cancel).await? {
        Some(_) => Ok(()),
        None => Err(no_such_organization(db, scope, cancel).await?),
    }
}

/// What to say of an organisation without a single event: most likely its name is misspelt. Where row-level security
/// decides what the role sees, the database may well have events of it.
pub(super) async fn no_such_organization(
    db: &ReadDb,
    scope: &OrgScope,
    cancel: &CancellationToken,
) -> Result<Error> {
    let found = organizations::list(db, cancel).await?;
    let found: Vec<OrgId> = found.into_iter().map(|organization| organization.id).collect();
    let organization = Safe::from_untrusted(scope.organization().as_str());
    let message = if db.capabilities(cancel).await?.row_security {
        format!("row-level security shows this role no events of '{organization}'")
    } else {
        format!("this database has no events of '{organization}'")
    };
    let error = Error::new(Kind::Incomplete, message);
    Ok(if found.is_empty() { error } else { error.hint(in_a_hint(&found)) })
}

fn in_a_hint(organizations: &[OrgId]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> =
        organizations.iter().take(SHOWN).map(|o| Safe::from_untrusted(o.as_str()).to_string()).collect();
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
    /// How the database was named, as verified heads are remembered.
    pub place: String,
    /// Where steps are recorded.
    pub activity: Activity,
    _target: Target,
}

/// Runs blocking work away from the runtime's own threads.
#[expect(clippy::disallowed_methods, reason = "the one place of the command line")]
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::could_not_run("a background task failed").because(e))
}

pub(super) fn server_error(e: ServerError) -> Error {
    let hints = e.hints.clone();
    hints.into_iter().fold(Error::could_not_run(e.to_string()), Error::hint)
}
