//! What is said about a view as a whole, on top of the panes: its plan, its sums, its histogram.

use crate::console::core::keymap::{Action, Context};
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::integrity::trails;
use crate::console::report::target::{Entry, Target};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::domain::{Safe, Timestamp};
use crate::export::report::{Kind, Line};
use crate::store::cache::Answer;

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// How the first page is found.
    Plan,
    /// Events in each interval.
    Histogram,
    /// Events by category, severity, action, actor.
    Summary,
}

impl Subject {
    /// The command that says the same.
    pub(crate) const fn command(self) -> &'static str {
        match self {
            Self::Plan => "explain",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }

    /// The title.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Plan => " Plan of this view ",
            Self::Histogram => " Events in time ",
            Self::Summary => " Totals of this view ",
        }
    }
}

/// A sheet.
#[derive(Debug)]
pub(crate) struct Sheet {
    /// What is said.
    pub(crate) subject: Subject,
    /// The lines as far as they are there.
    entries: Vec<Entry>,
    /// How many of them are the sheet's own.
    own: usize,
    /// More are being computed.
    computing: bool,
    /// The line that is chosen, where lines lead on.
    cursor: Option<usize>,
    /// When that was worked out, if it was earlier.
    since: Option<Timestamp>,
    failure: Option<Safe>,
    top: usize,
    /// Keys that cancel and compute again.
    keys: (Safe, Safe),
}

impl Sheet {
    /// A sheet whose lines are being worked out, below the command that says the same.
    pub(crate) fn new(subject: Subject, command: Option<&str>, stop: &str, again: &str) -> Self {
        let command = command.map(|command| [Line::text(command), Line::default()]);
        let entries: Vec<Entry> = Entry::plain(command.into_iter().flatten()).collect();
        Self {
            subject,
            keys: (Safe::from_untrusted(stop), Safe::from_untrusted(again)),
            own: entries.len(),
            entries,
            computing: true,
            cursor: None,
            since: None,
            failure: None,
            top: 0,
        }
    }

    /// Takes all lines in.
    pub(crate) fn fill(&mut self, answer: Answer<Vec<Entry>>) {
        self.entries.truncate(self.own);
        self.entries.extend(answer.value);
        self.cursor = self.cursor.or_else(|| self.first());
        (self.since, self.computing) = (answer.since, false);
    }

    /// Takes in further lines while the rest is being computed.
    pub(crate) fn extend(&mut self, entries: Vec<Entry>) {
        self.entries.extend(entries);
        self.cursor = self.cursor.or_else(|| self.first());
    }

    fn first(&self) -> Option<usize> {
        self.entries.iter().position(|entry| entry.target.is_some())
    }

    /// The events of the line that is chosen.
    pub(crate) fn target(&self) -> Option<&Target> {
        self.entries.get(self.cursor?)?.target.as_ref()
    }

    /// Says why there are none.
    pub(crate) fn fail(&mut self, reason: Safe) {
        self.computing = false;
        self.failure = Some(reason);
    }

    /// Whether its lines are there.
    pub(crate) fn is_done(&self) -> bool {
        self.failure.is_none() && !self.computing
    }

    /// Moves by so many lines, or lines that lead on where there are some; `height` lines are to be seen.
    pub(crate) fn scroll(&mut self, by: isize, height: usize) {
        let extra = usize::from(self.since.is_some()) + usize::from(self.computing);
        let height = height.saturating_sub(extra).max(1);
        let Some(cursor) = self.cursor else {
            let last = self.entries.len().saturating_sub(height);
            self.top = self.top.saturating_add_signed(by).min(last);
            return;
        };
        let leads = |(at, entry): (usize, &Entry)| entry.target.is_some().then_some(at);
        let choices: Vec<usize> = self.entries.iter().enumerate().filter_map(leads).collect();
        let place = choices.partition_point(|at| *at < cursor).saturating_add_signed(by);
        let place = place.min(choices.len().saturating_sub(1));
        let Some(&at) = choices.get(place) else { return };
        self.cursor = Some(at);
        // The head of a group is seen with its first line, and what follows the last line with that.
        let above =
            place.checked_sub(1).and_then(|before| choices.get(before)).map_or(0, |before| before + 1);
        let below = if place + 1 == choices.len() { self.entries.len() } else { at + 1 };
        self.top = self
            .top
            .min(above.max((at + 1).saturating_sub(height)))
            .max(below.saturating_sub(height).min(at));
    }

    /// Goes to the first line of the next group of lines that lead on, or of the one before; from the last one to the first.
    pub(crate) fn step_group(&mut self, back: bool, height: usize) {
        let leads = |at: usize| self.entries.get(at).is_some_and(|entry| entry.target.is_some());
        let heads: Vec<usize> = (0..self.entries.len())
            .filter(|at| leads(*at) && !at.checked_sub(1).is_some_and(leads))
            .collect();
        let Some(cursor) = self.cursor else { return };
        let own = heads.partition_point(|at| *at <= cursor).saturating_sub(1);
        let by = if back { heads.len().saturating_sub(1) } else { 1 };
        let Some(&at) = heads.get((own + by) % heads.len().max(1)) else { return };
        let end = (at..self.entries.len()).find(|at| !leads(*at)).unwrap_or(self.entries.len());
        self.cursor = Some(at);
        // All of it, with its head, as far as there is room.
        if at <= self.top || end > self.top + height {
            self.top = at.saturating_sub(1).min(self.entries.len().saturating_sub(height));
        }
        self.scroll(0, height);
    }
}

impl Dialog for Sheet {
    fn context(&self) -> Context {
        Context::Pane
    }

    fn frame(&self, stage: &Stage<'_>) -> Frame {
        Frame::whole(self.subject.title(), stage)
    }

    fn hints(&self) -> Option<&'static [Action]> {
        use Action as A;
        Some(match self.target() {
            Some(_) => &[A::Open, A::Cancel, A::Exclude, A::Pivot, A::Down, A::Up, A::Refresh],
            None => &[A::Cancel, A::Down, A::Up, A::PageDown],
        })
    }

    fn since(&self) -> Option<Timestamp> {
        self.since
    }

    fn draw(&self, painter: &mut Painter<'_>, stage: &Stage<'_>) -> Option<Cursor> {
        let now = stage.now;
        let width = painter.width().saturating_sub(2);
        if let Some(failure) = &self.failure {
            painter.put_wrapped(1, 0, failure, Role::Error);
            return None;
        }
        let mut first = 0;
        if let Some(since) = self.since {
            let text = format!("counted {} · {} counts again", trails::age(since, now), self.keys.1);
            painter.put(1, 0, &Safe::from_untrusted(&text).cut_end(width), Role::Notice);
            first = 1;
        }
        let rest = painter.height().saturating_sub(first + usize::from(self.computing));
        let mut below = first;
        for (at, entry) in self.entries.iter().enumerate().skip(self.top).take(rest) {
            let mut x = 1;
            for span in &entry.line.0 {
                let room = (width + 1).saturating_sub(x);
                x = painter.put(x, below, &span.text.cut_end(room), role(span.kind));
            }
            if let Some(called) = entry.target.as_ref().and_then(|target| stage.labels.beside(&target.id()?))
            {
                painter.put(x + 1, below, &called.cut_end(width.saturating_sub(x)), Role::Muted);
            }
            if self.cursor == Some(at) {
                painter.mark_line(below, Role::Selected);
            }
            below += 1;
        }
        if !self.computing && self.entries.len() == self.own {
            painter.put(1, below, &Safe::literal("This view has no events."), Role::Muted);
        }
        if self.computing {
            let text = format!("Computing… ({} to cancel)", self.keys.0);
            painter.put(1, below, &Safe::composed(&text), Role::Muted);
        }
        None
    }
}

const fn role(kind: Kind) -> Role {
    match kind {
        Kind::Text => Role::Text,
        Kind::Label => Role::Title,
        Kind::Good => Role::Verified,
        Kind::Note => Role::Notice,
        Kind::Slow => Role::Error,
        Kind::Bar => Role::Label,
        Kind::WarningBar => Role::WarningBar,
        Kind::CriticalBar => Role::CriticalBar,
    }
}
