//! The list of events: a cursor and a view port on a [`Window`].

use crate::console::integrity::trails;
use crate::console::timeline::cost::{Cost, Spent};
use crate::console::timeline::row::Row;
use crate::console::timeline::strip::StripPane;
use crate::console::timeline::task::{Landing, Opened, Progress as Reading};
use crate::console::timeline::window::{PAGE, Window};
use crate::console::widgets::time_zone::Zone;
use crate::domain::{EventKey, EventRow, Safe, TimeRange, Timestamp, grouped};
use crate::filter::{Field, Filter};
use crate::store::cache::Answer;
use crate::store::query::{Count, Looked, Query};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Rows that are fetched before they are needed: five screens of ordinary size.
const AHEAD: usize = 2 * PAGE;

/// From this many lines on, one of them is for the names of the columns.
const HEADS_FROM: usize = 12;

/// How often events are counted that came since the view was opened.
const COUNT_NEW: Duration = Duration::from_secs(10);

/// The state of the pane.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// What is shown, with its frozen bounds; `None` until the first view has been opened.
    pub(crate) query: Option<Query>,
    /// Rows at hand.
    pub(crate) window: Window,
    /// Index of the selected row.
    pub(crate) selected: usize,
    /// Index of the first row on the screen.
    pub(crate) top: usize,
    /// Lines of the pane that rows and days have.
    pub(super) height: usize,
    /// The names of the columns stand above them.
    pub(super) heads: bool,
    /// Columns that are scrolled away, at most.
    pub(super) scrolled: usize,
    /// Number of events in the view.
    pub(crate) count: Option<Count>,
    /// When they were counted, if that was before the view was opened.
    counted: Option<Timestamp>,
    /// What the last page cost.
    pub(crate) cost: Option<Cost>,
    /// The time that it took to find the rows at hand.
    pub(crate) spent: Spent,
    /// They are to be counted anew, whatever is known.
    pub(crate) recount: bool,
    /// What stands in the place of the rows, or the last failure.
    pub(crate) trouble: Option<Safe>,
    /// For an empty view: time of the newest event before its window.
    pub(crate) nearest_older: Option<Timestamp>,
    /// Time of the organisation's newest event when the view was opened.
    pub(crate) newest: Option<Timestamp>,
    /// Events of the organisation that came since the view was opened, where they could be counted.
    pub(crate) new: u64,
    /// When they are counted next; `None` until the first wait begins.
    new_at: Option<Duration>,
    /// How far a walk past events that do not match has come; it goes on while the screen is not full.
    pub(crate) looked: Option<Looked>,
    /// How far the work has come that told last: a page that takes reading the whole table, a search for a gap.
    pub(crate) reading: Option<Reading>,
    /// Events of the view by time.
    pub(crate) strip: StripPane,
    /// Fetching ahead was stopped or failed; it goes on with the next movement.
    pub(crate) paused: bool,
}

/// A direction in which rows are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Rows older than this event.
    Older(EventKey),
    /// Rows newer than this event.
    Newer(EventKey),
}

/// A movement of the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// By one row towards the past.
    Older,
    /// By one row towards the present.
    Newer,
    /// By a screen towards the past.
    PageOlder,
    /// By a screen towards the present.
    PageNewer,
    /// By half a screen towards the past.
    HalfOlder,
    /// By half a screen towards the present.
    HalfNewer,
}

impl Timeline {
    /// The selected row.
    pub(crate) fn row(&self) -> Option<&Row> {
        self.window.rows().get(self.selected)
    }

    /// The values that the rows at hand have in a field, the most frequent first.
    pub(crate) fn values(&self, field: Field) -> Vec<String> {
        let mut counts: HashMap<String, usize> = HashMap::new();
        let rows = || self.window.rows().iter().map(|row| &row.event);
        // An actor goes by both.
        let addresses = rows().filter(|_| field == Field::Actor).filter_map(|e| e.actor_email.clone());
        // Words of the schema are known without looking.
        for value in
            rows().filter_map(|e| field.value_of(e)).filter(|_| field.words().is_empty()).chain(addresses)
        {
            *counts.entry(value).or_default() += 1;
        }
        let mut values: Vec<(String, usize)> = counts.into_iter().collect();
        values.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        values.into_iter().map(|(value, _)| value).collect()
    }

    /// Whether the names of the columns stand above the rows.
    pub(crate) fn has_heads(&self) -> bool {
        self.heads
    }

    /// The selected event.
    pub(crate) fn key(&self) -> Option<EventKey> {
        self.row().map(|r| r.event.key())
    }

    /// Takes note of the pane's height.
    pub(crate) fn set_height(&mut self, height: usize) {
        self.heads = height >= HEADS_FROM;
        self.height = height - usize::from(self.heads);
        self.show_selected();
    }

    /// Events at hand that the same view, opened anew, must show and does not. Only what lies between its rows counts, or
    /// at its ends where they are those of the view; equal times do not, since their order is the table's.
    pub(crate) fn vanished(&self, query: &Query, opened: &Opened) -> Vec<EventRow> {
        let is_same = self.query.as_ref().is_some_and(|q| q.scope == query.scope && q.filter == query.filter);
        // What such a filter matches depends on what is known here, not on the table alone.
        if !is_same || query.filter.asks_this_machine() {
            return Vec::new();
        }
        let whole = opened.looked.is_none();
        let newest = opened.rows.first().map(|row| row.timestamp).filter(|_| opened.has_newer);
        let oldest = opened.rows.last().map(|row| row.timestamp).filter(|_| opened.has_older);
        if (opened.rows.is_empty() && (opened.has_newer || opened.has_older)) || !whole {
            return Vec::new();
        }
        let range = opened.range;
        let is_due = |time: Timestamp| {
            newest.is_none_or(|newest| time < newest)
                && oldest.is_none_or(|oldest| oldest < time)
                && range.since.is_none_or(|since| since <= time)
                && range.until.is_none_or(|until| time < until)
        };
        let there: HashSet<&str> = opened.rows.iter().map(|row| row.event_id.as_str()).collect();
        let rows = self.window.rows().iter().map(|row| &row.event);
        let gone = rows.filter(|row| is_due(row.timestamp) && !there.contains(row.event_id.as_str()));
        gone.cloned().collect()
    }

    /// Shows an opened view; one that is come back to with as many rows above the selected one as it had.
    pub(crate) fn open(&mut self, query: Query, opened: Opened, zone: Zone, back: Option<usize>) {
        let offset = self.selected.saturating_sub(self.top);
        let stood_at_newest = self.top == 0 && !self.window.has_newer();
        let rows: Vec<Row> = opened.rows.into_iter().map(|r| Row::new(r, zone)).collect();
        self.nearest_older = opened.nearest_older;
        self.newest = opened.newest.or(self.newest);
        self.selected = opened.selected.min(rows.len().saturating_sub(1));
        let folded = self.window.is_folded();
        self.window = Window::new(rows, opened.has_newer, opened.has_older);
        self.window.fold(folded);
        self.unfold_selected();
        self.top = match opened.landing {
            Landing::Newest => 0,
            Landing::Oldest => self.selected,
            // Who looks at the newest events sees new ones come in above the selected one.
            Landing::At(_) if back.is_none() && stood_at_newest && !self.window.has_newer() => 0,
            Landing::At(_) => self.selected.saturating_sub(back.unwrap_or(offset)),
        };
        // A number that was counted before the view was loaded again is a guess until it is counted again.
        let same = self.query.as_ref().is_some_and(|q| q.scope == query.scope && q.filter == query.filter);
        let before = self.count.take().filter(|_| same).map(|count| match count {
            Count::Exact(n) if n > 0 => Count::Estimate(n),
            Count::Exact(_) => Count::Unknown,
            other => other,
        });
        self.query = Some(query);
        self.strip.renew();
        self.cost = Some(Cost { took: opened.took, way: None });
        self.spent = Spent::of(opened.took);
        self.counted = None;
        self.count = self.window.total().map(Count::Exact).or(before);
        (self.new, self.new_at) = (0, None);
        self.trouble = None;
        self.paused = false;
        self.looked = opened.looked;
        self.show_selected();
    }

    /// What came since the view was opened, if it is time to count that: every ten seconds, and not where already a
    /// page was slow.
    pub(crate) fn new_events(&mut self, clock: Duration) -> Option<Query> {
        let (query, newest) = (self.query.as_ref()?, self.newest?);
        self.cost.as_ref().filter(|cost| cost.took < Cost::SLOW)?;
        let due = *self.new_at.get_or_insert(clock + COUNT_NEW);
        if clock < due {
            return None;
        }
        self.new_at = Some(clock + COUNT_NEW);
        let range = TimeRange { since: Some(newest.next()), until: None };
        Some(Query { scope: query.scope.clone(), filter: Filter::default(), range })
    }

    /// Takes note of them. Whether their number is another one.
    pub(crate) fn note_new(&mut self, count: Count) -> bool {
        let before = self.new;
        match count {
            Count::Exact(n) => self.new = n,
            // It takes too long to be done in passing.
            Count::Estimate(_) | Count::AtLeast(_) | Count::Unknown => self.new_at = Some(Duration::MAX),
        }
        self.new != before
    }

    /// Takes note of the time that a page took. It was found as the one before until something else is known.
    pub(crate) fn note_time(&mut self, took: Duration) {
        if self.looked.is_some() {
            self.spent.add(took);
        }
        let way = self.cost.take().and_then(|cost| cost.way);
        self.cost = Some(Cost { took, way });
    }

    /// Takes note of how the last page was found.
    pub(crate) fn note_way(&mut self, way: String) {
        if let Some(cost) = &mut self.cost {
            cost.way = Some(way);
        }
    }

    /// Takes note of how far a walk towards the past has come.
    pub(crate) fn note_walk(&mut self, looked: Option<Looked>) {
        let before = self.looked.take().map_or(0, |looked| looked.events);
        self.looked = looked.map(|looked| Looked { events: before + looked.events, ..looked });
    }

    /// `looked at 250 000 events, back to 2026-01-03 10:11Z` while a walk is not at its end.
    pub(crate) fn walk(&self, zone: Zone) -> Option<Safe> {
        let looked = self.looked.as_ref()?;
        let to = looked.resume.as_ref()?.timestamp;
        let to = zone.minute(to);
        Some(Safe::from_untrusted(&if looked.by_words {
            format!("searched back to {to}")
        } else {
            format!("looked at {} events, back to {to}", grouped(looked.events))
        }))
    }

    /// Forgets the view; the size of the pane and its columns stay.
    pub(crate) fn close(&mut self) {
        let Self { height, heads, scrolled, .. } = *self;
        *self = Self { height, heads, scrolled, ..Self::default() };
    }

    /// Takes note of a number of events, unless a better one is known.
    pub(crate) fn set_count(&mut self, count: Count) {
        if !matches!(self.count, Some(Count::Exact(_))) {
            self.count = Some(count);
        }
    }

    /// Takes note of a number of events that may have been counted earlier.
    pub(crate) fn set_counted(&mut self, answer: &Answer<Count>) {
        if !matches!(self.count, Some(Count::Exact(_))) {
            self.counted = answer.since;
        }
        self.set_count(answer.value);
    }

    /// When the number of events that is shown was counted, if that was earlier.
    pub(crate) fn counted(&self) -> Option<Timestamp> {
        self.counted
    }

    /// Adds rows at the older end.
    pub(crate) fn append(&mut self, rows: Vec<EventRow>, more: bool, zone: Zone) {
        let rows = rows.into_iter().map(|r| Row::new(r, zone)).collect();
        let dropped = self.window.append_older(rows, more, self.top.saturating_sub(PAGE));
        self.top -= dropped;
        self.selected -= dropped;
        self.unfold_selected();
        self.note_total();
    }

    /// Adds rows at the newer end.
    pub(crate) fn prepend(&mut self, rows: Vec<EventRow>, more: bool, zone: Zone) {
        let rows: Vec<Row> = rows.into_iter().map(|r| Row::new(r, zone)).collect();
        let added = rows.len();
        self.window.prepend_newer(rows, more, self.top + self.height + PAGE);
        self.top += added;
        self.selected += added;
        self.unfold_selected();
        self.note_total();
    }

    fn note_total(&mut self) {
        if let Some(total) = self.window.total() {
            self.count = Some(Count::Exact(total));
            self.counted = None;
        }
    }

    /// Moves the cursor as far as there are rows. Whether it moved.
    pub(crate) fn step(&mut self, step: Step) -> bool {
        let before = self.selected;
        let window = &self.window;
        let (at, first) = (window.line_of(self.selected), window.line_of(self.top));
        let end = self.top + self.rows_on_screen();
        let page = (window.line_of(end.saturating_sub(1)) + 1).saturating_sub(first).max(1);
        let half = (page / 2).max(1);
        match step {
            Step::Older => self.selected = window.row_on(at + 1),
            Step::Newer => self.selected = window.row_on(at.saturating_sub(1)),
            Step::PageOlder | Step::HalfOlder => {
                let by = if step == Step::PageOlder { page } else { half };
                let last = self.first_row_that_shows(window.len().saturating_sub(1));
                self.selected = window.row_on(at + by);
                self.top = window.row_on(first + by).min(last);
            }
            Step::PageNewer | Step::HalfNewer => {
                let by = if step == Step::PageNewer { page } else { half };
                self.selected = window.row_on(at.saturating_sub(by));
                self.top = window.row_on(first.saturating_sub(by));
            }
        }
        self.paused = false;
        self.show_selected();
        self.selected != before
    }

    /// Goes to the newest or oldest row if it is at hand. False when it has to be fetched.
    pub(crate) fn jump(&mut self, oldest: bool) -> bool {
        let beyond = if oldest { self.window.has_older() } else { self.window.has_newer() };
        if !beyond {
            let end = if oldest { self.window.len().saturating_sub(1) } else { 0 };
            self.selected = self.window.head_of(end);
            self.show_selected();
        }
        !beyond
    }

    /// Goes to an event if it is at hand.
    pub(crate) fn select(&mut self, key: &EventKey) -> bool {
        let same = |row: &Row| row.event.timestamp == key.timestamp && row.event.event_id == key.event_id;
        let found = self.window.rows().iter().position(same);
        if let Some(index) = found {
            self.selected = index;
            self.unfold_selected();
            // What is far away is not shown on the first or last line: what surrounds it is of interest.
            let is_seen = self.top <= index && self.lines(self.top, index) <= self.height;
            if !is_seen {
                let line = self.window.line_of(index).saturating_sub(self.height / 3);
                self.top = self.window.row_on(line);
            }
            self.show_selected();
        }
        found.is_some()
    }

    /// Rows to fetch next.
    pub(crate) fn wanted_older(&self) -> Option<Wanted> {
        let behind = self.window.len() - self.selected.min(self.window.len());
        let resume = self.looked.as_ref().and_then(|looked| looked.resume.clone());
        // A walk may cost much: it goes no further than what can be seen.
        let ahead = if resume.is_some() { 0 } else { AHEAD };
        let wanted = !self.paused && behind <= ahead + self.height && self.window.has_older();
        if let Some(key) = resume {
            return wanted.then_some(Wanted::Older(key));
        }
        self.window.rows().back().filter(|_| wanted).map(|r| Wanted::Older(r.event.key()))
    }

    /// Rows to fetch next at the other end.
    pub(crate) fn wanted_newer(&self) -> Option<Wanted> {
        let wanted = !self.paused && self.top <= AHEAD && self.window.has_newer();
        self.window.rows().front().filter(|_| wanted).map(|r| Wanted::Newer(r.event.key()))
    }

    /// Whether the day of the first row stands above it.
    pub(super) fn has_day_line(&self) -> bool {
        self.height >= 3
    }

    /// Screen lines that the rows from `top` to `index` take, days between them included.
    fn lines(&self, top: usize, index: usize) -> usize {
        let days = self.window.days();
        let from = days.partition_point(|d| d.first <= top);
        let to = days.partition_point(|d| d.first <= index);
        let rows = self.window.line_of(index) + 1 - self.window.line_of(top);
        usize::from(self.has_day_line()) + rows + (to - from)
    }

    /// The topmost first row with which `index` is still on the screen.
    fn first_row_that_shows(&self, index: usize) -> usize {
        let mut top = self.window.head_of(index);
        while let Some(before) = top.checked_sub(1).map(|above| self.window.head_of(above))
            && self.lines(before, index) <= self.height
        {
            top = before;
        }
        top
    }

    /// The rows that are on the screen; those of runs too, as far as that is some screens of rows.
    pub(crate) fn visible(&self) -> impl Iterator<Item = &Row> {
        self.window.rows().iter().skip(self.top).take(self.rows_on_screen().min(2 * PAGE))
    }

    /// Puts a row that was read again in the place of the same event's.
    pub(crate) fn replace(&mut self, event: EventRow, zone: Zone) {
        self.window.replace(Row::new(event, zone));
    }

    fn rows_on_screen(&self) -> usize {
        let mut rows = 0;
        while self.top + rows < self.window.len() && self.lines(self.top, self.top + rows) <= self.height {
            rows += 1;
        }
        rows
    }

    pub(super) fn show_selected(&mut self) {
        if self.selected < self.top {
            self.top = self.selected;
        } else if self.lines(self.top, self.selected) > self.height {
            self.top = self.first_row_that_shows(self.selected);
        } else if !self.window.has_older() && !self.window.is_empty() {
            // No blank lines below the oldest row as long as there are rows above.
            self.top = self.top.min(self.first_row_that_shows(self.window.len() - 1));
        }
    }

    /// The place in the view, and the age of what was counted earlier.
    pub(crate) fn note(&self, now: Timestamp) -> Safe {
        match self.counted {
            Some(counted) => Safe::from_untrusted(&format!(
                "{} · counted {}",
                self.position().as_str(),
                trails::age(counted, now)
            )),
            None => self.position(),
        }
    }

    /// `12 345 of ~100 000`.
    pub(crate) fn position(&self) -> Safe {
        let total = match self.count {
            Some(Count::Exact(n)) => grouped(n),
            Some(Count::Estimate(n)) => format!("~{}", grouped(n)),
            Some(Count::AtLeast(n)) => format!("≥ {}", grouped(n)),
            Some(Count::Unknown) | None => "?".to_owned(),
        };
        let text = match self.window.position(self.selected) {
            _ if self.window.is_empty() => String::new(),
            Some(n) => format!("{} of {total}", grouped(n)),
            // After a jump into the middle the place is known from the end, if the number of events is.
            None => match (self.count, self.window.has_older()) {
                (Some(Count::Exact(n)), false) => {
                    let from_end = (self.window.len() - self.selected) as u64;
                    format!("{} of {total}", grouped(n.saturating_sub(from_end) + 1))
                }
                _ => format!("{total} events"),
            },
        };
        let folded = if self.window.is_folded() { " · runs on one line" } else { "" };
        Safe::from_untrusted(&format!("{text}{folded}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::event_row;
    use crate::domain::{OrgId, OrgScope, TimeRange};
    use crate::filter::{Filter, PartialSides};

    fn timeline(rows: usize, height: usize, has_older: bool) -> Timeline {
        let mut timeline = Timeline::default();
        timeline.set_height(height);
        let query = Query {
            scope: OrgScope::enter(OrgId::new("acme").unwrap()),
            filter: Filter::default(),
            range: TimeRange::default(),
        };
        let rows = (0..rows).map(|i| event_row(&format!("e{:05}", 90_000 - i), 1_000_000 - i as i64 * 3_600));
        let opened = Opened {
            took: Duration::from_micros(3_200),
            range: TimeRange::default(),
            sides: PartialSides::default(),
            landing: Landing::Newest,
            rows: rows.collect(),
            has_newer: false,
            has_older,
            looked: None,
            selected: 0,
            newest: None,
            nearest_older: None,
        };
        timeline.open(query, opened, Zone::Utc, None);
        timeline
    }

    #[test]
    fn pages_join_without_overlap_and_stop_at_the_end() {
        let mut timeline = timeline(100, 20, false);
        let mut seen = timeline.top + timeline.rows_on_screen();
        while timeline.top + timeline.rows_on_screen() < 100 {
            timeline.step(Step::PageOlder);
            assert!(timeline.top <= seen, "rows between {seen} and {} were never shown", timeline.top);
            seen = timeline.top + timeline.rows_on_screen();
        }
        for _ in 0..20 {
            timeline.step(Step::PageOlder);
        }
        assert_eq!(timeline.selected, 99);
        assert_eq!(timeline.top + timeline.rows_on_screen(), 100);
        timeline.jump(false);
        assert_eq!((timeline.selected, timeline.top), (0, 0));
    }

    #[test]
    fn the_selected_row_is_on_the_screen_at_every_height() {
        let mut timeline = timeline(500, 20, true);
        for height in [20, 1, 3, 2, 50, 7, 0, 4] {
            timeline.set_height(height);
            for step in
                [Step::PageOlder, Step::Older, Step::HalfOlder, Step::PageNewer, Step::Newer, Step::HalfOlder]
            {
                timeline.step(step);
                let visible = timeline.top..timeline.top + timeline.rows_on_screen().max(1);
                assert!(
                    visible.contains(&timeline.selected),
                    "height {height}: {} in {visible:?}",
                    timeline.selected
                );
            }
        }
    }

    #[test]
    fn rows_are_wanted_before_the_end_is_reached_but_not_while_paused() {
        let mut timeline = timeline(1_000, 20, true);
        assert_eq!(timeline.wanted_older(), None);
        timeline.selected = 700;
        let last = timeline.window.rows().back().unwrap().event.key();
        assert_eq!(timeline.wanted_older(), Some(Wanted::Older(last)));
        timeline.paused = true;
        assert_eq!(timeline.wanted_older(), None);
        assert_eq!(timeline.wanted_newer(), None);
    }

    #[test]
    fn a_walk_goes_on_from_where_it_stopped_until_the_screen_is_full() {
        let mut timeline = timeline(0, 20, true);
        let resume = event_row("far", 500_000).key();
        let looked = Looked { events: 5_000, resume: Some(resume.clone()), ..Looked::default() };
        timeline.looked = Some(looked.clone());
        assert_eq!(timeline.wanted_older(), Some(Wanted::Older(resume.clone())));
        let rows = (0..30).map(|i| event_row(&format!("e{i}"), 400_000 - i)).collect();
        timeline.append(rows, true, Zone::Utc);
        timeline.note_walk(Some(looked));
        assert_eq!(timeline.wanted_older(), None, "the screen is full");
        assert!(timeline.walk(Zone::Utc).unwrap().as_str().starts_with("looked at 10 000 events, back to "));
        timeline.selected = 29;
        assert_eq!(timeline.wanted_older(), Some(Wanted::Older(resume)));
        timeline.note_walk(None);
        assert_eq!(timeline.walk(Zone::Utc), None);
    }

    #[test]
    fn positions_say_how_far_the_number_can_be_trusted() {
        let mut timeline = timeline(300, 20, true);
        assert_eq!(timeline.position().as_str(), "1 of ?");
        timeline.count = Some(Count::Estimate(123_456));
        assert_eq!(timeline.position().as_str(), "1 of ~123 456");
        timeline.append(vec![event_row("a", -500_000)], false, Zone::Utc);
        assert_eq!(timeline.position().as_str(), "1 of 301");
    }
}
