//! What the records of a source say of themselves, for people: the page `docs/reference/importers.md`, which
//! `ingest --formats` prints.
//!
//! The paths are those that the mappings look up; `kind_tests` holds them to that.

use super::FORMATS;
use std::fmt::Write as _;

/// Paths of keys and indices, joined by `>`, in the order of preference; `-1` is the last of a list.
pub(crate) type Paths = &'static [&'static [&'static str]];

/// A kind of record of a source.
#[derive(Debug)]
pub struct Kind {
    /// What people call it.
    pub title: &'static str,
    /// What becomes the event's id.
    pub id: &'static str,
    /// Whose the event is without `--org`.
    pub organization: &'static str,
    pub(crate) time: Paths,
    pub(crate) actor: Paths,
    pub(crate) address: Paths,
    /// How a failure is told, which raises the severity.
    pub failure: &'static str,
    /// The actor of a record that names none.
    pub placeholder: &'static str,
}

impl Kind {
    /// Where the time stands, in the order of preference.
    pub fn time(&self) -> Vec<String> {
        shown(self.time)
    }

    /// Where the actor stands, in the order of preference.
    pub fn actor(&self) -> Vec<String> {
        shown(self.actor)
    }

    /// Where the client's address stands, in the order of preference.
    pub fn address(&self) -> Vec<String> {
        shown(self.address)
    }

    /// The paths that a column is taken from verbatim; none for columns that rules make.
    pub(crate) fn paths(&self, column: &str) -> Paths {
        match column {
            "timestamp" => self.time,
            "actor_id" | "actor_email" => self.actor,
            "actor_ip" => self.address,
            _ => &[],
        }
    }
}

fn shown(paths: Paths) -> Vec<String> {
    paths.iter().copied().flatten().map(|path| spelled(path)).collect()
}

/// A path as mapping files and people write it: `user.groups[0]`, `"addr.remote"`.
pub(crate) fn spelled(path: &str) -> String {
    let mut out = String::new();
    for step in path.split('>') {
        let is_plain =
            !step.is_empty() && step.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '@'));
        if step.parse::<i64>().is_ok() && !out.is_empty() {
            let _ = write!(out, "[{step}]");
            continue;
        }
        if !out.is_empty() {
            out.push('.');
        }
        if is_plain {
            out.push_str(step);
        } else {
            out.push_str(&serde_json::Value::from(step).to_string());
        }
    }
    out
}

/// The page about all sources, in Markdown.
pub fn page() -> String {
    let mut out = String::from(
        "# Importers\n\n\
         What each source's records become; `agenttrace ingest --formats` prints this page. How to load them is in the\n\
         [guide](../guide/ingest.md), own JSON in [mapping files](mapping-files.md).\n\n\
         Of several places the first that has a value counts. Keys are found in any case, and with or without underscores, as\n\
         forwarders and tables spell them anew. A failure raises the severity, see the guide. An id of more than 64 characters becomes\n\
         its SHA-256; \"content\" is the SHA-256 of the record in canonical form, the same in every delivery.\n",
    );
    for format in FORMATS {
        let _ = write!(out, "\n## {} (`--from {}`)\n\n{}.\n", format.title, format.name, format.help);
        for kind in format.kinds {
            if format.kinds.len() > 1 {
                let _ = write!(out, "\n### {}\n", kind.title);
            }
            let list = |paths: Vec<String>| {
                let paths: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
                if paths.is_empty() { "none".to_owned() } else { paths.join(", ") }
            };
            let _ = write!(
                out,
                "\n| | |\n|---|---|\n| id | {} |\n| organisation | `--org`, else {} |\n| time | {} |\n| actor | {} |\n\
                 | no actor | {} |\n| address | {} |\n| failure | {} |\n",
                kind.id,
                kind.organization,
                list(kind.time()),
                list(kind.actor()),
                kind.placeholder,
                list(kind.address()),
                kind.failure,
            );
        }
    }
    out
}
