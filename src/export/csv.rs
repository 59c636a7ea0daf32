//! CSV (RFC 4180) for spreadsheets: one line per event, control and other hidden characters as visible escapes, and no
//! cell that a spreadsheet would take for a formula.

use super::record::{Record, STATE_COLUMNS, Value};
use crate::domain::{COLUMNS, Safe};
use std::io::{self, Write};

/// The columns of events with their states, or without.
pub fn columns(states: bool) -> Vec<&'static str> {
    COLUMNS.into_iter().filter(|column| states || !STATE_COLUMNS.contains(column)).collect()
}

/// Writes a header and the events. All records must have states, or none.
///
/// # Errors
/// When `out` cannot be written.
pub fn write<'a>(
    out: &mut impl Write,
    columns: &[&str],
    events: impl IntoIterator<Item = Record<'a>>,
) -> io::Result<()> {
    let mut csv = writer(&mut *out);
    csv.write_record(columns)?;
    csv.flush()?;
    drop(csv);
    write_more(out, events)
}

/// Writes events behind others.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_more<'a>(out: &mut impl Write, events: impl IntoIterator<Item = Record<'a>>) -> io::Result<()> {
    let mut csv = writer(out);
    for event in events {
        csv.write_record(event.values().map(|(_, value)| cell(&value)))?;
    }
    csv.flush()
}

fn writer<W: Write>(out: W) -> ::csv::Writer<W> {
    ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(out)
}

/// The text of a cell. Whatever a spreadsheet could evaluate gets an apostrophe in front.
fn cell(value: &Value<'_>) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::Text(text) => Safe::from_untrusted(text),
        Value::Json(json) => Safe::from_untrusted(json.as_str()),
    };
    // The wide forms are signs to spreadsheets of East Asian locales.
    if text.as_str().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
        format!("'{text}")
    } else {
        text.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::COLUMNS;
    use crate::domain::EventRow;
    use crate::export::record::tests::row;

    #[test]
    fn cells_are_quoted_escaped_and_never_formulas() {
        let row = EventRow {
            resource_name: Some("=HYPERLINK(\"http://x\",\"a\")".into()),
            actor_user_agent: Some("a\r\nb,\u{202e}\"c\"".into()),
            session_id: Some("-1".into()),
            actor_email: Some("＠sum".into()),
            ..row()
        };
        let columns: Vec<&str> = COLUMNS.into_iter().filter(|c| !c.ends_with("_state")).collect();
        let mut out = Vec::new();
        write(&mut out, &columns, [Record::from(&row)]).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = out.split("\r\n").collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].split(',').count(), 20);
        assert_eq!(
            lines[1],
            r#"evt-1,2026-01-05T08:01:01.147504Z,org-1,,user,u-1,'＠sum,,"a\r\nb,\u{202E}""c""",admin,user.created,info,user,u-2,"'=HYPERLINK(""http://x"",""a"")",create,r-1,'-1,00ff,"#
        );
        assert_eq!(lines[2], "");
    }
}
