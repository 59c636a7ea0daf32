//! `agenttrace diff`

use super::sides::{BUDGET, Operands, Sides};
use super::{Context, Format};
use crate::diff::rows::{self, Role, Row, View};
use crate::diff::{self, Change, Comparison, Detail, InnerChange, Options, Rules, patch, tree};
use crate::domain::Safe;
use crate::error::{Error, Kind, Result};
use crate::export::{json, table};
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Arguments of `diff`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
One event: its previous state against its new state. Two events: the new state of the first against the new state of
the second (a deleted resource has none). A resource: as it was at one time against another. Files: any two JSON
documents; no database is needed. Exit 0 without a difference, 1 with one, 4 when an event does not exist or a state is
not known.
Layouts mask secrets, visibly; raw, --format json and the patches hold every value exactly as it is stored.")]
pub struct DiffArgs {
    /// What is compared
    #[command(flatten)]
    pub operands: Operands,
    /// How it is shown to people
    #[arg(long, value_enum, default_value_t)]
    pub layout: Layout,
    /// Compare arrays as sets: their order does not matter
    #[arg(long)]
    pub sets: bool,
    /// Show the parts of trees that did not change
    #[arg(long)]
    pub unfold: bool,
    /// Show what looks like a secret
    #[arg(long)]
    pub show_secrets: bool,
    /// Output format
    #[arg(long, value_name = "FORMAT", value_parser = format_parser())]
    pub format: Option<Format>,
}

/// Layout of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Layout {
    /// One line a change, most significant first.
    #[default]
    Paths,
    /// The document with - and +.
    Unified,
    /// Two columns.
    SideBySide,
    /// Both states exactly as stored.
    Raw,
}

/// Standard forms of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Patch {
    /// JSON Patch, RFC 6902.
    JsonPatch,
    /// JSON merge patch, RFC 7396.
    MergePatch,
}

/// `--format` of this command: two forms more.
fn format_parser() -> impl TypedValueParser<Value = Format> {
    let outputs = [Format::Table, Format::Json, Format::Ndjson].iter().filter_map(Format::to_possible_value);
    let patches = Patch::value_variants().iter().filter_map(Patch::to_possible_value);
    PossibleValuesParser::new(outputs.chain(patches)).try_map(|word: String| {
        Format::from_str(&word, false).or_else(|_| Patch::from_str(&word, false).map(Format::Patch))
    })
}

/// Columns of the layouts where there is no terminal: a line is as long as it needs to be.
const UNCUT: usize = 1_000_000;

/// Runs it.
///
/// # Errors
/// Exit 1 (without a message) when there is a difference, 4 when an event does not exist.
pub(super) async fn run(context: &Context, args: DiffArgs) -> Result<()> {
    let cancel = super::cancel_on_interrupt();
    let sides = Sides::find(context, &args.operands, &cancel).await?;
    let options = Options { budget: BUDGET, as_sets: args.sets, rules: context.rules()? };
    let begun = Instant::now();
    let elapsed = || if cancel.is_cancelled() { Duration::MAX } else { begun.elapsed() };
    let compared = diff::compare(sides.old.as_deref(), sides.new.as_deref(), &options, &elapsed);
    if cancel.is_cancelled() {
        return Err(Error::new(Kind::Interrupted, "stopped"));
    }
    for warning in sides.warnings() {
        context.out.remark(warning);
    }
    let mut out = context.out.results();
    match args.format.unwrap_or(Format::Table) {
        Format::Json => json::write_line(&mut out, &document(&sides, &compared))?,
        Format::Ndjson => {
            compared.changes().iter().try_for_each(|c| json::write_line(&mut out, &ChangeJson::from(c)))?;
        }
        Format::Patch(form) => writeln!(out, "{}", json::visible(&patched(&compared, form)?))?,
        Format::Table | Format::Csv | Format::File(_) | Format::Document(_) => {
            write_layout(&mut out, &compared, &args, options.rules, context.out.style())?;
        }
    }
    out.flush()?;
    // The result is the message: as with diff(1), only the exit code says that there is a difference.
    if compared.differs() { Err(Error::silent(Kind::Finding)) } else { Ok(()) }
}

#[derive(serde::Serialize)]
struct Body<'a> {
    /// Null for files.
    organization_id: Option<&'a str>,
    events: &'a [String],
    /// `structural`, or less where the states are too large or not valid JSON: `lines`, `hashes`; or
    /// `nothing_recorded`, or `call` where the event records a call and holds no states (`reason`: of which source).
    comparison: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// How states are written (as `ghosts` says it); those that are stored in part were completed.
    states: &'static str,
    differs: bool,
    changes: Vec<ChangeJson<'a>>,
    /// Paths that changed without an event, so that their value at the time asked for is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<UnknownJson<'a>>,
}

#[derive(serde::Serialize)]
struct UnknownJson<'a> {
    old: &'a [String],
    new: &'a [String],
}

/// A change; an absent value is null, and `kind` says that it is absent.
#[derive(serde::Serialize)]
struct ChangeJson<'a> {
    path: &'a str,
    kind: &'static str,
    old: Option<json::Stored<'a>>,
    new: Option<json::Stored<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    significance: &'static str,
    secret: bool,
    /// What differs inside, where both values are strings that hold JSON; paths are places in that document.
    #[serde(skip_serializing_if = "Option::is_none")]
    inside: Option<Vec<InnerJson<'a>>>,
}

#[derive(serde::Serialize)]
struct InnerJson<'a> {
    path: &'a str,
    kind: &'static str,
    old: Option<json::Stored<'a>>,
    new: Option<json::Stored<'a>>,
    significance: &'static str,
    secret: bool,
}

impl<'a> From<&'a InnerChange> for InnerJson<'a> {
    fn from(change: &'a InnerChange) -> Self {
        Self {
            path: &change.path,
            kind: change.kind.as_str(),
            old: change.old.as_deref().map(json::Stored),
            new: change.new.as_deref().map(json::Stored),
            significance: change.rank.as_str(),
            secret: change.secret,
        }
    }
}

impl<'a> From<&'a Change<'_>> for ChangeJson<'a> {
    fn from(change: &'a Change<'_>) -> Self {
        Self {
            path: &change.path,
            kind: change.kind.as_str(),
            old: change.old.map(json::Stored),
            new: change.new.map(json::Stored),
            from: change.from.as_deref(),
            significance: change.rank.as_str(),
            secret: change.secret,
            inside: change.inside.as_ref().map(|inside| inside.iter().map(InnerJson::from).collect()),
        }
    }
}

fn document<'a>(sides: &'a Sides, compared: &'a Comparison<'_>) -> impl serde::Serialize + 'a {
    let (comparison, reason) = match &compared.detail {
        Detail::NothingRecorded => ("nothing_recorded", None),
        Detail::Call(record) => ("call", Some(record.title)),
        Detail::Structural { .. } => ("structural", None),
        Detail::Lines { why, .. } => ("lines", Some(why.as_str())),
        Detail::Hashes { why, .. } => ("hashes", Some(why.as_str())),
    };
    let [old, new] = &sides.unknown;
    json::general_document(Body {
        organization_id: sides.organization.as_deref(),
        events: &sides.events,
        comparison,
        reason,
        states: sides.writing.as_str(),
        differs: compared.differs(),
        changes: compared.changes().iter().map(ChangeJson::from).collect(),
        unknown: (!old.is_empty() || !new.is_empty()).then_some(UnknownJson { old, new }),
    })
}

fn patched(compared: &Comparison<'_>, form: Patch) -> Result<String> {
    let structure = match (&compared.detail, compared.old, compared.new) {
        (Detail::NothingRecorded, ..) => {
            return Err(Error::new(Kind::Incomplete, "no state was recorded, so there is no patch"));
        }
        (Detail::Call(record), ..) => {
            let message =
                format!("the event records a call ({}), not states, so there is no patch", record.title);
            return Err(Error::new(Kind::Incomplete, message));
        }
        (Detail::Structural { .. }, None, new) | (Detail::Structural { .. }, Some(_), new @ None)
            if form == Patch::JsonPatch =>
        {
            return Ok(patch::whole_patch(new));
        }
        (Detail::Structural { .. }, Some(_), None) => {
            return Err(
                Error::usage("a merge patch cannot delete a document").hint("--format json-patch can")
            );
        }
        (Detail::Structural { structure, .. }, ..) => structure,
        (Detail::Lines { why, .. } | Detail::Hashes { why, .. }, ..) => {
            return Err(Error::could_not_run(format!("there is no patch: {why}")));
        }
    };
    let made = match form {
        Patch::JsonPatch => patch::json_patch(structure),
        Patch::MergePatch => patch::merge_patch(structure),
    };
    made.map_err(|e| Error::usage(e.to_string()).hint("--format json holds every change"))
}

fn write_layout(
    out: &mut impl Write,
    compared: &Comparison<'_>,
    args: &DiffArgs,
    rules: Rules,
    style: table::Style,
) -> io::Result<()> {
    let view = View {
        width: style.width.unwrap_or(UNCUT),
        mask: !args.show_secrets,
        unfold_all: args.unfold,
        rules,
        ..View::default()
    };
    if args.layout == Layout::Raw && style.width.is_none() {
        // Into a file: uncut, and JSON stays what it is when what is hidden in it is written as an escape.
        for (name, text) in [("previous_state", compared.old), ("new_state", compared.new)] {
            writeln!(out, "{name}")?;
            text.unwrap_or("(not recorded)")
                .lines()
                .try_for_each(|line| writeln!(out, "{}", json::visible(line)))?;
        }
        return Ok(());
    }
    for row in rows::heading(compared) {
        write_row(out, &row, style.color)?;
    }
    let rows = match args.layout {
        Layout::Paths => rows::path_list(compared, &view),
        Layout::Unified => tree::unified(compared, &view),
        Layout::Raw => tree::raw(compared),
        Layout::SideBySide => match tree::side_by_side(compared, &view) {
            Some(pairs) => return write_columns(out, &pairs, style.width.unwrap_or(160)),
            None => rows::path_list(compared, &view),
        },
    };
    rows.iter().try_for_each(|row| write_row(out, row, style.color))
}

fn write_columns(out: &mut impl Write, pairs: &[(Option<Row>, Option<Row>)], width: usize) -> io::Result<()> {
    let column = (width.saturating_sub(3) / 2).max(20);
    for (left, right) in pairs {
        // The text of a row is escaped already, and escaping it once more changes nothing.
        let side = |row: &Option<Row>| {
            Safe::composed(&row.as_ref().map(Row::text).unwrap_or_default()).cut_end(column)
        };
        let (left, right) = (side(left), side(right));
        let blanks = column - left.width().min(column);
        writeln!(out, "{}", format!("{left}{:blanks$} │ {right}", "").trim_end())?;
    }
    Ok(())
}

/// A row with its gutter; colours only help, marks and words say everything.
pub(super) fn write_row(out: &mut impl Write, row: &Row, color: bool) -> io::Result<()> {
    if !color {
        return writeln!(out, "{}", row.text());
    }
    write!(out, "{} {:blanks$}", row.mark, "", blanks = usize::from(row.indent) * 2)?;
    for span in &row.spans {
        let code = match span.role {
            _ if row.noise => "2",
            Role::Plain => "0",
            Role::Dim => "2",
            Role::Path => "22",
            Role::Important | Role::Notice => "1",
            Role::Added => "34",
            Role::Removed => "33",
            Role::AddedPart => "1;34",
            Role::RemovedPart => "1;33",
            Role::Masked => "7",
        };
        write!(out, "\x1b[{code}m{}\x1b[0m", span.text)?;
    }
    writeln!(out)
}
