//! How the rows of the timeline are drawn.

use crate::case::labels::Labels;
use crate::case::notebook::Book;
use crate::console::integrity::row_marks::Marks;
use crate::console::timeline::column_choice::ColumnChoice;
use crate::console::timeline::columns::{Column, Columns};
use crate::console::timeline::letters::{LETTER, Letters};
use crate::console::timeline::pane::Timeline;
use crate::console::timeline::row::{Beside, Row};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::console::widgets::time_zone::Zone;
use crate::domain::{EventKey, Safe, Timestamp, grouped};
use crate::investigation::tempo::{pace, tempo};

/// Rows for which columns are fitted together, so that they keep their places while the screen moves by rows.
const FITTED: usize = 32;

/// Rows on either side of the screen that are its stretch, by which it is told what is a burst: more than most bursts have.
const STRETCH: usize = 200;

/// Columns of the number of events of a run.
const NUMBER: usize = 7;

/// What the rows look like besides what they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    /// What is known of their content.
    pub(crate) marks: &'a Marks,
    /// What ids and networks are called here.
    pub(crate) labels: &'a Labels,
    /// What was said of them.
    pub(crate) case: Option<&'a Book>,
    /// The zone of their times.
    pub(crate) zone: Zone,
    /// The keys go here.
    pub(crate) focused: bool,
    /// They belong to the view before; they are dimmed until the new ones are there.
    pub(crate) stale: bool,
    /// The event that others are compared with.
    pub(crate) marked: Option<&'a EventKey>,
    /// The columns as the user wants them.
    pub(crate) columns: &'a ColumnChoice,
    /// Letters of the actors and resources that the filter names.
    pub(crate) letters: &'a Letters<'a>,
}

/// Columns that letters take in a column.
fn lettered(column: Column, letters: &Letters<'_>) -> usize {
    match (column, letters.kinds()) {
        (Column::Actor, (true, _)) | (Column::Resource, (_, true)) => LETTER,
        _ => 0,
    }
}

impl Look<'_> {
    /// The signs of what was said of an event; empty where nothing was.
    pub(super) fn signs(&self, row: &Row) -> Safe {
        let entry = self.case.and_then(|book| book.get(&row.event.event_id));
        // An id may stand in the table twice.
        let entry = entry.filter(|entry| entry.event.timestamp == row.event.timestamp);
        entry.map_or_else(Safe::default, |entry| Safe::composed(&entry.signs()))
    }
}

impl Timeline {
    /// Draws the rows.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>, look: &Look<'_>) {
        let Look { marks, labels, zone, focused, stale, marked, letters, columns: chosen, .. } = *look;
        let numbers = if self.window.is_folded() { NUMBER } else { 0 };
        let width = painter.width().saturating_sub(numbers);
        let columns = Columns::fit(width, chosen.columns(), self.scrolled, |column| {
            let width = |row: &Row| match column {
                Column::Case => look.signs(row).width(),
                column => row.width(column),
            };
            self.near().map(width).max().map_or(0, |width| width + lettered(column, letters))
        });
        let stretch = self.window.rows().iter().skip(self.top.saturating_sub(STRETCH));
        let pace = pace(stretch.take(self.height + 2 * STRETCH).map(|row| row.event.timestamp));
        let time = |at| self.window.rows().get(at).map(|row: &Row| row.event.timestamp);
        let mut y = usize::from(self.heads);
        if self.heads {
            columns.paint_heads(painter, 0);
        }
        if self.has_day_line() && self.paint_day(painter, y, self.top, zone) {
            y += 1;
        }
        for (index, row) in self.window.rows().iter().enumerate().skip(self.top) {
            if self.window.head_of(index) != index {
                continue;
            }
            if index > self.top && self.window.day_beginning_at(index).is_some() {
                self.paint_day(painter, y, index, zone);
                y += 1;
            }
            if y >= painter.height() {
                return;
            }
            let run = self.run_at(index).copied();
            let last = index + run.map_or(1, |run| run.rows) - 1;
            let all = || self.window.rows().iter().skip(index).take(last + 1 - index);
            let beside = Beside {
                letters,
                labels,
                tempo: tempo(time, last, pace),
                said: all()
                    .map(|row| look.signs(row))
                    .find(|signs| !signs.as_str().is_empty())
                    .unwrap_or_default(),
                mark: self.mark_of(index, row, marks),
                run,
            };
            row.paint(painter, y, &columns, marks, &beside, index == self.selected);
            let is_it = |id: &str, at: Timestamp| {
                all().any(|row| id == row.event.event_id && at == row.event.timestamp)
            };
            let is_picked = marks.picked().iter().any(|picked| is_it(&picked.event_id, picked.timestamp));
            if is_picked || marked.is_some_and(|key| is_it(&key.event_id, key.timestamp)) {
                painter.say(2, y, "◆", Role::Notice);
            }
            if let Some(run) = run {
                let number = Safe::composed(&format!("×{}", grouped(run.rows as u64)));
                painter.put_right(painter.width().saturating_sub(1), y, &number, Role::Notice);
            }
            if stale {
                painter.mark_line(y, Role::Muted);
            }
            if index == self.selected {
                painter.say(0, y, "▸", Role::Text);
                painter.mark_line(y, if focused { Role::Selected } else { Role::SelectedUnfocused });
            }
            y += 1;
        }
        if !self.window.is_empty() {
            let end = match (self.walk(look.zone), self.window.has_older()) {
                (Some(walk), _) => {
                    let x = painter.say(0, y, "   … ", Role::Muted);
                    painter.put(x, y, &walk, Role::Muted);
                    return;
                }
                (None, true) => "   … older events follow",
                (None, false) => "   ─ end of results ─",
            };
            painter.say(0, y, end, Role::Muted);
        }
    }

    /// The rows on the screen and some beside them.
    fn near(&self) -> impl Iterator<Item = &Row> {
        let first = self.top / FITTED * FITTED;
        let end = (self.top + self.height).next_multiple_of(FITTED);
        self.window.rows().iter().skip(first).take(end - first)
    }

    /// Scrolls the columns of a timeline `width` wide.
    pub(crate) fn scroll_columns(&mut self, by: isize, width: usize, chosen: &ColumnChoice) {
        // Signs of the case are the last to go: whether there are some makes no difference.
        let widest = |column| self.near().map(|row| row.width(column)).max().unwrap_or(0);
        let most = Columns::most_scrolled(width, chosen.columns(), widest);
        self.scrolled = self.scrolled.min(most).saturating_add_signed(by).min(most);
    }

    /// Draws the separator of the day of a row. False when the row is not there.
    fn paint_day(&self, painter: &mut Painter<'_>, y: usize, index: usize, zone: Zone) -> bool {
        let (Some(row), Some(day)) = (self.window.rows().get(index), self.window.day_of(index)) else {
            return false;
        };
        let mut name = zone.day_name(row.event.timestamp);
        if day.complete {
            name.push_str(" · ");
            name.push_str(&grouped(day.rows as u64));
            name.push_str(if day.rows == 1 { " event" } else { " events" });
        }
        let x = painter.say(0, y, "── ", Role::Rule);
        let x = painter.put(x, y, &Safe::from_untrusted(&name), Role::Day);
        painter.rule(x + 1, y, "─", Role::Rule);
        true
    }
}
