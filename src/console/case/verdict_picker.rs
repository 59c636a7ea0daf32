//! The list from which the verdict on an event is chosen.

use crate::case::notebook::{Entry, Opinion, Subject, Wish};
use crate::console::case::prompts::about;
use crate::console::core::keymap::Context;
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::picker::Picker;
use crate::console::widgets::prompt::recorded_as;
use crate::console::widgets::theme::Role;
use crate::domain::Safe;

/// What can be chosen, and what it means.
const CHOICES: [(Option<Opinion>, &str); 4] = [
    (Some(Opinion::Malicious), "part of an attack"),
    (Some(Opinion::Suspicious), "to be looked into"),
    (Some(Opinion::Benign), "ordinary work"),
    (None, "takes your verdict back"),
];

/// A verdict while it is chosen.
#[derive(Debug)]
pub(crate) struct VerdictPicker {
    event: Subject,
    /// Verdicts of others, as they are shown.
    others: Vec<Safe>,
    user: Safe,
    /// The choice.
    pub(crate) picker: Picker,
}

impl VerdictPicker {
    /// A list for `user`, on the verdict that stands.
    pub(crate) fn new(event: Subject, entry: Option<&Entry>, user: &str) -> Self {
        let verdicts = || entry.into_iter().flat_map(|entry| &entry.verdicts);
        let mine = verdicts().find(|verdict| verdict.stamp.by == user).map(|verdict| verdict.verdict);
        let others = verdicts().filter(|verdict| verdict.stamp.by != user);
        let shown = |by: &str, verdict: Opinion| Safe::from_untrusted(&format!("{by}: {verdict}"));
        let mut picker = Picker::default();
        let stands = CHOICES.iter().position(|(choice, _)| choice.is_some() && *choice == mine);
        picker.select(stands.unwrap_or_default());
        Self {
            event,
            others: others.map(|verdict| shown(&verdict.stamp.by, verdict.verdict)).collect(),
            user: Safe::composed(&recorded_as(user)),
            picker,
        }
    }

    /// Moves the choice.
    pub(crate) fn step(&mut self, by: isize) {
        self.picker.step(by, CHOICES.len());
    }

    /// What is to be written.
    pub(crate) fn wish(self) -> Wish {
        let chosen = CHOICES.get(self.picker.selected(CHOICES.len())).and_then(|(choice, _)| *choice);
        Wish::Verdict(self.event, chosen)
    }
}

impl Dialog for VerdictPicker {
    fn context(&self) -> Context {
        Context::Chooser
    }

    fn frame(&self, _stage: &Stage<'_>) -> Frame {
        Frame::around(" Verdict ", 76, 2 + self.others.len() + CHOICES.len())
    }

    fn draw(&self, painter: &mut Painter<'_>, _stage: &Stage<'_>) -> Option<Cursor> {
        let room = painter.width().saturating_sub(2);
        painter.put(1, 0, &about(&self.event).cut_end(room), Role::Notice);
        for (y, other) in self.others.iter().enumerate() {
            painter.put(1, 1 + y, &other.cut_end(room), Role::Muted);
        }
        let first = 1 + self.others.len();
        self.picker.paint(&mut painter.above(1), first, CHOICES.len(), |painter, y, index| {
            if let Some((choice, meaning)) = CHOICES.get(index) {
                painter.say(3, y, choice.map_or("none", Opinion::name), Role::Text);
                painter.say(15, y, meaning, Role::Muted);
            }
        });
        painter.put(1, first + CHOICES.len(), &self.user.cut_end(room), Role::Muted);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::notebook::{Stamp, Trail, Verdict};
    use crate::console::app::fixtures::event_row;
    use crate::domain::Timestamp;

    #[test]
    fn it_begins_at_the_verdict_that_stands_and_the_last_line_takes_it_back() {
        let trail = Trail { organization_id: "acme".to_owned(), place: String::new(), object: String::new() };
        let event = Subject::of(&trail, &event_row("e1", 0));
        let verdict = |by: &str, verdict| Verdict {
            stamp: Stamp { id: by.to_owned(), at: Timestamp::from_micros(0), by: by.to_owned() },
            verdict,
        };
        let entry = Entry {
            event: event.clone(),
            bookmarks: Vec::new(),
            notes: Vec::new(),
            tags: Vec::new(),
            verdicts: vec![verdict("bob", Opinion::Malicious), verdict("eve", Opinion::Benign)],
        };
        let open = || VerdictPicker::new(event.clone(), Some(&entry), "eve");
        assert_eq!(open().wish(), Wish::Verdict(event.clone(), Some(Opinion::Benign)));
        assert_eq!(open().others[0].as_str(), "bob: malicious");
        let mut line = open();
        line.step(1);
        assert_eq!(line.wish(), Wish::Verdict(event.clone(), None));
        let mut line = VerdictPicker::new(event.clone(), None, "eve");
        line.step(1);
        assert_eq!(line.wish(), Wish::Verdict(event, Some(Opinion::Suspicious)));
    }
}
