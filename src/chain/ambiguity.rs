//! What a row cannot tell any more, because PostgreSQL keeps values and not spellings: whether `10000000000000000` was
//! written as the float `1e+16`, whether `0.0` was `-0.0`, whether keys were sorted as numbers, how an address was
//! spelled, and which offset from UTC a time had. All spellings of one value are equal values.

use super::scheme::isoformat;
use crate::domain::Timestamp;
use std::net::Ipv6Addr;

/// A number of a canonical text that has a second spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    /// Where it stands in the text.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The other spelling.
    pub(super) other: String,
    /// `-0.0`, as opposed to a large float.
    pub(super) zero: bool,
    /// Hash of the JSON path with array indices left out: numbers of one column of a table, so to say. Equal paths
    /// have equal hashes; it is no harm when others have too.
    pub(super) class: u64,
}

/// A member of an object in a canonical text.
#[derive(Debug)]
struct Member {
    key: (usize, usize),
    start: usize,
    end: usize,
}

#[derive(Debug)]
struct Frame {
    object: bool,
    start: usize,
    /// Path of the container.
    path: u64,
    members: Vec<Member>,
}

/// What [`walk`] meets.
enum Event<'a> {
    Number { start: usize, end: usize, path: u64 },
    Closed { frame: &'a Frame, end: usize },
}

/// Goes through a canonical text without recursion.
fn walk(text: &[u8], mut meet: impl FnMut(Event<'_>)) {
    let mut frames: Vec<Frame> = Vec::new();
    let mut path = 0u64;
    let mut key_expected = false;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                let end = string_end(text, at);
                if key_expected && let Some(frame) = frames.last_mut() {
                    frame.members.push(Member { key: (at + 1, end - 1), start: at, end });
                    path = mix(frame.path, text.get(at..end).unwrap_or_default());
                    key_expected = false;
                }
                at = end;
                continue;
            }
            b'{' | b'[' => {
                let object = *byte == b'{';
                frames.push(Frame { object, start: at, path, members: Vec::new() });
                key_expected = object;
            }
            b'}' | b']' => {
                if let Some(mut frame) = frames.pop() {
                    if let Some(member) = frame.members.last_mut() {
                        member.end = at;
                    }
                    path = frame.path;
                    meet(Event::Closed { frame: &frame, end: at + 1 });
                }
                key_expected = false;
            }
            b',' => {
                if let Some(frame) = frames.last_mut().filter(|frame| frame.object) {
                    if let Some(member) = frame.members.last_mut() {
                        member.end = at;
                    }
                    key_expected = true;
                }
            }
            b'-' | b'0'..=b'9' => {
                let length = text
                    .get(at..)
                    .unwrap_or_default()
                    .iter()
                    .take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e'))
                    .count();
                meet(Event::Number { start: at, end: at + length, path });
                at += length;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

/// Offset behind the closing quote of the string that begins at `at`.
fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        match text.get(at) {
            None => return text.len(),
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// FNV-1a.
fn mix(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed ^ 0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// The numbers of a canonical text that may have been floats.
pub(super) fn numbers(text: &[u8]) -> Vec<Number> {
    let mut found = Vec::new();
    walk(text, |event| {
        if let Event::Number { start, end, path } = event
            && let Some((other, zero)) = other_spelling(text.get(start..end).unwrap_or_default())
        {
            found.push(Number { start, end, other, zero, class: path });
        }
    });
    found
}

/// `-0.0` for `0.0`; a float with an exponent for an integer of at least 17 digits of which at most 17 count. No double
/// needs more, and below that Python writes a point.
fn other_spelling(token: &[u8]) -> Option<(String, bool)> {
    if token == b"0.0" {
        return Some(("-0.0".to_owned(), true));
    }
    let (sign, digits) = match token.split_first() {
        Some((b'-', digits)) => ("-", digits),
        _ => ("", token),
    };
    if !(17..=309).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let significant = digits.len() - digits.iter().rev().take_while(|b| **b == b'0').count();
    let (first, rest) = std::str::from_utf8(digits.get(..significant)?).ok()?.split_at_checked(1)?;
    if significant > 17 {
        return None;
    }
    let point = if rest.is_empty() { "" } else { "." };
    Some((format!("{sign}{first}{point}{rest}e+{:02}", digits.len() - 1), false))
}

/// The text with the chosen numbers in their other spelling.
pub(super) fn respell(text: &[u8], numbers: &[Number], chosen: impl Fn(usize, &Number) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + numbers.len());
    let mut from = 0;
    for (_, number) in numbers.iter().enumerate().filter(|(i, number)| chosen(*i, number)) {
        out.extend_from_slice(text.get(from..number.start).unwrap_or_default());
        out.extend_from_slice(number.other.as_bytes());
        from = number.end;
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    out
}

/// The text with the keys of every object whose keys are all numbers in the order of those numbers, as Python writes
/// a `dict` with `int` or `float` keys; `None` when that changes nothing. Copies at most `budget` bytes.
pub(super) fn numeric_key_order(text: &[u8], mut budget: usize) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    walk(text, |event| {
        let Event::Closed { frame, end } = event else { return };
        if frame.members.len() < 2 || budget < end - frame.start {
            return;
        }
        let keyed: Option<Vec<(NumericKey, &Member)>> = frame
            .members
            .iter()
            .map(|m| Some((NumericKey::parse(text.get(m.key.0..m.key.1)?)?, m)))
            .collect();
        let Some(mut keyed) = keyed else { return };
        if keyed.is_sorted_by(|(a, _), (b, _)| a.compare(b).is_le()) {
            return;
        }
        keyed.sort_by(|(a, _), (b, _)| a.compare(b));
        budget -= end - frame.start;
        // Inner objects come first and keep their place and length, so the spans still fit.
        let text = out.get_or_insert_with(|| text.to_vec());
        let mut object = b"{".to_vec();
        for (i, (_, member)) in keyed.iter().enumerate() {
            object.extend_from_slice(if i == 0 { b"" } else { b", " });
            object.extend_from_slice(text.get(member.start..member.end).unwrap_or_default());
        }
        object.push(b'}');
        if let Some(place) = text.get_mut(frame.start..end)
            && place.len() == object.len()
        {
            place.copy_from_slice(&object);
        }
    });
    out
}

#[derive(Debug, Clone, Copy)]
enum NumericKey {
    Integer(i128),
    Float(f64),
}

impl NumericKey {
    fn parse(key: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(key).ok()?;
        if !key.iter().all(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e')) {
            return None;
        }
        text.parse().map(Self::Integer).or_else(|_| text.parse().map(Self::Float)).ok()
    }

    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        match (*self, *other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(&b),
            (a, b) => a.float().total_cmp(&b.float()),
        }
    }

    fn float(self) -> f64 {
        match self {
            Self::Integer(n) => n as f64,
            Self::Float(x) => x,
        }
    }
}

/// Other spellings of an address that PostgreSQL prints as `text`; each place in the list is one style.
pub(super) fn addresses(text: &str) -> Vec<String> {
    let (address, mask) = match text.split_once('/') {
        Some((address, bits)) => (address, format!("/{bits}")),
        None => (text, String::new()),
    };
    let mut out: Vec<String> = Vec::new();
    if let Ok(v6) = address.parse::<Ipv6Addr>() {
        let words = v6.segments();
        let join = |words: &[u16], pad: bool| {
            let text: Vec<String> =
                words.iter().map(|w| if pad { format!("{w:04x}") } else { format!("{w:x}") }).collect();
            text.join(":")
        };
        let [.., a, b, c, d] = v6.octets();
        let dotted = format!("{a}.{b}.{c}.{d}");
        // The last two words must not take part in the `::` before a dotted end.
        let front = {
            let mut front = words;
            (front[6], front[7]) = (1, 1);
            let text = Ipv6Addr::from(front).to_string();
            text.strip_suffix(":1:1").map(str::to_owned)
        };
        out.push(join(&words, true));
        out.push(join(&words, false));
        out.push(shortest(&words));
        out.extend(front.map(|front| format!("{front}:{dotted}")));
        out.push(format!("{}:{dotted}", join(&words[..6], false)));
        out.push(format!("{}:{dotted}", join(&words[..6], true)));
        out.push(address.to_owned());
        let upper: Vec<String> = out.iter().map(|text| text.to_ascii_uppercase()).collect();
        out.extend(upper);
        if mask.is_empty() {
            let masked: Vec<String> = out.iter().map(|text| format!("{text}/128")).collect();
            out.extend(masked);
        }
    } else {
        let octets: Option<Vec<u8>> = address.split('.').map(|octet| octet.parse().ok()).collect();
        if let Some(octets) = octets {
            let padded: Vec<String> = octets.iter().map(|octet| format!("{octet:03}")).collect();
            out.push(padded.join("."));
        }
        if mask.is_empty() {
            out.push(format!("{address}/32"));
        }
    }
    for spelling in &mut out {
        spelling.push_str(&mask);
    }
    out
}

/// The first of the longest runs of zero words as `::`, all other words in hexadecimal, also behind `::ffff:` (Python's
/// `ipaddress` before 3.13).
fn shortest(words: &[u16; 8]) -> String {
    let (mut best, mut run) = ((0, 0), 0);
    for (i, word) in words.iter().enumerate() {
        run = if *word == 0 { run + 1 } else { 0 };
        if run > best.1 {
            best = (i + 1 - run, run);
        }
    }
    let join = |words: &[u16]| words.iter().map(|w| format!("{w:x}")).collect::<Vec<_>>().join(":");
    if best.1 < 2 {
        return join(words);
    }
    let (front, back) =
        (words.get(..best.0).unwrap_or_default(), words.get(best.0 + best.1..).unwrap_or_default());
    format!("{}::{}", join(front), join(back))
}

/// How a time was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// Minutes east of UTC.
    Offset(i16),
    /// `Z`.
    Zulu,
    /// Without offset.
    Naive,
}

/// How many places zones have.
pub(super) const ZONES: usize = 107;

/// Every zone but UTC's `+00:00`: quarters of an hour from -12:00 to +14:00, `Z` and none.
pub(super) fn zones() -> impl Iterator<Item = Zone> {
    [Zone::Zulu, Zone::Naive]
        .into_iter()
        .chain((-48i16..=56).filter(|quarter| *quarter != 0).map(|quarter| Zone::Offset(quarter * 15)))
}

impl Zone {
    /// A number of its own below [`ZONES`].
    pub(super) fn place(self) -> usize {
        match self {
            Self::Zulu => 0,
            Self::Naive => 1,
            Self::Offset(minutes) => usize::try_from(minutes / 15 + 50).unwrap_or(ZONES),
        }
    }

    /// The instant as `isoformat()` prints it there; `None` beyond the years it can print.
    pub(super) fn spell(self, time: Timestamp) -> Option<String> {
        let minutes = if let Self::Offset(minutes) = self { minutes } else { 0 };
        let local = Timestamp::from_micros(time.as_micros().checked_add(i64::from(minutes) * 60_000_000)?);
        let mut text = isoformat(local)?;
        text.truncate(text.len() - "+00:00".len());
        match self {
            Self::Naive => {}
            Self::Zulu => text.push('Z'),
            Self::Offset(_) => {
                text.push(if minutes < 0 { '-' } else { '+' });
                let minutes = minutes.unsigned_abs();
                let digits = [minutes / 600, minutes / 60 % 10, minutes / 10 % 6, minutes % 10];
                let digit = |n: u16| char::from(b'0' + n as u8);
                let [tens, hours, tens_of_minutes, rest] = digits.map(digit);
                text.extend([tens, hours, ':', tens_of_minutes, rest]);
            }
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respelled(text: &str) -> String {
        let numbers = numbers(text.as_bytes());
        String::from_utf8(respell(text.as_bytes(), &numbers, |_, _| true)).unwrap()
    }

    #[test]
    fn only_numbers_that_may_have_been_floats_have_another_spelling() {
        for (text, expected) in [
            ("10000000000000000", "1e+16"),
            ("-12500000000000000000", "-1.25e+19"),
            ("12345678901234567", "1.2345678901234567e+16"),
            (r#"{"a": [0.0, 0.00, 1.0], "0.0": "0.0"}"#, r#"{"a": [-0.0, 0.00, 1.0], "0.0": "0.0"}"#),
            // 16 digits would have a point; 18 digits do not come from a double.
            ("[1000000000000000, 123456789012345678]", "[1000000000000000, 123456789012345678]"),
            (r#"{"k\"10000000000000000": 1e-07}"#, r#"{"k\"10000000000000000": 1e-07}"#),
        ] {
            assert_eq!(respelled(text), expected);
        }
        assert!(numbers(format!("1{}", "0".repeat(309)).as_bytes()).is_empty(), "beyond the largest double");
    }

    #[test]
    fn classes_ignore_array_indices_only() {
        let text = br#"{"a": [{"x": 0.0, "y": 0.0}, {"x": 0.0}], "x": 0.0}"#;
        let classes: Vec<u64> = numbers(text).iter().map(|n| n.class).collect();
        assert_eq!(classes.len(), 4);
        assert_eq!(classes[0], classes[2]);
        assert_ne!(classes[0], classes[1]);
        assert_ne!(classes[0], classes[3]);
    }

    #[test]
    fn number_keys_are_sorted_at_every_depth() {
        let order =
            |text: &str| numeric_key_order(text.as_bytes(), 1 << 20).map(|t| String::from_utf8(t).unwrap());
        assert_eq!(
            order(r#"{"1": "a", "10": {"-1": 0, "-5": 1, "2.5": 2}, "9": ["x, y"]}"#).as_deref(),
            Some(r#"{"1": "a", "9": ["x, y"], "10": {"-5": 1, "-1": 0, "2.5": 2}}"#)
        );
        assert_eq!(order(r#"{"1": 0, "10": 1, "a": 2}"#), None);
        assert_eq!(order(r#"{"1": 0, "2": 1}"#), None);
        assert_eq!(numeric_key_order(br#"{"10": 1, "9": 2}"#, 3), None, "over the budget");
    }

    #[test]
    fn the_usual_spellings_of_addresses_are_among_the_styles() {
        for (printed, spelled) in [
            ("2001:db8::4219", "2001:0db8:0000:0000:0000:0000:0000:4219"),
            ("2001:db8::1:0:0:1", "2001:db8:0:0:1:0:0:1"),
            ("64:ff9b::c000:221", "64:ff9b::192.0.2.33"),
            ("::ffff:1.2.3.4", "::ffff:102:304"),
            ("2001:db8::1", "2001:DB8::1"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("10.0.0.1", "010.000.000.001"),
            ("2001:db8::/32", "2001:DB8::/32"),
        ] {
            assert!(addresses(printed).iter().any(|s| s == spelled), "{spelled}: {:?}", addresses(printed));
        }
        assert!(addresses("2001:db8::1").iter().all(|s| {
            s.trim_end_matches("/128").parse::<Ipv6Addr>() == Ok("2001:db8::1".parse().unwrap())
        }));
    }

    #[test]
    fn zones_print_the_same_instant() {
        let time = Timestamp::parse("2026-01-06T23:07:44.929830Z").unwrap();
        assert_eq!(Zone::Offset(120).spell(time).unwrap(), "2026-01-07T01:07:44.929830+02:00");
        assert_eq!(Zone::Offset(-570).spell(time).unwrap(), "2026-01-06T13:37:44.929830-09:30");
        assert_eq!(Zone::Zulu.spell(time).unwrap(), "2026-01-06T23:07:44.929830Z");
        let mut places: Vec<usize> = zones().map(Zone::place).collect();
        places.sort_unstable();
        places.dedup();
        assert!(places.len() == zones().count() && places.iter().all(|place| *place < ZONES), "{places:?}");
        for zone in zones().filter(|z| *z != Zone::Naive) {
            assert_eq!(Timestamp::parse(&zone.spell(time).unwrap()).unwrap(), time);
        }
        assert_eq!(Zone::Zulu.spell(Timestamp::INFINITY), None);
    }
}
