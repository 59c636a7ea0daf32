//! `agenttrace demo`

use super::context::blocking;
use super::{Context, binaries};
use crate::case::{self, heads};
use crate::config::{self, DEMO_PROFILE, Flags, PRIVATE_DATABASE, Target};
use crate::demo::{self, Settings, Trail};
use crate::domain::{NewEvent, OrgId, OrgScope, Safe, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::store::aggregate::organizations;
use crate::store::private::demo_trail::{self, Begun, Turn};
use crate::store::private::tamper::{self, Attack, Tamper};
use crate::store::writer::{BulkWriter, Fate, WriteError};
use crate::store::{ReadDb, WriteDb, WriteSettings};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Events of a trail, unless `--events` says otherwise.
const EVENTS: u64 = 100_000;
/// Seed of a trail, unless `--seed` says otherwise.
const SEED: u64 = 1;
/// Events that go to the writer at once.
const BATCH: usize = 5_000;
/// Batches that may wait for the writer, before the generator waits.
const WAITING: usize = 2;

/// Arguments of `demo`.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// How many events to generate, at least 2000 [default: 100000]
    #[arg(long, value_name = "N")]
    pub events: Option<u64>,
    /// Seed of the generator; the same seed, end and number make the same trail [default: 1]
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// End of the trail, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Then tamper with the trail, to rehearse what verify says of it [organisation: --org, else acme]
    #[arg(long, value_name = "KIND", long_help = tampering())]
    pub tamper: Option<Tamper>,
    /// Drop what is there and build it anew
    #[arg(long)]
    pub fresh: bool,
    /// Answer yes to questions
    #[arg(long)]
    pub yes: bool,
    /// Prepare and print how to connect, without opening the console
    #[arg(long)]
    pub no_console: bool,
    /// Fetch pinned PostgreSQL binaries without asking when none are installed
    #[arg(long, conflicts_with = "no_fetch")]
    pub fetch_postgres: bool,
    /// Never fetch PostgreSQL binaries
    #[arg(long, env = "AGENTTRACE_NO_FETCH", value_parser = clap::builder::FalseyValueParser::new())]
    pub no_fetch: bool,
}

/// Runs it.
pub(super) async fn run(context: &Context, args: DemoArgs) -> Result<()> {
    let global = &context.global;
    if global.database_url.is_some() || global.profile.as_ref().is_some_and(|p| p != DEMO_PROFILE) {
        return Err(Error::usage("demo works on its own private server, not on --database-url or --profile")
            .hint("agenttrace --database-url URL, without demo, opens the console there"));
    }
    let until = args.until.as_deref().map(Timestamp::parse).transpose();
    let until = until.map_err(|e| Error::usage(format!("--until: {e}")))?;
    let asked = Asked { events: args.events, seed: args.seed, until };
    // Wrong settings are told before anything is started.
    asked.settings()?;
    let keymap = super::console::keymap(global.config.as_deref())?;
    // Held until the target holds it.
    let server = if args.no_fetch {
        None
    } else {
        Some(binaries::private_server(context, args.fetch_postgres || args.yes).await?)
    };
    let database = global.database.as_deref().unwrap_or(PRIVATE_DATABASE);
    let target = prepare(context, &args, asked, database).await?;
    drop(server);
    let terminal = context.out.stdout_is_terminal && io::stdin().is_terminal();
    if args.no_console || !terminal {
        return print_how_to_connect(context, &target, database);
    }
    // As `--profile demo` would, and blind to the variables that name other servers.
    let flags = Flags {
        profile: Some(DEMO_PROFILE.to_owned()),
        database: global.database.clone(),
        ..Flags::default()
    };
    let choice = config::choose(&context.config()?, &flags, |_| None)?;
    let organization = match context.named_organization(&choice)? {
        Some(organization) => Some(organization),
        None => Some(OrgId::new(demo::PLANTED_IN).map_err(|e| Error::could_not_run(e.to_string()))?),
    };
    super::console::open(context, target, organization, &choice, keymap).await
}

/// What `--no-console` ends with.
fn print_how_to_connect(context: &Context, target: &Target, database: &str) -> Result<()> {
    let program = if database == PRIVATE_DATABASE {
        "agenttrace --profile demo".to_owned()
    } else {
        format!("agenttrace --profile demo --database {database}")
    };
    let options = &target.options;
    let socket = options.get_socket().map(|folder| folder.display().to_string()).unwrap_or_default();
    let user = options.get_username();
    let mut to = context.out.results();
    writeln!(to, "The demo is ready.")?;
    writeln!(to, "  console  {program}")?;
    writeln!(to, "  events   {program} events --org {} 'ip:203.0.113.0/24'", demo::PLANTED_IN)?;
    writeln!(to, "  psql     psql -h '{}' -U {user} {database}", Safe::from_untrusted(&socket))?;
    // Nothing is left running behind the user's back.
    writeln!(to, "The private server runs while an agenttrace program uses it; psql needs one beside it.")?;
    Ok(to.flush()?)
}

/// What the command line says about the trail.
#[derive(Debug, Clone, Copy)]
struct Asked {
    events: Option<u64>,
    seed: Option<u64>,
    until: Option<Timestamp>,
}

impl Asked {
    /// The settings of a new trail.
    fn settings(self) -> Result<Settings> {
        let until = self.until.unwrap_or_else(|| Timestamp::from(chrono::Utc::now()));
        let (seed, events) = (self.seed.unwrap_or(SEED), self.events.unwrap_or(EVENTS));
        Settings::new(seed, until, events).map_err(|e| Error::usage(e.to_string()))
    }

    /// Whether a trail that is there is another one than was asked for.
    fn contradicts(self, begun: &Begun) -> bool {
        self.events.is_some_and(|n| n != begun.events)
            || self.seed.is_some_and(|s| s != begun.seed)
            || self.until.is_some_and(|u| u != begun.until)
    }
}

/// Brings the demo database to a whole trail. The target keeps the private server running.
async fn prepare(context: &Context, args: &DemoArgs, asked: Asked, database: &str) -> Result<Target> {
    let target = context.private_target(database).await?;
    let maintenance = target.options.clone().database("postgres");
    let waiting = || context.out.remark("waiting for another program that is preparing the demo");
    let mut turn = Turn::take(&maintenance, database, waiting).await?;
    let target = if args.fresh {
        confirm(context, args, &target, database).await?;
        turn.drop_database().await?;
        let now = Timestamp::from(chrono::Utc::now());
        let forgotten =
            case::folder().and_then(|folder| heads::forget(&folder, &target.place, now, "demo --fresh"));
        if let Err(error) = forgotten {
            context.out.remark(format_args!(
                "verified heads of the demo that was dropped are still compared: {error}"
            ));
        }
        // The first target still holds the server.
        context.private_target(database).await?
    } else {
        target
    };
    let db = WriteDb::connect_with(target.options.clone(), WriteSettings::of_private_server()).await?;
    let done = match (fill(context, &db, &target, asked).await, args.tamper) {
        (Ok(()), Some(how)) => tamper_with(context, &db, how).await,
        (done, _) => done,
    };
    db.close().await;
    turn.end().await?;
    done.map(|()| target)
}

/// Every kind of tampering, for the help.
fn tampering() -> String {
    let mut text = "Then tamper with the trail, to rehearse what verify says of it, in the organisation that --org names, \
                    else in acme; private server only. KIND is one of:\n"
        .to_owned();
    for attack in Attack::ALL {
        text.push_str(&format!("  {:<20} {}\n", attack.name(), attack.words()));
    }
    text.push_str("With +heads behind it, audit_chain_heads is made to agree.");
    text
}

async fn tamper_with(context: &Context, db: &WriteDb, how: Tamper) -> Result<()> {
    let organization = context.global.org.as_deref().unwrap_or(demo::PLANTED_IN);
    let id = OrgId::new(organization).map_err(|e| Error::usage(format!("--org: {e}")))?;
    tamper::tamper(db, &OrgScope::enter(id), how).await.map_err(|error| {
        Error::from(error)
            .hint("demo --fresh builds the trail anew, and --tamper beside it tampers with that one")
    })?;
    // Not where: to find that out is the rehearsal.
    let name = Safe::from_untrusted(organization);
    context
        .out
        .remark(format_args!("demo: the trail of {name} was tampered with ({how}: {})", how.attack.words()));
    Ok(())
}

/// Loads what is missing: all, the rest, or nothing.
async fn fill(context: &Context, db: &WriteDb, target: &Target, asked: Asked) -> Result<()> {
    let settings = match demo_trail::begun(db).await? {
        Some(begun) if asked.contradicts(&begun) => {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "the demo here is another trail: {} events, seed {}, up to {}",
                    begun.events, begun.seed, begun.until
                ),
            )
            .hint("demo without --events, --seed and --until opens it; --fresh builds the one asked for"));
        }
        Some(Begun { complete: true, .. }) => return Ok(()),
        Some(begun) if begun.generator != demo::VERSION => {
            return Err(Error::new(Kind::Refused, "another version of this program began to load the demo")
                .hint("demo --fresh builds it anew"));
        }
        Some(begun) => {
            context.out.remark("going on with a demo that was not loaded to its end");
            Settings::new(begun.seed, begun.until, begun.events).map_err(|e| Error::usage(e.to_string()))?
        }
        None => {
            let there = organizations_in(target).await?;
            if let Some((taken, _)) =
                there.iter().find(|(id, _)| demo::organizations().contains(&id.as_str()))
            {
                return Err(Error::new(
                    Kind::Refused,
                    format!("this database has an organisation '{taken}' that the demo did not make"),
                )
                .hint("demo --database NAME makes the demo in another database")
                .hint("demo --fresh drops what is here, after asking"));
            }
            let settings = asked.settings()?;
            demo_trail::begin(
                db,
                &Begun {
                    seed: settings.seed(),
                    until: settings.until(),
                    events: settings.count(),
                    generator: demo::VERSION,
                    complete: false,
                },
            )
            .await?;
            settings
        }
    };
    let started = Instant::now();
    load(context, db, settings).await?;
    demo_trail::complete(db).await?;
    context.out.remark(format_args!(
        "demo: {} events of {} up to {}, seed {}, in {:.1} s",
        settings.count(),
        demo::organizations().join(", "),
        settings.until(),
        settings.seed(),
        started.elapsed().as_secs_f64(),
    ));
    Ok(())
}

/// Generates a trail and writes it; events that are there already are left alone.
async fn load(context: &Context, db: &WriteDb, settings: Settings) -> Result<()> {
    let bar = progress(context, settings.count());
    let loaded = load_with(db, settings, &bar).await;
    bar.finish_and_clear();
    loaded
}

#[expect(clippy::disallowed_methods, reason = "joined after the writer")]
async fn load_with(db: &WriteDb, settings: Settings, bar: &ProgressBar) -> Result<()> {
    let trail = Trail::new(settings).map_err(|e| Error::could_not_run(e.to_string()))?;
    let (to_writer, mut batches) = mpsc::channel(WAITING);
    let generator = tokio::task::spawn_blocking(move || generate(trail, &to_writer));
    let mut writer = BulkWriter::begin(db.clone()).await.map_err(write_error)?;
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    loop {
        let batch: Vec<NewEvent> = tokio::select! {
            batch = batches.recv() => match batch {
                Some(batch) => batch,
                None => break,
            },
            _ = &mut stop => {
                return Err(Error::new(Kind::Interrupted, "stopped before the demo was loaded")
                    .hint("the next start goes on from here"));
            }
        };
        let ids: Vec<String> = batch.iter().map(|event| event.event_id.clone()).collect();
        let fates = writer.append(batch).await.map_err(write_error)?;
        for (id, fate) in ids.iter().zip(&fates) {
            match fate {
                Fate::Stored | Fate::Duplicate | Fate::MappedDifferently => {}
                Fate::Conflict(_) => {
                    return Err(Error::could_not_run(format!("another event has the id {id} of the demo"))
                        .hint("demo --fresh builds the demo anew"));
                }
                Fate::Rejected(reason) => {
                    return Err(Error::could_not_run(format!("the table refuses the event {id}: {reason}")));
                }
            }
        }
        bar.inc(fates.len() as u64);
    }
    generator.await.map_err(|e| Error::could_not_run("the generator failed").because(e))?;
    bar.set_message("  building indexes");
    // Without this, as after an interruption, the next start builds them.
    writer.finish().await.map_err(write_error)
}

/// Sends a trail in batches, until it ends or nobody listens any more.
fn generate(mut trail: Trail, to_writer: &mpsc::Sender<Vec<NewEvent>>) {
    loop {
        let batch: Vec<NewEvent> = trail.by_ref().take(BATCH).collect();
        if batch.is_empty() || to_writer.blocking_send(batch).is_err() {
            return;
        }
    }
}

fn progress(context: &Context, events: u64) -> ProgressBar {
    if !context.out.stderr_is_terminal || context.out.quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "demo {bar:24} {percent:>3}%  {human_pos} events  {rate}  ETA {eta}{msg}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
    .with_key("rate", super::out::rate);
    let bar = ProgressBar::with_draw_target(Some(events), ProgressDrawTarget::stderr()).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Asks before organisations are dropped that the demo did not make.
async fn confirm(context: &Context, args: &DemoArgs, target: &Target, database: &str) -> Result<()> {
    let db = WriteDb::connect_with(target.options.clone(), WriteSettings::of_private_server()).await?;
    let begun = demo_trail::begun(&db).await;
    db.close().await;
    let made_here = begun?.is_some();
    let others: Vec<String> = organizations_in(target)
        .await?
        .into_iter()
        .filter(|(id, _)| !(made_here && demo::organizations().contains(&id.as_str())))
        .map(|(id, events)| match events {
            Some(n) => format!("'{}' ({n} events)", Safe::from_untrusted(&id)),
            None => format!("'{}'", Safe::from_untrusted(&id)),
        })
        .collect();
    if others.is_empty() || args.yes {
        return Ok(());
    }
    let refusal = Error::new(
        Kind::Refused,
        format!("database '{database}' holds what the demo did not make: {}", others.join(", ")),
    )
    .hint("demo --fresh --yes drops it all the same; demo --database NAME leaves it alone");
    if !(io::stdin().is_terminal() && context.out.stderr_is_terminal) {
        return Err(refusal);
    }
    let question =
        format!("Drop database '{database}' with {}, which the demo did not make? [y/N] ", others.join(", "));
    let answer = blocking(move || ask(&question)).await??;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(refusal) }
}

/// Asks on stderr, because stdout is for results.
pub(super) fn ask(question: &str) -> Result<String> {
    let mut to = io::stderr();
    to.write_all(question.as_bytes())?;
    to.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer)
}

/// The organisations of a database, with their numbers of events where these are known.
async fn organizations_in(target: &Target) -> Result<Vec<(String, Option<u64>)>> {
    let db = ReadDb::connect(target.options.clone(), crate::store::ReadSettings::default()).await?;
    let found = organizations::list(&db, &CancellationToken::new()).await;
    db.close().await;
    Ok(found?.into_iter().map(|o| (o.id.as_str().to_owned(), o.events)).collect())
}

fn write_error(e: WriteError) -> Error {
    match e {
        WriteError::Store(e) => e.into(),
        foreign @ WriteError::ForeignHead { .. } => Error::could_not_run(foreign.to_string())
            .hint("somebody else wrote to an organisation of the demo; demo --fresh builds it anew"),
    }
}
