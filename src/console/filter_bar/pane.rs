//! The filter line: what the view shows, and the editor for it.

use crate::config::Span;
use crate::console::filter_bar::completion::Advice;
use crate::console::filter_bar::saved_dialogs::Named;
use crate::console::widgets::painter::Painter;
use crate::console::widgets::text_input::Editor;
use crate::console::widgets::theme::Role;
use crate::console::widgets::time_zone::Zone;
use crate::domain::{Safe, TimeRange, Timestamp};
use crate::filter::{Completion, Field, Filter, FilterError, TokenKind, complete, tokens, value_at};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// Maximum number of earlier filters that are remembered.
const REMEMBERED: usize = 200;

/// Lines while it is edited: the text, two for what it means or lacks, the command, the cost.
const EDITED: u16 = 5;

/// From this size on, the command has a line of its own.
const WIDE: u16 = 110;
const HIGH: u16 = 20;

/// The content of a list that a filter names, or why it cannot be read.
pub(crate) type List = Result<String, String>;

/// The state of the line.
#[derive(Debug, Default)]
pub(crate) struct FilterLine {
    editing: Option<Editing>,
    history: Vec<String>,
    /// The filters that have a name.
    pub(crate) named: Named,
}

#[derive(Debug)]
struct Editing {
    editor: Editor,
    parsed: Result<Filter, FilterError>,
    /// The pieces of the text and their looks.
    pieces: Vec<(Range<usize>, Role)>,
    /// Lists from files, once they have been read.
    lists: BTreeMap<String, List>,
    /// Names of those that the text wants and that have not been read.
    unread: BTreeSet<String>,
    /// The entry of the history that is shown, and what had been typed before.
    recalled: Option<(usize, String)>,
    /// What the piece under the cursor was completed to.
    completed: Option<Completed>,
    advice: Advice,
}

/// A completion, and which of its texts stands in the line.
#[derive(Debug)]
struct Completed {
    texts: Vec<String>,
    /// `None`: the beginning that they have in common.
    at: Option<usize>,
    place: Range<usize>,
}

/// What follows from running the line.
#[derive(Debug, PartialEq)]
pub(crate) enum Submitted {
    /// The text, and what it means.
    Run(String, Filter),
    /// These lists have to be read first.
    Read(BTreeSet<String>),
}

impl Editing {
    fn new(text: &str) -> Self {
        let mut editing = Self {
            editor: Editor::new(text),
            parsed: Ok(Filter::default()),
            pieces: Vec::new(),
            lists: BTreeMap::new(),
            unread: BTreeSet::new(),
            recalled: None,
            completed: None,
            advice: Advice::default(),
        };
        editing.parse();
        editing
    }

    fn parse(&mut self) {
        let unread = RefCell::new(BTreeSet::new());
        let lists = |name: &str| match self.lists.get(name) {
            Some(list) => list.clone(),
            None => {
                unread.borrow_mut().insert(name.to_owned());
                Err("it is read when the filter is run".to_owned())
            }
        };
        self.parsed = Filter::parse_with(self.editor.text(), &lists);
        self.unread = unread.into_inner();
        self.pieces = tokens(self.editor.text()).into_iter().map(|(span, kind)| (span, role(kind))).collect();
    }

    /// Puts the completion's text in the line.
    fn put_completion(&mut self) {
        let Some(completed) = &mut self.completed else { return };
        let text = match completed.at {
            Some(at) => completed.texts.get(at).map_or("", String::as_str),
            None => common_beginning(&completed.texts),
        };
        self.editor.replace(completed.place.clone(), text);
        completed.place.end = completed.place.start + text.len();
        self.parse();
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

    /// What the text means, and the end of editing; `None` when it means nothing yet: the reason is on the screen.
    pub(crate) fn submit(&mut self) -> Option<Submitted> {
        let editing = self.editing.take()?;
        let Ok(filter) = editing.parsed else {
            let unread = editing.unread.clone();
            self.editing = Some(editing);
            return (!unread.is_empty()).then_some(Submitted::Read(unread));
        };
        let text = editing.editor.text().trim().to_owned();
        self.remember(text.clone());
        Some(Submitted::Run(text, filter))
    }

    /// Keeps a filter that was run.
    pub(crate) fn remember(&mut self, text: String) {
        self.history.retain(|t| *t != text);
        if !text.is_empty() {
            self.history.push(text);
        }
        if self.history.len() > REMEMBERED {
            self.history.remove(0);
        }
    }

    /// Takes lists that [`Self::submit`] has asked for, and runs the line.
    pub(crate) fn take_lists(&mut self, lists: BTreeMap<String, List>) -> Option<Submitted> {
        let editing = self.editing.as_mut()?;
        editing.lists.extend(lists);
        editing.parse();
        self.submit()
    }

    /// A key that is typed.
    pub(crate) fn input(&mut self, key: crossterm::event::KeyEvent) {
        if let Some(editing) = &mut self.editing {
            editing.completed = None;
            if editing.editor.input(key) {
                editing.recalled = None;
                editing.parse();
            }
        }
    }

    /// Takes the filters that are kept.
    pub(crate) fn take_recent(&mut self, recent: Vec<String>) {
        self.history = recent;
    }

    /// The text being edited.
    pub(crate) fn text(&self) -> Option<&str> {
        self.editing.as_ref().map(|editing| editing.editor.text())
    }

    /// What the text being edited means, if it means something.
    pub(crate) fn meaning(&self) -> Option<&Filter> {
        self.editing.as_ref()?.parsed.as_ref().ok()
    }

    /// The field whose value is being typed, and what there is of it, where its values are not known yet.
    pub(crate) fn wanted_values(&self) -> Option<(Field, String)> {
        let editing = self.editing.as_ref()?;
        let (field, begun) = value_at(editing.editor.text(), editing.editor.cursor())?;
        (!editing.advice.knows(field, &begun)).then_some((field, begun))
    }

    /// What the database has said about the text being edited.
    pub(crate) fn advice(&mut self) -> Option<&mut Advice> {
        self.editing.as_mut().map(|editing| &mut editing.advice)
    }

    /// When the database is to be asked about the text.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.editing.as_ref()?.advice.due()
    }

    /// Takes note of the text being edited, at this time. Whether what is being worked out for another text is not
    /// wanted any more.
    pub(crate) fn follow(&mut self, clock: Duration) -> bool {
        match &mut self.editing {
            Some(editing) => editing.advice.follow(editing.editor.text(), clock),
            None => true,
        }
    }

    /// Completes the piece under the cursor as far as all texts that it can become agree, then goes to the next
    /// (`back`: the previous) of them. Of zones, `zone` comes first.
    pub(crate) fn complete(&mut self, back: bool, zone: &str, at_hand: &dyn Fn(Field) -> Vec<String>) {
        let Some(editing) = &mut self.editing else { return };
        // What is on the screen comes first: it is what one is looking at.
        let values = |field| {
            let mut values = at_hand(field);
            let more = editing.advice.values(field).iter().filter(|value| !values.contains(value));
            let more: Vec<String> = more.cloned().collect();
            values.extend(more);
            values
        };
        match &mut editing.completed {
            Some(completed) if completed.texts.len() > 1 => {
                let count = completed.texts.len();
                completed.at = Some(match (completed.at, back) {
                    (None, false) => 0,
                    (None, true) => count - 1,
                    (Some(at), false) => (at + 1) % count,
                    (Some(at), true) => (at + count - 1) % count,
                });
            }
            _ => {
                let found = complete(editing.editor.text(), editing.editor.cursor(), zone, &values);
                let Some(Completion { replaces, texts }) = found else { return };
                let says_more = texts.len() > 1 && common_beginning(&texts).len() > replaces.len();
                let at = if says_more { None } else { Some(0) };
                editing.completed = Some(Completed { texts, at, place: replaces });
            }
        }
        editing.put_completion();
    }

    /// Text that is pasted; false, and nothing, where that makes a line longer than an editor holds.
    #[must_use]
    pub(crate) fn paste(&mut self, text: &str) -> bool {
        let Some(editing) = &mut self.editing else { return true };
        editing.completed = None;
        let taken = editing.editor.paste(text);
        editing.parse();
        taken
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
        editing.completed = None;
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

    /// Lines it takes on a screen of some columns and lines. Where there is room, the command that lists the same has
    /// one of them.
    pub(crate) fn height(&self, has_command: bool, (columns, lines): (u16, u16)) -> u16 {
        match self.is_editing() {
            true => EDITED,
            false if has_command && columns >= WIDE && lines >= HIGH => 2,
            false => 1,
        }
    }

    /// Draws it; returns the place of the cursor while editing.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>, shown: &Shown<'_>) -> Option<(usize, usize)> {
        let x = painter.say(1, 0, "filter ", Role::Label);
        let Some(editing) = &self.editing else {
            shown.paint(painter, x);
            shown.paint_command(painter, x, 1);
            return None;
        };
        let error = editing.parsed.as_ref().err();
        // A list that has not been read is no mistake.
        let error = error.filter(|_| editing.unread.is_empty());
        let marked = error.map(FilterError::span);
        let (cursor, mark) = editing.editor.paint(painter, x, 0, &editing.pieces, marked);
        let room = painter.width().saturating_sub(1);
        match (&editing.completed, &editing.parsed) {
            (Some(completed), _) if completed.texts.len() > 1 => paint_completion(painter, completed),
            (_, Err(_)) if !editing.unread.is_empty() => {
                painter.say(x, 1, "Enter reads the list and runs the filter", Role::Muted);
            }
            (_, Err(error)) => {
                painter.say(mark, 1, "^", Role::Error);
                let text = match error.remedy() {
                    Some(remedy) => format!("{} · {remedy}", error.message()),
                    None => error.message().to_owned(),
                };
                let text = Safe::composed(&text);
                // Behind the caret where it fits, else on the line below.
                if mark + 2 + text.width() <= painter.width() {
                    painter.put(mark + 2, 1, &text, Role::Error);
                } else {
                    paint_prose(painter, 2, &text, Role::Error);
                }
            }
            (_, Ok(_)) if editing.editor.text().trim().is_empty() => {
                let examples = "actor:eve@corp.example  sev>=warning  -action:read  role:viewer->admin  \"a phrase\"  since:-7d";
                painter.put(x, 1, &Safe::composed(examples).cut_end(room.saturating_sub(x)), Role::Muted);
            }
            (_, Ok(filter)) => {
                let words = Safe::composed(&filter.explain(&length(shown.window)));
                let room = room.saturating_sub(x);
                if words.width() <= room {
                    painter.put(x, 1, &words, Role::Muted);
                } else {
                    paint_prose(painter, 1, &words, Role::Muted);
                }
            }
        }
        if let Some(trouble) = &editing.advice.trouble {
            paint_prose(painter, 3, trouble, Role::Error);
            return Some((cursor, 0));
        }
        shown.paint_command(painter, x, 3);
        if let Some(price) = &editing.advice.price {
            painter.put(1, 4, &price.cut_end(room), Role::Label);
        }
        Some((cursor, 0))
    }
}

/// Two lines of prose, which say where they are cut.
fn paint_prose(painter: &mut Painter<'_>, y: usize, text: &Safe, role: Role) {
    let room = painter.width().saturating_sub(2);
    // More than two lines of it are never needed.
    let lines = text.cut_end(room.saturating_mul(4)).wrapped_words(room, 2);
    for (n, line) in lines.iter().take(2).enumerate() {
        let is_cut = n == 1 && lines.len() > 2;
        let line =
            if is_cut { Safe::concat(&[line, &Safe::literal(" …")]).cut_end(room) } else { line.clone() };
        painter.put(1, y + n, &line, role);
    }
}

/// How a piece of a filter looks.
fn role(kind: TokenKind) -> Role {
    match kind {
        TokenKind::Field => Role::Label,
        TokenKind::Operator => Role::Muted,
        TokenKind::Value => Role::Text,
        TokenKind::Keyword => Role::Key,
        TokenKind::Words => Role::Day,
    }
}

/// What all of the texts begin with.
fn common_beginning(texts: &[String]) -> &str {
    let Some((first, rest)) = texts.split_first() else { return "" };
    let mut end = first.len();
    for text in rest {
        let same = first.char_indices().zip(text.chars()).take_while(|((_, a), b)| a == b);
        end = end.min(same.last().map_or(0, |((at, c), _)| at + c.len_utf8()));
    }
    // A backslash belongs to what follows it.
    first.get(..end).unwrap_or_default().trim_end_matches('\\')
}

/// The texts that the piece can become, the one in the line reversed, on two lines as far as they fit.
fn paint_completion(painter: &mut Painter<'_>, completed: &Completed) {
    let (mut x, mut y) = (1, 1);
    let from = completed.at.unwrap_or_default().saturating_sub(3);
    for (n, text) in completed.texts.iter().enumerate().skip(from) {
        let text = Safe::composed(text);
        if x > 1 && x + text.width() >= painter.width() {
            (x, y) = (1, y + 1);
        }
        if y > 2 {
            return;
        }
        x = painter.put(x, y, &text, if Some(n) == completed.at { Role::Selected } else { Role::Muted }) + 2;
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
    /// The default window, whether or not it is in force.
    pub(crate) window: Span,
    /// The end of the trail: the newest event's time.
    pub(crate) newest: Option<Timestamp>,
    /// The command that lists the same.
    pub(crate) command: Option<Safe>,
    /// The zone that times are shown in.
    pub(crate) zone: Zone,
}

impl Shown<'_> {
    /// The command as it is typed into a shell, below the text of the filter.
    fn paint_command(&self, painter: &mut Painter<'_>, x: usize, y: usize) {
        if let Some(command) = &self.command {
            painter.say(1, y, "shell", Role::Label);
            let room = painter.width().saturating_sub(x + 1);
            painter.put(x, y, &command.cut_end(room), Role::Muted);
        }
    }

    fn paint(&self, painter: &mut Painter<'_>, x: usize) {
        let filter = if self.text.is_empty() {
            (Safe::literal("none"), Role::Muted)
        } else {
            (Safe::composed(self.text), Role::Text)
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
        let day = |t: Timestamp| self.zone.day(t).map_or_else(|| t.to_rfc3339(), |day| day.to_string());
        let short = |t: Timestamp| self.zone.minute(t);
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
        texts.iter().map(|t| Safe::composed(t)).collect()
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
        let Some(Submitted::Run(text, filter)) = line.submit() else { panic!("not run") };
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

    #[test]
    fn lists_are_read_before_the_filter_is_run() {
        let mut line = FilterLine::default();
        line.edit("actor in @suspects.txt");
        assert_eq!(line.submit(), Some(Submitted::Read(["suspects.txt".to_owned()].into())));
        let gone = Err("there is no such file".to_owned());
        assert_eq!(line.take_lists([("suspects.txt".to_owned(), gone)].into()), None);
        assert!(line.is_editing());
        let list = Ok("user-3\n".to_owned());
        let run = line.take_lists([("suspects.txt".to_owned(), list)].into());
        let wanted = Filter::parse("actor:user-3").unwrap();
        assert_eq!(run, Some(Submitted::Run("actor in @suspects.txt".to_owned(), wanted)));
    }

    #[test]
    fn tab_goes_through_what_a_piece_can_become() {
        let values = |field| if field == Field::EventType { vec!["login.ok".to_owned()] } else { Vec::new() };
        let mut line = FilterLine::default();
        let shown = |line: &FilterLine| line.editing.as_ref().unwrap().editor.text().to_owned();
        line.edit("sev:info -ac");
        line.complete(false, "UTC", &values);
        assert_eq!(shown(&line), "sev:info -act");
        line.complete(false, "UTC", &values);
        assert_eq!(shown(&line), "sev:info -actor_type:");
        line.complete(false, "UTC", &values);
        assert_eq!(shown(&line), "sev:info -actor:");
        line.complete(true, "UTC", &values);
        assert_eq!(shown(&line), "sev:info -actor_type:");
        type_in(&mut line, "us");
        line.complete(false, "UTC", &values);
        assert_eq!(shown(&line), "sev:info -actor_type:user");
        let ids = |field| {
            let ids = ["role_binding/", "role_binding/rb-7", "role_binding/rb-71", "trace/"];
            if field == Field::Resource { ids.map(str::to_owned).to_vec() } else { Vec::new() }
        };
        line.edit("res:role");
        line.complete(false, "UTC", &ids);
        assert_eq!(shown(&line), "res:role_binding/", "the common part");
        line.complete(false, "UTC", &ids);
        assert_eq!(shown(&line), "res:role_binding/*");
        line.complete(false, "UTC", &ids);
        assert_eq!(shown(&line), "res:role_binding/rb-7");
        line.edit("res:role");
        line.complete(false, "UTC", &ids);
        type_in(&mut line, "rb");
        line.complete(false, "UTC", &ids);
        assert_eq!(shown(&line), "res:role_binding/rb-7", "typed on, completed on");
        line.edit("type:lo");
        line.complete(false, "UTC", &values);
        assert_eq!(shown(&line), "type:login.ok");
        line.complete(false, "UTC", &values);
        assert_eq!(shown(&line), "type:login.ok");
    }
}
