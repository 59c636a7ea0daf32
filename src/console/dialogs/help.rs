//! Help: what marks and colours mean, and every key, from the keymap. What belongs to the present context comes first.

use crate::console::core::keymap::{Action, Context, Keymap, Section};
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::integrity::row_marks::Mark;
use crate::console::timeline::elapsed;
use crate::console::widgets::painter::Painter;
use crate::console::widgets::prompt::Prompt;
use crate::console::widgets::scrolling::lines_of;
use crate::console::widgets::text_input::Editor;
use crate::console::widgets::theme::Role;
use crate::domain::Safe;

/// Most columns of the frame: longer lines are no easier to read.
const WIDEST: u16 = 132;
/// From this many columns on, two columns stand side by side.
const TWO_COLUMNS: usize = 96;
/// Column at which keys and marks begin.
const KEYS: usize = 3;
/// Column at which their meaning begins.
const MEANING: usize = 19;

/// What stands under one heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Filters, searches, places.
    Find,
    /// Panes and what they show of an event.
    Read,
    /// The versions of a resource.
    History,
    /// Verification and findings.
    Prove,
    /// What is said of events.
    Case,
    /// The view as a whole, and the screen.
    View,
    /// Texts for the clipboard.
    Copy,
    /// What signs and colours mean.
    Legend,
    /// A section of the keymap.
    Keys(Section),
}

impl Group {
    /// All of them, in the order of help.
    const ALL: [Self; 21] = [
        Self::Legend,
        Self::Find,
        Self::Read,
        Self::History,
        Self::Prove,
        Self::Case,
        Self::View,
        Self::Copy,
        Self::Keys(Section::Move),
        Self::Keys(Section::Editor),
        Self::Keys(Section::Tree),
        Self::Keys(Section::Values),
        Self::Keys(Section::Columns),
        Self::Keys(Section::Brush),
        Self::Keys(Section::Tasks),
        Self::Keys(Section::Saved),
        Self::Keys(Section::Export),
        Self::Keys(Section::Scope),
        Self::Keys(Section::Levels),
        Self::Keys(Section::Confirm),
        Self::Keys(Section::Always),
    ];

    const fn title(self) -> &'static str {
        match self {
            Self::Find => "Find",
            Self::Read => "Read",
            Self::History => "History of a resource",
            Self::Prove => "Prove",
            Self::Case => "Case",
            Self::View => "View",
            Self::Copy => "Copy",
            Self::Legend => "Marks and colours",
            Self::Keys(section) => section.title(),
        }
    }

    fn actions(self) -> Vec<Action> {
        use Action as A;
        let of = |section| Action::ALL.iter().copied().filter(move |a: &Action| a.section() == section);
        match self {
            Self::Find => vec![
                A::Filter,
                A::Search,
                A::NextHit,
                A::PreviousHit,
                A::NextCritical,
                A::PreviousCritical,
                A::NextWarning,
                A::PreviousWarning,
                A::NextOfSession,
                A::PreviousOfSession,
                A::NextGap,
                A::PreviousGap,
                A::Include,
                A::Exclude,
                A::Widen,
                A::Pivot,
                A::Surroundings,
                A::Time,
                A::Organization,
            ],
            Self::Read => vec![
                A::Timeline,
                A::Change,
                A::Integrity,
                A::Event,
                A::NextEvent,
                A::PreviousEvent,
                A::Layout,
                A::Tree,
                A::Mark,
                A::Compare,
            ],
            Self::History => {
                vec![A::PreviousVersion, A::NextVersion, A::FirstVersion, A::LastVersion, A::Blame, A::State]
            }
            Self::Prove => vec![
                A::Verify,
                A::VerifyAll,
                A::Pause,
                A::Throttle,
                A::NextFinding,
                A::PreviousFinding,
                A::Findings,
                A::Accept,
                A::Ghosts,
            ],
            Self::Case => {
                vec![
                    A::Bookmark,
                    A::Note,
                    A::Tag,
                    A::Verdict,
                    A::NextBookmark,
                    A::PreviousBookmark,
                    A::Case,
                    A::Export,
                ]
            }
            Self::View => vec![
                A::Histogram,
                A::Brush,
                A::Columns,
                A::ColumnsRight,
                A::ColumnsLeft,
                A::Runs,
                A::Summary,
                A::Plan,
                A::Tasks,
                A::Zone,
                A::Mask,
                A::Zoom,
                A::NextPane,
                A::PreviousPane,
                A::Back,
                A::Forward,
                A::NewTab,
                A::NextTab,
                A::PreviousTab,
                A::Refresh,
                A::Palette,
                A::Help,
                A::Quit,
            ],
            Self::Copy => [A::Copy].into_iter().chain(of(Section::Copy)).collect(),
            Self::Legend => Vec::new(),
            Self::Keys(section) => of(section).collect(),
        }
    }
}

/// Signs besides the marks of the gutter: the sign, how it looks, what it means.
const SIGNS: [(&str, Role, &str); 19] = [
    ("CRIT", Role::Critical, "severity critical"),
    ("WARN", Role::Warning, "severity warning"),
    ("info", Role::Info, "severity info; other words stand as stored"),
    ("◆", Role::Notice, "marked, for comparison or verification"),
    ("★ ✎ #", Role::Notice, "bookmark, note, tag or verdict"),
    ("Δ3", Role::Text, "three changes, noise not counted"),
    ("–", Role::Muted, "no state recorded"),
    ("Δ?", Role::Muted, "too large to count in passing"),
    ("+", Role::Added, "value added"),
    ("-", Role::Removed, "value removed"),
    ("~", Role::Changed, "value changed; before a number: an estimate"),
    ("\\x1B", Role::Text, "character that could deceive a terminal, escaped"),
    ("A B", Role::Key, "which of several actors or resources of the filter"),
    ("!", Role::Critical, "below a bar of the strip: critical events; many warnings colour it"),
    (
        elapsed::GAP,
        Role::Notice,
        "behind the time: a gap before this event, of a minute or more and 20 times what is usual near it",
    ),
    (
        elapsed::BURST,
        Role::Label,
        "behind the time: a burst, five or more events 20 times as fast as is usual around",
    ),
    ("svc: sys:", Role::Text, "actor is a service, the system"),
    ("‹ ›", Role::Muted, "what an id or a network is called in your labels.csv; not part of the record"),
    ("▒", Role::Text, "covered by the mask; on the screen only"),
];

const MOUSE: &str =
    "To select text with the mouse, use the terminal as usual: the console leaves the mouse to it.";

/// A line of help.
#[derive(Debug, Clone)]
enum Line {
    Title(&'static str),
    /// Keys or a mark, with its role, and what it means; the first is empty where the meaning goes on.
    Meaning(Safe, Role, Safe),
    Text(Safe),
    Blank,
}

/// Help while it is open.
#[derive(Debug)]
pub(crate) struct Help {
    /// What comes first.
    first: &'static [Group],
    /// The first line shown.
    top: usize,
    /// Words that lines must have.
    pub(crate) prompt: Prompt,
    /// The words are being typed.
    pub(crate) typing: bool,
}

impl Help {
    /// Help in a context, of which `first` are the groups.
    pub(crate) fn new(first: &'static [Group]) -> Self {
        Self { first, top: 0, prompt: Prompt::new("/ ", ""), typing: false }
    }

    /// Columns and lines of the frame on a screen of a size.
    fn size(&self, keymap: &Keymap, size: (u16, u16)) -> (u16, u16) {
        let width = size.0.min(WIDEST);
        // As high without words, so that nothing jumps while they are typed.
        let lines = self.columns(keymap, usize::from(width.saturating_sub(2)), "");
        let height = lines.iter().map(Vec::len).max().unwrap_or_default() + 2;
        (width, u16::try_from(height).unwrap_or(u16::MAX))
    }

    /// Answers a key; false for one that closes help.
    pub(crate) fn act(&mut self, action: Action, keymap: &Keymap, size: (u16, u16)) -> bool {
        match action {
            Action::Submit => self.typing = false,
            Action::Leave | Action::Cancel if self.typing || !self.prompt.text().is_empty() => {
                self.typing = false;
                self.prompt.editor.set("");
            }
            Action::Clear => self.prompt.editor.set(""),
            Action::Search => self.typing = true,
            _ if self.typing => {}
            _ => {
                let (width, height) = self.size(keymap, size);
                let inside = usize::from(height.min(size.1).saturating_sub(2 + u16::from(self.has_line())));
                // The last line of a page that is not the last says that there is more.
                let Some(by) = lines_of(action, inside.saturating_sub(1)) else { return false };
                let lines = self.lines(keymap, usize::from(width.saturating_sub(2)));
                self.top = self.top.saturating_add_signed(by).min(lines.saturating_sub(inside));
            }
        }
        true
    }

    /// Whether the words have a line.
    fn has_line(&self) -> bool {
        self.typing || !self.prompt.text().is_empty()
    }

    /// Number of lines inside a frame.
    fn lines(&self, keymap: &Keymap, width: usize) -> usize {
        self.columns(keymap, width, self.prompt.text()).iter().map(Vec::len).max().unwrap_or_default()
    }

    /// The lines that have all words, in one column or two.
    fn columns(&self, keymap: &Keymap, width: usize, words: &str) -> Vec<Vec<Line>> {
        let two = width >= TWO_COLUMNS;
        let room = if two { width / 2 } else { width };
        let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
        let rest = Group::ALL.into_iter().filter(|group| !self.first.contains(group));
        let blocks: Vec<Vec<Line>> = self
            .first
            .iter()
            .copied()
            .chain(rest)
            .map(|group| block(group, keymap, room, &words))
            .filter(|block| !block.is_empty())
            .collect();
        let half = if two { blocks.iter().map(Vec::len).sum::<usize>().div_ceil(2) } else { usize::MAX };
        let mut columns = vec![Vec::new()];
        for block in blocks {
            let full = columns.last().is_some_and(|column: &Vec<Line>| column.len() + block.len() / 2 > half);
            if full && columns.len() == 1 {
                columns.push(Vec::new());
            }
            if let Some(column) = columns.last_mut() {
                column.extend(block);
            }
        }
        columns
    }
}

impl Dialog for Help {
    fn context(&self) -> Context {
        if self.typing { Context::Editor } else { Context::Pane }
    }

    fn editor_mut(&mut self) -> Option<&mut Editor> {
        self.typing.then_some(&mut self.prompt.editor)
    }

    fn frame(&self, stage: &Stage<'_>) -> Frame {
        let (columns, lines) = self.size(stage.keymap, stage.size);
        Frame { title: " Help ", columns, lines }
    }

    fn hints(&self) -> Option<&'static [Action]> {
        (!self.typing).then_some(&[
            Action::Search,
            Action::Cancel,
            Action::Down,
            Action::Up,
            Action::PageDown,
        ])
    }

    fn draw(&self, painter: &mut Painter<'_>, stage: &Stage<'_>) -> Option<Cursor> {
        let keymap = stage.keymap;
        let first = usize::from(self.has_line());
        let cursor = self.has_line().then(|| self.prompt.paint_line(painter, 0)).filter(|_| self.typing);
        let columns = self.columns(keymap, painter.width(), self.prompt.text());
        let lines = columns.iter().map(Vec::len).max().unwrap_or_default();
        if lines == 0 {
            painter.say(1, first, "no key and no mark has these words", Role::Muted);
        }
        let room = painter.height().saturating_sub(first);
        let top = self.top.min(lines.saturating_sub(room));
        let more = top + room < lines;
        let shown = if more { room.saturating_sub(1) } else { room };
        for (x, column) in [0, painter.width() / 2].into_iter().zip(&columns) {
            for (y, line) in column.iter().skip(top).take(shown).enumerate() {
                let y = first + y;
                match line {
                    Line::Title(title) => {
                        painter.say(x + 1, y, title, Role::Title);
                    }
                    Line::Meaning(sign, role, meaning) => {
                        painter.put(x + KEYS, y, sign, *role);
                        painter.put(x + MEANING, y, meaning, Role::Text);
                    }
                    Line::Text(text) => {
                        painter.put(x + 1, y, text, Role::Muted);
                    }
                    Line::Blank => {}
                }
            }
        }
        if more {
            let (page, search) = (keymap.key(Action::PageDown), keymap.key(Action::Search));
            let text = format!("… more below: {page} · {search} searches in help");
            painter.put(1, first + shown, &Safe::from_untrusted(&text), Role::Muted);
        }
        cursor
    }
}

/// The lines of a group that have all words, with its heading; nothing without any. Words of the heading have all.
fn block(group: Group, keymap: &Keymap, room: usize, words: &[String]) -> Vec<Line> {
    let title = group.title().to_lowercase();
    let has = |text: &str| {
        let text = text.to_lowercase();
        words.iter().all(|word| title.contains(word) || text.contains(word))
    };
    let mut lines = vec![Line::Title(group.title())];
    for action in group.actions() {
        let keys = keymap.keys_of(action).join(" ");
        if has(&format!("{keys} {} {}", action.doc(), action.synonyms())) {
            meaning(&mut lines, room, Safe::from_untrusted(&keys), Role::Key, action.doc());
        }
    }
    if group == Group::Legend {
        let marks = Mark::ALL.into_iter().map(|mark| (mark.sign(), mark.role(), mark.word()));
        for (sign, role, text) in marks.chain(SIGNS).filter(|(sign, _, text)| has(&format!("{sign} {text}")))
        {
            meaning(&mut lines, room, Safe::literal(sign), role, text);
        }
        if has(MOUSE) {
            let text = Safe::literal(MOUSE);
            lines.extend(text.wrapped_words(room.saturating_sub(2).max(1), 0).into_iter().map(Line::Text));
        }
    }
    if lines.len() == 1 {
        return Vec::new();
    }
    lines.push(Line::Blank);
    lines
}

/// Keys or a mark, and their meaning on as many lines as it needs.
fn meaning(lines: &mut Vec<Line>, room: usize, sign: Safe, role: Role, text: &'static str) {
    let mut sign = Some(sign);
    // Keys that are too many for their column have a line of their own.
    if let Some(wide) = sign.take_if(|sign| KEYS + sign.width() >= MEANING) {
        lines.push(Line::Meaning(wide, role, Safe::default()));
    }
    for part in Safe::literal(text).wrapped_words(room.saturating_sub(MEANING + 1).max(1), 0) {
        lines.push(Line::Meaning(sign.take().unwrap_or_default(), role, part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_stands_under_one_heading() {
        let mut all: Vec<Action> = Group::ALL.into_iter().flat_map(Group::actions).collect();
        all.sort_unstable();
        let mut wanted = Action::ALL.to_vec();
        wanted.sort_unstable();
        assert_eq!(all, wanted);
    }

    #[test]
    fn no_line_is_wider_than_its_column() {
        let keymap = Keymap::shipped().unwrap();
        for width in [40, 78, 95, 96, 118, 130] {
            let columns = Help::new(&[]).columns(&keymap, width, "");
            assert_eq!(columns.len(), if width < TWO_COLUMNS { 1 } else { 2 });
            for line in columns.iter().flatten() {
                if let Line::Meaning(_, _, text) = line {
                    assert!(MEANING + text.width() < width / columns.len(), "{width}: {text}");
                }
            }
        }
    }

    #[test]
    fn words_leave_the_lines_that_have_them() {
        let keymap = Keymap::shipped().unwrap();
        let found = |words: &str| {
            let columns = Help::new(&[]).columns(&keymap, 78, words);
            columns.into_iter().flatten().filter(|line| matches!(line, Line::Meaning(..))).count()
        };
        assert_eq!(found("no such words"), 0);
        assert_eq!(found("speed limit"), 1, "in any order");
        assert_eq!(found("timezone"), 1, "synonyms, too");
        assert_eq!(found("history of a resource"), 6, "a heading has its lines");
    }
}
