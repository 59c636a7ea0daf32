//! Where in a change stands what a search or a filter looks for: which values are unfolded, which words marked, which
//! lines gone to. Done by the executor, with the layout.

use crate::console::change::lines::{Cell, Laid, Line};
use crate::console::widgets::highlight::Needles;
use crate::console::widgets::theme::Role;
use crate::diff::json::{Doc, Limits};
use crate::diff::{Comparison, Detail};
use crate::filter::Side;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of values that are unfolded: more are no finding.
const MOST: usize = 1_000;

/// Limits of the record of a call, which was compared with nothing.
const LIMITS: Limits = Limits { bytes: 16 << 20, nodes: 1_000_000 };

/// What was found in two states (JSON Pointers).
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The values.
    pub(crate) values: BTreeSet<String>,
    /// What they are in.
    pub(crate) around: BTreeSet<String>,
    /// Those that were looked for by their place, with the texts that stand there.
    placed: BTreeMap<String, Vec<String>>,
}

impl Found {
    /// Looks into both states.
    pub(crate) fn of(needles: &Needles, compared: &Comparison<'_>) -> Self {
        let mut found = Self::default();
        match &compared.detail {
            Detail::Structural { structure, .. } => {
                found.look(needles, &structure.old, Side::Old);
                found.look(needles, &structure.new, Side::New);
            }
            Detail::Call(_) => {
                if let Ok(doc) = Doc::parse(compared.new.unwrap_or_default(), LIMITS) {
                    found.look(needles, &doc, Side::New);
                }
            }
            _ => {}
        }
        found
    }

    fn look(&mut self, needles: &Needles, doc: &Doc<'_>, side: Side) {
        let mut nodes = Vec::new();
        let mut rest = vec![doc.root()];
        while let Some(id) = rest.pop() {
            rest.extend(doc.children(id));
            let is_leaf = doc.child_count(id) == 0;
            if is_leaf && needles.are_words_in(&format!("{} {}", doc.key(id), doc.text(id))) {
                nodes.push(id);
            }
        }
        for (id, text) in needles.values(doc, side) {
            nodes.push(id);
            // A list shows its elements on its own line.
            let list = doc.parent(id).filter(|parent| doc.text(*parent).starts_with('['));
            for at in [Some(id), list].into_iter().flatten() {
                self.placed.entry(doc.pointer(at)).or_default().push(text.clone());
            }
        }
        for id in nodes.into_iter().take(MOST.saturating_sub(self.values.len())) {
            self.values.insert(doc.pointer(id));
            let mut at = id;
            while let Some(parent) = doc.parent(at) {
                self.around.insert(doc.pointer(parent));
                at = parent;
            }
        }
    }
}

impl Laid {
    /// The same with what is looked for marked.
    pub(crate) fn marked(mut self, needles: Option<&Needles>, found: &Found) -> Self {
        let Some(needles) = needles.filter(|needles| !needles.is_empty()) else { return self };
        for row in self.lines.chunk_by_mut(|_, next| next.continued) {
            let pointer = row.first().and_then(|line| line.pointer.clone());
            let placed = pointer.and_then(|pointer| found.placed.get(&*pointer)).map(Vec::as_slice);
            mark(row.iter_mut().map(|line| &mut line.left).collect(), needles, placed);
            mark(row.iter_mut().filter_map(|line| line.right.as_mut()).collect(), needles, placed);
        }
        let has = |line: &Line| {
            !line.left.hits.is_empty() || line.right.as_ref().is_some_and(|cell| !cell.hits.is_empty())
        };
        self.hits = self.lines.iter().enumerate().filter(|(_, line)| has(line)).map(|(n, _)| n).collect();
        self
    }
}

/// Marks what is looked for in the lines of a row: words; else, where the place is looked for, the value.
fn mark(mut cells: Vec<&mut Cell>, needles: &Needles, placed: Option<&[String]>) {
    let texts: Vec<String> =
        cells.iter().map(|cell| cell.pieces.iter().map(|(text, _)| text.as_str()).collect()).collect();
    let columns = needles.columns(&texts.iter().map(String::as_str).collect::<Vec<_>>(), false);
    let mut any = false;
    for (cell, columns) in cells.iter_mut().zip(columns) {
        any |= !columns.is_empty();
        cell.hits = columns.into_iter().map(|(first, width)| (first + cell.indent, width)).collect();
    }
    let Some(texts) = placed.filter(|_| !any) else { return };
    let is_value = |role: Role| {
        use Role::{Added, AddedPart, Masked, Removed, RemovedPart, Text};
        matches!(role, Added | AddedPart | Masked | Removed | RemovedPart | Text)
    };
    let says = |text: &str| texts.iter().any(|wanted| !wanted.is_empty() && text.contains(wanted.as_str()));
    let exact =
        cells.iter().flat_map(|cell| &cell.pieces).any(|(text, role)| is_value(*role) && says(text.as_str()));
    for cell in cells {
        let mut column = cell.indent;
        for (text, role) in &cell.pieces {
            let width = text.width();
            if is_value(*role) && !text.as_str().trim().is_empty() && (!exact || says(text.as_str())) {
                cell.hits.push((column, width));
            }
            column += width;
        }
    }
}
