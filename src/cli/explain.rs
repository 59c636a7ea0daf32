//! `agenttrace explain`

use super::asked::{Window, wants_json};
use super::filter::{FilterArgs, HELP};
use super::{Context, Out};
use crate::domain::Safe;
use crate::error::Result;
use crate::export::json;
use crate::store::explain::{self, Explanation, Node, Weight};
use crate::store::timeline::{Query, Seek};
use std::io::{self, Write};

/// Arguments of `explain`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HELP)]
pub struct ExplainArgs {
    /// What is to be explained
    #[command(flatten)]
    pub asked: FilterArgs,
    /// Run the statement too, to tell real rows, blocks and times
    #[arg(long)]
    pub analyze: bool,
    /// Rows of the page
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// Runs it.
///
/// # Errors
/// Exit 2 for a filter that cannot be read, exit 3 when the database cannot be.
pub(super) async fn run(context: &Context, args: ExplainArgs) -> Result<()> {
    let json = wants_json(context, "explain")?;
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let query = args.asked.query(context, &reader, scope, &cancel).await?;
    let explanation =
        explain::page(&reader.db, &query, &Seek::Newest, args.limit as usize, args.analyze, &cancel).await?;
    let mut out = context.out.results();
    if json {
        json::write_line(&mut out, &document(&query, &explanation))?;
    } else {
        write(&mut out, &query, &explanation, context.out)?;
    }
    Ok(out.flush()?)
}

fn document<'a>(query: &'a Query, explanation: &'a Explanation) -> impl serde::Serialize + 'a {
    #[derive(serde::Serialize)]
    struct Document<'a> {
        schema_version: u32,
        organization_id: &'a str,
        filter: String,
        window: Window,
        #[serde(flatten)]
        explanation: &'a Explanation,
    }
    Document {
        schema_version: json::SCHEMA_VERSION,
        organization_id: query.scope.organization().as_str(),
        filter: query.filter.canonical(),
        window: query.range.into(),
        explanation,
    }
}

fn write(out: &mut impl Write, query: &Query, explanation: &Explanation, style: Out) -> io::Result<()> {
    let width = style.style().width.unwrap_or(120);
    let filter = query.filter.canonical();
    let filter = if filter.is_empty() { "(every event)" } else { &filter };
    writeln!(out, "filter  {}", Safe::from_untrusted(filter))?;
    for statement in &explanation.statements {
        writeln!(out, "\nsql")?;
        for line in wrapped(&statement.sql, width.saturating_sub(2)) {
            writeln!(out, "  {}", Safe::from_untrusted(line))?;
        }
        writeln!(out, "\nplan")?;
        write_node(out, &statement.plan, 1)?;
        if let (Some(planning), Some(execution)) = (statement.planning_ms, statement.execution_ms) {
            writeln!(out, "  planned in {planning:.1} ms, run in {execution:.1} ms")?;
        }
    }
    writeln!(out)?;
    for finding in &explanation.findings {
        let mark = match finding.weight {
            Weight::Good => "good",
            Weight::Note => "note",
            Weight::Slow => "SLOW",
        };
        writeln!(out, "{mark}  {}", Safe::from_untrusted(&finding.text))?;
    }
    Ok(())
}

/// A node and what it takes its rows from, one step to the right.
fn write_node(out: &mut impl Write, node: &Node, depth: usize) -> io::Result<()> {
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
    writeln!(out, "{indent}{}", Safe::from_untrusted(&line))?;
    let sort = (!node.sort_key.is_empty()).then(|| node.sort_key.join(", "));
    for (what, text) in [("index", &node.index_condition), ("filter", &node.filter), ("order", &sort)] {
        if let Some(text) = text {
            writeln!(out, "{indent}    {what}: {}", Safe::from_untrusted(text))?;
        }
    }
    if let Some(dropped) = node.rows_dropped.filter(|rows| *rows > 0.0) {
        writeln!(out, "{indent}    {dropped} rows did not pass the filter")?;
    }
    node.children.iter().try_for_each(|child| write_node(out, child, depth + 1))
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
