//! A document in GitHub's Markdown.

use super::{Block, Card, Document, Remark};
use crate::export::markdown::inert;
use std::io::{self, Write};

pub(super) fn write(out: &mut impl Write, document: &Document) -> io::Result<()> {
    writeln!(out, "# {}", inert(&document.title))?;
    for block in &document.blocks {
        writeln!(out)?;
        match block {
            Block::Section(title) => writeln!(out, "## {}", inert(title))?,
            Block::Paragraph(text) => writeln!(out, "{}", inert(text))?,
            Block::List(items) => items.iter().try_for_each(|item| writeln!(out, "- {}", inert(item)))?,
            Block::Facts(facts) => table(out, &["", ""].map(str::to_owned), &pairs(facts))?,
            Block::Table(head, rows) => table(out, head, rows)?,
            Block::Card(card) => write_card(out, card)?,
            Block::Form(head, labels) => {
                let rows: Vec<Vec<String>> = labels.iter().map(|label| vec![label.clone()]).collect();
                table(out, head, &rows)?;
            }
        }
    }
    Ok(())
}

fn pairs(facts: &[(String, String)]) -> Vec<Vec<String>> {
    facts.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect()
}

/// A table; cells that a row lacks are empty.
fn table(out: &mut impl Write, head: &[String], rows: &[Vec<String>]) -> io::Result<()> {
    let line = |cells: &[String]| {
        let cell = |n: usize| cells.get(n).map(|text| inert(text)).unwrap_or_default();
        format!("| {} |", (0..head.len()).map(cell).collect::<Vec<_>>().join(" | "))
    };
    writeln!(out, "{}\n|{}", line(head), " --- |".repeat(head.len()))?;
    rows.iter().try_for_each(|row| writeln!(out, "{}", line(row)))
}

fn write_card(out: &mut impl Write, card: &Card) -> io::Result<()> {
    writeln!(out, "### {}\n", inert(&card.title))?;
    table(out, &["", ""].map(str::to_owned), &pairs(&card.facts))?;
    writeln!(out)?;
    card.integrity.1.iter().try_for_each(|line| writeln!(out, "- {}", inert(line)))?;
    if !card.changes.is_empty() {
        writeln!(out)?;
        // Indented: no line of it can end the block.
        for change in &card.changes {
            writeln!(out, "    {} {}", change.mark, crate::domain::Safe::composed(&change.text))?;
        }
    }
    for Remark { head, text } in &card.remarks {
        writeln!(out, "\n> **{}**", inert(head))?;
        for line in text.lines() {
            writeln!(out, ">\n> {}", inert(line))?;
        }
    }
    Ok(())
}
