//! What `ingest` has to say at the end: a line for people, or a document.

use super::Out;
use crate::domain::{OrgId, Safe, grouped};
use crate::error::Result;
use crate::export::json;
use crate::ingest::{ColumnMapping, Metrics, Preview, RejectedRecord, Report};
use crate::store::writer::Writer;
use std::io::Write;
use std::time::Instant;

/// Different reasons of a rehearsal that are told apart.
const REASONS: usize = 50;
/// Columns of the terminal for a value in the table of a rehearsal.
const VALUE: usize = 60;

/// What a rehearsal has seen.
#[derive(Debug, Default)]
pub(super) struct Rehearsed {
    pub(super) previews: Vec<Preview>,
    refusals: Vec<Refusal>,
    /// Records that are refused for other reasons than those.
    others: u64,
}

/// Records that are refused for one reason.
#[derive(Debug, serde::Serialize)]
struct Refusal {
    reason: String,
    records: u64,
    /// The first of them.
    first: String,
}

impl Rehearsed {
    /// Counts a record that would not be stored.
    pub(super) fn refused(&mut self, record: &RejectedRecord<'_>) {
        if let Some(known) = self.refusals.iter_mut().find(|known| known.reason == record.reason) {
            known.records += 1;
        } else if self.refusals.len() < REASONS {
            let first = format!("{}:{}", record.source, record.place);
            self.refusals.push(Refusal { reason: record.reason.to_owned(), records: 1, first });
        } else {
            self.others += 1;
        }
    }

    /// A table for each record that is shown, and one of the reasons.
    fn print(&self, to: &mut impl Write) -> Result<()> {
        for Preview { source, place, format, columns, refused } in &self.previews {
            let format = format.map_or("no known format", |format| format.title);
            writeln!(to, "{} · {format}", Safe::from_untrusted(&format!("{source}:{place}")))?;
            if let Some(reason) = refused {
                writeln!(to, "  refused: {}", Safe::from_untrusted(reason))?;
            } else {
                let cells: Vec<[Safe; 2]> = columns.iter().map(cells).collect();
                let width = cells.iter().map(|[value, _]| value.width()).max().unwrap_or(0);
                writeln!(to, "  {:<18}{:<width$}  SOURCE FIELD", "COLUMN", "VALUE")?;
                for (ColumnMapping { column, .. }, [value, from]) in columns.iter().zip(&cells) {
                    let blanks = " ".repeat(width.saturating_sub(value.width()));
                    writeln!(to, "  {column:<18}{value}{blanks}  {from}")?;
                }
            }
            writeln!(to)?;
        }
        for Refusal { reason, records, first } in &self.refusals {
            let text = format!("refused: {} × {reason} (first {first})", grouped(*records));
            writeln!(to, "{}", Safe::from_untrusted(&text))?;
        }
        if self.others > 0 {
            writeln!(to, "refused: {} × for other reasons", grouped(self.others))?;
        }
        Ok(())
    }
}

/// The value, cut, and where it is from.
fn cells(row: &ColumnMapping) -> [Safe; 2] {
    let value = Safe::from_untrusted(&row.value).cut_end(VALUE);
    let from = match row.from.as_slice() {
        [] => Safe::literal("derived"),
        places => Safe::from_untrusted(&places.join(", ")),
    };
    [value, from]
}

#[derive(serde::Serialize)]
struct Body<'a> {
    dry_run: bool,
    read: u64,
    stored: u64,
    duplicate: u64,
    mapped_differently: u64,
    conflict: u64,
    rejected: u64,
    leap_seconds: u64,
    without_records: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<u64>,
    organizations: Vec<&'a str>,
    heads: Vec<Head<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<Vec<Shown<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'a [Refusal]>,
}
#[derive(serde::Serialize)]
struct Shown<'a> {
    source: &'a str,
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<u64>,
    format: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    columns: Vec<Row<'a>>,
}
#[derive(serde::Serialize)]
struct Row<'a> {
    column: &'a str,
    value: &'a str,
    from: &'a [String],
}
#[derive(serde::Serialize)]
struct Head<'a> {
    organization_id: &'a str,
    event_id: String,
    hash: String,
}

impl<'a> Shown<'a> {
    fn of(preview: &'a Preview) -> Self {
        let rows = preview.columns.iter();
        Self {
            source: &preview.source,
            line: preview.place.line,
            record: preview.place.element,
            format: preview.format.map(|format| format.name),
            reason: preview.refused.as_deref(),
            columns: rows.map(|row| Row { column: row.column, value: &row.value, from: &row.from }).collect(),
        }
    }
}

/// What was done.
pub(super) struct Done<'a> {
    pub(super) report: &'a Report,
    /// Of a rehearsal, what it has seen.
    pub(super) rehearsal: Option<&'a Rehearsed>,
    /// Of a spool, its last numbers.
    pub(super) relayed: Option<&'a Metrics>,
    pub(super) started: Instant,
}

impl Done<'_> {
    /// The line for people, behind the tables of a rehearsal.
    pub(super) fn print(&self, out: Out) -> Result<()> {
        let Self { report, rehearsal, relayed, started } = self;
        let dry_run = rehearsal.is_some();
        let waiting = relayed.map_or(0, |last| last.pending);
        let Report { read, stored, duplicate, conflict, rejected, organizations, .. } = report;
        let seconds = started.elapsed().as_secs_f64();
        let mut to = out.results();
        if let Some(rehearsal) = rehearsal {
            rehearsal.print(&mut to)?;
        }
        let remapped = match report.mapped_differently {
            0 => String::new(),
            n => format!(" (mapped differently: {n})"),
        };
        let stored_as = if dry_run { "sound" } else { "stored" };
        write!(
            to,
            "INGEST: {read} read, {stored} {stored_as}, {duplicate} duplicate{remapped}, {conflict} conflict, {rejected} rejected"
        )?;
        if waiting > 0 {
            write!(to, ", {waiting} waiting")?;
        }
        let ids: Vec<String> =
            organizations.iter().take(5).map(|id| Safe::from_untrusted(id.as_str()).to_string()).collect();
        if !ids.is_empty() {
            let more = organizations.len() - ids.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            write!(to, ", organisation {}{more}", ids.join(", "))?;
        }
        writeln!(to, ", {seconds:.1} s ({:.0}/s)", *read as f64 / seconds.max(0.001))?;
        for (what, n) in &report.empty {
            writeln!(to, "{n} × {what}: holds no records.")?;
        }
        if report.leap_seconds > 0 {
            let n = report.leap_seconds;
            writeln!(to, "{n} × time in a leap second (:60): stored as the second after it.")?;
        }
        if *read > 0 && duplicate == read {
            writeln!(to, "Nothing was added: all {read} events are there already.")?;
        } else if dry_run {
            writeln!(to, "Nothing was stored: this was a dry run.")?;
        }
        Ok(to.flush()?)
    }

    /// The document.
    pub(super) async fn print_json(&self, out: Out, writer: Option<&Writer>) -> Result<()> {
        let Self { report, rehearsal, relayed, .. } = self;
        let mut heads = Vec::new();
        if let Some(writer) = writer {
            for organization in &report.organizations {
                for (event_id, hash) in writer.heads(organization).await? {
                    heads.push(Head { organization_id: organization.as_str(), event_id, hash });
                }
            }
        }
        let body = Body {
            dry_run: rehearsal.is_some(),
            read: report.read,
            stored: report.stored,
            duplicate: report.duplicate,
            mapped_differently: report.mapped_differently,
            conflict: report.conflict,
            rejected: report.rejected,
            leap_seconds: report.leap_seconds,
            without_records: report.empty.values().sum::<u64>(),
            waiting: relayed.map(|last| last.pending),
            replayed: relayed.map(|last| last.replayed.total()),
            organizations: report.organizations.iter().map(OrgId::as_str).collect(),
            heads,
            preview: rehearsal.map(|seen| seen.previews.iter().map(Shown::of).collect()),
            refused: rehearsal.map(|seen| seen.refusals.as_slice()),
        };
        let mut to = out.results();
        json::write_line(&mut to, &json::general_document(body))?;
        Ok(to.flush()?)
    }
}
