//! The layouts that show whole documents: unified, side by side, raw. Members in the order of `jsonb`, one to a line,
//! without commas; the raw layout is the evidence.

use super::compare::{Pair, Relation, Structure};
use super::json::{Doc, NodeId, NodeKind, push_quoted};
use super::rows::{Role, Row, View, masked, path_list};
use super::text::{compact, cut};
use super::{Comparison, Detail, words};

/// A line of both documents.
enum Line {
    Both(Row),
    Old(Row),
    New(Row),
    Changed(Row, Row),
}

/// Longest string shown in a tree, in columns.
const STRING_COLUMNS: usize = 2_000;

/// One column, with `-` and `+`. Where there is no tree, the path list.
pub fn unified(comparison: &Comparison<'_>, view: &View) -> Vec<Row> {
    let Some(lines) = lines(comparison, view) else { return path_list(comparison, view) };
    let mut out = Vec::with_capacity(lines.len());
    for line in lines {
        match line {
            Line::Both(row) | Line::Old(row) | Line::New(row) => out.push(row),
            Line::Changed(old, new) => out.extend([old, new]),
        }
    }
    out
}

/// Two columns, aligned: a row that is on one side only has nothing on the other. Where there is no tree, nothing.
pub fn side_by_side(comparison: &Comparison<'_>, view: &View) -> Option<Vec<(Option<Row>, Option<Row>)>> {
    let pair = |line| match line {
        Line::Both(row) => (Some(row.clone()), Some(row)),
        Line::Old(row) => (Some(row), None),
        Line::New(row) => (None, Some(row)),
        Line::Changed(old, new) => (Some(old), Some(new)),
    };
    lines(comparison, view).map(|lines| lines.into_iter().map(pair).collect())
}

/// Both states exactly as stored, masked by nobody: a heading and one row of text each.
pub fn raw(comparison: &Comparison<'_>) -> Vec<Row> {
    let mut out = Vec::new();
    for (mark, role, name, text) in [
        ('-', Role::Removed, "previous_state", comparison.old),
        ('+', Role::Added, "new_state", comparison.new),
    ] {
        let mut heading = Row::new(' ', 0);
        heading.push(Role::Path, name);
        heading.push(Role::Dim, &text.map_or(" not recorded".to_owned(), |t| format!(" {} bytes", t.len())));
        out.push(heading);
        if let Some(text) = text {
            let mut row = Row::new(mark, 0);
            row.push(role, text);
            out.push(row);
        }
    }
    out
}

fn lines(comparison: &Comparison<'_>, view: &View) -> Option<Vec<Line>> {
    let Detail::Structural { structure, paths_only: None, .. } = &comparison.detail else { return None };
    let mut tree = Tree { structure, view, lines: Vec::new() };
    tree.pair(&structure.root, 0, false);
    Some(tree.lines)
}

struct Tree<'s, 'a> {
    structure: &'s Structure<'a>,
    view: &'s View,
    lines: Vec<Line>,
}

/// Which side a subtree is on, where there is no difference inside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Both,
    Old,
    New,
}

impl Tree<'_, '_> {
    fn pair(&mut self, pair: &Pair, indent: u16, secret: bool) {
        let structure = self.structure;
        let (old, new) = (&structure.old, &structure.new);
        match (pair.relation, pair.old, pair.new) {
            (Relation::Same, from, Some(id)) => {
                let at = self.lines.len();
                self.subtree(new, id, indent, Side::Both, secret);
                self.mark_moved(pair, at, from);
            }
            (Relation::Added, _, Some(id)) => self.subtree(new, id, indent, Side::New, secret),
            (Relation::Removed | Relation::MovedOut, Some(id), _) => {
                self.subtree(old, id, indent, Side::Old, secret);
            }
            (Relation::Changed, Some(a), Some(b)) => self.changed(a, b, indent, secret),
            (Relation::TypeChanged, Some(a), Some(b)) => {
                self.subtree(old, a, indent, Side::Old, secret);
                self.subtree(new, b, indent, Side::New, secret);
            }
            (Relation::Inside, from, Some(id)) => {
                let at = self.lines.len();
                self.container(pair, id, indent, secret);
                self.mark_moved(pair, at, from);
            }
            _ => {}
        }
    }

    /// Says at the first line of something that moved where it was.
    fn mark_moved(&mut self, pair: &Pair, at: usize, from: Option<NodeId>) {
        if let (true, Some(Line::Both(row)), Some(from)) = (pair.moved, self.lines.get_mut(at), from) {
            row.mark = '>';
            row.push(Role::Dim, &format!("  moved from {}", self.structure.old.pointer(from)));
        }
    }

    fn container(&mut self, pair: &Pair, id: NodeId, indent: u16, secret: bool) {
        let new = &self.structure.new;
        let object = new.kind(id) == NodeKind::Object;
        let pointer = new.pointer(id);
        let open = self.view.unfold_all || self.view.unfolded.contains(&pointer);
        let mut row = Self::row(new, id, ' ', indent).at(pointer.clone());
        row.push(Role::Plain, if object { "{" } else { "[" });
        self.lines.push(Line::Both(row));
        let children = self.structure.children(pair);
        let mut rest = children;
        while let Some(child) = rest.first() {
            let run = rest.iter().take_while(|c| c.relation == Relation::Same && !c.moved).count();
            let scalar = child.new.is_some_and(|id| !new.kind(id).is_container());
            if open || run == 0 || (run == 1 && scalar) {
                let (doc, id) = match (child.new, child.old) {
                    (Some(id), _) => (new, Some(id)),
                    (None, id) => (&self.structure.old, id),
                };
                let secret = secret || id.is_some_and(|id| self.hides(doc, id));
                self.pair(child, indent + 1, secret);
                rest = &rest[1..];
            } else {
                let mut row = Row::new(' ', indent + 1).at(pointer.clone());
                row.push(Role::Dim, &format!("… {run} unchanged"));
                self.lines.push(Line::Both(row));
                rest = &rest[run..];
            }
        }
        let mut row = Row::new(' ', indent);
        row.push(Role::Plain, if object { "}" } else { "]" });
        self.lines.push(Line::Both(row));
    }

    fn hides(&self, doc: &Doc<'_>, id: NodeId) -> bool {
        self.view.mask && self.view.rules.is_secret_key(&doc.key(id))
    }

    /// A row that begins with the key, if the value has one.
    fn row(doc: &Doc<'_>, id: NodeId, mark: char, indent: u16) -> Row {
        let mut row = Row::new(mark, indent);
        if doc.parent(id).is_some_and(|p| doc.kind(p) == NodeKind::Object) {
            let mut key = String::new();
            push_quoted(&mut key, &doc.key(id));
            row.push(Role::Path, &cut(crate::domain::Safe::from_untrusted(&key).as_str(), STRING_COLUMNS));
            row.push(Role::Plain, ": ");
        }
        row
    }

    fn emit(&mut self, side: Side, row: Row) {
        self.lines.push(match side {
            Side::Both => Line::Both(row),
            Side::Old => Line::Old(row),
            Side::New => Line::New(row),
        });
    }

    fn subtree(&mut self, doc: &Doc<'_>, id: NodeId, indent: u16, side: Side, secret: bool) {
        let secret = secret || self.hides(doc, id);
        let (mark, role) = match side {
            Side::Both => (' ', Role::Plain),
            Side::Old => ('-', Role::Removed),
            Side::New => ('+', Role::Added),
        };
        let mut row = Self::row(doc, id, mark, indent).at(doc.pointer(id));
        if !doc.kind(id).is_container() || doc.child_count(id) == 0 {
            let (text, is_masked) = self.scalar(doc, id, secret);
            row.push(if is_masked { Role::Masked } else { role }, &text);
            self.emit(side, row);
            return;
        }
        let (open, close) = if doc.kind(id) == NodeKind::Object { ("{", "}") } else { ("[", "]") };
        row.push(role, open);
        self.emit(side, row);
        for child in doc.children(id) {
            self.subtree(doc, child, indent + 1, side, secret);
        }
        let mut row = Row::new(mark, indent);
        row.push(role, close);
        self.emit(side, row);
    }

    fn scalar(&self, doc: &Doc<'_>, id: NodeId, secret: bool) -> (String, bool) {
        let text = doc.text(id);
        let hidden = matches!(doc.kind(id), NodeKind::String | NodeKind::Number)
            && self.view.mask
            && (secret || self.view.rules.is_secret_value(text));
        if hidden {
            return (masked(text), true);
        }
        let mut out = String::new();
        compact(doc, id, self.view, false, usize::MAX, &mut out);
        let whole = !self.view.in_full.is_empty() && self.view.in_full.contains(&doc.pointer(id));
        let columns = STRING_COLUMNS + if whole { self.view.more_room(&doc.pointer(id)) } else { 0 };
        (cut(&out, columns), false)
    }

    fn changed(&mut self, a: NodeId, b: NodeId, indent: u16, secret: bool) {
        let (old, new) = (&self.structure.old, &self.structure.new);
        let secret = secret || self.hides(new, b);
        let mut left = Self::row(old, a, '-', indent).at(old.pointer(a));
        let mut right = Self::row(new, b, '+', indent).at(new.pointer(b));
        let (x, x_masked) = self.scalar(old, a, secret);
        let (y, y_masked) = self.scalar(new, b, secret);
        if x_masked || y_masked {
            left.push(if x_masked { Role::Masked } else { Role::Removed }, &x);
            right.push(if y_masked { Role::Masked } else { Role::Added }, &y);
        } else if old.kind(a) == NodeKind::String {
            let (olds, news) = words::parts(&x, &y);
            for (changed, text) in olds {
                left.push(if changed { Role::RemovedPart } else { Role::Removed }, text);
            }
            for (changed, text) in news {
                right.push(if changed { Role::AddedPart } else { Role::Added }, text);
            }
        } else {
            left.push(Role::RemovedPart, &x);
            right.push(Role::AddedPart, &y);
        }
        self.lines.push(Line::Changed(left, right));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, compare, unhurried};
    use super::*;

    const OLD: &str =
        r#"{"a":1,"b":2,"c":3,"text":"allow read on x","list":[{"id":1,"v":1},{"id":2,"v":1}],"t":1}"#;
    const NEW: &str = r#"{"a":1,"b":2,"c":3,"text":"allow write on x","list":[{"id":2,"v":1},{"id":1,"v":2}],"t":[],"p":{"token":"abc"}}"#;

    fn comparison() -> Comparison<'static> {
        compare(Some(OLD), Some(NEW), &Options::default(), &unhurried)
    }

    #[test]
    fn unified_folds_what_did_not_change() {
        let rows: Vec<String> = unified(&comparison(), &View::default()).iter().map(Row::text).collect();
        insta::assert_snapshot!(rows.join("\n"), @r#"
          {
            … 3 unchanged
        +   "p": {
        +     "token": ‹masked, 3 characters›
        +   }
        -   "t": 1
        +   "t": []
            "list": [
        >     {  moved from /list/1
                "v": 1
                "id": 2
              }
              {
        -       "v": 1
        +       "v": 2
                "id": 1
              }
            ]
        -   "text": "allow read on x"
        +   "text": "allow write on x"
          }
        "#);
    }

    #[test]
    fn unfolded_everything_is_there() {
        let view = View { unfold_all: true, ..View::default() };
        let rows: Vec<String> = unified(&comparison(), &view).iter().map(Row::text).collect();
        assert!(!rows.iter().any(|r| r.contains('…')), "{rows:#?}");
        assert!(rows.contains(&"    \"b\": 2".to_owned()), "{rows:#?}");
        let some = View { unfolded: [String::new()].into(), ..View::default() };
        assert!(unified(&comparison(), &some).len() > unified(&comparison(), &View::default()).len());
    }

    #[test]
    fn side_by_side_is_the_unified_layout_in_two_columns() {
        let pairs = side_by_side(&comparison(), &View::default()).unwrap();
        let rows = unified(&comparison(), &View::default());
        let changed = pairs.iter().filter(|(l, r)| l.is_some() && r.is_some() && l != r).count();
        assert_eq!(pairs.len() + changed, rows.len());
        for (left, right) in &pairs {
            if let (Some(left), Some(right)) = (left, right) {
                // Aligned by path: both sides show the same key at the same depth.
                assert_eq!((left.indent, &left.spans[0]), (right.indent, &right.spans[0]));
            }
        }
    }

    #[test]
    fn the_words_that_changed_are_highlighted() {
        let rows = unified(&comparison(), &View::default());
        let parts = |role| {
            let spans = rows.iter().flat_map(|r| &r.spans).filter(|s| s.role == role);
            spans.map(|s| s.text.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(parts(Role::RemovedPart), ["1", "read"]);
        assert_eq!(parts(Role::AddedPart), ["2", "write"]);
        assert_eq!(parts(Role::Masked), ["‹masked, 3 characters›"]);
    }

    #[test]
    fn raw_is_exact() {
        let rows = raw(&comparison());
        assert_eq!(rows[1].spans[0].text.as_str(), OLD);
        assert_eq!(rows[3].spans[0].text.as_str(), NEW);
    }
}
