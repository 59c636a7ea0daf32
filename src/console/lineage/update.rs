//! What follows from a lineage, and what keys do in its dialog.

use crate::console::app::feature::Update;
use crate::console::app::message::Effects;
use crate::console::app::model::{Connection, Model};
use crate::console::app::start_task::{abandon, begin};
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Action;
use crate::console::core::tasks::Slot;
use crate::console::dialogs::Overlay;
use crate::console::filter_bar::update::run_filter;
use crate::console::filter_bar::value_picker::{Choices, spelled};
use crate::console::lineage::dialog::LineageDialog;
use crate::console::lineage::task::{Output, Progress, Task};
use crate::console::widgets::scrolling::lines_of;
use crate::domain::Safe;
use crate::investigation::lineage::{Term, union};

/// The rules of lineages.
pub(in crate::console) struct Rules;

impl Update for Rules {
    type Output = Output;
    type Progress = Progress;

    fn done(model: &mut Model, Output::Follow(found): Output, _effects: &mut Effects) {
        let zone = model.zone;
        if let Some(dialog) = model.dialog_mut::<LineageDialog>() {
            dialog.fill(*found, zone);
        }
    }

    fn failed(model: &mut Model, _slot: Slot, failure: Failure, _effects: &mut Effects) {
        if let Some(dialog) = model.dialog_mut::<LineageDialog>() {
            dialog.fail(failure.text);
        }
    }

    fn cancelled(model: &mut Model, _slot: Slot) {
        if let Some(dialog) = model.dialog_mut::<LineageDialog>() {
            dialog.fail(Safe::literal("cancelled"));
        }
    }

    fn retry(model: &mut Model, effects: &mut Effects) {
        if let Some(dialog) = model.dialog::<LineageDialog>()
            && !dialog.is_done()
            && model.slots.running(Slot::Lineage).is_none()
        {
            let origin = dialog.origin.clone();
            open(model, origin, effects);
        }
    }

    fn answer(model: &mut Model, overlay: Overlay, action: Action, effects: &mut Effects) -> Option<Overlay> {
        overlay
            .when(|dialog| in_lineage(model, dialog, action, effects))?
            // The chooser of values is given on when a lineage has been chosen in it.
            .when(|choices: Choices| {
                if let Some(origin) = choices.lineage() {
                    open(model, origin, effects);
                }
            })
    }
}

fn in_lineage(model: &mut Model, mut dialog: LineageDialog, action: Action, effects: &mut Effects) {
    let height = usize::from(model.size.1.saturating_sub(4)).max(1);
    match action {
        Action::Cancel | Action::Quit => return abandon(model, &[Slot::Lineage], effects),
        Action::Open if dialog.is_done() => {
            let Some(place) = model.history.current() else { return };
            if let Some(filter) = union(&place.filter, &dialog.chosen()) {
                let text = spelled(&place.text, &filter);
                return run_filter(model, text, filter, effects);
            }
            let key = model.setup.keymap.key(Action::Mark);
            model.notify(Safe::composed(&format!("every line is left out: {key} takes one in again")));
        }
        Action::Mark => dialog.toggle(),
        Action::Refresh => return open(model, dialog.origin, effects),
        other => {
            if let Some(by) = lines_of(other, height) {
                dialog.step(by, height);
            }
        }
    }
    model.show(dialog);
}

/// Opens the lineage of an actor or a resource within the time of the view; it is being followed.
pub(in crate::console) fn open(model: &mut Model, origin: Term, effects: &mut Effects) {
    let Some(query) = model.timeline.query.as_ref().filter(|_| model.shows_current_place()) else { return };
    if model.connection == Connection::Up {
        let work = Task::Follow(query.scope.clone(), origin.clone(), query.range);
        let keymap = &model.setup.keymap;
        let keys = [Action::Open, Action::Mark, Action::Cancel].map(|action| keymap.key(action));
        model.show(LineageDialog::new(origin, keys));
        begin(model, work, effects);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::console::app::fixtures::Desk;
    use crate::console::app::message::{Output, Task};
    use crate::console::core::tasks::Slot;
    use crate::console::lineage::dialog::LineageDialog;
    use crate::console::lineage::task;
    use crate::console::timeline::task as timeline;
    use crate::domain::{EventKey, TimeRange, Timestamp};
    use crate::investigation::lineage::{Follower, Lineage, MAX_TERMS, Step, Term};
    use crate::store::history::Resource;
    use crate::store::query::Count;
    use crossterm::event::KeyCode;

    pub(crate) fn lineage(followers: usize) -> Lineage {
        let time = Timestamp::from_micros(0);
        let follower = |n| Follower {
            term: Term::Actor(format!("svc-{n}")),
            path: Some("/service_account".to_owned()),
            events: Count::Exact(2),
            times: (time, time),
            before: n == 0,
        };
        Lineage {
            origin: Term::Actor("user-17".to_owned()),
            steps: vec![Step {
                hop: 1,
                event: EventKey { timestamp: time, event_id: "e-\u{202e}1".to_owned() },
                creator: "user-17".to_owned(),
                resource: Resource { kind: "api_key".to_owned(), id: "ak-77".to_owned() },
                followers: (0..followers).map(follower).collect(),
            }],
            creations: 9,
            more: true,
            unread: 1,
        }
    }

    fn followed(followers: usize) -> Desk {
        let mut desk = Desk::with_events(50);
        desk.keys("jjpl");
        let work = desk.begun(Slot::Lineage).1;
        let Task::Lineage(task::Task::Follow(scope, origin, range)) = work else { panic!("{work:?}") };
        assert_eq!((scope.organization().as_str(), range), ("acme", TimeRange::default()));
        assert_eq!(origin, Term::Actor("user-17".to_owned()));
        desk.finish(Slot::Lineage, Output::Lineage(task::Output::Follow(Box::new(lineage(followers)))));
        desk
    }

    fn opened(desk: &Desk) -> String {
        match desk.begun(Slot::View).1 {
            Task::Timeline(timeline::Task::Open(asked, _)) => asked.filter.canonical(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_lineage_opens_as_a_view_of_what_was_not_left_out() {
        let mut desk = followed(2);
        let screen = desk.screen();
        for line in [
            "[x] user-17",
            "api_key/ak-77 created by user-17 · e-\\u{202E}1",
            "[x] svc-1 (/service_account) · 2 events since, none before",
            "[x] svc-0 (/service_account) · 2 events since, active before",
            "older creations were not read",
            "1 new states were not read",
        ] {
            assert!(screen.contains(line), "{line}\n{screen}");
        }
        desk.key(KeyCode::Enter);
        assert_eq!(opened(&desk), "actor:user-17,svc-1,svc-0");
        assert!(desk.model.overlay.is_none());

        let mut desk = followed(2);
        desk.keys("j ");
        desk.key(KeyCode::Enter);
        assert_eq!(opened(&desk), "actor:user-17,svc-1");
    }

    #[test]
    fn leaving_a_lineage_keeps_the_place() {
        let mut desk = followed(2);
        let here = desk.selected();
        desk.key(KeyCode::Esc);
        assert!(desk.model.overlay.is_none() && !desk.begins(Slot::View));
        assert_eq!(desk.selected(), here);
        // Also while it is being followed, which ends the work.
        desk.keys("pL");
        assert!(
            matches!(&desk.begun(Slot::Lineage).1, Task::Lineage(task::Task::Follow(_, Term::Resource(r), _)) if r.id == "rb-7")
        );
        desk.key(KeyCode::Esc);
        assert!(desk.model.slots.running(Slot::Lineage).is_none());
    }

    #[test]
    fn more_than_a_view_holds_are_left_out_and_that_is_said() {
        let mut desk = followed(50);
        let Some(dialog) = desk.model.dialog::<LineageDialog>() else { panic!("no dialog") };
        assert_eq!(dialog.chosen().len(), MAX_TERMS);
        desk.keys("G");
        assert!(
            desk.screen().contains("51 actors and resources: the first 30 are chosen"),
            "{}",
            desk.screen()
        );
    }
}
