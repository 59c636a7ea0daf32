//! A table in Markdown, without states.

use super::file::Mark;
use super::record::Record;
use crate::domain::Safe;
use std::io::{self, Write};

const COLUMNS: [&str; 7] = ["Time", "Severity", "Type", "Actor", "Resource", "Action", "Event"];

pub(super) fn write_header(out: &mut impl Write, marks: bool) -> io::Result<()> {
    let names = COLUMNS.iter().chain(marks.then_some(&"Content"));
    let (head, rule): (Vec<&str>, Vec<&str>) = names.map(|name| (*name, "---")).unzip();
    writeln!(out, "| {} |\n| {} |", head.join(" | "), rule.join(" | "))
}

pub(super) fn write_event(
    out: &mut impl Write,
    record: Record<'_>,
    mark: Option<Mark<'_>>,
) -> io::Result<()> {
    let row = record.row();
    let name = row.resource_name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let cells = [
        row.timestamp.to_rfc3339(),
        row.event_severity.clone(),
        row.event_type.clone(),
        row.actor_email.clone().unwrap_or_else(|| row.actor_id.clone()),
        format!("{}/{}{name}", row.resource_type, row.resource_id),
        row.action.clone(),
        row.event_id.clone(),
    ];
    let mark = mark.map(|mark| mark.content.to_owned());
    let cells: Vec<String> = cells.iter().chain(&mark).map(|text| cell(text)).collect();
    writeln!(out, "| {} |", cells.join(" | "))
}

/// Text of a cell: nothing in it is a mark of Markdown, HTML or a link.
fn cell(text: &str) -> String {
    inert(Safe::from_untrusted(text).as_str())
}

/// The same of a text that is made of escaped pieces and of our own words.
pub fn inert(text: &str) -> String {
    let mut out = String::new();
    for c in Safe::composed(text).as_str().chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // Also `@` and `:` begin links where addresses are linked by themselves.
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '|' | '~' | '#' | '!' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EventRow;

    #[test]
    fn no_cell_ends_its_row_or_draws_anything() {
        let row = EventRow {
            resource_name: Some("a|b\n<img src=x> [x](http://y) `z`".into()),
            ..EventRow::sample()
        };
        let mut out = Vec::new();
        write_header(&mut out, false).unwrap();
        write_event(&mut out, Record::from(&row), None).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(
            out.lines().last().unwrap(),
            r"| 2026-01-05T08:01:01.147504Z | info | user.created | u-1 | user/u-2 \(a\|b\\x0A&lt;img src=x&gt; \[x\]\(http://y\) \`z\`\) | create | evt-1 |"
        );
        assert_eq!(out.lines().count(), 3);
    }
}
