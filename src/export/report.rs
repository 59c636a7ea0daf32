//! Plans, sums and histograms as lines for people.

use crate::domain::{Safe, Timestamp};
use crate::store::explain::{Explanation, Node, Weight};
use crate::store::histogram::Histogram;
use crate::store::summary::{By, Summary};
use crate::store::timeline::Query;
use std::io::{self, Write};

/// Columns of the lines where nothing says how wide they may be.
const WIDTH: usize = 120;
/// Width of the bars there.
const BAR: usize = 60;

/// Writes how a page is found, in plain words: first what is asked for.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_findings(
    out: &mut impl Write,
    query: &Query,
    explanation: &Explanation,
    width: Option<usize>,
) -> io::Result<()> {
    let (width, longest) = (width.unwrap_or(WIDTH), width.unwrap_or(usize::MAX));
    let filter = query.filter.canonical();
    let filter = if filter.is_empty() { "(every event)" } else { &filter };
    writeln!(out, "filter  {}\n", Safe::from_untrusted(filter))?;
    for finding in &explanation.findings {
        let mark = match finding.weight {
            Weight::Good => "good",
            Weight::Note => "note",
            Weight::Slow => "SLOW",
        };
        write_hanging(out, &format!("{mark}  "), &finding.text, width)?;
        if let Some(sql) = &finding.sql {
            // In one piece where it may be as long as it is.
            write_hanging(out, "      ", sql, longest)?;
        }
    }
    Ok(())
}

/// Writes the statements of a page, with the server's plans.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_statements(
    out: &mut impl Write,
    explanation: &Explanation,
    width: Option<usize>,
) -> io::Result<()> {
    let width = width.unwrap_or(WIDTH);
    for (n, statement) in explanation.statements.iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        writeln!(out, "sql")?;
        for line in wrapped(&statement.sql, width.saturating_sub(2)) {
            writeln!(out, "  {}", Safe::from_untrusted(line))?;
        }
        writeln!(out, "\nplan")?;
        write_node(out, &statement.plan, 1, width)?;
        if let (Some(planning), Some(execution)) = (statement.planning_ms, statement.execution_ms) {
            writeln!(out, "  planned in {planning:.1} ms, run in {execution:.1} ms")?;
        }
    }
    Ok(())
}

/// A node and what it takes its rows from, one step to the right.
fn write_node(out: &mut impl Write, node: &Node, depth: usize, width: usize) -> io::Result<()> {
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
        (Some(rows), Some(loops)) => line.push_str(&format!(", {} came", rows * loops)),
        _ => {}
    }
    if let Some(blocks) = node.blocks() {
        line.push_str(&format!(", {blocks} blocks"));
    }
    write_hanging(out, &indent, &line, width)?;
    let sort = (!node.sort_key.is_empty()).then(|| node.sort_key.join(", "));
    for (what, text) in [("index", &node.index_condition), ("filter", &node.filter), ("order", &sort)] {
        if let Some(text) = text {
            write_hanging(out, &format!("{indent}    {what}: "), text, width)?;
        }
    }
    if let Some(dropped) = node.rows_dropped.filter(|rows| *rows > 0.0) {
        writeln!(out, "{indent}    {dropped} rows did not pass the filter")?;
    }
    node.children.iter().try_for_each(|child| write_node(out, child, depth + 1, width))
}

/// A text behind `lead`, which is not from outside; further lines stand below its beginning.
fn write_hanging(out: &mut impl Write, lead: &str, text: &str, width: usize) -> io::Result<()> {
    let text = Safe::from_untrusted(text).to_string();
    let indent = lead.chars().count();
    for (n, line) in wrapped(&text, width.saturating_sub(indent)).into_iter().enumerate() {
        if n == 0 {
            writeln!(out, "{lead}{line}")?;
        } else {
            writeln!(out, "{:indent$}{line}", "")?;
        }
    }
    Ok(())
}

/// Lines of at most `width` characters, broken at blanks where there are any.
fn wrapped(text: &str, width: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while rest.chars().count() > width.max(20) {
        let end = rest.char_indices().nth(width.max(20)).map_or(rest.len(), |(at, _)| at);
        let end = rest.get(..end).and_then(|head| head.rfind(' ')).filter(|at| *at > 0).unwrap_or(end);
        let (line, behind) = rest.split_at(end);
        lines.push(line);
        rest = behind.trim_start();
    }
    lines.push(rest);
    lines
}

/// Writes a line with a bar for each stretch of time.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_histogram(out: &mut impl Write, histogram: &Histogram, width: Option<usize>) -> io::Result<()> {
    let most = histogram.buckets.iter().map(|b| b.events).max().unwrap_or_default();
    let digits = most.to_string().len();
    let minute = |t: Timestamp| match t.to_utc() {
        Some(t) => t
            .format(if histogram.seconds < 60 { "%Y-%m-%d %H:%M:%SZ" } else { "%Y-%m-%d %H:%MZ" })
            .to_string(),
        None => t.to_rfc3339(),
    };
    let room = width.map_or(BAR, |width| width.saturating_sub(22 + digits)).max(10);
    for bucket in &histogram.buckets {
        let length = (bucket.events as f64 / most.max(1) as f64 * room as f64).ceil() as usize;
        let bar = "█".repeat(length);
        let gap = if bar.is_empty() { "" } else { "  " };
        writeln!(out, "{}  {:>digits$}{gap}{bar}", minute(bucket.start), bucket.events)?;
    }
    Ok(())
}

/// Writes a line for each group, columns as wide as what stands in them.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_summary(out: &mut impl Write, by: &[By], summary: &Summary, actors: bool) -> io::Result<()> {
    let mut lines: Vec<Vec<Safe>> =
        vec![by.iter().map(|by| Safe::from_untrusted(&by.name().to_uppercase())).collect()];
    if let Some(header) = lines.first_mut() {
        header.push(Safe::literal("EVENTS"));
        header.extend(actors.then(|| Safe::literal("ACTORS")));
    }
    for group in &summary.groups {
        let keys = group.keys.iter().map(|key| Safe::from_untrusted(key.as_deref().unwrap_or("-")));
        let mut line: Vec<Safe> = keys.collect();
        line.push(Safe::from_untrusted(&group.events.to_string()));
        line.extend(group.actors.map(|n| Safe::from_untrusted(&n.to_string())));
        lines.push(line);
    }
    let width =
        |column: usize| lines.iter().filter_map(|l| l.get(column)).map(Safe::width).max().unwrap_or(0);
    for line in &lines {
        for (column, cell) in line.iter().enumerate() {
            let gap = " ".repeat(width(column) - cell.width());
            let separator = if column == 0 { "" } else { "  " };
            // Numbers stand to the right.
            if column < by.len() {
                write!(out, "{separator}{cell}{gap}")?;
            } else {
                write!(out, "{separator}{gap}{cell}")?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_break_at_blanks_and_lose_nothing() {
        let text = "SELECT event_id, timestamp FROM audit_events WHERE organization_id = $1";
        for width in [0, 20, 25, 40, 200] {
            let lines = wrapped(text, width);
            assert_eq!(lines.join(" "), text);
            assert!(lines.iter().all(|line| line.len() <= width.max(20)), "{lines:?}");
        }
        assert_eq!(wrapped(&"x".repeat(50), 20).concat(), "x".repeat(50));
    }
}
