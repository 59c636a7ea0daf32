use super::*;
use crate::domain::Safe;

const HOSTILE: &str = "</td></table><script>alert(1)</script><img src=x onerror=y>\u{1b}[31m\u{202e}[x](http://y) `z` |a| # b\n> c";

fn hostile() -> Document {
    let text = || HOSTILE.to_owned();
    let pair = || vec![(text(), text())];
    let card = Card {
        title: text(),
        facts: pair(),
        integrity: (Tone::Bad, vec![text()]),
        changes: vec![Changed { mark: '+', text: Safe::from_untrusted(HOSTILE).to_string() }],
        remarks: vec![Remark { head: text(), text: text() }],
    };
    Document {
        title: text(),
        blocks: vec![
            Block::Section(text()),
            Block::Paragraph(text()),
            Block::List(vec![text()]),
            Block::Facts(pair()),
            Block::Table(vec![text(), text()], vec![vec![text()], vec![text(), text()]]),
            Block::Card(Box::new(card)),
            Block::Form(vec![text(), text()], vec![text()]),
        ],
    }
}

fn written(document: &Document, form: Form) -> String {
    let mut out = Vec::new();
    write(&mut out, document, form).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn no_text_becomes_a_tag_or_a_mark() {
    let html = written(&hostile(), Form::Html);
    for tag in ["<script", "<img", "onerror=y>", "\u{1b}", "\u{202e}"] {
        assert!(!html.contains(tag), "{tag}: {html}");
    }
    assert!(html.contains("&lt;script&gt;") && html.contains("\\x1B[31m\\u{202E}"), "{html}");
    // As many ends as beginnings: no text has ended an element.
    for tag in ["table", "td", "th", "section", "blockquote", "ul", "li", "p", "pre", "ins", "h1", "h2", "h3"]
    {
        let count = |what: &str| html.matches(what).count();
        let begun = count(&format!("<{tag}>")) + count(&format!("<{tag} "));
        assert_eq!(begun, count(&format!("</{tag}>")), "{tag}");
    }
    let markdown = written(&hostile(), Form::Markdown);
    for mark in ["<script", "<img", "[x](", " `z`", "\u{1b}", "\n# b", "\n> c"] {
        let outside: String =
            markdown.lines().filter(|line| !line.starts_with("    ")).collect::<Vec<_>>().join("\n");
        assert!(!outside.contains(mark), "{mark}: {outside}");
    }
    // Each row of a table is a line with its cells, whatever they hold.
    for line in markdown.lines().filter(|line| line.starts_with('|')) {
        let bars = line.replace("\\|", "").matches('|').count();
        assert_eq!(bars, 3, "{line}");
    }
}

#[test]
fn html_stands_for_itself() {
    let html = written(&hostile(), Form::Html);
    assert!(html.contains("default-src 'none'; style-src 'unsafe-inline'"));
    for from_elsewhere in ["src=\"", "href=", "url(", "@import", "<link", "<iframe"] {
        assert!(!html.contains(from_elsewhere), "{from_elsewhere}");
    }
    assert!(html.contains("@media print"));
}
