//! Rows for any front end: spans of text with a role, and the path list.
//!
//! Text in a row is [`Safe`]: it was escaped here, once, and goes to the terminal as it is.

use super::compare::{Change, ChangeKind, Structure};
use super::degrade::LineChange;
use super::inside::InnerChange;
use super::json::{Doc, NodeId};
use super::label::{LabelStep, steps_text};
use super::rules::{Rank, Rules};
use super::text::{cut, cut_front, shown};
use super::{Comparison, Detail, call};
use crate::domain::Safe;
use std::collections::{BTreeMap, BTreeSet};

pub use super::text::{covered, masked, size};

/// What a span is, for a theme to colour. Marks and words carry the meaning without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Text without a meaning of its own.
    Plain,
    /// What may be overlooked: counts, arrows, what is folded.
    Dim,
    /// A path or a key.
    Path,
    /// A path of a change about privileges, secrets, owners or network exposure.
    Important,
    /// A value that came.
    Added,
    /// A value that went.
    Removed,
    /// The part of a string that came.
    AddedPart,
    /// The part of a string that went.
    RemovedPart,
    /// Stands for a secret.
    Masked,
    /// Something the reader must know about the diff itself.
    Notice,
}

/// Text of one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What it is.
    pub role: Role,
    /// The text, escaped.
    pub text: Safe,
}

/// A line of a front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Gutter: `+`, `-`, `~`, `!` (another type), `>` (moved), or a blank.
    pub mark: char,
    /// Levels of indentation, two columns each.
    pub indent: u16,
    /// Text from left to right.
    pub spans: Vec<Span>,
    /// The place it is about (JSON Pointer; of a removed value in the old document): to copy, to open, to unfold.
    pub pointer: Option<String>,
    /// Whether it is about noise, to be dimmed.
    pub noise: bool,
}

impl Row {
    pub(super) fn new(mark: char, indent: u16) -> Self {
        Self { mark, indent, spans: Vec::new(), pointer: None, noise: false }
    }

    /// Adds JSON, whose backslashes say what they are, or text that is escaped already.
    pub(super) fn push(&mut self, role: Role, text: &str) {
        if !text.is_empty() {
            self.spans.push(Span { role, text: Safe::composed(text) });
        }
    }

    pub(super) fn at(mut self, pointer: String) -> Self {
        self.pointer = Some(pointer);
        self
    }

    pub(super) fn notice(text: &str) -> Self {
        let mut row = Self::new(' ', 0);
        row.push(Role::Notice, text);
        row
    }

    /// Columns it takes, gutter included.
    pub fn width(&self) -> usize {
        2 + usize::from(self.indent) * 2 + self.spans.iter().map(|s| s.text.width()).sum::<usize>()
    }

    /// The row as text, with gutter and indentation.
    pub fn text(&self) -> String {
        let blanks = usize::from(self.indent) * 2;
        let mut out = format!("{} {:blanks$}", self.mark, "");
        out.extend(self.spans.iter().map(|s| s.text.as_str()));
        out.truncate(out.trim_end().len());
        out
    }
}

/// How rows are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Columns that a row of the path list should not exceed.
    pub width: usize,
    /// Lines of that width over which a front end breaks a row at most: so much room a value has.
    pub lines: usize,
    /// Whether secrets are masked.
    pub mask: bool,
    /// Words that say what is a secret.
    pub rules: Rules,
    /// Whether unchanged parts of trees are shown.
    pub unfold_all: bool,
    /// Containers (JSON Pointer in the new document) whose unchanged parts are shown.
    pub unfolded: BTreeSet<String>,
    /// Values (JSON Pointer in either document) that are not cut to the room there is.
    pub in_full: BTreeSet<String>,
    /// Maximum number of rows of a path list; how many there are more is told.
    pub limit: usize,
}

impl Default for View {
    /// 80 columns on one line, masked, folded, all rows.
    fn default() -> Self {
        Self {
            width: 80,
            lines: 1,
            mask: true,
            rules: Rules::default(),
            unfold_all: false,
            unfolded: BTreeSet::new(),
            in_full: BTreeSet::new(),
            limit: usize::MAX,
        }
    }
}

impl View {
    /// Lines of a value that is not cut: a page of a few thousand lines can still be scrolled.
    const FULL: usize = 1_000;

    /// Columns that the value at a place has beyond those of its first line.
    pub(super) fn more_room(&self, pointer: &str) -> usize {
        let lines = if self.in_full.contains(pointer) { Self::FULL } else { self.lines };
        lines.saturating_sub(1) * self.width
    }
}

/// What is on top of every layout: counts, and how far the comparison went if not all the way.
pub fn heading(comparison: &Comparison<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    // Not "created": logs of calls record a new state on a read, too.
    let presence = match (comparison.old, comparison.new) {
        (None, Some(_)) => "no previous state recorded",
        (Some(_), None) => "no new state recorded",
        _ => "",
    };
    match &comparison.detail {
        Detail::NothingRecorded => rows.push(Row::notice("no state recorded")),
        Detail::Call(record) => rows
            .push(Row::notice(&format!("a call, as {} recorded it: no states, so no change", record.title))),
        Detail::Structural { changes, paths_only, .. } => {
            let mut row = Row::new(' ', 0);
            row.push(Role::Dim, &counts(changes));
            if !presence.is_empty() {
                row.push(Role::Dim, &format!(" · {presence}"));
            }
            rows.push(row);
            if let Some(why) = paths_only {
                rows.push(Row::notice(&format!("path list only: {why}")));
            }
        }
        Detail::Lines { why, .. } => rows.push(Row::notice(&format!("compared by lines: {why}"))),
        Detail::Hashes { why, .. } => rows.push(Row::notice(&format!("compared by hash: {why}"))),
    }
    rows
}

fn counts(changes: &[Change<'_>]) -> String {
    if changes.is_empty() {
        return "no difference".to_owned();
    }
    let names = [
        (ChangeKind::Changed, "changed"),
        (ChangeKind::Added, "added"),
        (ChangeKind::Removed, "removed"),
        (ChangeKind::TypeChanged, "of another type"),
        (ChangeKind::Moved, "moved"),
    ];
    let mut out: Vec<String> = Vec::new();
    for (kind, name) in names {
        let n = changes.iter().filter(|c| c.kind == kind && c.rank != Rank::Noise).count();
        if n > 0 {
            out.push(format!("{n} {name}"));
        }
    }
    let noise = changes.iter().filter(|c| c.rank == Rank::Noise).count();
    if noise > 0 {
        out.push(format!("{noise} noise"));
    }
    out.join(" · ")
}

/// One line per change, grouped by subtree, most significant first; below the [`heading`]. Where the comparison is not
/// structural: lines, or hashes.
pub fn path_list(comparison: &Comparison<'_>, view: &View) -> Vec<Row> {
    match &comparison.detail {
        Detail::NothingRecorded => Vec::new(),
        Detail::Call(record) => call::rows(record, comparison.new.unwrap_or_default(), view),
        Detail::Structural { structure, changes, .. } => grouped(structure, changes, view),
        Detail::Lines { lines, .. } => lines.lines.iter().map(|l| line_row(*l, view)).collect(),
        Detail::Hashes { sha256, .. } => hash_rows(comparison, sha256),
    }
}

fn line_row(line: LineChange<'_>, view: &View) -> Row {
    let (mark, role, text) = match line {
        LineChange::Unchanged(n) => (' ', Role::Dim, format!("… {n} unchanged")),
        LineChange::Removed(text) => ('-', Role::Removed, text.to_owned()),
        LineChange::Added(text) => ('+', Role::Added, text.to_owned()),
    };
    let mut row = Row::new(mark, 0);
    // A line has no structure that could say what is a secret, but it may show a key and a value.
    if let Some((key, value)) = text.split_once(':').filter(|_| view.mask)
        && view.rules.is_secret_key(key.trim_matches([' ', '"']))
    {
        row.push(role, &format!("{key}: "));
        row.push(Role::Masked, &masked(value));
    } else if view.mask && view.rules.is_secret_value(text.trim_end_matches(',')) {
        row.push(Role::Masked, &masked(&text));
    } else {
        row.push(role, &cut(&text, view.width.saturating_sub(2).max(20)));
    }
    row
}

fn hash_rows(comparison: &Comparison<'_>, sha256: &[Option<String>; 2]) -> Vec<Row> {
    let sides =
        [('-', Role::Removed, comparison.old, &sha256[0]), ('+', Role::Added, comparison.new, &sha256[1])];
    let mut rows = Vec::new();
    for (mark, role, text, hash) in sides {
        if let (Some(text), Some(hash)) = (text, hash) {
            let mut row = Row::new(mark, 0);
            row.push(role, &format!("sha256 {hash}"));
            row.push(Role::Dim, &format!(" {}", size(text.len())));
            rows.push(row);
        }
    }
    if sha256[0] == sha256[1] {
        rows.push(Row::notice("both states are the same, byte by byte"));
    }
    rows
}

/// A line of the path list before it is laid out.
struct Entry<'c> {
    steps: &'c [LabelStep],
    /// One change, or several scalars that came to and went from the same array.
    changes: Vec<&'c Change<'c>>,
}

fn grouped(structure: &Structure<'_>, changes: &[Change<'_>], view: &View) -> Vec<Row> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut arrays: BTreeMap<String, usize> = BTreeMap::new();
    for change in changes {
        let steps = change.label.0.as_slice();
        if let (Some(LabelStep::Index(_)), true) = (steps.last(), is_loose_scalar(structure, change)) {
            let array = &steps[..steps.len() - 1];
            let next = entries.len();
            let at = *arrays.entry(steps_text(array)).or_insert(next);
            if let Some(entry) = entries.get_mut(at) {
                entry.changes.push(change);
                continue;
            }
            entries.push(Entry { steps: array, changes: vec![change] });
        } else {
            entries.push(Entry { steps, changes: vec![change] });
        }
    }
    let (total, mut shown) = (entries.len(), 0);
    // Groups in the order of their most significant change; in a group the order stays.
    let mut groups: Vec<(Option<&LabelStep>, Vec<Entry<'_>>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries {
        let first = entry.steps.first();
        let next = groups.len();
        let at =
            *places.entry(steps_text(first.map(std::slice::from_ref).unwrap_or_default())).or_insert(next);
        match groups.get_mut(at) {
            Some((_, group)) => group.push(entry),
            None => groups.push((first, vec![entry])),
        }
    }
    let mut rows = Vec::new();
    for (first, group) in groups {
        let heading = first.filter(|_| group.len() > 1);
        if let Some(step) = heading {
            let mut row = Row::new(' ', 0);
            row.push(Role::Path, Safe::from_untrusted(&steps_text(std::slice::from_ref(step))).as_str());
            row.push(Role::Dim, &format!(" · {}", group.iter().map(|e| e.changes.len()).sum::<usize>()));
            rows.push(row);
        }
        let level = u16::from(heading.is_some());
        let room = view.limit.saturating_sub(rows.len());
        rows.extend(group.iter().take(room).flat_map(|entry| {
            let inside = inner_rows(entry, level + 1, view);
            std::iter::once(entry_row(structure, entry, level, view)).chain(inside)
        }));
        shown += group.len().min(room);
        if rows.len() >= view.limit {
            break;
        }
    }
    if shown < total {
        rows.push(Row::notice(&format!("… and {} changes more", total - shown)));
    }
    rows
}

/// A scalar that came to an array or went from it.
fn is_loose_scalar(structure: &Structure<'_>, change: &Change<'_>) -> bool {
    let scalar = |doc: &Doc<'_>, id: Option<NodeId>| id.is_some_and(|id| !doc.kind(id).is_container());
    match change.kind {
        ChangeKind::Added => scalar(&structure.new, change.new_node),
        ChangeKind::Removed => scalar(&structure.old, change.old_node),
        _ => false,
    }
}

fn entry_row(structure: &Structure<'_>, entry: &Entry<'_>, level: u16, view: &View) -> Row {
    let steps = entry.steps.get(usize::from(level)..).unwrap_or_default();
    let rank = entry.changes.iter().map(|c| c.rank).min().unwrap_or(Rank::Ordinary);
    let in_array = entry.changes.first().is_some_and(|c| c.label.0.len() > entry.steps.len());
    let first = entry.changes.first();
    let mark = if in_array { '~' } else { first.map_or(' ', |c| c.kind.mark()) };
    let mut row = Row::new(mark, level);
    row.noise = rank == Rank::Noise;
    row.pointer = first.map(|c| {
        let parent = c.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if in_array { parent.to_owned() } else { c.path.clone() }
    });
    let path_role = if rank < Rank::Ordinary { Role::Important } else { Role::Path };
    let path = match steps_text(steps) {
        path if path.is_empty() && entry.steps.is_empty() => "(document)".to_owned(),
        path => path,
    };
    // Long paths are cut at the front: their end says more.
    let room = view.width.saturating_sub(row.width()).max(20);
    row.push(path_role, &cut_front(Safe::from_untrusted(&path).as_str(), room * 2 / 3));
    let room = view.width.saturating_sub(row.width());
    let more = entry.changes.iter().map(|change| view.more_room(&change.path)).max().unwrap_or_default();
    if in_array {
        // Elements stand on one line, unless one of them is to be seen whole.
        let room = if more > view.lines * view.width { room + more } else { room };
        elements(structure, &entry.changes, room, view, &mut row);
    } else if let Some(inside) = first.and_then(|change| change.inside.as_ref()) {
        let same = if inside.is_empty() { ", the same in another spelling" } else { "" };
        row.push(Role::Dim, &format!(" (JSON in a string{same})"));
    } else if let Some(change) = first {
        values(structure, change, room + more, view, &mut row);
    }
    row
}

/// What differs inside a string that holds JSON, one row each.
fn inner_rows(entry: &Entry<'_>, level: u16, view: &View) -> Vec<Row> {
    let [change] = entry.changes.as_slice() else { return Vec::new() };
    let row = |inner: &InnerChange| {
        let mut row = Row::new(inner.kind.mark(), level).at(change.path.clone());
        let path_role = if inner.rank < Rank::Ordinary { Role::Important } else { Role::Path };
        let room = view.width.saturating_sub(row.width()).max(20);
        let path = inner.label.text();
        row.push(path_role, &cut_front(if path.is_empty() { "(document)" } else { &path }, room * 2 / 3));
        let room = view.width.saturating_sub(row.width() + 5).max(16);
        let room =
            if view.in_full.contains(&change.path) { room + view.more_room(&change.path) } else { room };
        let hidden = view.mask && (inner.secret || change.secret);
        let sides = [(&inner.old, Role::Removed), (&inner.new, Role::Added)];
        let there = sides.iter().filter(|(value, _)| value.is_some()).count().max(1);
        for (n, (value, role)) in
            sides.into_iter().filter_map(|(v, role)| Some((v.as_deref()?, role))).enumerate()
        {
            row.push(Role::Dim, if n == 0 { " " } else { " → " });
            let value = if hidden { masked(value) } else { cut(value, room / there) };
            row.push(if hidden { Role::Masked } else { role }, &value);
        }
        row
    };
    change.inside.iter().flatten().map(row).collect()
}

/// `[+admin -viewer]`
fn elements(structure: &Structure<'_>, changes: &[&Change<'_>], room: usize, view: &View, row: &mut Row) {
    row.push(Role::Plain, "[");
    let mut left = room.saturating_sub(8);
    for (i, change) in changes.iter().enumerate() {
        let added = change.kind == ChangeKind::Added;
        let (role, doc, id) = if added {
            (Role::Added, &structure.new, change.new_node)
        } else {
            (Role::Removed, &structure.old, change.old_node)
        };
        let Some(id) = id else { continue };
        let room = if view.in_full.contains(&change.path) { room } else { 24 };
        let (text, is_masked) = shown(doc, id, change.secret, view, room);
        let text = format!("{}{}{text}", if i > 0 { " " } else { "" }, change.kind.mark());
        let columns = Safe::composed(&text).width();
        if columns > left && i > 0 {
            row.push(Role::Dim, &format!(" …+{}", changes.len() - i));
            break;
        }
        left = left.saturating_sub(columns);
        row.push(if is_masked { Role::Masked } else { role }, &text);
    }
    row.push(Role::Plain, "]");
}

/// ` 100 → 10`
fn values(structure: &Structure<'_>, change: &Change<'_>, room: usize, view: &View, row: &mut Row) {
    let side = |id: Option<NodeId>, doc: &Doc<'_>, room: usize| {
        id.map(|id| shown(doc, id, change.secret, view, room))
    };
    let role = |is_masked: bool, role: Role| if is_masked { Role::Masked } else { role };
    match change.kind {
        ChangeKind::Moved => {
            let from = change.from.as_deref().unwrap_or_default();
            row.push(Role::Dim, " moved from ");
            row.push(
                Role::Path,
                &cut_front(Safe::from_untrusted(from).as_str(), room.saturating_sub(12).max(10)),
            );
        }
        ChangeKind::Added | ChangeKind::Removed => {
            let room = room.saturating_sub(1).max(12);
            let added = change.kind == ChangeKind::Added;
            let value = if added {
                side(change.new_node, &structure.new, room)
            } else {
                side(change.old_node, &structure.old, room)
            };
            let (text, is_masked) = value.unwrap_or_default();
            row.push(Role::Plain, " ");
            row.push(role(is_masked, if added { Role::Added } else { Role::Removed }), &text);
        }
        ChangeKind::Changed | ChangeKind::TypeChanged => {
            let types = match (change.kind, change.old_node, change.new_node) {
                (ChangeKind::TypeChanged, Some(a), Some(b)) => {
                    format!(" ({} → {})", structure.old.kind(a).name(), structure.new.kind(b).name())
                }
                _ => String::new(),
            };
            let room = room.saturating_sub(4 + Safe::composed(&types).width());
            let (mut old, old_masked) = side(change.old_node, &structure.old, usize::MAX).unwrap_or_default();
            let (mut new, new_masked) = side(change.new_node, &structure.new, usize::MAX).unwrap_or_default();
            // Each side has a half, and what the other does not need.
            let (a, b) = (Safe::composed(&old).width(), Safe::composed(&new).width());
            let half = (room / 2).max(8);
            if a + b > room {
                skip_common_start(&mut old, &mut new, half);
                old = cut(&old, half.max(room.saturating_sub(b)));
                new = cut(&new, half.max(room.saturating_sub(Safe::composed(&old).width())));
            }
            row.push(Role::Plain, " ");
            row.push(role(old_masked, Role::Removed), &old);
            row.push(Role::Dim, " → ");
            row.push(role(new_masked, Role::Added), &new);
            row.push(Role::Dim, &types);
        }
    }
}

/// Leaves out a long beginning that two texts share, so that the difference is seen.
fn skip_common_start(old: &mut String, new: &mut String, half: usize) {
    let common: usize =
        old.chars().zip(new.chars()).take_while(|(x, y)| x == y).map(|(c, _)| c.len_utf8()).sum();
    if common > half / 2 {
        let mut from = common - half / 3;
        while !old.is_char_boundary(from) {
            from -= 1;
        }
        *old = format!("…{}", &old[from..]);
        *new = format!("…{}", &new[from..]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, compare, unhurried};
    use super::*;

    fn list(old: Option<&str>, new: Option<&str>, view: &View) -> Vec<String> {
        let compared = compare(old, new, &Options::default(), &unhurried);
        let rows = heading(&compared).into_iter().chain(path_list(&compared, view));
        rows.map(|r| r.text()).collect()
    }

    #[test]
    fn reads_at_a_glance() {
        let old = r#"{"quota":100,"roles":["viewer"],"spec":{"a":1,"b":"x","pods":[{"name":"p","n":1}]},"gone":null}"#;
        let new = r#"{"quota":10,"roles":["viewer","admin"],"spec":{"a":"1","b":"y z","pods":[{"name":"p","n":2}]},"new":[1]}"#;
        insta::assert_snapshot!(list(Some(old), Some(new), &View::default()).join("\n"), @r#"
          3 changed · 2 added · 1 removed · 1 of another type
        ~ roles[+admin]
        + new [1]
        - gone null
          spec · 3
        !   a 1 → "1" (number → string)
        ~   b x → "y z"
        ~   pods[name=p].n 1 → 2
        ~ quota 100 → 10
        "#);
    }

    #[test]
    fn absent_states_are_named() {
        insta::assert_snapshot!(list(None, Some(r#"{"id":1}"#), &View::default()).join("\n"), @r#"
          1 added · no previous state recorded
        + id 1
        "#);
        assert_eq!(list(None, None, &View::default()), ["  no state recorded"]);
    }

    #[test]
    fn secrets_are_masked_wherever_they_are() {
        let old = r#"{"api_key":"s3cr3t-old","cfg":1}"#;
        let new = r#"{"api_key":"s3cr3t-new","cfg":{"password":"hunter2","n":["AKIAIOSFODNN7EXAMPLE"]}}"#;
        let text = list(Some(old), Some(new), &View::default()).join("\n");
        for secret in ["s3cr3t", "hunter2", "AKIA"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("~ api_key ‹masked, 10 characters› → ‹masked, 10 characters›"), "{text}");
        let shown = list(Some(old), Some(new), &View { mask: false, ..View::default() }).join("\n");
        assert!(shown.contains("AKIAIOSFODNN7EXAMPLE") && shown.contains("s3cr3t-new"), "{shown}");
    }

    #[test]
    fn nothing_is_wider_than_asked_and_nothing_reaches_the_terminal_raw() {
        let long = "x".repeat(5000);
        let deep = format!("{{\"{}\":{{\"k\":\"{long}1\"}}}}", "key".repeat(60));
        let deeper =
            format!("{{\"{}\":{{\"k\":\"{long}2\"}},\"\\u001b[31m\":\"\u{202e}\"}}", "key".repeat(60));
        for width in [60, 80, 120] {
            let view = View { width, ..View::default() };
            let compared = compare(Some(&deep), Some(&deeper), &Options::default(), &unhurried);
            for row in path_list(&compared, &view) {
                assert!(row.width() <= width, "{width} {} {}", row.width(), row.text());
                assert!(!row.text().contains(['\u{1b}', '\u{202e}']));
            }
        }
        // The difference at the far end is seen.
        let rows = list(Some(&deep), Some(&deeper), &View::default()).join("\n");
        assert!(rows.contains("x1 → ") && rows.contains("x2"), "{rows}");
    }
}
