//! Plans, totals and histograms as lines for people. Lines are data: the command line writes them, the console paints them.

use crate::domain::{Safe, Timestamp, grouped};
use crate::store::aggregate::histogram::{Bucket, Histogram};
use crate::store::aggregate::summary::{By, Summary};
use crate::store::listing::explain::{Explanation, Node, Weight};
use crate::store::query::Query;
use std::io::{self, Write};

/// Columns of the lines where nothing says how wide they may be.
const WIDTH: usize = 120;
/// Width of the bars there.
const BAR: usize = 60;
/// A line is never broken at fewer columns.
const NARROWEST: usize = 20;

/// What a part of a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A word that says what follows.
    Label,
    /// A finding that is good.
    Good,
    /// A finding to note.
    Note,
    /// A finding that costs time.
    Slow,
    /// A bar of a histogram.
    Bar,
    /// The part of a bar that stands for warnings.
    WarningBar,
    /// The part of a bar that stands for critical events.
    CriticalBar,
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What it is.
    pub kind: Kind,
    /// Its text.
    pub text: Safe,
}

/// A line of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(pub Vec<Span>);

impl Line {
    fn new(kind: Kind, text: &str) -> Self {
        Self(vec![Span { kind, text: Safe::composed(text) }])
    }

    /// A line of plain text.
    pub fn text(text: &str) -> Self {
        Self::new(Kind::Text, text)
    }

    fn and(mut self, kind: Kind, text: Safe) -> Self {
        self.0.push(Span { kind, text });
        self
    }
}

/// Writes lines.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(out: &mut impl Write, lines: &[Line]) -> io::Result<()> {
    for line in lines {
        for span in &line.0 {
            write!(out, "{}", span.text)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// How a page is found, in plain words: first the filter. `width` is in columns.
pub fn findings(query: &Query, explanation: &Explanation, width: Option<usize>) -> Vec<Line> {
    let (width, longest) = (width.unwrap_or(WIDTH), width.unwrap_or(usize::MAX));
    let filter = query.filter.canonical();
    let filter = if filter.is_empty() { "(every event)" } else { &filter };
    let mut lines = hanging(Kind::Label, "filter  ", &Safe::composed(filter), longest);
    lines.push(Line::default());
    for finding in &explanation.findings {
        let (kind, mark) = match finding.weight {
            Weight::Good => (Kind::Good, "good"),
            Weight::Note => (Kind::Note, "note"),
            // It was run, and nobody had to wait.
            Weight::Slow if is_quick(explanation) => (Kind::Note, "note"),
            Weight::Slow => (Kind::Slow, "slow"),
        };
        lines.extend(hanging(kind, &format!("{mark}  "), &Safe::from_untrusted(&finding.text), width));
        if let Some(sql) = &finding.sql {
            // In one piece where it may be as long as it is.
            lines.extend(hanging(Kind::Text, "      ", &Safe::from_untrusted(sql), longest));
        }
    }
    lines
}

/// Below this time nobody waits, in milliseconds.
const QUICK: f64 = 200.0;

/// Whether the statements were run, and that took no time to speak of.
fn is_quick(explanation: &Explanation) -> bool {
    let times = explanation.statements.iter().map(|statement| statement.execution_ms);
    times.sum::<Option<f64>>().is_some_and(|all| all < QUICK) && !explanation.statements.is_empty()
}

/// The statements of a page, with the server's plans. `width` is in columns.
pub fn statements(explanation: &Explanation, width: Option<usize>) -> Vec<Line> {
    let width = width.unwrap_or(WIDTH);
    let mut lines = Vec::new();
    for (n, statement) in explanation.statements.iter().enumerate() {
        if n > 0 {
            lines.push(Line::default());
        }
        lines.push(Line::new(Kind::Label, "sql"));
        lines.extend(hanging(Kind::Text, "  ", &Safe::composed(&statement.sql), width));
        lines.push(Line::default());
        lines.push(Line::new(Kind::Label, "plan"));
        node(&mut lines, &statement.plan, 1, width);
        if let (Some(planning), Some(execution)) = (statement.planning_ms, statement.execution_ms) {
            lines.push(Line::text(&format!("  planned in {planning:.1} ms, run in {execution:.1} ms")));
        }
    }
    lines
}

/// A node and what it takes its rows from, one step to the right.
fn node(lines: &mut Vec<Line>, node: &Node, depth: usize, width: usize) {
    let indent = "  ".repeat(depth);
    let mut line = node.operation.clone();
    for (word, name) in [("using", &node.index), ("on", &node.relation)] {
        if let Some(name) = name {
            line.push_str(&format!(" {word} {name}"));
        }
    }
    line.push_str(&format!("  ~{} rows", node.rows_estimated));
    match (node.rows_real, node.loops) {
        (_, Some(0.0)) => line.push_str(", not needed"),
        (Some(rows), Some(loops)) => line.push_str(&format!(", read {}", rows * loops)),
        _ => {}
    }
    if let Some(blocks) = node.blocks() {
        line.push_str(&format!(", {blocks} blocks"));
    }
    lines.extend(hanging(Kind::Text, &indent, &Safe::from_untrusted(&line), width));
    let sort = (!node.sort_key.is_empty()).then(|| node.sort_key.join(", "));
    for (what, text) in [("index", &node.index_condition), ("filter", &node.filter), ("order", &sort)] {
        if let Some(text) = text {
            let lead = format!("{indent}    {what}: ");
            lines.extend(hanging(Kind::Text, &lead, &Safe::from_untrusted(text), width));
        }
    }
    if let Some(dropped) = node.rows_dropped.filter(|rows| *rows > 0.0) {
        lines.push(Line::text(&format!("{indent}    {dropped} rows did not pass the filter")));
    }
    for child in &node.children {
        self::node(lines, child, depth + 1, width);
    }
}

/// A text behind `lead`, which is not from outside; further lines stand below its beginning.
fn hanging(kind: Kind, lead: &str, text: &Safe, width: usize) -> Vec<Line> {
    let indent = lead.len();
    let texts = text.wrapped_words(width.saturating_sub(indent).max(NARROWEST), 0).into_iter();
    texts
        .enumerate()
        .map(|(n, text)| {
            let lead = if n == 0 { Line::new(kind, lead) } else { Line::text(&" ".repeat(indent)) };
            lead.and(Kind::Text, text)
        })
        .collect()
}

/// The beginning of a bucket that is so many seconds wide, in UTC.
pub fn bucket_start(start: Timestamp, seconds: i64) -> String {
    match start.to_utc() {
        Some(t) => t.format(if seconds < 60 { "%Y-%m-%d %H:%M:%SZ" } else { "%Y-%m-%d %H:%MZ" }).to_string(),
        None => start.to_rfc3339(),
    }
}

/// From this width on warnings and critical events have columns of their own in a histogram.
const WITH_SEVERITIES: usize = 60;

/// A column of numbers: its head, and the number of a bucket.
type Number = (&'static str, fn(&Bucket) -> u64);

const NUMBERS: [Number; 3] = [("EVENTS", |b| b.events), ("WARN", |b| b.warning), ("CRIT", |b| b.critical)];

/// A line with a bar for each time bucket, behind a line of heads: its beginning as `start` says it, its events, and how many
/// of them are warnings and critical where there are some. `width` is in columns.
pub fn histogram(
    histogram: &Histogram,
    width: Option<usize>,
    start: &dyn Fn(Timestamp, i64) -> String,
) -> Vec<Line> {
    let buckets = &histogram.buckets;
    let most = buckets.iter().map(|b| b.events).max().unwrap_or_default();
    let is_severe = |bucket: &Bucket| bucket.warning + bucket.critical > 0;
    let has_room = width.is_none_or(|width| width >= WITH_SEVERITIES);
    let shown = if buckets.iter().any(is_severe) && has_room { NUMBERS.len() } else { 1 };
    let numbers = NUMBERS.get(..shown).unwrap_or_default();
    let starts: Vec<String> = buckets.iter().map(|b| start(b.start, histogram.seconds)).collect();
    let head = starts.iter().map(String::len).max().unwrap_or_default();
    let digits = |(title, number): &Number| {
        let widest = buckets.iter().map(|bucket| grouped(number(bucket)).chars().count()).max();
        title.len().max(widest.unwrap_or_default())
    };
    let digits: Vec<usize> = numbers.iter().map(digits).collect();
    let columns: usize = digits.iter().map(|digits| digits + 2).sum();
    let room = width.map_or(BAR, |width| width.saturating_sub(head + columns + 2)).max(10);
    let text = |head_text: &str, cell: &dyn Fn(usize) -> String| {
        let cells =
            (0..digits.len()).map(|n| format!("  {:>1$}", cell(n), digits.get(n).copied().unwrap_or(0)));
        format!("{head_text:head$}{}", cells.collect::<String>())
    };
    let heads = text("TIME", &|n| numbers.get(n).map_or_else(String::new, |(title, _)| (*title).to_owned()));
    let line = |(bucket, start): (&Bucket, &String)| {
        let number =
            |n: usize| numbers.get(n).map_or_else(String::new, |(_, number)| grouped(number(bucket)));
        bars(bucket, most, room)
            .into_iter()
            .fold(Line::text(&text(start, &number)), |line, (kind, bar)| line.and(kind, Safe::composed(&bar)))
    };
    let first = (!buckets.is_empty()).then(|| Line::new(Kind::Label, &heads));
    first.into_iter().chain(buckets.iter().zip(&starts).map(line)).collect()
}

/// The bar of a bucket in its parts: critical events, warnings, the others. Never nothing for something, as far as the bar
/// is long enough.
fn bars(bucket: &Bucket, most: u64, room: usize) -> Vec<(Kind, String)> {
    let bar = bar(bucket.events, most, room);
    if bar.is_empty() {
        return Vec::new();
    }
    let cells = |events: u64| match events {
        0 => 0,
        events => ((events as f64 / most.max(1) as f64 * room as f64).round() as usize).max(1),
    };
    let mut rest = bar.chars();
    let mut take = |cells: usize| rest.by_ref().take(cells).collect::<String>();
    let parts = [
        (Kind::CriticalBar, take(cells(bucket.critical))),
        (Kind::WarningBar, take(cells(bucket.warning))),
        (Kind::Bar, take(usize::MAX)),
    ];
    let gap = (Kind::Text, "  ".to_owned());
    std::iter::once(gap).chain(parts.into_iter().filter(|(_, part)| !part.is_empty())).collect()
}

/// Columns of a number of events beside values that are cut for it.
const NUMBER: usize = 14;

/// A bar of `events` in `room` columns for `most`, to an eighth of a column; never nothing for something.
fn bar(events: u64, most: u64, room: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (events as f64 / most.max(1) as f64 * room as f64 * 8.0).round() as usize;
    let eighths = if events > 0 { eighths.max(1) } else { 0 };
    format!("{}{}", "█".repeat(eighths / 8), PARTS.get(eighths % 8).copied().unwrap_or_default())
}

/// A line for each group, columns as wide as what stands in them. In a `width`, in columns, values are cut so that the
/// numbers have room.
pub fn totals(by: &[By], summary: &Summary, actors: bool, width: Option<usize>) -> Vec<Line> {
    let mut rows: Vec<Vec<Safe>> =
        vec![by.iter().map(|by| Safe::from_untrusted(&by.name().to_uppercase())).collect()];
    if let Some(header) = rows.first_mut() {
        header.push(Safe::literal("EVENTS"));
        header.extend(actors.then(|| Safe::literal("ACTORS")));
    }
    for group in &summary.groups {
        let keys = group.keys.iter().map(|key| Safe::from_untrusted(key.as_deref().unwrap_or("-")));
        let mut row: Vec<Safe> = keys.collect();
        row.push(Safe::from_untrusted(&grouped(group.events)));
        row.extend(group.actors.map(|n| Safe::from_untrusted(&grouped(n))));
        rows.push(row);
    }
    if let Some(width) = width {
        let room = width / by.len().max(1);
        let numbers: usize = if actors { 2 * NUMBER } else { NUMBER };
        for row in &mut rows {
            row.iter_mut()
                .take(by.len())
                .for_each(|cell| *cell = cell.cut_middle(room.saturating_sub(numbers)));
        }
    }
    let width = |column: usize| rows.iter().filter_map(|l| l.get(column)).map(Safe::width).max().unwrap_or(0);
    let line = |(n, row): (usize, &Vec<Safe>)| {
        let cell = |(column, cell): (usize, &Safe)| {
            let gap = " ".repeat(width(column) - cell.width());
            let separator = if column == 0 { "" } else { "  " };
            // Numbers stand to the right.
            if column < by.len() {
                format!("{separator}{cell}{gap}")
            } else {
                format!("{separator}{gap}{cell}")
            }
        };
        let text: String = row.iter().enumerate().map(cell).collect();
        Line::new(if n == 0 { Kind::Label } else { Kind::Text }, &text)
    };
    rows.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram_of(buckets: &[(u64, u64, u64)]) -> Histogram {
        let bucket = |(n, (events, warning, critical)): (usize, &(u64, u64, u64))| Bucket {
            start: Timestamp::from_micros(n as i64 * 60_000_000),
            events: *events,
            warning: *warning,
            critical: *critical,
        };
        Histogram { seconds: 60, buckets: buckets.iter().enumerate().map(bucket).collect() }
    }

    #[test]
    fn a_bar_shows_what_is_critical_first_and_never_nothing_for_something() {
        let lines = histogram(
            &histogram_of(&[(1_000, 0, 1), (500, 250, 0), (10, 0, 0), (0, 0, 0)]),
            Some(80),
            &bucket_start,
        );
        let text = |line: &Line| line.0.iter().map(|span| span.text.as_str()).collect::<String>();
        assert_eq!(text(&lines[0]).trim_end(), "TIME               EVENTS  WARN  CRIT");
        assert!(
            text(&lines[2]).starts_with("1970-01-01 00:01Z     500   250     0  █"),
            "{}",
            text(&lines[2])
        );
        let parts = |line: &Line| -> Vec<(Kind, usize)> {
            let bar = line.0.iter().skip(2);
            bar.map(|span| (span.kind, span.text.as_str().chars().count())).collect()
        };
        assert_eq!(parts(&lines[1]), [(Kind::CriticalBar, 1), (Kind::Bar, 40)]);
        assert_eq!(parts(&lines[2]), [(Kind::WarningBar, 10), (Kind::Bar, 11)]);
        assert_eq!(parts(&lines[3]), [(Kind::Bar, 1)]);
        assert_eq!(parts(&lines[4]), []);
        // Where there are none, or no room, there is no column of them.
        for (of, width) in [(histogram_of(&[(7, 0, 0)]), 80), (histogram_of(&[(7, 1, 0)]), 40)] {
            let lines = histogram(&of, Some(width), &bucket_start);
            assert_eq!(text(&lines[0]).trim_end(), "TIME               EVENTS");
        }
        assert!(histogram(&Histogram::default(), None, &bucket_start).is_empty());
    }
}
