//! What can be done, and by which key: one table that help, footer, palette and the README are made from.

use crokey::{KeyCombination, KeyCombinationFormat};
use crossterm::event::KeyEvent;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The keys as shipped.
const DEFAULT: &str = include_str!("../../assets/keymap.toml");

macro_rules! actions {
    ($($section:ident { $($action:ident $name:literal $short:literal $doc:literal;)+ })+) => {
        /// Everything a key can do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action { $($(#[doc = $doc] $action,)+)+ }

        impl Action {
            /// All actions, in the order of help.
            pub const ALL: &'static [Self] = &[$($(Self::$action,)+)+];

            /// Its name in the keymap.
            pub const fn name(self) -> &'static str { match self { $($(Self::$action => $name,)+)+ } }

            /// One or two words for the footer.
            pub const fn short(self) -> &'static str { match self { $($(Self::$action => $short,)+)+ } }

            /// A sentence for help and README.
            pub const fn doc(self) -> &'static str { match self { $($(Self::$action => $doc,)+)+ } }

            /// Where it is in force.
            pub const fn section(self) -> Section { match self { $($(Self::$action => Section::$section,)+)+ } }
        }
    };
}

actions! {
    Move {
        Down "down" "down" "next line: an older event";
        Up "up" "up" "previous line: a newer event";
        PageDown "page-down" "page" "a page on";
        PageUp "page-up" "page back" "a page back";
        HalfDown "half-down" "half page" "half a page on";
        HalfUp "half-up" "half page back" "half a page back";
        First "first" "newest" "the newest event; the top of a text";
        Last "last" "oldest" "the oldest event; the end of a text";
        Open "open" "open" "open the selected event; choose";
        Cancel "cancel" "back" "stop what is running; else back one level";
    }
    Global {
        Filter "filter" "filter" "edit the filter";
        Search "search" "search" "look for words in this view, towards the past";
        NextHit "next-hit" "next hit" "the next (older) event that has them";
        PreviousHit "previous-hit" "hit before" "the previous (newer) event that has them";
        Include "include" "include" "narrow the view to a value of this event";
        Exclude "exclude" "exclude" "leave a value of this event out of the view";
        Pivot "pivot" "pivot" "everything with a value of this event";
        Surroundings "surroundings" "context" "the events around this one, without the filter";
        Organization "organization" "organisation" "choose the organisation";
        NextEvent "next-event" "next event" "the next (older) event, also while reading one";
        PreviousEvent "previous-event" "previous event" "the previous (newer) event, also while reading one";
        Timeline "timeline" "timeline" "go to the timeline";
        Change "change" "change" "go to what the event changed";
        Integrity "integrity" "integrity" "go to what is known of the event's integrity";
        Event "event" "event" "go to the event";
        Copy "copy" "copy" "copy: what, says the next key";
        Layout "layout" "layout" "show the change as paths, unified, side by side, raw";
        Mark "mark" "mark" "mark the event, to compare others with it";
        Compare "compare" "compare" "compare with the marked event; again: with the state before";
        PreviousVersion "previous-version" "version before" "the version of this resource before, in a view of its history";
        NextVersion "next-version" "version after" "the version of this resource after, in a view of its history";
        FirstVersion "first-version" "first" "the first version of this resource";
        LastVersion "last-version" "last" "the last version of this resource";
        Time "time" "time" "go to a time: of the view, or of the resource while its states are shown";
        Blame "blame" "blame" "who last set each value of this resource; Enter goes to the event";
        State "state" "state" "the state of this resource after the event";
        Tree "tree" "tree" "the event and its states as a tree";
        Verify "verify" "verify" "verify the rows on the screen, large ones too";
        VerifyAll "verify-all" "verify all" "verify the whole trail; stop that";
        Pause "pause" "pause" "pause that; go on, also with one that was interrupted";
        Throttle "throttle" "throttle" "read the trail at 100 000, 10 000, 1 000 events a second; as fast as can be";
        Accept "accept" "accept" "accept the finding gone to, with a reason";
        Ghosts "ghosts" "ghosts" "changes without an event: the list, or where to look for them";
        NextFinding "next-finding" "next finding" "go to the event of the next finding";
        PreviousFinding "previous-finding" "previous finding" "go to the event of the finding before";
        Plan "plan" "plan" "how this view is found: index, plan, cost";
        Histogram "histogram" "histogram" "how many events of this view fall into each stretch of time";
        Summary "summary" "summary" "this view by category, severity, action and actor";
        NextPane "next-pane" "next pane" "go to the next pane";
        PreviousPane "previous-pane" "previous pane" "go to the previous pane";
        Zoom "zoom" "zoom" "give this pane the whole screen, and back";
        Back "back" "back" "back to the view before";
        Forward "forward" "forward" "forward again";
        Refresh "refresh" "refresh" "ask the database again";
        Zone "zone" "UTC/local" "show times in UTC or local time";
        Palette "palette" "palette" "find an action by name";
        Help "help" "help" "the keys";
        Quit "quit" "quit" "close this view; at the first one, leave";
    }
    Tree {
        Collapse "collapse" "fold" "fold; from what is folded, out";
        Expand "expand" "unfold" "unfold; into what is unfolded";
        ExpandAll "expand-all" "unfold all" "unfold everything below";
        CollapseAll "collapse-all" "fold all" "fold everything below";
        Levels "levels" "levels" "unfold so many levels below, says the next key (0 to 9)";
        FindPath "find-path" "path" "go to a path by some of its letters";
    }
    Editor {
        Submit "submit" "run" "run the filter; run the action";
        Leave "leave" "leave" "leave without a change";
        Clear "clear" "clear" "clear the line";
        Complete "complete" "complete" "complete the field or value; again: the next one";
        CompleteBack "complete-back" "complete back" "the completion before";
        HistoryBack "history-back" "history" "an earlier filter";
        HistoryForward "history-forward" "later" "a later filter";
        SaveFilter "save-filter" "save" "save the filter under a name";
        SavedFilters "saved-filters" "saved" "choose a saved filter";
    }
    Copy {
        CopyRow "row" "row" "the event in one line";
        CopyValue "value" "value" "the value under the cursor of the change";
        CopyState "state" "state" "the state after the event, or the one that is shown";
        CopyPath "path" "path" "its path (JSON Pointer)";
        CopyCommand "command" "command" "the command that shows the event";
        CopyListing "listing" "listing" "the command that lists this view";
        CopyJson "json" "JSON" "the event as JSON, without its states";
    }
    Confirm {
        Yes "yes" "yes" "yes";
        No "no" "no" "no";
    }
    Always {
        Interrupt "interrupt" "stop" "stop what is running; twice within 2 s: leave";
        Suspend "suspend" "suspend" "suspend the program, fg brings it back";
        Redraw "redraw" "redraw" "draw the screen anew";
    }
}

/// Where a key is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// Lists and texts.
    Move,
    /// Wherever no text is typed and no question is open.
    Global,
    /// In the tree of an event; these go before the keys of the panes.
    Tree,
    /// While text is typed.
    Editor,
    /// After the key that copies.
    Copy,
    /// While a question is open.
    Confirm,
    /// Everywhere.
    Always,
}

impl Section {
    const ALL: [Self; 7] =
        [Self::Move, Self::Global, Self::Tree, Self::Editor, Self::Copy, Self::Confirm, Self::Always];

    /// Its name in the keymap.
    const fn name(self) -> &'static str {
        match self {
            Self::Move => "move",
            Self::Global => "global",
            Self::Tree => "tree",
            Self::Editor => "editor",
            Self::Copy => "copy",
            Self::Confirm => "confirm",
            Self::Always => "always",
        }
    }

    /// Its heading in help.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Move => "Moving",
            Self::Global => "Views and panes",
            Self::Tree => "In a tree",
            Self::Editor => "While typing",
            Self::Copy => "To be copied",
            Self::Confirm => "At a question",
            Self::Always => "Always",
        }
    }

    /// Whether a key may not stand in both, because both are in force at once.
    fn overlaps(self, other: Self) -> bool {
        self == other
            || self == Self::Always
            || other == Self::Always
            || matches!(
                (self, other),
                (Self::Move, Self::Global | Self::Tree) | (Self::Global | Self::Tree, Self::Move)
            )
    }
}

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
    /// What is to be copied is asked for.
    Copy,
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
            Self::Confirm => &[Section::Always, Section::Confirm],
        }
    }
}

/// Why a keymap is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeymapError {
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
    #[error("'{key}' of the action '{action}' is no key")]
    Key {
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
        Self::parse(DEFAULT)
    }

    /// Reads a keymap.
    ///
    /// # Errors
    /// [`KeymapError`] names the place: unknown names with the nearest one, texts that are no key, duplicates.
    pub fn parse(text: &str) -> Result<Self, KeymapError> {
        let table: BTreeMap<String, BTreeMap<String, Vec<String>>> =
            toml::from_str(text).map_err(|e| KeymapError::Syntax(e.to_string()))?;
        let mut keys: Vec<(Section, KeyCombination, Action)> = Vec::new();
        for (name, entries) in table {
            let section = find("section", &name, &Section::ALL, Section::name)?;
            let known: Vec<Action> = Action::ALL.iter().copied().filter(|a| a.section() == section).collect();
            for (name, texts) in entries {
                let action = find("action", &name, &known, Action::name)?;
                for text in texts {
                    let key = parse_key(&text)
                        .ok_or_else(|| KeymapError::Key { key: text.clone(), action: action.name() })?;
                    if let Some((_, _, first)) =
                        keys.iter().find(|(s, k, _)| *k == key && s.overlaps(section))
                    {
                        return Err(KeymapError::Duplicate {
                            key: text,
                            first: first.name(),
                            second: action.name(),
                        });
                    }
                    keys.push((section, key, action));
                }
            }
        }
        let format = KeyCombinationFormat::default().with_implicit_shift();
        Ok(Self { keys, format })
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

/// A Markdown table of all keys, the README's.
///
/// # Errors
/// As [`Keymap::shipped`].
pub fn markdown() -> Result<String, KeymapError> {
    let keymap = Keymap::shipped()?;
    let mut out = "| Key | What it does |\n|---|---|\n".to_owned();
    for action in Action::ALL {
        let keys: Vec<String> =
            keymap.keys_of(*action).iter().map(|k| format!("`{}`", k.replace('|', "\\|"))).collect();
        let written = match action.section() {
            Section::Tree | Section::Editor | Section::Copy | Section::Confirm => {
                writeln!(
                    out,
                    "| {} | {} ({}) |",
                    keys.join(" "),
                    action.doc(),
                    action.section().title().to_lowercase()
                )
            }
            _ => writeln!(out, "| {} | {} |", keys.join(" "), action.doc()),
        };
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }
    Ok(out)
}

fn find<T: Copy>(
    kind: &'static str,
    name: &str,
    all: &[T],
    name_of: impl Fn(T) -> &'static str,
) -> Result<T, KeymapError> {
    if let Some(found) = all.iter().copied().find(|t| name_of(*t) == name) {
        return Ok(found);
    }
    let likeness = |candidate: &str| (strsim::jaro_winkler(name, candidate) * 1e6) as u32;
    let nearest = all.iter().copied().map(&name_of).max_by_key(|n| likeness(n)).unwrap_or_default();
    Err(KeymapError::Unknown { kind, name: name.to_owned(), nearest })
}

/// A single capital stands for the key with Shift, as it is typed (crokey alone would read `G` as `g`).
fn parse_key(text: &str) -> Option<KeyCombination> {
    let mut chars = text.chars();
    let capital = matches!((chars.next(), chars.next()), (Some(c), None) if c.is_ascii_uppercase());
    let key = if capital { crokey::parse(&format!("shift-{text}")) } else { crokey::parse(text) };
    key.ok().filter(|k| k.is_ansi_compatible()).map(normalized)
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
        let refuse = |text: &str| Keymap::parse(text).unwrap_err().to_string();
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
        assert_eq!(refuse("[global]\nhelp = [\"hyper-x\"]"), "'hyper-x' of the action 'help' is no key");
    }

    #[test]
    fn the_table_lists_each_action_once() {
        let table = markdown().unwrap();
        assert_eq!(table.lines().count(), Action::ALL.len() + 2);
        assert!(table.contains("| `g` `Home` | the newest event; the top of a text |"), "{table}");
    }
}
