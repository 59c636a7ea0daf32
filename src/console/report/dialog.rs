//! What is said about a view as a whole, on top of the panes: its plan, its sums, its histogram.

use crate::console::integrity::trails;
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
            Self::Histogram => " Events in time (UTC) ",
            Self::Summary => " Totals of this view ",
        }
    }
}

/// A sheet.
#[derive(Debug)]
pub(crate) struct Sheet {
    /// What is said.
    pub(crate) subject: Subject,
    /// The lines, once they are there.
    lines: Option<Vec<Line>>,
    /// When that was worked out, if it was earlier.
    since: Option<Timestamp>,
    failure: Option<Safe>,
    top: usize,
    /// Keys that cancel and compute again.
    keys: (Safe, Safe),
}

impl Sheet {
    /// A sheet whose lines are being worked out.
    pub(crate) fn new(subject: Subject, stop: &str, again: &str) -> Self {
        let keys = (Safe::from_untrusted(stop), Safe::from_untrusted(again));
        Self { subject, keys, lines: None, since: None, failure: None, top: 0 }
    }

    pub(crate) fn fill(&mut self, answer: Answer<Vec<Line>>, command: Option<&str>) {
        let command = command.map(|command| [Line::text(command), Line::default()]);
        self.lines = Some(command.into_iter().flatten().chain(answer.value).collect());
        self.since = answer.since;
    }

    /// When what is shown was worked out, if it was earlier.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Says why there are none.
    pub(crate) fn fail(&mut self, reason: Safe) {
        self.lines = Some(Vec::new());
        self.failure = Some(reason);
    }

    /// Whether that is what it says.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
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
            let text = format!("Computing… ({} to cancel)", self.keys.0);
            painter.put(1, 0, &Safe::composed(&text), Role::Muted);
            return;
        };
        let width = painter.width().saturating_sub(2);
        if let Some(failure) = &self.failure {
            painter.put_wrapped(1, 0, failure, Role::Error);
            return;
        }
        let mut first = 0;
        if let Some(since) = self.since {
            let text = format!("counted {} · {} counts again", trails::age(since, now), self.keys.1);
            painter.put(1, 0, &Safe::from_untrusted(&text).cut_end(width), Role::Notice);
            first = 1;
        }
        let rest = painter.height().saturating_sub(first);
        for (y, line) in lines.iter().skip(self.top).take(rest).enumerate() {
            let mut x = 1;
            for span in &line.0 {
                let room = (width + 1).saturating_sub(x);
                x = painter.put(x, first + y, &span.text.cut_end(room), role(span.kind));
            }
        }
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
    }
}
