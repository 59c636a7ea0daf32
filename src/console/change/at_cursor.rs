//! The cursor of the change pane: its way to what is looked for and from change to change, and the values it is on.

use crate::console::change::layout::{CAP, Cell, Laid, Layout, Line};
use crate::console::change::pane::{ChangePane, Lens};
use crate::console::filter_bar::value_picker::StateValue;
use crate::console::widgets::highlight::Needles;
use crate::console::widgets::scrolling::{brought_into_sight, next_line};
use crate::console::widgets::theme::Role;
use crate::diff::json::{Doc, Limits, NodeId, NodeKind};
use crate::domain::EventKey;
use crate::filter::{Path, Step, Value};
use std::sync::Arc;

/// Maximum number of values that are offered of one line.
const OFFERED: usize = 4;

impl ChangePane {
    /// Takes note of what is looked for; goes there when that is something else than before.
    pub(crate) fn seek(&mut self, needles: &Needles) {
        if self.needles.as_deref().unwrap_or(&Needles::default()) != needles {
            self.needles = (!needles.is_empty()).then(|| Arc::new(needles.clone()));
            self.arrived = true;
        }
    }

    /// Where the cursor is, for [`Self::return_to`].
    pub(crate) fn line(&self) -> usize {
        self.cursor
    }

    /// Goes to a line of an event as soon as that is shown.
    pub(crate) fn return_to(&mut self, key: EventKey, line: usize) {
        self.returning = Some((key, line));
    }

    /// The first place of what is looked for, once something new has been laid out. While the versions of a resource
    /// are gone through, the eye stays where it is.
    pub(super) fn arrive(&mut self) {
        let (Some(laid), Some(row)) = (&self.laid, &self.row) else { return };
        if !std::mem::take(&mut self.arrived) || matches!(self.lens, Lens::State | Lens::Blame) {
            return;
        }
        let key = row.event.key();
        let back = self.returning.take().filter(|(of, _)| *of == key).map(|(_, line)| line);
        if let Some(line) = back.or_else(|| laid.hits.first().copied()) {
            self.go_to_line(line);
        }
    }

    /// Goes to the next line that has what is looked for. False when there is none further on.
    pub(crate) fn step_hit(&mut self, back: bool) -> bool {
        let hits = self.laid.as_ref().map(|laid| laid.hits.clone()).unwrap_or_default();
        self.step_to(&hits, back)
    }

    /// Goes to the next change. False when there is none further on.
    pub(crate) fn step_hunk(&mut self, back: bool) -> bool {
        let hunks = self.laid.as_ref().map(|laid| hunks(laid, self.layout)).unwrap_or_default();
        self.step_to(&hunks, back)
    }

    fn step_to(&mut self, lines: &[usize], back: bool) -> bool {
        let there = next_line(lines, self.cursor as isize, back);
        if let Some(line) = there {
            self.go_to_line(line);
        }
        there.is_some()
    }

    /// Puts the cursor on a line.
    fn go_to_line(&mut self, line: usize) {
        self.top = brought_into_sight(self.top, line, self.body_height().max(1));
        self.cursor = line;
        self.keep_in_sight();
    }
}

impl ChangePane {
    /// The values on the line under the cursor, the new ones first: a scalar, or the elements that came to a list or
    /// went from it. None of a line that masks something.
    pub(crate) fn values_at_cursor(&self) -> Vec<StateValue> {
        let row = self.laid.as_ref().and_then(|laid| row_at(&laid.lines, self.cursor)).unwrap_or_default();
        let cells = || row.iter().flat_map(|line| std::iter::once(&line.left).chain(&line.right));
        let masks = |cell: &Cell| cell.pieces.iter().any(|(_, role)| *role == Role::Masked);
        let Some(pointer) =
            row.first().and_then(|line| line.pointer.as_deref()).filter(|_| !cells().any(masks))
        else {
            return Vec::new();
        };
        let mark = row.first().and_then(|line| line.left.mark.as_ref()).map(|(mark, _)| mark.as_str());
        let one = row.first().is_some_and(|line| line.right.is_none());
        let [old, new] = self.texts_compared();
        let old = old.filter(|_| !one || mark != Some("+"));
        let new = new.filter(|_| !one || mark != Some("-"));
        let of = |text: Option<String>| text.map(|text| values(&text, pointer)).unwrap_or_default();
        let (old, new) = (of(old), of(new));
        let came = new.iter().filter(|value| !old.contains(value));
        let went = old.iter().filter(|value| !new.contains(value));
        let mut found: Vec<StateValue> = came.chain(went).cloned().collect();
        if found.is_empty() {
            found = new;
        }
        found.truncate(OFFERED);
        found
    }

    /// The two states on the screen, as far as they are here whole: the second one alone where no two are compared.
    fn texts_compared(&self) -> [Option<String>; 2] {
        match self.lens {
            Lens::Event | Lens::Marked => {
                let states = self.states_to_compare();
                let text = |new: bool| {
                    let states = states.as_ref()?;
                    let side = if new { &states.new } else { &states.old };
                    side.as_ref().filter(|side| side.is_whole()).map(|side| side.text.to_string())
                };
                [text(false), text(true)]
            }
            Lens::State => [None, self.state_shown().flatten()],
            Lens::Blame => [None, self.state_after().map(str::to_owned)],
        }
    }
}

/// The lines of the row that a line belongs to.
fn row_at(lines: &[Line], at: usize) -> Option<&[Line]> {
    let start = (0..=at).rev().find(|n| lines.get(*n).is_some_and(|line| !line.continued))?;
    let more = lines.get(start + 1..)?.iter().take_while(|line| line.continued).count();
    lines.get(start..=start + more)
}

/// The scalar at a place of a state, or the scalars of the list there.
fn values(state: &str, pointer: &str) -> Vec<StateValue> {
    let limits = Limits { bytes: CAP as usize, nodes: CAP as usize };
    let Ok(doc) = Doc::parse(state, limits) else { return Vec::new() };
    let Some(id) = doc.resolve(pointer) else { return Vec::new() };
    let ids = if doc.kind(id) == NodeKind::Array { doc.children(id).collect() } else { vec![id] };
    let value = |id: NodeId| {
        let value = match doc.kind(id) {
            NodeKind::String => Value::Text(doc.string(id)?.into_owned()),
            NodeKind::Number => Value::Number(doc.text(id).parse().ok()?),
            NodeKind::Bool => Value::Bool(doc.text(id) == "true"),
            _ => return None,
        };
        Some(StateValue { value, path: path(&doc, id) })
    };
    ids.into_iter().filter_map(value).collect()
}

/// The path of a value in the filter language; of an element that of its list, which holds what its elements hold.
fn path(doc: &Doc<'_>, id: NodeId) -> Path {
    let step = |id: NodeId| match doc.parent(id).map(|parent| doc.kind(parent)) {
        Some(NodeKind::Array) => Step::Index(u32::try_from(doc.position(id)).unwrap_or(u32::MAX)),
        _ => Step::Key(doc.key(id).into_owned()),
    };
    let mut steps: Vec<Step> = doc.ancestry(id).into_iter().map(step).collect();
    while matches!(steps.last(), Some(Step::Index(_))) {
        steps.pop();
    }
    Path { anywhere: false, steps }
}

/// The first lines of changes: of the path list each one is one, of a document a run of changed lines.
fn hunks(laid: &Laid, layout: Layout) -> Vec<usize> {
    let mut out = Vec::new();
    let mut inside = false;
    for (n, line) in laid.lines.iter().enumerate().filter(|(_, line)| !line.continued) {
        let right = line.right.as_ref().and_then(|cell| cell.mark.as_ref());
        let changed = line.left.mark.is_some() || right.is_some();
        if changed && (layout == Layout::Paths || !inside) {
            out.push(n);
        }
        inside = changed;
    }
    out
}

#[cfg(test)]
#[path = "at_cursor_tests.rs"]
mod tests;
