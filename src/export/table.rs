//! Lines for people: as many columns as fit, all text made safe for a terminal.

use super::pretty::{Limits, pretty};
use super::record::{Record, Value};
use crate::domain::{EventRow, Safe};
use std::io::{self, Write};

/// How a table is drawn.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// Columns of the terminal; `None` where nothing needs to be cut, such as in a file.
    pub width: Option<usize>,
    /// Bold and reverse; the severity is a word as well.
    pub color: bool,
}

/// A column, in the order in which they are drawn.
struct Column {
    title: &'static str,
    text: fn(&EventRow) -> Safe,
    /// Least width it is of use with; `None`: it is never cut.
    least: Option<usize>,
    /// Drawn from this width of the terminal on, if there is room; 0: always.
    from: usize,
}

const COLUMNS: [Column; 9] = [
    Column { title: "TIME", text: time, least: None, from: 0 },
    Column {
        title: "SEV",
        text: |e| Safe::from_untrusted(severity(&e.event_severity)),
        least: Some(4),
        from: 0,
    },
    Column { title: "ACTION", text: |e| Safe::from_untrusted(&e.action), least: Some(6), from: 0 },
    Column { title: "TYPE", text: |e| Safe::from_untrusted(&e.event_type), least: Some(12), from: 0 },
    Column { title: "ACTOR", text: actor, least: Some(14), from: 0 },
    Column { title: "RESOURCE", text: resource, least: Some(14), from: 100 },
    Column { title: "IP", text: |e| optional(e.actor_ip.as_ref()), least: None, from: 160 },
    Column { title: "SESSION", text: |e| optional(e.session_id.as_ref()), least: Some(8), from: 160 },
    Column { title: "EVENT", text: |e| Safe::from_untrusted(&e.event_id), least: None, from: 80 },
];

const GAP: usize = 2;
const BOLD: &str = "\x1b[1m";
const REVERSE_BOLD: &str = "\x1b[1;7m";
const RESET: &str = "\x1b[0m";

fn time(event: &EventRow) -> Safe {
    // Whole seconds are enough to read by; `show` and the other formats have them all.
    let text = event.timestamp.to_rfc3339();
    match text.split_once('.') {
        Some((seconds, _)) => Safe::from_untrusted(&format!("{}Z", seconds.replace('T', " "))),
        None => Safe::from_untrusted(&text),
    }
}

fn severity(word: &str) -> &str {
    match word {
        "info" => "INFO",
        "warning" => "WARN",
        "critical" => "CRIT",
        other => other,
    }
}

/// Who acted, as lists name them.
pub fn actor(event: &EventRow) -> Safe {
    let (prefix, name) = event.actor_name();
    Safe::from_untrusted(&format!("{prefix}{name}"))
}

fn resource(event: &EventRow) -> Safe {
    Safe::from_untrusted(&format!("{}/{}", event.resource_type, event.resource_id))
}

fn optional(text: Option<&String>) -> Safe {
    Safe::from_untrusted(text.map_or("", String::as_str))
}

/// Writes a header and a line for each event.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_list<'a>(
    out: &mut impl Write,
    events: impl IntoIterator<Item = &'a EventRow>,
    style: Style,
) -> io::Result<()> {
    List::default().write(out, events, style)
}

/// A table that is written part by part, as events are found.
#[derive(Debug, Default)]
pub struct List {
    /// The widest cell of each column so far.
    natural: [usize; COLUMNS.len()],
    /// The widths in force, once there is a header.
    widths: Option<[Option<usize>; COLUMNS.len()]>,
}

impl List {
    /// Writes a line for each event, behind a header. Columns never become narrower; where these events need wider ones
    /// than those before, there is another header.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write<'a>(
        &mut self,
        out: &mut impl Write,
        events: impl IntoIterator<Item = &'a EventRow>,
        style: Style,
    ) -> io::Result<()> {
        let rows: Vec<(&EventRow, [Safe; COLUMNS.len()])> =
            events.into_iter().map(|e| (e, COLUMNS.each_ref().map(|c| (c.text)(e)))).collect();
        for (at, (natural, column)) in self.natural.iter_mut().zip(&COLUMNS).enumerate() {
            let widest = rows.iter().filter_map(|(_, cells)| cells.get(at)).map(Safe::width).max();
            *natural = (*natural).max(column.title.len()).max(widest.unwrap_or(0));
        }
        let widths = fit(self.natural, style.width);
        if self.widths.replace(widths) != Some(widths) {
            let header = COLUMNS.each_ref().map(|c| Safe::literal(c.title));
            write_line(out, &header, &widths, if style.color { BOLD } else { "" }, "")?;
        }
        for (event, cells) in &rows {
            let severity = match event.event_severity.as_str() {
                "critical" if style.color => REVERSE_BOLD,
                "warning" if style.color => BOLD,
                _ => "",
            };
            write_line(out, cells, &widths, "", severity)?;
        }
        Ok(())
    }
}

/// One line; `line` styles all of it, `severity` that column.
fn write_line(
    out: &mut impl Write,
    cells: &[Safe; COLUMNS.len()],
    widths: &[Option<usize>; COLUMNS.len()],
    line: &str,
    severity: &str,
) -> io::Result<()> {
    write!(out, "{line}")?;
    // Blanks are written when something follows them, so that no line ends with any.
    let mut pending = 0;
    for ((cell, width), column) in cells.iter().zip(widths).zip(&COLUMNS) {
        let Some(width) = *width else { continue };
        let cell = cut(cell, width);
        let style = if column.title == "SEV" { severity } else { "" };
        if cell.width() > 0 {
            let reset = if style.is_empty() { "" } else { RESET };
            write!(out, "{:pending$}{style}{cell}{reset}", "")?;
            pending = 0;
        }
        pending += width - cell.width().min(width) + GAP;
    }
    writeln!(out, "{}", if line.is_empty() { "" } else { RESET })
}

/// Cuts ids in the middle; of an e-mail address only the part before the domain, where that is enough.
fn cut(cell: &Safe, width: usize) -> Safe {
    if cell.width() > width
        && let Some((name, domain)) = cell.as_str().rsplit_once('@')
        && let Some(room) = width.checked_sub(Safe::composed(domain).width() + 1)
        && room >= 2
    {
        return Safe::composed(&format!("{}@{domain}", Safe::composed(name).cut_end(room)));
    }
    cell.cut_middle(width)
}

/// The width of each column, `None` for those that are left out: first what all need, the rest in order.
fn fit(natural: [usize; COLUMNS.len()], width: Option<usize>) -> [Option<usize>; COLUMNS.len()] {
    let Some(width) = width else { return natural.map(Some) };
    let least = |at: usize, column: &Column| {
        let natural = natural.get(at).copied().unwrap_or(0);
        column.least.map_or(natural, |least| natural.min(least))
    };
    let mut widths = [None; COLUMNS.len()];
    let mut free = width + GAP;
    for from in [0, 80, 100, 160] {
        for (at, column) in COLUMNS.iter().enumerate().filter(|(_, c)| c.from == from && from <= width) {
            let need = least(at, column) + GAP;
            if from == 0 || need <= free {
                free = free.saturating_sub(need);
                if let Some(slot) = widths.get_mut(at) {
                    *slot = Some(need - GAP);
                }
            }
        }
    }
    for (slot, natural) in widths.iter_mut().zip(natural) {
        if let Some(width) = slot {
            let more = natural.saturating_sub(*width).min(free);
            *width += more;
            free -= more;
        }
    }
    widths
}

/// Writes the columns of one event, one a line, and its states laid out.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_event(out: &mut impl Write, event: Record<'_>, style: Style) -> io::Result<()> {
    let (bold, reset) = if style.color { (BOLD, RESET) } else { ("", "") };
    for (name, value) in event.values() {
        write!(out, "{bold}{name:<18}{reset}")?;
        match value {
            Value::Null => writeln!(out, "-")?,
            Value::Text(text) if text.is_empty() => writeln!(out, "\"\"")?,
            Value::Text(text) => writeln!(out, "{}", Safe::from_untrusted(&text))?,
            Value::Json(state) => {
                for (n, line) in pretty(state.as_str(), Limits::NONE).iter().enumerate() {
                    writeln!(out, "{:indent$}{line}", "", indent = if n == 0 { 0 } else { 18 })?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rows: &[EventRow], style: Style) -> String {
        let mut out = Vec::new();
        write_list(&mut out, rows, style).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn rows() -> Vec<EventRow> {
        vec![
            EventRow {
                event_severity: "critical".into(),
                actor_ip: Some("203.0.113.7".into()),
                ..EventRow::sample()
            },
            EventRow {
                event_id: "evt-000300000".into(),
                actor_email: Some("a.very.long.name@corp.example".into()),
                event_type: "\u{1b}]52;c;AAAA\u{7}".into(),
                session_id: Some("s-1".into()),
                resource_id: "r".repeat(64),
                ..EventRow::sample()
            },
        ]
    }

    #[test]
    fn a_table_in_parts_has_another_header_where_a_part_needs_wider_columns() {
        let style = Style { width: None, color: false };
        let rows = rows();
        let part = |table: &mut List, row| {
            let mut out = Vec::new();
            table.write(&mut out, [row], style).unwrap();
            String::from_utf8(out).unwrap()
        };
        let mut table = List::default();
        let lines: Vec<usize> =
            [&rows[0], &rows[0], &rows[1], &rows[0]].map(|row| part(&mut table, row).lines().count()).into();
        assert_eq!(lines, [2, 1, 2, 1]);
        let whole = list(&rows, style);
        assert!(whole.ends_with(&part(&mut table, &rows[1])), "the widths of the whole");
    }

    #[test]
    fn what_does_not_fit_is_left_out_or_cut_in_the_middle() {
        insta::assert_snapshot!(list(&rows(), Style { width: Some(80), color: false }), @r#"
        TIME                  SEV   ACTION  TYPE           ACTOR           EVENT
        2026-01-05 08:01:01Z  CRIT  create  user.created   u-1             evt-1
        2026-01-05 08:01:01Z  INFO  create  \x1B]5…AA\x07  a.very.…xample  evt-000300000
        "#);
        insta::assert_snapshot!(list(&rows(), Style { width: Some(120), color: false }), @r#"
        TIME                  SEV   ACTION  TYPE                ACTOR                          RESOURCE            EVENT
        2026-01-05 08:01:01Z  CRIT  create  user.created        u-1                            user/u-2            evt-1
        2026-01-05 08:01:01Z  INFO  create  \x1B]52;c;AAAA\x07  a.very.long.name@corp.example  user/rrrr…rrrrrrrr  evt-000300000
        "#);
        insta::assert_snapshot!(list(&rows(), Style::default()), @r#"
        TIME                  SEV   ACTION  TYPE                ACTOR                          RESOURCE                                                               IP           SESSION  EVENT
        2026-01-05 08:01:01Z  CRIT  create  user.created        u-1                            user/u-2                                                               203.0.113.7           evt-1
        2026-01-05 08:01:01Z  INFO  create  \x1B]52;c;AAAA\x07  a.very.long.name@corp.example  user/rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr               s-1      evt-000300000
        "#);
        for width in 64..200 {
            let style = Style { width: Some(width), color: false };
            let widest = list(&rows(), style).lines().map(|l| Safe::composed(l).width()).max();
            assert!(widest <= Some(width), "{widest:?} in {width}");
        }
    }

    #[test]
    fn severity_is_a_word_and_a_style() {
        let shown = list(&rows()[..1], Style { width: Some(80), color: true });
        assert!(shown.contains("\u{1b}[1;7mCRIT\u{1b}[0m"), "{shown:?}");
    }

    #[test]
    fn an_event_is_shown_whole() {
        let event = crate::domain::Event {
            row: EventRow { actor_user_agent: Some("\u{202e}x".into()), ..EventRow::sample() },
            previous_state: None,
            new_state: Some(crate::domain::Json::from_trusted(r#"{"role": "viewer", "n": 1.10}"#)),
        };
        let mut out = Vec::new();
        write_event(&mut out, Record::from(&event), Style::default()).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        event_id          evt-1
        timestamp         2026-01-05T08:01:01.147504Z
        organization_id   org-1
        project_id        -
        actor_type        user
        actor_id          u-1
        actor_email       -
        actor_ip          -
        actor_user_agent  \u{202E}x
        event_category    admin
        event_type        user.created
        event_severity    info
        resource_type     user
        resource_id       u-2
        resource_name     -
        action            create
        previous_state    -
        new_state         {
                            "role": "viewer",
                            "n": 1.10
                          }
        request_id        r-1
        session_id        -
        hash              00ff
        previous_hash     ""
        "#);
    }
}
