//! Lines by which a movement scrolls.

use crate::console::core::keymap::Action;

/// Lines that a movement scrolls in a text of which `height` lines are seen; `None` for other actions.
pub(in crate::console) fn lines_of(action: Action, height: usize) -> Option<isize> {
    let page = height.max(1) as isize;
    Some(match action {
        Action::Down => 1,
        Action::Up => -1,
        Action::PageDown => page,
        Action::PageUp => -page,
        Action::HalfDown => (page / 2).max(1),
        Action::HalfUp => -(page / 2).max(1),
        Action::First => isize::MIN,
        Action::Last => isize::MAX,
        _ => return None,
    })
}

/// The next of some lines, in ascending order, beyond `at`, or before it. `None` when there is none further on.
pub(in crate::console) fn next_line(lines: &[usize], at: isize, back: bool) -> Option<usize> {
    if back {
        lines.iter().rev().copied().find(|line| (*line as isize) < at)
    } else {
        lines.iter().copied().find(|line| *line as isize > at)
    }
}

/// The first line to be seen, of `height`, once `line` is gone to: one that was out of sight comes to the middle, so that
/// its surroundings are seen.
pub(in crate::console) fn brought_into_sight(top: usize, line: usize, height: usize) -> usize {
    if (top..top + height).contains(&line) { top } else { line.saturating_sub(height / 2) }
}
