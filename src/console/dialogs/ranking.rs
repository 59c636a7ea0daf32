//! Actions by what is typed in the palette: their names, the names that other programs have for them, their descriptions.

use crate::console::core::keymap::Action;
use nucleo_matcher::pattern::{Atom, AtomKind, CaseMatching, Normalization};
use nucleo_matcher::{Config, Matcher, Utf32Str};

/// What a word is worth that is a name as a whole, and one that a name begins with.
const WHOLE: u32 = 1_000;
const BEGINNING: u32 = 500;
/// What the name shipped is worth more than a synonym.
const OWN: u32 = 50;

/// The actions that have all words of a text, the best first; without words all of them, in their order.
///
/// A word may leave out letters of a name (`prver` is `previous-version`), but not of a description: almost every word
/// is somewhere in a sentence, with gaps.
pub(crate) fn ranked(text: &str, actions: impl Iterator<Item = Action>) -> Vec<Action> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    if words.is_empty() {
        return actions.collect();
    }
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut found: Vec<(u32, Action)> = actions
        .filter_map(|action| {
            let worth = words.iter().map(|word| worth(word, action, &mut matcher));
            Some((worth.sum::<Option<u32>>()?, action))
        })
        .collect();
    // Stable: of the same worth, in the order of the table.
    found.sort_by_key(|(worth, _)| std::cmp::Reverse(*worth));
    found.into_iter().map(|(_, action)| action).collect()
}

/// What a word is worth for an action; `None` where it says nothing of it.
fn worth(word: &str, action: Action, matcher: &mut Matcher) -> Option<u32> {
    let mut score = |kind, text: &str| {
        let atom = Atom::new(word, CaseMatching::Ignore, Normalization::Smart, kind, false);
        atom.score(Utf32Str::new(text, &mut Vec::new()), matcher).map(u32::from)
    };
    let named = |name: &str| match name {
        name if name == word => WHOLE,
        name if name.starts_with(word) => BEGINNING,
        _ => 0,
    };
    let own = score(AtomKind::Fuzzy, action.name()).map(|score| score + OWN + named(action.name()));
    let others = action.synonyms().split(' ').filter(|name| !name.is_empty());
    let others = others.filter_map(|name| Some(score(AtomKind::Fuzzy, name)? + named(name))).max();
    let described = [action.short(), action.doc()];
    let described = described.into_iter().filter_map(|text| score(AtomKind::Substring, text)).max();
    own.max(others).max(described)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Option<Action> {
        ranked(text, Action::ALL.iter().copied()).first().copied()
    }

    #[test]
    fn the_words_that_people_type_find_the_action() {
        for (text, action) in [
            ("quit", Action::Quit),
            ("exit", Action::Quit),
            ("q", Action::Quit),
            ("search", Action::Search),
            ("find", Action::Search),
            ("who", Action::Blame),
            ("actor", Action::Pivot),
            ("history", Action::State),
            ("verify", Action::Verify),
            ("verify all", Action::VerifyAll),
            ("integrity", Action::Integrity),
            ("tamper", Action::VerifyAll),
            ("yank", Action::Copy),
            ("star", Action::Bookmark),
            ("comment", Action::Note),
            ("export", Action::Export),
            ("save", Action::Export),
            ("csv", Action::Export),
            ("timezone", Action::Zone),
            ("tenant", Action::Organization),
            ("reload", Action::Refresh),
            ("keys", Action::Help),
            ("sql", Action::Plan),
            ("chart", Action::Histogram),
            ("Undo", Action::Back),
        ] {
            let offered = Action::ALL.iter().copied().filter(|a| a.is_offered(false));
            assert_eq!(ranked(text, offered).first().copied(), Some(action), "{text}");
        }
    }

    #[test]
    fn letters_may_be_left_out_of_names_only() {
        assert_eq!(first("prver"), Some(Action::PreviousVersion));
        assert_eq!(first("nxfind"), Some(Action::NextFinding));
        assert_eq!(first("oldest"), Some(Action::Last));
        assert_eq!(first("xyzzy"), None);
        assert_eq!(first("oldest xyzzy"), None, "all words are meant");
        assert_eq!(ranked("", Action::ALL.iter().copied()), Action::ALL);
    }
}
