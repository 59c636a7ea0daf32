//! What follows from where the console is, and from where one was that has died.

use crate::console::app::feature::Update;
use crate::console::app::message::Effects;
use crate::console::app::model::{Connection, Model};
use crate::console::app::navigation::visit;
use crate::console::app::start_task::{abandon, begin};
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Action;
use crate::console::core::tasks::Slot;
use crate::console::core::view_stack::Place;
use crate::console::dialogs::organizations::OrganizationChooser;
use crate::console::restore::keeper::Here;
use crate::console::restore::task::{Output, Progress, Task};
use crate::domain::{Safe, Timestamp};
use crate::filter::Filter;

/// The rules of places.
pub(in crate::console) struct Rules;

impl Update for Rules {
    type Output = Output;
    type Progress = Progress;

    fn done(model: &mut Model, output: Output, effects: &mut Effects) {
        match output {
            Output::Keep(()) | Output::Last(None) => {}
            Output::Last(Some((here, at))) => restore(model, here, at, effects),
        }
    }

    fn failed(model: &mut Model, slot: Slot, failure: Failure, _effects: &mut Effects) {
        // That another console's place is not known is no trouble.
        if slot == Slot::KeepPlace && !model.keeper.failed {
            model.keeper.failed = true;
            let text = format!("this view would not be restored after a crash: {}", failure.text);
            model.notify(Safe::composed(&text));
        }
    }
}

/// Asks, once, whether a console has died on this database.
pub(in crate::console) fn ask(model: &mut Model, effects: &mut Effects) {
    // Who names a filter knows where to begin.
    if !std::mem::replace(&mut model.keeper.asked, true) && model.wanted.1.is_empty() {
        begin(model, Task::Last(), effects);
    }
}

/// Goes on where another console was, unless the user has begun already, or in another organisation.
fn restore(model: &mut Model, here: Here, at: Timestamp, effects: &mut Effects) {
    let elsewhere = match (model.history.current(), &model.wanted.0) {
        (Some(place), _) => place.organization != here.organization,
        (None, Some(wanted)) => *wanted != here.organization,
        (None, None) => false,
    };
    let Ok(filter) = Filter::parse(&here.filter) else { return };
    if model.keeper.touched || elsewhere || model.connection != Connection::Up {
        return;
    }
    if model.history.current().is_none() {
        abandon(model, &[Slot::Organizations], effects);
        if model.dialog::<OrganizationChooser>().is_some() {
            model.overlay = None;
        }
        // What one goes back to.
        model.history.push(Place::new(here.organization.clone(), String::new(), Filter::default()));
    }
    let mut place = Place::new(here.organization, here.filter, filter);
    place.range = Some(here.range);
    place.selected = here.selected;
    visit(model, place, effects);
    model.focus_on(here.focus);
    let back = model.setup.keymap.key(Action::Back);
    let time = model.zone.minute(at);
    model.notify(Safe::composed(&format!("restored the view of {time} · {back}: start anew")));
}

/// Where the console is, when it shows a view.
fn here(model: &Model) -> Option<Here> {
    let query = model.timeline.query.as_ref().filter(|_| model.shows_current_place())?;
    let place = model.history.current()?;
    Some(Here {
        organization: place.organization.clone(),
        filter: place.text.clone(),
        range: query.range,
        selected: model.timeline.key(),
        focus: model.focus,
    })
}

/// Takes note of where the console is.
pub(in crate::console) fn follow(model: &mut Model) {
    if let Some(here) = here(model) {
        model.keeper.see(&here, model.at.clock);
    }
}

/// Has it put down when it is time.
pub(in crate::console) fn tick(model: &mut Model, effects: &mut Effects) {
    let clock = model.at.clock;
    if model.keeper.due().is_none_or(|due| clock < due) || model.slots.running(Slot::KeepPlace).is_some() {
        return;
    }
    if let Some(here) = here(model)
        && model.keeper.take_due(&here, clock)
    {
        let at = model.at.wall;
        begin(model, Task::Keep(here, at), effects);
    }
}

#[cfg(test)]
mod tests {
    use crate::console::app::fixtures::Desk;
    use crate::console::app::message::{Outcome, Output, Task};
    use crate::console::core::layout::Focus;
    use crate::console::core::tasks::Slot;
    use crate::console::restore::keeper::Here;
    use crate::console::restore::task;
    use crate::console::timeline::task::{self as timeline, Landing};
    use crate::domain::{EventKey, OrgId, TimeRange, Timestamp};

    fn last(organization: &str) -> Output {
        let here = Here {
            organization: OrgId::new(organization).unwrap(),
            filter: "sev:critical".to_owned(),
            range: TimeRange { since: Some(Timestamp::from_micros(7)), until: None },
            selected: Some(EventKey { timestamp: Timestamp::from_micros(9), event_id: "e-9".to_owned() }),
            focus: Focus::Change,
        };
        Output::Restore(task::Output::Last(Some((here, Timestamp::from_micros(0)))))
    }

    #[test]
    fn a_view_is_restored_before_the_first_key_and_one_can_start_anew() {
        let mut desk = Desk::begin(None);
        desk.connect().finish(Slot::LastPlace, last("acme"));
        let Task::Timeline(timeline::Task::Open(asked, Landing::At(key))) = desk.begun(Slot::View).1 else {
            panic!("no view at an event")
        };
        assert_eq!((asked.filter.canonical().as_str(), key.event_id.as_str()), ("sev:critical", "e-9"));
        assert_eq!(asked.range.unwrap().since, Some(Timestamp::from_micros(7)));
        assert_eq!(desk.model.focus, Focus::Change);
        assert!(
            desk.screen().contains("restored the view of 1970-01-01 00:00Z · <: start anew"),
            "{}",
            desk.screen()
        );
        desk.keys("<");
        let Task::Timeline(timeline::Task::Open(asked, _)) = desk.begun(Slot::View).1 else {
            panic!("no view")
        };
        assert_eq!(asked.filter.canonical(), "");
    }

    #[test]
    fn whoever_has_begun_or_asked_for_another_organisation_is_left_in_peace() {
        let mut desk = Desk::begin(Some("globex"));
        desk.connect().finish(Slot::LastPlace, last("acme"));
        assert_eq!(desk.model.organization().unwrap().as_str(), "globex");
        let mut desk = Desk::begin(Some("acme"));
        let (ticket, _) = desk.connect().begun(Slot::LastPlace);
        desk.keys("t").end(ticket, Outcome::Done(last("acme")));
        assert_eq!(desk.model.history.current().unwrap().text, "");
    }

    #[test]
    fn where_the_console_is_is_put_down_once_it_rests() {
        let mut desk = Desk::with_events(10);
        desk.wait(1_100);
        assert!(desk.begins(Slot::KeepPlace));
        desk.finish(Slot::KeepPlace, Output::Restore(task::Output::Keep(())));
        desk.wait(5_000);
        assert!(!desk.begins(Slot::KeepPlace), "nothing has changed");
        desk.keys("j").wait(500);
        desk.keys("j").wait(600);
        let Task::Restore(task::Task::Keep(here, _)) = desk.begun(Slot::KeepPlace).1 else {
            panic!("not kept")
        };
        assert_eq!(here.selected.unwrap().event_id, "e89998");
        desk.keys("k").wait(3_000);
        assert!(!desk.begins(Slot::KeepPlace), "one at a time");
    }
}
