//! A document as a tree to walk through: what is folded, and which line stands where.
//!
//! Every value has one line; lines below a folded one are not there. Which value stands on line `n`, and on which line a
//! value stands, takes a few steps for each level, however many members and elements there are, and so does folding:
//! the children of a value are neighbours in the arena of [`Doc`], and over each such interval lies a Fenwick tree of the
//! lines that they take. What is unfolded or folded as a whole is only said so where it begins, and the number of its
//! lines is known beforehand: it is laid out a level at a time, where something inside is folded otherwise. A line is
//! made when it is looked at.

mod find;

pub use find::{Path, hits, paths};

use super::json::{Doc, NodeId, NodeKind, OwnedDoc, push_quoted};
use super::rows::{Role, Row, View, masked};
use super::text::{beginning, compact, cut};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

/// How the values below one are folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Below {
    /// As each of them says.
    Own,
    /// All of them are unfolded, whatever they say.
    Open,
    /// All of them are folded, whatever they say.
    Folded,
}

/// A document, folded here and there.
#[derive(Debug, Clone)]
pub struct Outline {
    doc: Arc<OwnedDoc>,
    /// Whether the children of a value are shown.
    open: Vec<bool>,
    /// How what is below a value is folded. Where that is not its own matter, nothing that is newer stands below.
    below: Vec<Below>,
    /// Over the children of each value: a Fenwick tree of their lines.
    sums: Vec<u32>,
    /// Values in a value and its siblings before it, themselves included: their lines where all are unfolded.
    ends: Vec<u32>,
    /// Levels below a value.
    heights: Vec<u16>,
}

impl Outline {
    /// A document of which the outermost value is unfolded, and nothing else.
    pub fn new(doc: Arc<OwnedDoc>) -> Self {
        let (root, len) = (doc.doc().root(), doc.doc().len());
        let mut outline = Self {
            open: vec![false; len],
            below: vec![Below::Own; len],
            sums: vec![0; len],
            ends: vec![0; len],
            heights: vec![0; len],
            doc,
        };
        let shared = outline.share();
        outline.measure(&shared.doc(), root);
        outline.unfold_to(root, 1);
        outline
    }

    /// The document.
    pub fn doc(&self) -> Doc<'_> {
        self.doc.doc()
    }

    /// The document, to work on it elsewhere.
    pub fn share(&self) -> Arc<OwnedDoc> {
        Arc::clone(&self.doc)
    }

    /// Number of lines: at least one.
    pub fn len(&self) -> usize {
        self.lines_of(&self.doc(), self.doc().root()) as usize
    }

    /// Never: a document has a root.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether the children of a value are shown, as far as it is shown itself.
    pub fn is_open(&self, id: NodeId) -> bool {
        let doc = self.doc();
        let (mut at, mut above) = (id, Below::Own);
        while let Some(parent) = doc.parent(at) {
            // The outermost word counts.
            above = Some(self.below[parent.index()]).filter(|below| *below != Below::Own).unwrap_or(above);
            at = parent;
        }
        self.shows(&doc, id, above)
    }

    /// The value on a line.
    pub fn node_at(&self, line: usize) -> Option<NodeId> {
        let doc = self.doc();
        let (mut at, mut above) = (doc.root(), Below::Own);
        let mut rest = u32::try_from(line).ok()?;
        while rest > 0 {
            if !self.shows(&doc, at, above) {
                return None;
            }
            above = self.inside(at, above);
            let range = doc.child_range(at);
            let (child, before) = match above {
                Below::Own => fenwick::find(&self.sums[range], rest - 1),
                Below::Folded => (rest as usize - 1, rest - 1),
                Below::Open => {
                    let ends = &self.ends[range];
                    let child = ends.partition_point(|end| *end < rest);
                    (child, child.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0))
                }
            };
            rest -= 1 + before;
            at = doc.child(at, child)?;
        }
        Some(at)
    }

    /// The line of a value; nothing where it is folded away.
    pub fn line_of(&self, id: NodeId) -> Option<usize> {
        let doc = self.doc();
        let (mut parent, mut above, mut line) = (doc.root(), Below::Own, 0);
        for at in doc.ancestry(id) {
            if !self.shows(&doc, parent, above) {
                return None;
            }
            above = self.inside(parent, above);
            line += 1 + self.lines_before(&doc, parent, doc.position(at), above);
            parent = at;
        }
        Some(line as usize)
    }

    /// Shows the children of a value, or hides them; values inside stay as they were.
    pub fn set_open(&mut self, id: NodeId, open: bool) {
        let shared = self.share();
        let doc = shared.doc();
        if self.is_open(id) != open && doc.child_count(id) > 0 {
            self.lay_out(&doc, id);
            let before = self.lines_of(&doc, id);
            self.open[id.index()] = open;
            self.pass_on(&doc, id, before);
        }
    }

    /// Unfolds `levels` levels of a value (0: folds it) and folds everything below them.
    pub fn unfold_to(&mut self, id: NodeId, levels: usize) {
        let shared = self.share();
        let doc = shared.doc();
        self.lay_out(&doc, id);
        let before = self.lines_of(&doc, id);
        self.set_below(&doc, id, levels);
        self.pass_on(&doc, id, before);
    }

    /// Unfolds whatever a value is in, so that it has a line.
    pub fn reveal(&mut self, id: NodeId) {
        let mut at = id;
        while let Some(parent) = self.doc().parent(at) {
            self.set_open(parent, true);
            at = parent;
        }
    }

    /// Counts the values of each part, and its levels. Returns both of `id`, itself not among the levels.
    fn measure(&mut self, doc: &Doc<'_>, id: NodeId) -> (u32, u16) {
        let (mut end, mut height) = (0, 0);
        for child in doc.children(id) {
            let (values, levels) = self.measure(doc, child);
            end += values;
            height = height.max(levels + 1);
            self.ends[child.index()] = end;
        }
        self.heights[id.index()] = height;
        (1 + end, height)
    }

    /// How the values below `id` are folded, where what it is in says `above`.
    fn inside(&self, id: NodeId, above: Below) -> Below {
        if above == Below::Own { self.below[id.index()] } else { above }
    }

    /// Whether the children of `id` are shown, where what it is in says `above`.
    fn shows(&self, doc: &Doc<'_>, id: NodeId, above: Below) -> bool {
        match above {
            Below::Own => self.open[id.index()],
            Below::Open => doc.child_count(id) > 0,
            Below::Folded => false,
        }
    }

    /// The lines of the first `count` children of a value, where those are folded as `below` says.
    fn lines_before(&self, doc: &Doc<'_>, id: NodeId, count: usize, below: Below) -> u32 {
        let range = doc.child_range(id);
        match below {
            Below::Own => fenwick::before(&self.sums[range], count),
            Below::Folded => count as u32,
            Below::Open => count.checked_sub(1).map_or(0, |last| self.ends[range.start + last]),
        }
    }

    /// The lines of a value and of what is shown below it; what it is in has nothing to say.
    fn lines_of(&self, doc: &Doc<'_>, id: NodeId) -> u32 {
        let below = self.below[id.index()];
        1 + if self.open[id.index()] { self.lines_before(doc, id, doc.child_count(id), below) } else { 0 }
    }

    /// Gives each value that `id` is in, and the siblings on the way, their own word.
    fn lay_out(&mut self, doc: &Doc<'_>, id: NodeId) {
        let mut way = vec![doc.root()];
        way.extend(doc.ancestry(id));
        // Not of the value itself: what is below it stays as it is.
        way.pop();
        for at in way {
            let below = std::mem::replace(&mut self.below[at.index()], Below::Own);
            if below == Below::Own {
                continue;
            }
            for child in doc.children(at) {
                let count = doc.child_count(child);
                self.open[child.index()] = below == Below::Open && count > 0;
                self.below[child.index()] = below;
                self.sums[child.index()] = self.lines_of(doc, child);
            }
            fenwick::build(&mut self.sums[doc.child_range(at)]);
        }
    }

    /// Tells the ancestors that a value takes another number of lines than `before`.
    fn pass_on(&mut self, doc: &Doc<'_>, id: NodeId, before: u32) {
        let delta = self.lines_of(doc, id).wrapping_sub(before);
        let mut at = id;
        while let Some(parent) = doc.parent(at) {
            fenwick::add(&mut self.sums[doc.child_range(parent)], doc.position(at), delta);
            if !self.open[parent.index()] {
                break;
            }
            at = parent;
        }
    }

    fn set_below(&mut self, doc: &Doc<'_>, id: NodeId, levels: usize) -> u32 {
        let at = id.index();
        self.open[at] = levels > 0 && doc.child_count(id) > 0;
        self.below[at] = match levels {
            0 => Below::Folded,
            levels if levels >= usize::from(self.heights[at]) => Below::Open,
            _ => Below::Own,
        };
        if self.below[at] == Below::Own {
            for child in doc.children(id) {
                self.sums[child.index()] = self.set_below(doc, child, levels - 1);
            }
            fenwick::build(&mut self.sums[doc.child_range(id)]);
        }
        self.lines_of(doc, id)
    }

    /// How a value looks: its sign (`▾` unfolded, `▸` folded), key and value; of what is folded the beginning.
    pub fn row(&self, id: NodeId, view: &View) -> Row {
        let doc = self.doc();
        let (kind, count) = (doc.kind(id), doc.child_count(id));
        let is_open = self.is_open(id);
        let mark = match (count > 0, is_open) {
            (false, _) => ' ',
            (true, false) => '▸',
            (true, true) => '▾',
        };
        let path = doc.ancestry(id);
        let mut row = Row::new(mark, u16::try_from(path.len()).unwrap_or(u16::MAX)).at(doc.pointer(id));
        match doc.parent(id).map(|p| doc.kind(p)) {
            Some(NodeKind::Object) => {
                let mut key = String::new();
                // Of a long key the beginning, and that there is more.
                let most = (view.width / 2).max(12);
                push_quoted(&mut key, beginning(&doc.key(id), most * 32));
                row.push(Role::Path, &cut(crate::domain::Safe::from_untrusted(&key).as_str(), most));
                row.push(Role::Plain, ": ");
            }
            Some(_) => row.push(Role::Dim, &format!("{}: ", doc.position(id))),
            None => {}
        }
        let secret = view.mask && path.iter().any(|step| view.rules.is_secret_key(&doc.key(*step)));
        let room = view.width.saturating_sub(row.width()).max(16);
        if count > 0 {
            let (noun, [open, close]) = match (kind, count) {
                (NodeKind::Object, 1) => ("member", ["{", "}"]),
                (NodeKind::Object, _) => ("members", ["{", "}"]),
                (_, 1) => ("element", ["[", "]"]),
                _ => ("elements", ["[", "]"]),
            };
            let size = format!("{open}{count} {noun}{close}");
            row.push(Role::Dim, &size);
            let room = room.saturating_sub(size.len() + 1);
            if !is_open && room > 8 {
                let mut text = String::new();
                compact(&doc, id, view, secret, room * 2, &mut text);
                row.push(Role::Dim, " ");
                row.push(Role::Plain, crate::domain::Safe::composed(&text).cut_end(room).as_str());
            }
        } else {
            let is_masked = is_hidden(&doc, id, secret, view);
            let text = if is_masked { Cow::Owned(masked(doc.text(id))) } else { Cow::Borrowed(doc.text(id)) };
            row.push(if is_masked { Role::Masked } else { Role::Plain }, &cut(&text, room));
        }
        row
    }

    /// A value without children as it may be shown: exactly as stored, or its mask.
    pub fn scalar(&self, id: NodeId, view: &View) -> Cow<'_, str> {
        let doc = self.doc();
        let secret = doc.ancestry(id).iter().any(|step| view.rules.is_secret_key(&doc.key(*step)));
        if is_hidden(&doc, id, secret, view) { masked(doc.text(id)).into() } else { doc.text(id).into() }
    }

    /// A value as it may be shown, secrets masked; exactly as stored where it has none.
    pub fn shown(&self, id: NodeId, view: &View) -> String {
        let doc = self.doc();
        let secret =
            view.mask && doc.ancestry(id).iter().any(|step| view.rules.is_secret_key(&doc.key(*step)));
        let mut whole = String::new();
        compact(&doc, id, view, secret, usize::MAX, &mut whole);
        let mut plain = String::new();
        let unmasked = View { mask: false, ..view.clone() };
        compact(&doc, id, &unmasked, false, usize::MAX, &mut plain);
        if whole == plain { doc.text(id).to_owned() } else { whole }
    }
}

/// Whether a value is masked; `secret` says that a key above it is one of a secret.
fn is_hidden(doc: &Doc<'_>, id: NodeId, secret: bool, view: &View) -> bool {
    let maskable = matches!(doc.kind(id), NodeKind::String | NodeKind::Number);
    maskable && view.mask && (secret || view.rules.is_secret_value(doc.text(id)))
}

/// Which of two values comes first in a document that is unfolded.
pub fn order(doc: &Doc<'_>, a: NodeId, b: NodeId) -> Ordering {
    let places = |id| doc.ancestry(id).into_iter().map(|step| doc.position(step));
    places(a).cmp(places(b))
}

/// Prefix sums that can be changed: Fenwick's binary indexed trees.
mod fenwick {
    /// Turns numbers into the tree of their sums.
    pub(super) fn build(sums: &mut [u32]) {
        for at in 1..=sums.len() {
            let next = at + (at & at.wrapping_neg());
            if next <= sums.len() {
                sums[next - 1] += sums[at - 1];
            }
        }
    }

    /// Adds to the number at a place (from 0). Numbers wrap, so that one can take away, too.
    pub(super) fn add(sums: &mut [u32], place: usize, delta: u32) {
        let mut at = place + 1;
        while at <= sums.len() {
            sums[at - 1] = sums[at - 1].wrapping_add(delta);
            at += at & at.wrapping_neg();
        }
    }

    /// The sum of the first `count` numbers.
    pub(super) fn before(sums: &[u32], count: usize) -> u32 {
        let (mut at, mut sum) = (count, 0);
        while at > 0 {
            sum += sums[at - 1];
            at &= at - 1;
        }
        sum
    }

    /// The first place up to which, itself included, the sum is greater than `target`, and the sum before it; the end
    /// where there is none.
    pub(super) fn find(sums: &[u32], target: u32) -> (usize, u32) {
        let (mut at, mut sum) = (0, 0);
        let mut step = (sums.len() + 1).next_power_of_two();
        while step > 0 {
            if at + step <= sums.len() && sum + sums[at + step - 1] <= target {
                at += step;
                sum += sums[at - 1];
            }
            step /= 2;
        }
        (at, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::apply::tests::pairs;
    use super::super::json::Limits;
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { bytes: 1 << 24, nodes: 2_000_000 };

    pub(super) fn outline(text: &str) -> Outline {
        Outline::new(Arc::new(OwnedDoc::parse(text.into(), LIMITS).unwrap()))
    }

    fn shown(outline: &Outline, view: &View) -> Vec<String> {
        (0..outline.len()).map(|n| outline.row(outline.node_at(n).unwrap(), view).text()).collect()
    }

    /// The lines as they would be found without any cleverness.
    fn walk(outline: &Outline, id: NodeId, lines: &mut Vec<NodeId>) {
        lines.push(id);
        if outline.is_open(id) {
            for child in outline.doc().children(id) {
                walk(outline, child, lines);
            }
        }
    }

    fn agrees(outline: &Outline) {
        let mut lines = Vec::new();
        walk(outline, outline.doc().root(), &mut lines);
        assert_eq!(outline.len(), lines.len());
        for (n, id) in lines.iter().enumerate() {
            assert_eq!(outline.node_at(n), Some(*id));
            assert_eq!(outline.line_of(*id), Some(n));
            // Where it is, one gets to by its path.
            assert_eq!(outline.doc().resolve(&outline.doc().pointer(*id)), Some(*id));
        }
        assert_eq!(outline.node_at(lines.len()), None);
        assert!(lines.windows(2).all(|w| order(&outline.doc(), w[0], w[1]) == Ordering::Less));
    }

    proptest! {
        #[test]
        fn lines_and_values_are_found_whatever_is_folded(
            which in 0usize..60, steps in prop::collection::vec((any::<prop::sample::Index>(), 0u8..6), 1..30)
        ) {
            let (text, _) = pairs(which + 1).last().unwrap();
            let mut outline = outline(&text);
            outline.unfold_to(outline.doc().root(), usize::MAX);
            prop_assert_eq!(outline.len(), outline.line_of(outline.node_at(outline.len() - 1).unwrap()).unwrap() + 1);
            agrees(&outline);
            for (at, what) in steps {
                let line = at.index(outline.len());
                let id = outline.node_at(line).unwrap();
                let hidden = outline.line_of(id);
                prop_assert_eq!(hidden, Some(line));
                match what {
                    0 => outline.set_open(id, true),
                    1 => outline.set_open(id, false),
                    2 => outline.unfold_to(id, 2),
                    3 => outline.unfold_to(id, usize::MAX),
                    4 => outline.unfold_to(id, 0),
                    _ => {
                        let all: Vec<NodeId> = outline.doc().children(id).collect();
                        for child in all {
                            outline.set_open(id, false);
                            prop_assert_eq!(outline.line_of(child), None);
                            outline.reveal(child);
                            prop_assert!(outline.line_of(child).is_some());
                        }
                    }
                }
                agrees(&outline);
            }
        }
    }

    #[test]
    fn what_was_unfolded_inside_is_so_again() {
        let mut outline = outline(r#"{"a": {"b": [1, 2]}, "c": 3}"#);
        let at = |outline: &Outline, pointer| outline.doc().resolve(pointer).unwrap();
        outline.set_open(at(&outline, "/a"), true);
        outline.set_open(at(&outline, "/a/b"), true);
        assert_eq!(outline.len(), 6);
        outline.set_open(at(&outline, "/a"), false);
        assert_eq!(outline.len(), 3);
        outline.set_open(at(&outline, "/a"), true);
        assert_eq!(outline.len(), 6);
        agrees(&outline);
    }

    #[test]
    fn a_line_says_key_value_and_what_is_folded() {
        let mut outline = outline(
            r#"{"n": [12345678901234567890, 0.1000, 1e400], "a/b": {"token": "s3cr3t", "x": "\u001b[31m"}, "e": []}"#,
        );
        let view = View { width: 60, ..View::default() };
        assert_eq!(
            shown(&outline, &view),
            [
                "▾ {3 members}",
                "    \"e\": []",
                "▸   \"n\": [3 elements] [12345678901234567890, 0.1000, 1e400]",
                "▸   \"a/b\": {2 members} {\"x\": \"\\u001b[31m\", \"token\": ‹masked…",
            ]
        );
        outline.unfold_to(outline.doc().root(), 2);
        assert_eq!(
            shown(&outline, &view)[2..6],
            ["▾   \"n\": [3 elements]", "      0: 12345678901234567890", "      1: 0.1000", "      2: 1e400"]
        );
        let row = outline.row(outline.doc().resolve("/a~1b/token").unwrap(), &view);
        assert_eq!(row.text(), "      \"token\": ‹masked, 6 characters›");
        assert_eq!(row.pointer.as_deref(), Some("/a~1b/token"));
    }

    #[test]
    fn what_is_copied_is_what_is_stored_but_for_secrets() {
        let outline = outline(r#"{"a":  [1,  2], "b": {"password": "hunter2", "c": 1}}"#);
        let at = |pointer| outline.shown(outline.doc().resolve(pointer).unwrap(), &View::default());
        assert_eq!(at("/a"), "[1,  2]");
        assert_eq!(at("/b"), r#"{"c": 1, "password": ‹masked, 7 characters›}"#);
        assert_eq!(at("/b/password"), "‹masked, 7 characters›");
        assert_eq!(at("/b/c"), "1");
    }

    #[test]
    fn of_a_long_text_a_line_is_made_without_the_rest() {
        let long = "é\u{301}x".repeat(1_000_000);
        let outline = outline(&format!("{{\"{long}\": 1, \"k\": \"{long}\", \"a\": [\"{long}\"]}}"));
        let view = View { width: 40, ..View::default() };
        let lines = shown(&outline, &view);
        assert_eq!(lines.len(), 4);
        let bytes: usize = lines.iter().map(String::len).sum();
        assert!(bytes < 500, "{lines:?}");
        assert!(lines.iter().any(|l| l.ends_with("…+4.9 MB")), "{lines:?}");
    }

    #[test]
    fn what_is_unfolded_as_a_whole_is_laid_out_on_the_way_to_what_is_folded_otherwise_only() {
        let mut outline = outline(&format!("[{}[[0]]]", "[[1], 2],".repeat(1_000)));
        let root = outline.doc().root();
        let told = |outline: &Outline| outline.below.iter().filter(|below| **below != Below::Own).count();
        outline.unfold_to(root, usize::MAX);
        assert_eq!((outline.len(), told(&outline)), (4_004, 1_002), "as it was, but for the root");
        let one = outline.doc().resolve("/500/0").unwrap();
        outline.set_open(one, false);
        assert_eq!(outline.len(), 4_003);
        assert_eq!(told(&outline), 1_001 - 1 + 2, "the elements of the root, and of one of them");
        agrees(&outline);
        outline.unfold_to(root, 0);
        assert_eq!(outline.len(), 1);
        outline.set_open(root, true);
        assert_eq!(outline.len(), 1_002, "what was unfolded as a whole is folded as a whole");
        agrees(&outline);
    }

    #[test]
    fn a_million_values_are_found_by_line() {
        let mut outline = outline(&format!("[{}0]", "[1],".repeat(500_000)));
        assert_eq!(outline.len(), 500_002);
        let last = outline.node_at(500_001).unwrap();
        assert_eq!(outline.doc().pointer(last), "/500000");
        outline.unfold_to(outline.doc().root(), 2);
        assert_eq!(outline.len(), 1_000_002);
        assert_eq!(outline.line_of(last), Some(1_000_001));
        let middle = outline.node_at(500_001).unwrap();
        assert_eq!(outline.doc().pointer(middle), "/250000");
    }
}
