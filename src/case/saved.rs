//! Saved filters: a text file of one line each, `name = filter`, which can be shared line by line.

use crate::domain::nearest;
use crate::error::{Error, Kind, Result};
use crate::filter::{Filter, FilterError};
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

/// Name of the file in [`super::folder`].
pub const FILE: &str = "filters.txt";
/// Longest name, in characters.
const LONGEST_NAME: usize = 40;
/// Longest line that is read, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// A filter and its name. Both may come from somebody else: show them through [`crate::domain::Safe`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// As it was typed. It can be read as a filter.
    pub filter: String,
}

/// Why a line is no saved filter.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LineError {
    /// There is no `=` behind a name.
    #[error("a saved filter is written: name = filter")]
    Form,
    /// The name is empty, too long, or has other characters.
    #[error("'{0}' is not a valid name: letters, digits, - _ and . are, at most {LONGEST_NAME} of them")]
    Name(String),
    /// The filter cannot be read.
    #[error("{}", .1.render(.0))]
    Filter(String, FilterError),
    /// It is longer than any filter.
    #[error("the line is longer than {LONGEST_LINE} bytes")]
    Long,
}

impl Saved {
    /// Checks a name and a filter. Lists that the filter names are not read.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn new(name: &str, filter: &str) -> Result<Self, LineError> {
        let is_plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.chars().count() > LONGEST_NAME || !name.chars().all(is_plain) {
            return Err(LineError::Name(name.to_owned()));
        }
        let filter = filter.trim();
        if filter.len() > LONGEST_LINE {
            return Err(LineError::Long);
        }
        // The lists may be on another machine, or come later.
        match Filter::parse_with(filter, &|_| Ok("x".to_owned())) {
            Ok(_) if filter.contains(['\n', '\r']) => Err(LineError::Form),
            Ok(_) => Ok(Self { name: name.to_owned(), filter: filter.to_owned() }),
            Err(error) => Err(LineError::Filter(filter.to_owned(), error)),
        }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn parse(line: &str) -> Result<Self, LineError> {
        let (name, filter) = line.split_once('=').ok_or(LineError::Form)?;
        Self::new(name.trim(), filter)
    }
}

impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.name, self.filter)
    }
}

/// The saved filters in a text, which `source` names in errors. Empty lines and those that begin with `#` say nothing.
///
/// # Errors
/// Names the line that is none, and a name that stands there twice.
pub fn parse(text: &str, source: &str) -> Result<Vec<Saved>> {
    let mut all: Vec<Saved> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let refuse = |why: String| Error::usage(format!("{source}:{}: {why}", n + 1));
        let saved = Saved::parse(line).map_err(|why| refuse(why.to_string()))?;
        if all.iter().any(|other| other.name == saved.name) {
            return Err(refuse(format!("the name '{}' stands there twice", saved.name)));
        }
        all.push(saved);
    }
    Ok(all)
}

/// All saved filters, by name; none when there is no file yet.
///
/// # Errors
/// When the file cannot be read, or a line is none; the error names it.
pub fn load(path: &Path) -> Result<Vec<Saved>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => {
            return Err(Error::could_not_run(format!("cannot read '{}'", path.display())).because(e));
        }
    };
    let mut all = parse(&text, &path.display().to_string())?;
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Adds filters, in the place of those of the same name.
///
/// # Errors
/// As [`load`], and when the file cannot be written.
pub fn put(path: &Path, added: &[Saved]) -> Result<()> {
    let mut all = load(path)?;
    all.retain(|saved| !added.iter().any(|new| new.name == saved.name));
    all.extend_from_slice(added);
    store(path, &all)
}

/// Removes the filter of that name, and returns it.
///
/// # Errors
/// As [`put`]; exit 2 when there is none.
pub fn remove(path: &Path, name: &str) -> Result<Saved> {
    let mut all = load(path)?;
    let at = all.iter().position(|saved| saved.name == name).ok_or_else(|| unknown(&all, name))?;
    let removed = all.remove(at);
    store(path, &all)?;
    Ok(removed)
}

/// The filter of that name.
///
/// # Errors
/// Exit 2 with the nearest name when there is none; as [`load`].
pub fn named(path: &Path, name: &str) -> Result<Saved> {
    let all = load(path)?;
    let found = all.iter().find(|saved| saved.name == name).cloned();
    found.ok_or_else(|| unknown(&all, name))
}

fn unknown(all: &[Saved], name: &str) -> Error {
    let error = Error::new(Kind::Usage, format!("no filter is saved as '{name}'"));
    match nearest(name, all.iter().map(|saved| saved.name.as_str())) {
        Some(nearest) => error.hint(format!("did you mean '{nearest}'? agenttrace filters list names all")),
        None if all.is_empty() => error.hint("agenttrace filters save NAME FILTER saves one"),
        None => error.hint("agenttrace filters list names all"),
    }
}

/// Writes the whole file: it is there as before, or as it is to be, never in part.
fn store(path: &Path, all: &[Saved]) -> Result<()> {
    let text: String = all.iter().map(|saved| format!("{saved}\n")).collect();
    super::replace(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_saved_is_loaded_in_order_private_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper").join(FILE);
        assert_eq!(load(&path).unwrap(), []);
        let saved = |name: &str, filter: &str| Saved::new(name, filter).unwrap();
        put(
            &path,
            &[saved("off-hours", "tod:22:00..06:00 zone:Europe/Berlin"), saved("a", " sev:critical ")],
        )
        .unwrap();
        let all = load(&path).unwrap();
        assert_eq!(all.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["a", "off-hours"]);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(remove(&path, "a").unwrap().name, "a");
        let error = named(&path, "of-hours").unwrap_err();
        assert!(error.hints()[0].contains("'off-hours'"), "{:?}", error.hints());
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_line_that_is_none_is_named_with_its_place() {
        for (text, wanted) in [
            ("# mine\n\na = sev:critical\nb sev:info", "f:4: a saved filter is written: name = filter"),
            ("a b = sev:info", "f:1: 'a b' is not a valid name"),
            ("a = sevv:info", "f:1: "),
            ("a = x\na = y", "f:2: the name 'a' stands there twice"),
            (" = x", "f:1: '' is not a valid name"),
        ] {
            let error = parse(text, "f").unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{error}");
        }
        assert_eq!(parse("a = actor in @gone.txt\n", "f").unwrap().len(), 1, "lists are not read");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_a_line_reads_back(text in "[a-c=: \"\\n#->@*é]{0,40}") {
            if let Ok(all) = parse(&text, "f") {
                for saved in all {
                    prop_assert_eq!(Saved::parse(&saved.to_string()), Ok(saved));
                }
            }
        }
    }
}
