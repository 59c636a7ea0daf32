//! What keys do, in each context.

use super::browsing;
use super::changing::{compare, copy, fetch_whole, in_time, look, mark, version};
use super::filtering::{find, forget_saved, in_choices, in_filter, in_naming, in_saved, in_search, offer};
use super::history::{History, Place};
use super::hunting;
use super::keymap::{Action, Context};
use super::layout::{Focus, below_title};
use super::model::{Connection, Model, Overlay, Page, TWICE};
use super::msg::{Effect, Effects, Land, Work};
use super::panes::change::{Lens, Way};
use super::panes::choices::Purpose;
use super::panes::palette::Palette;
use super::panes::sheet::{Sheet, Subject};
use super::panes::timeline::Step;
use super::panes::{help, integrity};
use super::slots::Slot;
use super::surroundings;
use super::update::{begin, enter_first, go_to_version, open, open_at, remember, retry, travel, visit};
use super::verifying::{
    ask_to_accept, in_accept, pause_trail, step_finding, throttle_trail, verify_screen, verify_trail,
};
use super::zone::Zone;
use crate::domain::{OrgId, Safe};
use crate::filter::Filter;
use crate::store::cache::Freshness;
use crate::store::history::Resource;
use crossterm::event::{KeyCode, KeyEvent};

/// A key was pressed.
pub(super) fn press(model: &mut Model, key: KeyEvent, effects: &mut Effects) {
    let context = model.context();
    match model.setup.keymap.action(context, key) {
        Some(action) => {
            // What failed is tried again when the user goes on.
            model.marks.trouble = None;
            act(model, action, effects);
        }
        None if context == Context::Editor => match &mut model.overlay {
            Some(Overlay::Palette(palette)) => {
                palette.editor.input(key);
            }
            Some(Overlay::Accept(asked)) => {
                asked.editor.input(key);
            }
            Some(Overlay::Search(line)) => {
                line.editor.input(key);
            }
            Some(Overlay::Naming(asked)) => {
                asked.editor.input(key);
            }
            Some(Overlay::Time(line)) => {
                line.editor.input(key);
            }
            Some(Overlay::Seek(line)) => {
                if line.editor.input(key) {
                    browsing::typed(model, effects);
                }
            }
            _ => model.filter.input(key),
        },
        // Whatever cannot be copied ends the question.
        None if context == Context::Copy => model.overlay = None,
        None if matches!(model.overlay, Some(Overlay::Saved(_))) => {
            if matches!(key.code, KeyCode::Char('x') | KeyCode::Delete) {
                forget_saved(model, effects);
            }
        }
        None => {
            let KeyCode::Char(letter) = key.code else { return };
            if let Some(Overlay::Choices(choices)) = &mut model.overlay
                && choices.pick(letter)
            {
                return act(model, Action::Open, effects);
            }
            match model.overlay {
                Some(Overlay::Ghosts) => hunting::chosen(model, letter, effects),
                Some(Overlay::Levels) => browsing::levels(model, letter),
                _ => {}
            }
        }
    }
}

/// Does what a key, or the palette, asks for.
fn act(model: &mut Model, action: Action, effects: &mut Effects) {
    match action {
        Action::Interrupt => return interrupt(model, effects),
        Action::Suspend => return effects.push(Effect::Suspend),
        Action::Redraw => return effects.push(Effect::Redraw),
        _ => {}
    }
    match model.overlay.take() {
        Some(Overlay::Quit) => {
            if action == Action::Yes {
                effects.push(Effect::Quit);
            } else if model.history.current().is_none() {
                model.overlay = Some(Overlay::Organizations);
            }
        }
        Some(Overlay::Palette(palette)) => in_palette(model, palette, action, effects),
        Some(Overlay::Copy) => copy(model, action, effects),
        Some(Overlay::Accept(asked)) => in_accept(model, asked, action, effects),
        Some(Overlay::Organizations) => in_chooser(model, action, effects),
        Some(Overlay::Search(line)) => in_search(model, line, action, effects),
        Some(Overlay::Time(line)) => in_time(model, line, action, effects),
        Some(Overlay::Seek(line)) => browsing::in_seek(model, line, action, effects),
        // Whatever is no digit, or no letter, ends the question.
        Some(Overlay::Levels | Overlay::Ghosts) => {}
        Some(Overlay::Choices(choices)) => in_choices(model, choices, action, effects),
        Some(Overlay::Naming(asked)) => in_naming(model, asked, action, effects),
        Some(Overlay::Saved(chooser)) => in_saved(model, chooser, action),
        Some(Overlay::Help(top)) => in_help(model, top, action),
        Some(Overlay::Sheet(sheet)) => in_sheet(model, sheet, action, effects),
        None if model.filter.is_editing() => in_filter(model, action, effects),
        None if browsing::in_tree(model, action, effects) => {}
        None if hunting::in_list(model, action, effects) => {}
        None => in_panes(model, action, effects),
    }
}

fn in_palette(model: &mut Model, mut palette: Box<Palette>, action: Action, effects: &mut Effects) {
    match action {
        Action::Leave => return,
        Action::Submit => {
            if let Some(chosen) = palette.chosen() {
                return act(model, chosen, effects);
            }
        }
        Action::Clear => palette.editor.set(""),
        Action::HistoryBack => palette.step(-1),
        Action::HistoryForward => palette.step(1),
        _ => {}
    }
    model.overlay = Some(Overlay::Palette(palette));
}

fn in_chooser(model: &mut Model, action: Action, effects: &mut Effects) {
    let by = match action {
        Action::Open => {
            if let Some(id) = model.organizations.selected().cloned() {
                return choose(model, id, effects);
            }
            0
        }
        Action::Cancel => {
            // Without an organisation there is nothing behind the chooser.
            if model.history.current().is_none() {
                model.overlay = Some(Overlay::Quit);
            }
            return;
        }
        other => lines_of(other, 10).unwrap_or(0),
    };
    model.organizations.step(by);
    model.overlay = Some(Overlay::Organizations);
}

fn choose(model: &mut Model, id: OrgId, effects: &mut Effects) {
    match model.history.current() {
        None => enter_first(model, id, effects),
        Some(place) if place.organization == id => {}
        // A filter names actors and objects of one organisation: another one is entered without it.
        Some(_) => visit(model, Place::new(id, String::new(), Filter::default()), effects),
    }
}

fn in_help(model: &mut Model, top: usize, action: Action) {
    let lines = usize::from(model.size.1.saturating_sub(4)).max(1);
    let last = help::height(&model.setup.keymap).saturating_sub(lines);
    // The last line of a page that is not the last says that there is more.
    if let Some(by) = lines_of(action, lines.saturating_sub(1).max(1)) {
        model.overlay = Some(Overlay::Help(top.saturating_add_signed(by).min(last)));
    }
    // Any other key closes help.
}

/// Shows a sheet about the view, its lines being worked out.
fn open_sheet(model: &mut Model, subject: Subject, wanted: Freshness, effects: &mut Effects) {
    let Some(query) = model.timeline.query.clone() else { return };
    if model.connection == Connection::Up {
        model.overlay = Some(Overlay::Sheet(Box::new(Sheet::new(subject))));
        let width = usize::from(model.size.0).saturating_sub(8);
        begin(model, Slot::Sheet, Work::Sheet(query, subject, width, wanted), effects);
    }
}

fn in_sheet(model: &mut Model, mut sheet: Box<Sheet>, action: Action, effects: &mut Effects) {
    let height = usize::from(model.size.1.saturating_sub(5)).max(1);
    if let Some(by) = lines_of(action, height) {
        sheet.scroll(by, height);
        model.overlay = Some(Overlay::Sheet(sheet));
        return;
    }
    // Any other key closes it; R opens it again.
    if model.slots.abandon(Slot::Sheet) {
        effects.push(Effect::Cancel(Slot::Sheet));
    }
    if action == Action::Refresh {
        open_sheet(model, sheet.subject, Freshness::Now, effects);
    }
}

fn in_panes(model: &mut Model, action: Action, effects: &mut Effects) {
    match action {
        Action::Help => model.overlay = Some(Overlay::Help(0)),
        Action::Palette => {
            let in_tree = matches!(model.page, Some(Page::Tree(_)));
            model.overlay = Some(Overlay::Palette(Box::new(Palette::new(in_tree))));
        }
        Action::Filter => {
            if let Some(place) = model.history.current() {
                model.filter.edit(&place.text);
            }
        }
        Action::Search => model.overlay = Some(Overlay::Search(Box::default())),
        Action::NextHit => find(model, false, effects),
        Action::PreviousHit => find(model, true, effects),
        Action::Include => offer(model, Purpose::Include),
        Action::Exclude => offer(model, Purpose::Exclude),
        Action::Surroundings => surroundings::show(model, effects),
        Action::Pivot => offer(model, Purpose::Pivot),
        Action::Organization => {
            if let Some(place) = model.history.current() {
                model.organizations.select(&place.organization);
            }
            model.overlay = Some(Overlay::Organizations);
            if model.connection == Connection::Up {
                begin(model, Slot::Organizations, Work::Organizations, effects);
            }
        }
        Action::Refresh => refresh(model, effects),
        Action::Back => {
            travel(model, History::back, effects);
        }
        Action::Forward => {
            travel(model, History::forward, effects);
        }
        Action::Timeline => model.focus_on(Focus::Timeline),
        Action::Change => model.focus_on(Focus::Change),
        Action::Integrity => model.focus_on(Focus::Integrity),
        Action::Event => model.focus_on(Focus::Event),
        Action::Plan => open_sheet(model, Subject::Plan, Freshness::Recent, effects),
        Action::Histogram => open_sheet(model, Subject::Histogram, Freshness::Recent, effects),
        Action::Summary => open_sheet(model, Subject::Summary, Freshness::Recent, effects),
        Action::NextPane => model.focus_on(model.focus.next(1)),
        Action::PreviousPane => model.focus_on(model.focus.next(-1)),
        Action::Zoom => model.zoomed = !model.zoomed,
        Action::Zone => {
            model.zone = if model.zone == Zone::Utc { model.setup.local } else { Zone::Utc };
            model.timeline.window.set_zone(model.zone);
        }
        Action::NextEvent => {
            model.timeline.step(Step::Older);
        }
        Action::PreviousEvent => {
            model.timeline.step(Step::Newer);
        }
        Action::Quit => {
            let reading = model.focus != Focus::Timeline && model.areas().timeline.is_none();
            if reading {
                model.focus = Focus::Timeline;
            } else if !travel(model, History::pop, effects) {
                model.overlay = Some(Overlay::Quit);
            }
        }
        Action::Cancel => {
            // A walk past events that do not match may go on for long; other pages are there before they are missed.
            let walk = model.timeline.walk().map(|_| Slot::Older);
            let slots: Vec<Slot> = [Slot::View, Slot::Scan, Slot::Find].into_iter().chain(walk).collect();
            if stop(model, &slots, effects) {
                // Counting alone is no reason to stay, but who stops a search wants the server to rest.
                stop(model, &[Slot::Count], effects);
            } else if model.focus == Focus::Timeline {
                travel(model, History::back, effects);
            } else {
                model.focus = Focus::Timeline;
            }
        }
        Action::Layout => {
            if model.areas().change.is_some() {
                model.change.cycle();
            } else {
                model.focus_on(Focus::Change);
            }
        }
        Action::Verify => verify_screen(model, effects),
        Action::VerifyAll => verify_trail(model, effects),
        Action::Pause => pause_trail(model, effects),
        Action::Throttle => throttle_trail(model, effects),
        Action::Accept => ask_to_accept(model),
        Action::NextFinding => step_finding(model, false, effects),
        Action::PreviousFinding => step_finding(model, true, effects),
        Action::Tree => browsing::open_tree(model, effects),
        Action::Ghosts => hunting::open(model),
        Action::Copy => model.overlay = Some(Overlay::Copy),
        Action::Mark => mark(model),
        Action::Blame => look(model, Lens::Blame),
        Action::State => look(model, Lens::State),
        Action::PreviousVersion => version(model, Way::Older, effects),
        Action::NextVersion => version(model, Way::Newer, effects),
        Action::FirstVersion => version(model, Way::First, effects),
        Action::LastVersion => version(model, Way::Last, effects),
        Action::Time => model.overlay = Some(Overlay::Time(Box::default())),
        Action::Compare => compare(model, effects),
        Action::Open if model.focus == Focus::Change => {
            let resource = model.timeline.row().map(|r| Resource::of(&r.event));
            if let (Some(resource), Some(key)) = (resource, model.change.event_at_cursor().cloned()) {
                go_to_version(model, &resource, key, effects);
            } else if model.change.is_in_part() {
                fetch_whole(model, effects);
            } else {
                model.change.toggle_fold();
            }
        }
        Action::Open if model.focus == Focus::Event => browsing::open_tree(model, effects),
        Action::Open => {
            if model.timeline.row().is_some() {
                model.focus_on(Focus::Event);
            }
        }
        other => move_focused(model, other, effects),
    }
}

fn move_focused(model: &mut Model, action: Action, effects: &mut Effects) {
    match model.focus {
        Focus::Timeline => {}
        Focus::Event => {
            if let Some(by) = lines_of(action, model.event.height()) {
                model.event.scroll(by);
            }
            return;
        }
        Focus::Change => {
            if let Some(by) = lines_of(action, model.change.body_height()) {
                model.change.scroll(by);
            }
            return;
        }
        Focus::Integrity => {
            if let Some(area) = model.areas().integrity.map(below_title) {
                let (width, height) = (usize::from(area.width), usize::from(area.height));
                if let Some(by) = lines_of(action, height) {
                    let lines = integrity::height(model, width);
                    model.integrity.scroll(by, height, lines);
                }
            }
            return;
        }
    }
    let step = match action {
        Action::Down => Step::Older,
        Action::Up => Step::Newer,
        Action::PageDown => Step::PageOlder,
        Action::PageUp => Step::PageNewer,
        Action::HalfDown => Step::HalfOlder,
        Action::HalfUp => Step::HalfNewer,
        Action::First | Action::Last => {
            let oldest = action == Action::Last;
            if !model.timeline.jump(oldest) && model.connection == Connection::Up {
                if let Some(place) = model.history.current_mut() {
                    place.selected = None;
                }
                open_at(model, if oldest { Land::Oldest } else { Land::Newest }, effects);
            }
            return;
        }
        _ => return,
    };
    model.timeline.step(step);
}

/// Lines that a movement scrolls; `None` for other actions.
pub(super) fn lines_of(action: Action, height: usize) -> Option<isize> {
    let page = height.max(1) as isize;
    Some(match action {
        Action::Down => 1,
        Action::Up => -1,
        Action::PageDown => page,
        Action::PageUp => -page,
        Action::HalfDown => (page / 2).max(1),
        Action::HalfUp => -(page / 2).max(1),
        Action::First => isize::MIN,
        Action::Last => isize::MAX,
        _ => return None,
    })
}

fn refresh(model: &mut Model, effects: &mut Effects) {
    match model.connection {
        Connection::Up => {
            if model.history.current().is_none() {
                return begin(model, Slot::Organizations, Work::Organizations, effects);
            }
            remember(model);
            model.timeline.recount = true;
            model.marks.retry();
            if let Some(place) = model.history.current_mut() {
                // New bounds: the trail may have grown.
                place.range = None;
            }
            model.change.forget_versions();
            open(model, effects);
            model.event.hurry(model.at.clock);
        }
        Connection::Lost { .. } if model.slots.running(Slot::Connection).is_none() => retry(model, effects),
        _ => {}
    }
}

/// Stops what is running in some slots. Whether there was anything.
pub(super) fn stop(model: &Model, slots: &[Slot], effects: &mut Effects) -> bool {
    let before = effects.len();
    let running = slots.iter().filter(|s| s.activity().is_some() && model.slots.running(**s).is_some());
    effects.extend(running.map(|s| Effect::Cancel(*s)));
    effects.len() > before
}

/// The first time: stop what is running. The second time, soon after: leave.
pub(super) fn interrupt(model: &mut Model, effects: &mut Effects) {
    if model.leave_until.is_some_and(|until| model.at.clock < until) {
        return effects.push(Effect::Quit);
    }
    model.leave_until = Some(model.at.clock + TWICE);
    let text = if stop(model, &Slot::ALL, effects) {
        "stopping · Ctrl-c again leaves"
    } else {
        "Ctrl-c again leaves"
    };
    model.notify(Safe::literal(text));
}
