//! The drawing of the change pane, and its title.

use crate::console::change::layout::{Cell, Line, left_column};
use crate::console::change::pane::{ChangePane, HEAD, Lens};
use crate::console::timeline::row::Row;
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::console::widgets::time_zone::Zone;
use crate::domain::Safe;

impl ChangePane {
    /// `side by side · 12 of 214`
    pub(crate) fn note(&self) -> Safe {
        let name = match self.lens {
            Lens::Event => self.layout.name().to_owned(),
            Lens::Marked => format!("with the marked event · {}", self.layout.name()),
            Lens::Blame => "blame".to_owned(),
            Lens::State => "state after the event".to_owned(),
        };
        let Some(laid) = &self.laid else { return Safe::from_untrusted(&name) };
        let place = match laid.lines.len() {
            lines if lines > self.body_height() => format!(" · {} of {lines}", self.cursor + 1),
            _ => String::new(),
        };
        let found = match (laid.hits.len(), laid.hits.iter().position(|line| *line == self.cursor)) {
            (0, _) => String::new(),
            (1, _) => " · 1 match".to_owned(),
            (n, None) => format!(" · {n} matches"),
            (n, Some(at)) => format!(" · match {} of {n}", at + 1),
        };
        Safe::from_untrusted(&format!("{name}{place}{found}"))
    }

    /// Draws the lines that fit.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>, focused: bool, zone: Zone) {
        let Some(row) = &self.row else {
            painter.say(1, 0, "No event is selected.", Role::Muted);
            return;
        };
        let room = painter.width().saturating_sub(2);
        let [what, how] = self.title(row, zone);
        painter.put(1, 0, &what.cut_middle(room), Role::Title);
        painter.put(1, 1, &how.cut_end(room), Role::Muted);
        let trouble = self.trouble.as_ref().map(|text| (text, Role::Error));
        let mut y = HEAD;
        match (&self.laid, trouble) {
            (_, Some((text, role))) => {
                painter.put_wrapped(1, y, text, role);
            }
            (None, None) => {
                painter.say(1, y, "loading…", Role::Muted);
            }
            (Some(laid), None) => {
                for line in &laid.heading {
                    paint_line(painter, y, line);
                    y += 1;
                }
                for (index, line) in laid.lines.iter().enumerate().skip(self.top) {
                    if y >= painter.height() {
                        break;
                    }
                    paint_line(painter, y, line);
                    if index == self.cursor && focused {
                        painter.mark_line(y, Role::Selected);
                    }
                    paint_hits(painter, y, line);
                    y += 1;
                }
            }
        }
    }

    /// `role_binding/rb-7`, `update by alice@acme.example from 203.0.113.9 · curl/8.5`: the time stands in the row; or the
    /// two events compared.
    fn title(&self, row: &Row, zone: Zone) -> [Safe; 2] {
        let e = &row.event;
        let lines = match self.marked.as_ref().filter(|_| self.lens == Lens::Marked) {
            Some(marked) => [
                format!("- {} {}", zone.second(marked.key.timestamp), marked.key.event_id),
                format!("+ {} {}", zone.second(e.timestamp), e.event_id),
            ],
            None => {
                let actor = e.actor_email.as_deref().filter(|e| !e.is_empty()).unwrap_or(&e.actor_id);
                [
                    format!("{}/{}", e.resource_type, e.resource_id),
                    ["from", "·"].into_iter().zip([&e.actor_ip, &e.actor_user_agent]).fold(
                        format!("{} by {actor}", e.action),
                        |said, (joint, part)| match part.as_deref().filter(|part| !part.is_empty()) {
                            Some(part) => format!("{said} {joint} {part}"),
                            None => said,
                        },
                    ),
                ]
            }
        };
        lines.map(|line| Safe::from_untrusted(&line))
    }
}

fn paint_line(painter: &mut Painter<'_>, y: usize, line: &Line) {
    let width = painter.width().saturating_sub(2);
    match &line.right {
        None => paint_cell(painter, 1, y, &line.left),
        Some(right) => {
            let left_width = left_column(width);
            paint_cell(painter, 1, y, &line.left);
            painter.say(1 + left_width, y, "│", Role::Rule);
            paint_cell(painter, 2 + left_width, y, right);
        }
    }
}

fn paint_cell(painter: &mut Painter<'_>, x: usize, y: usize, cell: &Cell) {
    if let Some((mark, role)) = &cell.mark {
        painter.put(x, y, mark, *role);
    }
    let mut x = x + cell.indent;
    for (text, role) in &cell.pieces {
        x = painter.put(x, y, text, *role);
    }
}

/// Marks what is looked for, on top of the selection.
fn paint_hits(painter: &mut Painter<'_>, y: usize, line: &Line) {
    let right = 2 + left_column(painter.width().saturating_sub(2));
    for (x, cell) in [(1, Some(&line.left)), (right, line.right.as_ref())] {
        for (column, width) in cell.iter().flat_map(|cell| &cell.hits) {
            painter.mark(x + column, y, *width, Role::Hit);
        }
    }
}
