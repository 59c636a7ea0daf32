//! The histogram strip over the timeline: events of the view by time and severity, and a brush that takes a part of it.

use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::console::widgets::time_zone::Zone;
use crate::domain::{Safe, Timestamp, grouped};
use crate::store::aggregate::histogram::{Column, Strip};
use crate::store::query::Query;

/// Lines of the bars; below them is the axis.
const BARS: usize = 2;

/// Eighths of a line, from the bottom on.
const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// A column has the colour of warnings from this part of its events on: one in so many.
const MANY_WARNINGS: u64 = 10;

/// The state of the strip.
#[derive(Debug, Default)]
pub(crate) struct StripPane {
    /// The view and the number of columns that were asked for last.
    asked: Option<(Query, u32)>,
    /// What came; `None` before, and where the view is too large for it.
    strip: Option<Strip>,
    /// The view is too large for it.
    refused: bool,
    /// The columns that the brush takes: where it began, and where it is.
    brush: Option<(usize, usize)>,
}

impl StripPane {
    /// Takes note that a view of so many columns is shown. Whether its events are to be counted.
    pub(crate) fn wants(&mut self, query: &Query, columns: u16) -> bool {
        let columns = u32::from(columns);
        if columns == 0 || self.asked.as_ref().is_some_and(|(q, c)| (q, *c) == (query, columns)) {
            return false;
        }
        let same_events = self.asked.as_ref().is_some_and(|(asked, _)| asked == query);
        self.asked = Some((query.clone(), columns));
        self.brush = None;
        if !same_events {
            (self.strip, self.refused) = (None, false);
        }
        true
    }

    /// The view was opened anew: what is shown stays until its events have been counted again.
    pub(crate) fn renew(&mut self) {
        if let Some((_, columns)) = &mut self.asked {
            *columns = 0;
        }
    }

    /// Takes in the counts of the view; `None` where it is too large.
    pub(crate) fn take(&mut self, strip: Option<Strip>) {
        self.refused = strip.is_none();
        self.strip = strip.filter(|strip| !strip.columns.is_empty());
    }

    /// Whether the strip has its place on the screen: not where the view is too large for it.
    pub(crate) fn is_shown(&self) -> bool {
        !self.refused
    }

    /// The brush is in use.
    pub(crate) fn brushes(&self) -> bool {
        self.brush.is_some()
    }

    /// Begins to brush at an instant. False where there is nothing to brush.
    pub(crate) fn begin(&mut self, at: Option<Timestamp>) -> bool {
        let Some(strip) = &self.strip else { return false };
        let column = at.map_or(0, |time| strip.column_of(time));
        self.brush = Some((column, column));
        true
    }

    /// Leaves the brush.
    pub(crate) fn leave(&mut self) {
        self.brush = None;
    }

    /// Moves the end of the brush by so many columns.
    pub(crate) fn extend(&mut self, by: isize) {
        let last = self.strip.as_ref().map_or(0, |strip| strip.columns.len().saturating_sub(1));
        if let Some((_, at)) = &mut self.brush {
            *at = at.saturating_add_signed(by).min(last);
        }
    }

    /// Begins anew where the brush is.
    pub(crate) fn anchor(&mut self) {
        self.brush = self.brush.map(|(_, at)| (at, at));
    }

    /// The time that the brush takes: from an instant on, before another.
    pub(crate) fn brushed(&self) -> Option<(Timestamp, Timestamp)> {
        let (strip, (one, other)) = (self.strip.as_ref()?, self.brush?);
        Some((strip.times(one.min(other)).0, strip.times(one.max(other)).1))
    }

    /// Draws bars and axis; `selected` is the time of the selected event.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>, selected: Option<Timestamp>, zone: Zone) {
        let axis = BARS;
        painter.rule(0, axis, "─", Role::Rule);
        let Some(strip) = &self.strip else { return };
        let most = strip.columns.iter().map(|column| column.events).max().unwrap_or_default().max(1);
        for (x, column) in strip.columns.iter().enumerate() {
            for (line, sign) in cells(column.events, most).into_iter().enumerate() {
                painter.say(x, BARS - 1 - line, sign, role(column));
            }
            if column.critical > 0 {
                painter.say(x, axis, "!", Role::Critical);
            }
        }
        let at = self.brush.map(|(_, at)| at).or_else(|| selected.map(|time| strip.column_of(time)));
        self.label(painter, strip, zone, at);
        if let Some(at) = at {
            painter.say(at, axis, "▲", Role::Text);
        }
        if let Some((one, other)) = self.brush {
            let (first, columns) = (one.min(other), one.abs_diff(other) + 1);
            (0..BARS).for_each(|y| painter.mark(first, y, columns, Role::Selected));
        }
    }

    /// Writes on the axis what it spans; while it is brushed, what the brush takes.
    fn label(&self, painter: &mut Painter<'_>, strip: &Strip, zone: Zone, selected: Option<usize>) {
        let width = painter.width();
        let say = |painter: &mut Painter<'_>, x: usize, text: &str| {
            painter.put(x, BARS, &Safe::from_untrusted(text).cut_end(width.saturating_sub(x)), Role::Label)
        };
        if let (Some((since, until)), Some((one, other))) = (self.brushed(), self.brush) {
            let taken = strip.columns.get(one.min(other)..=one.max(other)).unwrap_or_default();
            let events: u64 = taken.iter().map(|column| column.events).sum();
            let events_word = if events == 1 { "event" } else { "events" };
            let text = format!(
                " {} to {} · {} {events_word} ",
                zone.minute(since),
                zone.minute(until),
                grouped(events)
            );
            let room = width.saturating_sub(text.chars().count());
            // On the side where the brush is not.
            let x = if other > strip.columns.len() / 2 { 0 } else { room };
            say(painter, x, &text);
            return;
        }
        let end = strip.times(strip.columns.len()).0;
        // Where the fewest marks are covered, each in its third of the line, as near to its end as can be.
        let is_marked =
            |x: usize| selected == Some(x) || strip.columns.get(x).is_some_and(|column| column.critical > 0);
        let covered = |x: &usize, text: &str| (*x..x + text.len()).filter(|x| is_marked(*x)).count();
        let third = width / 3;
        let first = format!("{} ", zone.minute(strip.first));
        if let Some(x) = (0..third.saturating_sub(first.len())).min_by_key(|x| covered(x, &first)) {
            say(painter, x, &first);
        }
        let last = format!(" {}", zone.minute(end));
        let places = (width - third..=width.saturating_sub(last.len())).rev();
        if let Some(x) = places.into_iter().min_by_key(|x| covered(x, &last)) {
            say(painter, x, &last);
        }
    }
}

/// The colour of a column.
fn role(column: &Column) -> Role {
    if column.critical > 0 {
        Role::CriticalBar
    } else if column.warning.saturating_mul(MANY_WARNINGS) > column.events {
        Role::WarningBar
    } else {
        Role::Label
    }
}

/// The cells of a bar, from the bottom on; never nothing for something.
fn cells(events: u64, most: u64) -> [&'static str; BARS] {
    let all = (BARS * 8) as u64;
    let eighths = if events == 0 { 0 } else { (events.saturating_mul(all) / most.max(1)).clamp(1, all) };
    let cell = |line: usize| {
        let eighths = (eighths as usize).saturating_sub(line * 8).min(8);
        EIGHTHS.get(eighths).copied().unwrap_or(" ")
    };
    [cell(0), cell(1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{OrgId, OrgScope, TimeRange};
    use crate::filter::Filter;

    #[test]
    fn a_view_is_counted_once_and_again_when_it_is_opened_anew() {
        let query = |text: &str| Query {
            scope: OrgScope::enter(OrgId::new("acme").unwrap()),
            filter: Filter::parse(text).unwrap(),
            range: TimeRange::default(),
        };
        let mut pane = StripPane::default();
        assert!(pane.wants(&query(""), 80) && !pane.wants(&query(""), 80));
        assert!(
            pane.wants(&query(""), 90) && !pane.wants(&query(""), 0),
            "of another width; never without room"
        );
        let column = Column { events: 3, warning: 0, critical: 0 };
        pane.take(Some(Strip { first: Timestamp::from_micros(0), micros: 1, columns: vec![column] }));
        pane.renew();
        assert!(pane.wants(&query(""), 90) && pane.strip.is_some(), "the picture stays meanwhile");
        assert!(pane.wants(&query("sev:crit"), 90) && pane.strip.is_none(), "another view has another one");
        pane.take(None);
        assert!(!pane.is_shown() && pane.wants(&query("sev:warn"), 90) && pane.is_shown());
    }

    #[test]
    fn a_bar_shows_eighths_and_never_nothing_for_something() {
        assert_eq!(cells(0, 100), [" ", " "]);
        assert_eq!(cells(1, 1_000_000), ["▁", " "]);
        assert_eq!(cells(50, 100), ["█", " "]);
        assert_eq!(cells(75, 100), ["█", "▄"]);
        assert_eq!(cells(u64::MAX, u64::MAX)[0], "▁", "overflow is no panic");
        assert_eq!(cells(100, 100), ["█", "█"]);
    }

    #[test]
    fn a_column_has_the_colour_of_what_is_worst_in_it() {
        let column = |events, warning, critical| role(&Column { events, warning, critical });
        assert_eq!(column(1_000, 0, 1), Role::CriticalBar);
        assert_eq!(column(10, 2, 0), Role::WarningBar);
        assert_eq!(column(1_000, 2, 0), Role::Label);
    }
}
