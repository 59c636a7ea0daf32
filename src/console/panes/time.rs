//! The line in which one says which time to go to.

use crate::console::editor::Editor;
use crate::console::paint::Painter;
use crate::console::theme::Role;
use crate::domain::{Safe, Timestamp};
use crate::filter::Filter;
use std::time::Duration;

/// The line while it is typed.
#[derive(Debug, Default)]
pub(crate) struct TimeLine {
    /// The text.
    pub(crate) editor: Editor,
    /// Why it is no time.
    trouble: Option<Safe>,
}

impl TimeLine {
    /// The time that the line says, in the language of filters; `None` when it says none: the reason is shown.
    pub(crate) fn answered(&mut self, now: Timestamp, newest: Option<Timestamp>) -> Option<Timestamp> {
        let text = self.editor.text().trim();
        let term = format!("since:\"{}\"", text.replace(['"', '\\'], ""));
        let range = Filter::parse(&term)
            .map_err(|e| e.to_string())
            .and_then(|filter| filter.range(now, newest, Duration::ZERO).map_err(|e| e.to_string()));
        match range {
            Ok(range) => range.since,
            Err(why) => {
                self.trouble = Some(Safe::from_untrusted(&why));
                None
            }
        }
    }

    /// Draws it; returns the place of the cursor.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>) -> (usize, usize) {
        let x = painter.say(1, 0, "T ", Role::Key);
        let (cursor, _) = self.editor.paint(painter, x, 0, &[], None);
        let room = painter.width().saturating_sub(2);
        match &self.trouble {
            Some(why) => painter.put(1, 1, &why.cut_end(room), Role::Error),
            None => painter.say(1, 1, "2026-01-15T09:58Z, 2026-01-15, yesterday, -3h, …", Role::Muted),
        };
        (cursor, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_filter() {
        let now = Timestamp::parse("2026-01-15T12:00:00Z").unwrap();
        let at = |text: &str| {
            let mut line = TimeLine::default();
            line.editor.paste(text);
            (line.answered(now, None).map(Timestamp::to_rfc3339), line.trouble.is_some())
        };
        let time = |text: &str| (Some(text.to_owned()), false);
        assert_eq!(at("2026-01-15T09:58Z"), time("2026-01-15T09:58:00.000000Z"));
        assert_eq!(at(" 2026-01-14 "), time("2026-01-14T00:00:00.000000Z"));
        assert_eq!(at("-3h"), time("2026-01-15T09:00:00.000000Z"));
        assert_eq!(at("soon\" OR x"), (None, true));
        assert_eq!(at(""), (None, true));
    }
}
