//! The case as a list: the events that something was said about. Has the place of all panes.

use crate::case::notebook::{Book, Entry};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::console::widgets::time_zone::Zone;
use crate::domain::{OrgId, Safe, grouped};
use crate::investigation::casework::Fate;
use std::collections::HashMap;

/// Lines about the entry under the cursor, below the list.
const ABOUT: usize = 8;

/// The state of the page.
#[derive(Debug)]
pub(crate) struct CasePage {
    /// Whose events they are.
    pub(crate) organization: OrgId,
    /// Name of the case.
    case: Safe,
    entries: Vec<Entry>,
    /// Events of other trails in the same case.
    others: usize,
    /// What has become of the events, by their ids, as far as that was looked up.
    fates: HashMap<String, Fate>,
    /// That is being looked up.
    compares: bool,
    /// Why it could not be looked up.
    trouble: Option<Safe>,
    cursor: usize,
    top: usize,
    width: usize,
    height: usize,
    zone: Zone,
}

impl CasePage {
    /// The list of what stands in a book.
    pub(crate) fn new(organization: OrgId, case: &str, book: &Book) -> Self {
        let mut page = Self {
            organization,
            case: Safe::from_untrusted(case),
            entries: Vec::new(),
            others: 0,
            fates: HashMap::new(),
            compares: false,
            trouble: None,
            cursor: 0,
            top: 0,
            width: 80,
            height: 0,
            zone: Zone::Utc,
        };
        page.set(book);
        page
    }

    /// Takes in what stands in the book now; one stays where one was.
    pub(crate) fn set(&mut self, book: &Book) {
        let stood = self.current().map(|entry| entry.event.event_id.clone());
        self.entries = book.entries().into_iter().cloned().collect();
        self.others = book.others;
        let at = |id: String| self.entries.iter().position(|entry| entry.event.event_id == id);
        self.cursor = stood.and_then(at).unwrap_or(self.cursor);
        self.keep_in_sight();
    }

    /// All entries, the newest event first.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Takes note that it is being looked up what has become of the events.
    pub(crate) fn compare(&mut self) {
        (self.compares, self.trouble) = (true, None);
    }

    /// Takes in what has become of the events.
    pub(crate) fn take_fates(&mut self, fates: Vec<(String, Fate)>) {
        self.fates = fates.into_iter().collect();
        (self.compares, self.trouble) = (false, None);
    }

    /// Says why that is not known.
    pub(crate) fn fail(&mut self, why: Safe) {
        (self.compares, self.trouble) = (false, Some(why));
    }

    /// The entry under the cursor.
    pub(crate) fn current(&self) -> Option<&Entry> {
        self.entries.get(self.cursor)
    }

    /// What has become of the event under the cursor, where that is known.
    pub(crate) fn fate(&self) -> Option<&Fate> {
        self.fates.get(&self.current()?.event.event_id)
    }

    /// Takes note of the size of the page and of the zone that times are shown in.
    pub(crate) fn set_size(&mut self, width: usize, height: usize, zone: Zone) {
        (self.width, self.height, self.zone) = (width, height, zone);
        self.keep_in_sight();
    }

    /// Lines of the list.
    pub(crate) fn body_height(&self) -> usize {
        let about = if self.entries.is_empty() { 0 } else { ABOUT.min(self.height / 3) + 1 };
        self.height.saturating_sub(1 + about)
    }

    /// Moves the cursor by lines.
    pub(crate) fn scroll(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by);
        self.keep_in_sight();
    }

    fn keep_in_sight(&mut self) {
        self.cursor = self.cursor.min(self.entries.len().saturating_sub(1));
        let height = self.body_height().max(1);
        self.top = self.top.min(self.cursor).max((self.cursor + 1).saturating_sub(height));
    }

    /// `default · 3 of 17`
    pub(crate) fn note(&self) -> Safe {
        let place = match self.entries.len() {
            0 => String::new(),
            n => format!(" · {} of {}", grouped(self.cursor as u64 + 1), grouped(n as u64)),
        };
        Safe::composed(&format!("{}{place}", self.case))
    }

    /// What has to be said of the whole.
    fn heading(&self) -> (Safe, Role) {
        if let Some(trouble) = &self.trouble {
            return (Safe::composed(&format!("not compared with the table: {trouble}")), Role::Error);
        }
        let count = |is_such: fn(&Fate) -> bool| self.fates.values().filter(|fate| is_such(fate)).count();
        let gone = count(|fate| matches!(fate, Fate::Gone));
        let other = count(|fate| matches!(fate, Fate::OtherHash(_)));
        let mut parts = Vec::new();
        if gone > 0 {
            parts.push(format!("✗ {gone} no longer in the table, or hidden from this role"));
        }
        if other > 0 {
            parts.push(format!("✗ {other} with another hash than when something was said about it"));
        }
        let role = if parts.is_empty() { Role::Muted } else { Role::Broken };
        let is_known = |entry: &&Entry| self.fates.contains_key(&entry.event.event_id);
        match self.entries.len() - self.entries.iter().filter(is_known).count() {
            _ if self.compares => parts.push("comparing with the table…".to_owned()),
            0 if parts.is_empty() && !self.entries.is_empty() => {
                parts.push("all are in the table, unchanged hashes".to_owned());
            }
            0 => {}
            // Since they were compared, or without a connection.
            unknown => parts.push(format!("{} not compared with the table", grouped(unknown as u64))),
        }
        if self.others > 0 {
            parts.push(format!("{} of other trails are not listed", grouped(self.others as u64)));
        }
        (Safe::composed(&parts.join(" · ")), role)
    }

    /// Draws the list, and what was said of the event under the cursor.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>, empty: &Safe) {
        let (text, role) = self.heading();
        if self.entries.is_empty() {
            let y = painter.put_wrapped(1, 1, empty, Role::Muted);
            painter.put_wrapped(1, y, &text, role);
            return;
        }
        painter.put(1, 0, &text.cut_end(painter.width().saturating_sub(2)), role);
        let height = self.body_height();
        for (y, (index, entry)) in self.entries.iter().enumerate().skip(self.top).take(height).enumerate() {
            self.paint_entry(painter, 1 + y, entry);
            if index == self.cursor {
                painter.mark_line(1 + y, Role::Selected);
            }
        }
        if let Some(entry) = self.current() {
            self.paint_about(painter, 1 + height, entry);
        }
    }

    /// `2026-01-15 09:58:01Z ★✎  role.updated  role_binding/rb-7   first use of the key`
    fn paint_entry(&self, painter: &mut Painter<'_>, y: usize, entry: &Entry) {
        let width = painter.width().saturating_sub(1);
        let event = &entry.event;
        painter.put(1, y, &Safe::from_untrusted(&self.zone.second(event.timestamp)), Role::Text);
        let x = 2 + self.zone.second_width();
        painter.put(x, y, &Safe::composed(&entry.signs()), Role::Notice);
        let x = x + 4;
        let lost = match self.fates.get(&event.event_id) {
            Some(Fate::Gone) => "✗ gone",
            Some(Fate::OtherHash(_)) => "✗ other hash",
            _ => "",
        };
        let end = if lost.is_empty() {
            width
        } else {
            painter.put_right(width, y, &Safe::literal(lost), Role::Broken)
        };
        let room = end.saturating_sub(x);
        let kind = Safe::from_untrusted(&event.event_type).cut_middle(room * 2 / 7);
        let resource = Safe::from_untrusted(&event.resource).cut_middle(room * 2 / 7);
        painter.put(x, y, &kind, Role::Text);
        let x = x + room * 2 / 7 + 1;
        painter.put(x, y, &resource, Role::Label);
        let x = x + room * 2 / 7 + 1;
        // What others have concluded first, then why.
        let verdicts = entry.verdicts.iter().map(|verdict| verdict.verdict.to_string());
        let tags = entry.tags.iter().map(|tag| format!("#{}", tag.tag));
        let note = entry.notes.last().map(|note| note.text.clone());
        let said: Vec<String> = verdicts.chain(tags).chain(note).collect();
        painter.put(
            x,
            y,
            &Safe::from_untrusted(&said.join(" ")).cut_end(end.saturating_sub(x + 1)),
            Role::Muted,
        );
    }

    fn paint_about(&self, painter: &mut Painter<'_>, y: usize, entry: &Entry) {
        painter.rule(0, y, "─", Role::Rule);
        let width = painter.width().saturating_sub(2).max(8);
        let event = &entry.event;
        let head = format!("{} · {} · {}", event.event_id, event.actor, event.action);
        let mut lines = vec![(Safe::from_untrusted(&head).cut_middle(width), Role::Title)];
        let gone = self.fates.get(&event.event_id).and_then(Fate::words);
        if let Some(words) = gone {
            let text = format!("✗ {words}; its hash was {}", event.hash);
            lines.push((Safe::from_untrusted(&text).cut_end(width), Role::Broken));
        }
        for (text, role) in said(entry, self.zone) {
            lines.extend(text.wrapped_words(width, 2).into_iter().map(|line| (line, role)));
        }
        let room = painter.height().saturating_sub(y + 1);
        let more = lines.len() > room;
        let shown = if more { room.saturating_sub(1) } else { room };
        for (n, (line, role)) in lines.iter().take(shown).enumerate() {
            painter.put(1, y + 1 + n, line, *role);
        }
        if more {
            let text = format!("… {} lines more: the Event pane has all", lines.len() - shown);
            painter.put(1, y + 1 + shown, &Safe::from_untrusted(&text), Role::Muted);
        }
    }
}

/// What was said of an event, a line each: who bookmarked it, verdicts, tags, notes.
pub(crate) fn said(entry: &Entry, zone: Zone) -> Vec<(Safe, Role)> {
    let stamp = |stamp: &crate::case::notebook::Stamp| format!("{} {}", stamp.by, zone.minute(stamp.at));
    let mut lines = Vec::new();
    let mut add = |text: String, role| lines.push((Safe::from_untrusted(&text), role));
    for bookmark in &entry.bookmarks {
        add(format!("★ {}", stamp(bookmark)), Role::Notice);
    }
    for verdict in &entry.verdicts {
        add(format!("{} · {}", verdict.verdict, stamp(&verdict.stamp)), Role::Notice);
    }
    if !entry.tags.is_empty() {
        let tags: Vec<String> = entry.tags.iter().map(|tag| format!("#{}", tag.tag)).collect();
        add(tags.join(" "), Role::Notice);
    }
    for note in &entry.notes {
        let edited = if note.is_edited { " (edited)" } else { "" };
        let text = note.text.split_whitespace().collect::<Vec<_>>().join(" ");
        add(format!("✎ {text} · {}{edited}", stamp(&note.stamp)), Role::Text);
    }
    lines
}
