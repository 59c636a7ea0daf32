//! Help: every key, from the keymap.

use crate::console::core::keymap::{Action, Keymap, Section};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::domain::Safe;

/// A line of help.
enum Line {
    Title(&'static str),
    Key(Safe, &'static str),
    Text(&'static str),
    Blank,
}

const NOTES: &[&str] = &[
    "Before an event: ✓ its hash is verified, ≈ in another spelling of the same values, · not checked,",
    "? cannot be checked, ✗ broken. Behind it: Δ3 three changes, – none recorded, Δ? too large to count.",
    "~ before a number: an estimate.",
    "Text from the table that could deceive a terminal is shown as an escape, such as \\x1B or \\u{202E}.",
    "To select text with the mouse, use the terminal as usual: the console leaves the mouse to it.",
];

/// All lines; the section that is in force comes first.
fn lines(keymap: &Keymap, first: Section) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut sections = [
        Section::Global,
        Section::Move,
        Section::Tree,
        Section::Editor,
        Section::Copy,
        Section::Values,
        Section::Saved,
        Section::Scope,
        Section::Levels,
        Section::Always,
    ];
    sections.sort_by_key(|section| *section != first);
    for section in sections {
        lines.push(Line::Title(section.title()));
        for action in Action::ALL.iter().filter(|a| a.section() == section) {
            let keys = Safe::from_untrusted(&keymap.keys_of(*action).join(" "));
            lines.push(Line::Key(keys, action.doc()));
        }
        lines.push(Line::Blank);
    }
    lines.extend(NOTES.iter().map(|n| Line::Text(n)));
    lines
}

/// Number of lines.
pub(crate) fn height(keymap: &Keymap) -> usize {
    lines(keymap, Section::Global).len()
}

/// Draws the lines from `top` on.
pub(crate) fn paint(painter: &mut Painter<'_>, keymap: &Keymap, first: Section, top: usize) {
    let lines = lines(keymap, first);
    let last = painter.height().saturating_sub(1);
    for (y, line) in lines.iter().skip(top).take(painter.height()).enumerate() {
        if y == last && top + painter.height() < lines.len() {
            let text = format!("… more below: {}", keymap.key(Action::PageDown));
            painter.put(1, y, &Safe::from_untrusted(&text), Role::Muted);
            return;
        }
        match line {
            Line::Title(title) => {
                painter.say(1, y, title, Role::Title);
            }
            Line::Key(keys, doc) => {
                painter.put(3, y, keys, Role::Key);
                painter.say(20, y, doc, Role::Text);
            }
            Line::Text(text) => {
                painter.say(1, y, text, Role::Muted);
            }
            Line::Blank => {}
        }
    }
}
