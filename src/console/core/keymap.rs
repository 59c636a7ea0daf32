//! Which key does what: the keymap as shipped, and the pages made from it.

pub use crate::console::core::actions::{Action, Section};
use crate::domain::nearest;
use crokey::{KeyCombination, KeyCombinationFormat};
use crossterm::event::KeyEvent;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use toml::Spanned;

/// The keys as shipped.
const DEFAULT: &str = include_str!("../../../assets/keymap.toml");

/// What the keys mean at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// A pane, or help, has the keys.
    Pane,
    /// A tree has the keys.
    Tree,
    /// A list to choose from has the keys.
    Chooser,
    /// A line of text has the keys.
    Editor,
    /// A text to copy is chosen.
    Copy,
    /// A value of an event is chosen.
    Values,
    /// The columns of the timeline are chosen.
    Columns,
    /// A part of the histogram strip is selected.
    Brush,
    /// The tasks have the keys.
    Tasks,
    /// A saved filter is chosen.
    Saved,
    /// What is exported is chosen.
    Export,
    /// The scope of a search for ghost changes is chosen.
    Scope,
    /// The depth of a tree is chosen.
    Levels,
    /// A question is open.
    Confirm,
}

impl Context {
    /// The sections in force.
    const fn sections(self) -> &'static [Section] {
        match self {
            Self::Pane => &[Section::Always, Section::Move, Section::Global],
            Self::Tree => &[Section::Always, Section::Tree, Section::Move, Section::Global],
            Self::Chooser => &[Section::Always, Section::Move],
            Self::Editor => &[Section::Always, Section::Editor],
            Self::Copy => &[Section::Always, Section::Copy],
            Self::Values => &[Section::Always, Section::Values, Section::Move],
            Self::Columns => &[Section::Always, Section::Columns, Section::Move],
            Self::Brush => &[Section::Always, Section::Brush, Section::Move],
            Self::Tasks => &[Section::Always, Section::Tasks, Section::Move, Section::Global],
            Self::Saved => &[Section::Always, Section::Saved, Section::Move],
            Self::Export => &[Section::Always, Section::Export, Section::Move],
            Self::Scope => &[Section::Always, Section::Scope, Section::Move],
            Self::Levels => &[Section::Always, Section::Levels, Section::Move],
            Self::Confirm => &[Section::Always, Section::Confirm],
        }
    }
}

/// Why a keymap is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct KeymapError {
    /// Line of the file, from 1 on.
    pub line: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a keymap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file is no TOML of sections, actions and lists of keys.
    #[error("the keymap cannot be read: {0}")]
    Syntax(String),
    /// A section or action that does not exist.
    #[error("the keymap has no {kind} '{name}'; did you mean '{nearest}'?")]
    Unknown {
        /// `section` or `action`.
        kind: &'static str,
        /// What stands there.
        name: String,
        /// What is most like it.
        nearest: &'static str,
    },
    /// A text that names no key.
    #[error("'{key}' of the action '{action}' is not a key")]
    Key {
        /// What stands there.
        key: String,
        /// Whose key it is.
        action: &'static str,
    },
    /// A key that reaches a program as another one.
    #[error(
        "'{key}' of the action '{action}' reaches a program as '{sent}': terminals do not tell them apart"
    )]
    Alike {
        /// What stands there.
        key: String,
        /// Whose key it is.
        action: &'static str,
        /// The key that terminals send.
        sent: &'static str,
    },
    /// A character that could not be typed any more.
    #[error("'{key}' of the action '{action}' could not be typed any more; use a key with ctrl-")]
    Typed {
        /// What stands there.
        key: String,
        /// Whose key it is.
        action: &'static str,
    },
    /// One key for two actions that are in force together.
    #[error("the key '{key}' belongs to both '{first}' and '{second}'")]
    Duplicate {
        /// The key.
        key: String,
        /// The action named first.
        first: &'static str,
        /// The other one.
        second: &'static str,
    },
}

/// Which key does what.
#[derive(Debug, Clone)]
pub struct Keymap {
    keys: Vec<(Section, KeyCombination, Action)>,
    format: KeyCombinationFormat,
}

impl Keymap {
    /// The keys as shipped.
    ///
    /// # Errors
    /// Never in a tested build; the file is checked by a test.
    pub fn shipped() -> Result<Self, KeymapError> {
        let format = KeyCombinationFormat::default().with_implicit_shift();
        Self { keys: Vec::new(), format }.with(DEFAULT)
    }

    /// The same with the keys of a text in the form of `assets/keymap.toml`, which are added to those of their actions.
    ///
    /// # Errors
    /// [`KeymapError`] names the line: unknown names with the nearest one, texts that are no key, keys that a terminal
    /// sends for another one, characters that are typed, keys of two actions.
    pub fn with(mut self, text: &str) -> Result<Self, KeymapError> {
        type Actions = BTreeMap<Spanned<String>, Vec<Spanned<String>>>;
        let line = |at: usize| text.get(..at).unwrap_or(text).matches('\n').count() + 1;
        let table: BTreeMap<Spanned<String>, Actions> = toml::from_str(text).map_err(|e| KeymapError {
            line: line(e.span().map_or(0, |span| span.start)),
            fault: Fault::Syntax(e.message().to_owned()),
        })?;
        for (name, entries) in table {
            let at = |name: &Spanned<String>| line(name.span().start);
            let section = find("section", name.as_ref(), &Section::ALL, Section::name)
                .map_err(|fault| KeymapError { line: at(&name), fault })?;
            let known: Vec<Action> = Action::ALL.iter().copied().filter(|a| a.section() == section).collect();
            for (name, texts) in entries {
                let action = find("action", name.as_ref(), &known, Action::name)
                    .map_err(|fault| KeymapError { line: at(&name), fault })?;
                for text in texts {
                    self.add(section, action, text.as_ref())
                        .map_err(|fault| KeymapError { line: at(&text), fault })?;
                }
            }
        }
        Ok(self)
    }

    fn add(&mut self, section: Section, action: Action, text: &str) -> Result<(), Fault> {
        let (name, text) = (action.name(), text.to_owned());
        let Some(key) = parse_key(&text) else { return Err(Fault::Key { key: text, action: name }) };
        if let Some(sent) = sent_as(key) {
            return Err(Fault::Alike { key: text, action: name, sent });
        }
        if matches!(section, Section::Always | Section::Editor) && is_typed(key) {
            return Err(Fault::Typed { key: text, action: name });
        }
        match self.keys.iter().find(|(s, k, _)| *k == key && s.overlaps(section)) {
            // As in a file that began as a copy of the one shipped.
            Some((_, _, first)) if *first == action => {}
            Some((_, _, first)) => {
                return Err(Fault::Duplicate { key: text, first: first.name(), second: name });
            }
            None => self.keys.push((section, key, action)),
        }
        Ok(())
    }

    /// What a key means.
    pub fn action(&self, context: Context, event: KeyEvent) -> Option<Action> {
        let pressed = normalized(KeyCombination::from(event));
        context
            .sections()
            .iter()
            .find_map(|s| self.keys.iter().find(|(section, key, _)| section == s && *key == pressed))
            .map(|&(_, _, action)| action)
    }

    /// The keys of an action as people write them.
    pub fn keys_of(&self, action: Action) -> Vec<String> {
        self.keys.iter().filter(|(_, _, a)| *a == action).map(|(_, key, _)| self.write(*key)).collect()
    }

    /// The first key of an action as people write it, for messages; its name where it has none.
    pub fn key(&self, action: Action) -> String {
        self.keys_of(action).into_iter().next().unwrap_or_else(|| action.name().to_owned())
    }

    fn write(&self, key: KeyCombination) -> String {
        let text = self.format.to_string(key);
        match text.as_str() {
            "Up" => "↑".to_owned(),
            "Down" => "↓".to_owned(),
            "PageUp" => "PgUp".to_owned(),
            "PageDown" => "PgDn".to_owned(),
            "BackTab" => "Shift-Tab".to_owned(),
            "Hyphen" => "-".to_owned(),
            _ => text,
        }
    }
}

/// Actions of the short table in the README.
const FIRST_STEPS: [Action; 10] = [
    Action::Filter,
    Action::Open,
    Action::Search,
    Action::Change,
    Action::Integrity,
    Action::VerifyAll,
    Action::Organization,
    Action::Palette,
    Action::Help,
    Action::Quit,
];

/// The page of all keys, a Markdown table for each section.
///
/// # Errors
/// As [`Keymap::shipped`].
pub fn page() -> Result<String, KeymapError> {
    let keymap = Keymap::shipped()?;
    let mut out =
        "# Keys\n\nWritten from the keymap by the test `the_tables_of_keys_are_those_of_the_keymap`; \
         `just keys` renews it.\n\n\
         More keys: a file `keymap.toml` beside the configuration (`agenttrace config path`), in the form of\n\
         [`assets/keymap.toml`](../assets/keymap.toml), adds keys to actions; `agenttrace config check` checks it.\n\
         An unknown name, a key that another action has there, and a key that terminals send for another one (`ctrl-i` is\n\
         `tab`) are refused with file and line.\n\n\
         ```toml\n[global]\nrefresh = [\"f5\"]\n\n[move]\ndown = [\"ctrl-j\"]\n```\n"
            .to_owned();
    for section in Section::ALL {
        let actions = Action::ALL.iter().copied().filter(|a| a.section() == section);
        let written = write!(out, "\n## {}\n\n{}", section.title(), table(&keymap, actions));
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }
    Ok(out)
}

/// The ten keys to begin with, a Markdown table.
///
/// # Errors
/// As [`Keymap::shipped`].
pub fn first_steps() -> Result<String, KeymapError> {
    Ok(table(&Keymap::shipped()?, FIRST_STEPS.into_iter()))
}

fn table(keymap: &Keymap, actions: impl Iterator<Item = Action>) -> String {
    let mut out = "| Key | Action |\n|---|---|\n".to_owned();
    for action in actions {
        let keys: Vec<String> =
            keymap.keys_of(action).iter().map(|k| format!("`{}`", k.replace('|', "\\|"))).collect();
        let written = writeln!(out, "| {} | {} |", keys.join(" "), action.doc());
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }
    out
}

fn find<T: Copy>(
    kind: &'static str,
    name: &str,
    all: &[T],
    name_of: impl Fn(T) -> &'static str,
) -> Result<T, Fault> {
    if let Some(found) = all.iter().copied().find(|t| name_of(*t) == name) {
        return Ok(found);
    }
    let first = all.first().map(|one| name_of(*one)).unwrap_or_default();
    let nearest = nearest(name, all.iter().copied().map(&name_of)).unwrap_or(first);
    Err(Fault::Unknown { kind, name: name.to_owned(), nearest })
}

/// A single capital stands for the key with Shift, as it is typed (crokey alone would read `G` as `g`).
fn parse_key(text: &str) -> Option<KeyCombination> {
    let mut chars = text.chars();
    let capital = matches!((chars.next(), chars.next()), (Some(c), None) if c.is_ascii_uppercase());
    let key = if capital { crokey::parse(&format!("shift-{text}")) } else { crokey::parse(text) };
    key.ok().filter(|k| k.is_ansi_compatible()).map(normalized)
}

/// The key that terminals send for this one, where it is another: they know control characters and not keys.
fn sent_as(key: KeyCombination) -> Option<&'static str> {
    use crossterm::event::{KeyCode, KeyModifiers};
    let crokey::OneToThree::One(code) = key.codes else { return None };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let shift = key.modifiers.contains(KeyModifiers::SHIFT);
    Some(match code {
        KeyCode::Char(c) if control => match c.to_ascii_lowercase() {
            'i' => "tab",
            'm' => "enter",
            '[' | '3' => "esc",
            'h' | '8' | '?' => "backspace",
            '@' | '2' => "ctrl-space",
            '\\' => "ctrl-4",
            ']' => "ctrl-5",
            '^' | '~' => "ctrl-6",
            '_' | '/' => "ctrl-7",
            c if c.is_ascii_alphabetic() && shift => "ctrl without shift",
            _ => return None,
        },
        KeyCode::Tab if shift => "backtab",
        KeyCode::Tab if control => "tab",
        KeyCode::Enter if control || shift => "enter",
        KeyCode::Esc if control || shift => "esc",
        KeyCode::Backspace if control || shift => "backspace",
        _ => return None,
    })
}

/// Whether the key types a character.
fn is_typed(key: KeyCombination) -> bool {
    use crossterm::event::{KeyCode, KeyModifiers};
    matches!(key.codes, crokey::OneToThree::One(KeyCode::Char(_)))
        && !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
}

/// Terminals differ in whether `?` comes with Shift; only letters keep it.
fn normalized(key: KeyCombination) -> KeyCombination {
    use crossterm::event::{KeyCode, KeyModifiers};
    let mut key = key.normalized();
    if let crokey::OneToThree::One(KeyCode::Char(c)) = key.codes
        && !c.is_ascii_alphabetic()
    {
        key.modifiers.remove(KeyModifiers::SHIFT);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::{KeyCode, KeyModifiers};

    /// A keymap of this text alone.
    fn parse(text: &str) -> Result<Keymap, KeymapError> {
        Keymap { keys: Vec::new(), format: KeyCombinationFormat::default() }.with(text)
    }

    #[test]
    fn the_shipped_keymap_binds_every_action() {
        let keymap = Keymap::shipped().unwrap();
        for action in Action::ALL {
            assert!(!keymap.keys_of(*action).is_empty(), "no key for {}", action.name());
        }
    }

    #[test]
    fn capitals_and_signs_are_found_as_terminals_send_them() {
        let keymap = Keymap::shipped().unwrap();
        let at = |code, modifiers| keymap.action(Context::Pane, KeyEvent::new(code, modifiers));
        assert_eq!(at(KeyCode::Char('g'), KeyModifiers::NONE), Some(Action::First));
        assert_eq!(at(KeyCode::Char('G'), KeyModifiers::SHIFT), Some(Action::Last));
        assert_eq!(at(KeyCode::Char('G'), KeyModifiers::NONE), Some(Action::Last));
        assert_eq!(at(KeyCode::Char('?'), KeyModifiers::SHIFT), Some(Action::Help));
        assert_eq!(at(KeyCode::Char('<'), KeyModifiers::NONE), Some(Action::Back));
        assert_eq!(at(KeyCode::BackTab, KeyModifiers::SHIFT), Some(Action::PreviousPane));
        assert_eq!(at(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Action::Interrupt));
    }

    #[test]
    fn the_same_key_means_different_things_while_typing() {
        let keymap = Keymap::shipped().unwrap();
        let enter = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
        assert_eq!(keymap.action(Context::Pane, enter), Some(Action::Open));
        assert_eq!(keymap.action(Context::Editor, enter), Some(Action::Submit));
        let q = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        assert_eq!(keymap.action(Context::Editor, q), None);
    }

    #[test]
    fn mistakes_are_named() {
        let refuse = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(
            refuse("[global]\nhelp = [\"x\"]\n[move]\ndown = [\"x\"]"),
            "the key 'x' belongs to both 'help' and 'down'"
        );
        assert_eq!(
            refuse("[global]\nhelp = [\"ctrl-c\"]\n[always]\ninterrupt = [\"ctrl-c\"]"),
            "the key 'ctrl-c' belongs to both 'interrupt' and 'help'"
        );
        assert_eq!(
            refuse("[global]\nhlep = [\"x\"]"),
            "the keymap has no action 'hlep'; did you mean 'help'?"
        );
        assert_eq!(
            refuse("[golbal]\nhelp = [\"x\"]"),
            "the keymap has no section 'golbal'; did you mean 'global'?"
        );
        assert_eq!(refuse("[global]\nhelp = [\"hyper-x\"]"), "'hyper-x' of the action 'help' is not a key");
    }

    #[test]
    fn keys_of_the_user_are_added_to_those_shipped() {
        let text = "# mine\n[global]\nrefresh = [\"f5\", \"R\"]\n\n[editor]\nsubmit = [\"ctrl-j\"]\n";
        let keymap = Keymap::shipped().unwrap().with(text).unwrap();
        assert_eq!(keymap.keys_of(Action::Refresh), ["R", "F5"]);
        assert_eq!(keymap.key(Action::Refresh), "R", "messages go on naming the key that the pages name");
        let f5 = KeyEvent::new(KeyCode::F(5), KeyModifiers::NONE);
        assert_eq!(keymap.action(Context::Pane, f5), Some(Action::Refresh));
        assert_eq!(
            Keymap::shipped().unwrap().with(DEFAULT).unwrap().keys.len(),
            Keymap::shipped().unwrap().keys.len()
        );
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_line() {
        let refuse = |text: &str| {
            let error = Keymap::shipped().unwrap().with(text).unwrap_err();
            format!("{}: {error}", error.line)
        };
        assert_eq!(
            refuse("[global]\n\nrefresh = [\"f5\",\n  \"j\"]\n"),
            "4: the key 'j' belongs to both 'down' and 'refresh'"
        );
        assert_eq!(
            refuse("[global]\nrefesh = [\"f5\"]\n"),
            "2: the keymap has no action 'refesh'; did you mean 'refresh'?"
        );
        assert_eq!(
            refuse("\n[golbal]\nrefresh = [\"f5\"]\n"),
            "2: the keymap has no section 'golbal'; did you mean 'global'?"
        );
        assert!(refuse("[global]\nrefresh = \"f5\"\n").starts_with("2: the keymap cannot be read: "));
        for (key, sent) in [
            ("ctrl-i", "tab"),
            ("ctrl-m", "enter"),
            ("ctrl-[", "esc"),
            ("ctrl-h", "backspace"),
            ("shift-enter", "enter"),
            ("ctrl-shift-e", "ctrl without shift"),
        ] {
            assert_eq!(
                refuse(&format!("[global]\nrefresh = [\"{key}\"]")),
                format!(
                    "2: '{key}' of the action 'refresh' reaches a program as '{sent}': terminals do not tell them apart"
                )
            );
        }
        assert_eq!(
            refuse("[editor]\nsubmit = [\"x\"]"),
            "2: 'x' of the action 'submit' could not be typed any more; use a key with ctrl-"
        );
    }

    #[test]
    fn the_page_lists_each_action_once() {
        let page = page().unwrap();
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, Action::ALL.len());
        assert!(page.contains("| `g` `Home` | newest event; top of a text |"), "{page}");
    }
}
