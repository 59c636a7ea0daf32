//! Rows for values that did not change and are to be seen all the same: what a search has found there.

use super::json::{Doc, NodeId, NodeKind};
use super::label::{LabelStep, steps_text};
use super::rows::{Role, Row, View};
use super::text::shown;
use super::{Comparison, Detail};
use crate::domain::Safe;
use std::collections::BTreeSet;

/// A row for each of the places (JSON Pointer in the new document, else in the old one) that no change has, under a
/// heading; nothing where there is none.
pub fn rows(comparison: &Comparison<'_>, places: &BTreeSet<String>, view: &View) -> Vec<Row> {
    let Detail::Structural { structure, changes, .. } = &comparison.detail else { return Vec::new() };
    let is_changed = |place: &str| {
        let at_or_below =
            |path: &str| place.strip_prefix(path).is_some_and(|r| r.is_empty() || r.starts_with('/'));
        changes.iter().any(|change| at_or_below(&change.path))
    };
    let mut out = Vec::new();
    for place in places.iter().filter(|place| !is_changed(place)).take(view.limit) {
        let docs = [&structure.new, &structure.old];
        let Some((doc, id)) = docs.into_iter().find_map(|doc| Some((doc, doc.resolve(place)?))) else {
            continue;
        };
        let mut row = Row::new(' ', 0).at(place.clone());
        row.push(Role::Path, Safe::from_untrusted(&steps_text(&steps(doc, id))).as_str());
        let room = view.width.saturating_sub(row.width() + 1).max(12) + view.more_room(place);
        let secret = doc.ancestry(id).into_iter().any(|id| view.rules.is_secret_key(&doc.key(id)));
        let (value, is_masked) = shown(doc, id, secret, view, room);
        row.push(Role::Plain, " ");
        row.push(if is_masked { Role::Masked } else { Role::Plain }, &value);
        out.push(row);
    }
    if !out.is_empty() {
        let mut heading = Row::new(' ', 0);
        heading.push(Role::Dim, "unchanged, with a match");
        out.insert(0, heading);
    }
    out
}

fn steps(doc: &Doc<'_>, id: NodeId) -> Vec<LabelStep> {
    let step = |id: NodeId| match doc.parent(id).map(|parent| doc.kind(parent)) {
        Some(NodeKind::Array) => LabelStep::Index(doc.position(id)),
        _ => LabelStep::Key(doc.key(id).into_owned()),
    };
    doc.ancestry(id).into_iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Options, compare, unhurried};
    use super::*;

    #[test]
    fn what_changed_is_not_told_twice_and_secrets_stay_masked() {
        let old = r#"{"n":1,"note":"the deploy key","list":[{"a":"x y"}],"token":"abc def"}"#;
        let new = r#"{"n":2,"note":"the deploy key","list":[{"a":"x y"}],"token":"abc def"}"#;
        let compared = compare(Some(old), Some(new), &Options::default(), &unhurried);
        let places = ["/n", "/note", "/list/0/a", "/token", "/gone"].map(str::to_owned).into();
        let rows: Vec<String> = rows(&compared, &places, &View::default()).iter().map(Row::text).collect();
        assert_eq!(
            rows,
            [
                "  unchanged, with a match",
                "  list[0].a \"x y\"",
                "  note \"the deploy key\"",
                "  token ‹masked, 7 characters›",
            ]
        );
    }
}
