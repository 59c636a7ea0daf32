//! What follows from where the console is, and from where one was that has died.

use crate::console::app::feature::Update;
use crate::console::app::message::Effects;
use crate::console::app::model::{Connection, Model};
use crate::console::app::navigation::{seat, visit};
use crate::console::app::start_task::{abandon, begin};
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Action;
use crate::console::core::tasks::Slot;
use crate::console::core::view_stack::{Place, Tabs};
use crate::console::dialogs::organizations::OrganizationChooser;
use crate::console::restore::keeper::{Here, View};
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
    let Here { tabs, shown } = here;
    let Some(view) = tabs.get(shown) else { return };
    let elsewhere = match (model.history.current(), &model.wanted.0) {
        (Some(place), _) => place.organization != view.organization,
        (None, Some(wanted)) => *wanted != view.organization,
        (None, None) => false,
    };
    let Some(place) = place_of(view) else { return };
    if model.keeper.touched || elsewhere || model.connection != Connection::Up {
        return;
    }
    if model.history.current().is_none() {
        abandon(model, &[Slot::Organizations], effects);
        if model.dialog::<OrganizationChooser>().is_some() {
            model.overlay = None;
        }
        // What one goes back to.
        let organization = view.organization.clone();
        model.history.push(Place::new(organization, String::new(), Filter::default()));
    }
    let (before, behind) = tabs.split_at(shown);
    model.tabs = Tabs::of(before.iter().filter_map(place_of), behind.iter().skip(1).filter_map(place_of));
    visit(model, place, effects);
    model.focus_on(view.seat.focus);
    let (back, time) = (model.setup.keymap.key(Action::Back), model.zone.minute(at));
    let text = match model.tabs.count() {
        1 => format!("restored the view of {time} · {back}: start anew"),
        count => format!("restored {count} tabs of {time} · {back}: start anew in this one"),
    };
    model.notify(Safe::composed(&text));
}

/// The view as it was left; `None` where its filter means nothing any more.
fn place_of(view: &View) -> Option<Place> {
    let filter = Filter::parse(&view.filter).ok()?;
    let mut place = Place::new(view.organization.clone(), view.filter.clone(), filter);
    place.range = view.range;
    place.selected.clone_from(&view.selected);
    place.seat = Some(view.seat);
    Some(place)
}

/// Where the console is, when it shows a view.
fn here(model: &Model) -> Option<Here> {
    let query = model.timeline.query.as_ref().filter(|_| model.shows_current_place())?;
    let place = model.history.current()?;
    let view = View {
        range: Some(query.range),
        selected: model.timeline.key(),
        seat: seat(model),
        ..View::from(place)
    };
    let mut tabs: Vec<View> = model.tabs.before().map(View::from).collect();
    let shown = tabs.len();
    tabs.push(view);
    tabs.extend(model.tabs.behind().map(View::from));
    Some(Here { tabs, shown })
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
    use crate::console::core::view_stack::Seat;
    use crate::console::restore::keeper::{Here, View};
    use crate::console::restore::task;
    use crate::console::timeline::task::{self as timeline, Landing};
    use crate::domain::{EventKey, OrgId, TimeRange, Timestamp};
    use crossterm::event::KeyCode;

    fn view(organization: &str, filter: &str) -> View {
        View {
            organization: OrgId::new(organization).unwrap(),
            filter: filter.to_owned(),
            range: Some(TimeRange { since: Some(Timestamp::from_micros(7)), until: None }),
            selected: Some(EventKey { timestamp: Timestamp::from_micros(9), event_id: "e-9".to_owned() }),
            seat: Seat { focus: Focus::Change, offset: 4, line: 2 },
        }
    }

    fn last(organization: &str) -> Output {
        of(vec![view(organization, "sev:critical")], 0)
    }

    fn of(tabs: Vec<View>, shown: usize) -> Output {
        let here = Here { tabs, shown };
        Output::Restore(task::Output::Last(Some((here, Timestamp::from_micros(0)))))
    }

    #[test]
    fn all_tabs_are_restored_in_their_order_each_with_its_view() {
        let mut desk = Desk::begin(None);
        let tabs = vec![
            view("acme", "actor:a"),
            view("acme", "actor:b"),
            view("globex", "actor:c"),
            view("acme", "sev:?"),
        ];
        desk.connect().finish(Slot::LastPlace, of(tabs, 1));
        let opened = |desk: &Desk| {
            let Task::Timeline(timeline::Task::Open(asked, Landing::At(key))) = desk.begun(Slot::View).1
            else {
                panic!("no view at an event")
            };
            assert_eq!((key.event_id.as_str(), asked.range.unwrap().since.unwrap().as_micros()), ("e-9", 7));
            format!("{} {}", asked.scope.organization(), asked.filter.canonical())
        };
        assert_eq!(opened(&desk), "acme actor:b");
        // One whose filter means nothing is left out.
        assert_eq!((desk.model.tabs.shown(), desk.model.tabs.count()), (2, 3));
        assert!(desk.screen().contains("restored 3 tabs of 1970-01-01 00:00Z"), "{}", desk.screen());
        desk.opened(50, 0).keys(")");
        assert_eq!(opened(&desk), "globex actor:c");
        assert_eq!(desk.model.focus, Focus::Change, "as it was left");
        desk.opened(50, 0).keys(")");
        assert_eq!(opened(&desk), "acme actor:a");
    }

    #[test]
    fn each_tab_is_put_down_as_it_was_left() {
        let mut desk = Desk::with_events(10);
        desk.keys("jj:").keys("tab").key(KeyCode::Enter).opened(10, 0);
        desk.keys("fsev:critical").key(KeyCode::Enter).opened(5, 0).keys("j").wait(1_100);
        let Task::Restore(task::Task::Keep(here, _)) = desk.begun(Slot::KeepPlace).1 else {
            panic!("not kept")
        };
        let [first, second] = here.tabs.as_slice() else { panic!("{here:?}") };
        let id = |view: &View| view.selected.as_ref().unwrap().event_id.clone();
        assert_eq!((first.filter.as_str(), id(first).as_str(), first.seat.offset), ("", "e89998", 2));
        assert_eq!((second.filter.as_str(), id(second).as_str(), here.shown), ("sev:critical", "e89999", 1));
        assert!(first.range.is_some() && second.range.is_some());
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
        assert_eq!(here.tabs[0].selected.as_ref().unwrap().event_id, "e89998");
        desk.keys("k").wait(3_000);
        assert!(!desk.begins(Slot::KeepPlace), "one at a time");
    }
}
