//! Looking for something in a document: words in keys and values, and paths of which only some letters are known.

use super::is_hidden;
use crate::diff::json::{Doc, NodeId, NodeKind};
use crate::diff::rows::View;
use std::collections::HashMap;
use std::fmt::Write as _;

/// What a walk through a document knows of each value.
struct Step<'d> {
    id: NodeId,
    key: &'d str,
    /// A key on the way to it is one of a secret.
    secret: bool,
}

/// A walk through a whole document, in the order of its lines.
struct Walk<'w, 'd> {
    doc: &'w Doc<'d>,
    view: &'w View,
    stop: &'w dyn Fn() -> bool,
    /// Keys come again and again.
    secrets: HashMap<String, bool>,
    seen: usize,
}

/// Values between two questions whether to stop.
const OFTEN: usize = 4_096;

impl Walk<'_, '_> {
    /// Calls `enter` and `leave` around each value; false when it was stopped.
    fn go(&mut self, id: NodeId, secret: bool, each: &mut dyn FnMut(Option<&Step<'_>>)) -> bool {
        self.seen += 1;
        if self.seen.is_multiple_of(OFTEN) && (self.stop)() {
            return false;
        }
        let key = self.doc.key(id);
        let secret = secret || self.is_secret(&key);
        each(Some(&Step { id, key: &key, secret }));
        let goes_on = self.doc.children(id).all(|child| self.go(child, secret, each));
        each(None);
        goes_on
    }

    fn is_secret(&mut self, key: &str) -> bool {
        if let Some(known) = self.secrets.get(key) {
            return *known;
        }
        let secret = self.view.mask && self.view.rules.is_secret_key(key);
        self.secrets.insert(key.to_owned(), secret);
        secret
    }
}

fn walk(
    doc: &Doc<'_>,
    view: &View,
    stop: &dyn Fn() -> bool,
    each: &mut dyn FnMut(Option<&Step<'_>>),
) -> bool {
    let mut walk = Walk { doc, view, stop, secrets: HashMap::new(), seen: 0 };
    walk.go(doc.root(), false, each)
}

/// The values that have a text in their key or, unless they have children, in themselves, in the order of their lines.
/// Capitals count where the text has some. What is masked is not looked into. Nothing when `stop` said so.
pub fn hits(doc: &Doc<'_>, text: &str, view: &View, stop: &dyn Fn() -> bool) -> Option<Vec<NodeId>> {
    let exact = text.chars().any(char::is_uppercase);
    let lower = text.to_lowercase();
    let has = |found: &str| if exact { found.contains(text) } else { found.to_lowercase().contains(&lower) };
    let mut hits = Vec::new();
    let whole = walk(doc, view, stop, &mut |step| {
        let Some(Step { id, key, secret }) = step else { return };
        let in_value = || match doc.kind(*id) {
            NodeKind::Object | NodeKind::Array => false,
            _ if is_hidden(doc, *id, *secret, view) => false,
            NodeKind::String => doc.string(*id).is_some_and(|string| has(&string)),
            _ => has(doc.text(*id)),
        };
        if has(key) || in_value() {
            hits.push(*id);
        }
    });
    whole.then_some(hits)
}

/// A value by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The value.
    pub id: NodeId,
    /// Its path (JSON Pointer).
    pub pointer: String,
    score: i32,
}

/// The paths that have all letters of a text in its order, the best first, at most `most`. Nothing when `stop` said so.
pub fn paths(doc: &Doc<'_>, text: &str, most: usize, stop: &dyn Fn() -> bool) -> Option<Vec<Path>> {
    let wanted: Vec<char> = text.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    let view = View { mask: false, ..View::default() };
    let mut found: Vec<Path> = Vec::new();
    let mut pointer = String::new();
    let mut ends: Vec<usize> = Vec::new();
    // A stable order: of two that are as good, the one that comes first in the document.
    let best = |found: &mut Vec<Path>| {
        found.sort_by(|a, b| b.score.cmp(&a.score).then(a.pointer.len().cmp(&b.pointer.len())));
        found.truncate(most);
    };
    let whole = walk(doc, &view, stop, &mut |step| {
        let Some(Step { id, key, .. }) = step else {
            pointer.truncate(ends.pop().unwrap_or_default());
            return;
        };
        ends.push(pointer.len());
        match doc.parent(*id).map(|p| doc.kind(p)) {
            Some(NodeKind::Array) => {
                // Writing to a String cannot fail.
                let _ = write!(pointer, "/{}", doc.position(*id));
            }
            Some(_) => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            None => {}
        }
        if let Some(score) = score(&pointer, &wanted) {
            found.push(Path { id: *id, pointer: pointer.clone(), score });
            if found.len() >= 8 * most.max(128) {
                best(&mut found);
            }
        }
    });
    best(&mut found);
    whole.then_some(found)
}

/// How well a path fits the letters; nothing where it lacks one. The latest place counts at which all of them stand in
/// order: the end of a path says more than its beginning. Letters that follow each other, and first letters of words,
/// count more than gaps cost.
fn score(path: &str, wanted: &[char]) -> Option<i32> {
    let mut score = 0;
    let mut rest = wanted.iter().rev().peekable();
    let mut followed = false;
    let mut gap = 0;
    let mut chars = path.char_indices().rev().peekable();
    while let Some((_, c)) = chars.next() {
        let Some(letter) = rest.peek() else { break };
        if c.to_lowercase().next() == Some(**letter) {
            rest.next();
            let before = chars.peek().map_or('/', |(_, c)| *c);
            let begins = !before.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
            score += 4 + if followed { 6 } else { 0 } + if begins { 8 } else { 0 };
            followed = true;
        } else {
            followed = false;
            gap += 1;
        }
    }
    // What stands behind the last letter and between them, a little.
    rest.peek().is_none().then_some(score * 4 - gap.min(64))
}

#[cfg(test)]
mod tests {
    use super::super::tests::outline;
    use super::*;

    fn found(text: &str, query: &str) -> Vec<String> {
        let outline = outline(text);
        let doc = outline.doc();
        paths(&doc, query, 5, &|| false).unwrap().into_iter().map(|p| p.pointer).collect()
    }

    const STATE: &str = r#"{"roles": [{"name": "admin", "permissions": ["read", "write"]}], "role": "x",
        "parole": {"mission": 1}, "metadata": {"labels": {"app.kubernetes.io/name": "web"}}, "a~b": {"/": 2}}"#;

    #[test]
    fn some_letters_of_a_path_are_enough() {
        assert_eq!(found(STATE, "rolperm")[0], "/roles/0/permissions");
        assert_eq!(found(STATE, "role")[0], "/role");
        assert_eq!(found(STATE, "mdlab")[0], "/metadata/labels");
        assert_eq!(found(STATE, "appname")[0], "/metadata/labels/app.kubernetes.io~1name");
        assert_eq!(found(STATE, "perm1")[0], "/roles/0/permissions/1");
        assert_eq!(found(STATE, "zzz"), Vec::<String>::new());
        // Every path leads to its value, odd keys or not.
        let outline = outline(STATE);
        let doc = outline.doc();
        let all = paths(&doc, "", usize::MAX / 16, &|| false).unwrap();
        assert_eq!(all.len(), doc.len());
        assert!(all.iter().all(|path| doc.resolve(&path.pointer) == Some(path.id)));
    }

    #[test]
    fn keys_and_values_are_searched_but_not_what_is_masked() {
        let outline = outline(
            r#"{"Name": "Zoë", "n": 1e400, "x": ["ZOË", null], "token": "zoë", "e": "\u007ao\u00eb"}"#,
        );
        let doc = outline.doc();
        let found = |text: &str| -> Vec<String> {
            let hits = hits(&doc, text, &View::default(), &|| false).unwrap();
            hits.into_iter().map(|id| doc.pointer(id)).collect()
        };
        assert_eq!(found("zoë"), ["/e", "/x/0", "/Name"]);
        assert_eq!(found("ZO"), ["/x/0"]);
        assert_eq!(found("e4"), ["/n"]);
        assert_eq!(found("NULL"), Vec::<String>::new());
        assert_eq!(found("tok"), ["/token"]);
    }

    #[test]
    fn one_can_stop() {
        let outline = outline(&format!("[{}0]", "0,".repeat(10_000)));
        assert_eq!(hits(&outline.doc(), "0", &View::default(), &|| true), None);
        assert_eq!(paths(&outline.doc(), "0", 10, &|| true), None);
    }
}
