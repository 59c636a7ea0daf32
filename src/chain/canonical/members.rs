//! The members of objects: noted while a text is read, and copied once more in the order of their keys where that is
//! another one.

use super::Canonicaliser;

/// A member of an object: its key, and where `"key": value` stands in the output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// The first eight bytes of the decoded key, big-endian: decides most comparisons.
    prefix: u64,
    key: Key,
    start: usize,
    end: usize,
}

/// The bytes of a decoded key: in the input where it has no escape, else in `keys`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) decoded: bool,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Debug)]
pub(super) struct Unsorted {
    start: usize,
    end: usize,
    /// Its members in `sorted`.
    members: (usize, usize),
}

/// What remains to be written.
#[derive(Debug)]
pub(super) enum Task {
    /// A part of the draft, with the objects in it.
    Span { start: usize, end: usize },
    /// The members from `next` to `end`.
    Members { next: usize, end: usize, first: bool },
}

impl Canonicaliser {
    /// A member of the innermost object begins: its key, and where that stands in the draft.
    pub(super) fn begin_member(&mut self, input: &[u8], key: Key, start: usize) {
        let text = if key.decoded { &self.keys } else { input };
        let member = Member { prefix: prefix(text, key.start, key.end), key, start, end: start };
        let Some(frame) = self.frames.last_mut() else { return };
        let previous = self.open.last().filter(|_| self.open.len() > frame.first);
        if previous.is_some_and(|previous| compare(input, &self.keys, previous, &member).is_ge()) {
            frame.in_order = false;
        }
        self.open.push(member);
    }

    /// Notes where the member that was read last ends.
    pub(super) fn end_member(&mut self, object: bool, end: usize) {
        if object && let Some(member) = self.open.last_mut() {
            member.end = end;
        }
    }

    /// Forgets the members of the innermost object, which ends before `end`, or keeps them in order when it must be
    /// written again.
    pub(super) fn close_object(&mut self, input: &[u8], end: usize) {
        let Self { frames, open, sorted, unsorted, keys, .. } = self;
        let Some(frame) = frames.pop() else { return };
        if frame.in_order {
            open.truncate(frame.first);
            return;
        }
        let from = sorted.len();
        sorted.extend_from_slice(open.get(frame.first..).unwrap_or_default());
        open.truncate(frame.first);
        let Some(members) = sorted.get_mut(from..) else { return };
        // Stable: of equal keys the last in the input stays last, and that one counts.
        members.sort_by(|a, b| compare(input, keys, a, b));
        let mut kept = from;
        for i in from..sorted.len() {
            let superseded = match (sorted.get(i), sorted.get(i + 1)) {
                (Some(a), Some(b)) => compare(input, keys, a, b).is_eq(),
                _ => false,
            };
            if !superseded {
                sorted.swap(kept, i);
                kept += 1;
            }
        }
        sorted.truncate(kept);
        unsorted.push(Unsorted { start: frame.start, end, members: (from, kept) });
    }

    /// Writes a draft with the members of all objects in key order.
    pub(super) fn rearrange(&mut self, draft: &[u8], out: &mut Vec<u8>) {
        let Self { unsorted, sorted, tasks, .. } = self;
        unsorted.sort_unstable_by_key(|object| object.start);
        tasks.clear();
        tasks.push(Task::Span { start: 0, end: draft.len() });
        while let Some(task) = tasks.pop() {
            match task {
                Task::Span { start, end } => {
                    let next = unsorted.partition_point(|object| object.start < start);
                    let Some(object) = unsorted.get(next).filter(|object| object.start < end) else {
                        out.extend_from_slice(draft.get(start..end).unwrap_or_default());
                        continue;
                    };
                    // With its opening brace; the closing one begins the span behind it.
                    out.extend_from_slice(draft.get(start..=object.start).unwrap_or_default());
                    let (next, last) = object.members;
                    tasks.push(Task::Span { start: object.end - 1, end });
                    tasks.push(Task::Members { next, end: last, first: true });
                }
                Task::Members { next, end, first } => {
                    let mut between: &[u8] = if first { b"" } else { b", " };
                    for (next, member) in (next + 1..).zip(sorted.get(next..end).unwrap_or_default()) {
                        out.extend_from_slice(between);
                        let inner = unsorted.partition_point(|object| object.start < member.start);
                        if unsorted.get(inner).is_some_and(|object| object.start < member.end) {
                            tasks.push(Task::Members { next, end, first: false });
                            tasks.push(Task::Span { start: member.start, end: member.end });
                            break;
                        }
                        out.extend_from_slice(draft.get(member.start..member.end).unwrap_or_default());
                        between = b", ";
                    }
                }
            }
        }
    }
}

/// The first eight bytes of a key as a number that compares as they do; a shorter key is padded with zeros. `text` is
/// where the key lies, from `start` to `end`.
fn prefix(text: &[u8], start: usize, end: usize) -> u64 {
    let bits = 8 * (end - start).min(8) as u32;
    // Mostly something follows the key, so that eight bytes can be read at once.
    let word = text.get(start..).and_then(<[u8]>::first_chunk::<8>).map_or_else(
        || {
            let bytes = text.get(start..end).unwrap_or_default();
            bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)).checked_shl(64 - bits).unwrap_or(0)
        },
        |bytes| u64::from_be_bytes(*bytes),
    );
    word & !u64::MAX.checked_shr(bits).unwrap_or(0)
}

fn key_bytes<'a>(input: &'a [u8], keys: &'a [u8], key: Key) -> &'a [u8] {
    if key.decoded { keys } else { input }.get(key.start..key.end).unwrap_or_default()
}

/// Order of two keys by code point, which is the order of their UTF-8 bytes (not of UTF-16).
fn compare(input: &[u8], keys: &[u8], a: &Member, b: &Member) -> std::cmp::Ordering {
    // Padding with zeros is safe: no key holds U+0000.
    a.prefix.cmp(&b.prefix).then_with(|| key_bytes(input, keys, a.key).cmp(key_bytes(input, keys, b.key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prefixes_compare_as_the_first_bytes_of_keys(
            text in prop::collection::vec(1u8..=3, 0..24),
            ends in any::<[prop::sample::Index; 4]>(),
        ) {
            let [a, b, c, d] = ends.map(|end| end.index(text.len() + 1));
            let (one, other) = (a.min(b)..a.max(b), c.min(d)..c.max(d));
            let first = |key: &std::ops::Range<usize>| text[key.start..key.end.min(key.start + 8)].to_vec();
            let numbers = [&one, &other].map(|key| prefix(&text, key.start, key.end));
            prop_assert_eq!(numbers[0].cmp(&numbers[1]), first(&one).cmp(&first(&other)));
        }
    }
}
