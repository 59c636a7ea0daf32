//! A reader of JSON that keeps what was written: number tokens and string spellings stay spans of the text.
//!
//! One pass without recursion, into an arena in which the children of a node are neighbours. Members are held in the
//! order of `jsonb` (shorter keys first, then bytewise), so that two objects are compared by a merge. Of equal keys
//! the last one counts, as for `jsonb`.

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
    /// Greatest number of values.
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
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    start: u32,
    end: u32,
}

#[derive(Debug, Clone, Copy)]
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
    nodes: Vec<Node>,
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
        Reader { text, bytes: text.as_bytes(), at: 0, nodes: Vec::new(), pending: Vec::new(), limits }.read()
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
        let range = node.first_child as usize..(node.first_child + node.children) as usize;
        let found = self.nodes[range]
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

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Nodes in their final places.
    nodes: Vec<Node>,
    /// Nodes whose container is still open.
    pending: Vec<Node>,
    limits: Limits,
}

/// An open container.
struct Open {
    kind: NodeKind,
    start: u32,
    key: Key,
    /// Where its children begin in `pending`.
    first: usize,
}

#[derive(Clone, Copy, Default)]
struct Key {
    part: Part,
    escaped: bool,
}

impl<'a> Reader<'a> {
    fn read(mut self) -> Result<Doc<'a>, JsonError> {
        let mut open: Vec<Open> = Vec::new();
        let mut key = Key::default();
        loop {
            // At the beginning of a value.
            self.blanks();
            let start = self.at as u32;
            match self.peek() {
                Some(c @ (b'{' | b'[')) => {
                    if open.len() == MAX_DEPTH {
                        return Err(JsonError::TooDeep);
                    }
                    self.at += 1;
                    let kind = if c == b'{' { NodeKind::Object } else { NodeKind::Array };
                    open.push(Open { kind, start, key, first: self.pending.len() });
                    self.blanks();
                    if self.peek() != Some(closing(kind)) {
                        key = self.key_if(kind)?;
                        continue;
                    }
                }
                _ => self.scalar(key)?,
            }
            // Behind a value, or before the end of an empty container.
            loop {
                self.blanks();
                let Some(innermost) = open.last() else {
                    if self.at < self.bytes.len() {
                        return Err(self.wrong("more text behind the value"));
                    }
                    return Ok(self.finish());
                };
                match self.peek() {
                    Some(b',') if self.pending.len() > innermost.first => {
                        let kind = innermost.kind;
                        self.at += 1;
                        self.blanks();
                        key = self.key_if(kind)?;
                        break;
                    }
                    Some(c) if c == closing(innermost.kind) => {
                        self.at += 1;
                        if let Some(done) = open.pop() {
                            self.close(&done)?;
                        }
                    }
                    _ => return Err(self.wrong("a comma or the end of the container is missing")),
                }
            }
        }
    }

    fn wrong(&self, reason: &'static str) -> JsonError {
        JsonError::Syntax { reason, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// In an object: the key and its colon.
    fn key_if(&mut self, kind: NodeKind) -> Result<Key, JsonError> {
        if kind != NodeKind::Object {
            return Ok(Key::default());
        }
        if self.peek() != Some(b'"') {
            return Err(self.wrong("a key in double quotes is missing"));
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let part = Part { start: start as u32, end: (self.at - 1) as u32 };
        self.blanks();
        if self.peek() != Some(b':') {
            return Err(self.wrong("a colon is missing"));
        }
        self.at += 1;
        Ok(Key { part, escaped })
    }

    fn scalar(&mut self, key: Key) -> Result<(), JsonError> {
        let start = self.at;
        let mut escaped = false;
        let kind = match self.peek() {
            Some(b'"') => {
                escaped = self.string()?;
                NodeKind::String
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                NodeKind::Number
            }
            _ => {
                let word = [("null", NodeKind::Null), ("true", NodeKind::Bool), ("false", NodeKind::Bool)]
                    .into_iter()
                    .find(|(w, _)| self.bytes[self.at..].starts_with(w.as_bytes()));
                let Some((word, kind)) = word else { return Err(self.wrong("a value is missing")) };
                self.at += word.len();
                kind
            }
        };
        let text = &self.text[start..self.at];
        let fingerprint = if escaped {
            fingerprint_of(&unescape(&text[1..text.len() - 1], true), kind as u64)
        } else if kind == NodeKind::String {
            fingerprint_of(&text[1..text.len() - 1], kind as u64)
        } else {
            fingerprint_of(text, kind as u64)
        };
        self.push(Node {
            kind,
            escaped,
            key_escaped: key.escaped,
            key: key.part,
            text: Part { start: start as u32, end: self.at as u32 },
            first_child: 0,
            children: 0,
            parent: NO_PARENT,
            fingerprint,
        })
    }

    fn push(&mut self, node: Node) -> Result<(), JsonError> {
        if self.nodes.len() + self.pending.len() >= self.limits.nodes {
            return Err(JsonError::TooMany(self.limits.nodes));
        }
        self.pending.push(node);
        Ok(())
    }

    /// Skips a string with its quotes; whether it has escapes.
    fn string(&mut self) -> Result<bool, JsonError> {
        let mut escaped = false;
        self.at += 1;
        loop {
            let rest = &self.bytes[self.at..];
            let Some(length) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(self.wrong("the string has no end"));
            };
            if let Some(control) = rest[..length].iter().position(|b| *b < b' ') {
                self.at += control;
                return Err(self.wrong("a control character stands in a string"));
            }
            self.at += length;
            if rest[length] == b'"' {
                self.at += 1;
                return Ok(escaped);
            }
            escaped = true;
            self.at += match self.bytes.get(self.at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                Some(b'u') => match unicode_escape(&self.bytes[self.at..]) {
                    Some((_, length)) => length,
                    None => return Err(self.wrong("an escape names no character")),
                },
                _ => return Err(self.wrong("an unknown escape")),
            };
        }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let count = self.bytes[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(self.wrong("a digit is missing")) } else { Ok(()) }
    }

    /// Moves the children of a finished container to their final places.
    fn close(&mut self, done: &Open) -> Result<(), JsonError> {
        if done.kind == NodeKind::Object {
            self.sort_members(done.first);
        }
        let mut fingerprint = mix(done.kind as u64, (self.pending.len() - done.first) as u64);
        for node in &self.pending[done.first..] {
            if done.kind == NodeKind::Object {
                fingerprint = mix(fingerprint, fingerprint_of(&self.key_of(node), 1));
            }
            fingerprint = mix(fingerprint, node.fingerprint);
        }
        let range = self.place(done.first);
        self.push(Node {
            kind: done.kind,
            escaped: false,
            key_escaped: done.key.escaped,
            key: done.key.part,
            text: Part { start: done.start, end: self.at as u32 },
            first_child: range.start,
            children: range.end - range.start,
            parent: NO_PARENT,
            fingerprint,
        })
    }

    fn place(&mut self, first: usize) -> Range<u32> {
        let start = self.nodes.len() as u32;
        self.nodes.extend(self.pending.drain(first..));
        let end = self.nodes.len() as u32;
        for id in start..end {
            let node = self.nodes[id as usize];
            for child in node.first_child..node.first_child + node.children {
                self.nodes[child as usize].parent = id;
            }
        }
        start..end
    }

    fn key_of(&self, node: &Node) -> Cow<'a, str> {
        let part = self.text.get(node.key.start as usize..node.key.end as usize).unwrap_or_default();
        unescape(part, node.key_escaped)
    }

    /// Brings members into the order of `jsonb`; of equal keys the last one stays.
    fn sort_members(&mut self, first: usize) {
        let order = |a: &Node, b: &Node| {
            if a.key_escaped || b.key_escaped {
                return jsonb_order(&self.key_of(a), &self.key_of(b));
            }
            let key = |n: &Node| &self.bytes[n.key.start as usize..n.key.end as usize];
            key(a).len().cmp(&key(b).len()).then_with(|| key(a).cmp(key(b)))
        };
        if self.pending[first..].is_sorted_by(|a, b| order(a, b) == Ordering::Less) {
            return;
        }
        let mut members = self.pending[first..].to_vec();
        // Last ones first among equals, and then only the first of equals is kept.
        members.reverse();
        members.sort_by(order);
        members.dedup_by(|a, b| order(a, b) == Ordering::Equal);
        self.pending.truncate(first);
        self.pending.extend(members);
    }

    fn finish(mut self) -> Doc<'a> {
        self.place(0);
        Doc { text: self.text, nodes: self.nodes }
    }
}

const fn closing(kind: NodeKind) -> u8 {
    if matches!(kind, NodeKind::Object) { b'}' } else { b']' }
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
