//! The whole screen, drawn from the model. Nothing is changed here, and no clock is read.

use crate::console::app::model::{Connection, Model, Page};
use crate::console::app::{footer, header, tasks_page};
use crate::console::core::keymap::Action;
use crate::console::core::layout::{Areas, Focus, below_title, centered};
use crate::console::core::tasks::Slot;
use crate::console::dialogs::{Dialog, Frame, Stage, copy_text};
use crate::console::filter_bar::pane::Shown;
use crate::console::integrity;
use crate::console::timeline::column_choice::ColumnDialog;
use crate::console::timeline::letters::Letters;
use crate::console::timeline::view::Look;
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::console::widgets::time_zone::relative;
use crate::domain::{Safe, TimeRange, Timestamp};
use crate::filter::{Noted, Question};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

/// Draws the screen. Returns where the cursor is, if it is to be seen.
pub(crate) fn render(model: &Model, buffer: &mut Buffer) -> Option<Position> {
    let screen = buffer.area;
    let areas = model.areas();
    let mut painter = Painter::new(buffer, &model.setup.theme, screen).under_mask(model.masked);
    header::paint(&mut painter.on(areas.header), model);
    let typing = filter(&mut painter.on(areas.filter), model);
    if model.page.is_some() {
        page(&mut painter, areas.body(), model);
    } else {
        panes(&mut painter, &areas, model);
    }
    status(&mut painter.on(areas.status), model);
    footer::paint(&mut painter.on(areas.footer), model);
    if areas.status.height == 0 {
        message(&mut painter.on(areas.footer), model);
    }
    let cursor = match &model.overlay {
        None => typing.and_then(|at| place(areas.filter, at)),
        Some(overlay) => over(&mut painter, &areas, &**overlay, model),
    };
    if !model.banner.is_empty() {
        banner(&mut painter, &areas, model);
    }
    cursor.filter(|p| screen.contains(*p))
}

/// What has to be read before anything of the table is.
fn banner(painter: &mut Painter<'_>, areas: &Areas, model: &Model) {
    let (width, height) = model.size;
    let area = centered(width, height.saturating_sub(areas.footer.height), 96, height.saturating_sub(4));
    painter.on(area).clear();
    let inner = frame(&mut painter.on(area), area, " Before anything is read ");
    let mut painter = painter.on(inner);
    let y = model.banner.iter().fold(0, |y, text| painter.put_wrapped(1, y, text, Role::Error) + 1);
    let interrupt = model.setup.keymap.key(Action::Interrupt);
    let text = format!("Any key continues and reads; {interrupt} twice leaves.");
    painter.put_wrapped(1, y, &Safe::composed(&text), Role::Text);
}

/// All panes that have room, side by side.
fn panes(painter: &mut Painter<'_>, areas: &Areas, model: &Model) {
    if let Some(area) = areas.strip {
        let selected = model.timeline.key().map(|key| key.timestamp);
        model.timeline.strip.paint(&mut painter.on(area), selected, model.zone);
    }
    if let Some(area) = areas.timeline {
        timeline(painter, area, model);
    }
    if let Some(area) = areas.change {
        change(painter, area, model);
    }
    if let Some(area) = areas.integrity {
        integrity(painter, area, model);
    }
    if let Some(area) = areas.event {
        event(painter, area, model);
    }
    let needles = model.needles();
    if !needles.words().is_empty() {
        for area in [areas.timeline, areas.change, areas.event].into_iter().flatten() {
            painter.on(below_title(area)).mark_hits(needles.words());
        }
    }
    if let Some(area) = areas.divider {
        painter.on(area).wall(0, "│", Role::Rule);
    }
}

/// What has the place of all panes.
fn page(painter: &mut Painter<'_>, area: Rect, model: &Model) {
    match &model.page {
        Some(Page::Tree(tree)) => {
            title(painter, area, " Tree ", &tree.note(), true);
            tree.paint(&mut painter.on(below_title(area)));
        }
        Some(Page::Case(list)) => {
            title(painter, area, " Case ", &list.note(), true);
            let key = |action| model.setup.keymap.key(action);
            let (bookmark, note, tag) = (key(Action::Bookmark), key(Action::Note), key(Action::Tag));
            let empty = format!(
                "Nothing was said about events of this trail yet: {bookmark} bookmarks the selected event, {note} writes \
                 a note on it, {tag} tags it."
            );
            list.paint(&mut painter.on(below_title(area)), &Safe::composed(&empty));
        }
        Some(Page::Findings(list)) => {
            title(painter, area, " Findings ", &list.note(), true);
            list.paint(&mut painter.on(below_title(area)));
        }
        Some(Page::Tasks(tasks)) => {
            title(painter, area, " Tasks ", &Safe::literal(""), true);
            tasks_page::paint(tasks, &mut painter.on(below_title(area)), model);
        }
        Some(Page::Ghosts) => {
            if let Some(list) = &model.ghosts {
                title(painter, area, " Ghost changes ", &list.note(), true);
                list.paint(&mut painter.on(below_title(area)));
            }
        }
        None => {}
    }
}

fn place(area: Rect, (x, y): (usize, usize)) -> Option<Position> {
    let x = area.x.checked_add(u16::try_from(x).ok()?)?;
    let y = area.y.checked_add(u16::try_from(y).ok()?)?;
    Some(Position { x, y }).filter(|p| area.contains(*p))
}

fn filter(painter: &mut Painter<'_>, model: &Model) -> Option<(usize, usize)> {
    let current = model.history.current();
    let shown = Shown {
        text: current.map_or(model.wanted.1.as_str(), |p| &p.text),
        range: current.and_then(|p| p.range),
        default_window: current.is_some_and(|p| !p.filter.has_window()).then_some(model.setup.window),
        window: model.setup.window,
        newest: model.timeline.newest,
        command: copy_text::listing_shown(model),
        zone: model.zone,
    };
    model.filter.paint(painter, &shown)
}

/// The title line of a pane: reversed and drawn thick where the keys go.
fn title(painter: &mut Painter<'_>, area: Rect, name: &'static str, note: &Safe, focused: bool) {
    if area.height < 2 {
        return;
    }
    let mut painter = painter.on(Rect { height: 1, ..area });
    let (stroke, role) = if focused { ("━", Role::TitleFocused) } else { ("─", Role::Title) };
    painter.rule(0, 0, stroke, Role::Rule);
    let x = painter.say(1, 0, name, role);
    if !note.as_str().is_empty() {
        let note = note.cut_end(painter.width().saturating_sub(x + 3));
        painter.say(x, 0, " ", Role::Text);
        let x = painter.put(x + 1, 0, &note, Role::Muted);
        painter.say(x, 0, " ", Role::Text);
    }
}

fn timeline(painter: &mut Painter<'_>, area: Rect, model: &Model) {
    let focused = model.focus == Focus::Timeline;
    title(painter, area, " 1 Timeline ", &model.timeline.note(model.at.wall), focused);
    let mut painter = painter.on(below_title(area));
    if model.timeline.window.is_empty() {
        nothing(model).iter().fold(1, |y, (text, role)| painter.put_wrapped(2, y, text, *role));
        return;
    }
    let stale = model.slots.running(Slot::View).is_some() && !model.shows_current_place();
    let marked = model.history.current().and_then(|p| model.change.marked(&p.organization));
    let columns = model.dialog::<ColumnDialog>().map_or(&model.columns, |dialog| &dialog.choice);
    let case = model.organization().and_then(|organization| model.case.book(organization));
    // Of the rows that are shown, also while others are being loaded.
    let letters = model.timeline.query.as_ref().map(|query| Letters::of(&query.filter)).unwrap_or_default();
    let look = Look {
        marks: &model.marks,
        labels: &model.setup.labels,
        case,
        zone: model.zone,
        focused,
        stale,
        marked,
        letters: &letters,
        columns,
    };
    model.timeline.paint(&mut painter, &look);
    if let Some(trouble) = &model.timeline.trouble {
        let y = painter.height().saturating_sub(1);
        let width = painter.width();
        painter.on(Rect { y: area.y + area.height - 1, height: 1, ..area }).clear();
        painter.put(1, y, &trouble.cut_end(width.saturating_sub(2)), Role::Error);
    }
}

/// What stands in the place of rows: why there are none, and how to get some.
fn nothing(model: &Model) -> Vec<(Safe, Role)> {
    let line = |text: &str, role| (Safe::composed(text), role);
    let key = |action| model.setup.keymap.key(action);
    if let Connection::Lost { reason, .. } = &model.connection {
        return vec![(reason.clone(), Role::Error)];
    }
    if let Some(trouble) = &model.timeline.trouble {
        return vec![(trouble.clone(), Role::Error)];
    }
    let (Some(query), Some(place)) = (&model.timeline.query, model.history.current()) else {
        return match (&model.connection, model.history.current()) {
            (Connection::Connecting, _) => vec![line("connecting…", Role::Muted)],
            (_, Some(_)) => match model.reading() {
                Some(reading) => vec![
                    (reading, Role::Text),
                    line(&format!("{} cancels.", key(Action::Cancel)), Role::Muted),
                ],
                None => vec![line("loading…", Role::Muted)],
            },
            (_, None) => Vec::new(),
        };
    };
    if let Some(walk) = model.timeline.walk(model.zone) {
        let next = if model.timeline.paused {
            format!("Cancelled. {} continues.", key(Action::Down))
        } else {
            format!("{} cancels.", key(Action::Cancel))
        };
        let by_words = model.timeline.looked.as_ref().is_some_and(|looked| looked.by_words);
        let why =
            if by_words { "Nothing found yet." } else { "Nothing found yet: no index serves this filter." };
        return vec![line(why, Role::Notice), (walk, Role::Text), line(&next, Role::Muted)];
    }
    let minute = |t: Timestamp| model.zone.minute(t);
    if let Some(question) = query.filter.asks_in_vain() {
        return in_vain(model, question);
    }
    let Some(newest) = model.timeline.newest else {
        let name = Safe::from_untrusted(place.organization.as_str());
        return vec![
            line(&format!("The organisation {name} has no events."), Role::Notice),
            line(
                &format!("{} lists the organisations of this database.", key(Action::Organization)),
                Role::Muted,
            ),
        ];
    };
    let TimeRange { since, until } = place.range.unwrap_or_default();
    let mut lines = vec![match since {
        Some(since) => line(
            &format!(
                "No event from {} to {} matches.",
                minute(since),
                until.map_or("now".to_owned(), minute)
            ),
            Role::Notice,
        ),
        None => line("No event matches.", Role::Notice),
    }];
    if let Some(words) = place.filter.words().into_iter().find(|words| !words.prefix) {
        lines.push(line(
            &format!("Only whole words match: {} also matches longer ones.", words.longer()),
            Role::Text,
        ));
    }
    if let Some(older) = model.timeline.nearest_older {
        let day = older.to_utc().map_or_else(String::new, |t| t.format("%Y-%m-%d").to_string());
        lines.push(line(
            &format!("The nearest older event is of {} ({}).", minute(older), relative(older, model.at.wall)),
            Role::Text,
        ));
        lines.push(line(
            &format!("{} and since:{day} reaches it, all-time searches everything.", key(Action::Filter)),
            Role::Muted,
        ));
    } else if until.is_some_and(|until| newest >= until) {
        lines.push(line(
            &format!("The newest event, of {}, is after that: until: excludes it.", minute(newest)),
            Role::Text,
        ));
    } else {
        let (filter, back) = (key(Action::Filter), key(Action::Back));
        let text =
            format!("The organisation has no older event. {filter} edits the filter, {back} goes back.");
        lines.push(line(&text, Role::Muted));
    }
    lines
}

/// What stands in the place of rows where the case holds nothing that the filter asks for: the table was not searched.
fn in_vain(model: &Model, question: &Question) -> Vec<(Safe, Role)> {
    let action = match question {
        Question::Tag(_) => Action::Tag,
        Question::Is(any_of) if !any_of.contains(&Noted::Bookmarked) => Action::Note,
        _ => Action::Bookmark,
    };
    let key = |action| model.setup.keymap.key(action);
    let what = format!("The case '{}' has {} in this organisation.", model.setup.case, question.absence());
    let next = format!(
        "{}: {} · {} edits the filter, {} goes back",
        key(action),
        action.doc(),
        key(Action::Filter),
        key(Action::Back)
    );
    vec![(Safe::from_untrusted(&what), Role::Notice), (Safe::composed(&next), Role::Muted)]
}

fn change(painter: &mut Painter<'_>, area: Rect, model: &Model) {
    let focused = model.focus == Focus::Change;
    title(painter, area, " 3 Change ", &model.change.note(), focused);
    model.change.paint(&mut painter.on(below_title(area)), focused, model.zone);
}

fn integrity(painter: &mut Painter<'_>, area: Rect, model: &Model) {
    title(painter, area, " 4 Integrity ", &integrity::pane::note(model), model.focus == Focus::Integrity);
    integrity::pane::paint(&mut painter.on(below_title(area)), model);
}

fn event(painter: &mut Painter<'_>, area: Rect, model: &Model) {
    let focused = model.focus == Focus::Event;
    title(painter, area, " 5 Event ", &model.event.position(), focused);
    model.event.paint(&mut painter.on(below_title(area)));
}

/// What has to be said on a line: that the connection is lost, a remark, or what is going on.
fn saying(model: &Model, columns: usize) -> Option<(Safe, Role)> {
    if let Connection::Lost { reason, .. } = &model.connection {
        return Some((reason.cut_end(columns), Role::Error));
    }
    if let Some(notice) = &model.notice {
        return Some((notice.text.clone(), Role::Notice));
    }
    let (picture, text) = model.activity()?;
    let exporting = || {
        let progress = model.exporting.filter(|_| model.slots.running(Slot::Export).is_some())?;
        let key = model.setup.keymap.key(Action::Cancel);
        Some(Safe::composed(&format!("exporting: {} · {key} cancels", progress.words(model.zone))))
    };
    let text = model.reading().or_else(exporting).unwrap_or(Safe::literal(text));
    Some((Safe::concat(&[&Safe::literal(picture), &Safe::literal(" "), &text]), Role::Muted))
}

/// Where we came from, and what is going on.
fn status(painter: &mut Painter<'_>, model: &Model) {
    let right = painter.width().saturating_sub(1);
    let end = match saying(model, right.saturating_sub(20)) {
        Some((text, role)) => painter.put_right(right, 0, &text, role),
        None => right,
    };
    let mut x = 1;
    if model.tabs.count() > 1 {
        let tab = Safe::composed(&format!("[{}/{}] ", model.tabs.shown(), model.tabs.count()));
        x = painter.put(x, 0, &tab.cut_end(end.saturating_sub(2)), Role::Title);
    }
    painter.put(x, 0, &model.history.breadcrumbs(end.saturating_sub(x + 2)), Role::Muted);
}

/// The same in the place of the keys, where there is no line for it. What goes on is said over their end.
fn message(painter: &mut Painter<'_>, model: &Model) {
    let width = painter.width();
    let Some((text, role)) = saying(model, width.saturating_sub(2)) else { return };
    if role != Role::Muted {
        painter.clear();
    }
    let blank = Safe::literal(" ");
    let text = Safe::concat(&[&blank, &text.cut_end(width.saturating_sub(2)), &blank]);
    painter.put_right(width, 0, &text, role);
}

/// Draws a dialog; returns the place of the cursor.
fn over(painter: &mut Painter<'_>, areas: &Areas, overlay: &dyn Dialog, model: &Model) -> Option<Position> {
    let (width, height) = model.size;
    let stage = Stage {
        size: (width, height.saturating_sub(areas.footer.height)),
        keymap: &model.setup.keymap,
        zone: model.zone,
        now: model.at.wall,
        organizations: &model.organizations,
        labels: &model.setup.labels,
        listing: model.slots.running(Slot::Organizations).is_some(),
    };
    let Frame { title, columns, lines } = overlay.frame(&stage);
    let area = centered(stage.size.0, stage.size.1, columns, lines);
    painter.on(area).clear();
    let inner = frame(&mut painter.on(area), area, title);
    overlay.draw(&mut painter.on(inner), &stage).and_then(|at| place(inner, at))
}

/// A box with a name; returns its inside. On a screen too small for a box, the whole of it.
fn frame(painter: &mut Painter<'_>, area: Rect, name: &'static str) -> Rect {
    let (width, height) = (painter.width(), painter.height());
    if width < 4 || height < 3 {
        return area;
    }
    painter.rule(0, 0, "━", Role::Rule);
    painter.rule(0, height - 1, "━", Role::Rule);
    for y in 1..height - 1 {
        painter.say(0, y, "┃", Role::Rule);
        painter.say(width - 1, y, "┃", Role::Rule);
    }
    for (x, y, corner) in
        [(0, 0, "┏"), (width - 1, 0, "┓"), (0, height - 1, "┗"), (width - 1, height - 1, "┛")]
    {
        painter.say(x, y, corner, Role::Rule);
    }
    painter.say(2, 0, name, Role::TitleFocused);
    Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
