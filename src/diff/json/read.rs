//! The one pass from text to arena.

use super::{
    Doc, JsonError, Limits, MAX_DEPTH, NO_PARENT, Node, NodeKind, Part, fingerprint_of, jsonb_order, mix,
    unescape, unicode_escape,
};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

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

/// Reads a text whose length is within the limits.
pub(super) fn read(text: &str, limits: Limits) -> Result<Doc<'_>, JsonError> {
    Reader { text, bytes: text.as_bytes(), at: 0, nodes: Vec::new(), pending: Vec::new(), limits }.read()
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
        Doc { text: self.text, nodes: Cow::Owned(self.nodes) }
    }
}

const fn closing(kind: NodeKind) -> u8 {
    if matches!(kind, NodeKind::Object) { b'}' } else { b']' }
}
