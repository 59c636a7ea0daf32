//! The filter line: what the view shows, and the editor for it.

use crate::config::Span;
use crate::console::editor::Editor;
use crate::console::paint::Painter;
use crate::console::theme::Role;
use crate::domain::{Safe, TimeRange, Timestamp};
use crate::filter::{Filter, FilterError};

/// Greatest number of earlier filters that are remembered.
const REMEMBERED: usize = 200;

/// The state of the line.
#[derive(Debug, Default)]
pub(crate) struct FilterLine {
    editing: Option<Editing>,
    history: Vec<String>,
}

#[derive(Debug)]
struct Editing {
    editor: Editor,
    parsed: Result<Filter, FilterError>,
    /// The entry of the history that is shown, and what had been typed before.
    recalled: Option<(usize, String)>,
}

impl Editing {
    fn new(text: &str) -> Self {
        Self { editor: Editor::new(text), parsed: Filter::parse(text), recalled: None }
    }

    fn parse(&mut self) {
        self.parsed = Filter::parse(self.editor.text());
    }
}

impl FilterLine {
    /// Whether it is being edited.
    pub(crate) fn is_editing(&self) -> bool {
        self.editing.is_some()
    }

    /// Begins to edit a text.
    pub(crate) fn edit(&mut self, text: &str) {
        self.editing = Some(Editing::new(text));
    }

    /// Leaves without a change.
    pub(crate) fn leave(&mut self) {
        self.editing = None;
    }

    /// The text and what it means; `None` when it means nothing yet: the reason is on the screen.
    pub(crate) fn submit(&mut self) -> Option<(String, Filter)> {
        let editing = self.editing.take()?;
        let Ok(filter) = editing.parsed else {
            self.editing = Some(editing);
            return None;
        };
        let text = editing.editor.text().trim().to_owned();
        self.history.retain(|t| *t != text);
        if !text.is_empty() {
            self.history.push(text.clone());
        }
        if self.history.len() > REMEMBERED {
            self.history.remove(0);
        }
        Some((text, filter))
    }

    /// A key that is typed.
    pub(crate) fn input(&mut self, key: crossterm::event::KeyEvent) {
        if let Some(editing) = &mut self.editing
            && editing.editor.input(key)
        {
            editing.recalled = None;
            editing.parse();
        }
    }

    /// Text that is pasted.
    pub(crate) fn paste(&mut self, text: &str) {
        if let Some(editing) = &mut self.editing {
            editing.editor.paste(text);
            editing.parse();
        }
    }

    /// Empties the line.
    pub(crate) fn clear(&mut self) {
        if self.is_editing() {
            self.edit("");
        }
    }

    /// Shows an earlier (or, `forward`, a later) filter.
    pub(crate) fn recall(&mut self, forward: bool) {
        let Some(editing) = &mut self.editing else { return };
        let (at, typed) = match editing.recalled.take() {
            Some((at, typed)) => (at, typed),
            None => (self.history.len(), editing.editor.text().to_owned()),
        };
        let at = if forward { at + 1 } else { at.saturating_sub(1) };
        match self.history.get(at) {
            Some(text) => {
                editing.editor.set(text);
                editing.recalled = Some((at, typed));
            }
            None => editing.editor.set(&typed),
        }
        editing.editor.end();
        editing.parse();
    }

    /// Lines it takes.
    pub(crate) fn height(&self) -> u16 {
        if self.is_editing() { 3 } else { 1 }
    }

    /// Draws it; returns the place of the cursor while editing.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>, shown: &Shown<'_>) -> Option<(usize, usize)> {
        let x = painter.say(1, 0, "filter ", Role::Label);
        match &self.editing {
            None => {
                shown.paint(painter, x);
                None
            }
            Some(editing) => {
                let error = editing.parsed.as_ref().err();
                let (cursor, mark) = editing.editor.paint(painter, x, 0, error.map(FilterError::span));
                match error {
                    Some(error) => {
                        painter.say(mark, 1, "^", Role::Error);
                        let text = match error.remedy() {
                            Some(remedy) => format!("{} · {remedy}", error.message()),
                            None => error.message().to_owned(),
                        };
                        let text = Safe::from_untrusted(&text);
                        // Behind the caret where it fits, else on the line below.
                        if mark + 2 + text.width() <= painter.width() {
                            painter.put(mark + 2, 1, &text, Role::Error);
                        } else {
                            let room = painter.width().saturating_sub(1);
                            painter.put(1, 2, &text.cut_end(room), Role::Error);
                        }
                    }
                    None => {
                        painter.say(
                            x,
                            1,
                            "actor:eve@corp.example  sev>=warning  -action:read  type:login.*  since:-7d",
                            Role::Muted,
                        );
                    }
                }
                Some((cursor, 0))
            }
        }
    }
}

/// What the line says while it is not being edited.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    /// The filter in force.
    pub(crate) text: &'a str,
    /// The bounds in force.
    pub(crate) range: Option<TimeRange>,
    /// The default window, where it gives the lower bound.
    pub(crate) default_window: Option<Span>,
    /// The end of the trail: the newest event's time.
    pub(crate) newest: Option<Timestamp>,
}

impl Shown<'_> {
    fn paint(&self, painter: &mut Painter<'_>, x: usize) {
        let filter = if self.text.is_empty() {
            (Safe::literal("none"), Role::Muted)
        } else {
            (Safe::from_untrusted(self.text), Role::Text)
        };
        let room = painter.width().saturating_sub(x + 1);
        let window =
            self.windows().into_iter().find(|w| w.width() + 2 + filter.0.width().min(room / 2) <= room);
        let right = painter.width().saturating_sub(1);
        let end = match window {
            Some(window) => painter.put_right(right, 0, &window, Role::Muted).saturating_sub(2),
            None => right,
        };
        painter.put(x, 0, &filter.0.cut_end(end.saturating_sub(x)), filter.1);
    }

    /// The window in words, the longest form first.
    fn windows(&self) -> Vec<Safe> {
        let Some(range) = self.range else { return Vec::new() };
        let day =
            |t: Timestamp| t.to_utc().map_or_else(|| t.to_rfc3339(), |t| t.format("%Y-%m-%d").to_string());
        let short = |t: Timestamp| match t.to_utc() {
            Some(t) => t.format("%Y-%m-%dT%H:%MZ").to_string(),
            None => t.to_rfc3339(),
        };
        let end = range.until.map_or_else(|| "now".to_owned(), short);
        let texts = match (self.default_window, range.since) {
            (Some(window), Some(since)) => {
                let length = length(window);
                let to = range.until.or(self.newest).map_or_else(|| "now".to_owned(), day);
                vec![
                    format!("window: {length} to {to} · all-time lifts it"),
                    format!("window: {length} to {to}"),
                    format!("{} → {to}", day(since)),
                ]
            }
            (None, Some(since)) => {
                vec![format!("window: {} to {end}", short(since)), format!("{} → {}", short(since), end)]
            }
            (_, None) if range.until.is_some() => vec![format!("window: all time to {end}")],
            (_, None) => vec!["window: all time".to_owned()],
        };
        texts.iter().map(|t| Safe::from_untrusted(t)).collect()
    }
}

/// `90 days`, or the spelling of the configuration where it is no number of days.
fn length(window: Span) -> String {
    let text = window.to_string();
    match text.strip_suffix('d') {
        Some("1") => "1 day".to_owned(),
        Some(days) if days.bytes().all(|b| b.is_ascii_digit()) => format!("{days} days"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    fn type_in(line: &mut FilterLine, text: &str) {
        for c in text.chars() {
            line.input(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
        }
    }

    #[test]
    fn a_filter_that_means_nothing_is_not_run() {
        let mut line = FilterLine::default();
        line.edit("");
        type_in(&mut line, "actr:eve");
        assert_eq!(line.submit(), None);
        assert!(line.is_editing());
        line.clear();
        type_in(&mut line, "actor:eve");
        let (text, filter) = line.submit().unwrap();
        assert_eq!((text.as_str(), filter.canonical().as_str()), ("actor:eve", "actor:eve"));
        assert!(!line.is_editing());
    }

    #[test]
    fn history_goes_back_and_returns_to_what_was_typed() {
        let mut line = FilterLine::default();
        for text in ["actor:a", "actor:b", "actor:a"] {
            line.edit(text);
            line.submit().unwrap();
        }
        line.edit("");
        type_in(&mut line, "sev:");
        let shown = |line: &FilterLine| line.editing.as_ref().unwrap().editor.text().to_owned();
        line.recall(false);
        assert_eq!(shown(&line), "actor:a");
        line.recall(false);
        assert_eq!(shown(&line), "actor:b");
        line.recall(false);
        assert_eq!(shown(&line), "actor:b");
        line.recall(true);
        line.recall(true);
        assert_eq!(shown(&line), "sev:");
    }
}
