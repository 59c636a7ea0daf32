//! Where what a filter searches for stands on a line of the screen, and in a state.

use crate::diff::json::{Doc, NodeId};
use crate::filter::{Change, Expr, Filter, Path, Side, StateMatch, Step, Test, Value, Words};
use std::ops::Range;
use unicode_width::UnicodeWidthChar as _;

/// Columns of a line: the first one, and how many.
pub(crate) type Columns = (usize, usize);

/// What a search and the filter of a view look for in an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Needles {
    words: Vec<Hit>,
    places: Vec<Place>,
    /// Keys with the values that are looked for there, as a state shows them.
    pairs: Vec<Hit>,
}

/// A place in a state, and what the value there has to be; without tests, anything.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    side: Side,
    path: Path,
    tests: Vec<Test>,
}

impl Needles {
    /// What some filters look for. Negations look for nothing that could be shown.
    pub(crate) fn of<'a>(filters: impl IntoIterator<Item = &'a Filter>) -> Self {
        let mut needles = Self::default();
        for filter in filters {
            needles.words.extend(Hit::of(filter));
            filter.asked().into_iter().for_each(|expr| needles.add(expr));
        }
        needles.pairs = needles.places.iter().flat_map(Place::pairs).collect();
        needles
    }

    fn add(&mut self, expr: &Expr) {
        let mut place = |side, path: &Path, tests: &[Test]| {
            self.places.push(Place { side, path: path.clone(), tests: tests.to_vec() });
        };
        match expr {
            Expr::State(StateMatch { side, path, any_of }) => place(*side, path, any_of),
            Expr::Change(change) => {
                let Change { path, from, to } = &**change;
                place(Side::Old, path, from.as_slice());
                place(Side::New, path, to.as_slice());
            }
            Expr::Changed(paths) => paths.iter().for_each(|path| place(Side::Any, path, &[])),
            _ => {}
        }
    }

    /// The words that are looked for wherever they stand.
    pub(crate) fn words(&self) -> &[Hit] {
        &self.words
    }

    /// Whether nothing is looked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty() && self.places.is_empty()
    }

    /// Whether words are looked for, and stand in a text.
    pub(crate) fn are_words_in(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        self.words.iter().any(|hit| !hit.places(&text).is_empty())
    }

    /// The columns of what is looked for in a text that was broken into lines; `of_state`: keys with their values, too.
    pub(crate) fn columns(&self, lines: &[&str], of_state: bool) -> Vec<Vec<Columns>> {
        let mut text = Vec::new();
        let mut stands = Vec::new();
        for (n, line) in lines.iter().enumerate() {
            let mut column = 0;
            for c in line.chars() {
                let width = c.width().unwrap_or_default();
                text.push(c);
                stands.push((n, (column, width)));
                column += width;
            }
        }
        let mut out = vec![Vec::new(); lines.len()];
        let pairs = self.pairs.iter().filter(|_| of_state);
        for range in self.words.iter().chain(pairs).flat_map(|hit| hit.places(&text)) {
            for (n, (column, width)) in stands.get(range).unwrap_or_default() {
                let Some(line) = out.get_mut(*n) else { continue };
                match line.last_mut() {
                    Some((first, columns)) if *first + *columns == *column => *columns += width,
                    _ => line.push((*column, *width)),
                }
            }
        }
        out
    }

    /// The values of a state that are looked for by their place, each with the text that it is looked for by.
    pub(crate) fn values(&self, doc: &Doc<'_>, side: Side) -> Vec<(NodeId, String)> {
        let mut found = Vec::new();
        for place in self.places.iter().filter(|place| place.side == side || place.side == Side::Any) {
            for id in nodes(doc, &place.path) {
                let elements = doc.children(id).filter(|_| doc.text(id).starts_with('['));
                for id in std::iter::once(id).chain(elements) {
                    if place.tests.is_empty() || place.tests.iter().any(|test| passes(doc, id, test)) {
                        let text = doc
                            .string(id)
                            .map_or_else(|| doc.text(id).to_owned(), std::borrow::Cow::into_owned);
                        found.push((id, text));
                    }
                }
            }
        }
        found
    }
}

impl Place {
    /// The key and each value, as words that follow one another.
    fn pairs(&self) -> Vec<Hit> {
        let Some(Step::Key(key)) = self.path.steps.last() else { return Vec::new() };
        let value = |test: &Test| match test {
            Test::Equals(Value::Text(text)) => Some(text.clone()),
            Test::Equals(value) => Some(value.to_json()),
            _ => None,
        };
        let values = self.tests.iter().filter_map(value);
        values.map(|value| Hit::new(&format!("{key} {value}"), false)).collect()
    }
}

/// The values at a path: one, or many where it begins anywhere.
fn nodes(doc: &Doc<'_>, path: &Path) -> Vec<NodeId> {
    let mut starts = vec![doc.root()];
    let mut n = 0;
    while let Some(id) = starts.get(n).copied().filter(|_| path.anywhere) {
        starts.extend(doc.children(id));
        n += 1;
    }
    let follow = |from: NodeId| {
        path.steps.iter().try_fold(from, |at, step| match step {
            Step::Key(key) => doc.member(at, key),
            Step::Index(n) => doc.child(at, *n as usize).filter(|_| doc.text(at).starts_with('[')),
        })
    };
    starts.into_iter().filter_map(follow).collect()
}

/// Whether a value is one that a test looks for. What only the database can judge counts as such: the event matches.
fn passes(doc: &Doc<'_>, id: NodeId, test: &Test) -> bool {
    let text = doc.string(id);
    match test {
        Test::Equals(Value::Text(wanted)) => text.is_some_and(|text| text == *wanted),
        Test::Equals(value) => text.is_none() && doc.text(id) == value.to_json(),
        Test::Prefix(wanted) => text.is_some_and(|text| text.starts_with(wanted)),
        Test::Contains(wanted) => text.is_some_and(|text| text.contains(wanted)),
        Test::Null => doc.text(id) == "null",
        Test::Missing => false,
        Test::Present | Test::Compare(..) | Test::Range(..) => doc.child_count(id) == 0,
    }
}

/// What is looked for: words that follow one another, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    parts: Vec<Vec<char>>,
    /// The last one is only the beginning of a word.
    prefix: bool,
}

impl Hit {
    /// Everything that a filter searches for.
    fn of(filter: &Filter) -> Vec<Self> {
        let hit = |words: &Words| Self::new(&words.text, words.prefix);
        filter.words().into_iter().map(hit).filter(|hit| !hit.parts.is_empty()).collect()
    }

    fn new(text: &str, prefix: bool) -> Self {
        let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
        let parts = parts.map(|part| part.chars().flat_map(char::to_lowercase).collect()).collect();
        Self { parts, prefix }
    }

    /// Its places in a line, by character.
    pub(crate) fn places(&self, line: &[char]) -> Vec<Range<usize>> {
        let is_inside = |at: usize| at > 0 && line.get(at - 1).is_some_and(|c| c.is_alphanumeric());
        let mut places = Vec::new();
        let mut at = 0;
        while at < line.len() {
            match self.end_of_match(line, at).filter(|_| !is_inside(at)) {
                Some(end) => {
                    places.push(at..end);
                    at = end;
                }
                None => at += 1,
            }
        }
        places
    }

    fn end_of_match(&self, line: &[char], start: usize) -> Option<usize> {
        let mut at = start;
        for (n, part) in self.parts.iter().enumerate() {
            if n > 0 {
                let gap = line.get(at..)?.iter().take_while(|c| !c.is_alphanumeric()).count();
                if gap == 0 {
                    return None;
                }
                at += gap;
            }
            let there = line.get(at..at + part.len())?;
            if !there.iter().zip(part).all(|(c, wanted)| c.to_lowercase().eq(wanted.to_lowercase())) {
                return None;
            }
            at += part.len();
        }
        if self.prefix {
            at += line.get(at..)?.iter().take_while(|c| c.is_alphanumeric()).count();
        }
        let ends = line.get(at).is_none_or(|c| !c.is_alphanumeric());
        ends.then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(filter: &str, line: &str) -> Vec<String> {
        let line: Vec<char> = line.chars().collect();
        let hits = Hit::of(&Filter::parse(filter).unwrap());
        hits.iter().flat_map(|hit| hit.places(&line)).map(|place| line[place].iter().collect()).collect()
    }

    #[test]
    fn a_phrase_is_found_across_a_line_break_and_wide_characters_count_twice() {
        let needles = Needles::of([&Filter::parse("\"deploy key\" new.role:admin -new.role:x").unwrap()]);
        assert_eq!(
            needles.columns(&["日本 deploy ", "key", ""], false),
            [vec![(5, 7)], vec![(0, 3)], vec![]]
        );
        assert_eq!(needles.columns(&["\"role\": \"admin\""], true), [[(1, 13)]]);
        assert_eq!(needles.columns(&["\"role\": \"admin\""], false), [[]]);
    }

    #[test]
    fn values_are_found_by_their_place() {
        let limits = crate::diff::json::Limits { bytes: 1 << 20, nodes: 1_000 };
        let state = r#"{"role":"admin","roles":["viewer","admin"],"in":{"role":"owner"},"n":7}"#;
        let doc = Doc::parse(state, limits).unwrap();
        let found = |filter: &str| {
            let values = Needles::of([&Filter::parse(filter).unwrap()]).values(&doc, Side::New);
            values.into_iter().map(|(id, _)| doc.pointer(id)).collect::<Vec<_>>()
        };
        assert_eq!(found("new.role:admin old.n:7"), ["/role"]);
        assert_eq!(found("new.roles:admin"), ["/roles/1"]);
        assert_eq!(found("role:viewer->admin"), ["/role"]);
        assert_eq!(found("any.**.role:owner,admin"), ["/role", "/in/role"]);
        assert_eq!(found("new.n>5"), ["/n"]);
        assert_eq!(found("-new.role:admin"), Vec::<String>::new());
    }

    #[test]
    fn words_are_found_as_the_database_finds_them() {
        assert_eq!(found("rotate", "api_key.Rotate rotated ROTATE"), ["Rotate", "ROTATE"]);
        assert_eq!(found("rot*", "api_key.rotated"), ["rotated"]);
        assert_eq!(
            found("\"deploy key\"", "the deploy-key, deploy  KEY deploykey"),
            ["deploy-key", "deploy  KEY"]
        );
        assert_eq!(found("api_key.rotate OR x", "api key rotate x"), ["api key rotate", "x"]);
        assert_eq!(found("-rotate type:rotate", "rotate"), Vec::<String>::new());
    }
}
