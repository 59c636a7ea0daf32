//! The record of a call for people: request, response and error first, then everything else.

use super::json::{Doc, Limits, NodeId};
use super::rows::{Role, Row, View};
use super::{Options, compare, tree, unhurried};
use crate::domain::CallRecord;

/// Larger records are shown as they are stored.
const LIMITS: Limits = Limits { bytes: 16 << 20, nodes: 1_000_000 };

/// The rows below the heading.
pub(super) fn rows(record: &CallRecord, text: &str, view: &View) -> Vec<Row> {
    let Ok(doc) = Doc::parse(text, LIMITS) else {
        let mut row = Row::new(' ', 0);
        row.push(Role::Plain, text);
        return vec![row];
    };
    let members: Vec<(String, NodeId)> =
        doc.children(doc.root()).map(|id| (doc.key(id).into_owned(), id)).collect();
    let mut rest = members.clone();
    let mut out = Vec::new();
    for (label, names) in record.parts {
        let of_part = |(name, _): &(String, NodeId)| names.contains(&name.as_str());
        let part: Vec<_> = members.iter().filter(|member| of_part(member)).collect();
        rest.retain(|member| !of_part(member));
        section(&mut out, label, &part, &doc, view);
    }
    section(&mut out, "everything else", &rest.iter().collect::<Vec<_>>(), &doc, view);
    out.truncate(view.limit);
    out
}

/// A label, and below it the members as one document.
fn section(out: &mut Vec<Row>, label: &str, members: &[&(String, NodeId)], doc: &Doc<'_>, view: &View) {
    if members.is_empty() {
        return;
    }
    let mut heading = Row::new(' ', 0);
    heading.push(Role::Important, label);
    out.push(heading);
    let texts: Vec<String> = members
        .iter()
        .map(|(name, id)| format!("{}:{}", serde_json::Value::from(name.as_str()), doc.text(*id)))
        .collect();
    let part = format!("{{{}}}", texts.join(","));
    let options = Options { rules: view.rules.clone(), ..Options::default() };
    // Compared with itself nothing differs, and all of it is shown.
    let same = compare(Some(&part), Some(&part), &options, &unhurried);
    out.extend(tree::unified(&same, &View { unfold_all: true, ..view.clone() }));
}
