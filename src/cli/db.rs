//! `agenttrace db`

use super::asked::wants_json;
use super::db_grants::{self, GrantArgs};
use super::db_sql::{self, Topic};
use super::{Context, Out};
use crate::domain::Safe;
use crate::error::{Error, Kind, Result};
use crate::export::json;
use crate::investigation::{self, SchemeOf};
use crate::store::StoreError;
use crate::store::schema::{
    self, Access, Layout, LayoutChange, Origin, Protection, Status, Step, partitions,
};
use serde::Serialize;
use std::io::Write;
use tokio_util::sync::CancellationToken;

/// Arguments of `db`.
#[derive(Debug, Clone, clap::Args)]
pub struct DbArgs {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum DbCommand {
    /// Make the schema, or bring it to its newest version
    Migrate {
        /// How the rows are kept [default: as they are; in a new database, plain]
        #[arg(long, value_enum)]
        layout: Option<NewLayout>,
        /// Make the roles agenttrace_owner, _reader, _writer and _maintainer, and grant each what it needs
        #[arg(long)]
        with_roles: bool,
        /// Confine readers to the organisations that are granted to them (row-level security; implies --with-roles)
        #[arg(long)]
        rls: bool,
    },
    /// Say what is there and what is missing; exit 1 when something is
    Status,
    /// The partitions of a table that has them
    Partitions {
        #[command(subcommand)]
        command: PartitionsCommand,
    },
    /// The materialised view of days
    Summary {
        #[command(subcommand)]
        command: SummaryCommand,
    },
    /// Let a role see an organisation (row-level security)
    Grant(GrantArgs),
    /// Take that back
    Revoke(GrantArgs),
    /// List who sees what
    Grants,
    /// Print SQL for an administrator; nothing is run
    Sql {
        /// What it is for
        #[arg(value_enum)]
        topic: Topic,
    },
}

#[derive(Debug, Clone, clap::Subcommand)]
enum PartitionsCommand {
    /// Make the months to come, beside readers and writers
    Ensure {
        /// Months ahead of this one
        #[arg(long, value_name = "N", default_value_t = partitions::AHEAD, value_parser = clap::value_parser!(u32).range(0..=120))]
        ahead: u32,
    },
    /// List them with their bounds, rows and sizes
    List,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum SummaryCommand {
    /// Compute it anew, beside its readers
    Refresh,
}

/// A layout that `migrate` can make.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum NewLayout {
    /// One table
    Plain,
    /// A partition for each month: old months can be detached
    Monthly,
    /// Eight partitions by organisation
    Hash,
}

impl From<NewLayout> for Layout {
    fn from(layout: NewLayout) -> Self {
        match layout {
            NewLayout::Plain => Self::Plain,
            NewLayout::Monthly => Self::Range,
            NewLayout::Hash => Self::Hash,
        }
    }
}

/// Runs it.
pub(super) async fn run(context: &Context, args: DbArgs) -> Result<()> {
    let as_json = wants_json(context, "db")?;
    match args.command {
        DbCommand::Migrate { layout, with_roles, rls } => {
            let protection = match (with_roles, rls) {
                (_, true) => Some(Protection::RowSecurity),
                (true, false) => Some(Protection::Roles),
                (false, false) => None,
            };
            migrate(context, layout.map(Layout::from), protection, as_json).await
        }
        DbCommand::Status => status(context, as_json).await,
        DbCommand::Partitions { command: PartitionsCommand::Ensure { ahead } } => {
            ensure(context, ahead, as_json).await
        }
        DbCommand::Partitions { command: PartitionsCommand::List } => list(context, as_json).await,
        DbCommand::Summary { command: SummaryCommand::Refresh } => refresh(context).await,
        DbCommand::Grant(args) => db_grants::change(context, &args, true).await,
        DbCommand::Revoke(args) => db_grants::change(context, &args, false).await,
        DbCommand::Grants => db_grants::list(context, as_json).await,
        DbCommand::Sql { topic } => {
            let mut to = context.out.results();
            to.write_all(db_sql::text(topic).as_bytes())?;
            Ok(to.flush()?)
        }
    }
}

async fn migrate(
    context: &Context,
    layout: Option<Layout>,
    protection: Option<Protection>,
    as_json: bool,
) -> Result<()> {
    let (db, _target) = context.writer().await?;
    let out = context.out;
    let done = async {
        let mut done = schema::migrate(&db).await?;
        if let Some(layout) = layout {
            schema::change_layout(&db, layout, &|step| say(out, step)).await?;
        }
        if let Some(protection) = protection {
            schema::protect(&db, protection).await?;
            done.retain(|step| step != "roles");
            done.push("roles".to_owned());
        }
        if protection == Some(Protection::RowSecurity) {
            done.push("row-level security".to_owned());
        }
        Ok::<_, StoreError>(done)
    };
    let done = done.await;
    db.close().await;
    let done = done?;
    if protection == Some(Protection::RowSecurity) {
        context.out.remark(format_args!(
            "readers see the organisations that are granted to them: agenttrace db grant ROLE ORGANISATION"
        ));
    }
    let mut to = context.out.results();
    if as_json {
        #[derive(serde::Serialize)]
        struct Body<'a> {
            applied: &'a [String],
        }
        json::write_line(&mut to, &json::general_document(Body { applied: &done }))?;
    } else if done.is_empty() {
        writeln!(to, "The schema is up to date.")?;
    } else {
        for step in &done {
            writeln!(to, "applied {step}")?;
        }
    }
    Ok(to.flush()?)
}

/// Tells on stderr how far a change of layout has come.
fn say(out: Out, step: &Step) {
    match step {
        Step::Copied { piece, done, total } => {
            out.remark(format_args!("copied and compared {}: {done} of {total} events", Safe::from_untrusted(piece)));
        }
        Step::Indexed(name) => out.remark(format_args!("built {name}")),
        Step::Exchanged { kept: Some(table) } => out.remark(format_args!(
            "the new layout is in force; the table that was is kept as {table}: DROP TABLE {table} frees its space"
        )),
        Step::Exchanged { kept: None } => out.remark("the new layout is in force"),
    }
}

/// What a document says of partitions: their names, or all that is known of them.
#[derive(serde::Serialize)]
struct Partitions<'a, T> {
    partitions: &'a [T],
}

async fn ensure(context: &Context, ahead: u32, as_json: bool) -> Result<()> {
    let (db, _target) = context.writer().await?;
    let there = partitions::ensure(&db, ahead).await;
    db.close().await;
    let there = there?;
    if there.is_empty() {
        return Err(Error::usage("the table is not kept by months")
            .hint("agenttrace db migrate --layout monthly brings it into that layout"));
    }
    let mut to = context.out.results();
    if as_json {
        json::write_line(&mut to, &json::general_document(Partitions { partitions: &there }))?;
    } else {
        for name in &there {
            writeln!(to, "{}", Safe::from_untrusted(name))?;
        }
    }
    Ok(to.flush()?)
}

async fn list(context: &Context, as_json: bool) -> Result<()> {
    let reader = context.reader().await?;
    let found = partitions::list(&reader.db, &CancellationToken::new()).await;
    reader.db.close().await;
    let found = found?;
    let mut to = context.out.results();
    if as_json {
        json::write_line(&mut to, &json::general_document(Partitions { partitions: &found }))?;
        return Ok(to.flush()?);
    }
    for partition in &found {
        let rows = match partition.estimated_rows {
            Some(n) => format!("~{n} rows"),
            None => "not analysed".to_owned(),
        };
        let pending = if partition.detach_pending { "  DETACH PENDING" } else { "" };
        writeln!(
            to,
            "{:<24}{:>16}{:>10}  {}{pending}",
            Safe::from_untrusted(&partition.name),
            rows,
            bytes(partition.bytes),
            Safe::from_untrusted(&partition.bounds),
        )?;
    }
    if found.is_empty() {
        context.out.remark("the table has no partitions");
    }
    Ok(to.flush()?)
}

async fn refresh(context: &Context) -> Result<()> {
    let (db, _target) = context.writer().await?;
    let refreshed = schema::refresh_summary(&db).await;
    db.close().await;
    refreshed?;
    context.out.remark("audit_daily_summary has been refreshed");
    Ok(())
}

async fn status(context: &Context, as_json: bool) -> Result<()> {
    let reader = context.reader().await?;
    let cancel = CancellationToken::new();
    let status = schema::status(&reader.db, &cancel).await;
    // What keeps the rows from being read is not what is asked here.
    let (schemes, organizations) = investigation::schemes(&reader.db, &cancel).await.unwrap_or_default();
    reader.db.close().await;
    let status = status?;
    let mut to = context.out.results();
    if as_json {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(flatten)]
            status: &'a Status,
            schemes: &'a [SchemeOf],
        }
        json::write_line(&mut to, &json::general_document(&Body { status: &status, schemes: &schemes }))?;
    } else {
        print(&mut to, &status)?;
        print_schemes(&mut to, &schemes, organizations)?;
    }
    to.flush()?;
    match status.problems.len() {
        0 => Ok(()),
        n => {
            let things = if n == 1 { "thing is not as it" } else { "things are not as they" };
            let error = Error::new(Kind::Finding, format!("{n} {things} must be"));
            Err(error.hint(match status.schema {
                Origin::Agenttrace | Origin::Absent => "agenttrace db migrate makes what is missing",
                Origin::Foreign => {
                    "agenttrace db sql indexes prints the indexes that help; its owner can make them"
                }
            }))
        }
    }
}

fn print_schemes(to: &mut impl Write, schemes: &[SchemeOf], organizations: usize) -> Result<()> {
    for scheme in schemes {
        let name = Safe::from_untrusted(&scheme.organization_id);
        let percent = scheme.confidence * 100.0;
        let guessed = if scheme.guessed { ", GUESSED: no event fits any known scheme" } else { "" };
        writeln!(
            to,
            "hashes of {name}: {} ({percent:.0} % of a sample of {}){guessed}",
            scheme.name, scheme.sample
        )?;
    }
    match organizations.saturating_sub(schemes.len()) {
        0 => Ok(()),
        more => Ok(writeln!(to, "hashes of {more} more organisations: not looked at")?),
    }
}

fn print(to: &mut impl Write, status: &Status) -> std::io::Result<()> {
    let safe = Safe::from_untrusted;
    let line =
        |to: &mut dyn Write, name: &str, value: &dyn std::fmt::Display| writeln!(to, "{name:<14}{value}");
    line(to, "server", &format_args!("PostgreSQL {}", safe(&status.server_version)))?;
    line(to, "database", &format_args!("{} as {}", safe(&status.database), safe(&status.role)))?;
    let standing = status.standing.to_string();
    if !standing.is_empty() {
        line(to, "replication", &standing)?;
    }
    if status.pooled {
        line(to, "connection", &"through a pooler: statements are prepared for one transaction only")?;
    }
    let origin = match status.schema {
        Origin::Agenttrace => "made by agenttrace",
        Origin::Foreign => "somebody else's table: readable, not to be migrated",
        Origin::Absent => "none",
    };
    line(to, "schema", &origin)?;
    for (name, list) in [("applied", &status.migrations_applied), ("pending", &status.migrations_pending)] {
        for (i, migration) in list.iter().enumerate() {
            line(to, if i == 0 { name } else { "" }, migration)?;
        }
    }
    if let Some(table) = &status.table {
        let layout = match table.layout {
            Layout::Plain => "one table",
            Layout::Range => "partitions by range",
            Layout::Hash => "partitions by hash",
            Layout::Other => "neither a table nor partitions by range or hash",
        };
        let rows = match table.estimated_rows {
            Some(n) => format!("~{n} rows"),
            None => "rows not counted yet (ANALYZE)".to_owned(),
        };
        let name = format!("{}.audit_events, owner {}, oid {}", table.schema, table.owner, table.oid);
        line(to, "relation", &safe(&name))?;
        line(
            to,
            "table",
            &format_args!(
                "{layout}, {rows}, {} and {} of indexes",
                bytes(table.table_bytes),
                bytes(table.index_bytes)
            ),
        )?;
    }
    if let Some(access) = &status.access {
        line(to, "roles", &roles(access))?;
        line(to, "row security", &row_security(access))?;
    }
    match status.layout_change {
        Some(LayoutChange::Begun) => line(
            to,
            "layout",
            &"a change is under way or was interrupted: agenttrace db migrate --layout NAME goes on; \
              DROP TABLE audit_events_new gives it up",
        )?,
        Some(LayoutChange::Done) => line(
            to,
            "layout",
            &"the table from before the change is kept: DROP TABLE audit_events_plain frees its space",
        )?,
        None => {}
    }
    if status.table.is_some() && status.unnamed_events.is_none() {
        line(to, "unnamed", &"not known how many events belong to no organisation that can be named")?;
    }
    if let Some(chains) = status.chains {
        line(to, "chains", &chains)?;
    }
    print_indexes_and_guards(to, status)?;
    for words in &status.reading {
        line(to, "reading", &safe(words))?;
    }
    for problem in &status.problems {
        line(to, "problem", &safe(problem))?;
    }
    Ok(())
}

/// The indexes, and the triggers that keep the table append-only.
fn print_indexes_and_guards(to: &mut impl Write, status: &Status) -> std::io::Result<()> {
    let safe = Safe::from_untrusted;
    let line =
        |to: &mut dyn Write, name: &str, value: &dyn std::fmt::Display| writeln!(to, "{name:<14}{value}");
    let widest = status.indexes.iter().map(|index| safe(&index.name).width()).max().unwrap_or_default();
    let column = (widest + 2).max(32);
    for (i, index) in status.indexes.iter().enumerate() {
        let state = match (index.present, index.valid) {
            (false, _) => "MISSING".to_owned(),
            (true, false) => "INVALID".to_owned(),
            (true, true) => bytes(index.bytes),
        };
        line(
            to,
            if i == 0 { "indexes" } else { "" },
            &format_args!("{:<column$}{state}", safe(&index.name)),
        )?;
    }
    for (i, guard) in status.guard.iter().enumerate() {
        let state = match (guard.present, guard.always, guard.unaltered) {
            (false, ..) => "MISSING",
            (true, false, _) if guard.disabled => "DISABLED: it fires in no session",
            (true, false, _) => "not in every session",
            (true, true, false) => "ALTERED",
            (true, true, true) => "always on",
        };
        let place = guard.relation.as_deref().map(|name| format!(" on {}", safe(name))).unwrap_or_default();
        line(to, if i == 0 { "guard" } else { "" }, &format_args!("{:<32}{state}{place}", guard.trigger))?;
    }
    Ok(())
}

fn roles(access: &Access) -> String {
    if access.roles {
        "in force".to_owned()
    } else {
        format!("not in force: the table belongs to {}", Safe::from_untrusted(&access.owner))
    }
}

fn row_security(access: &Access) -> String {
    match (access.row_security, access.confined, access.organizations) {
        (false, ..) => "off: whoever may read the table sees every organisation".to_owned(),
        (true, false, _) => "on, but not for this role, which sees every organisation".to_owned(),
        (true, true, Some(1)) => "on: this role sees 1 organisation".to_owned(),
        (true, true, Some(n)) => format!("on: this role sees {n} organisations"),
        (true, true, None) => "on".to_owned(),
    }
}

/// A size with three digits or so.
fn bytes(n: i64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 9.95);
    format!("{value:.digits$} {}", UNITS.get(unit).unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_short() {
        for (n, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (8192, "8.2 kB"),
            (999_600, "1.0 MB"),
            (123_456_789, "123 MB"),
            (5_000_000_000_000_000, "5000 TB"),
        ] {
            assert_eq!(bytes(n), text);
        }
    }
}
