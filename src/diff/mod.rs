//! What changed: two JSON states compared, as data for any front end.
//!
//! Pure: no IO, no clock (the caller says how much time has passed), no async. The same pair gives the same result on
//! every machine, unless the time runs out, and then the result says so. Numbers are compared as the text that
//! PostgreSQL stored; `null`, a missing member and `""` are three different things.
//!
//! ```text
//! text ── json::Doc ──┐                       ┌─ Change list ── rows::path_list, patch, apply
//!                     ├─ align ── Structure ──┤
//! text ── json::Doc ──┘                       └─ pairs ──────── tree: unified, side by side
//! ```

mod align;
pub mod apply;
mod call;
pub mod chronicle;
mod compare;
mod degrade;
pub mod ghost;
pub mod history;
mod inside;
pub mod json;
mod label;
pub mod outline;
pub mod patch;
pub mod rows;
mod rules;
mod text;
pub mod tree;
pub mod unchanged;
mod words;
pub mod writing;

pub use compare::{Change, ChangeKind, Stopped, Structure};
pub use degrade::{LineChange, Lines};
pub use inside::InnerChange;
pub use label::Label;
pub use rules::{Rank, Rules};

use crate::chain::sha256;
use crate::domain::CallRecord;
use json::{Doc, JsonError, Limits};
use std::time::Duration;

/// How much work a comparison may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Greatest size of one state, in bytes, for the layouts that show whole documents.
    pub bytes: usize,
    /// Maximum number of values in one state for those layouts.
    pub nodes: usize,
    /// Time for everything.
    pub time: Duration,
}

impl Default for Budget {
    /// 1 MB, 20 000 values, 500 ms.
    fn default() -> Self {
        Self { bytes: 1_000_000, nodes: 20_000, time: Duration::from_millis(500) }
    }
}

/// A path list shows only what differs, so it may be made of states this many times larger: 16 MB and a million values,
/// which take a quarter of a second and 64 bytes of memory a value.
const PATHS: (usize, usize) = (16, 50);

/// What to compare and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Limits.
    pub budget: Budget,
    /// Words for significance, noise and secrets.
    pub rules: Rules,
    /// Arrays as sets: order does not matter.
    pub as_sets: bool,
}

/// Time since the comparison began, told by the caller; a value beyond [`Budget::time`] stops the work, so a caller
/// cancels with [`Duration::MAX`].
pub type Elapsed<'e> = &'e dyn Fn() -> Duration;

/// For callers without a limit of time.
pub fn unhurried() -> Duration {
    Duration::ZERO
}

/// A comparison of two states, either of which may be missing.
#[derive(Debug, Clone)]
pub struct Comparison<'a> {
    /// State before, exactly as stored.
    pub old: Option<&'a str>,
    /// State after, exactly as stored.
    pub new: Option<&'a str>,
    /// How far the comparison went.
    pub detail: Detail<'a>,
}

/// How far a comparison went, in falling order of what it tells.
#[derive(Debug, Clone)]
pub enum Detail<'a> {
    /// Neither state was recorded.
    NothingRecorded,
    /// The event records a call: what stands beside the absent previous state is no state.
    Call(&'static CallRecord),
    /// By structure.
    Structural {
        /// Documents and how they relate.
        structure: Box<Structure<'a>>,
        /// The differences, most significant first.
        changes: Vec<Change<'a>>,
        /// Why there is only the path list, if so.
        paths_only: Option<String>,
    },
    /// By lines of text.
    Lines {
        /// The lines.
        lines: Lines<'a>,
        /// Why not by structure.
        why: String,
    },
    /// By hash only.
    Hashes {
        /// SHA-256 of the text of either state, in hexadecimal.
        sha256: [Option<String>; 2],
        /// Why not better.
        why: String,
    },
}

impl Comparison<'_> {
    /// Whether there is a difference, be it only that one state is missing.
    pub fn differs(&self) -> bool {
        match &self.detail {
            Detail::NothingRecorded | Detail::Call(_) => false,
            _ if self.old.is_some() != self.new.is_some() => true,
            Detail::Structural { structure, .. } => !structure.is_same(),
            Detail::Lines { .. } | Detail::Hashes { .. } => self.old != self.new,
        }
    }

    /// The differences, most significant first; nothing where the comparison is not structural.
    pub fn changes(&self) -> &[Change<'_>] {
        match &self.detail {
            Detail::Structural { changes, .. } => changes,
            _ => &[],
        }
    }
}

/// Compares two states. An absent side counts as an empty object next to an object, so that a creation lists its
/// members as added, and a deletion as removed.
pub fn compare<'a>(
    old: Option<&'a str>,
    new: Option<&'a str>,
    options: &Options,
    elapsed: Elapsed<'_>,
) -> Comparison<'a> {
    if old.is_none() && new.is_none() {
        return Comparison { old, new, detail: Detail::NothingRecorded };
    }
    if let Some(record) = CallRecord::of(old, new) {
        return Comparison { old, new, detail: Detail::Call(record) };
    }
    let budget = options.budget;
    // A third of the time is kept for what comes next if this fails.
    let stop = || elapsed() > budget.time.mul_f64(0.6);
    let detail = match structural(old, new, options, &stop) {
        Ok((structure, changes)) => {
            let paths_only = beyond(&structure, old, new, budget);
            Detail::Structural { structure: Box::new(structure), changes, paths_only }
        }
        Err(why) => {
            let whole = old.unwrap_or_default().len() + new.unwrap_or_default().len();
            let lines = if whole <= budget.bytes * 4 && elapsed() <= budget.time {
                degrade::lines(old.unwrap_or_default(), new.unwrap_or_default())
            } else {
                None
            };
            match lines {
                Some(lines) => Detail::Lines { lines, why },
                None => Detail::Hashes { sha256: [old, new].map(|s| s.map(sha256)), why },
            }
        }
    };
    Comparison { old, new, detail }
}

fn structural<'a>(
    old: Option<&'a str>,
    new: Option<&'a str>,
    options: &Options,
    stop: &dyn Fn() -> bool,
) -> Result<(Structure<'a>, Vec<Change<'a>>), String> {
    let budget = options.budget;
    let limits =
        Limits { bytes: budget.bytes.saturating_mul(PATHS.0), nodes: budget.nodes.saturating_mul(PATHS.1) };
    let read = |text: Option<&'a str>, name: &str| {
        let doc = Doc::parse(text.unwrap_or("{}"), limits).map_err(|e| match e {
            JsonError::TooLong(_) => format!("the {name} state is too long to be compared by structure"),
            e => format!("the {name} state is {e}"),
        })?;
        if stop() { Err("the time for the comparison is over".to_owned()) } else { Ok(doc) }
    };
    let (old, new) = (read(old, "previous")?, read(new, "new")?);
    let over = |_| "the time for the comparison is over".to_owned();
    let structure = Structure::new(old, new, options.as_sets, stop).map_err(over)?;
    let mut changes = structure.changes(&options.rules, stop).map_err(over)?;
    // Stable: within a rank the order of the document stays.
    changes.sort_by_key(|c| c.rank);
    Ok((structure, changes))
}

fn beyond(structure: &Structure<'_>, old: Option<&str>, new: Option<&str>, budget: Budget) -> Option<String> {
    let longest = old.unwrap_or_default().len().max(new.unwrap_or_default().len());
    let values = structure.old.len().max(structure.new.len());
    if longest > budget.bytes {
        Some(format!("a state has {longest} bytes, trees are shown up to {}", budget.bytes))
    } else if values > budget.nodes {
        Some(format!("a state has {values} values, trees are shown up to {}", budget.nodes))
    } else {
        None
    }
}

/// The number for a Δ column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Neither state was recorded, or a call instead.
    NothingRecorded,
    /// Counted.
    Exact {
        /// Changes that are not noise.
        changes: usize,
        /// Changes that are.
        noise: usize,
    },
    /// Too large to count; whether the two differ.
    Uncounted {
        /// The texts differ.
        differs: bool,
    },
}

/// Counts the changes between two states. `elapsed` as for [`compare`].
pub fn change_count(old: Option<&str>, new: Option<&str>, options: &Options, elapsed: Elapsed<'_>) -> Count {
    if (old.is_none() && new.is_none()) || CallRecord::of(old, new).is_some() {
        return Count::NothingRecorded;
    }
    if old == new {
        return Count::Exact { changes: 0, noise: 0 };
    }
    match structural(old, new, options, &|| elapsed() > options.budget.time) {
        Ok((_, changes)) => {
            let noise = changes.iter().filter(|c| c.rank == Rank::Noise).count();
            Count::Exact { changes: changes.len() - noise, noise }
        }
        Err(_) => Count::Uncounted { differs: old != new },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared<'a>(old: &'a str, new: &'a str, options: &Options) -> Comparison<'a> {
        compare(Some(old), Some(new), options, &unhurried)
    }

    fn list(old: &str, new: &str) -> Vec<(ChangeKind, String, Option<String>)> {
        let c = compared(old, new, &Options::default());
        c.changes().iter().map(|c| (c.kind, c.path.clone(), c.from.clone())).collect()
    }

    #[test]
    fn null_missing_and_empty_are_three_things() {
        use ChangeKind::{Added, Removed, TypeChanged};
        assert_eq!(list(r#"{"a":null}"#, "{}"), [(Removed, "/a".into(), None)]);
        assert_eq!(list("{}", r#"{"a":""}"#), [(Added, "/a".into(), None)]);
        assert_eq!(list(r#"{"a":null}"#, r#"{"a":""}"#), [(TypeChanged, "/a".into(), None)]);
        assert_eq!(list(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#), []);
    }

    #[test]
    fn numbers_are_text() {
        let c =
            compared(r#"{"n":12345678901234567890}"#, r#"{"n":12345678901234567891}"#, &Options::default());
        assert_eq!(c.changes()[0].new, Some("12345678901234567891"));
        assert_eq!(list("[0.1000]", "[0.1]").len(), 2);
    }

    #[test]
    fn elements_and_subtrees_that_moved_are_recognised() {
        use ChangeKind::{Changed, Moved};
        assert_eq!(
            list(r#"{"b":[{"id":"x","r":1},{"id":"y"}]}"#, r#"{"b":[{"id":"y"},{"id":"x","r":2}]}"#),
            [(Moved, "/b/0".into(), Some("/b/1".into())), (Changed, "/b/1/r".into(), Some("/b/0/r".into()))]
        );
        assert_eq!(
            list(r#"{"old":{"limit":100,"x":[1,2]}}"#, r#"{"new":{"limit":100,"x":[1,2]}}"#),
            [(Moved, "/new".into(), Some("/old".into()))]
        );
    }

    #[test]
    fn what_matters_comes_first() {
        let c = compared(
            r#"{"etag":1,"name":"a","role":"viewer","zone":{"owner":"x"}}"#,
            r#"{"etag":2,"name":"b","role":"admin","zone":{"owner":"y"}}"#,
            &Options::default(),
        );
        let paths: Vec<&str> = c.changes().iter().map(|c| c.path.as_str()).collect();
        assert_eq!(paths, ["/role", "/zone/owner", "/name", "/etag"]);
        let count = change_count(c.old, c.new, &Options::default(), &unhurried);
        assert_eq!(count, Count::Exact { changes: 3, noise: 1 });
    }

    #[test]
    fn json_inside_a_string_is_told_and_matters() {
        let state = |key: &str, cidr: &str| {
            let rule = serde_json::json!({"allow": [{"to": cidr, "note": "x"}]}).to_string();
            serde_json::json!({"zone": 1, key: rule}).to_string()
        };
        let (old, new) = (state("rule_text", "10.0.0.0/8"), state("rule_text", "0.0.0.0/0"));
        let c = compared(&old, &new, &Options::default());
        let change = &c.changes()[0];
        let inside = change.inside.as_ref().unwrap();
        assert_eq!((inside.len(), inside[0].path.as_str()), (1, "/allow/0/to"));
        assert_eq!((change.kind, change.path.as_str()), (ChangeKind::Changed, "/rule_text"));
        let plain = compared(&state("text", "10.0.0.0/8"), &state("text", "0.0.0.0/0"), &Options::default())
            .changes()[0]
            .rank;
        assert_eq!(plain, Rank::Network, "what is inside decides, too");
        let rows = rows::path_list(&c, &rows::View::default());
        let text: Vec<String> = rows.iter().map(rows::Row::text).collect();
        assert_eq!(text, ["~ rule_text (JSON in a string)", r#"~   allow[0].to "10.0.0.0/8" → "0.0.0.0/0""#]);
        let (old, new) = (r#"{"p":"{\"password\":\"hunter2\"}"}"#, r#"{"p":"{\"password\":\"hunter3\"}"}"#);
        let rows = rows::path_list(&compared(old, new, &Options::default()), &rows::View::default());
        assert!(rows.iter().all(|row| !row.text().contains("hunter")), "{rows:?}");
    }

    #[test]
    fn as_sets_the_order_does_not_matter() {
        let options = Options { as_sets: true, ..Options::default() };
        assert!(!compared("[1,2,3]", "[3,1,2]", &options).differs());
        assert!(compared("[1,2,2]", "[2,1]", &options).differs());
        assert!(!compared(r#"[{"id":1},{"id":2}]"#, r#"[{"id":2},{"id":1}]"#, &options).differs());
    }

    #[test]
    fn an_absent_side_counts_as_empty() {
        let c = compare(None, Some(r#"{"a":1,"b":2}"#), &Options::default(), &unhurried);
        assert_eq!(c.changes().iter().map(|c| c.kind).collect::<Vec<_>>(), [ChangeKind::Added; 2]);
        assert!(compare(Some("{}"), None, &Options::default(), &unhurried).differs());
        assert!(!compare(None, None, &Options::default(), &unhurried).differs());
    }

    #[test]
    fn a_call_is_no_change() {
        let call = r#"{"eventVersion":"1.08","eventType":"AwsApiCall","errorCode":"AccessDenied","errorMessage":"no",
            "requestParameters":{"userName":"eve","password":"hunter2"},"userIdentity":{"type":"Root"}}"#;
        let c = compare(None, Some(call), &Options::default(), &unhurried);
        assert!(!c.differs() && c.changes().is_empty());
        assert_eq!(change_count(None, Some(call), &Options::default(), &unhurried), Count::NothingRecorded);
        let view = rows::View::default();
        let text = |rows: Vec<rows::Row>| rows.iter().map(rows::Row::text).collect::<Vec<_>>().join("\n");
        assert_eq!(
            text(rows::heading(&c)),
            "  a call, as AWS CloudTrail recorded it: no states, so no change"
        );
        let shown = text(rows::path_list(&c, &view));
        assert_eq!(shown, text(tree::unified(&c, &view)));
        let place = |word: &str| shown.find(word).unwrap_or_else(|| panic!("{word} is missing in\n{shown}"));
        let order = ["request", "eve", "error", "AccessDenied", "everything else", "Root"].map(place);
        assert!(order.is_sorted(), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("response"), "{shown}");
    }

    #[test]
    fn beyond_the_budget_less_is_told_step_by_step() {
        let old = format!("[{}0]", "1,".repeat(30_000));
        let new = format!("[{}2]", "1,".repeat(30_000));
        let options = Options::default();
        let at =
            |time: Duration, old: &str, new: &str| match compare(Some(old), Some(new), &options, &|| time)
                .detail
            {
                Detail::Structural { paths_only: None, .. } => "tree",
                Detail::Structural { .. } => "paths",
                Detail::Lines { .. } => "lines",
                Detail::Hashes { .. } => "hashes",
                Detail::NothingRecorded | Detail::Call(_) => "nothing",
            };
        assert_eq!(at(Duration::ZERO, "[1]", "[2]"), "tree");
        assert_eq!(at(Duration::ZERO, &old, &new), "paths");
        assert_eq!(at(Duration::from_millis(400), &old, &new), "lines");
        assert_eq!(at(Duration::MAX, &old, &new), "hashes");
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        assert_eq!(at(Duration::ZERO, &deep, "[]"), "lines");
        assert_eq!(
            change_count(Some(&deep), Some("[]"), &options, &unhurried),
            Count::Uncounted { differs: true }
        );
    }
}
