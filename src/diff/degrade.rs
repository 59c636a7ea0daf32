//! What is left when a comparison by structure would cost too much: lines, then hashes.

/// More lines than this on either side, after equal ends are cut off, are not compared one by one.
const MAX_LINES: usize = 5_000;

/// Two texts as lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines<'a> {
    /// Removed, added and unchanged lines in order.
    pub lines: Vec<LineChange<'a>>,
}

/// A line, or several that are unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineChange<'a> {
    /// This many unchanged lines.
    Unchanged(usize),
    /// Only in the old text.
    Removed(&'a str),
    /// Only in the new text.
    Added(&'a str),
}

/// Compares by lines; nothing when there are too many. PostgreSQL prints a `jsonb` on one line, so lines end behind
/// each comma and opening bracket outside of strings, as in a pretty-printed document.
pub(super) fn lines<'a>(old: &'a str, new: &'a str) -> Option<Lines<'a>> {
    let (a, b) = (split(old), split(new));
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (x, y) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    if x.len().max(y.len()) > MAX_LINES {
        return None;
    }
    let mut out = Vec::new();
    if head > 0 {
        out.push(LineChange::Unchanged(head));
    }
    for op in similar::capture_diff_slices(similar::Algorithm::Myers, x, y) {
        if let similar::DiffOp::Equal { len, .. } = op {
            out.push(LineChange::Unchanged(len));
        } else {
            out.extend(x[op.old_range()].iter().map(|l| LineChange::Removed(l)));
            out.extend(y[op.new_range()].iter().map(|l| LineChange::Added(l)));
        }
    }
    if tail > 0 {
        out.push(LineChange::Unchanged(tail));
    }
    Some(Lines { lines: out })
}

fn split(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut start, mut in_string, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        let ends = match byte {
            _ if escaped => {
                escaped = false;
                false
            }
            b'\\' if in_string => {
                escaped = true;
                false
            }
            b'"' => {
                in_string = !in_string;
                false
            }
            b',' | b'{' | b'[' => !in_string,
            // What is not JSON at all may have lines of its own.
            b'\n' => true,
            _ => false,
        };
        if ends {
            // All these bytes are ASCII, so this is a boundary of characters.
            out.push(text[start..=at].trim());
            start = at + 1;
        }
    }
    if start < text.len() {
        out.push(text[start..].trim());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_outside_of_strings() {
        assert_eq!(
            split(r#"{"a, {": [1, "\"," ], "b": 2}"#),
            ["{", r#""a, {": ["#, "1,", r#""\"," ],"#, r#""b": 2}"#]
        );
    }

    #[test]
    fn only_what_differs_is_listed() {
        let found = lines("[1, 2, 3, 4]", "[1, 2, 9, 4]").unwrap();
        use LineChange::{Added, Removed, Unchanged};
        assert_eq!(found.lines, [Unchanged(3), Removed("3,"), Added("9,"), Unchanged(1)]);
        let long =
            |n: u32| format!("[{}]", (0..20_000).map(|i| (i * n).to_string()).collect::<Vec<_>>().join(","));
        assert_eq!(lines(&long(3), &long(7)), None);
    }
}
