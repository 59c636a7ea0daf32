//! Where the words that a filter searches for stand on a line of the screen.

use crate::filter::{Filter, Words};
use std::ops::Range;

/// What is looked for: words that follow one another, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    parts: Vec<Vec<char>>,
    /// The last one is only the beginning of a word.
    prefix: bool,
}

impl Hit {
    /// Everything that a filter searches for.
    pub(crate) fn of(filter: &Filter) -> Vec<Self> {
        let hit = |words: &Words| {
            let parts = words.text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
            let parts = parts.map(|part| part.chars().flat_map(char::to_lowercase).collect()).collect();
            Self { parts, prefix: words.prefix }
        };
        filter.words().into_iter().map(hit).filter(|hit| !hit.parts.is_empty()).collect()
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
