//! An event with its states as a tree: folded, searched, gone to by path. Has the place of all panes.

use crate::console::change::layout::theme_role;
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::diff::json::NodeId;
use crate::diff::outline::{Outline, order};
use crate::diff::rows::{Row, View, size};
use crate::domain::{EventKey, Safe, grouped};
use std::cmp::Ordering;
use unicode_width::UnicodeWidthStr as _;

/// Most bytes of a value that are shown in full.
const IN_FULL: usize = 8_192;

/// What was looked for.
#[derive(Debug)]
struct Found {
    text: String,
    /// In the order of the lines.
    hits: Vec<NodeId>,
}

/// The tree, or why there is none.
#[derive(Debug)]
enum Content {
    Loading,
    Ready(Box<Outline>),
    Trouble(Safe),
}

/// The state of the page.
#[derive(Debug)]
pub(crate) struct TreePane {
    key: EventKey,
    /// Where to begin: a path in either state (JSON Pointer).
    begin: Option<String>,
    content: Content,
    view: View,
    found: Option<Found>,
    /// The value under the cursor is shown in full.
    in_full: bool,
    cursor: usize,
    top: usize,
    height: usize,
}

impl TreePane {
    /// The tree of an event, being built; it begins at a path in a state.
    pub(crate) fn new(key: EventKey, begin: Option<String>) -> Self {
        Self {
            key,
            begin,
            content: Content::Loading,
            view: View::default(),
            found: None,
            in_full: false,
            cursor: 0,
            top: 0,
            height: 0,
        }
    }

    /// The tree as it was built, and how values are masked. The state after the event lies open.
    pub(crate) fn fill(&mut self, mut outline: Outline, view: View) {
        let state = ["/new_state", "/previous_state"].into_iter().find_map(|at| {
            let doc = outline.doc();
            doc.resolve(at).filter(|id| doc.child_count(*id) > 0)
        });
        if let Some(state) = state {
            outline.set_open(state, true);
            self.cursor = outline.line_of(state).unwrap_or_default();
        }
        let begin = self.begin.take().and_then(|begin| {
            let doc = outline.doc();
            ["/new_state", "/previous_state"].into_iter().find_map(|at| doc.resolve(&format!("{at}{begin}")))
        });
        self.view = View { width: self.view.width, ..view };
        self.content = Content::Ready(Box::new(outline));
        if let Some(begin) = begin {
            self.go_to(begin);
        }
    }

    /// Says why there is no tree.
    pub(crate) fn fail(&mut self, why: Safe) {
        self.content = Content::Trouble(why);
    }

    /// The event of a tree that is not there, which is being built again from now on.
    pub(crate) fn retry(&mut self) -> Option<EventKey> {
        (!matches!(self.content, Content::Ready(_))).then(|| {
            self.content = Content::Loading;
            self.key.clone()
        })
    }

    /// Takes note of the size of the page.
    pub(crate) fn set_size(&mut self, width: usize, height: usize) {
        self.view.width = width.saturating_sub(2);
        self.height = height;
        self.keep_in_sight();
    }

    /// The tree, once it is there.
    pub(crate) fn outline(&self) -> Option<&Outline> {
        match &self.content {
            Content::Ready(outline) => Some(outline),
            _ => None,
        }
    }

    /// How values are masked.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// The value under the cursor.
    pub(crate) fn node(&self) -> Option<NodeId> {
        self.outline()?.node_at(self.cursor)
    }

    /// Where the cursor is: the part of the event, and the path in it (JSON Pointer).
    pub(crate) fn place(&self) -> Option<(String, String)> {
        let outline = self.outline()?;
        let pointer = outline.doc().pointer(self.node()?);
        let part = pointer.get(1..).unwrap_or_default();
        let (part, rest) = part.split_at(part.find('/').unwrap_or(part.len()));
        Some((part.to_owned(), rest.to_owned()))
    }

    /// Lines of the tree that are on the screen.
    pub(crate) fn body_height(&self) -> usize {
        self.height.saturating_sub(1 + self.full_lines().len())
    }

    /// Moves the cursor by lines.
    pub(crate) fn scroll(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by);
        self.keep_in_sight();
    }

    /// Does something with the tree at the cursor, which then stands where it says, if that has a line.
    fn with(&mut self, change: impl FnOnce(&mut Outline, NodeId) -> NodeId) {
        let Some(at) = self.node() else { return };
        if let Content::Ready(outline) = &mut self.content {
            let there = change(outline, at);
            self.cursor = outline.line_of(there).unwrap_or(self.cursor);
        }
        self.keep_in_sight();
    }

    /// Folds the value under the cursor; one that is folded, or has nothing to fold, gives way to what it is in.
    pub(crate) fn collapse(&mut self) {
        self.with(|outline, at| {
            if outline.is_open(at) {
                outline.set_open(at, false);
                return at;
            }
            outline.doc().parent(at).unwrap_or(at)
        });
    }

    /// Unfolds the value under the cursor; from one that is unfolded, goes in.
    pub(crate) fn expand(&mut self) {
        self.with(|outline, at| {
            let inside = outline.doc().child(at, 0);
            if outline.is_open(at) {
                return inside.unwrap_or(at);
            }
            outline.set_open(at, true);
            at
        });
    }

    /// Unfolds or folds; of a value that has nothing to unfold, shows all of it, or not any more.
    pub(crate) fn open(&mut self) {
        let Some((outline, at)) = self.outline().zip(self.node()) else { return };
        if outline.doc().child_count(at) == 0 {
            self.in_full = !self.in_full;
            return self.keep_in_sight();
        }
        self.with(|outline, at| {
            let open = outline.is_open(at);
            outline.set_open(at, !open);
            at
        });
    }

    /// Unfolds so many levels below the cursor, and folds what is below them.
    pub(crate) fn unfold_to(&mut self, levels: usize) {
        self.with(|outline, at| {
            outline.unfold_to(at, levels);
            at
        });
    }

    /// Goes to a value, whatever it is folded into.
    pub(crate) fn go_to(&mut self, id: NodeId) {
        self.with(|outline, _| {
            outline.reveal(id);
            id
        });
    }

    /// What was looked for, where it is; goes to the first at or behind the cursor. Whether there is any.
    pub(crate) fn take_hits(&mut self, text: String, hits: Vec<NodeId>) -> bool {
        let first = self.outline().zip(self.node()).and_then(|(outline, at)| {
            let doc = outline.doc();
            let behind = hits.partition_point(|hit| order(&doc, *hit, at) == Ordering::Less);
            hits.get(behind).or(hits.first()).copied()
        });
        self.found = Some(Found { text, hits });
        if let Some(first) = first {
            self.go_to(first);
        }
        first.is_some()
    }

    /// Goes to the next value that has what was looked for, round at the ends. Whether there is any.
    pub(crate) fn step_hit(&mut self, back: bool) -> bool {
        let there =
            self.found.as_ref().zip(self.outline().zip(self.node())).and_then(|(found, (outline, at))| {
                let doc = outline.doc();
                let before = found.hits.partition_point(|hit| order(&doc, *hit, at) == Ordering::Less);
                let is_here = found.hits.get(before) == Some(&at);
                let last = found.hits.len().checked_sub(1)?;
                let next = if back {
                    before.checked_sub(1).unwrap_or(last)
                } else {
                    Some(before + usize::from(is_here)).filter(|n| *n <= last).unwrap_or(0)
                };
                found.hits.get(next).copied()
            });
        if let Some(there) = there {
            self.go_to(there);
        }
        there.is_some()
    }

    fn keep_in_sight(&mut self) {
        let lines = self.outline().map_or(0, Outline::len);
        self.cursor = self.cursor.min(lines.saturating_sub(1));
        let height = self.body_height().max(1);
        self.top = self.top.min(self.cursor).max((self.cursor + 1).saturating_sub(height));
    }

    /// `evt-7 · 12 of 214 · “tok” 3 of 17`
    pub(crate) fn note(&self) -> Safe {
        let mut text = Safe::from_untrusted(&self.key.event_id).to_string();
        if let Some(outline) = self.outline() {
            let number = |n: usize| grouped(n as u64);
            text.push_str(&format!(" · {} of {}", number(self.cursor + 1), number(outline.len())));
            if let (Some(found), Some(at)) = (&self.found, self.node()) {
                let (doc, count) = (outline.doc(), found.hits.len());
                let before = found.hits.partition_point(|hit| order(&doc, *hit, at) == Ordering::Less);
                let here = found.hits.get(before) == Some(&at);
                let place = if here { format!("{} of ", number(before + 1)) } else { String::new() };
                text.push_str(&format!(" · “{}” {place}{}", found.text, number(count)));
            }
        }
        Safe::composed(&text)
    }

    /// The value under the cursor in full, if that is wanted, in at most half of the page.
    fn full_lines(&self) -> Vec<Safe> {
        let Some((outline, at)) = self.outline().zip(self.node()).filter(|_| self.in_full) else {
            return Vec::new();
        };
        if outline.doc().child_count(at) > 0 {
            return Vec::new();
        }
        let text = outline.scalar(at, &self.view);
        let end = text.floor_char_boundary(IN_FULL);
        let mut lines = Safe::composed(&text[..end]).wrapped(self.view.width.max(8));
        let most = (self.height / 2).max(1);
        if lines.len() > most || end < text.len() {
            lines.truncate(most.saturating_sub(1));
            let shown: usize = lines.iter().map(|line| line.as_str().trim_start().len()).sum();
            let rest = size(text.len().saturating_sub(shown));
            lines.push(Safe::composed(&format!("… about {rest} more: y v copies the value")));
        }
        lines
    }

    /// Draws the lines that fit, and below them where the cursor is.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>) {
        let outline = match &self.content {
            Content::Loading => {
                painter.say(1, 0, "building the tree…", Role::Muted);
                return;
            }
            Content::Trouble(why) => {
                painter.put_wrapped(1, 0, why, Role::Error);
                return;
            }
            Content::Ready(outline) => outline,
        };
        let full = self.full_lines();
        let height = painter.height().saturating_sub(1 + full.len());
        for y in 0..height {
            let line = self.top + y;
            let Some(id) = outline.node_at(line) else { break };
            self.paint_row(painter, y, &outline.row(id, &self.view));
            if line == self.cursor {
                painter.mark_line(y, Role::Selected);
            }
        }
        for (n, line) in full.iter().enumerate() {
            painter.put(1, height + n, line, Role::Text);
        }
        self.paint_place(painter, outline, height + full.len());
    }

    fn paint_row(&self, painter: &mut Painter<'_>, y: usize, row: &Row) {
        let sign = Safe::from_untrusted(row.mark.encode_utf8(&mut [0; 4]));
        // The sign stands right before its key, as far in as that.
        let mut x = 1 + 2 * usize::from(row.indent);
        painter.put(x, y, &sign, Role::Muted);
        x += 2;
        for span in &row.spans {
            let next = painter.put(x, y, &span.text, theme_role(span.role));
            if let Some(found) = &self.found {
                for (from, columns) in places(span.text.as_str(), &found.text) {
                    painter.mark(x + from, y, columns, Role::Hit);
                }
            }
            x = next;
        }
    }

    /// `new_state  /roles/0/permissions   array of 2`
    fn paint_place(&self, painter: &mut Painter<'_>, outline: &Outline, y: usize) {
        let (Some((part, pointer)), Some(id)) = (self.place(), self.node()) else { return };
        let doc = outline.doc();
        let kind = doc.kind(id);
        let size = match doc.child_count(id) {
            _ if !kind.is_container() => size(doc.text(id).len()),
            count => grouped(count as u64),
        };
        painter.rule(0, y, "─", Role::Rule);
        let what = Safe::from_untrusted(&format!(" {} · {size} ", kind.name()));
        let right = painter.width().saturating_sub(1);
        let end = painter.put_right(right, y, &what, Role::Muted);
        let part = if part.is_empty() { "the event and its states".to_owned() } else { part };
        let x = painter.put(1, y, &Safe::from_untrusted(&format!(" {part} ")), Role::Title);
        if !pointer.is_empty() {
            let room = end.saturating_sub(x + 2);
            let pointer = Safe::from_untrusted(&pointer).cut_middle(room);
            let x = painter.put(x, y, &pointer, Role::Label);
            painter.say(x, y, " ", Role::Text);
        }
    }
}

/// Where a text stands in a line: first column and number of columns. Capitals count where the text has some.
fn places(line: &str, text: &str) -> Vec<(usize, usize)> {
    let exact = text.chars().any(char::is_uppercase);
    let fold = |c: char| if exact { c } else { c.to_lowercase().next().unwrap_or(c) };
    let wanted: Vec<char> = text.chars().map(fold).collect();
    let chars: Vec<(usize, char)> = line.char_indices().map(|(at, c)| (at, fold(c))).collect();
    let mut places = Vec::new();
    let mut at = 0;
    while !wanted.is_empty() && at + wanted.len() <= chars.len() {
        let window = &chars[at..at + wanted.len()];
        if window.iter().map(|(_, c)| c).eq(&wanted) {
            let (start, end) = (window[0].0, chars.get(at + wanted.len()).map_or(line.len(), |(at, _)| *at));
            places.push((line[..start].width(), line[start..end].width()));
            at += wanted.len();
        } else {
            at += 1;
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::event_row;
    use crate::diff::json::{Limits, OwnedDoc};
    use crate::diff::outline::hits;
    use std::sync::Arc;

    fn tree(text: &str) -> TreePane {
        let limits = Limits { bytes: 1 << 20, nodes: 10_000 };
        let mut pane = TreePane::new(event_row("e", 0).key(), None);
        pane.set_size(80, 12);
        pane.fill(Outline::new(Arc::new(OwnedDoc::parse(text.into(), limits).unwrap())), View::default());
        pane
    }

    fn at(pane: &TreePane) -> String {
        let (part, pointer) = pane.place().unwrap();
        format!("{part}{pointer}")
    }

    #[test]
    fn h_and_l_go_out_and_in() {
        let mut pane =
            tree(r#"{"event": {"id": "e"}, "new_state": {"a": [1, {"b": 2}]}, "previous_state": null}"#);
        assert_eq!(at(&pane), "new_state");
        pane.expand();
        assert_eq!(at(&pane), "new_state/a");
        pane.expand();
        pane.expand();
        assert_eq!(at(&pane), "new_state/a/0");
        pane.collapse();
        pane.collapse();
        assert_eq!(at(&pane), "new_state/a");
        pane.collapse();
        assert_eq!(at(&pane), "new_state");
        pane.unfold_to(9);
        assert_eq!(pane.outline().unwrap().len(), 8);
        pane.scroll(isize::MAX);
        assert_eq!(at(&pane), "previous_state");
        pane.open();
        assert!(pane.in_full, "a value without children is shown in full");
    }

    #[test]
    fn it_begins_where_one_comes_from() {
        let limits = Limits { bytes: 1 << 20, nodes: 10_000 };
        for (begin, there) in
            [("/a/1", "new_state/a/1"), ("/gone", "previous_state/gone"), ("/nowhere", "new_state")]
        {
            let mut pane = TreePane::new(event_row("e", 0).key(), Some(begin.to_owned()));
            pane.set_size(80, 12);
            let text = r#"{"new_state": {"a": [1, 2]}, "previous_state": {"a": [1, 2], "gone": 0}}"#;
            let doc = OwnedDoc::parse(text.into(), limits).unwrap();
            pane.fill(Outline::new(Arc::new(doc)), View::default());
            assert_eq!(at(&pane), there);
        }
    }

    #[test]
    fn hits_are_unfolded_and_gone_round() {
        let mut pane =
            tree(r#"{"new_state": {"a": {"deep": ["x1"]}, "b": "x2"}, "previous_state": {"c": "X3"}}"#);
        let doc = pane.outline().unwrap().share();
        let found = hits(&doc.doc(), "x", &View::default(), &|| false).unwrap();
        assert!(pane.take_hits("x".to_owned(), found));
        assert_eq!(at(&pane), "new_state/a/deep/0");
        let way: Vec<String> = (0..3)
            .map(|_| {
                pane.step_hit(false);
                at(&pane)
            })
            .collect();
        assert_eq!(way, ["new_state/b", "previous_state/c", "new_state/a/deep/0"]);
        assert!(pane.step_hit(true));
        assert_eq!(at(&pane), "previous_state/c");
        assert!(pane.note().as_str().ends_with("“x” 3 of 3"), "{}", pane.note());
        // Folded away again, it is found again.
        pane.scroll(isize::MIN);
        pane.unfold_to(1);
        assert!(pane.step_hit(false));
        assert_eq!(at(&pane), "new_state/a/deep/0");
        assert!(!pane.take_hits("y".to_owned(), Vec::new()) && !pane.step_hit(false));
    }

    #[test]
    fn places_of_a_text_are_columns() {
        assert_eq!(places("日本 Ab aB", "ab"), [(5, 2), (8, 2)]);
        assert_eq!(places("日本 Ab aB", "aB"), [(8, 2)]);
        assert_eq!(places("aaa", "aa"), [(0, 2)]);
        assert_eq!(places("abc", ""), []);
    }
}
