//! What keys do, in each context.

use crate::console::app::dispatch;
use crate::console::app::message::{Effect, Effects};
use crate::console::app::model::{Connection, Model, NOTICE, Page};
use crate::console::app::navigation::{close_tab, navigate, open, open_tab, remember, revisit, step_tab};
use crate::console::app::start_task::{begin, stop};
use crate::console::app::tasks_page;
use crate::console::connection::task as connection_task;
use crate::console::connection::update::{interrupt, reconnect};
use crate::console::core::keymap::{Action, Context, Section};
use crate::console::core::layout::Focus;
use crate::console::core::tasks::Slot;
use crate::console::core::view_stack::History;
use crate::console::dialogs::Overlay;
use crate::console::dialogs::copy_menu::CopyMenu;
use crate::console::dialogs::help::{Group, Help};
use crate::console::dialogs::organizations::OrganizationChooser;
use crate::console::dialogs::palette::Palette;
use crate::console::dialogs::questions::Leaving;
use crate::console::event::tree_update;
use crate::console::filter_bar::update::in_filter;
use crate::console::timeline::cost::LONG;
use crate::console::widgets::time_zone::Zone;
use crate::domain::{Safe, grouped};
use crossterm::event::KeyEvent;

/// A key was pressed.
pub(in crate::console) fn press(model: &mut Model, key: KeyEvent, effects: &mut Effects) {
    let context = model.context();
    match model.setup.keymap.action(context, key) {
        // Over a list or a text, where nothing moves sideways, an arrow closes nothing either.
        Some(Action::ColumnsLeft | Action::ColumnsRight)
            if model.overlay.is_some() || model.page.is_some() => {}
        Some(action) => {
            // What failed is tried again when the user goes on.
            model.marks.trouble = None;
            act(model, action, effects);
        }
        None if context == Context::Editor => {
            match model.overlay.as_mut().and_then(|overlay| overlay.editor_mut()) {
                Some(editor) => {
                    if editor.input(key) {
                        tree_update::typed(model, effects);
                    }
                }
                None => model.filter.input(key),
            }
        }
        // A key without a meaning ends a question.
        None if matches!(context, Context::Copy | Context::Scope | Context::Levels) => model.overlay = None,
        None => {}
    }
}

/// Does what a key, or the palette, asks for.
pub(in crate::console) fn act(model: &mut Model, action: Action, effects: &mut Effects) {
    match action {
        Action::Interrupt => return interrupt(model, effects),
        Action::Suspend => return effects.push(Effect::Suspend),
        Action::Redraw => return effects.push(Effect::Redraw),
        _ => {}
    }
    match model.overlay.take() {
        Some(overlay) => in_dialog(model, overlay, action, effects),
        None if model.filter.is_editing() => in_filter(model, action, effects),
        None if tasks_page::act(model, action, effects) => {}
        None if dispatch::in_page(model, action, effects) => {}
        None if dispatch::act(model, action, effects) => {}
        None => in_panes(model, action, effects),
    }
}

/// A key in a dialog: of a feature, or of none.
fn in_dialog(model: &mut Model, overlay: Overlay, action: Action, effects: &mut Effects) {
    dispatch::answer(model, overlay, action, effects)
        .and_then(|overlay| overlay.when(|Leaving| leave_or_stay(model, action, effects)))
        .and_then(|overlay| overlay.when(|palette| in_palette(model, palette, action, effects)))
        .and_then(|overlay| overlay.when(|help| in_help(model, help, action)));
}

fn leave_or_stay(model: &mut Model, action: Action, effects: &mut Effects) {
    if action == Action::Yes {
        effects.push(Effect::Quit);
    } else if model.history.current().is_none() {
        model.show(OrganizationChooser);
    }
}

fn in_help(model: &mut Model, mut help: Help, action: Action) {
    let (width, height) = model.size;
    let size = (width, height.saturating_sub(model.areas().footer.height));
    if help.act(action, &model.setup.keymap, size) {
        model.show(help);
    }
}

fn in_palette(model: &mut Model, mut palette: Palette, action: Action, effects: &mut Effects) {
    match action {
        Action::Leave => return,
        Action::Submit => {
            if let Some(chosen) = palette.chosen() {
                return act(model, chosen, effects);
            }
        }
        Action::Clear => palette.prompt.editor.set(""),
        Action::HistoryBack => palette.step(-1),
        Action::HistoryForward => palette.step(1),
        _ => {}
    }
    model.show(palette);
}

/// What help begins with.
fn help_groups(model: &Model) -> &'static [Group] {
    match (&model.page, model.focus) {
        (Some(Page::Tasks(_)), _) => &[Group::Keys(Section::Tasks), Group::Prove, Group::Legend],
        (Some(Page::Tree(_)), _) => &[Group::Keys(Section::Tree), Group::Legend, Group::Copy],
        (Some(Page::Case(_)), _) => &[Group::Case, Group::Legend],
        (Some(Page::Findings(_) | Page::Ghosts), _) | (None, Focus::Integrity) => {
            &[Group::Prove, Group::Legend]
        }
        (None, Focus::Timeline) => &[Group::Find, Group::Legend],
        (None, Focus::Change) if model.change.travels() => &[Group::History, Group::Legend, Group::Read],
        (None, Focus::Change) => &[Group::Read, Group::History, Group::Legend],
        (None, Focus::Event) => &[Group::Read, Group::Copy, Group::Legend],
    }
}

/// Keys of the panes that belong to no feature.
fn in_panes(model: &mut Model, action: Action, effects: &mut Effects) {
    match action {
        Action::Help => {
            model.show(Help::new(help_groups(model)));
        }
        Action::Palette => {
            let in_tree = matches!(model.page, Some(Page::Tree(_)));
            model.show(Palette::new(in_tree));
        }
        Action::Refresh => refresh(model, effects),
        Action::Back => revisit(model, History::back, effects),
        Action::Forward => revisit(model, History::forward, effects),
        Action::NewTab => open_tab(model, effects),
        Action::NextTab => step_tab(model, false, effects),
        Action::PreviousTab => step_tab(model, true, effects),
        Action::Timeline => model.focus_on(Focus::Timeline),
        Action::Change => model.focus_on(Focus::Change),
        Action::Integrity => model.focus_on(Focus::Integrity),
        Action::Event => model.focus_on(Focus::Event),
        // Where the focus has no other use for it.
        Action::Open if model.timeline.row().is_some() => model.focus_on(Focus::Event),
        Action::NextPane => model.focus_on(model.focus.next(1)),
        Action::PreviousPane => model.focus_on(model.focus.next(-1)),
        Action::Zoom => model.zoomed = !model.zoomed,
        Action::Zone => {
            model.zone = if model.zone == Zone::Utc { model.setup.local } else { Zone::Utc };
            model.timeline.window.set_zone(model.zone);
        }
        Action::Mask => model.masked = !model.masked,
        Action::Copy => model.show(CopyMenu),
        Action::Quit => {
            let reading = model.focus != Focus::Timeline && model.areas().timeline.is_none();
            if reading {
                model.focus = Focus::Timeline;
            } else if !navigate(model, History::pop, effects) && !close_tab(model, effects) {
                leave(model, effects);
            }
        }
        Action::Cancel => cancel(model, effects),
        _ => {}
    }
}

/// Leaves the console; asks before where something would be lost.
fn leave(model: &mut Model, effects: &mut Effects) {
    let runs =
        [Slot::Scan, Slot::Ghosts, Slot::Export].into_iter().any(|slot| model.slots.running(slot).is_some());
    if runs || !model.marks.picked().is_empty() {
        model.show(Leaving);
    } else {
        effects.push(Effect::Quit);
    }
}

/// Undoes the last thing on the screen: cancels what is running, else shows the event again in the place of a blame or
/// a state, else ends a zoom, else goes back one level.
fn cancel(model: &mut Model, effects: &mut Effects) {
    // A walk past events that do not match may go on for long; other pages are there before they are missed.
    let walk = model.timeline.walk(model.zone).map(|_| Slot::Older);
    let slots: Vec<Slot> =
        [Slot::View, Slot::Scan, Slot::Find, Slot::Export].into_iter().chain(walk).collect();
    if stop(model, &slots, effects) {
        // Counting alone is no reason to stay, but who stops a search wants the server to rest.
        stop(model, &[Slot::Count], effects);
        return;
    }
    if matches!(model.focus, Focus::Timeline | Focus::Change) && model.change.show_event() {
        return;
    }
    let zoomed = model.areas();
    model.zoomed = false;
    if model.areas() != zoomed {
        return;
    }
    if model.focus == Focus::Timeline {
        navigate(model, History::back, effects);
    } else {
        model.focus = Focus::Timeline;
    }
}

/// Whether a refresh is put off, since it would begin a long search anew. Says what it costs, and what does it nevertheless.
fn refuses_for_cost(model: &mut Model) -> bool {
    let clock = model.at.clock;
    let keymap = &model.setup.keymap;
    if model.slots.running(Slot::View).is_some_and(|since| clock >= since + LONG) {
        let key = keymap.key(Action::Cancel);
        model.notify(Safe::composed(&format!("the view is still being loaded · {key} cancels")));
        return true;
    }
    let again = keymap.key(Action::Refresh);
    // Where a search has failed there is nothing to lose.
    if model.timeline.trouble.is_some() {
        return false;
    }
    let Some(cost) = model.timeline.spent.again(clock, clock + NOTICE) else { return false };
    let seconds = grouped(cost.as_secs());
    model.notify(Safe::composed(&format!(
        "not refreshed: the search took {seconds} s and would begin anew · {again} again does it"
    )));
    true
}

fn refresh(model: &mut Model, effects: &mut Effects) {
    match model.connection {
        Connection::Up => {
            if model.history.current().is_none() {
                return begin(model, connection_task::Task::Organizations(), effects);
            }
            if refuses_for_cost(model) {
                return;
            }
            remember(model);
            model.timeline.recount = true;
            model.trails.compare_again();
            if let Some(place) = model.history.current_mut() {
                // New bounds: the trail may have grown.
                place.range = None;
            }
            model.change.forget_versions();
            model.trails.trouble = None;
            open(model, effects);
            dispatch::retry(model, effects);
        }
        Connection::Lost { .. } if model.slots.running(Slot::Connection).is_none() => {
            reconnect(model, effects);
        }
        _ => {}
    }
}
