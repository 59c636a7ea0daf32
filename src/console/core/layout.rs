//! Where everything is: a pure function of the size of the screen and a few wishes.

use ratatui::layout::Rect;

/// From this many columns on, the timeline and one pane about the selected event stand side by side.
const TWO_PANES: u16 = 110;

/// From this many columns on, all panes about the selected event stand beside the timeline.
const ALL_PANES: u16 = 160;

/// What the timeline should have beside a pane: what it has on an ordinary terminal.
const TIMELINE: u16 = 80;

/// With fewer lines than this between them, three panes one above the other show nothing of use.
const ALL_PANES_HEIGHT: u16 = 20;

/// The same where they are narrow, and their lines broken.
const ALL_NARROW_PANES_HEIGHT: u16 = 30;

/// Lines, title included, below which a pane that has more to show is not made for the sake of another.
const LEAST: u16 = 6;

/// From this many lines of the screen on, a strip stands above the timeline.
const STRIP_FROM: u16 = 30;

/// Lines of rows that the status line leaves: where there are fewer, what it says stands over the keys.
const STATUS_ABOVE: u16 = 9;

/// Lines of the strip.
const STRIP: u16 = 3;

/// A pane, or the one that has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Focus {
    /// The list of events.
    #[default]
    Timeline,
    /// What the event changed.
    Change,
    /// What is known of the event's integrity.
    Integrity,
    /// The event.
    Event,
}

impl Focus {
    /// All panes, in the order of their numbers and of Tab.
    pub(crate) const ALL: [Self; 4] = [Self::Timeline, Self::Change, Self::Integrity, Self::Event];

    /// The pane `by` places further round.
    pub(crate) fn next(self, by: isize) -> Self {
        let count = Self::ALL.len() as isize;
        let at = (self as isize + by).rem_euclid(count);
        Self::ALL.get(at as usize).copied().unwrap_or_default()
    }
}

/// What the layout depends on besides the size of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Lines of the filter; more than one while it is edited, or its command is shown.
    pub(crate) filter_height: u16,
    /// The pane that has the keys.
    pub(crate) focus: Focus,
    /// The pane about the event that had them last.
    pub(crate) detail: Focus,
    /// The pane that has the keys has the whole screen.
    pub(crate) zoomed: bool,
    /// Lines that change and event could fill, without title.
    pub(crate) needed: [usize; 2],
    /// There is a histogram to show, or one may come.
    pub(crate) strip: bool,
}

/// Areas of the screen; those without room are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Areas {
    /// First line: where we are.
    pub(crate) header: Rect,
    /// The filter line.
    pub(crate) filter: Rect,
    /// Title line and rows of the timeline.
    pub(crate) timeline: Option<Rect>,
    /// The histogram strip above the timeline.
    pub(crate) strip: Option<Rect>,
    /// The line between the timeline and what is beside it.
    pub(crate) divider: Option<Rect>,
    /// Title line and text of the change.
    pub(crate) change: Option<Rect>,
    /// Title line and text about the integrity.
    pub(crate) integrity: Option<Rect>,
    /// Title line and fields of the event.
    pub(crate) event: Option<Rect>,
    /// Breadcrumbs and what is going on.
    pub(crate) status: Rect,
    /// Last line: keys.
    pub(crate) footer: Rect,
}

impl Areas {
    /// Where a pane is, if it is on the screen.
    pub(crate) fn of(&self, pane: Focus) -> Option<Rect> {
        match pane {
            Focus::Timeline => self.timeline,
            Focus::Change => self.change,
            Focus::Integrity => self.integrity,
            Focus::Event => self.event,
        }
    }

    /// Where all panes are, between the filter and the status line.
    pub(crate) fn body(&self) -> Rect {
        let y = self.filter.y + self.filter.height;
        Rect { y, height: self.status.y.saturating_sub(y), ..self.filter }
    }

    /// Takes lines for the strip from the timeline, if it is there.
    fn put_strip(&mut self, lines: u16) {
        if let Some(timeline) = self.timeline.as_mut().filter(|_| lines > 0) {
            self.strip = Some(Rect { height: lines, ..*timeline });
            *timeline = Rect { y: timeline.y + lines, height: timeline.height - lines, ..*timeline };
        }
    }

    fn set(&mut self, pane: Focus, area: Rect) {
        let place = match pane {
            Focus::Timeline => &mut self.timeline,
            Focus::Change => &mut self.change,
            Focus::Integrity => &mut self.integrity,
            Focus::Event => &mut self.event,
        };
        *place = Some(area);
    }

    /// Stacks the panes about the event: integrity has a few lines, change and event share the rest by what they could
    /// fill; the one that has the keys comes first.
    fn stack(&mut self, column: Rect, wish: Wish) {
        let (height, few) = (column.height, (column.height / 5).clamp(4, 12));
        let integrity = match wish.focus {
            Focus::Timeline => few,
            Focus::Integrity => few.max(height / 2),
            Focus::Change | Focus::Event => few.min(4),
        };
        let rest = height - integrity;
        let [change, event] =
            wish.needed.map(|lines| u16::try_from(lines + 1).unwrap_or(u16::MAX).max(LEAST));
        // Where both want more than there is, each has half, or the one with the keys nearly all.
        let floor = match wish.focus {
            Focus::Change => rest.saturating_sub(LEAST),
            Focus::Event => LEAST.min(rest),
            Focus::Timeline | Focus::Integrity => rest / 2,
        };
        let change = change.min(floor.max(rest.saturating_sub(event)));
        let event = rest - change;
        let mut y = column.y;
        for (pane, height) in [(Focus::Change, change), (Focus::Integrity, integrity), (Focus::Event, event)]
        {
            self.set(pane, Rect { y, height, ..column });
            y += height;
        }
    }
}

/// Lays out a screen of `width` × `height`. Rows of events come first; on small screens header, footer, filter and
/// status line give way in the reverse of this order. Where there is no room for all panes, the one with the keys is
/// there, and beside the timeline the last one that had them.
pub(crate) fn areas(width: u16, height: u16, wish: Wish) -> Areas {
    let Wish { filter_height, focus, detail, zoomed, .. } = wish;
    let mut rest = height;
    let mut take = |wanted: u16, leave: u16| {
        let taken = if rest >= wanted + leave { wanted } else { 0 };
        rest -= taken;
        taken
    };
    // While the filter is edited, its line must be seen.
    let editing = filter_height > 1;
    let first_filter = if editing { take(1, 0) } else { 0 };
    let header = take(1, 3);
    let footer = take(1, 3);
    let filter = if editing { first_filter + take(filter_height - 1, 2) } else { take(1, 4) };
    let status = take(1, STATUS_ABOVE);
    let line = |y: u16, lines: u16| Rect { x: 0, y, width, height: lines };
    let body = line(header + filter, rest);
    let mut areas = Areas {
        header: line(0, header),
        filter: line(header, filter),
        status: line(header + filter + rest, status),
        footer: line(header + filter + rest + status, footer),
        ..Areas::default()
    };
    let strip = if height >= STRIP_FROM && wish.strip { STRIP } else { 0 };
    if width < TWO_PANES || zoomed {
        areas.set(focus, body);
        areas.put_strip(strip);
        return areas;
    }
    let left = (width * 3 / 5).max(TIMELINE.min(width * 2 / 3));
    areas.timeline = Some(Rect { width: left, ..body });
    areas.divider = Some(Rect { x: left, width: 1, ..body });
    let column = Rect { x: left + 1, width: width - left - 1, ..body };
    let least = if width >= ALL_PANES { ALL_PANES_HEIGHT } else { ALL_NARROW_PANES_HEIGHT };
    if body.height >= least {
        areas.stack(column, wish);
    } else {
        areas.set(detail, column);
    }
    areas.put_strip(strip);
    areas
}

/// The part of a pane below its title; without a title where there is one line only.
pub(crate) fn below_title(pane: Rect) -> Rect {
    if pane.height > 1 { Rect { y: pane.y + 1, height: pane.height - 1, ..pane } } else { pane }
}

/// A box in the middle of the screen for what lies on top.
pub(crate) fn centered(width: u16, height: u16, wanted_width: u16, wanted_height: u16) -> Rect {
    let (w, h) = (wanted_width.min(width), wanted_height.min(height));
    Rect { x: (width - w) / 2, y: (height - h) / 2, width: w, height: h }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_tile_every_screen() {
        let wish = |filter_height, focus, zoomed| Wish {
            filter_height,
            focus,
            detail: Focus::Event,
            zoomed,
            needed: [9, 30],
            strip: true,
        };
        for width in 0..250 {
            for height in 0..70 {
                for wish in [
                    wish(1, Focus::Timeline, false),
                    wish(3, Focus::Event, false),
                    wish(1, Focus::Event, true),
                ] {
                    let a = areas(width, height, wish);
                    let body = a.of(wish.focus).unwrap();
                    let strip = a.strip.map_or(0, |strip| strip.height);
                    assert_eq!(strip, if height >= 30 && a.timeline.is_some() { 3 } else { 0 });
                    let own = a.timeline.unwrap_or(body).height + strip;
                    let body = Rect { height: own, ..body };
                    let lines =
                        a.header.height + a.filter.height + body.height + a.status.height + a.footer.height;
                    assert_eq!(lines, height);
                    assert_eq!(a.footer.y + a.footer.height, height);
                    if let (Some(t), Some(d)) = (a.timeline, a.divider) {
                        let beside: Vec<Rect> = Focus::ALL[1..].iter().filter_map(|p| a.of(*p)).collect();
                        assert!(beside.iter().all(|b| t.width + d.width + b.width == width));
                        assert!(beside.iter().all(|b| (d.x, b.x) == (t.width, t.width + 1)));
                        assert_eq!(beside.iter().map(|b| b.height).sum::<u16>(), t.height + strip);
                        assert!(beside.windows(2).all(|w| w[0].y + w[0].height == w[1].y));
                    }
                    assert!(body.height > 0 || height == 0 || wish.filter_height == 3);
                }
            }
        }
    }

    #[test]
    fn as_many_panes_as_there_is_room_for() {
        let shown = |width, height, focus, zoomed| {
            let a = areas(
                width,
                height,
                Wish { filter_height: 1, focus, detail: Focus::Change, zoomed, needed: [9, 30], strip: true },
            );
            Focus::ALL.map(|pane| a.of(pane).is_some())
        };
        assert_eq!(shown(80, 24, Focus::Timeline, false), [true, false, false, false]);
        assert_eq!(shown(80, 24, Focus::Integrity, false), [false, false, true, false]);
        assert_eq!(shown(120, 30, Focus::Timeline, false), [true, true, false, false]);
        assert_eq!(shown(120, 40, Focus::Timeline, false), [true; 4]);
        assert_eq!(shown(160, 40, Focus::Timeline, false), [true; 4]);
        assert_eq!(shown(200, 20, Focus::Timeline, false), [true, true, false, false]);
        assert_eq!(shown(200, 60, Focus::Change, true), [false, true, false, false]);
    }

    #[test]
    fn panes_above_each_other_share_by_what_they_need() {
        let heights = |focus, needed| {
            let wish =
                Wish { filter_height: 1, focus, detail: Focus::Change, zoomed: false, needed, strip: true };
            let a = areas(120, 40, wish);
            [a.change, a.integrity, a.event].map(|pane| pane.unwrap().height)
        };
        // 36 lines: integrity has a fifth; what change does not need, the event has, and the reverse.
        assert_eq!(heights(Focus::Timeline, [5, 40]), [6, 7, 23]);
        assert_eq!(heights(Focus::Timeline, [40, 9]), [19, 7, 10]);
        assert_eq!(heights(Focus::Timeline, [40, 40]), [14, 7, 15]);
        assert_eq!(heights(Focus::Timeline, [0, 9]), [6, 7, 23]);
        assert_eq!(heights(Focus::Integrity, [40, 40]), [9, 18, 9]);
        assert_eq!(heights(Focus::Event, [40, 40]), [6, 4, 26]);
        assert_eq!(heights(Focus::Event, [40, 9]), [22, 4, 10]);
        assert_eq!(heights(Focus::Change, [40, 40]), [26, 4, 6]);
        assert_eq!(heights(Focus::Change, [5, 40]), [6, 4, 26]);
    }

    #[test]
    fn tab_goes_round() {
        let way: Vec<Focus> = (0..5).map(|n| Focus::Timeline.next(n)).collect();
        assert_eq!(way[..4], Focus::ALL);
        assert_eq!(way[4], Focus::Timeline);
        assert_eq!(Focus::Timeline.next(-1), Focus::Event);
    }
}
