//! A reader of JSON that keeps what was written: number tokens and string spellings stay spans of the text.
//!
//! One pass without recursion, into an arena in which the children of a node are neighbours. Members are held in the
//! order of `jsonb` (shorter keys first, then bytewise), so that two objects are compared by a merge. Of equal keys
//! the last one counts, as for `jsonb`.

mod read;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

/// What a node is. Two values of different kinds differ in type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number: a token, never a float.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl NodeKind {
    /// The name that JSON Schema gives the type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }

    /// Whether it is an array or an object.
    pub const fn is_container(self) -> bool {
        matches!(self, Self::Array | Self::Object)
    }
}

/// A node of one [`Doc`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The place in arrays that run parallel to the nodes of a document.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How much the reader takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Greatest length of the text in bytes.
    pub bytes: usize,
    /// Maximum number of values.
    pub nodes: usize,
}

/// Deepest nesting of a document. What walks a tree may recurse this far on a 2 MB stack.
pub const MAX_DEPTH: usize = 256;

/// Why a text is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON (RFC 8259).
    #[error("not JSON: {reason} at byte {at}")]
    Syntax {
        /// What is wrong.
        reason: &'static str,
        /// Offset in bytes.
        at: usize,
    },
    /// It is nested more than [`MAX_DEPTH`] levels deep.
    #[error("nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// It is longer than the limit.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// It has more values than the limit.
    #[error("more than {0} values")]
    TooMany(usize),
}

/// Offsets of a part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Part {
    start: u32,
    end: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    kind: NodeKind,
    /// The string (or the key) has a backslash.
    escaped: bool,
    key_escaped: bool,
    /// Between the quotes; empty where the parent is no object.
    key: Part,
    text: Part,
    first_child: u32,
    children: u32,
    parent: u32,
    /// Equal values have equal fingerprints; the reverse is checked, as an attacker can make collisions.
    fingerprint: u64,
}

/// A document over its text.
#[derive(Debug, Clone)]
pub struct Doc<'a> {
    text: &'a str,
    nodes: Cow<'a, [Node]>,
}

/// A document together with its text, for whoever keeps it.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnedDoc {
    text: Box<str>,
    nodes: Box<[Node]>,
}

impl OwnedDoc {
    /// Reads a text.
    ///
    /// # Errors
    /// As [`Doc::parse`].
    pub fn parse(text: Box<str>, limits: Limits) -> Result<Self, JsonError> {
        let nodes = Doc::parse(&text, limits)?.nodes.into_owned().into_boxed_slice();
        Ok(Self { text, nodes })
    }

    /// The document.
    pub fn doc(&self) -> Doc<'_> {
        Doc { text: &self.text, nodes: Cow::Borrowed(&self.nodes) }
    }
}

const NO_PARENT: u32 = u32::MAX;

impl<'a> Doc<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// When it is not JSON or goes beyond the limits; never panics, whatever the text.
    pub fn parse(text: &'a str, limits: Limits) -> Result<Self, JsonError> {
        if text.len() > limits.bytes || u32::try_from(text.len()).is_err() {
            return Err(JsonError::TooLong(limits.bytes));
        }
        read::read(text, limits)
    }

    /// The outermost value.
    pub fn root(&self) -> NodeId {
        NodeId(self.nodes.len().saturating_sub(1) as u32)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: a document has a root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    fn slice(&self, part: Part) -> &'a str {
        self.text.get(part.start as usize..part.end as usize).unwrap_or_default()
    }

    /// What it is.
    pub fn kind(&self, id: NodeId) -> NodeKind {
        self.node(id).kind
    }

    /// Where it stands in the text, in bytes.
    pub fn place(&self, id: NodeId) -> std::ops::Range<usize> {
        let Part { start, end } = self.node(id).text;
        start as usize..end as usize
    }

    /// The value exactly as written.
    pub fn text(&self, id: NodeId) -> &'a str {
        self.slice(self.node(id).text)
    }

    /// Members in the order of `jsonb`, or elements; nothing for a scalar.
    pub fn children(
        &self,
        id: NodeId,
    ) -> impl DoubleEndedIterator<Item = NodeId> + ExactSizeIterator + use<> {
        let node = self.node(id);
        (node.first_child..node.first_child + node.children).map(NodeId)
    }

    /// Where the children stand in arrays that run parallel to the nodes.
    pub(crate) fn child_range(&self, id: NodeId) -> Range<usize> {
        let node = self.node(id);
        node.first_child as usize..(node.first_child + node.children) as usize
    }

    /// Number of members or elements.
    pub fn child_count(&self, id: NodeId) -> usize {
        self.node(id).children as usize
    }

    /// The `n`th element or member.
    pub fn child(&self, id: NodeId, n: usize) -> Option<NodeId> {
        let node = self.node(id);
        let n = u32::try_from(n).ok().filter(|n| *n < node.children)?;
        Some(NodeId(node.first_child + n))
    }

    /// The container; nothing for the root.
    pub fn parent(&self, id: NodeId) -> Option<NodeId> {
        Some(self.node(id).parent).filter(|p| *p != NO_PARENT).map(NodeId)
    }

    /// The place among the parent's children.
    pub fn position(&self, id: NodeId) -> usize {
        self.parent(id).map_or(0, |p| (id.0 - self.node(p).first_child) as usize)
    }

    /// The key, unescaped; empty for an element.
    pub fn key(&self, id: NodeId) -> Cow<'a, str> {
        let node = self.node(id);
        unescape(self.slice(node.key), node.key_escaped)
    }

    /// A string's text, unescaped; nothing for other kinds.
    pub fn string(&self, id: NodeId) -> Option<Cow<'a, str>> {
        let node = self.node(id);
        let inner = Part { start: node.text.start + 1, end: node.text.end.saturating_sub(1) };
        (node.kind == NodeKind::String).then(|| unescape(self.slice(inner), node.escaped))
    }

    /// The member with a key.
    pub fn member(&self, id: NodeId, key: &str) -> Option<NodeId> {
        let node = self.node(id);
        if node.kind != NodeKind::Object {
            return None;
        }
        let found = self.nodes[self.child_range(id)]
            .binary_search_by(|n| jsonb_order(&unescape(self.slice(n.key), n.key_escaped), key))
            .ok()?;
        Some(NodeId(node.first_child + found as u32))
    }

    /// Follows a JSON Pointer (RFC 6901).
    pub fn resolve(&self, pointer: &str) -> Option<NodeId> {
        let mut at = self.root();
        for token in tokens(pointer) {
            at = match self.kind(at) {
                NodeKind::Object => self.member(at, &token)?,
                NodeKind::Array => self.child(at, token.parse().ok()?)?,
                _ => return None,
            };
        }
        Some(at)
    }

    /// The JSON Pointer (RFC 6901) of a node; empty for the root.
    pub fn pointer(&self, id: NodeId) -> String {
        let mut out = String::new();
        for id in self.ancestry(id) {
            out.push('/');
            match self.parent(id).map(|p| self.kind(p)) {
                Some(NodeKind::Array) => out.push_str(&self.position(id).to_string()),
                _ => out.push_str(&self.key(id).replace('~', "~0").replace('/', "~1")),
            }
        }
        out
    }

    /// The node and its containers below the root, outermost first.
    pub fn ancestry(&self, id: NodeId) -> Vec<NodeId> {
        let mut path = Vec::new();
        let mut at = id;
        while let Some(parent) = self.parent(at) {
            path.push(at);
            at = parent;
        }
        path.reverse();
        path
    }

    /// Whether two values are the same: strings by their characters, numbers by their tokens, objects by their
    /// members in any order.
    pub fn same(&self, id: NodeId, other: &Doc<'_>, other_id: NodeId) -> bool {
        let (a, b) = (self.node(id), other.node(other_id));
        if a.fingerprint != b.fingerprint || a.kind != b.kind || a.children != b.children {
            return false;
        }
        if self.text(id) == other.text(other_id) {
            return true;
        }
        match a.kind {
            NodeKind::String => self.string(id) == other.string(other_id),
            NodeKind::Array | NodeKind::Object => {
                let pairs = self.children(id).zip(other.children(other_id));
                pairs.into_iter().all(|(x, y)| {
                    (a.kind == NodeKind::Array || self.key(x) == other.key(y)) && self.same(x, other, y)
                })
            }
            // Every other kind is its text.
            NodeKind::Null | NodeKind::Bool | NodeKind::Number => false,
        }
    }

    /// A number that equal values share; different ones may, too.
    pub(crate) fn fingerprint(&self, id: NodeId) -> u64 {
        self.node(id).fingerprint
    }
}

/// The order of keys in a `jsonb`.
pub(crate) fn jsonb_order(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// The reference tokens of a JSON Pointer, unescaped.
pub(crate) fn tokens(pointer: &str) -> impl Iterator<Item = String> + '_ {
    pointer.split('/').skip(1).map(|t| t.replace("~1", "/").replace("~0", "~"))
}

/// Appends a JSON string with quotes.
pub(crate) fn push_quoted(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The characters of a string's inside. The reader has checked the escapes, so none is left over.
fn unescape(inner: &str, escaped: bool) -> Cow<'_, str> {
    if !escaped {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.as_bytes().get(at + 1).copied().unwrap_or(b'\\');
        let mut used = at + 2;
        out.push(match code {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (c, length) = unicode_escape(&rest.as_bytes()[at..]).unwrap_or(('\u{fffd}', 2));
                used = at + length;
                c
            }
            other => char::from(other),
        });
        rest = rest.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character of `\uXXXX`, or of a pair of surrogates, at the beginning, and the bytes it takes.
fn unicode_escape(bytes: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = bytes.get(at..at + 6).filter(|d| d.starts_with(b"\\u"))?;
        digits[2..].iter().try_fold(0, |n, d| Some(n * 16 + char::from(*d).to_digit(16)?))
    };
    let first = unit(0)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, 6));
    }
    let second = unit(6).filter(|u| (0xdc00..0xe000).contains(u))?;
    Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, 12))
}

fn mix(h: u64, x: u64) -> u64 {
    (h.rotate_left(5) ^ x).wrapping_mul(0x517c_c1b7_2722_0a95)
}

fn fingerprint_of(text: &str, seed: u64) -> u64 {
    let mut h = mix(seed, text.len() as u64);
    let (chunks, tail) = text.as_bytes().as_chunks::<8>();
    for chunk in chunks {
        h = mix(h, u64::from_le_bytes(*chunk));
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    mix(h, u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { bytes: 1 << 20, nodes: 10_000 };

    fn parse(text: &str) -> Result<Doc<'_>, JsonError> {
        Doc::parse(text, LIMITS)
    }

    #[test]
    fn tokens_stay_as_written() {
        let text = r#" {"b" : [1e400, 0.1000, 12345678901234567890, -0.0], "a\u00e9":"x\n\ud83d\ude00"} "#;
        let doc = parse(text).unwrap();
        let numbers: Vec<&str> = doc.children(doc.resolve("/b").unwrap()).map(|n| doc.text(n)).collect();
        assert_eq!(numbers, ["1e400", "0.1000", "12345678901234567890", "-0.0"]);
        assert_eq!(doc.string(doc.resolve("/aé").unwrap()).unwrap(), "x\n😀");
        assert_eq!(doc.text(doc.root()), text.trim());
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let doc = parse(r#"{"a":1,"b":2,"a":3,"\u0061":4}"#).unwrap();
        assert_eq!(doc.child_count(doc.root()), 2);
        assert_eq!(doc.text(doc.resolve("/a").unwrap()), "4");
    }

    #[test]
    fn pointers_lead_back() {
        let doc = parse(r#"{"a/b":{"~":[0,{"":1}]},"0":{"k":2}}"#).unwrap();
        for i in 0..doc.len() {
            let id = NodeId(i as u32);
            assert_eq!(doc.resolve(&doc.pointer(id)), Some(id), "{}", doc.pointer(id));
        }
        assert_eq!(doc.pointer(doc.resolve("/a~1b/~0/1/").unwrap()), "/a~1b/~0/1/");
        assert_eq!(doc.resolve("/a~1b/~0/2"), None);
    }

    #[test]
    fn sameness_looks_through_spelling_but_not_through_numbers() {
        let same = |a: &str, b: &str| {
            let (a, b) = (parse(a).unwrap(), parse(b).unwrap());
            a.same(a.root(), &b, b.root())
        };
        assert!(same(r#"{"a":"\u0041","b":[1, 2]}"#, r#"{"b":[1,2],"a":"A"}"#));
        assert!(!same("1.0", "1.00"));
        assert!(!same("[1,2]", "[2,1]"));
        assert!(!same("{}", "[]"));
        assert!(!same(r#""1""#, "1"));
    }

    #[test]
    fn limits_are_errors() {
        assert_eq!(parse(&"[".repeat(1_000_000)).unwrap_err(), JsonError::TooDeep);
        let deepest = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
        assert!(parse(&deepest).is_ok());
        let many = format!("[{}0]", "0,".repeat(20_000));
        assert_eq!(parse(&many).unwrap_err(), JsonError::TooMany(10_000));
        assert_eq!(Doc::parse("[1]", Limits { bytes: 2, nodes: 9 }).unwrap_err(), JsonError::TooLong(2));
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for (text, at) in [
            ("", 0),
            ("[1,]", 3),
            ("[,1]", 1),
            ("[1 2]", 3),
            ("{\"a\" 1}", 5),
            ("{a:1}", 1),
            ("{\"a\":1,}", 7),
            ("01", 1),
            ("1.", 2),
            ("+1", 0),
            ("nul", 0),
            ("\"\\ud800\"", 1),
            ("\"\\x\"", 1),
            ("\"a\nb\"", 2),
            ("\"a", 1),
            ("[1}", 2),
            ("1]", 1),
        ] {
            match parse(text).unwrap_err() {
                JsonError::Syntax { at: found, .. } => assert_eq!(found, at, "{text}"),
                other => panic!("{text}: {other}"),
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_an_independent_reader(text in r#"[\[\]{}:,"\\ua0-9eE+.\- ntrulfsé]{0,24}"#) {
            // Lone surrogates and depth aside, both take the same texts.
            let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            let out_of_range = theirs != parse(&text).is_ok() && text.contains(['e', 'E']);
            prop_assert!(theirs == parse(&text).is_ok() || out_of_range, "{}", text);
        }

        #[test]
        fn never_panics(text in any::<String>()) {
            if let Ok(doc) = parse(&text) {
                prop_assert!(!doc.is_empty());
            }
        }
    }
}
