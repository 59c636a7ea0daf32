//! The lines in which a note and tags are typed.

use crate::case::notebook::{self, Entry, Subject, Wish};
use crate::console::core::keymap::{Action, Context, Keymap};
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::prompt::{Prompt, recorded_as};
use crate::console::widgets::text_input::Editor;
use crate::console::widgets::theme::Role;
use crate::domain::Safe;

/// Notes that are shown above the line.
const SHOWN: usize = 5;

/// A note while it is typed: a new one, or another wording of one's own.
#[derive(Debug)]
pub(crate) struct Noting {
    event: Subject,
    /// What was noted before, the newest last.
    before: Vec<Safe>,
    /// One's own notes, the oldest first: ids and texts.
    mine: Vec<(String, String)>,
    /// The one that is reworded.
    chosen: Option<usize>,
    /// The line.
    pub(crate) prompt: Prompt,
}

impl Noting {
    /// A line for a new note of `user` on an event.
    pub(crate) fn new(event: Subject, entry: Option<&Entry>, user: &str, keymap: &Keymap) -> Self {
        let notes = || entry.into_iter().flat_map(|entry| &entry.notes);
        let before: Vec<Safe> = notes()
            .map(|note| {
                let at =
                    note.stamp.at.to_utc().map_or_else(String::new, |t| t.format("%m-%d %H:%MZ").to_string());
                Safe::from_untrusted(&format!("{at} {}: {}", note.stamp.by, in_one_line(&note.text)))
            })
            .collect();
        let mine: Vec<(String, String)> = notes()
            .filter(|note| note.stamp.by == user)
            .map(|note| (note.stamp.id.clone(), note.text.clone()))
            .collect();
        let hint = if mine.is_empty() {
            recorded_as(user)
        } else {
            format!("{} edits a note of yours; an empty one is removed", keymap.key(Action::HistoryBack))
        };
        Self { event, before, mine, chosen: None, prompt: Prompt::new("note ", &hint) }
    }

    /// Puts the next older note of one's own into the line, or the next newer one; behind the newest one is a new note.
    pub(crate) fn recall(&mut self, newer: bool) {
        let at = match (self.chosen, newer) {
            (None, false) => self.mine.len().checked_sub(1),
            (None, true) => None,
            (Some(at), false) => Some(at.saturating_sub(1)),
            (Some(at), true) => Some(at + 1).filter(|at| *at < self.mine.len()),
        };
        self.chosen = at;
        let text = at.and_then(|at| self.mine.get(at)).map(|(_, text)| in_one_line(text));
        self.prompt.editor.set(&text.unwrap_or_default());
        self.prompt.trouble = None;
    }

    /// What is to be written. `Err` when nothing is; where the line is refused it says why.
    pub(crate) fn answered(&mut self) -> Result<Option<Wish>, ()> {
        let text = self.prompt.text().to_owned();
        match self.chosen.and_then(|at| self.mine.get(at)) {
            Some((_, before)) if in_one_line(before) == text => Ok(None),
            Some((id, _)) if text.is_empty() => {
                Ok(Some(Wish::Reword(self.event.clone(), vec![id.clone()], String::new())))
            }
            chosen => match notebook::note(&text) {
                Ok(text) => Ok(Some(match chosen {
                    Some((id, _)) => Wish::Reword(self.event.clone(), vec![id.clone()], text),
                    None => Wish::Note(self.event.clone(), text),
                })),
                Err(error) => {
                    self.prompt.refuse(Safe::composed(&error.to_string()));
                    Err(())
                }
            },
        }
    }

    /// Lines of the box's inside at a width.
    fn height(&self, width: usize) -> usize {
        1 + self.before.len().min(SHOWN) + self.prompt.height(width)
    }
}

impl Dialog for Noting {
    fn context(&self) -> Context {
        Context::Editor
    }

    fn editor_mut(&mut self) -> Option<&mut Editor> {
        Some(&mut self.prompt.editor)
    }

    fn frame(&self, stage: &Stage<'_>) -> Frame {
        Frame::around(" Note ", 90, self.height(stage.inside(90)))
    }

    fn draw(&self, painter: &mut Painter<'_>, _stage: &Stage<'_>) -> Option<Cursor> {
        let room = painter.width().saturating_sub(2);
        painter.put(1, 0, &about(&self.event).cut_end(room), Role::Notice);
        let first = self.before.len().saturating_sub(SHOWN);
        let mut y = 1;
        for line in self.before.iter().skip(first) {
            painter.put(1, y, &line.cut_end(room), Role::Muted);
            y += 1;
        }
        Some(self.prompt.paint(painter, y))
    }
}

/// The tags of an event while they are typed.
#[derive(Debug)]
pub(crate) struct Tagging {
    event: Subject,
    before: Vec<String>,
    /// Tags of other events.
    known: Vec<String>,
    /// What the last completion was of, and which of the tags that fit it was.
    completed: Option<(String, usize)>,
    /// The line: all tags, with blanks between them.
    pub(crate) prompt: Prompt,
}

impl Tagging {
    /// A line with the tags that the event has. `known`: tags of other events, the ones worth proposing.
    pub(crate) fn new(event: Subject, entry: Option<&Entry>, known: &[&str]) -> Self {
        let before: Vec<String> =
            entry.into_iter().flat_map(|entry| &entry.tags).map(|tag| tag.tag.clone()).collect();
        let hint = if known.is_empty() {
            "Words with blanks between them: letters, digits, - _ . and /".to_owned()
        } else {
            format!("In use (Tab completes): {}", known.join(" "))
        };
        let mut prompt = Prompt::new("tags ", &hint);
        if !before.is_empty() {
            prompt.editor.set(&format!("{} ", before.join(" ")));
        }
        let known = known.iter().map(|tag| (*tag).to_owned()).collect();
        Self { event, before, known, completed: None, prompt }
    }

    /// Completes the word at the end of the line to a tag that is in use; again, to the next one that fits.
    pub(crate) fn complete(&mut self, back: bool) {
        let text = self.prompt.editor.text().to_owned();
        let begin = text.rfind([' ', ',']).map_or(0, |at| at + 1);
        let word = text.get(begin..).unwrap_or_default();
        let (stem, last) = match self.completed.take() {
            Some((stem, at)) if self.fitting(&stem).get(at).is_some_and(|tag| tag == word) => {
                (stem, Some(at))
            }
            _ => (word.to_owned(), None),
        };
        let fitting = self.fitting(&stem);
        let Some(most) = fitting.len().checked_sub(1) else { return };
        let next = match (last, back) {
            (None, false) => 0,
            (None, true) => most,
            (Some(at), false) => {
                if at == most {
                    0
                } else {
                    at + 1
                }
            }
            (Some(at), true) => at.checked_sub(1).unwrap_or(most),
        };
        if let Some(tag) = fitting.get(next) {
            self.prompt.editor.set(&format!("{}{tag}", text.get(..begin).unwrap_or_default()));
        }
        self.completed = Some((stem, next));
    }

    /// The tags in use that begin with a stem.
    fn fitting(&self, stem: &str) -> Vec<String> {
        let stem = stem.strip_prefix('#').unwrap_or(stem);
        self.known.iter().filter(|tag| tag.starts_with(stem)).cloned().collect()
    }

    /// What is to be written; `Ok(None)` where the tags are those that it has. `Err` when one is none: the line says why.
    pub(crate) fn answered(&mut self) -> Result<Option<Wish>, ()> {
        let words = self.prompt.text().split([' ', ',']).filter(|word| !word.is_empty());
        let tags = match words.map(notebook::tag).collect::<crate::error::Result<Vec<String>>>() {
            Ok(tags) => tags,
            Err(error) => {
                self.prompt.refuse(Safe::composed(&error.to_string()));
                return Err(());
            }
        };
        let add: Vec<String> = tags.iter().filter(|tag| !self.before.contains(tag)).cloned().collect();
        let remove: Vec<String> = self.before.iter().filter(|tag| !tags.contains(tag)).cloned().collect();
        let changes = !add.is_empty() || !remove.is_empty();
        Ok(changes.then(|| Wish::Tags { event: self.event.clone(), add, remove }))
    }

    /// Lines of the box's inside at a width.
    fn height(&self, width: usize) -> usize {
        1 + self.prompt.height(width)
    }
}

impl Dialog for Tagging {
    fn context(&self) -> Context {
        Context::Editor
    }

    fn editor_mut(&mut self) -> Option<&mut Editor> {
        Some(&mut self.prompt.editor)
    }

    fn frame(&self, stage: &Stage<'_>) -> Frame {
        Frame::around(" Tags ", 76, self.height(stage.inside(76)))
    }

    fn draw(&self, painter: &mut Painter<'_>, _stage: &Stage<'_>) -> Option<Cursor> {
        let room = painter.width().saturating_sub(2);
        painter.put(1, 0, &about(&self.event).cut_end(room), Role::Notice);
        Some(self.prompt.paint(painter, 1))
    }
}

/// `dataset.exported dataset/ds-7 by eve@corp.example`
pub(super) fn about(event: &Subject) -> Safe {
    Safe::from_untrusted(&format!("{} {} by {}", event.event_type, event.resource, event.actor))
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::notebook::{Note, Stamp, Tag, Trail};
    use crate::console::app::fixtures::event_row;
    use crate::domain::Timestamp;

    fn entry() -> Entry {
        let trail = Trail { organization_id: "acme".to_owned(), place: String::new(), object: String::new() };
        let stamp = |id: &str, by: &str| Stamp {
            id: id.to_owned(),
            at: Timestamp::from_micros(0),
            by: by.to_owned(),
        };
        let note = |id: &str, by: &str, text: &str| Note {
            stamp: stamp(id, by),
            text: text.to_owned(),
            is_edited: false,
        };
        Entry {
            event: Subject::of(&trail, &event_row("e1", 0)),
            bookmarks: Vec::new(),
            notes: vec![note("1", "eve", "first"), note("2", "bob", "his"), note("3", "eve", "two\nlines")],
            tags: vec![Tag { stamp: stamp("4", "bob"), tag: "exfil".to_owned() }],
            verdicts: Vec::new(),
        }
    }

    #[test]
    fn ones_own_notes_are_recalled_and_reworded_and_nobody_elses() {
        let entry = entry();
        let keymap = Keymap::shipped().unwrap();
        let mut line = Noting::new(entry.event.clone(), Some(&entry), "eve", &keymap);
        assert_eq!(line.answered(), Err(()), "an empty note");
        line.recall(false);
        assert_eq!(line.prompt.text(), "two lines");
        assert_eq!(line.answered(), Ok(None), "unchanged, and its lines stay");
        line.recall(false);
        line.recall(false);
        assert_eq!(line.prompt.text(), "first");
        line.prompt.editor.set("better");
        let reworded = Wish::Reword(entry.event.clone(), vec!["1".to_owned()], "better".to_owned());
        assert_eq!(line.answered(), Ok(Some(reworded)));
        line.prompt.editor.set("");
        let removed = Wish::Reword(entry.event.clone(), vec!["1".to_owned()], String::new());
        assert_eq!(line.answered(), Ok(Some(removed)));
        line.recall(true);
        line.recall(true);
        assert_eq!(line.prompt.text(), "");
        line.prompt.editor.set("new");
        assert_eq!(line.answered(), Ok(Some(Wish::Note(entry.event.clone(), "new".to_owned()))));
    }

    #[test]
    fn tags_are_those_that_stand_in_the_line() {
        let entry = entry();
        let mut line = Tagging::new(entry.event.clone(), Some(&entry), &["exfil", "night"]);
        assert_eq!(line.answered(), Ok(None));
        line.prompt.editor.set("#night, dns/tunnel");
        let wish = Wish::Tags {
            event: entry.event.clone(),
            add: vec!["night".to_owned(), "dns/tunnel".to_owned()],
            remove: vec!["exfil".to_owned()],
        };
        assert_eq!(line.answered(), Ok(Some(wish)));
        line.prompt.editor.set("exfil n");
        line.complete(false);
        assert_eq!(line.prompt.editor.text(), "exfil night");
        line.prompt.editor.set("exfil ");
        let mut completed = |back| {
            line.complete(back);
            line.prompt.editor.text().to_owned()
        };
        assert_eq!(
            [completed(false), completed(false), completed(false)],
            ["exfil exfil", "exfil night", "exfil exfil"]
        );
        assert_eq!(completed(true), "exfil night");
        line.prompt.editor.set("zz");
        line.complete(false);
        assert_eq!(line.prompt.editor.text(), "zz", "nothing fits");
        line.prompt.editor.set("a*b");
        assert_eq!(line.answered(), Err(()));
        assert!(line.prompt.trouble.is_some());
    }
}
