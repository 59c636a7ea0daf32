//! CSV (RFC 4180) for spreadsheets: one line per event, control and other hidden characters as visible escapes, and no
//! cell that a spreadsheet would take for a formula.

use super::file::Mark;
use super::record::{Record, STATE_COLUMNS, Value};
use crate::domain::{COLUMNS, Joiners, Safe, escape_for_file, escape_json};
use std::io::{self, Write};

/// The columns of events with their states, or without.
pub fn columns(states: bool) -> Vec<&'static str> {
    COLUMNS.into_iter().filter(|column| states || !STATE_COLUMNS.contains(column)).collect()
}

/// Whether cells get a mark that keeps spreadsheets from evaluating them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// An apostrophe stands before what could be a formula, and before what begins with apostrophes and then could be
    /// one, so that a reader gets every value back by taking one apostrophe away from such cells.
    On,
    /// Values as they are.
    Off,
}

/// Writes a header and the events. All records must have states, or none.
///
/// # Errors
/// When `out` cannot be written.
pub fn write<'a>(
    out: &mut impl Write,
    columns: &[&str],
    events: impl IntoIterator<Item = Record<'a>>,
    joiners: Joiners,
) -> io::Result<()> {
    write_header(out, columns)?;
    write_more(out, events, joiners)
}

/// Writes the names of the columns.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_header(out: &mut impl Write, columns: &[&str]) -> io::Result<()> {
    let mut csv = writer(out);
    csv.write_record(columns)?;
    csv.flush()
}

/// Writes events behind others.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_more<'a>(
    out: &mut impl Write,
    events: impl IntoIterator<Item = Record<'a>>,
    joiners: Joiners,
) -> io::Result<()> {
    let mut csv = writer(out);
    for event in events {
        csv.write_record(event.values().map(|(_, value)| cell(&value, joiners, Guard::On)))?;
    }
    csv.flush()
}

/// Writes one event, with its mark in two columns more.
///
/// # Errors
/// When `out` cannot be written.
pub(super) fn write_event(
    out: &mut impl Write,
    event: Record<'_>,
    mark: Option<Mark<'_>>,
    joiners: Joiners,
    guard: Guard,
) -> io::Result<()> {
    let mut csv = writer(out);
    let mark = mark.map(|mark| [mark.content.to_owned(), mark.scheme.to_owned()]);
    let cells = event.values().map(|(_, value)| cell(&value, joiners, guard));
    csv.write_record(cells.chain(mark.into_iter().flatten()))?;
    csv.flush()
}

fn writer<W: Write>(out: W) -> ::csv::Writer<W> {
    ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(out)
}

/// The text of a cell.
fn cell(value: &Value<'_>, joiners: Joiners, guard: Guard) -> String {
    let text = match (value, joiners) {
        (Value::Null, _) => return String::new(),
        // Stays JSON.
        (Value::Json(json), _) => escape_json(json.as_str(), joiners).into_owned(),
        (Value::Text(text), Joiners::Kept) => escape_for_file(text),
        (Value::Text(text), Joiners::Escaped) => Safe::from_untrusted(text).to_string(),
    };
    // The wide forms are signs to spreadsheets of East Asian locales.
    let signs = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let is_guarded = guard == Guard::On && text.trim_start_matches('\'').starts_with(signs);
    if is_guarded { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::COLUMNS;
    use crate::domain::EventRow;

    #[test]
    fn cells_are_quoted_escaped_and_never_formulas() {
        let row = EventRow {
            resource_name: Some("=HYPERLINK(\"http://x\",\"a\")".into()),
            actor_user_agent: Some("a\r\nb,\u{202e}\"c\"".into()),
            session_id: Some("-1".into()),
            actor_email: Some("＠sum".into()),
            ..EventRow::sample()
        };
        let columns: Vec<&str> = COLUMNS.into_iter().filter(|c| !c.ends_with("_state")).collect();
        let mut out = Vec::new();
        write(&mut out, &columns, [Record::from(&row)], Joiners::Kept).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = out.split("\r\n").collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].split(',').count(), 20);
        assert_eq!(
            lines[1],
            r#"evt-1,2026-01-05T08:01:01.147504Z,org-1,,user,u-1,'＠sum,,"a\x0D\x0Ab,\u{202E}""c""",admin,user.created,info,user,u-2,"'=HYPERLINK(""http://x"",""a"")",create,r-1,'-1,00ff,"#
        );
        assert_eq!(lines[2], "");
    }
}
