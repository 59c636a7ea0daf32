//! The part of a result that is in memory: a run of neighbouring rows, newest first, that grows at both ends and is
//! cut at the far one. Positions are kept in step, so that what the user looks at never moves.

use crate::console::timeline::row::Row;
use crate::console::timeline::runs::Run;
use crate::console::widgets::time_zone::Zone;
use std::collections::VecDeque;

/// Rows of a page.
pub(crate) const PAGE: usize = 200;

/// Maximum number of rows in memory; with 1 to 2 kB a row, 20 MB at most.
pub(crate) const CAPACITY: usize = 50 * PAGE;

/// A run of rows without holes.
#[derive(Debug, Default)]
pub(crate) struct Window {
    rows: VecDeque<Row>,
    has_newer: bool,
    has_older: bool,
    /// How many rows of the result are newer than the first one here, where that is known.
    newer_than_first: Option<u64>,
    days: Vec<Day>,
    /// Runs, while each has one line.
    runs: Option<Vec<Run>>,
}

/// Rows of one day, next to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Day {
    /// Index of its newest row here.
    pub(crate) first: usize,
    /// Rows here.
    pub(crate) rows: usize,
    /// Whether these are all of them in the result.
    pub(crate) complete: bool,
}

impl Window {
    /// A new run.
    pub(crate) fn new(rows: Vec<Row>, has_newer: bool, has_older: bool) -> Self {
        let newer_than_first = (!has_newer).then_some(0);
        let mut window =
            Self { rows: rows.into(), has_newer, has_older, newer_than_first, ..Self::default() };
        window.index_days();
        window
    }

    /// The rows, newest first.
    pub(crate) fn rows(&self) -> &VecDeque<Row> {
        &self.rows
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the result goes on above the first row.
    pub(crate) fn has_newer(&self) -> bool {
        self.has_newer
    }

    /// Whether the result goes on below the last row.
    pub(crate) fn has_older(&self) -> bool {
        self.has_older
    }

    /// Number of a row in the whole result, counted from the newest (1); `None` where it is not known.
    pub(crate) fn position(&self, index: usize) -> Option<u64> {
        self.newer_than_first.map(|n| n + index as u64 + 1)
    }

    /// How many rows the whole result has, if all are here or counted off.
    pub(crate) fn total(&self) -> Option<u64> {
        if self.has_older { None } else { self.newer_than_first.map(|n| n + self.rows.len() as u64) }
    }

    /// Appends older rows. Returns how many rows were dropped at the newer end: indices sink by as many.
    /// `keep_from` is the first row that must stay.
    pub(crate) fn append_older(&mut self, rows: Vec<Row>, has_older: bool, keep_from: usize) -> usize {
        self.rows.extend(rows);
        self.has_older = has_older;
        let dropped = self.rows.len().saturating_sub(CAPACITY).min(keep_from);
        if dropped > 0 {
            self.rows.drain(..dropped);
            self.has_newer = true;
            self.newer_than_first = self.newer_than_first.map(|n| n + dropped as u64);
        }
        self.index_days();
        dropped
    }

    /// Puts newer rows in front. Indices rise by their number. `keep_to` is the number of rows, from the old first
    /// one on, that must stay.
    pub(crate) fn prepend_newer(&mut self, rows: Vec<Row>, has_newer: bool, keep_to: usize) {
        let added = rows.len();
        for row in rows.into_iter().rev() {
            self.rows.push_front(row);
        }
        self.has_newer = has_newer;
        self.newer_than_first = match self.newer_than_first {
            _ if !has_newer => Some(0),
            Some(n) => n.checked_sub(added as u64),
            None => None,
        };
        let keep = CAPACITY.max(added + keep_to);
        if self.rows.len() > keep {
            self.rows.truncate(keep);
            self.has_older = true;
        }
        self.index_days();
    }

    /// Puts a row in the place of the one with its key, if that is here.
    pub(crate) fn replace(&mut self, row: Row) {
        let same = |old: &&mut Row| {
            old.event.event_id == row.event.event_id && old.event.timestamp == row.event.timestamp
        };
        if let Some(old) = self.rows.iter_mut().find(same) {
            *old = row;
        }
    }

    /// Gives each run one line, or each row again.
    pub(super) fn fold(&mut self, folded: bool) {
        self.runs = folded.then(|| runs(&self.rows));
    }

    /// Whether runs have one line each.
    pub(crate) fn is_folded(&self) -> bool {
        self.runs.is_some()
    }

    /// The runs, while each has one line.
    pub(super) fn runs(&self) -> Option<&[Run]> {
        self.runs.as_deref()
    }

    /// The days that the rows belong to, newest first.
    pub(crate) fn days(&self) -> &[Day] {
        &self.days
    }

    /// The day that begins with a row.
    pub(crate) fn day_beginning_at(&self, index: usize) -> Option<Day> {
        self.days.binary_search_by_key(&index, |d| d.first).ok().map(|i| self.days[i])
    }

    /// The day a row belongs to.
    pub(crate) fn day_of(&self, index: usize) -> Option<Day> {
        let behind = self.days.partition_point(|d| d.first <= index);
        behind.checked_sub(1).map(|i| self.days[i])
    }

    /// Shows times in another zone.
    pub(crate) fn set_zone(&mut self, zone: Zone) {
        for row in &mut self.rows {
            row.set_zone(zone);
        }
        self.index_days();
    }

    fn index_days(&mut self) {
        self.fold(self.is_folded());
        self.days.clear();
        for (i, row) in self.rows.iter().enumerate() {
            match self.days.last_mut() {
                Some(day) if self.rows[day.first].day == row.day => day.rows += 1,
                _ => self.days.push(Day { first: i, rows: 1, complete: true }),
            }
        }
        // The days at the ends may go on beyond what is here.
        if let (true, Some(first)) = (self.has_newer, self.days.first_mut()) {
            first.complete = false;
        }
        if let (true, Some(last)) = (self.has_older, self.days.last_mut()) {
            last.complete = false;
        }
    }
}

impl Window {
    /// The run that a row belongs to, while runs have one line each.
    pub(super) fn run_of(&self, index: usize) -> Option<&Run> {
        let runs = self.runs()?;
        runs.get(runs.partition_point(|run| run.first <= index).checked_sub(1)?)
    }

    /// The row that stands for a row: the row itself, or the first one of its run.
    pub(super) fn head_of(&self, index: usize) -> usize {
        self.run_of(index).map_or(index, |run| run.first)
    }

    /// The line of a row, days not counted.
    pub(super) fn line_of(&self, index: usize) -> usize {
        self.runs().map_or(index, |runs| runs.partition_point(|run| run.first <= index).saturating_sub(1))
    }

    /// The row on a line, at most the last one.
    pub(super) fn row_on(&self, line: usize) -> usize {
        let last = self.len().saturating_sub(1);
        match self.runs() {
            Some(runs) => runs.get(line).or(runs.last()).map_or(0, |run| run.first),
            None => line.min(last),
        }
    }
}

/// Whether two neighbours are of one run: by the same actor from the same address, of one kind, on one day.
fn alike(a: &Row, b: &Row) -> bool {
    let (x, y) = (&a.event, &b.event);
    a.day == b.day
        && x.event_type == y.event_type
        && x.action == y.action
        && x.event_severity == y.event_severity
        && (&x.actor_type, &x.actor_id) == (&y.actor_type, &y.actor_id)
        && x.actor_ip == y.actor_ip
        && x.resource_type == y.resource_type
}

/// The runs of rows, those of one event too.
fn runs(rows: &VecDeque<Row>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        match (runs.last_mut(), at.checked_sub(1).and_then(|before| rows.get(before))) {
            (Some(run), Some(before)) if alike(before, row) => {
                run.rows += 1;
                run.one_object &= before.event.resource_id == row.event.resource_id;
            }
            _ => runs.push(Run { first: at, rows: 1, one_object: true }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::row_at;
    use proptest::prelude::*;

    /// Rows `n` of a result of `total`, number 0 being the newest; three share each second.
    fn rows(total: usize, range: std::ops::Range<usize>) -> Vec<Row> {
        range.map(|n| row_at((total - n) as i64 / 3 * 3_600, &format!("e{:06}", total - n))).collect()
    }

    #[test]
    fn counts_of_days_are_given_only_when_the_day_is_whole() {
        let window = Window::new(rows(1_000, 0..200), false, true);
        assert!(window.days().len() > 2);
        assert!(window.days().iter().rev().skip(1).all(|d| d.complete));
        assert!(!window.days().last().unwrap().complete);
        assert_eq!(window.days().iter().map(|d| d.rows).sum::<usize>(), 200);
        assert_eq!(window.day_of(199).unwrap(), *window.days().last().unwrap());
        assert_eq!(window.day_beginning_at(0), Some(window.days()[0]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// However it is scrolled, the window is a run without holes, within its bounds, and the place of the reader
        /// keeps showing the same event.
        #[test]
        fn scrolling_never_moves_the_place(start in 0usize..40_000, steps in proptest::collection::vec(any::<bool>(), 1..120)) {
            let total = 40_000;
            let mut low = start.min(total - PAGE);
            let mut high = low + PAGE;
            let mut window = Window::new(rows(total, low..high), low > 0, high < total);
            for older in steps {
                // The reader walks to that end.
                let mut place = if older { window.len() - PAGE / 2 } else { PAGE / 2 };
                let event = window.rows()[place].event.event_id.clone();
                if older && window.has_older() {
                    let more = rows(total, high..(high + PAGE).min(total));
                    high += more.len();
                    let dropped = window.append_older(more, high < total, place);
                    low += dropped;
                    place -= dropped;
                } else if !older && window.has_newer() {
                    let from = low.saturating_sub(PAGE);
                    let more = rows(total, from..low);
                    let keep = place + 1;
                    place += more.len();
                    window.prepend_newer(more, from > 0, keep);
                    low = from;
                    high = low + window.len();
                }
                prop_assert_eq!(&window.rows()[place].event.event_id, &event);
                prop_assert_eq!(window.has_newer(), low > 0);
                prop_assert_eq!(window.has_older(), high < total);
                prop_assert!(window.len() <= CAPACITY);
                prop_assert_eq!(&window.rows()[0].event.event_id, &format!("e{:06}", total - low));
                if let Some(position) = window.position(0) {
                    prop_assert_eq!(position, low as u64 + 1);
                }
            }
        }
    }
}
