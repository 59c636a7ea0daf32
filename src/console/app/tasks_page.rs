//! The tasks in the place of all panes: what runs, since when, how far it has come; one can be cancelled.

use crate::console::app::message::Effects;
use crate::console::app::model::{Model, Page};
use crate::console::app::start_task::stop;
use crate::console::core::keymap::Action;
use crate::console::core::tasks::Slot;
use crate::console::ghosts::pane::GhostPane;
use crate::console::widgets::painter::Painter;
use crate::console::widgets::picker::Picker;
use crate::console::widgets::scrolling::lines_of;
use crate::console::widgets::theme::Role;
use crate::domain::{Safe, grouped};

/// Column at which the state of a task stands.
const STATE: usize = 34;

/// Draws the tasks.
pub(crate) fn paint(picker: &Picker, painter: &mut Painter<'_>, model: &Model) {
    let running: Vec<Slot> = running(model).collect();
    let key = |action| model.setup.keymap.key(action);
    if running.is_empty() {
        let again = format!(
            "Nothing runs. {} verifies the trail, {} searches unexplained changes.",
            key(Action::VerifyAll),
            key(Action::Ghosts)
        );
        painter.put_wrapped(1, 0, &Safe::composed(&again), Role::Muted);
        return;
    }
    painter.say(3, 0, "task", Role::Label);
    painter.say(STATE, 0, "for     progress", Role::Label);
    picker.paint(painter, 1, running.len(), |painter, y, index| {
        let Some(slot) = running.get(index) else { return };
        painter.say(3, y, slot.activity().unwrap_or_default(), Role::Text);
        let since = model.slots.running(*slot).unwrap_or(model.at.clock);
        let seconds = model.at.clock.saturating_sub(since).as_secs();
        painter.put(STATE, y, &Safe::from_untrusted(&elapsed(seconds)), Role::Muted);
        let room = painter.width().saturating_sub(STATE + 9);
        painter.put(STATE + 8, y, &state(model, *slot).cut_end(room), Role::Text);
    });
}

/// Work worth mentioning that runs.
fn running(model: &Model) -> impl Iterator<Item = Slot> {
    Slot::ALL.iter().copied().filter(|s| s.activity().is_some() && model.slots.running(*s).is_some())
}

/// `7 s`, `3 min`, `2 h`.
fn elapsed(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", grouped(seconds / 3_600)),
    }
}

/// How far a task has come, where it tells.
fn state(model: &Model, slot: Slot) -> Safe {
    let empty = || Safe::literal("");
    match slot {
        Slot::Scan => model.trails.scan.as_ref().map_or_else(empty, |scan| {
            let paused = if scan.paused { "paused · " } else { "" };
            Safe::composed(&format!(
                "{paused}{} · {}",
                Safe::from_untrusted(scan.organization.as_str()),
                scan.describe()
            ))
        }),
        Slot::Ghosts => model.ghosts.as_ref().map_or_else(empty, GhostPane::note),
        Slot::Find => model.reading().unwrap_or_else(empty),
        Slot::View | Slot::Older | Slot::Newer => {
            model.reading().or_else(|| model.timeline.walk(model.zone)).unwrap_or_else(empty)
        }
        Slot::Export => {
            model.exporting.map_or_else(empty, |exporting| Safe::from_untrusted(&exporting.words(model.zone)))
        }
        _ => empty(),
    }
}

/// Opens the page, or answers its keys. False for a key that means what it means in the panes.
pub(in crate::console) fn act(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
    let running: Vec<Slot> = running(model).collect();
    match (&mut model.page, action) {
        (Some(Page::Tasks(_)), Action::Tasks | Action::Cancel | Action::Quit) => model.page = None,
        (page, Action::Tasks) => *page = Some(Page::Tasks(Picker::default())),
        (Some(Page::Tasks(page)), Action::CancelTask) => {
            let slot = running.get(page.selected(running.len())).copied();
            stop(model, slot.as_slice(), effects);
        }
        (Some(Page::Tasks(page)), other) => match lines_of(other, 10) {
            Some(by) => page.step(by, running.len()),
            None => return false,
        },
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::Desk;
    use crate::console::app::message::Effect;

    #[test]
    fn what_runs_is_listed_with_its_time_and_can_be_cancelled() {
        let mut desk = Desk::with_events(30);
        desk.keys("V").wait(65_000).keys("K");
        let screen = desk.screen();
        let line = screen.lines().find(|line| line.contains("verifying the trail"));
        assert!(screen.contains("Tasks") && line.is_some_and(|line| line.contains("65 s")), "{screen}");
        // The first one may be something else that a new view begins.
        let at = running(&desk.model).position(|slot| slot == Slot::Scan).unwrap();
        desk.keys(&"j".repeat(at)).keys("x");
        assert!(desk.effects.contains(&Effect::Cancel(Slot::Scan)), "{:?}", desk.effects);
        desk.keys("K");
        assert!(desk.model.page.is_none(), "the key that opens it closes it");
    }

    #[test]
    fn where_nothing_runs_the_page_says_what_can() {
        let mut desk = Desk::with_events(3);
        for slot in Slot::ALL {
            desk.model.slots.abandon(*slot);
        }
        desk.model.page = Some(Page::Tasks(Picker::default()));
        assert!(desk.screen().contains("Nothing runs. V verifies the trail"), "{}", desk.screen());
    }

    #[test]
    fn times_are_short() {
        assert_eq!([0, 119, 120, 7_199, 7_200].map(elapsed), ["0 s", "119 s", "2 min", "119 min", "2 h"]);
    }
}
