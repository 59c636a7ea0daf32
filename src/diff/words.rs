//! Which words of a long string changed.

/// With more words than this on either side, after equal ends are cut off, the whole middle counts as changed. A bound
/// on size instead of a deadline: the same pair is highlighted in the same way on every machine.
const MAX_WORDS: usize = 1_500;

/// A run of text, and whether it differs from the other side.
pub(super) type Part<'a> = (bool, &'a str);

/// Splits both texts into runs that are equal and runs that differ. Where less than a fifth is equal, everything
/// differs: a highlight in shreds helps nobody.
pub(super) fn parts<'a>(old: &'a str, new: &'a str) -> (Vec<Part<'a>>, Vec<Part<'a>>) {
    let (a, b) = (split(old), split(new));
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (a_end, b_end) = (a.len() - tail, b.len() - tail);
    let mut left = vec![false; a.len()];
    let mut right = vec![false; b.len()];
    if a_end.max(b_end) - head > MAX_WORDS {
        left[head..a_end].fill(true);
        right[head..b_end].fill(true);
    } else {
        for op in similar::capture_diff_slices(similar::Algorithm::Myers, &a[head..a_end], &b[head..b_end]) {
            if !matches!(op, similar::DiffOp::Equal { .. }) {
                let (x, y) = (op.old_range(), op.new_range());
                left[head + x.start..head + x.end].fill(true);
                right[head + y.start..head + y.end].fill(true);
            }
        }
    }
    let equal: usize = a.iter().zip(&left).filter(|(_, changed)| !**changed).map(|(w, _)| w.len()).sum();
    if equal * 5 < old.len().max(new.len()) {
        return (vec![(true, old)], vec![(true, new)]);
    }
    (runs(old, &a, &left), runs(new, &b, &right))
}

/// Words, runs of blanks, and single other characters.
fn split(text: &str) -> Vec<&str> {
    let class = |c: char| {
        if c.is_alphanumeric() || c == '_' {
            0
        } else if c.is_whitespace() {
            1
        } else {
            2
        }
    };
    let mut out = Vec::new();
    let mut start = 0;
    let mut before = None;
    for (at, c) in text.char_indices() {
        let now = class(c);
        if before.is_some_and(|b| b != now || now == 2) {
            out.push(&text[start..at]);
            start = at;
        }
        before = Some(now);
    }
    if start < text.len() {
        out.push(&text[start..]);
    }
    out
}

fn runs<'a>(text: &'a str, words: &[&str], changed: &[bool]) -> Vec<Part<'a>> {
    let mut out: Vec<Part<'a>> = Vec::new();
    let (mut start, mut end) = (0, 0);
    for (i, word) in words.iter().enumerate() {
        end += word.len();
        if changed.get(i + 1) != changed.get(i) {
            out.push((changed[i], &text[start..end]));
            start = end;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_words_that_differ_are_marked() {
        let (left, right) = parts("allow read on s3://logs", "allow write on s3://logs");
        assert_eq!(left, [(false, "allow "), (true, "read"), (false, " on s3://logs")]);
        assert_eq!(right, [(false, "allow "), (true, "write"), (false, " on s3://logs")]);
        assert_eq!(parts("one", "two").0, [(true, "one")]);
    }

    #[test]
    fn a_long_middle_is_one_difference() {
        let words = |n: usize| (0..3000).map(|i| (i * n).to_string()).collect::<Vec<_>>().join(" ");
        let same = "the same words ".repeat(2000);
        let (old, new) = (format!("{same}{} end", words(3)), format!("{same}{} end", words(7)));
        assert_eq!(parts(&old, &new).0.iter().filter(|(changed, _)| *changed).count(), 1);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(old in "[a-c ,é]{0,30}", new in "[a-c ,é]{0,30}") {
            let (left, right) = parts(&old, &new);
            prop_assert_eq!(left.iter().map(|p| p.1).collect::<String>(), &*old);
            prop_assert_eq!(right.iter().map(|p| p.1).collect::<String>(), &*new);
            let equal = |p: &[Part<'_>]| p.iter().filter(|p| !p.0).map(|p| p.1).collect::<String>();
            prop_assert_eq!(equal(&left), equal(&right));
        }
    }
}
