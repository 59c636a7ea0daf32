//! A document as one file of HTML: its styles inside, no script, nothing from elsewhere. A policy in its head forbids both,
//! so that also a fault of ours would stay inert.

use super::{Block, Card, Document, Remark, Tone};
use crate::domain::Safe;
use std::io::{self, Write};

const STYLE: &str = "
:root{color-scheme:light}
body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}
h1{font-size:1.7rem}h2{margin-top:2.2rem;border-bottom:2px solid #111}h3{margin:0 0 .5rem;font-size:1.05rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}th,td{text-align:left;vertical-align:top;padding:.15rem .6rem .15rem 0;border-bottom:1px solid #ddd;overflow-wrap:anywhere}
.facts th{width:11rem;font-weight:600;color:#444}
.card{border:1px solid #999;border-radius:.4rem;padding:.8rem 1rem;margin:1rem 0;break-inside:avoid}
.integrity{border-left:.35rem solid #888;padding-left:.7rem;margin:.6rem 0;list-style:none}
.good{border-color:#0072b2}.unknown{border-color:#e69f00}.bad{border-color:#d55e00;font-weight:600}
pre{background:#f4f4f4;padding:.5rem .7rem;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem}
ins{text-decoration:none;color:#0072b2}del{text-decoration:none;color:#a34700}
blockquote{margin:.6rem 0;padding:.3rem .8rem;border-left:.35rem solid #111;background:#fafafa}blockquote b{display:block}
.form td{height:2.4rem;border:1px solid #111;padding:.2rem .5rem}.form th{border:1px solid #111;padding:.2rem .5rem}
@media print{body{margin:0;max-width:none;font-size:11px}h2{break-after:avoid}.card,blockquote,tr{break-inside:avoid}.form{break-before:auto}}
@page{margin:18mm 15mm}
";

pub(super) fn write(out: &mut impl Write, document: &Document) -> io::Result<()> {
    let title = escaped(&document.title);
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>"
    )?;
    for block in &document.blocks {
        match block {
            Block::Section(title) => writeln!(out, "<h2>{}</h2>", escaped(title))?,
            Block::Paragraph(text) => writeln!(out, "<p>{}</p>", escaped(text))?,
            Block::List(items) => list(out, "", items)?,
            Block::Facts(facts) => write_facts(out, facts)?,
            Block::Table(head, rows) => {
                writeln!(out, "<table>")?;
                row(out, "th", head, head.len())?;
                rows.iter().try_for_each(|cells| row(out, "td", cells, head.len()))?;
                writeln!(out, "</table>")?;
            }
            Block::Card(card) => write_card(out, card)?,
            Block::Form(head, labels) => {
                writeln!(out, "<table class=\"form\">")?;
                row(out, "th", head, head.len())?;
                for label in labels {
                    row(out, "td", std::slice::from_ref(label), head.len())?;
                }
                writeln!(out, "</table>")?;
            }
        }
    }
    writeln!(out, "</body>\n</html>")
}

fn row(out: &mut impl Write, tag: &str, cells: &[String], columns: usize) -> io::Result<()> {
    write!(out, "<tr>")?;
    for n in 0..columns {
        let text = cells.get(n).map(|text| escaped(text)).unwrap_or_default();
        write!(out, "<{tag}>{text}</{tag}>")?;
    }
    writeln!(out, "</tr>")
}

fn list(out: &mut impl Write, class: &str, items: &[String]) -> io::Result<()> {
    writeln!(out, "<ul{class}>")?;
    items.iter().try_for_each(|item| writeln!(out, "<li>{}</li>", escaped(item)))?;
    writeln!(out, "</ul>")
}

fn write_facts(out: &mut impl Write, facts: &[(String, String)]) -> io::Result<()> {
    writeln!(out, "<table class=\"facts\">")?;
    for (name, value) in facts {
        writeln!(out, "<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value))?;
    }
    writeln!(out, "</table>")
}

fn write_card(out: &mut impl Write, card: &Card) -> io::Result<()> {
    writeln!(out, "<section class=\"card\">\n<h3>{}</h3>", escaped(&card.title))?;
    write_facts(out, &card.facts)?;
    let class = match card.integrity.0 {
        Tone::Plain => " class=\"integrity\"",
        Tone::Good => " class=\"integrity good\"",
        Tone::Unknown => " class=\"integrity unknown\"",
        Tone::Bad => " class=\"integrity bad\"",
    };
    list(out, class, &card.integrity.1)?;
    if !card.changes.is_empty() {
        write!(out, "<pre>")?;
        for change in &card.changes {
            let line = escaped(&format!("{} {}", change.mark, Safe::composed(&change.text)));
            match change.mark {
                '+' => writeln!(out, "<ins>{line}</ins>")?,
                '-' => writeln!(out, "<del>{line}</del>")?,
                _ => writeln!(out, "{line}")?,
            }
        }
        writeln!(out, "</pre>")?;
    }
    for Remark { head, text } in &card.remarks {
        let lines: Vec<String> = text.lines().map(escaped).collect();
        writeln!(out, "<blockquote><b>{}</b>{}</blockquote>", escaped(head), lines.join("<br>"))?;
    }
    writeln!(out, "</section>")
}

/// Text between tags: nothing in it is a tag, an entity or an attribute, and nothing hides.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in Safe::composed(text).as_str().chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}
