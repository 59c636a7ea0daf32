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
