//! The chooser of organisations.

use crate::console::core::keymap::Context;
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::picker::Picker;
use crate::console::widgets::theme::Role;
use crate::console::widgets::time_zone::Zone;
use crate::domain::{OrgId, Safe, grouped};
use crate::store::aggregate::organizations::Organization;

/// From this width on the time of the newest event has a column.
const WITH_TIMES: usize = 56;

/// Lines for a reason why there is no list.
const LINES_WITHOUT: usize = 4;

/// The state of the chooser.
#[derive(Debug, Default)]
pub(crate) struct Organizations {
    list: Vec<Organization>,
    picker: Picker,
    /// Why there is no list.
    pub(crate) trouble: Option<Safe>,
}

impl Organizations {
    /// Shows a new list; the selection stays on its organisation, or goes to `current`.
    pub(crate) fn set(&mut self, list: Vec<Organization>, current: Option<&OrgId>) {
        let keep = self.selected().cloned().or_else(|| current.cloned());
        self.picker.select(list.iter().position(|o| Some(&o.id) == keep.as_ref()).unwrap_or(0));
        self.list = list;
        self.trouble = None;
    }

    /// Puts the selection on an organisation.
    pub(crate) fn select(&mut self, id: &OrgId) {
        if let Some(at) = self.list.iter().position(|o| o.id == *id) {
            self.picker.select(at);
        }
    }

    /// The organisations.
    pub(crate) fn list(&self) -> &[Organization] {
        &self.list
    }

    /// The selected one.
    pub(crate) fn selected(&self) -> Option<&OrgId> {
        self.list.get(self.picker.selected(self.list.len())).map(|o| &o.id)
    }

    /// Moves the selection.
    pub(crate) fn step(&mut self, by: isize) {
        self.picker.step(by, self.list.len());
    }

    /// Lines of the list; of what is said instead of one.
    fn height(&self) -> usize {
        if self.list.is_empty() { LINES_WITHOUT } else { self.list.len() + 1 }
    }

    /// Draws the list.
    fn paint(&self, painter: &mut Painter<'_>, zone: Zone, loading: bool) {
        if self.list.is_empty() {
            let none = "The table has no events: `agenttrace ingest FILE` loads some.";
            let (text, role) = match &self.trouble {
                Some(text) => (text.clone(), Role::Error),
                None if loading => (Safe::literal("loading…"), Role::Muted),
                None => (Safe::literal(none), Role::Notice),
            };
            painter.put_wrapped(1, 0, &text, role);
            return;
        }
        let right = painter.width().saturating_sub(1);
        // On a narrow screen the names have the room of the times.
        let has_times = right >= WITH_TIMES;
        let time_at = right.saturating_sub(if has_times { 28 } else { 0 });
        painter.say(3, 0, "organisation", Role::Muted);
        painter.put_right(time_at.saturating_sub(2), 0, &Safe::literal("events"), Role::Muted);
        if has_times {
            painter.say(time_at, 0, "newest event", Role::Muted);
        }
        self.picker.paint(painter, 1, self.list.len(), |painter, y, index| {
            let Some(organization) = self.list.get(index) else { return };
            let events = organization.events.map_or_else(|| "–".to_owned(), grouped);
            let newest = organization
                .newest
                .map_or_else(|| "–".to_owned(), |t| format!("{} {}", zone.day_name(t), zone.clock(t)));
            let id = Safe::from_untrusted(organization.id.as_str());
            painter.put(3, y, &id.cut_middle(time_at.saturating_sub(16)), Role::Text);
            painter.put_right(time_at.saturating_sub(2), y, &Safe::from_untrusted(&events), Role::Text);
            if has_times {
                painter.put(time_at, y, &Safe::from_untrusted(&newest), Role::Text);
            }
        });
    }
}

/// The chooser. What it lists outlasts it.
#[derive(Debug)]
pub(crate) struct OrganizationChooser;

impl Dialog for OrganizationChooser {
    fn context(&self) -> Context {
        Context::Chooser
    }

    fn frame(&self, stage: &Stage<'_>) -> Frame {
        Frame::around(" Organisations ", 76, stage.organizations.height())
    }

    fn draw(&self, painter: &mut Painter<'_>, stage: &Stage<'_>) -> Option<Cursor> {
        stage.organizations.paint(painter, stage.zone, stage.listing);
        None
    }
}
