//! What the selected event changed: path list, unified, side by side, raw; or how it differs from a marked event.

use crate::console::change::layout::{Form, Laid, Layout, States, sentence};
use crate::console::event::task::Detail;
use crate::console::timeline::row::Row;
use crate::console::widgets::highlight::Needles;
use crate::console::widgets::theme::Role;
use crate::diff::chronicle::Chronicle;
use crate::diff::writing::Writing;
use crate::domain::{EventKey, EventRow, OrgId, Safe};
use crate::store::history::{Excerpt, Resource};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Lines above those that scroll: which resource, which event.
pub(super) const HEAD: usize = 2;

/// The event that others are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marked {
    /// Its organisation.
    pub(crate) organization: OrgId,
    /// The event.
    pub(crate) key: EventKey,
    /// Its state after, once it has been fetched.
    state: Option<After>,
}

/// The state after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
struct After {
    /// `None` when it recorded none.
    state: Option<Arc<Excerpt>>,
    /// It recorded a state, be it the one before: of what was deleted there is no other.
    recorded: bool,
}

impl After {
    fn of(states: &States) -> Self {
        Self { state: states.new.clone(), recorded: states.new.is_some() || states.old.is_some() }
    }
}

/// The versions of a resource, as far as they are known.
#[derive(Debug)]
struct Versions {
    organization: String,
    resource: Resource,
    /// `None` until they have been fetched, and where they are too much to be kept.
    chronicle: Option<Arc<Chronicle>>,
}

impl Versions {
    fn are_of(&self, row: &EventRow) -> bool {
        self.organization == row.organization_id && self.resource == Resource::of(row)
    }
}

/// What the pane looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Lens {
    /// The states before and after the event.
    #[default]
    Event,
    /// The states after the marked event and after this one.
    Marked,
    /// Who last set each value of the resource.
    Blame,
    /// The state of the resource after the event.
    State,
}

/// A way through the versions of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the version before.
    Older,
    /// To the version after.
    Newer,
    /// To the first one.
    First,
    /// To the last one.
    Last,
}

/// Work for the executor, apart from the organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Two states compared.
    Compared(States, Form),
    /// Who last set each value.
    Blame(Resource, EventKey, Form),
    /// The state after an event.
    State(Resource, EventKey, Form),
    /// The same after a version that is at hand, or before the first.
    StateAt(Arc<Chronicle>, Option<usize>, Form),
}

/// The state of the pane.
#[derive(Debug, Default)]
pub(crate) struct ChangePane {
    pub(super) row: Option<Row>,
    /// States of the event, once they have been fetched.
    states: Option<States>,
    pub(super) trouble: Option<Safe>,
    pub(super) marked: Option<Marked>,
    versions: Option<Versions>,
    /// What is looked at.
    pub(super) lens: Lens,
    pub(super) layout: Layout,
    unfolded: BTreeSet<String>,
    /// What is looked for.
    pub(super) needles: Option<Arc<Needles>>,
    /// Another event, or another search: the cursor goes to what is looked for.
    pub(super) arrived: bool,
    /// The line to go to instead, of an event that is come back to.
    pub(super) returning: Option<(EventKey, usize)>,
    /// What was asked for last.
    asked: Option<Form>,
    pub(super) laid: Option<Laid>,
    /// Lines that what was laid out last could fill.
    needed: usize,
    pub(super) cursor: usize,
    pub(super) top: usize,
    width: usize,
    height: usize,
}

impl ChangePane {
    /// Shows another event; its states follow with [`Self::fill`].
    pub(crate) fn show(&mut self, row: Option<&Row>) {
        self.row = row.cloned();
        self.arrived = true;
        // Of another event, it is nothing to come back to any more.
        self.returning =
            self.returning.take().filter(|(of, _)| row.is_some_and(|row| row.event.key() == *of));
        self.states = None;
        self.unfolded.clear();
        if self.lens == Lens::State && self.chronicle().is_some() {
            // From version to version the eye stays where it is; what it sees is replaced within a frame or two.
            self.trouble = None;
            self.asked = None;
        } else {
            self.forget();
        }
    }

    /// All versions of the resource shown, if they are at hand.
    pub(crate) fn chronicle(&self) -> Option<&Arc<Chronicle>> {
        let row = &self.row.as_ref()?.event;
        self.versions.as_ref().filter(|v| v.are_of(row))?.chronicle.as_ref()
    }

    /// The resource whose versions are to be fetched, once.
    pub(crate) fn take_wanted_versions(&mut self) -> Option<Resource> {
        let row = &self.row.as_ref().filter(|_| self.lens == Lens::State && self.height > 0)?.event;
        if self.versions.as_ref().is_some_and(|v| v.are_of(row)) {
            return None;
        }
        let (organization, resource) = (row.organization_id.clone(), Resource::of(row));
        self.versions = Some(Versions { organization, resource: resource.clone(), chronicle: None });
        Some(resource)
    }

    /// The versions of a resource.
    pub(crate) fn keep_versions(&mut self, resource: &Resource, chronicle: Option<Arc<Chronicle>>) {
        if let Some(versions) = self.versions.as_mut().filter(|v| v.resource == *resource) {
            versions.chronicle = chronicle;
            if self.lens == Lens::State {
                self.asked = None;
            }
        }
    }

    /// The table may have others by now.
    pub(crate) fn forget_versions(&mut self) {
        self.versions = None;
    }

    /// The version after which the resource is shown: the last one not newer than the event.
    fn version(&self) -> Option<usize> {
        let row = &self.row.as_ref()?.event;
        self.chronicle()?.last_until(row.timestamp, &row.event_id)
    }

    /// The version before or after the event, or the first or last one; `Err` where they are not at hand.
    pub(crate) fn go(&self, way: Way) -> Result<Option<EventKey>, ()> {
        let (Some(chronicle), Some(row)) = (self.chronicle(), &self.row) else { return Err(()) };
        let at = self.version();
        let entries = chronicle.entries();
        let is_itself = at.and_then(|n| entries.get(n)).is_some_and(|e| e.event_id == row.event.event_id);
        let there = match way {
            Way::Older => at.and_then(|n| if is_itself { n.checked_sub(1) } else { Some(n) }),
            Way::Newer => Some(at.map_or(0, |n| n + 1)),
            Way::First => Some(0),
            Way::Last => entries.len().checked_sub(1),
        };
        let entry = there.and_then(|n| entries.get(n));
        Ok(entry.map(|e| EventKey { timestamp: e.timestamp, event_id: e.event_id.clone() }))
    }

    /// The state shown, exactly as stored, and the time and resource that it is of; while time is travelled.
    pub(crate) fn state_shown(&self) -> Option<Option<String>> {
        (self.lens == Lens::State).then_some(())?;
        let (chronicle, at) = (self.chronicle()?, self.version()?);
        let [_, after] = chronicle.states(at).ok()?;
        Some(after.text().map(str::to_owned))
    }

    /// Whether time is travelled.
    pub(crate) fn travels(&self) -> bool {
        self.lens == Lens::State
    }

    /// What is shown is not what is wanted any more.
    fn forget(&mut self) {
        self.trouble = None;
        self.asked = None;
        self.laid = None;
        (self.cursor, self.top) = (0, 0);
    }

    /// The states of the event shown.
    pub(crate) fn fill(&mut self, event: &Detail) {
        if self.row.as_ref().is_some_and(|r| r.event.key() == event.row.key()) {
            self.states = Some(event.states.clone());
            self.forget();
        }
    }

    /// Says why there is nothing to show.
    pub(crate) fn fail(&mut self, text: Safe) {
        self.trouble = Some(text);
    }

    /// Asks again for what could not be shown.
    pub(crate) fn retry(&mut self) {
        if self.trouble.is_some() {
            self.forget();
        }
    }

    /// Work for the executor, if what is shown is not what is wanted. The pane takes it as asked for.
    pub(crate) fn wanted(&mut self) -> Option<Wanted> {
        // The life of a resource waits for the event, too: until then the selection may move on.
        let version =
            self.chronicle().filter(|_| self.lens == Lens::State).cloned().map(|c| (c, self.version()));
        let states = if version.is_some() { None } else { Some(self.states_to_compare()?) };
        let form = Form {
            layout: self.layout,
            width: self.width.saturating_sub(2),
            // Only a comparison unfolds: the rest is not asked for again when the pane grows.
            height: if self.unfolds() { self.height.saturating_sub(HEAD) } else { 0 },
            unfolded: self.unfolded.clone(),
            needles: self.needles.clone(),
        };
        if self.height == 0 || self.asked.as_ref() == Some(&form) {
            return None;
        }
        self.asked = Some(form.clone());
        if let Some(why) = self.nothing_to_compare() {
            self.lay(Laid::new(sentence(why, Role::Notice, form.width), Vec::new()));
            return None;
        }
        let row = &self.row.as_ref()?.event;
        if let Some((chronicle, version)) = version {
            return Some(Wanted::StateAt(chronicle, version, form));
        }
        Some(match self.lens {
            Lens::Event | Lens::Marked => Wanted::Compared(states?, form),
            Lens::Blame => Wanted::Blame(Resource::of(row), row.key(), form),
            Lens::State => Wanted::State(Resource::of(row), row.key(), form),
        })
    }

    fn unfolds(&self) -> bool {
        matches!(self.lens, Lens::Event | Lens::Marked) && self.layout == Layout::Paths
    }

    /// Lines that the pane could fill; until the next change is laid out, those of the last.
    pub(crate) fn needed(&self) -> usize {
        self.needed
    }

    /// What was asked for.
    pub(crate) fn lay(&mut self, laid: Laid) {
        self.trouble = None;
        self.needed = HEAD + laid.heading.len() + laid.unfolded;
        self.laid = Some(laid);
        self.arrive();
        self.keep_in_sight();
    }

    /// Takes note of the pane's size; 0 × 0 when it is not on the screen.
    pub(crate) fn set_size(&mut self, width: usize, height: usize) {
        if width > 0 {
            self.width = width;
        }
        self.height = height;
        self.keep_in_sight();
    }

    /// The next layout; from the life of the resource, back to the event.
    pub(crate) fn cycle(&mut self) {
        if matches!(self.lens, Lens::Blame | Lens::State) {
            return self.look(Lens::Event);
        }
        self.layout = self.layout.next(self.width.saturating_sub(2));
        (self.cursor, self.top) = (0, 0);
    }

    /// Looks at something else.
    fn look(&mut self, lens: Lens) {
        self.lens = lens;
        self.forget();
    }

    /// Looks at something else, or, if it does already, at the event again.
    pub(crate) fn toggle(&mut self, lens: Lens) {
        self.look(if self.lens == lens { Lens::Event } else { lens });
    }

    /// Shows the event again. False when it is what is shown.
    pub(crate) fn show_event(&mut self) -> bool {
        let other = self.lens != Lens::Event;
        if other {
            self.look(Lens::Event);
        }
        other
    }

    /// The event that the line under the cursor is about.
    pub(crate) fn event_at_cursor(&self) -> Option<&EventKey> {
        self.laid.as_ref().and_then(|l| l.lines.get(self.cursor)).and_then(|l| l.event.as_deref())
    }

    /// Marks the event shown, or takes its mark away. Whether it is marked now.
    pub(crate) fn mark(&mut self, organization: &OrgId) -> bool {
        let Some(row) = &self.row else { return false };
        let key = row.event.key();
        let again = self.marked.as_ref().is_some_and(|m| m.key == key && m.organization == *organization);
        if self.lens == Lens::Marked {
            self.look(Lens::Event);
        }
        self.marked = (!again).then(|| Marked { organization: organization.clone(), key, state: None });
        !again
    }

    /// The marked event of an organisation.
    pub(crate) fn marked(&self, organization: &OrgId) -> Option<&EventKey> {
        self.marked.as_ref().filter(|m| m.organization == *organization).map(|m| &m.key)
    }

    /// The marked event, while it is compared with.
    pub(crate) fn compared(&self, organization: &OrgId) -> Option<&EventKey> {
        self.marked(organization).filter(|_| self.lens == Lens::Marked)
    }

    /// Compares with the marked event, or not any more. Whether its state has to be fetched.
    pub(crate) fn compare(&mut self) -> bool {
        self.toggle(Lens::Marked);
        self.lens == Lens::Marked && self.marked.as_ref().is_some_and(|m| m.state.is_none())
    }

    /// The state of the marked event.
    pub(crate) fn fill_marked(&mut self, event: Option<Detail>) {
        let Some(marked) = &mut self.marked else { return };
        match event {
            Some(event) if event.row.key() == marked.key => {
                marked.state = Some(After::of(&event.states));
                self.asked = None;
            }
            Some(_) => {}
            None => self.trouble = Some(Safe::literal("the marked event is not in the table any more")),
        }
    }

    /// Whether only a beginning was fetched of a state.
    pub(crate) fn is_in_part(&self) -> bool {
        let compares = matches!(self.lens, Lens::Event | Lens::Marked);
        compares && self.states_to_compare().is_some_and(|s| s.in_part())
    }

    /// How the states of the event are written.
    pub(super) fn writing(&self) -> Writing {
        self.states.as_ref().map_or(Writing::Undecided, |states| states.writing)
    }

    pub(super) fn states_to_compare(&self) -> Option<States> {
        let mut states = self.states.clone()?;
        if self.lens == Lens::Marked {
            states.old = self.marked.as_ref()?.state.clone()?.state;
            states.writing = Writing::Full;
        }
        Some(states)
    }

    /// Why the marked event cannot be compared with this one: what recorded no state is not what has none.
    pub(super) fn nothing_to_compare(&self) -> Option<&'static str> {
        let marked = self.marked.as_ref().filter(|_| self.lens == Lens::Marked)?.state.as_ref()?;
        match (marked.recorded, After::of(self.states.as_ref()?).recorded) {
            (true, true) => None,
            (true, false) => Some("Nothing to compare: this event recorded no state."),
            (false, true) => Some("Nothing to compare: the marked event recorded no state."),
            (false, false) => Some("Nothing to compare: neither event recorded a state."),
        }
    }

    /// Shows the unchanged parts of what the cursor is on, or folds them again.
    pub(crate) fn toggle_fold(&mut self) {
        let line = self.laid.as_ref().and_then(|l| l.lines.get(self.cursor));
        if let Some(pointer) = line.and_then(|l| l.pointer.as_deref())
            && matches!(self.lens, Lens::Event | Lens::Marked)
            && matches!(self.layout, Layout::Unified | Layout::Columns)
            && !self.unfolded.remove(pointer)
        {
            self.unfolded.insert(pointer.to_owned());
        }
    }

    /// The place that the line under the cursor is about (JSON Pointer).
    pub(crate) fn pointer(&self) -> Option<&str> {
        self.laid.as_ref().and_then(|l| l.lines.get(self.cursor)).and_then(|l| l.pointer.as_deref())
    }

    /// The state after the event, if it is here whole.
    pub(crate) fn state_after(&self) -> Option<&str> {
        let state = self.states.as_ref()?.new.as_deref().filter(|s| s.is_whole())?;
        Some(&state.text)
    }

    /// The states of the event, as far as they are here whole; the new one first.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let sides = self.states.iter().flat_map(|s| [s.new.as_deref(), s.old.as_deref()]);
        sides.flatten().filter(|s| s.is_whole()).map(|s| &*s.text)
    }

    /// Moves the cursor by lines.
    pub(crate) fn scroll(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by);
        self.keep_in_sight();
    }

    /// Lines that scroll.
    pub(crate) fn body_height(&self) -> usize {
        let heading = self.laid.as_ref().map_or(0, |l| l.heading.len());
        self.height.saturating_sub(HEAD + heading)
    }

    pub(super) fn keep_in_sight(&mut self) {
        let lines = self.laid.as_ref().map_or(0, |l| l.lines.len());
        let height = self.body_height().max(1);
        self.cursor = self.cursor.min(lines.saturating_sub(1));
        self.top = self.top.min(self.cursor).max((self.cursor + 1).saturating_sub(height));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::{event_row, row_at};

    fn whole(text: &str) -> Arc<Excerpt> {
        Arc::new(Excerpt { text: text.into(), bytes: text.len() as u64, sha256: None })
    }

    fn detail(id: &str, old: &str, new: &str) -> Detail {
        let states = States { old: Some(whole(old)), new: Some(whole(new)), writing: Writing::Full };
        Detail { row: event_row(id, 1), states, previous_state: None, new_state: None }
    }

    fn pane() -> ChangePane {
        let mut pane = ChangePane::default();
        pane.set_size(120, 20);
        pane.show(Some(&row_at(1, "a")));
        pane.fill(&detail("a", "{\"n\": 1}", "{\"n\": 2}"));
        pane
    }

    fn form(pane: &mut ChangePane) -> Form {
        match pane.wanted() {
            Some(Wanted::Compared(_, form)) => form,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn work_is_asked_for_once_for_each_form_and_only_while_the_pane_is_seen() {
        let mut pane = pane();
        assert_eq!(form(&mut pane).layout, Layout::Paths);
        assert_eq!(pane.wanted(), None);
        let mut seen = vec![Layout::Paths];
        for _ in 0..4 {
            pane.cycle();
            seen.push(form(&mut pane).layout);
        }
        assert_eq!(seen, [Layout::Paths, Layout::Unified, Layout::Columns, Layout::Raw, Layout::Paths]);
        pane.set_size(80, 0);
        assert_eq!(pane.wanted(), None);
        pane.set_size(80, 20);
        assert_eq!(form(&mut pane).width, 78);
        // Too narrow for two columns.
        pane.cycle();
        pane.cycle();
        assert_eq!(pane.layout, Layout::Raw);
    }

    #[test]
    fn states_of_another_event_are_not_shown() {
        let mut pane = pane();
        pane.show(Some(&row_at(2, "b")));
        pane.fill(&detail("a", "1", "2"));
        assert_eq!(pane.wanted(), None);
    }

    #[test]
    fn a_marked_event_is_compared_with_what_is_selected() {
        let acme = OrgId::new("acme").unwrap();
        let mut pane = pane();
        assert!(pane.mark(&acme));
        assert_eq!(pane.marked(&OrgId::new("globex").unwrap()), None);
        pane.show(Some(&row_at(2, "b")));
        pane.fill(&Detail { row: event_row("b", 2), ..detail("b", "{}", "{\"n\": 3}") });
        assert!(pane.compare());
        // Its state has to come first.
        assert_eq!(pane.wanted(), None);
        pane.fill_marked(Some(detail("a", "{\"n\": 1}", "{\"n\": 2}")));
        let Some(Wanted::Compared(states, _)) = pane.wanted() else { panic!() };
        assert_eq!([states.old, states.new], [Some(whole("{\"n\": 2}")), Some(whole("{\"n\": 3}"))]);
        assert!(!pane.compare());
        let Some(Wanted::Compared(states, _)) = pane.wanted() else { panic!() };
        assert_eq!(states.old, Some(whole("{}")));
        pane.show(Some(&row_at(1, "a")));
        assert!(!pane.mark(&acme), "a second time takes the mark away");
    }
}
