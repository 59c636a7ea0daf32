//! Values as text for people: cut to the room there is, secrets masked.

use super::json::{Doc, Limits, NodeId, NodeKind, push_quoted};
use super::rows::View;
use super::rules::Rules;
use crate::domain::Safe;
use crate::domain::mask::COVER;
use unicode_width::UnicodeWidthChar as _;

/// A value in at most `room` columns, and whether it is a mask. Words stand without quotes where nobody can take them
/// for anything but a string.
pub(super) fn shown(doc: &Doc<'_>, id: NodeId, secret: bool, view: &View, room: usize) -> (String, bool) {
    if secret && view.mask {
        return (masked(doc.text(id)), true);
    }
    let text = match doc.string(id) {
        Some(word) if is_word(&word) => word.into_owned(),
        _ => {
            // Of a scalar the size of the whole is told.
            let limit = if doc.kind(id).is_container() { room.saturating_mul(4) } else { usize::MAX };
            let mut out = String::new();
            compact(doc, id, view, false, limit, &mut out);
            out
        }
    };
    if Safe::composed(&text).width() <= room {
        (text, false)
    } else {
        // What is cut may itself be but a beginning: the size is that of the whole value.
        (cut_of(&text, room, doc.text(id).len()), false)
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic())
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '/' | ':'))
        && !matches!(text, "null" | "true" | "false")
}

/// What stands for a secret. Its length is told, its content is not, not even as a hash: short ones can be guessed.
pub fn masked(text: &str) -> String {
    let inner = text.trim().trim_end_matches(',').trim_matches('"');
    format!("‹masked, {} characters›", inner.chars().count())
}

/// A JSON text as it reads under the [mask](crate::domain::mask): the insides of secrets covered, everything else as it is
/// and where it is. Of a text that cannot be read, as of the beginning of a large one, all values are covered.
pub fn covered(text: &str, rules: &Rules) -> String {
    const LIMITS: Limits = Limits { bytes: 1 << 22, nodes: 1 << 20 };
    let Ok(doc) = Doc::parse(text, LIMITS) else { return cover(text) };
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    let mut waiting = vec![(doc.root(), false)];
    let mut secrets = Vec::new();
    while let Some((id, secret)) = waiting.pop() {
        let is_scalar = matches!(doc.kind(id), NodeKind::String | NodeKind::Number);
        if is_scalar && (secret || rules.is_secret_value(doc.text(id))) {
            secrets.push(doc.place(id));
        }
        let object = doc.kind(id) == NodeKind::Object;
        let children =
            doc.children(id).map(|child| (child, secret || (object && rules.is_secret_key(&doc.key(child)))));
        waiting.extend(children);
    }
    secrets.sort_unstable_by_key(|place| place.start);
    for place in secrets {
        out.push_str(text.get(done..place.start).unwrap_or_default());
        out.push_str(&cover(text.get(place.clone()).unwrap_or_default()));
        done = place.end;
    }
    out + text.get(done..).unwrap_or_default()
}

/// All letters and digits covered.
fn cover(text: &str) -> String {
    let one = |c: char| if c.is_alphanumeric() && c.width() == Some(1) { COVER } else { c };
    text.chars().map(one).collect()
}

/// JSON on one line in PostgreSQL's layout, secrets masked; stops soon after `limit` bytes.
pub(super) fn compact(doc: &Doc<'_>, id: NodeId, view: &View, secret: bool, limit: usize, out: &mut String) {
    if out.len() > limit {
        return;
    }
    let kind = doc.kind(id);
    match kind {
        NodeKind::Object | NodeKind::Array => {
            let object = kind == NodeKind::Object;
            out.push(if object { '{' } else { '[' });
            for (i, child) in doc.children(id).enumerate() {
                if out.len() > limit {
                    out.push('…');
                    break;
                }
                out.push_str(if i > 0 { ", " } else { "" });
                let key = doc.key(child);
                if object {
                    push_quoted(out, beginning(&key, limit.saturating_sub(out.len()).saturating_add(1)));
                    out.push_str(": ");
                }
                let secret = secret || (object && view.mask && view.rules.is_secret_key(&key));
                compact(doc, child, view, secret, limit, out);
            }
            out.push(if object { '}' } else { ']' });
        }
        NodeKind::String | NodeKind::Number
            if view.mask && (secret || view.rules.is_secret_value(doc.text(id))) =>
        {
            out.push_str(&masked(doc.text(id)));
        }
        _ => out.push_str(beginning(doc.text(id), limit.saturating_sub(out.len()).saturating_add(1))),
    }
}

/// At most so many bytes of a text.
pub(super) fn beginning(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

/// The text in at most `columns` columns, with `…+3.2 kB` for the rest.
pub(super) fn cut(text: &str, columns: usize) -> String {
    cut_of(text, columns, text.len())
}

/// The same of the beginning of a text of `total` bytes.
fn cut_of(text: &str, columns: usize, total: usize) -> String {
    // A megabyte is not gone through for a line of it: no cluster has so many bytes for a column.
    let head = beginning(text, columns.saturating_mul(32).saturating_add(64));
    let safe = Safe::composed(head);
    if head.len() == text.len() && safe.width() <= columns {
        return text.to_owned();
    }
    let rest = format!("+{}", size(total.max(text.len()).saturating_sub(columns)));
    let kept = safe.cut_end(columns.saturating_sub(rest.len()).max(1));
    format!("{kept}{rest}")
}

pub(super) fn cut_front(text: &str, columns: usize) -> String {
    let safe = Safe::composed(text);
    if safe.width() <= columns {
        return text.to_owned();
    }
    let mut tail = String::new();
    for c in safe.as_str().chars().rev().take(columns.saturating_sub(1)) {
        tail.insert(0, c);
    }
    format!("…{tail}")
}

/// Bytes for people: `812 B`, `3.2 kB`.
pub fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_large_value_is_counted_whole() {
        let text = format!("[{}0]", "1234567, ".repeat(40_000));
        let doc = Doc::parse(&text, super::super::json::Limits { bytes: 1 << 20, nodes: 1 << 20 }).unwrap();
        let (shown, _) = shown(&doc, doc.root(), false, &View::default(), 30);
        assert!(shown.ends_with("…+359.9 kB"), "{shown}");
    }

    #[test]
    fn secrets_are_covered_where_they_stand() {
        let of = |text: &str| covered(text, &Rules::default());
        assert_eq!(
            of(
                r#"{"a": 1, "password": "hunter2", "credentials": {"user": "bob", "n": [7]}, "token_count": 3}"#
            ),
            r#"{"a": 1, "password": "▒▒▒▒▒▒▒", "credentials": {"user": "▒▒▒", "n": [▒]}, "token_count": 3}"#
        );
        assert_eq!(of(r#"{"a": "x", "passw"#), r#"{"▒": "▒", "▒▒▒▒▒"#);
        assert_eq!(of(r#"["AKIAIOSFODNN7EXAMPLE", null]"#), r#"["▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒", null]"#);
    }

    #[test]
    fn sizes() {
        assert_eq!([size(812), size(3_249), size(10_000_000)], ["812 B", "3.2 kB", "10.0 MB"]);
    }
}
