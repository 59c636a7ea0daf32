//! What is said about a view as a whole, on top of the panes: its plan, its sums, its histogram.

use crate::console::paint::Painter;
use crate::console::theme::Role;
use crate::console::trail;
use crate::domain::{Safe, Timestamp};
use crate::store::cache::Answer;

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// How the first page is found.
    Plan,
    /// Events in each stretch of time.
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
            Self::Histogram => " Events in time (UTC) ",
            Self::Summary => " Sums of this view ",
        }
    }
}

/// A sheet.
#[derive(Debug)]
pub(crate) struct Sheet {
    /// What is said.
    pub(crate) subject: Subject,
    /// The lines, once they are there.
    lines: Option<Vec<Safe>>,
    /// When that was worked out, if it was earlier.
    since: Option<Timestamp>,
    failed: bool,
    top: usize,
}

impl Sheet {
    /// A sheet whose lines are being worked out.
    pub(crate) fn new(subject: Subject) -> Self {
        Self { subject, lines: None, since: None, failed: false, top: 0 }
    }

    pub(crate) fn fill(&mut self, answer: Answer<Vec<Safe>>, command: Option<&str>) {
        let command = command.map(|command| [Safe::from_untrusted(command), Safe::default()]);
        self.lines = Some(command.into_iter().flatten().chain(answer.value).collect());
        self.since = answer.since;
    }

    /// When what is shown was worked out, if it was earlier.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Says why there are none.
    pub(crate) fn fail(&mut self, reason: Safe) {
        self.lines = Some(vec![reason]);
        self.failed = true;
    }

    /// Moves by so many lines; `height` of them are to be seen.
    pub(crate) fn scroll(&mut self, by: isize, height: usize) {
        let height = height.saturating_sub(usize::from(self.since.is_some()));
        let last = self.lines.as_ref().map_or(0, Vec::len).saturating_sub(height);
        self.top = self.top.saturating_add_signed(by).min(last);
    }

    /// Draws the lines from the first one to be seen on.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>, now: Timestamp) {
        let Some(lines) = &self.lines else {
            painter.say(1, 0, "working it out… Esc stops", Role::Muted);
            return;
        };
        let width = painter.width().saturating_sub(2);
        let role = if self.failed { Role::Error } else { Role::Text };
        if self.failed {
            lines.iter().fold(0, |y, line| painter.put_wrapped(1, y, line, role));
            return;
        }
        let mut first = 0;
        if let Some(since) = self.since {
            let text = format!("counted {} · R counts again", trail::age(since, now));
            painter.put(1, 0, &Safe::from_untrusted(&text).cut_end(width), Role::Notice);
            first = 1;
        }
        let rest = painter.height().saturating_sub(first);
        for (y, line) in lines.iter().skip(self.top).take(rest).enumerate() {
            painter.put(1, first + y, &line.cut_end(width), role);
        }
    }
}
