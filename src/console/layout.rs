//! Where everything is: a pure function of the size of the screen and a few wishes.

use ratatui::layout::Rect;

/// From this many columns on, timeline and event stand side by side.
const TWO_PANES: u16 = 110;

/// The pane that has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Focus {
    /// The list of events.
    #[default]
    Timeline,
    /// The event.
    Event,
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
    /// The line between two panes.
    pub(crate) divider: Option<Rect>,
    /// Title line and fields of the event.
    pub(crate) event: Option<Rect>,
    /// Breadcrumbs and what is going on.
    pub(crate) status: Rect,
    /// Last line: keys.
    pub(crate) footer: Rect,
}

/// Lays out a screen of `width` × `height`. Rows of events come first; on small screens header, footer, filter and
/// status line give way in the reverse of this order.
pub(crate) fn areas(width: u16, height: u16, filter_height: u16, focus: Focus, zoomed: bool) -> Areas {
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
    let status = take(1, 4);
    let line = |y: u16, lines: u16| Rect { x: 0, y, width, height: lines };
    let body = line(header + filter, rest);
    let (mut timeline, mut divider, mut event) = (None, None, None);
    if width >= TWO_PANES && !zoomed {
        let left = width * 3 / 5;
        timeline = Some(Rect { width: left, ..body });
        divider = Some(Rect { x: left, width: 1, ..body });
        event = Some(Rect { x: left + 1, width: width - left - 1, ..body });
    } else if focus == Focus::Event {
        event = Some(body);
    } else {
        timeline = Some(body);
    }
    Areas {
        header: line(0, header),
        filter: line(header, filter),
        timeline,
        divider,
        event,
        status: line(header + filter + rest, status),
        footer: line(header + filter + rest + status, footer),
    }
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
        for width in 0..250 {
            for height in 0..70 {
                for (filter, focus, zoomed) in
                    [(1, Focus::Timeline, false), (3, Focus::Event, false), (1, Focus::Event, true)]
                {
                    let a = areas(width, height, filter, focus, zoomed);
                    let body = a.timeline.or(a.event).unwrap();
                    let lines =
                        a.header.height + a.filter.height + body.height + a.status.height + a.footer.height;
                    assert_eq!(lines, height);
                    assert_eq!(a.footer.y + a.footer.height, height);
                    if let (Some(t), Some(d), Some(e)) = (a.timeline, a.divider, a.event) {
                        assert_eq!(t.width + d.width + e.width, width);
                        assert_eq!((d.x, e.x), (t.width, t.width + 1));
                    }
                    assert!(body.height > 0 || height == 0 || filter == 3);
                }
            }
        }
    }
}
