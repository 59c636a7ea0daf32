//! The views that were visited: nothing is lost by going somewhere else.

use crate::console::core::layout::Focus;
use crate::domain::{EventKey, OrgId, Safe, TimeRange};
use crate::filter::Filter;

/// Maximum number of views that are remembered.
const REMEMBERED: usize = 100;

/// A view: enough to open it again as it was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    /// Its organisation.
    pub(crate) organization: OrgId,
    /// Its filter as typed.
    pub(crate) text: String,
    /// Its filter.
    pub(crate) filter: Filter,
    /// Its bounds, once they are known.
    pub(crate) range: Option<TimeRange>,
    /// The event that was selected.
    pub(crate) selected: Option<EventKey>,
    /// How it was looked at when it was left.
    pub(crate) seat: Option<Seat>,
}

/// How a view was looked at: taken up again by whoever comes back to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seat {
    /// The pane that had the keys.
    pub(crate) focus: Focus,
    /// Rows on the screen above the selected one.
    pub(crate) offset: usize,
    /// The line of the change pane's cursor.
    pub(crate) line: usize,
}

impl Place {
    /// A view that has not been opened yet.
    pub(crate) fn new(organization: OrgId, text: String, filter: Filter) -> Self {
        Self { organization, text, filter, range: None, selected: None, seat: None }
    }
}

/// The visited views, and which one is shown.
#[derive(Debug, Default)]
pub(crate) struct History {
    places: Vec<Place>,
    at: usize,
}

impl History {
    /// The view shown.
    pub(crate) fn current(&self) -> Option<&Place> {
        self.places.get(self.at)
    }

    /// The view shown.
    pub(crate) fn current_mut(&mut self) -> Option<&mut Place> {
        self.places.get_mut(self.at)
    }

    /// Goes to a new view; the ones that were ahead are forgotten.
    pub(crate) fn push(&mut self, place: Place) {
        self.places.truncate(self.at + 1);
        self.places.push(place);
        if self.places.len() > REMEMBERED {
            self.places.remove(0);
        }
        self.at = self.places.len() - 1;
    }

    /// Goes a view back. False at the first one.
    pub(crate) fn back(&mut self) -> bool {
        let can = self.can_go_back();
        self.at -= usize::from(can);
        can
    }

    /// Goes a view forward. False at the last one.
    pub(crate) fn forward(&mut self) -> bool {
        let can = self.can_go_forward();
        self.at += usize::from(can);
        can
    }

    /// Closes the view shown and goes back. False at the first one, which stays.
    pub(crate) fn pop(&mut self) -> bool {
        let can = self.can_go_back();
        if can {
            self.places.remove(self.at);
            self.at -= 1;
        }
        can
    }

    /// Whether there is a view before.
    pub(crate) fn can_go_back(&self) -> bool {
        self.at > 0
    }

    /// Whether there is a view ahead.
    pub(crate) fn can_go_forward(&self) -> bool {
        self.at + 1 < self.places.len()
    }

    /// The way here, the last views first as far as `columns` allow: `… › acme actor:eve › sev:critical`.
    pub(crate) fn breadcrumbs(&self, columns: usize) -> Safe {
        let mut crumbs: Vec<String> = Vec::new();
        let mut previous: Option<&Place> = None;
        for place in self.places.iter().take(self.at + 1) {
            let moved = previous.is_none_or(|p| p.organization != place.organization);
            // The window, which no crumb names, stands beside the filter.
            crumbs.push(match (moved, place.text.as_str()) {
                (true, "") => place.organization.to_string(),
                (true, filter) => format!("{}: {filter}", place.organization),
                (false, "") => "no filter".to_owned(),
                (false, filter) => filter.to_owned(),
            });
            previous = Some(place);
        }
        for skip in 0..crumbs.len() {
            let start = if skip > 0 { "… › " } else { "" };
            let text = Safe::composed(&format!("{start}{}", crumbs[skip..].join(" › ")));
            if text.width() <= columns || skip + 1 == crumbs.len() {
                return text.cut_end(columns);
            }
        }
        Safe::default()
    }
}

/// Most tabs.
pub(crate) const MAX_TABS: usize = 9;

/// The tabs besides the one that is shown: each has its own way of views. What is known of events, trails and cases is not
/// of a tab.
#[derive(Debug, Default)]
pub(crate) struct Tabs {
    before: Vec<History>,
    /// The next one last.
    after: Vec<History>,
}

impl Tabs {
    /// Opens a tab behind the one that is shown, with the view of that. False where there are as many as can be.
    pub(crate) fn open(&mut self, shown: &mut History) -> bool {
        let Some(place) = shown.current().filter(|_| self.count() < MAX_TABS).cloned() else { return false };
        let mut history = History::default();
        history.push(place);
        self.before.push(std::mem::replace(shown, history));
        true
    }

    /// Shows the next tab, or the one before, round the ends. False where there is only one.
    pub(crate) fn step(&mut self, shown: &mut History, back: bool) -> bool {
        if self.count() == 1 {
            return false;
        }
        let (from, to) =
            if back { (&mut self.before, &mut self.after) } else { (&mut self.after, &mut self.before) };
        match from.pop() {
            Some(next) => to.push(std::mem::replace(shown, next)),
            None => {
                to.push(std::mem::take(shown));
                from.extend(to.drain(..).rev());
                *shown = from.pop().unwrap_or_default();
            }
        }
        true
    }

    /// Closes the tab that is shown, and shows the one before, or the first. False for the last one, which stays.
    pub(crate) fn close(&mut self, shown: &mut History) -> bool {
        let next = self.before.pop().or_else(|| self.after.pop());
        let is_closed = next.is_some();
        if let Some(next) = next {
            *shown = next;
        }
        is_closed
    }

    /// The tabs before and behind the one that is shown, each with one view.
    pub(crate) fn of(before: impl Iterator<Item = Place>, behind: impl Iterator<Item = Place>) -> Self {
        let tab = |place| History { places: vec![place], at: 0 };
        let mut after: Vec<History> = behind.map(tab).collect();
        after.reverse();
        Self { before: before.map(tab).collect(), after }
    }

    /// The views of the tabs before the one that is shown, in their order.
    pub(crate) fn before(&self) -> impl Iterator<Item = &Place> {
        self.before.iter().filter_map(History::current)
    }

    /// The views of the tabs behind the one that is shown, in their order.
    pub(crate) fn behind(&self) -> impl Iterator<Item = &Place> {
        self.after.iter().rev().filter_map(History::current)
    }

    /// How many there are, the one shown included.
    pub(crate) fn count(&self) -> usize {
        self.before.len() + 1 + self.after.len()
    }

    /// The number of the one that is shown, from 1 on.
    pub(crate) fn shown(&self) -> usize {
        self.before.len() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(organization: &str, text: &str) -> Place {
        Place::new(OrgId::new(organization).unwrap(), text.to_owned(), Filter::default())
    }

    #[test]
    fn tabs_go_round_and_each_keeps_its_way() {
        let (mut tabs, mut shown) = (Tabs::default(), History::default());
        assert!(!tabs.open(&mut shown) && !tabs.step(&mut shown, false) && !tabs.close(&mut shown));
        shown.push(place("acme", "a"));
        for text in ["b", "c"] {
            assert!(tabs.open(&mut shown));
            shown.push(place("acme", text));
        }
        let mut seen = |back, tabs: &mut Tabs| {
            assert!(tabs.step(&mut shown, back));
            format!("{}{}", tabs.shown(), shown.current().unwrap().text)
        };
        let on: Vec<String> = (0..4).map(|_| seen(false, &mut tabs)).collect();
        assert_eq!(on, ["1a", "2b", "3c", "1a"]);
        let back: Vec<String> = (0..4).map(|_| seen(true, &mut tabs)).collect();
        assert_eq!(back, ["3c", "2b", "1a", "3c"]);
        seen(true, &mut tabs);
        assert!(shown.can_go_back(), "the way to the view is still there");
        let texts = |tabs: &Tabs| -> [Vec<String>; 2] {
            let text = |place: &Place| place.text.clone();
            [tabs.before().map(text).collect(), tabs.behind().map(text).collect()]
        };
        let before = texts(&tabs);
        assert_eq!(texts(&Tabs::of(tabs.before().cloned(), tabs.behind().cloned())), before);
        assert_eq!(before.map(|texts| texts.len()), [1, 1], "{}", tabs.shown());
        assert!(tabs.close(&mut shown));
        assert_eq!((tabs.shown(), tabs.count(), shown.current().unwrap().text.as_str()), (1, 2, "a"));
        while tabs.open(&mut shown) {}
        assert_eq!(tabs.count(), MAX_TABS);
    }

    #[test]
    fn a_new_view_forgets_what_was_ahead_and_pop_closes() {
        let mut history = History::default();
        assert!(!history.back() && !history.pop() && !history.forward());
        for text in ["", "a", "b"] {
            history.push(place("acme", text));
        }
        assert!(history.back() && history.back() && !history.back());
        assert!(history.forward());
        assert_eq!(history.current().unwrap().text, "a");
        history.push(place("globex", "c"));
        assert!(!history.can_go_forward());
        assert_eq!(history.breadcrumbs(80).as_str(), "acme › a › globex: c");
        assert_eq!(history.breadcrumbs(19).as_str(), "… › a › globex: c");
        assert_eq!(history.breadcrumbs(15).as_str(), "… › globex: c");
        assert_eq!(history.breadcrumbs(5).as_str(), "… › …");
        assert!(history.pop());
        assert_eq!(history.current().unwrap().text, "a");
    }
}
