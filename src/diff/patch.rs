//! A comparison as JSON Patch (RFC 6902) and as merge patch (RFC 7396), with all values exactly as stored.

use super::compare::{Pair, Relation, Structure};
use super::json::{Doc, NodeId, NodeKind, push_quoted};

/// Why there is no patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// A merge patch removes what it sets to null.
    #[error("a merge patch cannot set '{0}' to null; a JSON Patch can")]
    Null(String),
    /// Order was forgotten.
    #[error("arrays compared as sets have no patch")]
    Sets,
}

/// Moving an element by an operation of its own costs a walk along the array; with more elements times moves than
/// this, the array is replaced as a whole.
const MAX_ARRAY_WORK: usize = 4_000_000;

/// The operations, to be done one after the other, that turn the old document into the new one.
///
/// # Errors
/// [`PatchError::Sets`].
pub fn json_patch(structure: &Structure<'_>) -> Result<String, PatchError> {
    if structure.as_sets {
        return Err(PatchError::Sets);
    }
    let mut patch = Patch { structure, out: String::from("[") };
    patch.descend(&structure.root);
    Ok(patch.out + "]")
}

/// A patch that creates a document, or deletes it: `add` or `remove` of the root.
pub fn whole_patch(new: Option<&str>) -> String {
    new.map_or_else(
        || r#"[{"op":"remove","path":""}]"#.to_owned(),
        |value| format!(r#"[{{"op":"add","path":"","value":{value}}}]"#),
    )
}

struct Patch<'s, 'a> {
    structure: &'s Structure<'a>,
    out: String,
}

impl Patch<'_, '_> {
    fn op(&mut self, op: &str, path: &str, from: Option<&str>, value: Option<&str>) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        self.out.push_str("{\"op\":\"");
        self.out.push_str(op);
        self.out.push('"');
        for (name, path) in [("from", from), ("path", Some(path))] {
            if let Some(path) = path {
                self.out.push_str(",\"");
                self.out.push_str(name);
                self.out.push_str("\":");
                push_quoted(&mut self.out, path);
            }
        }
        if let Some(value) = value {
            self.out.push_str(",\"value\":");
            self.out.push_str(value);
        }
        self.out.push('}');
    }

    fn value(&self, id: Option<NodeId>) -> Option<&str> {
        id.map(|id| self.structure.new.text(id))
    }

    /// Brings a pair's place up to date. Everything around it is already in its new order, so that its path is the one
    /// in the new document.
    fn descend(&mut self, pair: &Pair) {
        let structure = self.structure;
        let Some(id) = pair.new else { return };
        match pair.relation {
            Relation::Changed | Relation::TypeChanged => {
                let value = self.value(pair.new).map(str::to_owned);
                self.op("replace", &structure.new.pointer(id), None, value.as_deref());
            }
            Relation::Inside if structure.new.kind(id) == NodeKind::Object => self.members(pair, id),
            Relation::Inside => self.elements(pair, id),
            Relation::Same | Relation::Added | Relation::Removed | Relation::MovedOut => {}
        }
    }

    fn members(&mut self, pair: &Pair, id: NodeId) {
        let structure = self.structure;
        let children = structure.children(pair);
        let here = structure.new.pointer(id);
        // First all that goes, so that what comes finds its place free.
        for child in children {
            if let (Relation::Removed | Relation::MovedOut, Some(old)) = (child.relation, child.old) {
                let path = format!("{here}/{}", token(&structure.old, old));
                self.op("remove", &path, None, None);
            }
        }
        for child in children {
            if child.relation == Relation::Added || (child.relation == Relation::Same && child.moved) {
                self.add(child.new);
            } else {
                self.descend(child);
            }
        }
    }

    fn add(&mut self, id: Option<NodeId>) {
        if let Some(id) = id {
            let structure = self.structure;
            self.op("add", &structure.new.pointer(id), None, Some(structure.new.text(id)));
        }
    }

    fn elements(&mut self, pair: &Pair, id: NodeId) {
        let structure = self.structure;
        let children = structure.children(pair);
        let here = structure.new.pointer(id);
        // An element moves within its array, or comes from another container and then counts as added.
        let array = pair.old;
        let within = |p: &Pair| p.old.filter(|o| array.is_some() && structure.old.parent(*o) == array);
        let moves = children.iter().filter(|c| c.moved && within(c).is_some()).count();
        let old_count = array.map_or(0, |a| structure.old.child_count(a));
        if moves.saturating_mul(old_count) > MAX_ARRAY_WORK {
            self.op("replace", &here, None, self.structure.new.text(id).into());
            return;
        }
        for child in children.iter().rev() {
            if let (Relation::Removed | Relation::MovedOut, Some(old)) = (child.relation, child.old) {
                let path = format!("{here}/{}", structure.old.position(old));
                self.op("remove", &path, None, None);
            }
        }
        // What is there now, by place in the old array, and what stays or moves, in its final order.
        let target: Vec<(usize, bool)> = children
            .iter()
            .filter(|c| c.new.is_some())
            .filter_map(|c| Some((structure.old.position(within(c)?), c.moved)))
            .collect();
        let mut now: Vec<usize> = target.iter().map(|(i, _)| *i).collect();
        now.sort_unstable();
        let mut predecessor = None;
        for (i, moved) in &target {
            if *moved {
                let from = now.iter().position(|n| n == i).unwrap_or_default();
                now.remove(from);
                let to = predecessor.and_then(|p| now.iter().position(|n| *n == p)).map_or(0, |p| p + 1);
                now.insert(to, *i);
                if from != to {
                    self.op("move", &format!("{here}/{to}"), Some(&format!("{here}/{from}")), None);
                }
            }
            predecessor = Some(*i);
        }
        for child in children {
            if child.relation == Relation::Added || (child.moved && within(child).is_none()) {
                self.add(child.new);
            }
        }
        for child in children {
            self.descend(child);
        }
    }
}

fn token(doc: &Doc<'_>, id: NodeId) -> String {
    doc.key(id).replace('~', "~0").replace('/', "~1")
}

/// The merge patch: what it names is set, what it sets to null is removed, arrays are replaced.
///
/// # Errors
/// [`PatchError::Null`] where the new state has a null that the old one has not, which a merge patch cannot say.
pub fn merge_patch(structure: &Structure<'_>) -> Result<String, PatchError> {
    if structure.as_sets {
        return Err(PatchError::Sets);
    }
    let mut out = String::new();
    merge(structure, &structure.root, &mut out)?;
    Ok(out)
}

fn merge(structure: &Structure<'_>, pair: &Pair, out: &mut String) -> Result<(), PatchError> {
    let new = &structure.new;
    let Some(id) = pair.new else {
        out.push_str("null");
        return Ok(());
    };
    let is_object = new.kind(id) == NodeKind::Object;
    if !is_object || !matches!(pair.relation, Relation::Inside | Relation::Same) || pair.moved {
        // A root that is null replaces the document and is no removal.
        if let Some(null) = null_member(new, id).filter(|n| new.parent(*n).is_some()) {
            return Err(PatchError::Null(new.pointer(null)));
        }
        out.push_str(new.text(id));
        return Ok(());
    }
    out.push('{');
    let mut first = true;
    for child in structure.children(pair) {
        if child.relation == Relation::Same && !child.moved {
            continue;
        }
        let key = match (child.new, child.old) {
            (Some(id), _) => new.key(id),
            (None, Some(id)) => structure.old.key(id),
            (None, None) => continue,
        };
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        push_quoted(out, &key);
        out.push(':');
        merge(structure, child, out)?;
    }
    out.push('}');
    Ok(())
}

/// A null that a merge patch would take for a removal: the value itself or a member of an object in it.
fn null_member(doc: &Doc<'_>, id: NodeId) -> Option<NodeId> {
    match doc.kind(id) {
        NodeKind::Null => Some(id),
        NodeKind::Object => doc.children(id).find_map(|c| null_member(doc, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::apply::tests::{doc, pairs};
    use super::*;
    use serde_json::Value;

    fn structure<'a>(old: &'a str, new: &'a str) -> Structure<'a> {
        Structure::new(doc(old), doc(new), false, &|| false).unwrap()
    }

    #[test]
    fn an_independent_implementation_accepts_both_patches() {
        // Its reader of JSON takes neither 1e400 nor different spellings of a number.
        let takes = |text: &str| !text.contains("1e400");
        let mut merged = 0;
        for (old, new) in pairs(30_000).filter(|(a, b)| takes(a) && takes(b)) {
            let wanted: Value = serde_json::from_str(&new).unwrap();
            let before: Value = serde_json::from_str(&old).unwrap();
            let s = structure(&old, &new);
            let patch = json_patch(&s).unwrap();
            let mut got = before.clone();
            let operations: json_patch::Patch = serde_json::from_str(&patch).unwrap();
            json_patch::patch(&mut got, &operations).unwrap_or_else(|e| panic!("{old}\n{new}\n{patch}\n{e}"));
            assert_eq!(got, wanted, "{old}\n{new}\n{patch}");
            if let Ok(patch) = merge_patch(&s) {
                merged += 1;
                let mut got = before;
                json_patch::merge(&mut got, &serde_json::from_str::<Value>(&patch).unwrap());
                assert_eq!(got, wanted, "{old}\n{new}\n{patch}");
            }
        }
        assert!(merged > 1000, "{merged}");
    }

    #[test]
    fn moves_are_moves() {
        let patch = json_patch(&structure("[1,2,3,4]", "[2,3,1,5]")).unwrap();
        assert_eq!(
            patch,
            r#"[{"op":"remove","path":"/3"},{"op":"move","from":"/0","path":"/2"},{"op":"add","path":"/3","value":5}]"#
        );
    }

    #[test]
    fn numbers_stay_as_stored() {
        let s = structure(r#"{"n":1}"#, r#"{"n":0.1000}"#);
        assert_eq!(json_patch(&s).unwrap(), r#"[{"op":"replace","path":"/n","value":0.1000}]"#);
        assert_eq!(merge_patch(&s).unwrap(), r#"{"n":0.1000}"#);
    }

    #[test]
    fn what_a_merge_patch_cannot_say_is_refused() {
        let s = structure(r#"{"a":{"b":1}}"#, r#"{"a":{"b":null}}"#);
        assert_eq!(merge_patch(&s), Err(PatchError::Null("/a/b".to_owned())));
        let s = structure(r#"{"a":null,"b":1}"#, r#"{"a":null,"b":[null]}"#);
        assert_eq!(merge_patch(&s).unwrap(), r#"{"b":[null]}"#);
    }
}
